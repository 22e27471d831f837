from __future__ import annotations

import json
import re
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from sandbox.wire import START, OpenedSession, Tokens, Wire, base64, connected

from ksef_async.api.rates import PRODUCTION_LIMITS

PROBLEM = {"X-Error-Format": "problem-details"}
SESSIONS = "/sessions?sessionType=Online"
UNKNOWN = "20250625-SO-2C3E6C8000-B675CF5D68-07"
KSEF_NUMBER = "5265877635-20250826-0100001AF629-AF"


def key_of_any_case(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.upper(): key_of_any_case(item) for name, item in value.items()}
    return value


# --- errors in two formats --------------------------------------------------------------------------------


async def test_error_has_the_legacy_format_unless_asked_otherwise(wire: Wire, tokens: Tokens) -> None:
    answer = await wire.call("GET", f"/sessions/{UNKNOWN}", tokens.access)

    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (400, "application/json")
    assert set(answer.json) == {"exception"}
    exception = answer.json["exception"]
    assert exception["exceptionDetailList"] == [
        {
            "exceptionCode": 21173,
            "exceptionDescription": "Brak sesji o wskazanym numerze referencyjnym.",
            "details": [f"Sesja o numerze referencyjnym {UNKNOWN} nie została znaleziona."],
        }
    ]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", exception["serviceCode"])
    assert exception["timestamp"].endswith("Z")
    assert datetime.fromisoformat(exception["timestamp"]) == START + timedelta(seconds=1)


@pytest.mark.parametrize("prefix", ["/v2", "/api/v2"])
async def test_error_has_problem_details_when_asked_for(wire: Wire, tokens: Tokens, prefix: str) -> None:
    url = wire.sandbox.environment.base_url.removesuffix("/v2") + prefix

    answer = await wire.call("GET", f"{url}/sessions/{UNKNOWN}", tokens.access, headers=PROBLEM)

    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (400, "application/problem+json")
    body = answer.json
    assert re.fullmatch(r"[0-9a-f]{32}", body.pop("traceId"))
    assert datetime.fromisoformat(body["timestamp"]) == START + timedelta(seconds=1)
    assert body.pop("timestamp").endswith("+00:00")
    assert body == {
        "title": "Bad Request",
        "status": 400,
        "instance": f"{prefix}/sessions/{UNKNOWN}",
        "detail": "Żądanie jest nieprawidłowe.",
        "errors": [
            {
                "code": 21173,
                "description": "Brak sesji o wskazanym numerze referencyjnym.",
                "details": [f"Sesja o numerze referencyjnym {UNKNOWN} nie została znaleziona."],
            }
        ],
    }


@pytest.mark.parametrize("headers", [{}, PROBLEM], ids=["legacy", "problem"])
async def test_failed_validations_are_told_together(
    wire: Wire, session: OpenedSession, headers: dict[str, str]
) -> None:
    request = {
        "invoiceHash": "c2hvcnQ=",
        "invoiceSize": 0,
        "encryptedInvoiceHash": "c2hvcnQ=",
        "encryptedInvoiceSize": 1,
        "encryptedInvoiceContent": "AA==",
    }
    path = f"/sessions/online/{session.reference_number}/invoices"

    answer = await wire.call("POST", path, session.access, json=request, headers=headers)

    if headers:
        (entry,) = answer.json["errors"]
        code = entry["code"]
    else:
        (entry,) = answer.json["exception"]["exceptionDetailList"]
        code = entry["exceptionCode"]
    assert (answer.status, code, len(entry["details"])) == (400, 21405, 3)


# --- who is calling ---------------------------------------------------------------------------------------


def tampered(tokens: Tokens) -> str:
    head, payload, signature = tokens.access.split(".")
    return f"{head}.{payload}.{signature[::-1]}"


def unsigned(tokens: Tokens) -> str:
    head = urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    return f"{head}.{tokens.access.split('.')[1]}."


def assert_unauthorized(answer: Any, path: str) -> None:
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (401, "application/problem+json")
    assert {"traceId", "timestamp"} <= set(answer.json)
    assert (answer.json["title"], answer.json["status"]) == ("Unauthorized", 401)
    assert (answer.json["detail"], answer.json["instance"]) == ("Wymagane jest uwierzytelnienie.", f"/v2{path}")


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(lambda _: None, id="none"),
        pytest.param(lambda tokens: f"Basic {tokens.access}", id="another scheme"),
        pytest.param(lambda _: "Bearer", id="no token"),
        pytest.param(lambda _: "Bearer x.y.z", id="no JWT"),
        pytest.param(lambda _: "Bearer zażółć.gęślą.jaźń", id="not ASCII"),
        pytest.param(lambda tokens: f"Bearer {tampered(tokens)}", id="bad signature"),
        pytest.param(lambda tokens: f"Bearer {unsigned(tokens)}", id="no signature"),
    ],
)
async def test_call_without_a_good_token_is_unauthorized(wire: Wire, tokens: Tokens, authorization: Any) -> None:
    header = authorization(tokens)

    answer = await wire.call("GET", "/sessions", headers={"Authorization": header} if header else {})

    assert_unauthorized(answer, "/sessions")


async def test_token_of_another_sandbox_is_unauthorized(wire: Wire) -> None:
    async with connected() as other:
        tokens = await other.tokens()

    assert_unauthorized(await wire.call("GET", "/sessions", tokens.access), "/sessions")


@pytest.mark.parametrize(
    ("kind", "method", "path", "lifetime"),
    [
        pytest.param("operation", "GET", "/auth/{login}", 45 * 60, id="authentication token"),
        pytest.param("access", "GET", "/rate-limits", 15 * 60, id="access token"),
        pytest.param("refresh", "POST", "/auth/token/refresh", 7 * 86400, id="refresh token"),
    ],
)
async def test_expired_token_is_unauthorized(
    wire: Wire, tokens: Tokens, kind: str, method: str, path: str, lifetime: float
) -> None:
    path = path.format(login=tokens.reference_number)
    # The operation's token is a second older than the others.
    wire.advance(lifetime - 2)
    before = await wire.call(method, path, getattr(tokens, kind))
    wire.advance(2)
    after = await wire.call(method, path, getattr(tokens, kind))

    assert before.status == 200
    assert_unauthorized(after, path)


@pytest.mark.parametrize(
    ("method", "path", "kinds"),
    [
        pytest.param("GET", "/auth/{login}", ("access", "refresh"), id="login status"),
        pytest.param("POST", "/auth/token/redeem", ("access", "refresh"), id="redeem"),
        pytest.param("POST", "/auth/token/refresh", ("operation", "access"), id="refresh"),
        pytest.param("DELETE", "/auth/sessions/current", ("operation",), id="revoke"),
        pytest.param("GET", SESSIONS, ("operation", "refresh"), id="sessions"),
        pytest.param("GET", "/rate-limits", ("operation", "refresh"), id="limits"),
    ],
)
async def test_wrong_kind_of_token_is_forbidden(
    wire: Wire, tokens: Tokens, method: str, path: str, kinds: tuple[str, ...]
) -> None:
    path = path.format(login=tokens.reference_number)

    answers = [await wire.call(method, path, getattr(tokens, kind)) for kind in kinds]

    for answer in answers:
        assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (403, "application/problem+json")
        assert {"title", "status", "detail", "reasonCode"} <= set(answer.json)


async def test_token_without_the_permission_is_forbidden(wire: Wire) -> None:
    secret = wire.sandbox.issue_token(wire.sandbox.nip)
    wire.sandbox.world.tokens[secret].permissions = ("InvoiceRead",)
    tokens = await wire.tokens(token=secret)

    answer = await wire.call("POST", "/sessions/online", tokens.access, json={})

    assert (answer.status, answer.json["title"], answer.json["reasonCode"]) == (403, "Forbidden", "missing-permissions")
    assert answer.json["detail"] == "Brak wymaganych uprawnień do wykonania operacji w bieżącym kontekście."
    security = answer.json["security"]
    assert set(security["requiredAnyOfPermissions"]) == {"InvoiceWrite", "PefInvoiceWrite", "EnforcementOperations"}
    assert security["presentPermissions"] == ["InvoiceRead"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sessions/{session}"),
        ("GET", "/sessions/{session}/invoices"),
        ("GET", "/sessions/{session}/invoices/failed"),
        ("GET", "/sessions/{session}/invoices/{invoice}"),
        ("GET", "/sessions/{session}/invoices/{invoice}/upo"),
        ("GET", "/sessions/{session}/upo/{invoice}"),
        ("POST", "/sessions/online/{session}/close"),
    ],
)
async def test_session_of_somebody_else_is_forbidden(
    wire: Wire, session: OpenedSession, method: str, path: str
) -> None:
    invoice = (await session.send(wire.invoice())).json["referenceNumber"]
    stranger = await wire.stranger()

    answer = await wire.call(method, path.format(session=session.reference_number, invoice=invoice), stranger.access)

    assert (answer.status, answer.json["reasonCode"]) == (403, "insufficient-resource-access")
    assert answer.json["detail"] == "Brak dostępu do wskazanego zasobu."
    assert await session.status() == 100


async def test_sending_to_somebody_elses_session_is_forbidden(wire: Wire, session: OpenedSession) -> None:
    stranger = await wire.stranger()
    borrowed = OpenedSession(wire, session.reference_number, "", session.key, session.iv, stranger.access)

    answer = await borrowed.send(wire.invoice())

    assert (answer.status, answer.json["reasonCode"]) == (403, "insufficient-resource-access")
    assert (await session.get("/invoices")).json["invoices"] == []


async def test_session_belongs_to_every_login_of_its_context(wire: Wire, session: OpenedSession) -> None:
    again = await wire.tokens()

    assert (await wire.call("POST", f"/sessions/online/{session.reference_number}/close", again.access)).status == 204


# --- addresses and headers --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v2/nowhere", "/v2", "/v3/auth/challenge", "/v2/sessions/online/x/y/z"])
async def test_unknown_path_is_not_found_without_a_body(wire: Wire, path: str) -> None:
    answer = await wire.call("GET", wire.sandbox.environment.base_url.removesuffix("/v2") + path)

    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v2/collective-identifiers/query", "POST"),
        ("PUT", "/api/v2/tokens", "GET, POST"),
        ("POST", "/v2/limits/context", "GET"),
    ],
)
async def test_wrong_method_is_told_the_right_ones_without_a_body(
    wire: Wire, method: str, path: str, allowed: str
) -> None:
    answer = await wire.call(method, wire.sandbox.environment.base_url.removesuffix("/v2") + path)

    assert (answer.status, answer.body, answer.headers["Allow"]) == (405, b"", allowed)


async def test_older_prefix_leads_to_the_same_world(wire: Wire, session: OpenedSession) -> None:
    base = wire.sandbox.environment.base_url.replace("/v2", "/api/v2")

    answer = await wire.call("GET", f"{base}/sessions/{session.reference_number}", session.access)

    assert answer.json["status"]["code"] == 100


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("POST", "/auth/challenge", id="200"),
        pytest.param("POST", "/auth/ksef-token", id="400"),
        pytest.param("GET", "/sessions", id="401"),
        pytest.param("GET", "/nowhere", id="404"),
        pytest.param("PUT", "/sessions", id="405"),
        pytest.param("PUT", "{host}/storage/09/x/batch-parts/1.zip.enc", id="upload"),
        pytest.param("GET", "{host}/storage/00/x/invoice-part/y", id="download"),
        pytest.param("GET", "{host}/", id="page"),
    ],
)
async def test_every_answer_is_marked_and_tells_the_time_of_the_sandbox(wire: Wire, method: str, path: str) -> None:
    host = wire.sandbox.environment.base_url.removesuffix("/v2")

    answer = await wire.call(method, path.format(host=host))

    assert "no legal effect" in answer.headers["X-KSeF-Simulator"]
    # Clients go by it.
    assert parsedate_to_datetime(answer.headers["Date"]) == START.replace(microsecond=0)


async def test_operation_of_a_newer_version_tells_the_time_as_well() -> None:
    async with connected(api_version="2.6") as wire:
        answer = await wire.call("POST", "/collective-identifiers")

    assert answer.status == 404
    assert parsedate_to_datetime(answer.headers["Date"]) == START.replace(microsecond=0)


async def test_warning_is_echoed_on_success_only(wire: Wire) -> None:
    warning = {"X-Test-System-Warning": "[xml-002]: text | [sig-001]: text"}

    success = await wire.call("POST", "/auth/challenge", headers=warning)
    failure = await wire.call("GET", "/sessions", headers=warning)

    assert success.headers["X-System-Warning"] == warning["X-Test-System-Warning"]
    assert "X-System-Warning" not in failure.headers


# --- JSON -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"{", b'{"formCode":}', b"\xff\xfe", b"<xml/>"])
async def test_broken_json_is_unreadable(wire: Wire, tokens: Tokens, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}

    answer = await wire.call("POST", "/sessions/online", tokens.access, data=body, headers=headers)

    assert answer.error == (400, 21001)
    assert answer.details[0]


async def test_property_names_and_enum_values_are_read_in_any_case(wire: Wire, tokens: Tokens) -> None:
    request = key_of_any_case(await wire.open_request(b"k" * 32, b"i" * 16))

    opened = await wire.call("POST", "/sessions/online", tokens.access, json=request)
    listed = await wire.call("GET", "/sessions?SESSIONTYPE=online&statuses=INPROGRESS", tokens.access)
    login = await wire.log_in(contextIdentifier={"Type": "nip", "VALUE": wire.sandbox.nip})
    wire.advance(1)
    operation = login.json["authenticationToken"]["token"]

    assert opened.status == 201
    assert len(listed.json["sessions"]) == 1
    assert (await wire.call("POST", "/auth/token/redeem", operation)).status == 200


async def test_unknown_properties_features_and_nulls_are_ignored(wire: Wire, tokens: Tokens) -> None:
    request = await wire.open_request(b"k" * 32, b"i" * 16)
    request["encryption"]["publicKeyId"] = None
    request |= {"novelty": {"of": ["tomorrow"]}, "offlineMode": None}
    headers = {"X-KSeF-Feature": "upo-v4-3, tomorrow"}

    opened = await wire.call("POST", "/sessions/online", tokens.access, json=request, headers=headers)
    wire.advance(1)

    assert opened.status == 201
    status = await wire.call("GET", f"/sessions/{opened.json['referenceNumber']}", tokens.access)
    assert status.json["status"]["code"] == 100


async def test_nothing_is_answered_as_null(wire: Wire, session: OpenedSession) -> None:
    sent = await session.send(wire.invoice())
    paths = ("", "/invoices", f"/invoices/{sent.json['referenceNumber']}")

    answers = [await session.get(path) for path in paths]
    answers.append(await wire.call("GET", SESSIONS, session.access))

    assert not [answer.body for answer in answers if b"null" in answer.body]


# --- pages ------------------------------------------------------------------------------------------------

LISTS = (SESSIONS, "/sessions/{session}/invoices", "/sessions/{session}/invoices/failed")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    ("size", "status"),
    [("9", 400), ("10", 200), ("1000", 200), ("1001", 400), ("-10", 400), ("ten", 400), ("%C2%B2", 400), ("", 400)],
)
async def test_page_has_ten_to_a_thousand_rows(session: OpenedSession, path: str, size: str, status: int) -> None:
    path = path.format(session=session.reference_number)
    url = f"{path}{'&' if '?' in path else '?'}pageSize={size}"

    answer = await session.wire.call("GET", url, session.access)

    assert answer.status == status
    assert status == 200 or answer.error == (400, 21405)


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "token",
    ["nonsense", "!", base64(b"nonsense"), base64(b"[-1]"), base64(b'[{"token":"of somewhere else"}]')],
    ids=["not Base64", "nor this", "not JSON", "before the first", "another shape"],
)
async def test_forged_continuation_token_is_refused(session: OpenedSession, path: str, token: str) -> None:
    headers = {"x-continuation-token": token}

    answer = await session.wire.call(
        "GET", path.format(session=session.reference_number), session.access, headers=headers
    )

    assert answer.error == (400, 21418)
    assert answer.details == ["'continuationToken' is not in the correct format."]


@pytest.mark.parametrize("count", [10, 11, 20, 25])
async def test_pages_follow_the_token_and_a_full_last_page_has_none(wire: Wire, tokens: Tokens, count: int) -> None:
    opened = [(await wire.open(tokens.access)).reference_number for _ in range(count)]
    seen: list[str] = []
    sizes: list[int] = []
    headers: dict[str, str] = {}

    while True:
        page = (await wire.call("GET", SESSIONS, tokens.access, headers=headers)).json
        seen += [row["referenceNumber"] for row in page["sessions"]]
        sizes.append(len(page["sessions"]))
        if not page.get("continuationToken"):
            break
        headers = {"x-continuation-token": page["continuationToken"]}

    assert seen == opened[::-1]
    assert sizes == [10] * (count // 10) + ([count % 10] if count % 10 else [])


# --- limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, PROBLEM], ids=["legacy", "problem"])
async def test_call_over_the_limit_is_told_when_to_come_again(headers: dict[str, str]) -> None:
    sentence = "Przekroczono limit 5 żądań na sekundę. Spróbuj ponownie po 1 sekundach."
    async with connected(rate_limits=PRODUCTION_LIMITS) as wire:
        tokens = await wire.tokens()
        taken = [(await wire.call("GET", SESSIONS, tokens.access)).status for _ in range(5)]
        refused = await wire.call("GET", SESSIONS, tokens.access, headers=headers)
        wire.advance(1)
        after = await wire.call("GET", SESSIONS, tokens.access)

    assert (taken, refused.status, after.status) == ([200] * 5, 429, 200)
    assert refused.headers["Retry-After"] == "1"
    if headers:
        assert (refused.json["title"], refused.json["status"]) == ("Too Many Requests", 429)
        assert (refused.json["detail"], refused.json["instance"]) == (sentence, "/v2/sessions")
        assert {"timestamp", "traceId"} <= set(refused.json)
    else:
        assert json.loads(refused.body) == {
            "status": {"code": 429, "description": "Too Many Requests", "details": [sentence]}
        }


async def test_call_during_a_longer_block_is_told_of_the_limit_it_broke() -> None:
    async with connected(rate_limits=PRODUCTION_LIMITS) as wire:
        tokens = await wire.tokens()
        for _ in range(2):
            for _ in range(6):
                last = await wire.call("GET", SESSIONS, tokens.access)
            wire.advance(1)
        during = await wire.call("GET", SESSIONS, tokens.access)

    assert (last.status, during.status) == (429, 429)
    (sentence,) = during.json["status"]["details"]
    assert sentence.startswith(("Przekroczono limit 5 żądań na sekundę.", "Przekroczono limit 10 żądań na minutę."))


async def test_contexts_have_budgets_of_their_own() -> None:
    async with connected(rate_limits=PRODUCTION_LIMITS) as wire:
        tokens, stranger = await wire.tokens(), await wire.stranger()
        for _ in range(6):
            refused = await wire.call("GET", SESSIONS, tokens.access)
        taken = await wire.call("GET", SESSIONS, stranger.access)

    assert (refused.status, taken.status) == (429, 200)


async def test_limits_are_told_by_group(wire: Wire, tokens: Tokens) -> None:
    async with connected(rate_limits=PRODUCTION_LIMITS) as wire:
        limits = (await wire.call("GET", "/rate-limits", (await wire.tokens()).access)).json

    assert limits["onlineSession"] == {"perSecond": 10, "perMinute": 30, "perHour": 120}
    assert limits["anonymous"] == {"perSecond": 60, "perMinute": -1, "perHour": -1}
    assert limits["global"]["perSecond"] == 75
    assert len(limits) == 17


@pytest.mark.parametrize(
    "path",
    [
        "/sessions?sessionType=Online&statuses=Foo",
        "/sessions?sessionType=Online&statuses=Succeeded&statuses=Foo",
        "/sessions?sessionType=Foo",
        "/tokens?status=Foo",
        "/tokens?authorIdentifierType=Foo",
    ],
)
async def test_value_that_an_enumeration_lacks_is_refused_in_the_query(wire: Wire, tokens: Tokens, path: str) -> None:
    refused = await wire.call("GET", path, tokens.access)

    assert refused.error == (400, 21405)
    assert "Foo" in refused.details[0]


@pytest.mark.parametrize(
    ("path", "name"), [("/permissions/attachments/status", "isAttachmentAllowed"), ("/auth/sessions", "isCurrent")]
)
async def test_what_is_false_is_written(wire: Wire, tokens: Tokens, path: str, name: str) -> None:
    await wire.tokens()

    answer = (await wire.call("GET", path, tokens.access)).json

    assert answer.get("items", [answer])[0][name] is False


async def test_body_that_is_missing_is_unreadable_and_not_of_another_type(wire: Wire, tokens: Tokens) -> None:
    assert (await wire.call("POST", "/tokens", tokens.access)).error == (400, 21001)
    assert (await wire.call("POST", "/tokens", tokens.access, data=b"text")).status == 415
