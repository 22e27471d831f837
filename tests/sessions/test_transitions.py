from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from clients import connected
from virtual_time import VirtualTimeLoop

from ksef_async import Cadence, FormCode, KsefClient, ServerError, StatusCode, Transition, WaitTimeoutError
from ksef_async.api.common import StatusInfo
from ksef_async.api.sessions import SessionStatus
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sessions.transitions import SessionHistory, Transitions

NOW = datetime(2026, 7, 1, tzinfo=UTC)
REFERENCE = "20250625-SO-2C3E6C8000-B675CF5D68-07"
AT_ONCE = Cadence(interval=0)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def status(code: int, count: int = 0) -> SessionStatus:
    return SessionStatus(
        status=StatusInfo(code, "…"),
        date_created=NOW,
        date_updated=NOW,
        invoice_count=count,
    )


class Script:
    """Answers looks with the statuses it is given, one after another; the last one again and again."""

    def __init__(self, *codes: int | Exception) -> None:
        self._codes: Iterator[int | Exception] = itertools.chain(codes, itertools.repeat(codes[-1]))
        self.looks = 0
        self.looked_at: list[float] = []

    async def __call__(self) -> SessionStatus:
        self.looks += 1
        self.looked_at.append(asyncio.get_running_loop().time())
        await anyio.lowlevel.checkpoint()
        code = next(self._codes)
        if isinstance(code, Exception):
            raise code
        return status(code)


def changes(transitions: list[Transition]) -> list[tuple[int | None, int]]:
    return [(transition.previous, transition.current) for transition in transitions]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param([100, 100, 170, 170, 200], [(None, 100), (100, 170), (170, 200)], id="processed"),
        pytest.param([100, 415], [(None, 100), (100, 415)], id="key refused"),
        pytest.param([440], [(None, 440)], id="cancelled"),
        pytest.param([170, 445], [(None, 170), (170, 445)], id="nothing valid"),
        pytest.param([100, 150, 199, 207], [(None, 100), (100, 150), (150, 199), (199, 207)], id="codes unknown to us"),
        pytest.param([100, 170, 100, 200], [(None, 100), (100, 170), (170, 200)], id="an answer overtaken by another"),
    ],
)
async def test_each_change_is_seen_once(codes: list[int], expected: list[tuple[int | None, int]]) -> None:
    history = SessionHistory(Script(*codes))

    seen = [transition async for transition in Transitions(history, REFERENCE, AT_ONCE)]

    assert changes(seen) == expected
    assert seen[-1].is_terminal
    assert [transition.status.status.code for transition in seen] == [current for _, current in expected]


async def test_late_and_parallel_listeners_see_all_and_share_each_look() -> None:
    script = Script(100, 100, 170, 170, 170, 200)
    history = SessionHistory(script)

    async def listen() -> list[Transition]:
        return [transition async for transition in Transitions(history, REFERENCE, Cadence(interval=0.01))]

    early = await asyncio.gather(*(listen() for _ in range(5)))
    late = await listen()

    assert all(changes(seen) == [(None, 100), (100, 170), (170, 200)] for seen in [*early, late])
    assert script.looks == 6


async def test_error_of_a_look_reaches_the_listener_which_may_go_on() -> None:
    trouble = ServerError("502", operation="get_session_status", http_status=502)
    transitions = Transitions(SessionHistory(Script(100, trouble, 170, 200)), REFERENCE, AT_ONCE)

    assert (await anext(transitions)).current == 100
    with pytest.raises(ServerError):
        await anext(transitions)

    assert changes([transition async for transition in transitions]) == [(100, 170), (170, 200)]


async def test_cancelled_listener_leaves_the_others_listening() -> None:
    history = SessionHistory(Script(100, *[170] * 50, 200))
    cadence = Cadence(interval=0.002, longest=0.002)
    other = asyncio.create_task(asyncio.wait_for(_drain(Transitions(history, REFERENCE, cadence)), 5))

    with anyio.move_on_after(0.02):
        await _drain(Transitions(history, REFERENCE, cadence))

    assert changes(await other) == [(None, 100), (100, 170), (170, 200)]


async def _drain(transitions: Transitions) -> list[Transition]:
    return [transition async for transition in transitions]


async def test_deadline_ends_the_listening_with_the_last_status() -> None:
    transitions = Transitions(SessionHistory(Script(100, 170)), REFERENCE, Cadence(interval=0.01, deadline=0.1))

    with pytest.raises(WaitTimeoutError) as caught:
        await _drain(transitions)

    assert caught.value.last_status is not None
    assert caught.value.last_status.code == StatusCode.CLOSED


async def test_deadline_of_no_time_at_all_is_not_for_ever() -> None:
    transitions = Transitions(SessionHistory(Script(100)), REFERENCE, Cadence(interval=0.01, deadline=0))

    with anyio.fail_after(5), pytest.raises(WaitTimeoutError):
        await _drain(transitions)


async def test_nobody_asks_ksef_while_nobody_listens() -> None:
    script = Script(100)
    transitions = Transitions(SessionHistory(script), REFERENCE, AT_ONCE)

    await anext(transitions)
    await anyio.sleep(0.05)

    assert script.looks == 1


async def test_session_and_manager_share_one_history(client: KsefClient, sandbox: Sandbox) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    listener = asyncio.create_task(_drain(client.sessions.transitions(session.reference_number)))

    async with session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()
    own = await _drain(session.transitions())

    assert await listener == own
    assert own[-1].current == StatusCode.PROCESSED_OK
    assert own[-1].status.successful_invoice_count == 1


async def test_every_state_can_be_seen(still_sandbox: Sandbox) -> None:
    sandbox = still_sandbox
    async with connected(sandbox) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            await session.send(sample_invoice(sandbox.nip))
        transitions = session.transitions(AT_ONCE)

        seen = [await anext(transitions), await anext(transitions)]
        sandbox.clock.advance(60)
        seen += [transition async for transition in transitions]

    assert changes(seen) == [(None, 100), (100, 170), (170, 200)]


async def test_pauses_between_looks_grow_until_something_changes() -> None:
    script = Script(100, 100, 100, 170, 170, 170, 200)
    began = asyncio.get_running_loop().time()

    await _drain(Transitions(SessionHistory(script), REFERENCE, Cadence(interval=1, factor=2, longest=60)))

    looked_at = [moment - began for moment in script.looked_at]
    assert looked_at == pytest.approx([0, 1, 3, 7, 8, 10, 14], abs=0.05)


async def test_a_session_is_looked_at_five_times_in_two_seconds_and_every_five_seconds_in_the_end() -> None:
    script = Script(*[100] * 20, 200)
    began = asyncio.get_running_loop().time()

    await _drain(Transitions(SessionHistory(script), REFERENCE))

    looked_at = [moment - began for moment in script.looked_at]
    assert looked_at[:5] == pytest.approx([0, 0.2, 0.5, 0.95, 1.625], abs=0.02)
    assert looked_at[-1] - looked_at[-2] == pytest.approx(5, abs=0.02)


async def test_listener_that_comes_later_waits_for_the_next_look_only() -> None:
    script = Script(100, 170, 200)
    history = SessionHistory(script)
    cadence = Cadence(interval=10, factor=1, longest=10)
    began = asyncio.get_running_loop().time()
    await anext(Transitions(history, REFERENCE, cadence))

    await anyio.sleep(4)
    await _drain(Transitions(history, REFERENCE, cadence))

    assert [moment - began for moment in script.looked_at] == pytest.approx([0, 10, 20], abs=0.05)


async def test_what_is_seen_after_the_end_changes_nothing() -> None:
    history = SessionHistory(Script(100, 440, 200))
    await _drain(Transitions(history, REFERENCE, AT_ONCE))

    await history.look()

    assert changes(history.transitions) == [(None, 100), (100, 440)]
    assert history.last is not None
    assert history.last.status.code == 440
