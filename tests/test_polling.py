from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
import pytest

from ksef_async import Cadence, StatusInfo, WaitTimeoutError
from ksef_async.polling import wait_until


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
