"""What keeps a context from being delivered: waited out with growing pauses, and told in the journal."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ..errors import KsefError, RateLimitedError
from .settings import Settings

__all__ = ["Trouble"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Trouble:
    """The trouble of one context.

    Args:
        context: Whose.
        settings: How long to pause.
        note: Writes it down; None when it is over.
        told: What the journal says so far.
    """

    def __init__(
        self, context: str, settings: Settings, note: Callable[[str | None], Awaitable[None]], told: str | None
    ) -> None:
        self._context = context
        self._settings = settings
        self._note = note
        self._told = told
        self._is_over = False

    async def persist(self, call: Callable[[], Awaitable[Result]], *, but: tuple[type[KsefError], ...] = ()) -> Result:
        """What ``call`` returns: it is made again, for as long as it takes, after everything that goes wrong with KSeF.

        Raises:
            KsefError: One of ``but``, which another try would not change.
        """
        tries = 0
        while True:
            try:
                result = await call()
            except but:
                raise
            except KsefError as error:
                tries += 1
                await self.wait_out(error, tries)
            else:
                self.is_over()
                return result

    async def wait_out(self, error: KsefError | OSError, tries: int) -> None:
        """Pause after ``error``, the ``tries``-th in a row (from 1)."""
        self._is_over = False
        text = f"{type(error).__name__}: {error}"
        if text != self._told:
            self._told = text
            _log.warning("delivery for %s: %s", self._context, text)
            await self._note(text)
        pause = self._settings.pause(tries)
        if isinstance(error, RateLimitedError) and error.retry_after is not None:
            pause = error.retry_after
        await anyio.sleep(pause)

    def is_over(self) -> None:
        """Something went well again."""
        self._is_over = True

    async def tell(self) -> None:
        """Have the journal say that all is well, if it is again."""
        if self._is_over and self._told is not None:
            self._told = None
            await self._note(None)
