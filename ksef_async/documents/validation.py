"""Whether a document has the shape of its form: the verdict of the Ministry's schema, a sentence for each problem."""

from __future__ import annotations

import contextlib
import difflib
from typing import Any, Final

import attrs

from ..protocol.xml import ET
from .content import Content, State, load_content
from .facets import Checker, explain
from .shape import Item, Simple, load_shape
from .source import BLANKS, shown
from .values import shown_value

__all__ = ["MOST_FINDINGS", "Finding", "find_problems", "make_finding"]

#: More are not looked for: who corrects these checks again.
MOST_FINDINGS: Final = 100
#: No form has elements that are nested so deep.
_DEEPEST: Final = 100

_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_HINTS: Final = frozenset({f"{_XSI}schemaLocation", f"{_XSI}noNamespaceSchemaLocation"})


@attrs.frozen
class Finding:
    """Something that is wrong, before its place is known."""

    code: str
    element: ET.Element
    attribute: str | None
    values: dict[str, Any]
    simple: Simple | None = None
    """The type of the value that is wrong; None where it is no value."""


def make_finding(code: str, element: ET.Element, **values: Any) -> Finding:
    """Return a finding about an element, whose name its sentence may use."""
    return Finding(code, element, None, {"name": shown(element.tag), **values})


class _EnoughError(Exception):
    """There are `MOST_FINDINGS`."""


class _Findings(list[Finding]):
    def __init__(self) -> None:
        super().__init__()
        self.doubts: list[Finding] = []

    def add(
        self,
        code: str,
        element: ET.Element,
        attribute: str | None = None,
        simple: Simple | None = None,
        **values: Any,
    ) -> None:
        values = {"name": shown(element.tag), "attribute": attribute, **values}
        self.append(Finding(code, element, attribute, values, simple))
        if len(self) >= MOST_FINDINGS:
            raise _EnoughError


def find_problems(form: str, root: ET.Element) -> tuple[list[Finding], list[Finding]]:
    """Return what is wrong with the shape of a document, and what is right but odd; `MOST_FINDINGS` at most of each.

    Args:
        form: One of `ksef_async.documents.shape.FORMS`.
        root: The document's root, which has the name and namespace of that form's.
    """
    findings = _Findings()
    with contextlib.suppress(_EnoughError):
        _check(root, load_content(form, load_shape(form).root), findings)
    return findings, findings.doubts


def _check(element: ET.Element, content: Content, findings: _Findings) -> None:
    if content.attributes or element.keys():
        _check_attributes(element, content, findings)
    if content.text is not None:
        _check_value(element, content.text, findings)
        return
    start = state = content.start
    count = 0
    told: set[str] | None = None
    text = element.text
    if text is not None and text.strip(BLANKS):
        findings.add("text_unexpected", element, value=shown_value(text.strip(BLANKS)))
    for child in element:
        step = state.steps.get(child.tag)
        if step is None:
            told = set() if told is None else told
            state, step = _misplaced(element, child, content, state, told, findings)
            if step is None:
                continue
            count = 1
        elif step[0] is state and state is not start:
            count += 1
            if state.most is not None and count == state.most + 1:
                findings.add("element_too_many", child, parent=shown(element.tag), limit=state.most)
        else:
            state = step[0]
            count = 1
        _, accept, checker, inner = step
        if accept is not None:
            if len(child) or child.keys() or not accept(child.text or ""):
                assert checker is not None  # noqa: S101 - there is one where there is a quick one
                _check_attributes(child, None, findings)
                _check_value(child, checker, findings)
        else:
            assert inner is not None  # noqa: S101 - every element has one or the other
            _check(child, inner, findings)
        tail = child.tail
        if tail is not None and tail.strip(BLANKS):
            findings.add("text_unexpected", element, value=shown_value(tail.strip(BLANKS)))
    if not state.final:
        _add_missing(element, content, state, None, told or set(), findings)


def _check_attributes(element: ET.Element, content: Content | None, findings: _Findings) -> None:
    attributes = {} if content is None else content.attributes
    for name, value in element.items():
        checker = attributes.get(name)
        if checker is not None:
            fault = checker.fault(value)
            if fault is not None:
                findings.add(fault.code, element, name, checker.simple, **{"name": name, **explain(fault, value)})
        elif name not in _HINTS:
            findings.add("attribute_unknown", element, shown(name))
    for name in attributes:
        if element.get(name) is None:
            findings.add("attribute_missing", element, name)


def _check_value(element: ET.Element, checker: Checker, findings: _Findings) -> None:
    if len(element):
        if not _add_depth(element, findings):
            findings.add("element_in_value", element, child=shown(element[0].tag))
        return
    text = element.text or ""
    fault = checker.fault(text)
    if fault is not None:
        findings.add(fault.code, element, None, checker.simple, **explain(fault, text))
    elif checker.is_number and text != text.strip(BLANKS) and len(findings.doubts) < MOST_FINDINGS:
        findings.doubts.append(make_finding("number_around", element))


def _misplaced(
    element: ET.Element, child: ET.Element, content: Content, state: State, told: set[str], findings: _Findings
) -> tuple[State, Any]:
    """Add what is wrong with an element that cannot come here.

    Args:
        element: Its parent.
        child: The element.
        content: The parent's content model.
        state: Where in it the element comes.
        told: The names of the elements that are known to stand elsewhere, or to be written otherwise.
        findings: Where it is added.

    Returns:
        Where to go on, and how the element itself is checked; None where it is not.
    """
    parent = shown(element.tag)
    item = content.items.get(child.tag)
    if item is None:
        if not _add_depth(child, findings):
            _add_unknown(child, content, parent, told, findings)
        return state, None
    last = state.item
    step = content.step(item)
    if last is not None and item.index <= last.index:
        if item.name in told:
            return state, step
        earlier = _other_of_choice(element, child, content, item)
        if earlier is not None:
            findings.add("element_conflict", child, parent=parent, previous=earlier)
        elif any(other is not child and other.tag == child.tag for other in _until(element, child)):
            findings.add("element_repeated", child, parent=parent)
        else:
            findings.add("element_order", child, parent=parent, previous=last.name)
        return state, step
    earlier = _other_of_choice(element, child, content, item)
    if earlier is not None:
        findings.add("element_conflict", child, parent=parent, previous=earlier)
        return state, step
    _add_missing(element, content, state, child, told, findings)
    return step[0], step


def _add_unknown(child: ET.Element, content: Content, parent: str, told: set[str], findings: _Findings) -> None:
    name = child.tag.rpartition("}")[2]
    known = [tag.rpartition("}")[2] for tag in content.items]
    if name in known:
        namespace = child.tag.rpartition("}")[0][1:]
        told.add(name)
        findings.add("element_namespace", child, namespace=shown_value(namespace))
        return
    close = difflib.get_close_matches(name[:80], known, 1)
    # It stands for the one that was meant, which is not missing as well.
    told.update(close)
    hint, hint_pl = (f" ({close[0]}?)", f" ({close[0]}?)") if close else ("", "")
    findings.add("element_unknown", child, parent=parent, hint=hint, hint_pl=hint_pl)


def _other_of_choice(element: ET.Element, child: ET.Element, content: Content, item: Item) -> str | None:
    for other in _until(element, child):
        present = content.items.get(other.tag)
        if present is not None and content.exclude(present, item):
            return present.name
    return None


def _until(element: ET.Element, child: ET.Element) -> list[ET.Element]:
    before = []
    for other in element:
        if other is child:
            break
        before.append(other)
    return before


def _add_missing(
    element: ET.Element,
    content: Content,
    state: State,
    child: ET.Element | None,
    told: set[str],
    findings: _Findings,
) -> None:
    """Add the elements that are missing before an element, or at the end."""
    parent = shown(element.tag)
    before, before_pl = (f" before {shown(child.tag)}", f" przed {shown(child.tag)}") if child is not None else ("", "")
    present = {other.tag.rpartition("}")[2] for other in element}
    at = element if child is None else child
    goal = None if child is None else content.items[child.tag]
    for item in content.way(state, goal):
        choice = [other.name for other in content.instead_of(state, item, goal)]
        state = content.state_behind(item)
        if child is not None and item.name in present:
            if item.name not in told:
                told.add(item.name)
                findings.add("element_early", at, expected=item.name)
        elif len(choice) > 1:
            expected = ", ".join(choice)
            findings.add("choice_missing", at, parent=parent, expected=expected, before=before, before_pl=before_pl)
        elif item.name not in told:
            findings.add("element_missing", at, parent=parent, expected=item.name, before=before, before_pl=before_pl)


def _add_depth(element: ET.Element, findings: _Findings) -> bool:
    """Add that elements are nested too deep, where they are."""
    depth, level = 0, [element]
    while level and depth <= _DEEPEST:
        level = [child for parent in level for child in parent]
        depth += 1
    if level:
        findings.add("too_deep", element, limit=_DEEPEST)
    return bool(level)
