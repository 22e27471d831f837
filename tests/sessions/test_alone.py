"""Locks by key."""

from __future__ import annotations

import asyncio
import gc
import weakref
from contextlib import nullcontext

import pytest

from ksef_async.sessions.sending import Alone


async def test_tasks_with_one_key_take_turns_in_their_order() -> None:
    alone = Alone()
    seen: list[str] = []

    async def work(name: str) -> None:
        async with alone.with_("key"):
            seen.append(f"{name} begins")
            await asyncio.sleep(0)
            seen.append(f"{name} ends")

    await asyncio.gather(*(work(name) for name in "abc"))

    assert seen == [f"{name} {what}" for name in "abc" for what in ("begins", "ends")]


async def test_tasks_with_different_keys_do_not_wait_for_each_other() -> None:
    alone = Alone()

    async with asyncio.timeout(5), alone.with_("one"), alone.with_("other"):
        pass


@pytest.mark.parametrize("is_granted", [pytest.param(False, id="waiting"), pytest.param(True, id="just-granted")])
async def test_cancelled_task_gives_its_turn_to_the_next(is_granted: bool) -> None:
    alone = Alone()
    seen: list[str] = []

    async def work(name: str) -> None:
        async with alone.with_("key"):
            seen.append(name)

    async with alone.with_("key"):
        cancelled, last = asyncio.create_task(work("cancelled")), asyncio.create_task(work("last"))
        await asyncio.sleep(0)
        if not is_granted:
            cancelled.cancel()
    # Released, and not yet taken by whom it was granted to.
    cancelled.cancel()
    await asyncio.wait([cancelled, last], timeout=5)

    assert cancelled.cancelled()
    assert seen == ["last"]


class Key:
    """What can be referred to weakly."""


@pytest.mark.parametrize("error", [pytest.param(None, id="no-error"), pytest.param(ValueError("wrong"), id="error")])
async def test_key_is_forgotten_once_nobody_needs_it(error: Exception | None) -> None:
    alone, key = Alone(), Key()
    gone = weakref.ref(key)

    with nullcontext() if error is None else pytest.raises(ValueError, match="wrong"):
        async with alone.with_(key):
            if error is not None:
                raise error
    del key
    gc.collect()

    assert gone() is None
