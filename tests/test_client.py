"""The client against servers that misbehave: every refusal is one of our errors and leaves nothing open."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from canned import serving
from certificates import EC_KEY, key_bytes, pem
from clients import ONCE, RecordingTransport, connected
from raw_server import answering_with, listening

from ksef_async import (
    AnswerTimeoutError,
    ConnectError,
    Environment,
    KsefClient,
    KsefError,
    KsefToken,
    LocalProtocolError,
    RemoteProtocolError,
    ServerError,
    TransportError,
)
from ksef_async.api.auth import GET_CHALLENGE
from ksef_async.api.keys import LIST_PUBLIC_KEYS
from ksef_async.api.sessions import GET_SESSION_STATUS
from ksef_async.calling.caller import Caller
from ksef_async.calling.transport import AiohttpTransport
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.sandbox import Sandbox

CREDENTIALS = KsefToken(nip="5265877635", token="secret-token")
CHALLENGE = {
    "challenge": "20250514-CR-226FB7B000-3ACF9BE4C0-10",
    "timestamp": "2025-07-11T12:23:56.0154302+00:00",
    "timestampMs": 1752236636015,
    "clientIp": "127.0.0.1",
}


def answering(response: Callable[[], web.StreamResponse]) -> Callable[[web.Request], asyncio.Future[web.Response]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return response()

    return answer  # type: ignore[return-value]


async def test_borrowed_connection_pool_stays_open(sandbox: Sandbox) -> None:
    async with aiohttp.ClientSession() as http:
        credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)
        async with KsefClient(sandbox.environment, credentials, http_session=http) as client:
            await client.log_in()

        assert not http.closed


async def test_borrowed_pool_with_credentials_of_its_own_is_refused() -> None:
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer x"}) as http:
        with pytest.raises(LocalProtocolError, match="Authorization"):
            KsefClient(Environment.TEST, CREDENTIALS, http_session=http)


async def test_transport_of_the_callers_sends_every_request_and_stays_open(sandbox: Sandbox) -> None:
    async with aclosing(RecordingTransport()) as transport:
        for _ in range(2):
            async with connected(sandbox, transport=transport, revoke_on_exit=True) as client:
                await client.log_in()

    operations = [request.operation for request, _ in transport.exchanges]
    assert operations[-1] == "revoke_current_login"
    assert operations == operations[: len(operations) // 2] * 2


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"proxy": "http://127.0.0.1:1"}, id="proxy"),
        pytest.param({"ssl_context": ssl.create_default_context()}, id="ssl_context"),
        pytest.param({"ca_file": "ca.pem"}, id="ca_file"),
    ],
)
def test_transport_of_the_callers_excludes_what_only_ours_takes(other: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError, match="transport of the caller's"):
        KsefClient(Environment.TEST, CREDENTIALS, transport=AiohttpTransport(), **other)


async def test_client_is_entered_once() -> None:
    client = KsefClient(Environment.TEST, CREDENTIALS)
    async with client:
        pass

    with pytest.raises(LocalProtocolError, match="entered before"):
        async with client:
            pass


async def test_failed_revocation_is_attached_to_the_error_of_the_block(sandbox: Sandbox) -> None:
    credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)

    with pytest.raises(ZeroDivisionError) as caught:
        async with KsefClient(sandbox.environment, credentials, revoke_on_exit=True, retry=ONCE) as client:
            await client.log_in()
            await sandbox.aclose()
            raise ZeroDivisionError

    assert "Revoking the login failed" in caught.value.__notes__[0]


async def test_server_that_is_not_there(unused_port: int) -> None:
    async with KsefClient(Environment(f"http://127.0.0.1:{unused_port}/v2"), CREDENTIALS, retry=ONCE) as client:
        with pytest.raises(ConnectError) as caught:
            await client.log_in()

    assert not caught.value.maybe_delivered


async def test_server_whose_certificate_is_not_trusted(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(key_bytes(EC_KEY) + pem(self_signed_seal(CREDENTIALS.nip or "", EC_KEY)))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(key)

    async with (
        listening(answering_with(b""), tls=context) as port,
        KsefClient(Environment(f"https://127.0.0.1:{port}/v2"), CREDENTIALS, retry=ONCE) as client,
    ):
        with pytest.raises(ConnectError, match="self-signed certificate"):
            await client.log_in()


async def test_server_that_answers_slowly() -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.sleep(5)
        raise AssertionError("the client waited")

    async with (
        serving(answer) as environment,
        KsefClient(environment, CREDENTIALS, answer_timeout=0.1, retry=ONCE) as client,
    ):
        with pytest.raises(AnswerTimeoutError) as caught:
            await client.log_in()

    assert caught.value.maybe_delivered


async def test_server_that_hangs_up_in_the_middle_of_an_answer() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(answer) as environment, KsefClient(environment, CREDENTIALS, retry=ONCE) as client:
        with pytest.raises(TransportError) as caught:
            await client.log_in()

    assert caught.value.maybe_delivered


@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        pytest.param(
            lambda: web.Response(status=502, body=b"<html>Bad Gateway</html>", content_type="text/html"),
            ServerError,
            "HTML page",
            id="gateway",
        ),
        pytest.param(
            lambda: web.Response(body=b"<html><script>challenge()</script></html>", content_type="text/html"),
            ServerError,
            "HTML page",
            id="firewall",
        ),
        pytest.param(lambda: web.Response(body=b"oops"), RemoteProtocolError, "not JSON", id="no json"),
        pytest.param(lambda: web.json_response([]), RemoteProtocolError, "expected an object", id="wrong shape"),
        pytest.param(lambda: web.Response(status=301, headers={"Location": "/x"}), KsefError, "301", id="redirect"),
    ],
)
async def test_answer_that_is_none_of_ksefs(
    response: Callable[[], web.StreamResponse], error: type[Exception], message: str
) -> None:
    async with serving(answering(response)) as environment:
        transport = AiohttpTransport()
        with pytest.raises(error, match=message):
            await Caller(environment, transport, retry=ONCE).call(GET_CHALLENGE)
        await transport.aclose()


async def test_unknown_fields_are_ignored_and_missing_ones_named() -> None:
    answers = [CHALLENGE | {"new": {"in": "2.10"}}, {k: v for k, v in CHALLENGE.items() if k != "timestampMs"}]

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=json.dumps(answers.pop(0)).encode(), content_type="application/json")

    async with serving(answer) as environment:
        transport = AiohttpTransport()
        caller = Caller(environment, transport, retry=ONCE)
        assert (await caller.call(GET_CHALLENGE)).timestamp_ms == 1752236636015
        with pytest.raises(RemoteProtocolError) as caught:
            await caller.call(GET_CHALLENGE)
        await transport.aclose()

    assert caught.value.path == "$.timestampMs"
    assert caught.value.operation == "get_challenge"


# --- signed links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/storage/upo.xml?sig=secret",
        "http://api-test.ksef.mf.gov.pl/storage/upo.xml?sig=secret",
        "https://api-test.ksef.mf.gov.pl@elsewhere.example/upo.xml?sig=secret",
        "ftp://api-test.ksef.mf.gov.pl/upo.xml?sig=secret",
        "/v2/sessions/upo?sig=secret",
    ],
)
async def test_link_to_elsewhere_or_over_plain_http_is_not_followed(url: str) -> None:
    with pytest.raises(RemoteProtocolError, match="not followed") as caught:
        await Caller(Environment.TEST, AiohttpTransport()).download("session_upo", url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "message"),
    [({}, "without its SHA-256"), ({"x-ms-meta-hash": "A" * 43 + "="}, "must not be trusted")],
)
async def test_document_that_nobody_vouches_for_is_refused(headers: dict[str, str], message: str) -> None:
    async with serving(answering(lambda: web.Response(body=b"<upo/>", headers=headers))) as environment:
        transport = AiohttpTransport()
        with pytest.raises(RemoteProtocolError, match=message):
            await Caller(environment, transport, retry=ONCE).download("upo", f"{environment.base_url}/x?sig=secret")
        await transport.aclose()


async def test_link_is_followed_without_a_token_and_not_named_in_errors() -> None:
    seen: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(dict(request.headers))
        return web.Response(status=403, body=b"<Error><Code>AuthenticationFailed</Code></Error>")

    async with serving(answer) as environment:
        transport = AiohttpTransport()
        with pytest.raises(KsefError) as caught:
            await Caller(environment, transport, retry=ONCE).download("upo", f"{environment.base_url}/x?sig=secret")
        await transport.aclose()

    assert "Authorization" not in seen[0]
    assert "secret" not in str(caught.value)


async def test_connection_error_does_not_name_the_link(unused_port: int) -> None:
    transport = AiohttpTransport()
    environment = Environment(f"http://127.0.0.1:{unused_port}/v2")

    with pytest.raises(ConnectError) as caught:
        await Caller(environment, transport, retry=ONCE).download("upo", f"{environment.base_url}/x?sig=secret")
    await transport.aclose()

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_groups_of_calls_that_ksef_does_not_count() -> None:
    client = KsefClient(Environment.TEST, CREDENTIALS)

    with pytest.raises(LocalProtocolError, match="'invoices'; KSeF counts"):
        client.pacing.remaining("invoices")
    with pytest.raises(LocalProtocolError, match="'invoices'; KSeF counts"):
        client.pacing.remember({"invoiceSend": [1.0], "invoices": [1.0]})
    client.pacing.remember({"invoiceSend": [1.0], "other:get_token": [2.0]})

    assert client.pacing.remaining("invoiceSend").per_hour == 179


# --- calling rows of the table ----------------------------------------------------------------------------


async def test_any_row_can_be_called(client: KsefClient) -> None:
    assert len(await client.call(LIST_PUBLIC_KEYS)) == 2


async def test_protected_row_needs_a_token() -> None:
    with pytest.raises(LocalProtocolError, match="needs a token"):
        await Caller(Environment.TEST, AiohttpTransport()).call(GET_SESSION_STATUS, path={"reference_number": "x"})
