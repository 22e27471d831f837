"""Finishing although cancelled: at every turn of the loop, by a task or a scope, once or twice, with a deadline."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

import anyio
import pytest

from ksef_async.calling.finishing import ended, finish

#: Turns of the loop that `Work` takes.
TURNS = 8
#: Turns from before it begins until after it has ended.
EVERY_TURN = range(TURNS + 6)


class Work:
    """Takes some turns of the loop, or for ever; then cleans up for a moment."""

    def __init__(self, turns: float = TURNS) -> None:
        self._turns = turns
        self.is_running = False
        self.is_whole = False

    async def __call__(self) -> str:
        self.is_running = True
        try:
            if self._turns == math.inf:
                await asyncio.sleep(3600)
            for _ in range(int(self._turns)):
                await asyncio.sleep(0)
            self.is_whole = True
            return "done"
        finally:
            for _ in range(3):
                await asyncio.sleep(0)
            self.is_running = False


def after(turns: int, function: Callable[[], object]) -> None:
    """Call ``function`` in so many turns of the loop."""
    loop = asyncio.get_running_loop()

    def count(left: int) -> None:
        if left:
            loop.call_soon(count, left - 1)
        else:
            function()

    loop.call_soon(count, turns)


async def finishing(work: Work, seconds: float = 5) -> str:
    try:
        return await finish(work(), seconds)
    finally:
        assert not work.is_running, "it goes on"


# --- by Task.cancel() -------------------------------------------------------------------------------------


@pytest.mark.parametrize("again", [None, 0, 1, 3])
@pytest.mark.parametrize("turn", EVERY_TURN)
async def test_a_cancelled_task_finishes_first(turn: int, again: int | None) -> None:
    work = Work()
    task = asyncio.ensure_future(finishing(work))
    after(turn, task.cancel)
    if again is not None:
        after(turn + again, task.cancel)

    await asyncio.wait([task])

    # Cancelled before its first turn, it has not begun; after its last, it is done.
    assert work.is_whole or (turn == 0 and task.cancelled())
    assert task.cancelled() or task.result() == "done"
    if 0 < turn < TURNS:
        assert task.cancelled()


@pytest.mark.parametrize("turn", EVERY_TURN)
async def test_a_cancelled_task_stays_cancelled_once(turn: int) -> None:
    work, seen = Work(), []

    async def flow() -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await finishing(work)
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append(task.cancelling())
            # It arrives once: what is awaited now is not cancelled.
            await asyncio.sleep(0.001)
            raise

    task = asyncio.ensure_future(flow())
    await asyncio.sleep(0)
    after(turn, task.cancel)
    await asyncio.wait([task])

    assert task.cancelled()
    assert seen == [1]
    assert work.is_whole


@pytest.mark.parametrize("turns", range(10))
@pytest.mark.parametrize("early", [0.0, 0.0001, 0.001])
async def test_a_deadline_and_a_cancelled_task_at_once(turns: int, early: float) -> None:
    work = Work(math.inf)
    task = asyncio.ensure_future(finishing(work, 0.01))
    # Around the turn in which the time is up.
    asyncio.get_running_loop().call_later(0.01 - early, after, turns, task.cancel)

    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        await task

    assert not work.is_running


@pytest.mark.parametrize("turn", EVERY_TURN)
async def test_asyncio_timeout_around_it_counts_right(turn: int) -> None:
    work = Work()
    task = asyncio.current_task()
    assert task is not None

    try:
        async with asyncio.timeout(None) as limit:
            after(turn, lambda: limit.reschedule(asyncio.get_running_loop().time()))
            await finishing(work)
            await asyncio.sleep(3600)
    except TimeoutError:
        pass

    assert work.is_whole
    assert limit.expired()
    assert task.cancelling() == 0


@pytest.mark.parametrize("turn", range(1, TURNS))
async def test_asyncio_timeout_and_a_cancelled_task_together_are_a_cancelled_task(turn: int) -> None:
    work = Work()

    async def flow() -> None:
        async with asyncio.timeout(None) as limit:
            after(turn, lambda: limit.reschedule(asyncio.get_running_loop().time()))
            await finishing(work)

    task = asyncio.ensure_future(flow())
    after(turn, task.cancel)
    await asyncio.wait([task])

    assert task.cancelled()
    assert work.is_whole


@pytest.mark.parametrize("turn", range(TURNS))
async def test_asyncio_task_group_that_fails_waits_for_it(turn: int) -> None:
    work = Work()

    async def fail() -> None:
        for _ in range(turn):
            await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as caught:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            await finishing(work)

    assert work.is_whole
    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


# --- by scopes of anyio -----------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", EVERY_TURN)
async def test_a_cancelled_scope_finishes_first(turn: int) -> None:
    work, went_on = Work(), False

    with anyio.CancelScope() as scope:
        after(turn, scope.cancel)
        assert await finishing(work) == "done"
        await anyio.sleep(0.01)
        went_on = True

    assert work.is_whole
    assert scope.cancelled_caught
    assert not went_on


@pytest.mark.parametrize("turn", EVERY_TURN)
async def test_a_scope_whose_deadline_is_passed_finishes_first(turn: int) -> None:
    work = Work()

    with anyio.CancelScope() as scope:
        after(turn, lambda: setattr(scope, "deadline", anyio.current_time()))
        await finishing(work)
        await anyio.sleep(0.01)

    assert work.is_whole
    assert scope.cancelled_caught


@pytest.mark.parametrize("apart", [0, 1])
@pytest.mark.parametrize("turn", range(1, TURNS))
async def test_a_scope_and_a_task_that_are_cancelled_together_are_a_cancelled_task(turn: int, apart: int) -> None:
    work = Work()
    scope = anyio.CancelScope()

    async def flow() -> None:
        with scope:
            await finishing(work)
        await asyncio.sleep(3600)

    task = asyncio.ensure_future(flow())
    after(turn + apart, scope.cancel)
    after(turn, task.cancel)
    await asyncio.wait([task], timeout=2)

    assert task.cancelled()
    assert work.is_whole


async def test_a_cancelled_scope_around_it_does_not_keep_the_loop_busy() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        before = time.process_time()
        await finish(asyncio.sleep(0.5), 5)
        taken = time.process_time() - before

    # A scope that gets through is cancelled anew at each turn of the loop, which then never waits.
    assert taken < 0.2


@pytest.mark.parametrize("turn", range(TURNS))
async def test_anyio_task_group_that_fails_waits_for_it(turn: int) -> None:
    work = Work()

    async def fail() -> None:
        for _ in range(turn):
            await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as caught:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            tasks.start_soon(finishing, work)

    assert work.is_whole or not work.is_running
    assert [type(each) for each in caught.value.exceptions] == [ZeroDivisionError]


# --- its own end ------------------------------------------------------------------------------------------


async def test_what_takes_too_long_is_over_when_a_cancelled_scope_is_left() -> None:
    events = []

    async def slow() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            events.append("cleaned up")

    with anyio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(TimeoutError):
            await finish(slow(), 0.01)
        events.append("finished")

    assert events == ["cleaned up", "finished"]


async def test_failure_of_what_is_finished_is_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await finish(fail(), 5)


async def test_failure_of_what_is_finished_is_noted_on_the_cancellation() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise ZeroDivisionError("by nothing")

    task = asyncio.ensure_future(finish(fail(), 5))
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert any("by nothing" in note for note in getattr(caught.value, "__notes__", ()))


async def test_the_end_of_a_task_is_waited_for_whichever_it_is() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    task = asyncio.ensure_future(fail())
    await finish(ended(task), math.inf)

    assert isinstance(task.exception(), ZeroDivisionError)
