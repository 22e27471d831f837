"""Delivery beside a block: whoever leaves the block, nothing runs on, and its failure reaches who is in there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ksef_async import KsefClient
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.submissions import Submissions
from ksef_async.submissions.worker import beside

Work = Callable[[Callable[[], None]], Coroutine[Any, Any, None]]


class FailedError(Exception):
    pass


def failing_after(turns: int) -> Work:
    async def work(ready: Callable[[], None]) -> None:
        ready()
        for _ in range(turns):
            await asyncio.sleep(0)
        raise FailedError

    return work


async def test_block_may_be_left_by_another_task(submissions: Submissions, sandbox: Sandbox) -> None:
    running = submissions.running()
    await asyncio.create_task(running.__aenter__())
    await submissions.submit(sample_invoice(sandbox.nip))
    await submissions.wait_until_settled()
    before = asyncio.all_tasks()

    await asyncio.create_task(running.__aexit__(None, None, None))

    assert len([*sandbox.world.invoices()]) == 1
    # The client's own stay.
    assert asyncio.all_tasks() < before
    async with submissions.running():
        pass


async def test_failure_before_the_block_is_raised_in_its_place() -> None:
    async def work(_: Callable[[], None]) -> None:
        raise FailedError

    with pytest.raises(FailedError):
        async with beside(work):
            raise AssertionError("the block must not begin")


@pytest.mark.parametrize("turns", range(6))
async def test_failure_cancels_the_block_and_nothing_else(turns: int) -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(FailedError):
        async with beside(failing_after(turns)):
            await asyncio.sleep(10)

    assert task.cancelling() == 0
    await asyncio.sleep(0)  # no cancellation is left to be raised


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("in_block", range(6))
async def test_failure_at_any_turn_is_raised_or_was_too_late(turns: int, in_block: int) -> None:
    task = asyncio.current_task()
    assert task is not None
    try:
        async with beside(failing_after(turns)):
            for _ in range(in_block):
                await asyncio.sleep(0)
    except FailedError:
        pass
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_error_of_the_block_is_its_own() -> None:
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(KeyError):
        async with beside(failing_after(3)):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise KeyError from None
    assert task.cancelling() == 0


async def test_cancellation_from_outside_stays_one() -> None:
    is_over = False

    async def work(ready: Callable[[], None]) -> None:
        nonlocal is_over
        ready()
        try:
            await asyncio.sleep(10)
        finally:
            await asyncio.sleep(0.01)
            is_over = True

    async def block() -> None:
        async with beside(work):
            await asyncio.sleep(10)

    task = asyncio.create_task(block())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_over


async def test_failure_and_cancellation_at_once_is_a_cancellation() -> None:
    async def block() -> None:
        async with beside(failing_after(3)):
            await asyncio.sleep(10)

    task = asyncio.create_task(block())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, FailedError)):
        await task


async def test_second_delivery_of_the_same_submissions_is_refused(submissions: Submissions, client: KsefClient) -> None:
    async with submissions.running():
        with pytest.raises(Exception, match="deliver already"):
            async with submissions.running():
                pass
