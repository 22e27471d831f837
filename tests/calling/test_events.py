from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import attrs
import pytest
from clients import connected
from cryptography.hazmat.primitives.asymmetric import rsa
from secrets_watch import Listener, listening

from ksef_async import FormCode, KsefClient, RemoteProtocolError
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit
from ksef_async.api.sessions import GET_SESSION_STATUS
from ksef_async.calling import keys
from ksef_async.calling.events import (
    Event,
    RequestAnswered,
    RequestFailed,
    RequestPaced,
    RequestRetried,
    RequestSent,
    SessionChanged,
    SystemWarning,
)
from ksef_async.calling.keys import PublicKey
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Fault, Sandbox, sample_invoice


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def client(sandbox: Sandbox, events: list[Event]) -> AsyncIterator[KsefClient]:
    async with connected(sandbox, hook=events.append) as client:
        await client.log_in()
        events.clear()
        yield client


async def test_hook_is_told_of_every_attempt(client: KsefClient, sandbox: Sandbox, events: list[Event]) -> None:
    sandbox.faults.add("get_rate_limits", Fault.html(502))
    sandbox.faults.add("get_rate_limits", Fault.too_many_requests(0))

    await client.call(GET_RATE_LIMITS)

    told = [(type(event), getattr(event, "attempt", None)) for event in events]
    assert told == [
        (RequestSent, 1),
        (RequestAnswered, 1),
        (RequestRetried, 1),
        (RequestSent, 2),
        (RequestAnswered, 2),
        (RequestRetried, 2),
        (RequestSent, 2),
        (RequestAnswered, 2),
    ]
    assert [event.http_status for event in events if isinstance(event, RequestAnswered)] == [502, 429, 200]
    assert {getattr(event, "operation", None) for event in events} == {"get_rate_limits"}
    assert len({getattr(event, "request_id", None) for event in events} | {None}) == 2
    assert {event.nip for event in events} == {sandbox.nip}


async def test_hook_is_told_of_lost_answers(client: KsefClient, sandbox: Sandbox, events: list[Event]) -> None:
    sandbox.faults.add("close_online_session", Fault.drop_after())

    async with await client.sessions.open_online(FormCode.FA3):
        pass

    (failed,) = (event for event in events if isinstance(event, RequestFailed))
    assert (failed.operation, failed.attempt) == ("close_online_session", 1)
    assert failed.error.maybe_delivered


async def test_hook_is_told_of_each_change_of_a_session(
    client: KsefClient, sandbox: Sandbox, events: list[Event]
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(sample_invoice(sandbox.nip))
    await session.upo()

    changes = [event for event in events if isinstance(event, SessionChanged)]
    assert (changes[0].previous, changes[0].current) == (None, 100)
    assert changes[-1].current == 200
    assert {change.reference_number for change in changes} == {session.reference_number}


async def test_hook_is_told_when_a_request_waits(sandbox: Sandbox, events: list[Event]) -> None:
    limits = attrs.evolve(PRODUCTION_LIMITS, other=RateLimit(1, UNLIMITED, UNLIMITED))
    async with connected(sandbox, hook=events.append, pacer=Pacer(limits, margin=-0.5)) as client:
        for _ in range(2):
            await client.call(GET_RATE_LIMITS)

    (paced,) = (event for event in events if isinstance(event, RequestPaced))
    assert paced.operation == "get_rate_limits"
    assert 0 < paced.delay <= 0.5


async def test_warning_of_ksef_is_told_and_logged(
    client: KsefClient, sandbox: Sandbox, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    warning = {"X-Test-System-Warning": "[xml-002]: Faktura zawiera znaki"}

    await client.call(GET_SESSION_STATUS, path={"reference_number": session.reference_number}, headers=warning)

    (told,) = (event for event in events if isinstance(event, SystemWarning))
    assert (told.operation, told.text) == ("get_session_status", "[xml-002]: Faktura zawiera znaki")
    assert told.nip == sandbox.nip
    (record,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert record.name == "ksef_async.calling.caller"
    assert record.__dict__["ksef_event"] == told


async def test_failing_hook_fails_no_call(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    def fail(event: Event) -> None:
        raise ZeroDivisionError

    async with connected(sandbox, hook=fail) as client:
        await client.log_in()

    assert "the hook failed on RequestSent" in caplog.text


async def test_logging_is_the_callers_business(client: KsefClient) -> None:
    before = [(logger.handlers[:], logger.level) for logger in map(logging.getLogger, (None, "ksef_async"))]

    await client.call(GET_RATE_LIMITS)

    assert [(logger.handlers, logger.level) for logger in map(logging.getLogger, (None, "ksef_async"))] == before


@pytest.mark.tells_secrets
def test_listener_would_hear_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(monkeypatch) as listener:
        logging.getLogger("ksef_async.calling.caller").debug("a token: %s", "eyJhbGciOiJIUzI1NiJ9.payload.signature")
        RemoteProtocolError("https://ksef.mf.gov.pl/storage/x?sig=abc")
        key = keys.wrap_new_key(PublicKey("id", rsa.generate_private_key(65537, 2048).public_key())).symmetric_key
        logging.getLogger("ksef_async.calling.caller").debug("a key: %r", key)

    assert {leak[:4] for leak in listener.leaks} == {"eyJh", "sig=", repr(key)[2:6]}


async def test_whole_flow_tells_nothing_secret(sandbox: Sandbox, nothing_secret: Listener, client: KsefClient) -> None:
    sandbox.faults.add("send_invoice", Fault.drop_after())
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(sample_invoice(sandbox.nip))
        await sent.outcome()
    upo = await session.upo()

    shown = repr([client, session, sent, upo, sandbox, await session.status(), client.sessions, client.pacing])
    logging.getLogger("ksef_async.test").debug("%s", shown)
    assert len(nothing_secret.told) > 20
    assert session.access_token is not None
    for secret in (sandbox.token, session.access_token, str(session.aes_key), "sig="):
        assert secret not in "\n".join([*nothing_secret.told, shown])
