"""What KSeF says of a document of the wrong shape: the sentences of .NET's schema validation, and the place.

KSeF gives no place; the sandbox adds it in parentheses. The sentences that were seen are those about children and fixed
values (ksef-api#281, #495); the others are .NET's for the same fault [INF], with the names of elements that the library
finds missing, where .NET lists all that may come, and with the document's namespace for every type.
"""

from __future__ import annotations

from typing import Final

from ..documents.shape import Simple
from ..documents.source import Places
from ..documents.validation import Finding
from ..errors import quote
from ..protocol.xml import ET, local_name

__all__ = ["describe"]

# Characters of a value that are shown.
_MOST_SHOWN: Final = 200
# The attributes with one value, which says which form a document is.
_FIXED: Final = frozenset({"kodSystemowy", "wersjaSchemy"})
_UNDECLARED: Final = frozenset({"root", "namespace", "namespace_old"})
_CONSTRAINTS: Final = {
    "value_not_listed": "The Enumeration constraint failed.",
    "value_too_long": "The actual length is greater than the MaxLength value.",
    "value_too_short": "The actual length is less than the MinLength value.",
    "value_pattern": "The Pattern constraint failed.",
    "number_written": "The Pattern constraint failed.",
    "number_decimals": "The FractionDigits constraint failed.",
    "number_digits": "The TotalDigits constraint failed.",
}
_TYPES: Final = {"string": "String", "decimal": "Decimal", "integer": "Integer", "date": "Date", "datetime": "DateTime"}


def describe(findings: list[Finding], invoice: bytes, root: ET.Element) -> tuple[str, ...]:
    """Return a sentence for each thing that is wrong, in the order of the document.

    Args:
        findings: What is wrong.
        invoice: The document.
        root: The document, parsed.
    """
    places = Places(invoice, root, [finding.element for finding in findings])
    said = []
    for finding in findings:
        line, column, offset = places.place(finding.element)
        path = places.path(finding.element) + (f"/@{finding.attribute}" if finding.attribute else "")
        sentence = _sentence(finding, places.parent(finding.element))
        said.append((offset, f"{sentence} ({path}, line {line}, column {column})"))
    return tuple(text for _, text in sorted(said, key=lambda each: each[0]))


def _sentence(finding: Finding, parent: ET.Element | None) -> str:
    element = finding.element
    if finding.code in _UNDECLARED:
        return f"The '{_qualified(element)}' element is not declared."
    if finding.code == "attribute_unknown":
        return f"The '{finding.attribute}' attribute is not declared."
    if finding.code == "attribute_missing":
        return f"The required attribute '{finding.attribute}' is missing."
    if finding.simple is not None:
        return _value_sentence(finding, finding.simple)
    if finding.code == "text_unexpected":
        return f"The element {_named(element)} cannot contain text."
    if finding.code == "element_in_value":
        return (
            f"The element {_named(element)} cannot contain child element {_named(element[0])} because the parent "
            "element's content model is text only."
        )
    expected = ""
    if "expected" in finding.values:
        namespace = _namespace(element if parent is None else parent)
        expected = f" List of possible elements expected: '{finding.values['expected']}' in namespace '{namespace}'."
    if finding.values.get("before") == "" or parent is None:
        return f"The element {_named(element)} has incomplete content.{expected}"
    return f"The element {_named(parent)} has invalid child element {_named(element)}.{expected}"


def _value_sentence(finding: Finding, simple: Simple) -> str:
    element, attribute = finding.element, finding.attribute
    if attribute in _FIXED:
        return f"The value of the '{attribute}' attribute does not equal its fixed value."
    value = quote((element.get(attribute) if attribute else element.text) or "", _MOST_SHOWN)
    what = f"'{attribute}' attribute" if attribute else f"'{_qualified(element)}' element"
    # A type without a name of its own has the element's here.
    is_named = simple.name not in {attribute, local_name(element)}
    datatype = f"{_namespace(element)}:{simple.name}" if is_named else _TYPES.get(simple.base, "String")
    return (
        f"The {what} is invalid - The value '{value}' is invalid according to its datatype '{datatype}' - "
        f"{_reason(finding, simple, value)}"
    )


def _reason(finding: Finding, simple: Simple, value: str) -> str:
    code = finding.code
    if simple.any:
        return f"The value '{value}' is not valid according to any of the memberTypes of the union."
    if code == "value_missing" and simple.base == "string":
        code = "value_not_listed" if simple.enum else "value_too_short"
    if code in _CONSTRAINTS:
        return _CONSTRAINTS[code]
    if code in {"number_range", "date_range"}:
        return f"The {_limit(finding, simple)} constraint failed."
    return f"The string '{value}' is not a valid {_TYPES[simple.base]} value."


def _limit(finding: Finding, simple: Simple) -> str:
    if simple.above is not None:
        return "MinExclusive"
    text = (finding.element.text or "").strip()
    is_below = text < (simple.min or "") if finding.code == "date_range" else text.startswith("-") or simple.max is None
    return "MinInclusive" if is_below else "MaxInclusive"


def _named(element: ET.Element) -> str:
    namespace = _namespace(element)
    return f"'{quote(local_name(element), 80)}'" + (f" in namespace '{namespace}'" if namespace else "")


def _qualified(element: ET.Element) -> str:
    namespace = _namespace(element)
    return (f"{namespace}:" if namespace else "") + quote(local_name(element), 80)


def _namespace(element: ET.Element) -> str:
    return quote(element.tag.rpartition("}")[0][1:], 80)
