"""Cancelling at every await: at the n-th network call of a flow, for each n."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from clients import connected
from virtual_time import VirtualTimeLoop

from ksef_async import FormCode, KsefClient, StatusCode
from ksef_async.calling.events import Event, RequestSent
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sessions.manager import OPEN_GRACE


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Trigger:
    """Pulls at the n-th request."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.pull: Callable[[], object] = lambda: None

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestSent):
            self.left -= 1
            if self.left == 0:
                self.pull()


async def everything(client: KsefClient, invoice: bytes) -> None:
    """Open, enter, send, outcome, terminate, UPO."""
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(invoice)
        await sent.outcome()
    await session.upo()


async def by_task(flow: Awaitable[None], trigger: Trigger) -> bool:
    """Run as a task that is cancelled; whether it was."""
    task = asyncio.ensure_future(flow)
    trigger.pull = task.cancel
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def by_scope(flow: Awaitable[None], trigger: Trigger) -> bool:
    """Run in an anyio scope that is cancelled; whether it was."""
    with anyio.CancelScope() as scope:
        trigger.pull = scope.cancel
        await flow
    return scope.cancelled_caught


def own_tasks() -> set[asyncio.Task[Any]]:
    """All but those of the sandbox, which serves one connection each."""
    return {task for task in asyncio.all_tasks() if "RequestHandler" not in repr(task.get_coro())}


@pytest.mark.parametrize("run", [by_task, by_scope])
async def test_no_session_stays_open_wherever_the_flow_is_cancelled(
    sandbox: Sandbox, run: Callable[[Awaitable[None], Trigger], Awaitable[bool]]
) -> None:
    before = own_tasks()
    for number in itertools.count(1):
        trigger = Trigger(number)
        async with connected(sandbox, hook=trigger) as client:
            was_cancelled = await run(everything(client, sample_invoice(sandbox.nip, f"FV/{number}")), trigger)
        assert own_tasks() == before
        now = sandbox.clock.now()
        codes = {session.code_at(now) for session in sandbox.world.sessions.values()}
        assert StatusCode.OPENED not in codes, f"cancelled at request {number}"
        if not was_cancelled:
            break

    # Logging in takes 5 requests, the rest at least as many.
    assert number > 12
    assert StatusCode.PROCESSED_OK in codes


async def test_opening_that_hangs_is_given_up_after_a_while(sandbox: Sandbox) -> None:
    loop = asyncio.get_running_loop()
    async with connected(sandbox) as client:
        await client.log_in()
        sandbox.faults.add("open_online_session", Fault.wait(1000))
        started = loop.time()
        with anyio.move_on_after(1) as scope:
            await client.sessions.open_online(FormCode.FA3)

    assert scope.cancelled_caught
    assert 1 + OPEN_GRACE <= loop.time() - started < 1 + OPEN_GRACE + 1
