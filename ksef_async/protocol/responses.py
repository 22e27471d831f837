"""Bytes -> model, or the right error: whatever arrives, never a parser's traceback.

KSeF's error formats (protocol: error bodies): ``application/problem+json``; the legacy ``exception`` object; the
``status`` object of a legacy 429; an empty body; HTML from a gateway (502) or a firewall (even with status 200);
XML from the storage behind signed links.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

import orjson

from ..errors import (
    ApiError,
    BadRequestError,
    ForbiddenError,
    GoneError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    UnauthorizedError,
)
from ..operations import Operation
from .messages import RawResponse
from .wire import WIRE, UnreadableJsonError, WireError

__all__ = ["decipher_error", "decipher_link_response", "decipher_response", "decipher_upload_response"]

ResponseT = TypeVar("ResponseT")

_ERRORS: Final[Mapping[int, type[ApiError]]] = {400: BadRequestError, 401: UnauthorizedError, 410: GoneError}
_ADVICE: Final[Mapping[type[ApiError], str]] = {
    UnauthorizedError: "The bearer token is missing, expired or revoked.",
    RateLimitedError: "Wait before the next call of this kind.",
    ServerError: "KSeF or a gateway before it failed; the call may or may not have taken effect.",
}


def decipher_response(operation: Operation[Any, ResponseT], response: RawResponse) -> ResponseT:
    """What KSeF answered.

    Raises:
        ApiError: KSeF, or a gateway before it, said no.
        RemoteProtocolError: The answer does not fit the specification; ``path`` names the field.
    """
    if response.status != operation.success or _is_html(response):
        raise decipher_error(operation.name, response)
    if operation.response is None:
        return cast("ResponseT", None)
    if operation.response is bytes:
        return cast("ResponseT", _check_hash(operation.name, response))
    try:
        return WIRE.from_json(response.body, operation.response)
    except WireError as error:
        raise RemoteProtocolError(
            f"{operation.name}: KSeF's answer does not fit its specification: {error}.",
            operation=operation.name,
            path=error.path,
            maybe_delivered=True,
        ) from error
    except UnreadableJsonError as error:
        raise RemoteProtocolError(
            f"{operation.name}: KSeF's answer is not JSON ({len(response.body)} bytes of "
            f"{response.content_type or 'unknown type'}).",
            operation=operation.name,
            maybe_delivered=True,
        ) from error


def decipher_link_response(name: str, response: RawResponse) -> bytes:
    """The document behind a signed link.

    Raises:
        ApiError: The storage said no; 403 means the link has expired.
        RemoteProtocolError: The bytes are not those KSeF vouches for, or it does not vouch for them.
    """
    if response.status != 200 or _is_html(response):
        raise decipher_error(name, response)
    return _check_hash(name, response, required=True)


def decipher_upload_response(name: str, response: RawResponse) -> None:
    """Nothing, when the storage has taken the file in.

    Raises:
        ApiError: The storage said no; 403 means the link has expired. A `ServerError` is anything that may go better
            the next time, such as a firewall's page, or any success but 201: a file has been lost after a 200.
    """
    if response.status == 201 and not _is_html(response):
        return
    if response.status < 300 and not _is_html(response):
        raise ServerError(
            f"{name}: HTTP {response.status} in place of 201, which alone means that the file is in.",
            operation=name,
            http_status=response.status,
        )
    raise decipher_error(name, response)


def decipher_error(name: str, response: RawResponse) -> ApiError:
    """The error that an unsuccessful answer stands for; ``name`` is the operation's."""
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
    said = " ".join(filter(None, [description, "; ".join(details)])) or _describe_body(response)
    message = f"{', '.join(headline)}: {said}"
    if advice := _ADVICE.get(cls):
        message += f" {advice}"
    if trace_id:
        message += f" [trace {trace_id}]"
    if cls is ForbiddenError:
        security = body.get("security")
        return ForbiddenError(
            message,
            reason=_text(body.get("reasonCode")),
            security=security if isinstance(security, dict) else None,
            **common,
        )
    if cls is RateLimitedError:
        return RateLimitedError(message, retry_after=_retry_after(response), **common)
    return cls(message, **common)


def _error_class(response: RawResponse) -> type[ApiError]:
    # A page in place of an answer comes from a gateway or firewall, whatever its status says.
    if response.status >= 500 or (_is_html(response) and response.status < 300):
        return ServerError
    if response.status == 403:
        return ForbiddenError
    if response.status == 429:
        return RateLimitedError
    return _ERRORS.get(response.status, ApiError)


def _is_html(response: RawResponse) -> bool:
    return response.content_type == "text/html" or response.body[:64].lstrip().lower().startswith(
        (b"<!doctype html", b"<html")
    )


def _check_hash(name: str, response: RawResponse, *, required: bool = False) -> bytes:
    declared = response.headers.get("x-ms-meta-hash")
    if declared is None and not required:
        return response.body
    actual = b64encode(hashlib.sha256(response.body).digest()).decode("ascii")
    if declared != actual:
        problem = "without its SHA-256" if declared is None else f"whose SHA-256 is {actual}, not {declared}"
        raise RemoteProtocolError(
            f"{name}: KSeF sent a document of {len(response.body)} bytes {problem}; it must not be trusted.",
            operation=name,
            path="x-ms-meta-hash",
        )
    return response.body


def _json_object(response: RawResponse) -> dict[str, Any]:
    try:
        body = orjson.loads(response.body)
    except orjson.JSONDecodeError:
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
    if trace_id := _text(body.get("traceId")):
        return trace_id
    # The legacy format has a W3C traceparent instead: 00-<32 hex>-<16 hex>-00.
    service_code = _text(_dict(body.get("exception")).get("serviceCode")) or ""
    match = re.search(r"[0-9a-f]{32}", service_code)
    return match[0] if match else service_code or None


def _retry_after(response: RawResponse) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    return float(value) if value.isascii() and value.isdigit() else None


def _describe_body(response: RawResponse) -> str:
    if not response.body:
        return "empty answer."
    if _is_html(response):
        return "an HTML page instead of an answer."
    if code := re.search(rb"<Code>([A-Za-z]{1,64})</Code>", response.body):
        return f"the storage says {code[1].decode()}."
    return f"{len(response.body)} bytes of {response.content_type or 'unknown type'}."


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
