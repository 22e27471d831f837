"""Bytes -> model, or the right error: whatever arrives, never a parser's traceback.

Success is any 2xx whose body fits, whatever its number. A 2xx with a body that does not fit is a lost answer: KSeF has
acted, and what it said is not known. A page of HTML is never KSeF's answer, whatever its status.

KSeF's error formats (protocol: error bodies): ``application/problem+json``; the legacy ``exception`` object; the
``status`` object of a legacy 429; an empty body; HTML from a gateway (502) or a firewall (even with status 200);
XML from the storage behind signed links. What KSeF says in them is quoted, never shown as it came.
"""

from __future__ import annotations

import functools
import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar, cast

from ..api.operation import Operation
from ..errors import (
    LONGEST_QUOTE,
    ApiError,
    BadRequestError,
    ForbiddenError,
    GoneError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    UnauthorizedError,
    quote,
    quote_data,
)
from . import json
from .messages import RawResponse
from .wire import WIRE, Unread, UnreadableJsonError, WireError

__all__ = [
    "LONGEST_LOCKOUT",
    "ServerClock",
    "decipher_error",
    "decipher_link_response",
    "decipher_response",
    "decipher_upload_response",
    "read_http_date",
]

# What is reckoned from a time must not leave the calendar, which ends with the year 9999.
_YEARS: Final = range(1970, 3000)


@functools.lru_cache(16)  # the answers of a second have theirs in common
def read_http_date(text: str) -> datetime | None:
    """Return the time in a header (UTC); None for what is no time, or none of these centuries."""
    try:
        moment = parsedate_to_datetime(text)
        utc = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return utc if utc.year in _YEARS else None


class ServerClock:
    """KSeF's time, from the ``Date`` of its answers (RFC 9110, 6.6.1); the local time until the first.

    Between answers it goes on by a monotonic clock, so a step of the local wall clock does no harm.
    """

    def __init__(self) -> None:
        self._seen: tuple[datetime, float] | None = None

    def observe(self, date: str | None, monotonic: float) -> None:
        """Note the ``Date`` of an answer that came at ``monotonic`` (seconds); a missing or odd one is ignored."""
        if moment := read_http_date(date or ""):
            self._seen = (moment, monotonic)

    def now(self, monotonic: float) -> datetime:
        """Return the time at ``monotonic`` (UTC); late by up to a second and the answer's way here."""
        if self._seen is None:
            return datetime.now(UTC)
        moment, at = self._seen
        return moment + timedelta(seconds=monotonic - at)


ResponseT = TypeVar("ResponseT")

LONGEST_LOCKOUT: Final = 3600.0
"""The longest ``Retry-After``, in seconds, that is accepted. KSeF's longest window is an hour, so whoever waited that
long has calls to make again; should KSeF still say no, asking once an hour does no harm. A mistake in that header must
not keep a company from sending for years.
"""

_ERRORS: Final[Mapping[int, type[ApiError]]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    408: ServerError,  # a gateway's: KSeF has no such answer
    410: GoneError,
    429: RateLimitedError,
}
_STORAGE_SAYS: Final = "the storage says"
# What a gateway's bound is on: KSeF has no such answers, and never sees such a request.
_TOO_LARGE: Final[Mapping[int, str]] = {413: "body", 414: "address", 431: "headers"}
_ADVICE: Final[Mapping[type[ApiError], str]] = {
    UnauthorizedError: "The bearer token is missing, expired or revoked.",
    RateLimitedError: "Wait before the next call of this kind.",
    ServerError: "KSeF or a gateway before it failed; the call may or may not have taken effect.",
}
_HTML: Final = ("text/html", "application/xhtml+xml")
_MOST_NAMED, _MOST_DETAILS = 10, 100
"""Details named in an error's message; all that are kept are in its ``details``."""


def decipher_response(
    operation: Operation[Any, ResponseT], response: RawResponse, unread: list[Unread] | None = None
) -> ResponseT:
    """Return what KSeF answered; what could not be read of it, and is not essential, is added to ``unread``.

    Raises:
        ApiError: KSeF, or a gateway before it, said no.
        RemoteProtocolError: A success that does not fit the specification; ``path`` names the field.
    """
    if not _is_success(response):
        raise decipher_error(operation.name, response)
    if operation.response is None:
        _check_nothing_refused(operation.name, response)
        return cast("ResponseT", None)
    if operation.response is bytes:
        return cast("ResponseT", _check_document(operation.name, response))
    # Raised outside the handlers: a parser's error, even as the context of ours, holds what it was given.
    try:
        return WIRE.from_json(response.body, operation.response, unread)
    except WireError as error:
        problem, path = f"does not fit its specification: {quote(str(error), 300)}", quote(error.path, 200)
        raised = _lost_answer(operation.name, problem, path=path)
    except UnreadableJsonError:
        raised = _lost_answer(operation.name, f"is not JSON ({_size_and_type(response)})")
    raise raised


def decipher_link_response(name: str, response: RawResponse) -> bytes:
    """Return the document behind a signed link.

    Raises:
        ApiError: The storage said no; 403 means the link has expired.
        RemoteProtocolError: The bytes are not those KSeF vouches for, or it does not vouch for them.
    """
    if not _is_success(response):
        raise decipher_error(name, response)
    return _check_hash(name, response, required=True)


def decipher_upload_response(name: str, response: RawResponse) -> None:
    """Return when the storage has taken the file in.

    Raises:
        ApiError: The storage said no; 403 means the link has expired. A `ServerError` is anything that may go better
            the next time, such as a firewall's page, or any success but 201: a file has been lost after a 200.
    """
    if not _is_success(response):
        raise decipher_error(name, response)
    if response.status != 201:
        raise ServerError(
            f"{name}: HTTP {response.status} in place of 201, which alone means that the file is in.",
            operation=name,
            http_status=response.status,
        )


def decipher_error(name: str, response: RawResponse) -> ApiError:
    """Return the error that an unsuccessful answer stands for; ``name`` is the operation's."""
    body = _json_object(response)
    code, description, details = _reason(body)
    headline = [f"{name}: HTTP {response.status}"]
    if code is not None:
        headline.append(f"code {code}")
    trace_id = _trace_id(body)
    common: dict[str, Any] = {
        "operation": name,
        "http_status": response.status,
        "code": code,
        "details": details,
        "trace_id": trace_id,
    }
    cls = _error_class(response)
    said = " ".join(filter(None, [description, "; ".join(details[:_MOST_NAMED])])) or _describe_body(response)
    message = f"{', '.join(headline)}: {said}"
    if (part := _TOO_LARGE.get(response.status)) and not said.startswith(_STORAGE_SAYS):
        message += f" A proxy or gateway before KSeF takes no {part} of this size, so KSeF has not seen the request."
    elif advice := _ADVICE.get(cls):
        message += f" {advice}"
    if trace_id:
        message += f" [trace {trace_id}]"
    if cls is ForbiddenError:
        security = body.get("security")
        return ForbiddenError(
            message,
            reason=_text(body.get("reasonCode"), 100),
            security=cast("dict[str, object]", quote_data(security)) if isinstance(security, dict) else None,
            **common,
        )
    if cls is RateLimitedError:
        return RateLimitedError(message, retry_after=_retry_after(response), **common)
    return cls(message, **common)


def _is_success(response: RawResponse) -> bool:
    return 200 <= response.status < 300 and not _is_html(response)


def _error_class(response: RawResponse) -> type[ApiError]:
    if response.status == 429:
        return RateLimitedError
    # Whoever says so has not passed the request on, and says the same the next time.
    if response.status in _TOO_LARGE:
        return ApiError
    # A page in place of an answer comes from a gateway or firewall, whatever its status says; so do redirects, and
    # numbers that HTTP does not have. KSeF says no by 4xx, with JSON or without a body.
    if not 400 <= response.status < 500 or _is_html(response):
        return ServerError
    return _ERRORS.get(response.status, ApiError)


def _is_html(response: RawResponse) -> bool:
    if response.body.startswith(b"{"):
        return False
    # By its body first: some servers call everything HTML, an empty answer and JSON included.
    start = _start(response)
    if start.lower().startswith((b"<!doctype html", b"<html")):
        return True
    return response.content_type in _HTML and bool(start) and not start.startswith((b"{", b"["))


def _start(response: RawResponse) -> bytes:
    return response.body[:64].removeprefix(b"\xef\xbb\xbf").lstrip()


def _check_nothing_refused(name: str, response: RawResponse) -> None:
    """Accept a success with any JSON or none, unless it reports a failure: then neither is relied on."""
    try:
        body = json.loads(response.body) if response.body.strip() else None
    except json.JSONDecodeError:
        problem = f"is neither JSON nor empty ({_size_and_type(response)})"
    else:
        tells_of_failure = isinstance(body, dict) and ("exception" in body or _reason(body)[0] is not None)
        if response.content_type != "application/problem+json" and not tells_of_failure:
            return
        problem = f"is a success (HTTP {response.status}) that reports a failure"
    raise _lost_answer(name, problem)


def _check_document(name: str, response: RawResponse) -> bytes:
    # Without its hash, all that is known is that this is XML; a part of a document (206) would be, too.
    is_xml = _start(response).startswith(b"<")
    is_vouched_for = "x-ms-meta-hash" in response.headers
    if not is_vouched_for and (not is_xml or response.status == 206):
        raise _lost_answer(name, f"is no XML document ({_size_and_type(response)})")
    return _check_hash(name, response)


def _check_hash(name: str, response: RawResponse, *, required: bool = False) -> bytes:
    declared = response.headers.get("x-ms-meta-hash")
    if declared is None and not required:
        return response.body
    written = response.written
    digest = hashlib.sha256(response.body).digest() if written is None else written.sha256
    actual = b64encode(digest).decode("ascii")
    if declared != actual:
        problem = (
            "without its SHA-256" if declared is None else f"whose SHA-256 is {actual}, not {quote(declared, 100)}"
        )
        size = len(response.body) if written is None else written.size
        raise RemoteProtocolError(
            f"{name}: KSeF sent a document of {size} bytes {problem}; it must not be trusted.",
            operation=name,
            path="x-ms-meta-hash",
            # It may come whole the next time.
            maybe_delivered=declared is not None,
        )
    return response.body


def _lost_answer(name: str, problem: str, *, path: str | None = None) -> RemoteProtocolError:
    return RemoteProtocolError(f"{name}: KSeF's answer {problem}.", operation=name, path=path, maybe_delivered=True)


def _json_object(response: RawResponse) -> dict[str, Any]:
    try:
        body = json.loads(response.body)
    except json.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _reason(body: dict[str, Any]) -> tuple[int | None, str, tuple[str, ...]]:
    """Code, description and details, from whichever format this is."""
    for entries in (body.get("errors"), _dict(body.get("exception")).get("exceptionDetailList")):
        if isinstance(entries, list) and entries:
            first = _dict(entries[0])
            code = first.get("code", first.get("exceptionCode"))
            description = first.get("description", first.get("exceptionDescription"))
            return code if type(code) is int else None, _text(description) or "", _texts(first.get("details"))
    if status := _dict(body.get("status")):
        return None, _text(status.get("description")) or "", _texts(status.get("details"))
    return None, _text(body.get("detail")) or _text(body.get("title")) or "", ()


def _trace_id(body: dict[str, Any]) -> str | None:
    if trace_id := _text(body.get("traceId"), 100):
        return trace_id
    # The legacy format has a W3C traceparent instead: 00-<32 hex>-<16 hex>-00.
    service_code = _text(_dict(body.get("exception")).get("serviceCode"), 100) or ""
    match = re.search(r"[0-9a-f]{32}", service_code)
    return match[0] if match else service_code or None


def _retry_after(response: RawResponse) -> float | None:
    """Seconds, at most `LONGEST_LOCKOUT`; None where nothing readable is said. KSeF says seconds, a gateway may not."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:20]), LONGEST_LOCKOUT)
    until, now = read_http_date(value), read_http_date(response.headers.get("date", ""))
    if until is None or now is None:
        return None
    return min(max((until - now).total_seconds(), 0.0), LONGEST_LOCKOUT)


def _describe_body(response: RawResponse) -> str:
    if not response.body:
        return "empty answer."
    if _is_html(response):
        return "an HTML page instead of an answer."
    if code := re.search(rb"<Code>([A-Za-z]{1,64})</Code>", response.body):
        return f"{_STORAGE_SAYS} {code[1].decode()}."
    return f"{_size_and_type(response)}."


def _size_and_type(response: RawResponse) -> str:
    return f"{len(response.body)} bytes of {quote(response.content_type, 100) or 'unknown type'}"


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object, longest: int = LONGEST_QUOTE) -> str | None:
    return quote(value, longest) if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    return (
        tuple(quote(item) for item in value[:_MOST_DETAILS] if isinstance(item, str)) if isinstance(value, list) else ()
    )
