"""Texts of a document as Python values, and back.

A `Decimal` keeps its decimal places, so nearly every number, date and time is written again as it was read. Those that
are not (``+1``, ``01``, blanks around) are kept beside the value, see `Element`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from ..errors import quote
from .source import BLANKS

__all__ = ["READERS", "WRITERS", "UnfitError", "escape", "number_fault", "shown_value"]

#: Longer texts are no numbers: reading one takes time that grows with the square of its length.
_LONGEST_NUMBER: Final = 200

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)").fullmatch
_INTEGER: Final = re.compile(r"[+-]?[0-9]+").fullmatch
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch
_DATETIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})?"
).fullmatch


class UnfitError(Exception):
    """A text or value that a type does not take.

    Args:
        code: Of the sentence.
        values: What the sentence names besides the element and the value.
    """

    def __init__(self, code: str, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.values = values


def number_fault(text: str) -> str | None:
    """Return the code of the sentence for a short text that is no number, where there is a special one."""
    if _NUMBER(re.sub(r"\s", "", text.replace("\u00a0", ""))):
        return "number_blank" if text.strip(BLANKS) else None
    if re.fullmatch(r"[+-]?[0-9\s\u00a0.']*,[0-9,]*", text):
        return "number_comma"
    if re.fullmatch(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][+-]?[0-9]+", text):
        return "number_exponent"
    return None


def _unfit_number(text: str, rule: str, rule_pl: str) -> UnfitError:
    if len(text) > _LONGEST_NUMBER:
        return UnfitError("value_too_long", length=len(text), limit=_LONGEST_NUMBER)
    return UnfitError(number_fault(text) or "number", rule=rule, rule_pl=rule_pl)


def _read_decimal(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER or not _NUMBER(stripped := text.strip(BLANKS)):
        raise _unfit_number(text, "digits and at most one point, such as 1234.56", "cyfry i kropkę, np. 1234.56")
    return Decimal(stripped)


def _read_integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER or not _INTEGER(stripped := text.strip(BLANKS)):
        raise _unfit_number(text, "digits only", "same cyfry")
    return int(stripped)


def _read_date(text: str) -> date:
    stripped = text.strip(BLANKS)
    if not _DATE(stripped):
        raise UnfitError("date", rule="2026-02-28", rule_pl="2026-02-28")
    try:
        return date.fromisoformat(stripped)
    except ValueError:
        raise UnfitError("date_impossible") from None


def _read_datetime(text: str) -> datetime:
    match = _DATETIME(text.strip(BLANKS))
    if not match:
        raise UnfitError("date", rule="2026-02-28T12:30:00Z", rule_pl="2026-02-28T12:30:00Z")
    day, time, fraction, zone = match.groups()
    # XML has a 24:00:00, which is the next day's beginning.
    is_midnight = time == "24:00:00" and not (fraction or "").strip("0")
    try:
        moment = datetime.fromisoformat(f"{day}T{'00:00:00' if is_midnight else time}{zone or ''}")
        return moment + timedelta(days=is_midnight, microseconds=int((fraction or "0")[:6].ljust(6, "0")))
    except (ValueError, OverflowError):
        raise UnfitError("date_impossible") from None


def _write_decimal(value: object) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise UnfitError("type", expected="a number", expected_pl="liczbę", given=str(value))
        text = str(value)
        return format(value, "f") if "E" in text else text
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _wrong_type(value, "a Decimal", "Decimal")


def _write_integer(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _wrong_type(value, "an int", "int")


def _write_date(value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    raise _wrong_type(value, "a date", "date")


def _write_datetime(value: object) -> str:
    if not isinstance(value, datetime):
        raise _wrong_type(value, "a datetime", "datetime")
    text = value.isoformat()
    return text.removesuffix("+00:00") + "Z" if value.tzinfo is UTC or text.endswith("+00:00") else text


def _write_string(value: object) -> str:
    if isinstance(value, str):
        return value
    raise _wrong_type(value, "a str", "str")


def _wrong_type(value: object, expected: str, expected_pl: str) -> UnfitError:
    if isinstance(value, float):
        return UnfitError("float", value=repr(value))
    return UnfitError("type", expected=expected, expected_pl=expected_pl, given=type(value).__name__)


#: From a text to a value, by the base of a type; raise `UnfitError`.
READERS: Final[dict[str, Callable[[str], object]]] = {
    "string": str,
    "decimal": _read_decimal,
    "integer": _read_integer,
    "date": _read_date,
    "datetime": _read_datetime,
}
#: From a value to its text, by the base of a type; raise `UnfitError`.
WRITERS: Final[dict[str, Callable[[object], str]]] = {
    "string": _write_string,
    "decimal": _write_decimal,
    "integer": _write_integer,
    "date": _write_date,
    "datetime": _write_datetime,
}

_SPECIAL: Final = re.compile('[&<>\r"\t\n]').search
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search
_REFERENCES: Final = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("\r"): "&#13;"}
_IN_ATTRIBUTES: Final = {**_REFERENCES, ord('"'): "&quot;", ord("\t"): "&#9;", ord("\n"): "&#10;"}


def escape(text: str, *, attribute: bool = False) -> str:
    """Return a text as it stands in XML.

    Args:
        text: Any text.
        attribute: True for the value of an attribute, which stands in double quotes.

    Raises:
        UnfitError: It has a character that no XML can have.
    """
    forbidden = _FORBIDDEN(text)
    if forbidden:
        raise UnfitError("character", character=f"U+{ord(forbidden[0]):04X}")
    return text.translate(_IN_ATTRIBUTES if attribute else _REFERENCES) if _SPECIAL(text) else text


def shown_value(text: str) -> str:
    """Return a text as a sentence names it."""
    return f'"{quote(text, 60)}"'
