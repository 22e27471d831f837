"""What a document of the right shape may still have wrong: identifiers, days, parties; the sums are in `sums`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

from ..protocol.numbers import has_valid_check_digit, has_valid_internal_id
from ..protocol.polish_calendar import polish_day
from ..protocol.xml import ET
from .source import BLANKS
from .sums import find_wrong_sums
from .validation import MOST_FINDINGS, Finding, make_finding
from .values import shown_value

__all__ = ["find_contradictions"]

#: The elements that are a NIP or begin with one.
_IDENTIFIERS: Final[dict[str, Callable[[str], bool]]] = {"NIP": has_valid_check_digit, "IDWew": has_valid_internal_id}
#: The day of issue, by form.
_ISSUED: Final = {"fa3": "Fa/P_1", "fa2": "Fa/P_1", "fa_rr1": "FakturaRR/P_4B"}


def find_contradictions(
    form: str, root: ET.Element, *, context_nip: str | None, now: datetime, check_identifiers: bool
) -> tuple[list[Finding], list[Finding]]:
    """Return the problems and the warnings of a document that has the shape of its form.

    Args:
        form: One of `ksef_async.documents.shape.FORMS`.
        root: The document's root.
        context_nip: Whose context it is sent in.
        now: When it is sent, with a time zone.
        check_identifiers: Whether a wrong check digit is a problem.
    """
    namespace = root.tag.partition("}")[0] + "}"
    problems: list[Finding] = []
    warnings: list[Finding] = []
    (problems if check_identifiers else warnings).extend(_wrong_identifiers(root, namespace))
    problems.extend(_future_day(form, root, namespace, polish_day(now)))
    if context_nip is not None:
        problems.extend(_strange_context(root, namespace, context_nip))
    warnings.extend(find_wrong_sums(form, root, namespace))
    return problems, warnings


def _wrong_identifiers(root: ET.Element, namespace: str) -> list[Finding]:
    found: list[Finding] = []
    for name, is_valid in _IDENTIFIERS.items():
        for element in root.iter(namespace + name):
            text = (element.text or "").strip(BLANKS)
            if len(found) < MOST_FINDINGS and not is_valid(text):
                found.append(make_finding("check_digit", element, value=shown_value(text)))
    return found


def _future_day(form: str, root: ET.Element, namespace: str, today: date) -> list[Finding]:
    element = root.find("/".join(namespace + step for step in _ISSUED[form].split("/")))
    if element is None or date.fromisoformat((element.text or "").strip(BLANKS)) <= today:
        return []
    return [make_finding("future", element, value=shown_value(element.text or ""), today=today.isoformat())]


def _strange_context(root: ET.Element, namespace: str, context_nip: str) -> list[Finding]:
    parties = [root.find(f"{namespace}Podmiot1")]
    parties += [
        party for name in ("Podmiot2", "Podmiot3", "PodmiotUpowazniony") for party in root.iter(namespace + name)
    ]
    numbers = {
        (element.text or "").strip(BLANKS)[:10]
        for party in parties
        if party is not None
        for name in _IDENTIFIERS
        for element in party.iter(namespace + name)
    }
    seller = root.find(f"{namespace}Podmiot1/{namespace}DaneIdentyfikacyjne/{namespace}NIP")
    if context_nip in numbers or seller is None:
        return []
    return [make_finding("context", seller, value=shown_value(seller.text or ""), context=context_nip)]
