"""Where an object with a life may be used: inside of its block, on the event loop that it was entered in."""

from __future__ import annotations

import asyncio
import enum

from ..errors import LocalProtocolError

__all__ = ["Opened"]


class _Phase(enum.Enum):
    NEW = enum.auto()
    OPEN = enum.auto()
    LEFT = enum.auto()


class Opened:
    """The phase of an object's life, and the event loop that it belongs to.

    Args:
        name: Of the object's class, for errors.
        word: By which users call one, for advice.
    """

    __slots__ = ("_loop", "_name", "_phase", "_word")

    def __init__(self, name: str, word: str) -> None:
        self._name = name
        self._word = word
        self._phase = _Phase.NEW
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_open(self) -> bool:
        """True between entering and leaving."""
        return self._phase is _Phase.OPEN

    def begin(self) -> None:
        """Note that it is entered.

        Raises:
            LocalProtocolError: It was entered before; or there is no event loop of asyncio.
        """
        if self._phase is not _Phase.NEW:
            raise LocalProtocolError(f"This {self._name} was entered before; make a new one.")
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            raise LocalProtocolError(
                f"{self._name} runs on asyncio only, not on trio: use asyncio.run, or anyio.run as it is by default."
            ) from None
        self._phase = _Phase.OPEN

    def end(self) -> None:
        """Note that it is left."""
        self._phase = _Phase.LEFT

    def check(self) -> None:
        """Make sure that it may be used here and now.

        Raises:
            LocalProtocolError: It is not entered, or left; or it belongs to another event loop.
        """
        if self._phase is _Phase.NEW:
            raise LocalProtocolError(
                f"This {self._name} is not open: use it inside of `async with ... as {self._word}:`."
            )
        if self._phase is _Phase.LEFT:
            raise LocalProtocolError(f"This {self._name} is closed, for its block has ended; make a new one.")
        if asyncio.get_running_loop() is not self._loop:
            raise LocalProtocolError(
                f"This {self._name} was entered in another event loop; make one for each loop, inside of it."
            )
