"""Group commit: what becomes known within a moment goes into one transaction."""

from __future__ import annotations

import anyio

from ..calling.finishing import finish
from .context_store import ContextStore, Verdict

__all__ = ["Recorder"]

# Seconds that the last transaction may take when a worker is stopped.
_GRACE = 5.0

# Seconds that a verdict may wait for others, so that there are fewer transactions. What is lost with the process is
# asked of KSeF again.
_GATHERING = 0.05

# The most verdicts in one transaction: others write to the journal as well.
_LARGEST = 500


class Recorder:
    """Writes verdicts in the order they are given.

    Args:
        journal: Where to.
    """

    def __init__(self, journal: ContextStore) -> None:
        self._journal = journal
        self._waiting: list[Verdict] = []
        self._news = anyio.Event()
        self._is_urgent = anyio.Event()
        self._done = anyio.Condition()
        self._given = 0
        self._written = 0

    def add(self, verdict: Verdict) -> None:
        """Have ``verdict`` written soon."""
        self._waiting.append(verdict)
        self._given += 1
        self._news.set()

    async def flush(self) -> None:
        """Wait until everything given so far is written."""
        wanted = self._given
        self._is_urgent.set()
        async with self._done:
            while self._written < wanted:
                await self._done.wait()

    async def run(self) -> None:
        """Write until cancelled; what was given before that is written all the same.

        Raises:
            LeaseLostError: Another worker has taken the context over.
        """
        try:
            while True:
                await self._news.wait()
                with anyio.move_on_after(_GATHERING):
                    await self._is_urgent.wait()
                self._news, self._is_urgent = anyio.Event(), anyio.Event()
                await self._write()
                if self._waiting:
                    self._news.set()
        except anyio.get_cancelled_exc_class():
            if self._waiting:
                await finish(self._write_rest(), _GRACE)
            raise

    async def _write_rest(self) -> None:
        while self._waiting:
            await self._write()

    async def _write(self) -> None:
        lot = self._waiting[:_LARGEST]
        # A lot whose writing is cancelled stays, and is written again: that changes nothing.
        await self._journal.record(lot)
        del self._waiting[: len(lot)]
        async with self._done:
            self._written += len(lot)
            self._done.notify_all()
