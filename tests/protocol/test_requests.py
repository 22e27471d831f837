from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async import LocalProtocolError, RemoteProtocolError
from ksef_async.api import auth, sessions
from ksef_async.api.batch import PartUploadRequest
from ksef_async.api.keys import EncryptionInfo
from ksef_async.api.operation import Operation
from ksef_async.api.sessions import (
    SEND_INVOICE,
    FormCode,
    OpenOnlineSessionRequest,
    SendInvoiceRequest,
    SessionFilter,
    SessionOutcome,
    SessionType,
)
from ksef_async.protocol.messages import FileBody
from ksef_async.protocol.requests import build_link_request, build_request, build_upload_request, with_bearer
from ksef_async.protocol.wire import WIRE

BASE = "https://ksef.example/v2"
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
OPENING = OpenOnlineSessionRequest(
    FormCode.FA3, EncryptionInfo(encrypted_symmetric_key=b"abc", initialization_vector=b"iv")
)
USUAL = {"Accept": "application/json", "X-Error-Format": "problem-details", "User-Agent": "ksef_async"}
ONLINE = SessionFilter(session_type=SessionType.ONLINE)
FILTER = SessionFilter(
    session_type=SessionType.ONLINE,
    date_created_from=NOON,
    statuses=(SessionOutcome.FAILED, SessionOutcome.CANCELLED),
)


@pytest.mark.parametrize(
    ("operation", "arguments", "sent", "headers"),
    [
        pytest.param(auth.GET_CHALLENGE, {}, "POST /auth/challenge", {}, id="anonymous"),
        pytest.param(
            sessions.GET_INVOICE_UPO,
            {"path": {"reference_number": "S-1", "invoice_reference_number": "a/b?c=ą"}},
            "GET /sessions/S-1/invoices/a%2Fb%3Fc%3D%C4%85/upo",
            {"Accept": "application/xml"},
            id="document; values are quoted into the path",
        ),
        pytest.param(
            sessions.LIST_SESSIONS,
            {"query": FILTER, "headers": {"x-continuation-token": "W3s="}},
            "GET /sessions?sessionType=Online&dateCreatedFrom=2026-07-01T12%3A00%3A00%2B00%3A00"
            "&statuses=Failed&statuses=Cancelled",
            {"x-continuation-token": "W3s="},
            id="query from a model, repeated for several values; continuation",
        ),
        pytest.param(
            sessions.LIST_SESSIONS,
            {"query": {"page_size": 100, "session_type": "Batch", "reference_number": None, "statuses": ()}},
            "GET /sessions?pageSize=100&sessionType=Batch",
            {},
            id="query from a mapping, empty values left out",
        ),
        pytest.param(
            sessions.LIST_SESSIONS, {"query": {"reference_number": None}}, "GET /sessions", {}, id="nothing to ask"
        ),
        pytest.param(
            sessions.OPEN_ONLINE_SESSION,
            {"body": OPENING, "headers": {"X-KSeF-Feature": "f"}},
            "POST /sessions/online",
            {"X-KSeF-Feature": "f", "Content-Type": "application/json"},
            id="body",
        ),
    ],
)
def test_request_is_built_from_the_row(
    operation: Operation[Any, Any], arguments: dict[str, Any], sent: str, headers: dict[str, str]
) -> None:
    request = build_request(operation, BASE, **arguments)

    assert f"{request.method} {request.url}" == sent.replace("/", f"{BASE}/", 1)
    assert request.headers == {**USUAL, **headers}
    assert request.operation == operation.name
    assert (request.body is None) == ("body" not in arguments)


def test_body_is_the_models_json() -> None:
    request = build_request(sessions.OPEN_ONLINE_SESSION, BASE, body=OPENING)

    assert isinstance(request.body, bytes)
    assert orjson.loads(request.body)["encryption"] == {"encryptedSymmetricKey": "YWJj", "initializationVector": "aXY="}


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        (auth.GET_CHALLENGE, {"body": OPENING}, "get_challenge takes no body"),
        (sessions.OPEN_ONLINE_SESSION, {}, "takes a OpenOnlineSessionRequest, not NoneType"),
        (sessions.OPEN_ONLINE_SESSION, {"body": ONLINE}, "takes a OpenOnlineSessionRequest, not SessionFilter"),
        (sessions.GET_SESSION_STATUS, {}, "no value for 'reference_number'"),
        (sessions.GET_SESSION_STATUS, {"path": {"reference_number": ""}}, "'' is no value"),
        (sessions.GET_SESSION_STATUS, {"path": {"reference_number": ".."}}, r"'\.\.' is no value"),
        (sessions.LIST_SESSIONS, {"query": {"sort": "asc", "page": 2}}, "no query parameter page, sort"),
        (sessions.GET_SESSION_STATUS, {"path": {"reference_number": "r"}, "query": ONLINE}, "no query parameter"),
        (sessions.LIST_SESSIONS, {"query": {"date_created_to": NOON.replace(tzinfo=None)}}, "no time zone"),
    ],
)
def test_request_that_does_not_fit_the_row_is_refused(
    operation: Operation[Any, Any], arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(LocalProtocolError, match=said):
        build_request(operation, BASE, **arguments)


def test_bearer_is_added_without_touching_the_request() -> None:
    request = build_request(auth.REDEEM_TOKENS, BASE)

    assert with_bearer(request, "jwt").headers == {**request.headers, "Authorization": "Bearer jwt"}
    assert with_bearer(request, None) is request
    assert "Authorization" not in request.headers


def test_signed_link_is_followed_verbatim_and_without_a_bearer() -> None:
    link = "https://ksef.example/storage/01/x.xml?sv=2025&sig=%2Ba%3D"

    request = build_link_request("UPO page", link)

    assert (request.method, request.url, request.body) == ("GET", link, None)
    assert request.headers == {"User-Agent": "ksef_async"}


def upload(method: str = "PUT", headers: dict[str, str | None] | None = None) -> PartUploadRequest:
    return PartUploadRequest(ordinal_number=1, method=method, url=f"{BASE}/part?sig=s", headers=headers or {})


FILE = FileBody(path=Path("part.enc"), size=1)


def test_upload_goes_as_ksef_says_but_for_what_frames_it() -> None:
    told = {"x-ms-blob-type": "BlockBlob", "x-none": None, "Content-Length": "7", "transfer-encoding": "x", "HOST": "h"}

    request = build_upload_request("upload_part", upload("put", told), FILE)

    assert (request.method, request.url, request.body) == ("PUT", f"{BASE}/part?sig=s", FILE)
    assert request.headers == {"User-Agent": "ksef_async", "x-ms-blob-type": "BlockBlob"}


@pytest.mark.parametrize(
    "link",
    [
        upload("GET"),
        upload("PUT / HTTP/1.1\r\nX: y"),
        upload(""),
        upload(headers={"x": "a\r\nb: c"}),
        upload(headers={"x": "a\0"}),
        upload(headers={"x\n": "a"}),
        upload(headers={"": "a"}),
        upload(headers={"ż": "a"}),
        upload(headers={"x": "\ud800"}),
    ],
)
def test_upload_that_cannot_be_made_as_ksef_says_is_told(link: PartUploadRequest) -> None:
    with pytest.raises(RemoteProtocolError, match="upload_part: KSeF wants") as caught:
        build_upload_request("upload_part", link, FILE)

    assert "sig=" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"operation": sessions.GET_SESSION_STATUS, "path": {"reference_number": "\ud800"}},
        {"operation": sessions.LIST_SESSIONS, "query": {"reference_number": "\ud800"}},
        {
            "operation": sessions.OPEN_ONLINE_SESSION,
            "body": OpenOnlineSessionRequest(
                FormCode.FA3,
                EncryptionInfo(encrypted_symmetric_key=b"k", initialization_vector=b"iv", public_key_id="\ud800"),
            ),
        },
    ],
)
def test_half_a_character_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        build_request(base_url=BASE, **arguments)


@given(
    content=st.binary(max_size=100),
    digest=st.binary(max_size=32),
    size=st.integers(min_value=0, max_value=10**7),
    offline=st.booleans(),
    corrected=st.none() | st.binary(max_size=32),
)
def test_invoice_is_written_as_every_other_body_is(
    content: bytes, digest: bytes, size: int, offline: bool, corrected: bytes | None
) -> None:
    body = SendInvoiceRequest(
        invoice_hash=digest,
        invoice_size=size,
        encrypted_invoice_hash=digest[::-1],
        encrypted_invoice_size=len(content),
        encrypted_invoice_content=content,
        offline_mode=offline,
        hash_of_corrected_invoice=corrected,
    )

    request = build_request(SEND_INVOICE, BASE, body=body, path={"reference_number": "1"})

    assert request.body == WIRE.to_json(body)


def test_invoice_with_a_hash_that_is_no_bytes_is_refused_before_it_is_sent() -> None:
    body = SendInvoiceRequest(
        invoice_hash="no bytes",  # type: ignore[arg-type]
        invoice_size=1,
        encrypted_invoice_hash=b"",
        encrypted_invoice_size=16,
        encrypted_invoice_content=b"",
    )

    with pytest.raises(LocalProtocolError, match="does not take"):
        build_request(SEND_INVOICE, BASE, body=body, path={"reference_number": "1"})
