"""Openings whose answer settles nothing are made again; whatever was opened is closed when it cannot be entered."""

from __future__ import annotations

from typing import Any

import anyio
import attrs
import pytest
from clients import ONCE, QUICK, Traffic, connected
from packages import packed
from virtual_time import VirtualTimeLoop

from ksef_async import (
    BadRequestError,
    FormCode,
    KsefClient,
    KsefError,
    ServerError,
    SessionFailedError,
    StatusCode,
    WaitTimeoutError,
)
from ksef_async.sandbox import Fault, Sandbox, sample_invoice


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def codes(sandbox: Sandbox) -> list[int]:
    """The status of every session, in the order they were opened."""
    now = sandbox.clock.now()
    return [session.code_at(now).value for session in sandbox.world.sessions.values()]


WITHOUT_EFFECT = {
    "gateway": Fault.html(502),
    "firewall": Fault.html(403),
    "500": Fault.server_error(),
    "connection broken": Fault.drop_before(),
}
AFTER_EFFECT = {
    "gateway, after it has opened": Fault.html(502, after_effect=True),
    "answer lost": Fault.drop_after(),
    "200 that does not fit": Fault.answer_becomes(200, body=b"{}"),
    "201 that is no JSON": Fault.answer_becomes(body=b"OK"),
}


OPENING_TROUBLE = WITHOUT_EFFECT | AFTER_EFFECT


@pytest.mark.parametrize("fault", WITHOUT_EFFECT.values(), ids=WITHOUT_EFFECT)
async def test_opening_is_made_again_after_an_answer_that_settles_nothing(
    client: KsefClient, sandbox: Sandbox, fault: Fault
) -> None:
    sandbox.faults.add("open_online_session", fault)

    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(sample_invoice(sandbox.nip))

    assert list(sandbox.world.sessions) == [session.reference_number]


@pytest.mark.parametrize("fault", AFTER_EFFECT.values(), ids=AFTER_EFFECT)
async def test_session_that_nobody_heard_of_stays_empty(client: KsefClient, sandbox: Sandbox, fault: Fault) -> None:
    sandbox.faults.add("open_online_session", fault)

    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(sample_invoice(sandbox.nip))

    assert [len(each.invoices) for each in sandbox.world.sessions.values()] == [0, 1]
    assert list(sandbox.world.sessions)[1] == session.reference_number


async def test_opening_that_always_fails_is_told_after_as_many_attempts_as_the_policy_says(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client:
        sandbox.faults.add("open_online_session", Fault.html(502), times=100)
        with pytest.raises(ServerError):
            await client.sessions.open_online(FormCode.FA3)
    assert traffic.of("open_online_session") == 5


async def test_opening_is_made_once_where_the_policy_says_so(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic, retry=ONCE) as client:
        sandbox.faults.add("open_online_session", Fault.html(502), times=100)
        with pytest.raises(ServerError):
            await client.sessions.open_online(FormCode.FA3)
    assert traffic.of("open_online_session") == 1


ENTRY_FAILURES = {
    "500 for long": (Fault.server_error(), ServerError),
    "502 for long": (Fault.html(502), ServerError),
    "refused": (Fault.refuse(21405), BadRequestError),
    "unknown for long": (Fault.refuse(21173), BadRequestError),
    "no answer for long": (Fault.wait(3600), WaitTimeoutError),
}


@pytest.mark.parametrize(("fault", "error"), ENTRY_FAILURES.values(), ids=ENTRY_FAILURES)
async def test_session_that_cannot_be_entered_is_closed(
    client: KsefClient, sandbox: Sandbox, fault: Fault, error: type[KsefError]
) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    sandbox.faults.add("get_session_status", fault, times=1000)

    with pytest.raises((error, WaitTimeoutError)):
        async with session:
            pytest.fail("entered although KSeF never said that the session is open")

    assert codes(sandbox) == [StatusCode.CANCELLED]


async def test_session_that_ends_with_415_while_it_is_entered_makes_the_keys_be_fetched_anew(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client:
        sandbox.faults.add("open_online_session", Fault.wrong_key())
        session = await client.sessions.open_online(FormCode.FA3)
        await anyio.sleep(5)
        with pytest.raises(SessionFailedError) as caught:
            async with session:
                pytest.fail("entered a session that is dead")
        async with await client.sessions.open_online(FormCode.FA3):
            pass

    assert caught.value.may_be_sent_again
    assert traffic.of("list_public_keys") == 2


@pytest.mark.parametrize("operation", ["get_session_status", "send_invoice", "list_session_invoices"])
async def test_session_that_ksef_does_not_know_everywhere_yet_is_waited_for(
    client: KsefClient, sandbox: Sandbox, operation: str
) -> None:
    sandbox.faults.add(operation, Fault.refuse(21173), times=3)

    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()
        assert len([outcome async for outcome in session.outcomes()]) == 1

    assert sandbox.faults.happened == {operation: 3}


# --- closing ----------------------------------------------------------------------------------------------

CLOSE_TROUBLE = {
    "answered 200": Fault.answer_becomes(200),
    "answered 202 with a body": Fault.answer_becomes(202, body=b'{"referenceNumber": "x"}'),
    "500 though it is closed": Fault.server_error(after_effect=True),
    "502 though it is closed": Fault.html(502, after_effect=True),
    "a firewall's 403 though it is closed": Fault.answer_becomes(403, body=b"<html></html>", content_type="text/html"),
    "a firewall's 200": Fault.html(200),
    "answer lost": Fault.drop_after(),
    "not known yet": Fault.refuse(21173),
}


@pytest.mark.parametrize("attempts", [1, 5])
@pytest.mark.parametrize("kind", ["online", "batch"])
@pytest.mark.parametrize("fault", CLOSE_TROUBLE.values(), ids=CLOSE_TROUBLE)
async def test_session_is_closed_whatever_is_answered_to_the_close(
    sandbox: Sandbox, fault: Fault, kind: str, attempts: int
) -> None:
    if attempts == 1 and fault == CLOSE_TROUBLE["a firewall's 200"]:
        pytest.skip("it has no effect, and is not repeated")
    async with connected(sandbox, retry=attrs.evolve(QUICK, attempts=attempts)) as client:
        sandbox.faults.add(f"close_{kind}_session", fault)
        if kind == "online":
            async with await client.sessions.open_online(FormCode.FA3) as session:
                await session.send(sample_invoice(sandbox.nip))
        else:
            async with packed(sandbox) as package:
                async with await client.sessions.open_batch(package, form_code=FormCode.FA3) as session:
                    pass

    assert StatusCode.OPENED not in codes(sandbox)
