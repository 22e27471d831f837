"""What is waited for longer than three seconds is told in the log, once a wait."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from virtual_time import VirtualTimeLoop

from ksef_async import Cadence, StatusInfo, WaitTimeoutError
from ksef_async.calling.polling import wait_until
from ksef_async.calling.waiting import LongWait


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


async def wait(seconds: float) -> None:
    async def look() -> StatusInfo:
        return StatusInfo(100, "in progress")

    with pytest.raises(WaitTimeoutError):
        await wait_until(look, lambda _: False, Cadence(deadline=seconds), what="Login X", status=lambda seen: seen)


@pytest.mark.parametrize(("seconds", "told"), [(1.0, []), (60.0, ["Waiting for Login X."])])
async def test_long_poll_is_told_once(caplog: pytest.LogCaptureFixture, seconds: float, told: list[str]) -> None:
    with caplog.at_level(logging.INFO, "ksef_async"):
        await wait(seconds)

    assert [record.getMessage() for record in caplog.records] == told


async def test_what_comes_ends_the_wait(caplog: pytest.LogCaptureFixture) -> None:
    waiting = LongWait("decisions")
    with caplog.at_level(logging.INFO, "ksef_async"):
        for _ in range(2):
            for _ in range(5):
                waiting.pause(1.0)
                await anyio.sleep(1.0)
            waiting.is_over()

    assert [record.getMessage() for record in caplog.records] == ["Waiting for decisions."] * 2
