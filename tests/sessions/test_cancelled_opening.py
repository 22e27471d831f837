"""Cancelling `SessionManager.open_online`: no session stays open that the client could have known of."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio
import attrs
import pytest
from clients import connected
from virtual_time import VirtualTimeLoop

from ksef_async import (
    Event,
    FormCode,
    KsefClient,
    OnlineSession,
    RequestRetried,
    RetryPolicy,
    SessionFilter,
    SessionType,
    StatusCode,
)
from ksef_async.protocol.error_codes import ErrorCode
from ksef_async.sandbox import Fault, Sandbox

#: Seconds that KSeF takes to answer, and after which the opening is cancelled.
ANSWER, PATIENCE = 5.0, 1.0

Opening = Coroutine[Any, Any, OnlineSession]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def codes(sandbox: Sandbox) -> list[StatusCode]:
    """The status of every session, in the order they were opened."""
    now = sandbox.clock.now()
    return [session.code_at(now) for session in sandbox.world.sessions.values()]


async def by_task(opening: Opening) -> None:
    task = asyncio.ensure_future(opening)
    await asyncio.sleep(PATIENCE)
    task.cancel("enough")
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task


async def by_impatient_task(opening: Opening) -> None:
    """Cancels again and again until the opening gives in."""
    task = asyncio.ensure_future(opening)
    while not task.done():
        await asyncio.sleep(PATIENCE)
        task.cancel()
    assert task.cancelled()


async def by_task_group(opening: Opening) -> None:
    async def fail() -> None:
        await asyncio.sleep(PATIENCE)
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(opening)
            tasks.create_task(fail())


async def by_scope(opening: Opening) -> None:
    with anyio.move_on_after(PATIENCE) as scope:
        await opening
    assert scope.cancelled_caught


async def by_timeout(opening: Opening) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await opening


async def by_wait_for(opening: Opening) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opening, PATIENCE)


WAYS = [by_task, by_impatient_task, by_task_group, by_scope, by_timeout, by_wait_for]


@pytest.mark.parametrize("cancel", WAYS)
@pytest.mark.parametrize("own_key", [False, True], ids=["made_key", "given_key"])
async def test_session_opened_while_it_was_cancelled_is_closed(
    sandbox: Sandbox, client: KsefClient, cancel: Callable[[Opening], Awaitable[None]], own_key: bool
) -> None:
    await client.log_in()
    encryption = await client.sessions.new_encryption() if own_key else None
    sandbox.faults.add("open_online_session", Fault.wait(ANSWER))

    await cancel(client.sessions.open_online(FormCode.FA3, encryption=encryption))

    assert codes(sandbox) == [StatusCode.CANCELLED]


async def test_no_session_stays_open_at_whatever_step_the_opening_is_cancelled(
    sandbox: Sandbox, client: KsefClient
) -> None:
    await client.log_in()
    seen: set[tuple[StatusCode, ...]] = set()
    for steps in itertools.count():
        sandbox.world.sessions.clear()
        # Given: to make it, a key is read in a thread, which takes any number of turns of the loop.
        encryption = await client.sessions.new_encryption()
        task = asyncio.ensure_future(client.sessions.open_online(FormCode.FA3, encryption=encryption))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            break
        seen.add(tuple(codes(sandbox)))

    assert codes(sandbox) == [StatusCode.OPENED]  # the last one was not cancelled in time
    assert seen == {(), (StatusCode.CANCELLED,)}


async def test_session_that_is_being_entered_is_closed(sandbox: Sandbox, client: KsefClient) -> None:
    sandbox.faults.add("get_session_status", Fault.wait(ANSWER))

    with anyio.move_on_after(PATIENCE) as scope:
        async with await client.sessions.open_online(FormCode.FA3):
            pytest.fail("entered before KSeF had answered")

    assert scope.cancelled_caught
    assert codes(sandbox) == [StatusCode.CANCELLED]


async def test_cancelled_opening_leaves_the_client_as_it_was(sandbox: Sandbox, client: KsefClient) -> None:
    await client.log_in()
    sandbox.faults.add("open_online_session", Fault.wait(ANSWER))
    await by_scope(client.sessions.open_online(FormCode.FA3))

    async with await client.sessions.open_online(FormCode.FA3) as session:
        assert session.takes_invoices

    assert codes(sandbox) == [StatusCode.CANCELLED, StatusCode.CANCELLED]


async def test_session_whose_opening_nobody_heard_of_is_found_again(sandbox: Sandbox, client: KsefClient) -> None:
    await client.log_in()
    sandbox.faults.add("open_online_session", attrs.evolve(Fault.drop_after(), seconds=ANSWER))
    task = asyncio.ensure_future(client.sessions.open_online(FormCode.FA3))
    await asyncio.sleep(PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.value.args == ()
    # The one that was opened next is closed; the first, which nobody heard of, is not.
    assert codes(sandbox) == [StatusCode.OPENED, StatusCode.CANCELLED]

    async for summary in client.sessions.list(SessionFilter(session_type=SessionType.ONLINE)):
        await (await client.sessions.attach(summary.reference_number)).terminate()

    assert codes(sandbox) == [StatusCode.CANCELLED, StatusCode.CANCELLED]


async def test_session_that_cannot_be_closed_is_named(sandbox: Sandbox, client: KsefClient) -> None:
    await client.log_in()
    sandbox.faults.add("open_online_session", Fault.wait(ANSWER))
    sandbox.faults.add("close_online_session", Fault.refuse(ErrorCode.SESSION_UNAVAILABLE))
    task = asyncio.ensure_future(client.sessions.open_online(FormCode.FA3))
    await asyncio.sleep(PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task

    (reference_number,) = sandbox.world.sessions
    assert "code 21184" in caught.value.__notes__[0]
    assert caught.value.__notes__[1] == f"Session {reference_number} stays open."


# --- cancelled before KSeF was asked ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        pytest.param("list_public_keys", Fault.wait(ANSWER), id="fetching_keys"),
        pytest.param("get_login_status", Fault.wait(ANSWER), id="logging_in"),
        pytest.param("open_online_session", Fault.too_many_requests(int(ANSWER)), id="waiting_its_turn"),
    ],
)
async def test_opening_cancelled_before_ksef_was_asked_stops_at_once(
    sandbox: Sandbox, operation: str, fault: Fault
) -> None:
    loop = asyncio.get_running_loop()
    async with connected(sandbox) as client:
        sandbox.faults.add(operation, fault)
        started = loop.time()

        await by_scope(client.sessions.open_online(FormCode.FA3))

        assert loop.time() - started < PATIENCE + 1
        assert codes(sandbox) == []


async def test_no_other_session_is_opened_once_cancelled_after_an_answer_that_cannot_be_read(sandbox: Sandbox) -> None:
    opening: asyncio.Task[OnlineSession] | None = None

    def cancel(event: Event) -> None:
        if isinstance(event, RequestRetried) and opening is not None:
            opening.cancel()

    sandbox.faults.add("open_online_session", Fault.answer_becomes(201, body=b"{}"))
    async with connected(sandbox, hook=cancel, retry=RetryPolicy(first_pause=5.0)) as client:
        await client.log_in()
        opening = asyncio.ensure_future(client.sessions.open_online(FormCode.FA3))
        await asyncio.wait([opening])

    assert opening.cancelled()
    # The one that nobody has heard of: it takes nothing, and expires.
    assert len(sandbox.world.sessions) == 1
