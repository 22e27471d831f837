"""The checks of a request before its handler sees it: types of bodies, query parameters, and the words of a refusal.

Types: the body that KSeF takes (else 415) and the answer that the caller takes (else 406); both are seen from outside
only, and that the framework negotiates so is inferred (ksef-api#805). Query parameters: names in any case, page sizes
held to what KSeF allows. Words: those of KSeF's validator (FluentValidation, English, camelCase paths), known for
lengths, numbers and ranges, otherwise inferred [INF]; nothing of ours goes out. Queries for invoices:
pobieranie-faktur/*.md, ksef-api#507 and #709 (the texts); KSeF says three months, and means 100 days.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Final

import attrs
from aiohttp import web

from ..api.common import CURRENCIES
from ..api.invoices import InvoiceFilters
from ..api.operation import Operation
from ..protocol.invoice_queries import LONGEST_RANGE
from ..protocol.wire import WireError, camel
from .refusals import UNKNOWN_FORM, InvalidInput, NotAcceptable, UnsupportedMediaType

__all__ = [
    "BOOLEANS",
    "LISTS",
    "SMALLEST_PAGE",
    "UNREADABLE_JSON",
    "check_media",
    "check_query",
    "problem_in_words",
    "problems_in_words",
    "read_query",
]


# --- types of bodies -------------------------------------------------------------------------------------------------

_XML: Final = "application/xml"
_JSON: Final = "application/json"
_TAKEN: Final = {
    _XML: re.compile(r"(?:application|text)/xml"),
    _JSON: re.compile(r"(?:application|text)/json|application/[\w.-]+\+json"),
}
_WEIGHT_ZERO: Final = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*", re.IGNORECASE)


def check_media(operation: Operation[Any, Any], request: web.Request) -> None:
    """Check ``Content-Type`` and ``Accept``.

    Raises:
        UnsupportedMediaType: The body is of another type than the operation takes.
        NotAcceptable: The caller does not take the type of its answer.
    """
    if operation.request is not None and not _is_taken(_type_of(operation.request), request):
        raise UnsupportedMediaType
    accepted = ",".join(request.headers.getall("Accept", []))
    if operation.response is not None and accepted.strip():
        wanted = _type_of(operation.response)
        if not any(each in (wanted, "*/*", "application/*") for each in _ranges(accepted)):
            raise NotAcceptable


def _is_taken(wanted: str, request: web.Request) -> bool:
    # What is not there is of no type: that it is missing is refused like any other content (21001) [INF].
    return not request.body_exists or _TAKEN[wanted].fullmatch(request.content_type) is not None


def _type_of(model: object) -> str:
    return _XML if model is bytes else _JSON


def _ranges(accepted: str) -> Iterator[str]:
    for each in accepted.split(","):
        media_range, *parameters = each.split(";")
        if not any(_WEIGHT_ZERO.fullmatch(parameter) for parameter in parameters):
            yield media_range.strip().lower()


# --- query parameters ------------------------------------------------------------------------------------------------

LISTS: Final = frozenset({"status", "statuses"})
"""Parameters that may be given several times."""
BOOLEANS: Final = frozenset({"verify_certificate_chain"})
"""Parameters that are true or false."""
SMALLEST_PAGE: Final = 10
"""Rows that a page has at least, in every list of KSeF."""
_LARGEST_NUMBER: Final = 2**31 - 1


def read_query(operation: Operation[Any, Any], request: web.Request) -> dict[str, Any]:
    """Return the query parameters of a call by their names in the table; page size and offset always have a value.

    Raises:
        InvalidInput: With a detail for each value that is none.
    """
    names = {camel(name).lower(): name for name in operation.query}
    query: dict[str, Any] = {}
    if "page_size" in operation.query:
        query["page_size"] = SMALLEST_PAGE
    if "page_offset" in operation.query:
        query["page_offset"] = 0
    problems = []
    for key in dict.fromkeys(request.query):
        # KSeF ignores what it does not know.
        if name := names.get(key.lower()):
            try:
                query[name] = _read(operation, name, request.query.getall(key))
            except ValueError as error:
                problems.append(str(error))
    if problems:
        raise InvalidInput(*problems)
    return query


def _read(operation: Operation[Any, Any], name: str, given: list[str]) -> object:
    if name in LISTS:
        return given
    text = given[0]
    if name == "page_size":
        return _number(name, text, SMALLEST_PAGE, operation.largest_page)
    if name == "page_offset":
        return _number(name, text, 0, _LARGEST_NUMBER)
    if name in BOOLEANS:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"The value '{text}' is not valid for {camel(name)}.")
        return text.lower() == "true"
    return text


def _number(name: str, text: str, least: int, most: int) -> int:
    # Ten digits are more than any of KSeF's numbers; Python itself refuses to read some thousands of them.
    if text.isascii() and text.isdecimal() and len(text) <= 10 and least <= int(text) <= most:
        return int(text)
    raise ValueError(f"'{camel(name)}' must be between {least} and {most}. You entered {text}.")


# --- the words of KSeF's validator -----------------------------------------------------------------------------------

UNREADABLE_JSON: Final = "The input does not contain a valid JSON document."
"""KSeF's words for a body that is not JSON."""
_Say = Callable[[str, "re.Match[str]"], str]


def _length(name: str, found: re.Match[str]) -> str:
    least, most, size = found.groups()
    if least == most:
        return f"'{name}' must be {least} characters in length. You entered {size} characters."
    return f"'{name}' must be between {least} and {most} characters. You entered {size} characters."


def _least_length(name: str, found: re.Match[str]) -> str:
    return f"The length of '{name}' must be at least {found[1]} characters. You entered {found[2]} characters."


def _number_of(name: str, found: re.Match[str]) -> str:
    return f"'{name}' must be between {found[1]} and {found[2]}. You entered {found[3]}."


def _least_number(name: str, found: re.Match[str]) -> str:
    return f"'{name}' must be greater than or equal to '{found[1]}'. You entered {found[2]}."


def _items(name: str, found: re.Match[str]) -> str:
    return f"'{name}' must contain between {found[1]} and {found[2]} items. You entered {found[3]}."


def _least_items(name: str, found: re.Match[str]) -> str:
    return f"'{name}' must contain at least {found[1]} items. You entered {found[2]}."


# What the models and the reader of JSON say, and how it is said to the caller.
_RULES: Final[tuple[tuple[re.Pattern[str], _Say], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), say)
    for pattern, say in (
        (r"required field missing", lambda name, _: f"'{name}' must not be empty."),
        (r"unknown form code", lambda _, __: UNKNOWN_FORM),
        (r"must have a length between (\d+) and (\d+); it is (\d+)", _length),
        (r"must have a length of at least (\d+); it is (\d+)", _least_length),
        (r"must be between (-?\d+) and (-?\d+); it is (-?\d+)", _number_of),
        (r"must be at least (-?\d+); it is (-?\d+)", _least_number),
        (r"must have a number of items between (\d+) and (\d+); it is (\d+)", _items),
        (r"must have a number of items of at least (\d+); it is (\d+)", _least_items),
        (r"must be written as .*", lambda name, _: f"'{name}' is not in the correct format."),
        (
            r"expected .*|not Base64",
            lambda name, _: f"The JSON value could not be converted. Path: $.{name}",
        ),
    )
)


def problem_in_words(path: str, text: str) -> str:
    """Return one problem as KSeF words it.

    Args:
        path: Of the field, in KSeF's names, e.g. ``$.dateRange.from``.
        text: What is wrong with it, as our models put it.
    """
    name = path.removeprefix("$").removeprefix(".")
    if not name:
        return "A non-empty request body is required."
    for pattern, say in _RULES:
        if found := pattern.fullmatch(text):
            return say(name, found)
    return f"'{name}' is invalid."


def problems_in_words(error: WireError) -> tuple[str, ...]:
    """Return everything that does not fit, each once, as KSeF words it."""
    return tuple(dict.fromkeys(problem_in_words(path, text) for path, text in error.problems))


# --- queries for invoices --------------------------------------------------------------------------------------------


def check_query(filters: InvoiceFilters, now: datetime) -> None:
    """Check the filters of a query for invoices.

    Args:
        filters: What is asked for.
        now: Where a range without an end ends.

    Raises:
        InvalidInput: With a detail for each problem.
    """
    if found := list(_problems(filters, now)):
        raise InvalidInput(*found)


def _problems(filters: InvoiceFilters, now: datetime) -> Iterator[str]:
    dates = filters.date_range
    end = dates.to_date or now
    if end < dates.from_date:
        yield "'dateRange.to' must be greater than or equal to 'dateRange.from'."
    elif end - dates.from_date > LONGEST_RANGE:
        yield "'dateRange' must not exceed 3 months."
    if not dates.date_type.is_known:
        yield "'dateRange.dateType' has a range of values which does not include it."
    if set(filters.currency_codes) - CURRENCIES:
        yield "'currencyCodes' has a range of values which does not include it."
    for name, value in attrs.asdict(filters, recurse=False).items():
        if any(getattr(each, "is_known", True) is False for each in (value if isinstance(value, tuple) else (value,))):
            yield f"'{camel(name)}' has a range of values which does not include it."
    if (amount := filters.amount) is not None and not amount.type.is_known:
        yield "'amount.type' has a range of values which does not include it."
    if (buyer := filters.buyer_identifier) is not None and not buyer.type.is_known:
        yield "'buyerIdentifier.type' has a range of values which does not include it."
