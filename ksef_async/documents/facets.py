"""Whether a text is a value of a type, as libxml2 decides it with the Ministry's schema, and if not, why."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

from .shape import Simple
from .source import BLANKS
from .values import READERS, UnfitError, shown_value

__all__ = ["Checker", "explain"]

#: How types are explained that a pattern describes; English and Polish.
_RULES: Final[dict[str, tuple[str, str]]] = {
    "TNrNIP": ("10 digits without anything between them, such as 5265877635", "10 cyfr bez odstępów, np. 5265877635"),
    "TNIPIdWew": ("a NIP, a hyphen and 5 digits", "NIP, łącznik i 5 cyfr"),
    "TNrVatUE": ("up to 12 digits and capital letters, without the prefix", "do 12 cyfr i wielkich liter, bez kodu"),
    "TNumerKSeF": ("a KSeF number, 35 characters", "numer KSeF, 35 znaków"),
    "TAdresEmail": ("an e-mail address with an @", "adres e-mail ze znakiem @"),
    "TData": ("a date such as 2026-02-28", "data, np. 2026-02-28"),
    "TDataT": ("a date such as 2026-02-28", "data, np. 2026-02-28"),
    "TDataU": ("a date such as 2026-02-28", "data, np. 2026-02-28"),
    "SWIFT_Type": ("8 or 11 capital letters and digits", "8 albo 11 wielkich liter i cyfr"),
    "TNrKRS": ("10 digits", "10 cyfr"),
    "TNrREGON": ("9 or 14 digits", "9 albo 14 cyfr"),
    "TNrRB": ("10 to 32 digits and capital letters", "od 10 do 32 cyfr i wielkich liter"),
    "NrID": ("1 to 50 letters and digits", "od 1 do 50 liter i cyfr"),
    "IPKSeF": ("3 digits, then 10 letters or digits", "3 cyfry, potem 10 liter lub cyfr"),
    "LinkDoPlatnosci": ("a link with the parameter IPKSeF", "link z parametrem IPKSeF"),
}
#: What is written, by base.
_KINDS: Final = {
    "string": ("a text", "tekst"),
    "decimal": ("a number such as 1234.56", "liczbę, np. 1234.56"),
    "integer": ("a whole number", "liczbę całkowitą"),
    "date": ("a date such as 2026-02-28", "datę, np. 2026-02-28"),
    "datetime": ("a moment such as 2026-02-28T12:30:00Z", "datę i czas, np. 2026-02-28T12:30:00Z"),
}
_MOST_SHOWN: Final = 20

_REPLACED: Final = str.maketrans("\t\r\n", "   ")
_RUNS: Final = re.compile(" +")
_MOMENT: Final = re.compile(r"(.{19})(?:\.([0-9]+))?(Z|[+-][0-9]{2}:[0-9]{2})?")


class Checker:
    """Says whether a text is a value of one type.

    Args:
        simple: The type.
    """

    def __init__(self, simple: Simple) -> None:
        self.simple = simple
        self._patterns = [re.compile(_python_pattern(pattern)).fullmatch for pattern in simple.patterns]
        self._members = [Checker(member) for member in simple.any]

    @cached_property
    def accept(self) -> Callable[[str], object]:
        """Accept most texts that are values, and no others; quick."""
        simple = self.simple
        if simple.enum:
            return frozenset(simple.enum).__contains__
        quick = _quick(simple)
        return self._is_value if quick is None else re.compile(quick, re.DOTALL).fullmatch

    @property
    def is_number(self) -> bool:
        """Return whether the values are numbers."""
        return self.simple.base in {"decimal", "integer"}

    def _is_value(self, text: str) -> bool:
        return self.fault(text) is None

    def fault(self, text: str) -> UnfitError | None:
        """Return why a text is no value of the type; None if it is one.

        Args:
            text: The text of an element or attribute.
        """
        simple = self.simple
        if simple.fixed and not text:
            return None
        if self._members:
            if not all(member.fault(text) for member in self._members):
                return None
            return self._unlike(text)
        if simple.base == "string":
            return self._string_fault(_normalized(text, simple.space))
        stripped = text.strip(BLANKS)
        if not stripped:
            return self._missing()
        if simple.base == "datetime":
            return _moment_fault(simple, text)
        try:
            value: Any = READERS[simple.base](stripped)
        except UnfitError as unfit:
            return unfit
        if simple.base == "date":
            fault = _range_fault(simple, stripped, "date_range")
        else:
            fault = self._number_fault(Decimal(value))
        return fault or (None if self._fits(stripped) else self._unlike(stripped))

    def _missing(self) -> UnfitError:
        rule, rule_pl = _RULES.get(self.simple.name) or _KINDS[self.simple.base]
        if self.simple.enum:
            rule, rule_pl = self._listed()
        return UnfitError("value_missing", rule=rule, rule_pl=rule_pl)

    def _listed(self) -> tuple[str, str]:
        values = self.simple.enum
        shown = ", ".join(values[:_MOST_SHOWN])
        if len(values) <= _MOST_SHOWN:
            return shown, shown
        more = len(values) - _MOST_SHOWN
        return f"{shown} and {more} more", f"{shown} i {more} innych"

    def _fits(self, text: str) -> bool:
        return all(fullmatch(text) for fullmatch in self._patterns)

    def _unlike(self, text: str) -> UnfitError:
        if self.is_number:
            return UnfitError("number_written")
        fallback = " | ".join(self.simple.patterns)
        rule, rule_pl = _RULES.get(self.simple.name) or (fallback, fallback)
        return UnfitError("value_pattern", rule=rule, rule_pl=rule_pl)

    def _string_fault(self, text: str) -> UnfitError | None:
        simple = self.simple
        if simple.enum:
            if text in simple.enum:
                return None
            if not text:
                return self._missing()
            rule, rule_pl = self._listed()
            return UnfitError("value_not_listed", rule=rule, rule_pl=rule_pl)
        if not text and (simple.shortest or not self._fits(text)):
            return self._missing()
        if simple.longest is not None and len(text) > simple.longest:
            return UnfitError("value_too_long", length=len(text), limit=simple.longest)
        if simple.shortest is not None and len(text) < simple.shortest:
            return UnfitError("value_too_short", length=len(text), limit=simple.shortest)
        return None if self._fits(text) else self._unlike(text)

    def _number_fault(self, number: Decimal) -> UnfitError | None:
        simple = self.simple
        if simple.enum:
            if any(number == Decimal(value) for value in simple.enum):
                return None
            rule, rule_pl = self._listed()
            return UnfitError("value_not_listed", rule=rule, rule_pl=rule_pl)
        whole, places = _digits(number)
        if simple.fraction is not None and places > simple.fraction:
            return UnfitError("number_decimals", limit=simple.fraction)
        if simple.total is not None and whole + places > simple.total:
            return UnfitError("number_digits", limit=simple.total)
        if simple.above is not None and number <= Decimal(simple.above):
            return UnfitError("number_range", rule=f"above {simple.above}", rule_pl=f"większa niż {simple.above}")
        if simple.min is not None and number < Decimal(simple.min):
            return UnfitError("number_range", rule=f"at least {simple.min}", rule_pl=f"nie mniejsza niż {simple.min}")
        if simple.max is not None and number > Decimal(simple.max):
            return UnfitError("number_range", rule=f"at most {simple.max}", rule_pl=f"nie większa niż {simple.max}")
        return None


def _digits(number: Decimal) -> tuple[int, int]:
    """Return how many digits stand before and behind the point, zeros at either end left out."""
    text = format(abs(number), "f")
    whole, _, places = text.partition(".")
    return len(whole.lstrip("0")), len(places.rstrip("0"))


def _normalized(text: str, space: str) -> str:
    if space == "preserve":
        return text
    text = text.translate(_REPLACED)
    return text if space == "replace" else _RUNS.sub(" ", text).strip(" ")


def _range_fault(simple: Simple, text: str, code: str) -> UnfitError | None:
    # Dates of one length are in the order of their texts.
    if (simple.min is not None and text < simple.min) or (simple.max is not None and text > simple.max):
        return UnfitError(code, least=simple.min, most=simple.max)
    return None


def _moment_fault(simple: Simple, text: str) -> UnfitError | None:
    try:
        READERS["datetime"](text)
    except UnfitError as unfit:
        return unfit
    match = _MOMENT.fullmatch(text)
    if match is None:
        # libxml2 does not take the blanks around it that XML Schema allows.
        return UnfitError("date", rule="2026-02-28T12:30:00Z", rule_pl="2026-02-28T12:30:00Z")
    day_and_time, fraction, zone = match.groups()
    if zone and zone != "Z" and (zone[1:] > "14:00" or zone[4:] > "59"):
        return UnfitError("date", rule="2026-02-28T12:30:00Z", rule_pl="2026-02-28T12:30:00Z")
    moment = _seconds(f"{day_and_time}{zone or ''}")
    rest = Decimal(f"0.{fraction or 0}")
    least = (_seconds(simple.min), Decimal()) if simple.min else None
    most = (_seconds(simple.max), Decimal()) if simple.max else None
    given = moment, rest
    # libxml2 takes a moment without a time zone as one in UTC, but not as equal to a limit that has one.
    is_outside = (least and given < least) or (most and given > most) or (not zone and given in (least, most))
    return UnfitError("date_range", least=simple.min, most=simple.max) if is_outside else None


def _seconds(text: str) -> datetime:
    moment = READERS["datetime"](text)
    assert isinstance(moment, datetime)  # noqa: S101 - for type checkers
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _python_pattern(pattern: str) -> str:
    # XML Schema's \s and . are less and more than Python's.
    pattern = pattern.replace(r"\s", " \\t\\r\\n")
    return re.sub(r"(?<!\\)\.", r"[^\\n\\r]", pattern)


def _quick(simple: Simple) -> str | None:
    """Return a pattern that only values of the type fit."""
    if simple.any or simple.fixed:
        return None
    if simple.base == "string":
        return None if simple.patterns else _quick_string(simple)
    if simple.base == "decimal" and simple.total and simple.fraction and simple.min is None and simple.max is None:
        most = simple.total - simple.fraction - 1
        usual = rf"-?([1-9]\d{{0,{most}}}|0)(\.\d{{1,{simple.fraction}}})?"
        return usual.replace(r"\d", "[0-9]") if simple.patterns == (usual,) else None
    if simple.base == "integer" and simple.min is None and simple.max is None and not simple.patterns:
        return "[1-9][0-9]{0,8}" if simple.total is None or simple.total > 8 else None
    if simple.base == "date" and simple.min and simple.max and simple.patterns == (r"((\d{4})-(\d{2})-(\d{2}))",):
        years = "|".join(str(year) for year in range(int(simple.min[:4]) + 1, int(simple.max[:4])))
        return rf"(?:{years})-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    return None


def _quick_string(simple: Simple) -> str:
    shortest, longest = simple.shortest or 0, "" if simple.longest is None else simple.longest
    if simple.space != "collapse":
        return f".{{{shortest},{longest}}}"
    if shortest > 1 or not simple.longest:
        return "[^ \t\r\n]" * shortest
    # White space can only make it shorter, and not shorter than a character that is none.
    return f"[^ \t\r\n].{{0,{simple.longest - 1}}}"


def explain(fault: UnfitError, text: str) -> dict[str, Any]:
    """Return what the sentence for a fault names besides the element."""
    return {"value": shown_value(text), **fault.values}
