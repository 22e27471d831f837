from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import anyio
import attrs
import pytest
from clients import QUICK, connected

from ksef_async import (
    BadRequestError,
    Cadence,
    Context,
    ContextType,
    FormCode,
    KsefClient,
    KsefToken,
    LocalProtocolError,
    LoginFailedError,
    SessionManager,
    StatusCode,
    UnauthorizedError,
    WaitTimeoutError,
)
from ksef_async.auth.access import AccessTokens
from ksef_async.auth.login import log_in
from ksef_async.calling.caller import Caller
from ksef_async.calling.keys import PublicKeys
from ksef_async.calling.transport import AiohttpTransport
from ksef_async.protocol.messages import RawRequest, RawResponse
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Clock, Sandbox, Timings, sample_invoice


class CountingTransport(AiohttpTransport):
    """Counts the requests that go through, by operation."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    async def send(self, request: RawRequest) -> RawResponse:
        self.calls[request.operation] += 1
        return await super().send(request)


@attrs.define
class Parts:
    """A client taken apart, so that a test can count its requests."""

    transport: CountingTransport
    tokens: AccessTokens
    caller: Caller
    api: Caller


def take_apart(sandbox: Sandbox, cadence: Cadence | None = None) -> Parts:
    transport = CountingTransport()
    caller = Caller(sandbox.environment, transport, pacer=Pacer.unlimited(), retry=QUICK)
    credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)
    tokens = AccessTokens(caller, PublicKeys(caller), credentials, cadence=cadence)
    return Parts(transport, tokens, caller, caller.with_bearer(tokens))


# --- credentials ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"token": "t"}, id="no context"),
        pytest.param({"nip": "5265877635", "token": " "}, id="empty token"),
        pytest.param({"nip": "526587763", "token": "t"}, id="nine digits"),
        pytest.param({"nip": "0265877635", "token": "t"}, id="starts with zero"),
        pytest.param(
            {"nip": "5265877635", "context": Context(ContextType.NIP, "1111111111"), "token": "t"}, id="two contexts"
        ),
    ],
)
def test_unusable_credentials_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(LocalProtocolError):
        KsefToken(**arguments)  # type: ignore[arg-type]


def test_credentials_hide_their_token() -> None:
    assert "secret" not in repr(KsefToken(nip="5265877635", token="secret"))


# --- login ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        pytest.param({"token": "wrong|token"}, "Nieprawidłowy token", id="wrong token"),
        pytest.param({"nip": "1111111111"}, "nie może być użyty w kontekście", id="wrong nip"),
    ],
)
async def test_refused_login_carries_code_and_details(sandbox: Sandbox, change: dict[str, str], detail: str) -> None:
    credentials = KsefToken(nip=change.get("nip", sandbox.nip), token=change.get("token", sandbox.token))

    async with KsefClient(sandbox.environment, credentials) as client:
        with pytest.raises(LoginFailedError) as caught:
            await client.sessions.open_online(FormCode.FA3)

    assert caught.value.code == 450
    assert detail in caught.value.details[0]
    assert sandbox.token not in str(caught.value)


async def test_call_that_never_went_out_because_the_login_failed_is_not_counted(sandbox: Sandbox) -> None:
    async with connected(sandbox, token="none", pacer=Pacer()) as client:
        granted = client.pacing.remaining("onlineSession")

        for _ in range(3):
            with pytest.raises(LoginFailedError):
                await client.sessions.open_online(FormCode.FA3)

        assert client.pacing.remaining("onlineSession") == granted


async def test_login_is_waited_for_as_long_as_the_client_was_told() -> None:
    timings = Timings(login_delay=3600)
    async with Sandbox(timings=timings, rate_limits=None) as sandbox:
        parts = take_apart(sandbox, cadence=Cadence(interval=0.01, deadline=0.05))

        with anyio.fail_after(5), pytest.raises(WaitTimeoutError):
            await parts.tokens.get()

        await parts.transport.aclose()


async def test_many_tasks_share_one_login(sandbox: Sandbox) -> None:
    parts = take_apart(sandbox)

    await asyncio.gather(*(parts.tokens.get() for _ in range(20)))

    assert parts.transport.calls["redeem_tokens"] == 1
    await parts.transport.aclose()


@pytest.mark.parametrize("skew", [timedelta(days=-2), timedelta(), timedelta(days=2)])
async def test_token_is_refreshed_before_it_ends_once_for_all_tasks(skew: timedelta) -> None:
    # Whatever the local clock says: KSeF's is believed, as its answers tell it.
    clock = Clock(datetime.now(UTC) + skew, ticking=False)
    async with Sandbox(clock=clock, timings=Timings(login_delay=0)) as sandbox:
        parts = take_apart(sandbox)
        session = await SessionManager(parts.api).open_online(FormCode.FA3)
        first = session.access_token
        sandbox.clock.advance(14 * 60 + 30)
        await session.status()
        assert parts.transport.calls["refresh_access_token"] == 0
        parts.transport.calls.clear()

        tokens = await asyncio.gather(*(parts.tokens.get() for _ in range(20)))

        assert parts.transport.calls == {"refresh_access_token": 1}
        assert len(set(tokens)) == 1
        assert tokens[0] != first
        await parts.transport.aclose()


async def test_expired_token_is_replaced_once_and_the_call_repeated(still_sandbox: Sandbox) -> None:
    parts = take_apart(still_sandbox)
    sessions = SessionManager(parts.api)
    session = await sessions.open_online(FormCode.FA3)
    before = session.access_token
    still_sandbox.clock.advance(20 * 60)
    parts.transport.calls.clear()

    async with session:
        await asyncio.gather(*(session.send(sample_invoice(still_sandbox.nip, f"FV/{n}")) for n in range(10)))

    assert parts.transport.calls["refresh_access_token"] == 1
    assert session.access_token != before
    assert (await sessions.status(session.reference_number)).invoice_count == 10
    await parts.transport.aclose()


async def test_dead_refresh_token_leads_to_a_new_login(still_sandbox: Sandbox) -> None:
    parts = take_apart(still_sandbox)
    await parts.tokens.get()
    still_sandbox.clock.advance(8 * 86400)

    session = await SessionManager(parts.api).open_online(FormCode.FA3)

    assert parts.transport.calls["redeem_tokens"] == 2
    assert (await session.terminate()).status.code == StatusCode.CANCELLED
    await parts.transport.aclose()


async def test_revoked_login_leads_to_a_new_one(still_sandbox: Sandbox) -> None:
    parts = take_apart(still_sandbox)
    await parts.tokens.get()
    await parts.tokens.revoke()

    await parts.tokens.get()

    assert parts.transport.calls["redeem_tokens"] == 2
    await parts.transport.aclose()


async def test_client_revokes_its_login_on_exit(sandbox: Sandbox) -> None:
    credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)
    async with KsefClient(sandbox.environment, credentials, revoke_on_exit=True) as client:
        await client.log_in()
        assert [login.is_revoked for login in sandbox.world.logins.values()] == [False]

    assert [login.is_revoked for login in sandbox.world.logins.values()] == [True]


async def test_own_access_token_is_used_as_it_is_and_never_replaced(still_sandbox: Sandbox) -> None:
    parts = take_apart(still_sandbox)
    jwt = await parts.tokens.get()
    sessions = SessionManager(parts.caller)
    encryption = await sessions.new_encryption()
    session = await sessions.open_online(FormCode.FA3, encryption=encryption, access_token=jwt)
    still_sandbox.clock.advance(20 * 60)

    with pytest.raises(UnauthorizedError):
        await session.terminate()

    assert session.access_token == jwt
    await parts.transport.aclose()


async def test_bare_caller_needs_an_access_token(sandbox: Sandbox) -> None:
    with pytest.raises(LocalProtocolError, match="access_token"):
        await SessionManager(Caller(sandbox.environment, AiohttpTransport())).open_online(FormCode.FA3)


# --- public keys ------------------------------------------------------------------------------------------


async def test_public_keys_are_fetched_once(sandbox: Sandbox) -> None:
    parts = take_apart(sandbox)
    sessions = SessionManager(parts.api)

    for _ in range(3):
        await (await sessions.open_online(FormCode.FA3)).terminate()

    # One for the login, one for the sessions: they were given no common PublicKeys here.
    assert parts.transport.calls["list_public_keys"] == 2
    await parts.transport.aclose()


async def test_withdrawn_key_is_fetched_anew(client: KsefClient, sandbox: Sandbox) -> None:
    await (await client.sessions.open_online(FormCode.FA3)).terminate()
    await sandbox.rotate_keys()

    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()


async def test_withdrawn_key_of_the_callers_own_encryption_is_an_error(client: KsefClient, sandbox: Sandbox) -> None:
    encryption = await client.sessions.new_encryption()
    await sandbox.rotate_keys()

    with pytest.raises(BadRequestError) as caught:
        await client.sessions.open_online(FormCode.FA3, encryption=encryption)

    assert caught.value.code == 21470


async def test_withdrawn_key_at_login_is_fetched_anew(sandbox: Sandbox) -> None:
    parts = take_apart(sandbox)
    keys = PublicKeys(parts.caller)
    credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)
    await log_in(parts.caller, keys, credentials)
    await sandbox.rotate_keys()

    assert (await log_in(parts.caller, keys, credentials)).access_token.token
    await parts.transport.aclose()
