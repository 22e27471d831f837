"""Wait out what keeps contexts from being delivered, with growing pauses: KSeF's errors, and a database that is away.

KSeF gives each answer another trace id, and each session another number: so a trouble is known by its gist.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, TypeVar

import anyio

from ..errors import KsefError, RateLimitedError
from ..protocol.delivery import Asked, judge
from .faults import is_final
from .models import Settings

__all__ = ["Trouble", "Unreachable", "gist"]

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

# What is different each time: trace ids, reference numbers, other identifiers, durations.
_CHANGING: Final = re.compile(
    r"\[trace [^\]]*\]|\b\d{8}-[A-Z]{2}-[0-9A-F-]+|\b[0-9a-f]{8,}(-[0-9a-f]+)*\b|\b\d+(\.\d+)? (s|seconds|minutes)\b",
    re.IGNORECASE,
)


def gist(text: str) -> str:
    """Return ``text`` without what is different each time the same thing goes wrong."""
    return _CHANGING.sub("...", text)


class Trouble:
    """The trouble of one context.

    Args:
        context: Whose.
        settings: How long to pause.
        note: Writes it down; None when it is over.
        known: What the journal says so far; None for nothing.
    """

    def __init__(
        self, context: str, settings: Settings, note: Callable[[str | None], Awaitable[None]], known: str | None
    ) -> None:
        self._context = context
        self._settings = settings
        self._note = note
        self._is_noted = known is not None
        # The gist of what was written to the journal since all was well.
        self._noted = {gist(known)} if known is not None else set[str]()
        # The gist of what was logged, and when it happened last.
        self._logged = dict.fromkeys(self._noted, anyio.current_time()) if self._noted else {}
        self._is_over = False
        # How many calls are being tried again.
        self._lasting = 0

    async def retry(self, call: Callable[[], Awaitable[Result]], *, asked: Asked | None = None) -> Result:
        """Return what ``call`` returns, calling it again after every error of KSeF's, for as long as that takes.

        Args:
            call: Makes the call.
            asked: What is asked by it; None for something that is called again whatever goes wrong.

        Raises:
            KsefError: An error after which, by `judge`, another call of the same would not end otherwise.
        """
        # Not by `Attempts`, which ends: what is in the journal is delivered however long KSeF is away.
        tries = 0
        with ExitStack() as stack:
            while True:
                try:
                    result = await call()
                except KsefError as error:
                    if asked is not None and not judge(asked, error).step.is_repetition:
                        raise
                    tries += 1
                    if tries == 1:
                        # Not before: a call may take hours without any trouble, and another's be over meanwhile.
                        stack.enter_context(self.lasting())
                    await self.wait_out(error, tries)
                else:
                    self.is_over()
                    return result

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """Keep trouble that is waited out in this block from ending before the block, whatever succeeds meanwhile."""
        self._lasting += 1
        try:
            yield
        finally:
            self._lasting -= 1

    async def wait_out(self, error: KsefError | OSError, tries: int) -> None:
        """Pause after ``error``, the ``tries``-th in a row (from 1)."""
        self._is_over = False
        text = f"{type(error).__name__}: {error}"
        about, now = gist(text), anyio.current_time()
        if now - self._logged.get(about, -float("inf")) > 2 * self._settings.longest_pause:
            _log.warning("delivery for %s: %s", self._context, text)
        self._logged[about] = now
        if about not in self._noted:
            self._noted.add(about)
            self._is_noted = True
            await self._note(text)
        pause = self._settings.pause(tries)
        if isinstance(error, RateLimitedError) and error.retry_after is not None:
            # Never less than the first pause: 0 is an answer, too.
            pause = max(error.retry_after, self._settings.first_pause)
        await anyio.sleep(pause)

    async def before_another_session(self, error: KsefError, in_vain: int) -> None:
        """See `Patience.before_another_session`."""
        await self.wait_out(error, in_vain)

    def is_over(self) -> None:
        """Something went well again."""
        self._is_over = True

    async def clear(self) -> None:
        """Write into the journal that all is well, if it is again."""
        if self._is_over and not self._lasting and self._is_noted:
            self._is_noted = False
            self._noted.clear()
            await self._note(None)


class Unreachable:
    """Something that cannot be reached, or works again.

    Args:
        what: Its name, for people.
        settings: How long to pause.
        describe: Returns an error as it is to be logged.
    """

    def __init__(
        self, what: str, settings: Settings, describe: Callable[[Exception], Exception] = lambda error: error
    ) -> None:
        self._describe = describe
        self._what = what
        self._settings = settings
        self._tries = 0
        self._logged: str | None = None

    async def wait_out(self, error: Exception) -> None:
        """Pause after ``error``, each time in a row for longer.

        Raises:
            Exception: ``error`` itself, when it is not over by itself.
        """
        # Without end, as `Trouble.retry`.
        if is_final(error):
            raise error
        described = self._describe(error)
        text = f"{type(described).__name__}: {described}"
        if (about := gist(text)) != self._logged:
            self._logged = about
            _log.warning("%s cannot be reached; trying again: %s", self._what, text)
        self._tries += 1
        await anyio.sleep(self._settings.pause(self._tries))

    def is_over(self) -> None:
        """Note that it could be reached again."""
        if self._tries:
            _log.info("%s can be reached again", self._what)
        self._tries, self._logged = 0, None
