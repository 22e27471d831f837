from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from virtual_time import VirtualTimeLoop

from ksef_async import Cadence, StatusInfo, WaitTimeoutError
from ksef_async.calling.polling import wait_until


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.mark.parametrize(
    ("looks", "pause"), [(0, 0.0), (1, 0.2), (2, 0.4), (3, 0.8), (5, 3.2), (6, 5.0), (7, 5.0), (10**9, 5.0)]
)
def test_pauses_grow_up_to_the_longest(looks: int, pause: float) -> None:
    assert Cadence().pause(looks) == pytest.approx(pause)


def test_cadence_without_interval_never_pauses() -> None:
    assert [Cadence(interval=0).pause(looks) for looks in range(4)] == [0, 0, 0, 0]


@pytest.mark.parametrize(("deadline", "end"), [(None, math.inf), (0.0, 5.0), (2.5, 7.5)])
def test_waiting_ends_with_the_deadline(deadline: float | None, end: float) -> None:
    assert Cadence(deadline=deadline).give_up_at(5.0) == end


def counting(codes: list[int]) -> Callable[[], Awaitable[StatusInfo]]:
    """Looks that see one code after another, the last of them for ever."""

    async def look() -> StatusInfo:
        return StatusInfo(codes.pop(0) if len(codes) > 1 else codes[0], "d")

    return look


async def wait(codes: list[int], cadence: Cadence) -> StatusInfo:
    return await wait_until(
        counting(codes),
        lambda seen: seen.code >= 200,
        cadence,
        what="Login X",
        status=lambda seen: seen,
    )


async def test_looks_until_done() -> None:
    codes = [100, 100, 200, 999]

    assert (await wait(codes, Cadence(interval=0))).code == 200
    assert codes == [999]  # no look more than needed


async def test_first_look_is_at_once() -> None:
    with anyio.fail_after(5):
        assert (await wait([200], Cadence(interval=3600))).code == 200


async def test_deadline_tells_what_was_seen_last() -> None:
    with pytest.raises(WaitTimeoutError, match=r"Login X: still in progress after 0\.05 s; last seen: 150") as caught:
        await wait([100, 150], Cadence(interval=0.001, factor=1, deadline=0.05))

    assert caught.value.last_status == StatusInfo(150, "d")


async def test_deadline_ends_a_look_that_hangs() -> None:
    async def look() -> StatusInfo:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    with pytest.raises(WaitTimeoutError) as caught:
        await wait_until(look, lambda _: True, Cadence(deadline=0.01), what="X", status=lambda seen: seen)

    assert caught.value.last_status is None


async def test_error_of_a_look_is_raised_as_it_is() -> None:
    async def look() -> StatusInfo:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await wait_until(look, lambda _: True, Cadence(interval=0), what="X", status=lambda seen: seen)


@pytest.mark.parametrize(
    ("cadence", "expected"),
    [
        pytest.param(Cadence(), [0, 0.2, 0.6, 1.4, 3.0, 6.2, 11.2, 16.2], id="longer and longer, up to the longest"),
        pytest.param(Cadence(first_look=3, interval=1, factor=1), [3, 4, 5, 6, 7, 8, 9, 10], id="not at once"),
        pytest.param(Cadence(interval=600, longest=900), [0, 600, 1500, 2400, 3300, 4200, 5100, 6000], id="rarely"),
    ],
)
async def test_looks_are_made_as_often_as_the_cadence_says(cadence: Cadence, expected: list[float]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    looks: list[float] = []

    async def look() -> StatusInfo:
        looks.append(loop.time() - began)
        return StatusInfo(100 if len(looks) < 8 else 200, "d")

    await wait_until(look, lambda seen: seen.code >= 200, cadence, what="X", status=lambda seen: seen)

    assert looks == pytest.approx(expected, abs=0.05)
