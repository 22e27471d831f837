"""Model -> bytes: how a row of the table becomes an HTTP request."""

from __future__ import annotations

import functools
import re
from base64 import b64encode
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote, urlencode

import attrs

from ..api.common import are_headers
from ..api.operation import LARGEST_UPO, Operation
from ..api.sessions import SendInvoiceRequest
from ..errors import LocalProtocolError, RemoteProtocolError
from .messages import FileBody, RawRequest
from .wire import WIRE, camel

if TYPE_CHECKING:
    from ..api.batch import PartUploadRequest

__all__ = [
    "CONTINUATION_HEADER",
    "Query",
    "build_link_request",
    "build_request",
    "build_upload_request",
    "with_bearer",
]

Query: TypeAlias = Mapping[str, object] | attrs.AttrsInstance
"""Query parameters: a model, or a mapping by the names of `Operation.query`."""

CONTINUATION_HEADER = "x-continuation-token"

_USER_AGENT = {"User-Agent": "ksef_async"}
# KSeF then answers 400 and 429 as problem details too, as it always does 401, 403 and 410.
_PROBLEM_DETAILS = {"X-Error-Format": "problem-details"}

# Needs no quoting in a path: all of KSeF's numbers are such.
_PLAIN: Final = re.compile(r"[0-9A-Za-z-]+")

# How a body is framed, and to whom it goes, is the transport's business, whatever KSeF says of an upload.
_OURS: Final = frozenset(
    ("connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")
)


def build_request(
    operation: Operation[Any, Any],
    base_url: str,
    *,
    body: object | None = None,
    path: Mapping[str, str] | None = None,
    query: Query | None = None,
    headers: Mapping[str, str] | None = None,
) -> RawRequest:
    """Return the request that calls ``operation``.

    Args:
        operation: The row.
        base_url: Up to and including the version.
        body: An instance of ``operation.request``; an XML document as bytes.
        path: A value for each placeholder of ``operation.path``.
        query: An attrs instance, or a mapping with values ready for the wire; None and empty values are left out.
        headers: Sent besides the usual ones.

    Raises:
        LocalProtocolError: A placeholder without a value, or with an empty one; an unknown query parameter, or a
            time without its zone; a body of the wrong type; a text that cannot be sent.
    """
    if operation.request is None:
        if body is not None:
            raise LocalProtocolError(f"{operation.name} takes no body.")
    elif not isinstance(body, operation.request):
        raise LocalProtocolError(f"{operation.name} takes a {operation.request.__name__}, not {type(body).__name__}.")
    wire_headers = _usual_headers(
        operation.response is bytes, None if operation.request is None else operation.request is bytes
    )
    if headers:
        wire_headers = {**wire_headers, **headers}
    return RawRequest(
        operation=operation.name,
        method=operation.method.value,
        url=base_url + _fill(operation, path or {}) + _query_string(operation, query),
        headers=wire_headers,
        # A signed document goes as it was signed.
        body=_written(operation, body),
        largest_answer=operation.largest_answer,
    )


def with_bearer(request: RawRequest, token: str | None) -> RawRequest:
    """Return ``request`` as it is sent with a JWT; as it is without one."""
    if token is None:
        return request
    # As `attrs.evolve` would make it, in a third of the time.
    return RawRequest(
        operation=request.operation,
        method=request.method,
        url=request.url,
        headers={**request.headers, "Authorization": f"Bearer {token}"},
        body=request.body,
        largest_answer=request.largest_answer,
        into=request.into,
    )


def build_link_request(
    name: str, url: str, *, largest_answer: int = LARGEST_UPO, into: IO[bytes] | None = None
) -> RawRequest:
    """Return the request that follows a signed link: the signature is the only credential, so it has no bearer."""
    return RawRequest(
        operation=name, method="GET", url=url, headers=_USER_AGENT, largest_answer=largest_answer, into=into
    )


def build_upload_request(name: str, link: PartUploadRequest, body: FileBody) -> RawRequest:
    """Return the request that uploads a file: address and headers as KSeF gave them, and no bearer.

    Raises:
        RemoteProtocolError: KSeF asks for another method than PUT, or for a header that cannot be sent.
    """
    if link.method.upper() != "PUT":
        raise RemoteProtocolError(f"{name}: KSeF wants the file by another method than PUT.", operation=name)
    # Also of one that the caller made, or kept: a line break would begin a header, or a request, of somebody else's.
    if not are_headers(link.headers):
        raise RemoteProtocolError(f"{name}: KSeF wants a header that cannot be sent.", operation=name)
    headers = {
        header: value for header, value in link.headers.items() if value is not None and header.lower() not in _OURS
    }
    return RawRequest(operation=name, method="PUT", url=link.url, headers={**_USER_AGENT, **headers}, body=body)


@functools.cache
def _usual_headers(accepts_xml: bool, sends_xml: bool | None) -> Mapping[str, str]:
    headers = {"Accept": "application/xml" if accepts_xml else "application/json", **_PROBLEM_DETAILS, **_USER_AGENT}
    if sends_xml is not None:
        headers["Content-Type"] = "application/xml" if sends_xml else "application/json"
    return MappingProxyType(headers)


def _written(operation: Operation[Any, Any], body: object) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    try:
        return _invoice_json(body) if type(body) is SendInvoiceRequest else WIRE.to_json(body)
    except (TypeError, ValueError):
        problem = "a text or a number that JSON does not take"
    # Raised outside the handler: the error of the writer holds what it could not write.
    raise LocalProtocolError(f"{operation.name}: the body has {problem}.")


def _invoice_json(body: SendInvoiceRequest) -> bytes:
    """Return what `Wire.to_json` would: joined, since the content of an invoice needs no looking through for quotes."""
    corrected = body.hash_of_corrected_invoice
    return b"".join(
        (
            b'{"invoiceHash":"%b","invoiceSize":%d' % (b64encode(body.invoice_hash), body.invoice_size),
            b',"encryptedInvoiceHash":"%b"' % b64encode(body.encrypted_invoice_hash),
            b',"encryptedInvoiceSize":%d,"encryptedInvoiceContent":"' % body.encrypted_invoice_size,
            b64encode(body.encrypted_invoice_content),
            b'","offlineMode":true' if body.offline_mode else b'"',
            b"" if corrected is None else b',"hashOfCorrectedInvoice":"%b"' % b64encode(corrected),
            b"}",
        )
    )


def _fill(operation: Operation[Any, Any], values: Mapping[str, str]) -> str:
    # These would silently name another resource: /sessions//invoices, /sessions/../invoices.
    if unusable := {"", ".", ".."} & set(values.values()):
        raise LocalProtocolError(f"{operation.name}: {unusable.pop()!r} is no value for the path {operation.path}.")
    try:
        return operation.path.format_map(
            {name: value if _PLAIN.fullmatch(value) else quote(value, safe="") for name, value in values.items()}
        )
    except KeyError as error:
        raise LocalProtocolError(f"{operation.name}: no value for {error} in the path {operation.path}.") from None
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can name
        raise LocalProtocolError(f"{operation.name}: a value for the path {operation.path} is no text.") from None


def _query_string(operation: Operation[Any, Any], query: Query | None) -> str:
    if query is None:
        return ""
    items = dict(query) if isinstance(query, Mapping) else attrs.asdict(query, recurse=False)
    if unknown := items.keys() - set(operation.query):
        raise LocalProtocolError(f"{operation.name} has no query parameter {', '.join(sorted(unknown))}.")
    try:
        pairs = [(camel(name), _dump(value)) for name, value in items.items() if value is not None and value != ()]
        return "?" + urlencode(pairs, doseq=True) if pairs else ""
    except ValueError as error:
        raise LocalProtocolError(f"{operation.name}: {error}") from None


def _dump(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else WIRE.dump(value)
