"""Trying again: the attempts at one thing that takes more than one call, with a pause between two."""

from __future__ import annotations

import asyncio
import random

import anyio

from ..errors import KsefError
from ..protocol.retry import RetryPolicy, delay_before_retry

__all__ = ["Attempts"]


class Attempts:
    """Counts the attempts at one thing, and waits between two as the retry policy says.

    It is asked in a loop, and made right before it by `Caller.attempts`::

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
        is_timed: Whether the policy's deadline counts from now; else it counts from the end of each attempt.
    """

    def __init__(self, policy: RetryPolicy, chance: random.Random, *, is_timed: bool = True) -> None:
        self._policy = policy
        self._chance = chance
        self._began = asyncio.get_running_loop().time() if is_timed else None
        self.number = 1
        """Of the attempt that is being made, from 1."""
        self.delay = 0.0
        """Seconds that the next pause takes."""

    def may_go_on(self, error: KsefError) -> bool:
        """Return whether there is another attempt after the one that ended with ``error``; it may do no harm."""
        elapsed = 0.0 if self._began is None else asyncio.get_running_loop().time() - self._began
        delay = delay_before_retry(
            self._policy, error, repeat_safe=True, attempt=self.number, elapsed=elapsed, chance=self._chance
        )
        self.delay = delay or 0.0
        return delay is not None

    async def pause(self) -> None:
        """Wait before the next attempt."""
        self.number += 1
        await anyio.sleep(self.delay)
