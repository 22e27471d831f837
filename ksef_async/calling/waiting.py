"""Long waits are logged, once each: a program that waits in silence looks dead."""

from __future__ import annotations

import logging
from typing import Final

import anyio

__all__ = ["TOLD_AFTER", "LongWait"]

TOLD_AFTER: Final = 3.0
"""Seconds from which on a wait is logged, at level INFO."""

_log = logging.getLogger(__name__)


class LongWait:
    """One wait, of many pauses.

    Args:
        what: What is waited for, for people: ``"Session 2026... to be processed"``.
    """

    __slots__ = ("_began", "_is_told", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._began: float | None = None
        self._is_told = False

    def pause(self, seconds: float) -> None:
        """Note that ``seconds`` more will be waited; log it where that makes it long, if it was not logged before."""
        now = anyio.current_time()
        if self._began is None:
            self._began = now
        if not self._is_told and now + seconds - self._began >= TOLD_AFTER:
            self._is_told = True
            _log.info("Waiting for %s.", self._what, extra={"ksef_wait": self._what})

    def is_over(self) -> None:
        """Note that something came: what follows is another wait."""
        self._began, self._is_told = None, False
