from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ksef_async import (
    ApiError,
    BadRequestError,
    ForbiddenError,
    GoneError,
    KsefError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    UnauthorizedError,
)
from ksef_async.api import auth, sessions
from ksef_async.api.operation import Operation
from ksef_async.api.sessions import SendInvoiceResponse
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.messages import RawResponse
from ksef_async.protocol.responses import (
    LONGEST_LOCKOUT,
    decipher_link_response,
    decipher_response,
    decipher_upload_response,
)

TRACE = "5f2c7b1e9a0d4c3f8b6a5e4d3c2b1a09"
PROBLEM = "application/problem+json; charset=utf-8"
LIMIT = "Przekroczono limit 20 żądań na minutę. Spróbuj ponownie po 30 sekundach."
HTML = b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"


def answer(
    status: int, body: object = b"", content_type: str | None = "application/json", **headers: str
) -> RawResponse:
    if content_type:
        headers["content-type"] = content_type
    return RawResponse(
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=body if isinstance(body, bytes) else orjson.dumps(body),
    )


def problem(status: int, **more: object) -> RawResponse:
    body = {"title": "T", "status": status, "detail": "D.", "traceId": TRACE, **more}
    return answer(status, body, PROBLEM)


def legacy(
    status: int, code: int, description: str, *details: str, service_code: str = f"00-{TRACE}-0123456789abcdef-00"
) -> RawResponse:
    entry = {"exceptionCode": code, "exceptionDescription": description, "details": list(details)}
    exception = {"exceptionDetailList": [entry], "serviceCode": service_code, "referenceNumber": None}
    return answer(status, {"exception": exception})


@pytest.mark.parametrize(
    ("response", "cls", "expected", "said"),
    [
        pytest.param(
            legacy(400, 21405, "Błąd walidacji.", "'a' must not be empty.", "'b' too."),
            BadRequestError,
            {"code": 21405, "details": ("'a' must not be empty.", "'b' too."), "trace_id": TRACE},
            f"HTTP 400, code 21405: Błąd walidacji. 'a' must not be empty.; 'b' too. [trace {TRACE}]",
            id="400 legacy",
        ),
        pytest.param(
            problem(400, errors=[{"code": 21180, "description": "Status sesji.", "details": ["(415)"]}, {"code": 1}]),
            BadRequestError,
            {"code": 21180, "details": ("(415)",), "trace_id": TRACE},
            "HTTP 400, code 21180: Status sesji. (415)",
            id="400 problem",
        ),
        pytest.param(
            problem(400, errors=[{"code": 21001, "description": "Nieczytelna treść.", "details": None}]),
            BadRequestError,
            {"code": 21001, "details": ()},
            "code 21001: Nieczytelna treść.",
            id="400 problem without details",
        ),
        pytest.param(problem(401), UnauthorizedError, {"code": None, "trace_id": TRACE}, "HTTP 401: D.", id="401"),
        pytest.param(
            answer(401, content_type=None),
            UnauthorizedError,
            {"code": None, "details": (), "trace_id": None},
            "HTTP 401: empty answer. The bearer token is missing, expired or revoked.",
            id="401 empty",
        ),
        pytest.param(
            problem(403, reasonCode="missing-permissions", security={"requiredAnyOfPermissions": ["InvoiceWrite"]}),
            ForbiddenError,
            {"reason": "missing-permissions", "security": {"requiredAnyOfPermissions": ["InvoiceWrite"]}},
            "HTTP 403: D.",
            id="403 with reason and security",
        ),
        pytest.param(
            problem(403, reasonCode=None, security=None),
            ForbiddenError,
            {"reason": None, "security": {}},
            "HTTP 403: D.",
            id="403 with null reason",
        ),
        pytest.param(
            answer(403, b"<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>", "application/xml"),
            ForbiddenError,
            {"reason": None, "details": ()},
            "the storage says AuthenticationFailed.",
            id="403 xml of the storage",
        ),
        pytest.param(
            answer(404, content_type=None), ApiError, {"http_status": 404}, "404: empty answer.", id="404 empty"
        ),
        pytest.param(problem(410), GoneError, {"trace_id": TRACE}, "HTTP 410: D.", id="410"),
        pytest.param(
            answer(
                429,
                {"status": {"code": 429, "description": "Too Many Requests", "details": [LIMIT]}},
                retry_after="30",
            ),
            RateLimitedError,
            {"retry_after": 30.0, "details": (LIMIT,), "code": None},
            f"HTTP 429: Too Many Requests {LIMIT}",
            id="429 legacy",
        ),
        pytest.param(
            answer(429, {"title": "Too Many Requests", "detail": LIMIT, "traceId": TRACE}, PROBLEM, retry_after="2680"),
            RateLimitedError,
            {"retry_after": 2680.0, "trace_id": TRACE},
            LIMIT,
            id="429 problem",
        ),
        pytest.param(problem(429), RateLimitedError, {"retry_after": None}, "HTTP 429", id="429 without Retry-After"),
        pytest.param(
            answer(429, retry_after="Wed, 01 Jul 2026 12:00:00 GMT"),
            RateLimitedError,
            {"retry_after": None},
            "HTTP 429: empty answer.",
            id="429 with a date",
        ),
        pytest.param(
            answer(429, retry_after="²"),
            RateLimitedError,
            {"retry_after": None},
            "HTTP 429",
            id="429 with a strange digit",
        ),
        pytest.param(
            legacy(500, 500, "Wystąpił nieoczekiwany błąd."),
            ServerError,
            {"code": 500, "trace_id": TRACE},
            "HTTP 500, code 500: Wystąpił nieoczekiwany błąd. KSeF or a gateway before it failed",
            id="500 legacy",
        ),
        pytest.param(
            answer(502, HTML, "text/html"),
            ServerError,
            {"http_status": 502, "code": None},
            "HTTP 502: an HTML page instead of an answer.",
            id="502 html",
        ),
        pytest.param(
            answer(202, HTML, "text/html; charset=utf-8"),
            ServerError,
            {"http_status": 202},
            "HTTP 202: an HTML page instead of an answer.",
            id="html of a firewall in place of success",
        ),
        pytest.param(
            answer(202, b"\n <HTML><script>", None),
            ServerError,
            {"http_status": 202},
            "HTML page",
            id="html not declared",
        ),
        pytest.param(answer(307, content_type=None), ServerError, {"http_status": 307}, "HTTP 307", id="redirect"),
        pytest.param(answer(302, HTML, "text/html"), ServerError, {"http_status": 302}, "HTML", id="redirect page"),
        pytest.param(answer(101, content_type=None), ServerError, {"http_status": 101}, "HTTP 101", id="below 200"),
        pytest.param(answer(999, content_type=None), ServerError, {"http_status": 999}, "HTTP 999", id="beyond 599"),
        pytest.param(answer(408, content_type=None), ServerError, {"http_status": 408}, "HTTP 408", id="408"),
        *[
            pytest.param(
                answer(status, HTML, "text/html"), ServerError, {"http_status": status}, "HTML", id=f"{status} page"
            )
            for status in (400, 401, 403, 404, 405, 410)
        ],
        *[
            pytest.param(
                answer(status, body, kind), ApiError, {"maybe_delivered": False}, problem, id=f"{status} {name}"
            )
            for status, problem in ((413, "takes no body"), (414, "takes no address"), (431, "takes no headers"))
            for name, body, kind in (("page", HTML, "text/html"), ("empty", b"", None))
        ],
        pytest.param(
            answer(413, b"<Error><Code>RequestBodyTooLarge</Code></Error>", "application/xml"),
            ApiError,
            {},
            "the storage says RequestBodyTooLarge.",
            id="413 of the storage",
        ),
        pytest.param(answer(429, HTML, "text/html"), RateLimitedError, {"retry_after": None}, "HTML", id="429 page"),
        pytest.param(
            answer(401, b"", "text/html"), UnauthorizedError, {}, "empty answer", id="401 empty, said to be html"
        ),
        pytest.param(
            answer(400, b"\x00\xff garbage"),
            BadRequestError,
            {"code": None},
            "10 bytes of application/json.",
            id="garbage",
        ),
        pytest.param(
            answer(400, {"exception": {"exceptionDetailList": [7], "serviceCode": 5}, "errors": "x", "detail": 1}),
            BadRequestError,
            {"code": None, "details": (), "trace_id": None},
            "HTTP 400",
            id="right names with wrong types",
        ),
        pytest.param(
            legacy(400, 21405, "d", service_code="svc-7"),
            BadRequestError,
            {"trace_id": "svc-7"},
            "svc-7",
            id="odd trace",
        ),
        pytest.param(answer(400, [1, 2]), BadRequestError, {"code": None}, "5 bytes of application/json.", id="a list"),
        pytest.param(
            problem(400, errors=[], exception={"exceptionDetailList": []}),
            BadRequestError,
            {"code": None, "details": ()},
            "HTTP 400: D.",
            id="400 with empty lists of errors",
        ),
        pytest.param(
            answer(400, {"title": "Only a title", "detail": ""}, PROBLEM),
            BadRequestError,
            {"code": None},
            "HTTP 400: Only a title",
            id="400 with a title only",
        ),
        pytest.param(
            problem(400, errors=[{"code": 21405, "description": "B.", "details": ["a", 7, None, "b"]}]),
            BadRequestError,
            {"code": 21405, "details": ("a", "b")},
            "B. a; b",
            id="400 with details that are no text",
        ),
        pytest.param(
            answer(400, b" " * 70 + b"<html>", None), BadRequestError, {}, "76 bytes of unknown type", id="blank start"
        ),
        pytest.param(
            answer(300, content_type=None), ServerError, {"http_status": 300}, "HTTP 300", id="just above 2xx"
        ),
        pytest.param(
            answer(199, content_type=None), ServerError, {"http_status": 199}, "HTTP 199", id="just below 2xx"
        ),
        pytest.param(answer(499, content_type=None), ApiError, {"http_status": 499}, "HTTP 499", id="last of KSeF's"),
    ],
)
def test_error_answer_becomes_the_right_error(
    response: RawResponse, cls: type[ApiError], expected: dict[str, object], said: str
) -> None:
    with pytest.raises(ApiError) as caught:
        decipher_response(sessions.SEND_INVOICE, response)

    error = caught.value
    assert type(error) is cls
    assert (error.operation, error.http_status) == ("send_invoice", response.status)
    assert {name: getattr(error, name) for name in expected} == expected
    assert str(error).startswith("send_invoice: HTTP ")
    assert said in str(error)


@pytest.mark.parametrize(
    ("response", "cls"),
    [
        pytest.param(answer(201, content_type=None), None, id="201"),
        pytest.param(answer(200, content_type=None), ServerError, id="200, after which a file was lost"),
        pytest.param(answer(202, content_type=None), ServerError, id="202"),
        pytest.param(answer(204, content_type=None), ServerError, id="204"),
        pytest.param(answer(201, HTML, "text/html"), ServerError, id="a firewall's page with 201"),
        pytest.param(answer(307, content_type=None), ServerError, id="redirect"),
        pytest.param(answer(403, content_type=None), ForbiddenError, id="403"),
        pytest.param(answer(409, content_type=None), ApiError, id="409"),
        pytest.param(answer(503, content_type=None), ServerError, id="503"),
    ],
)
def test_file_is_in_after_201_only(response: RawResponse, cls: type[ApiError] | None) -> None:
    if cls is None:
        decipher_upload_response("upload_part", response)
        return
    with pytest.raises(ApiError) as caught:
        decipher_upload_response("upload_part", response)
    assert type(caught.value) is cls
    assert (caught.value.operation, caught.value.http_status) == ("upload_part", response.status)


DOCUMENT = "<UPO>ą</UPO>".encode()
HASH = b64encode(hashlib.sha256(DOCUMENT).digest()).decode()


def test_success_becomes_the_rows_model() -> None:
    for status in (200, 201, 202, 204, 206, 299):
        json = answer(status, {"referenceNumber": "r", "novelty": 1})
        assert decipher_response(sessions.SEND_INVOICE, json) == SendInvoiceResponse("r")
        for nothing in (
            answer(status, content_type=None),
            answer(status, b" \n", "text/html"),
            answer(status, {"novelty": 1}),
            answer(status, b"null"),
        ):
            decipher_response(sessions.CLOSE_ONLINE_SESSION, nothing)
        vouched = answer(status, DOCUMENT, "application/xml", x_ms_meta_hash=HASH)
        assert decipher_link_response("UPO page", vouched) == DOCUMENT
    for headers in ({}, {"x_ms_meta_hash": HASH}):
        document = answer(200, DOCUMENT, "application/xml", **headers)
        assert decipher_response(sessions.GET_INVOICE_UPO, document) == DOCUMENT
    assert decipher_link_response("UPO page", answer(200, DOCUMENT, "application/xml", x_ms_meta_hash=HASH)) == DOCUMENT


@pytest.mark.parametrize(
    ("response", "path", "said"),
    [
        (answer(202, {"referenceNumber": 7}), "$.referenceNumber", "does not fit its specification"),
        (answer(202, {}), "$.referenceNumber", "required field missing"),
        (answer(202, []), "$", "does not fit its specification"),
        (answer(202, b""), None, "not JSON (0 bytes of application/json)"),
        (answer(202, b"\xff", None), None, "not JSON (1 bytes of unknown type)"),
        (answer(202, b'{"referenceNumber": "2026', None), None, "not JSON"),
    ],
)
def test_success_that_breaks_the_specification_is_told_with_its_path(
    response: RawResponse, path: str | None, said: str
) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decipher_response(sessions.SEND_INVOICE, response)

    assert (caught.value.operation, caught.value.path) == ("send_invoice", path)
    assert said in str(caught.value)
    assert caught.value.maybe_delivered
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(problem(204), id="problem details"),
        pytest.param(legacy(200, 21180, "Status sesji."), id="legacy exception"),
        pytest.param(answer(200, {"errors": [{"code": 21180}]}), id="errors"),
        pytest.param(answer(200, b"<!-- proxy --><div>"), id="neither JSON nor empty"),
        pytest.param(answer(200, b'{"cut'), id="truncated"),
    ],
)
def test_success_without_a_document_that_tells_of_a_failure_is_a_lost_answer(response: RawResponse) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decipher_response(sessions.CLOSE_ONLINE_SESSION, response)

    assert caught.value.maybe_delivered


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry_after": "30"}, 30.0),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "2680"}, 2680.0),
        ({"retry_after": "99999999"}, LONGEST_LOCKOUT),
        ({"retry_after": "9" * 5000}, LONGEST_LOCKOUT),
        ({"retry_after": "-5"}, None),
        ({"retry_after": "1.5"}, None),
        ({"retry_after": "٣٠"}, None),
        ({"retry_after": "Fri, 27 Nov 2026 20:00:30 GMT", "date": "Fri, 27 Nov 2026 20:00:00 GMT"}, 30.0),
        ({"retry_after": "Fri, 27 Nov 2026 19:00:00 GMT", "date": "Fri, 27 Nov 2026 20:00:00 GMT"}, 0.0),
        ({"retry_after": "Fri, 27 Nov 2096 20:00:00 GMT", "date": "Fri, 27 Nov 2026 20:00:00 GMT"}, LONGEST_LOCKOUT),
        ({"retry_after": "Fri, 27 Nov 99999999999 20:00:00 GMT", "date": "Fri, 27 Nov 2026 20:00:00 GMT"}, None),
        ({"retry_after": "Fri, 27 Nov 2026 20:00:30 GMT"}, None),
    ],
)
def test_retry_after_is_read_and_bounded(headers: dict[str, str], expected: float | None) -> None:
    with pytest.raises(RateLimitedError) as caught:
        decipher_response(sessions.SEND_INVOICE, answer(429, {}, **headers))

    assert caught.value.retry_after == expected


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJ0eXAiOiJDb250ZXh0VG9rZW4ifQ.c2lnbmF0dXJl"
LINK = "https://ksef.example/storage/01/upo.xml?sv=2024&sig=abcdefghijklmnop"
TOKEN = f"20260701-EC-1234567890-ABCDEF1234-0A|nip-1111111111|{'ab' * 32}"


@pytest.mark.parametrize("status", [400, 401, 403, 410, 429, 500])
def test_what_ksef_says_is_quoted_without_secrets_control_characters_and_end(status: int) -> None:
    text = f"za\nd\x1b[31mużo\u202e: {JWT} {LINK} {TOKEN} Bearer {JWT} " + "x" * 100_000
    body = {
        "traceId": text,
        "reasonCode": text,
        "security": {text: [text, {"a": {"b": {"c": text}}}]},
        "errors": [{"code": 1, "description": text, "details": [text] * 200}],
    }

    with pytest.raises(ApiError) as caught:
        decipher_response(sessions.SEND_INVOICE, answer(status, body, PROBLEM, retry_after=text))

    error = caught.value
    told = f"{error} {error!r} {vars(error)}"
    assert "abcdefghijklmnop" not in told
    assert "eyJ" not in told
    assert "abab" not in told
    assert str(error).isprintable()
    assert len(str(error)) < 15_000
    assert len(error.details) == 100
    assert all(len(detail) == 1000 and detail.isprintable() for detail in error.details)


def test_a_secret_in_the_place_of_another_value_is_not_told() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decipher_response(auth.GET_CHALLENGE, answer(200, {"challenge": "c", "timestamp": JWT, "timestampMs": JWT}))

    assert "eyJ" not in f"{caught.value} {vars(caught.value)}"


@pytest.mark.parametrize(
    ("response", "cls", "said"),
    [
        (answer(200, DOCUMENT, "application/xml"), RemoteProtocolError, "without its SHA-256"),
        (answer(200, DOCUMENT + b" ", "application/xml", x_ms_meta_hash=HASH), RemoteProtocolError, f"not {HASH}"),
        (answer(200, HTML, "text/html", x_ms_meta_hash=HASH), ServerError, "an HTML page instead"),
        (answer(403, b"<Error/>", "application/xml"), ForbiddenError, "UPO page: HTTP 403: 8 bytes of application/xml"),
        (answer(404, content_type=None), ApiError, "UPO page: HTTP 404"),
        (answer(206, DOCUMENT, "application/xml"), RemoteProtocolError, "without its SHA-256"),
    ],
)
def test_document_that_is_not_vouched_for_is_not_trusted(
    response: RawResponse, cls: type[KsefError], said: str
) -> None:
    with pytest.raises(cls, match=r"UPO page") as caught:
        decipher_link_response("UPO page", response)

    assert said in str(caught.value)


def test_wrong_hash_is_refused_from_the_api_too() -> None:
    with pytest.raises(RemoteProtocolError, match="must not be trusted"):
        decipher_response(sessions.GET_INVOICE_UPO, answer(200, DOCUMENT + b" ", x_ms_meta_hash=HASH))


JSON_BODIES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["exception", "exceptionDetailList", "exceptionCode", "serviceCode", "errors", "code"])
            | st.sampled_from(["details", "description", "status", "detail", "title", "traceId", "reasonCode"])
            | st.sampled_from(["security", "referenceNumber", "validUntil", "invoices", "pages"]),
            inner,
        )
    ),
    max_leaves=10,
).map(orjson.dumps)


@settings(deadline=None, max_examples=300)
@given(
    operation=st.sampled_from(OPERATIONS),
    status=st.sampled_from([200, 201, 202, 204, 400, 401, 403, 404, 410, 429, 500, 503]) | st.integers(100, 999),
    headers=st.fixed_dictionaries(
        {},
        optional={
            "content-type": st.sampled_from(["application/json", PROBLEM, "text/html", "application/xml"]) | st.text(),
            "retry-after": st.integers().map(str) | st.text(),
            "x-ms-meta-hash": st.text(),
        },
    ),
    body=st.binary() | JSON_BODIES,
)
def test_whatever_arrives_is_a_model_or_one_of_our_errors(
    operation: Operation[Any, Any], status: int, headers: dict[str, str], body: bytes
) -> None:
    response = RawResponse(status=status, headers=headers, body=body)

    for decipher in (
        lambda: decipher_response(operation, response),
        lambda: decipher_link_response("link", response),
    ):
        try:
            decipher()
        except KsefError as error:
            assert str(error)  # noqa: PT017 - a foreign error must reach pytest
