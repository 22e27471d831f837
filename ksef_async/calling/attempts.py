"""Trying again: the attempts at a call, or at one thing that takes several, with a pause between two."""

from __future__ import annotations

import asyncio
import random

import anyio

from ..errors import KsefError, RateLimitedError
from ..protocol.retry import RetryPolicy, delay_before_retry

__all__ = ["Attempts"]


class Attempts:
    """Counts the attempts at one thing, and waits between two as the retry policy says.

    Every loop that calls KSeF again by the retry policy asks one, made by `Caller.attempts`::

        attempts = caller.attempts()
        while True:
            try:
                return await something()
            except KsefError as error:
                if not attempts.may_go_on(error):
                    raise
            await attempts.pause()

    Args:
        policy: How hard to try.
        chance: The source of jitter.
        repeat_safe: Whether doing it twice does no harm.
        is_timed: Whether the policy's deadline counts from now; else it counts from the end of each attempt.
    """

    __slots__ = ("_began", "_chance", "_counts", "_policy", "_repeat_safe", "delay", "number")

    def __init__(
        self, policy: RetryPolicy, chance: random.Random, *, repeat_safe: bool = True, is_timed: bool = True
    ) -> None:
        self._policy = policy
        self._chance = chance
        self._repeat_safe = repeat_safe
        self._counts = True
        self._began = asyncio.get_running_loop().time() if is_timed else None
        self.number = 1
        """Of the attempt that is being made, from 1."""
        self.delay = 0.0
        """Seconds that the next pause takes."""

    def may_go_on(self, error: KsefError, *, pause: float | None = None) -> bool:
        """Return whether there is another attempt after the one that ended with ``error``.

        Args:
            error: What it ended with.
            pause: Seconds to wait before another attempt, which is then made in any case; None: the policy decides.
        """
        if pause is None:
            elapsed = 0.0 if self._began is None else asyncio.get_running_loop().time() - self._began
            pause = delay_before_retry(
                self._policy,
                error,
                repeat_safe=self._repeat_safe,
                attempt=self.number,
                elapsed=elapsed,
                chance=self._chance,
            )
        # An answer of 429 that says how long to wait does not count.
        self._counts = not isinstance(error, RateLimitedError) or error.retry_after is None
        self.delay = pause or 0.0
        return pause is not None

    async def pause(self) -> None:
        """Wait before the next attempt."""
        self.number += self._counts
        await anyio.sleep(self.delay)
