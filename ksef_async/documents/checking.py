"""Checking a document before it is sent: the file, the shape, then what the numbers say to each other."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from ..protocol.invoices import MAX_SIZE_WITH_ATTACHMENT, size_limit
from ..protocol.xml import ET
from .report import DocumentError, Problem, Report, Severity, make_problem
from .rules import find_contradictions
from .shape import FORMS, Shape, load_shape
from .source import Places, parse_document, place_of, shown
from .validation import Finding, find_problems
from .values import shown_value

__all__ = ["check", "find_shape_problems", "form_of", "load"]

#: The namespaces of forms that only KSeF 1.0 took.
_OLD: Final = {"http://crd.gov.pl/wzor/2021/11/29/11089/": "FA(1)"}
#: The beginning of the namespaces of PEF, which is UBL and not described here.
_UBL: Final = "urn:oasis:names:specification:ubl:"

#: What KSeF calls discouraged, in UTF-8: U+007F to U+0084, U+0086 to U+009F, U+FDD0 to U+FDEF, and the last two
#: characters of each plane but the first.
_DISCOURAGED: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x84\x86-\x9f]|\xef\xb7[\x90-\xaf]|[\xf0-\xf4][\x80-\xbf]\xbf[\xbe\xbf](?<=[\x8f\x9f\xaf\xbf]..)",
    re.DOTALL,
)


def check(
    xml: bytes, *, context_nip: str | None = None, now: datetime | None = None, check_identifiers: bool = False
) -> Report:
    """Return what is wrong with a document, and what may be.

    The verdict on the shape is that of the Ministry's schema. What only a person can judge is a warning: sums that do
    not add up, a number whose check digit is wrong. Of PEF, only the file is checked.

    Args:
        xml: The document, as it is to be sent.
        context_nip: Whose context it is sent in: a problem where that NIP is none of the document's parties.
        now: When it is sent, with a time zone; now by default. P_1 must not be later than that day in Poland.
        check_identifiers: Whether a wrong check digit is a problem, as it is in a session opened with
            ``subject-identifier-validation``.

    Source: weryfikacja-faktury.md.
    """
    try:
        root = parse_document(xml)
    except DocumentError as error:
        return error.report
    problems: list[Problem] = []
    if len(xml) > (limit := size_limit(xml)) or len(xml) > MAX_SIZE_WITH_ATTACHMENT:
        problems.append(make_problem("too_large", size=len(xml), limit=limit))
    warnings = [*_discouraged(xml)]
    form = form_of(root)
    findings: list[Finding]
    doubts: list[Finding] = []
    if form is not None:
        findings, doubts = find_problems(form, root)
        if not findings:
            findings, more_doubts = find_contradictions(
                form,
                root,
                context_nip=context_nip,
                now=datetime.now(UTC) if now is None else now,
                check_identifiers=check_identifiers,
            )
            doubts += more_doubts
    elif root.tag.startswith("{" + _UBL):
        findings = []
        warnings.append(make_problem("not_checked", severity=Severity.WARNING))
    else:
        findings = [_wrong_root(root)]
    places = Places(xml, root, [finding.element for finding in (*findings, *doubts)])
    problems += _placed(findings, places, Severity.PROBLEM)
    warnings += _placed(doubts, places, Severity.WARNING)
    return Report(
        problems=tuple(problems),
        warnings=tuple(sorted(warnings, key=lambda it: it.offset or 0)),
        form=None if form is None else load_shape(form).system_code,
    )


def find_shape_problems(root: ET.Element) -> list[Finding]:
    """Return what is wrong with the shape of a document, which is to be one of FA(3), FA(2) or FA_RR(1).

    Args:
        root: The document's root.
    """
    form = form_of(root)
    return [_wrong_root(root)] if form is None else find_problems(form, root)[0]


def load() -> None:
    """Read all shapes from their files, so that no check does."""
    for form in FORMS:
        load_shape(form)


def form_of(root: ET.Element) -> str | None:
    """Return which form a document is, by its root's name and namespace; None where it is none of `FORMS`."""
    for form in FORMS:
        shape: Shape = load_shape(form)
        if root.tag == f"{{{shape.namespace}}}{shape.root}":
            return form
    return None


def _wrong_root(root: ET.Element) -> Finding:
    namespace, _, name = root.tag.rpartition("}")
    values: dict[str, Any] = {"name": shown(root.tag)}
    if name != "Faktura":
        return Finding("root", root, None, values)
    if namespace[1:] in _OLD:
        return Finding("namespace_old", root, None, {"form": _OLD[namespace[1:]]})
    shape = load_shape(FORMS[0])
    values = {"namespace": shown_value(namespace[1:]), "form": shape.system_code, "expected": shape.namespace}
    return Finding("namespace", root, None, values)


def _placed(findings: list[Finding], places: Places, severity: Severity) -> list[Problem]:
    placed = []
    for finding in findings:
        path = places.path(finding.element) + (f"/@{shown(finding.attribute)}" if finding.attribute else "")
        place = places.place(finding.element)
        placed.append(make_problem(finding.code, path=path, place=place, severity=severity, **finding.values))
    return sorted(placed, key=lambda problem: problem.offset or 0)


def _discouraged(xml: bytes) -> list[Problem]:
    # Most documents have none of the bytes that all of these begin or end with.
    if not any(mark in xml for mark in (b"\x7f", b"\xc2", b"\xef\xb7", b"\xbf\xbe", b"\xbf\xbf")):
        return []
    found = _DISCOURAGED.search(xml)
    if found is None:
        return []
    character = f"U+{ord(found[0].decode()):04X}"
    place = place_of(xml, found.start())
    return [make_problem("character", place=place, severity=Severity.WARNING, character=character)]
