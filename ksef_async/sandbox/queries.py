"""Query parameters: names in any case, numbers and booleans read, page sizes held to what KSeF allows."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ..operations import Operation
from ..protocol.wire import camel
from .refusals import InvalidInput

__all__ = ["BOOLEANS", "LISTS", "SMALLEST_PAGE", "read_query"]

#: Parameters that may be given several times.
LISTS: Final = frozenset({"status", "statuses"})
#: Parameters that are true or false.
BOOLEANS: Final = frozenset({"verify_certificate_chain"})
#: Rows that a page has at least, in every list of KSeF.
SMALLEST_PAGE: Final = 10

_LARGEST_NUMBER: Final = 2**31 - 1


def read_query(operation: Operation[Any, Any], request: web.Request) -> dict[str, Any]:
    """What a call asks, by the names of the table; a list gets its page size (and offset) whether asked or not.

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
