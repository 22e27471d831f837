"""Types of bodies: of a request that KSeF takes (415), and of an answer that the caller takes (406).

Both are seen from outside only; that the framework negotiates so is inferred (ksef-api#805).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from aiohttp import web

from ..operations import Operation
from .refusals import NotAcceptable, UnsupportedMediaType

__all__ = ["check_media"]

_XML: Final = "application/xml"
_JSON: Final = "application/json"
_TAKEN: Final = {
    _XML: re.compile(r"(?:application|text)/xml"),
    _JSON: re.compile(r"(?:application|text)/json|application/[\w.-]+\+json"),
}
_WEIGHT_ZERO: Final = re.compile(r"\s*q\s*=\s*0(?:\.0*)?\s*", re.IGNORECASE)


def check_media(operation: Operation[Any, Any], request: web.Request) -> None:
    """Look at ``Content-Type`` and ``Accept``.

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
    # What is not there is of no type: that it is missing, is told as of any other content (21001) [INF].
    return not request.body_exists or _TAKEN[wanted].fullmatch(request.content_type) is not None


def _type_of(model: object) -> str:
    return _XML if model is bytes else _JSON


def _ranges(accepted: str) -> Iterator[str]:
    for each in accepted.split(","):
        media_range, *parameters = each.split(";")
        if not any(_WEIGHT_ZERO.fullmatch(parameter) for parameter in parameters):
            yield media_range.strip().lower()
