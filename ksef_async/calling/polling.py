"""The one waiting loop: how often to look, and for how long."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import attrs

from ..errors import Status, WaitTimeoutError
from ..protocol.retry import growing_pause
from .waiting import LongWait

__all__ = ["Cadence", "wait_until"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Cadence:
    """The intervals at which to poll, and the time limit; all in seconds."""

    first_look: float = 0.0
    """Pause before the first look at one thing that is never done at once."""
    interval: float = 0.2
    """Pause after the first look."""
    factor: float = 2.0
    """Each pause is this many times the one before ..."""
    longest: float = 5.0
    """... up to this."""
    deadline: float | None = None
    """When to give up; None for never."""

    def pause(self, looks: int) -> float:
        """Seconds to wait after the ``looks``-th look (from 1) that brought nothing new; none before the first."""
        if looks == 0:
            return 0.0
        return growing_pause(looks, first=self.interval, longest=self.longest, factor=self.factor)

    def give_up_at(self, now: float) -> float:
        """When waiting that begins ``now`` ends; infinity for never."""
        return math.inf if self.deadline is None else now + self.deadline


async def wait_until(
    look: Callable[[], Awaitable[T]],
    done: Callable[[T], bool],
    cadence: Cadence,
    *,
    what: str,
    status: Callable[[T], Status],
) -> T:
    """Look until ``done``.

    Args:
        look: Asks once.
        done: True when there is nothing to wait for any more; may raise.
        cadence: How often, and for how long.
        what: For the error: ``"login 2025..."``.
        status: The status in what was seen, for the error.

    Returns:
        What was seen last.

    Raises:
        WaitTimeoutError: The deadline passed; carries the last status seen.
    """
    last: Status | None = None
    looks = 0
    waiting = LongWait(what)
    with anyio.move_on_after(cadence.deadline):
        await anyio.sleep(cadence.first_look)
        while True:
            seen = await look()
            if done(seen):
                return seen
            last = status(seen)
            looks += 1
            waiting.pause(pause := cadence.pause(looks))
            await anyio.sleep(pause)
    raise WaitTimeoutError(f"{what}: still in progress after {cadence.deadline} s", last_status=last)
