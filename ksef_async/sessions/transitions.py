"""The poller: a session's changes of state as an async iterator.

It pulls: KSeF is asked only while somebody listens (120 looks a minute and 1,200 an hour, shared by the whole
context). All listeners of a session share one history and one look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Self

import anyio
import attrs

from ..api.sessions import SessionStatus
from ..calling.polling import Cadence
from ..calling.waiting import LongWait
from ..errors import WaitTimeoutError
from ..protocol.lifecycle import SESSION

__all__ = ["TRANSITION_CADENCE", "SessionHistory", "Transition", "Transitions"]

TRANSITION_CADENCE = Cadence(interval=0.2, factor=1.5, longest=5.0)
"""Brisk at first, for sessions that finish in a second; a long one costs 12 looks a minute of the 120."""


@attrs.frozen(kw_only=True)
class Transition:
    """A session's change from one status code to another."""

    previous: int | None
    """None for the first status seen."""
    current: int
    """KSeF's number of the state the session is in now."""
    seen_at: datetime
    """When this process saw it (UTC); `status.date_updated` is KSeF's own time."""
    status: SessionStatus
    """Everything KSeF said, counters included."""

    @property
    def is_terminal(self) -> bool:
        """True when no other will follow."""
        return SESSION.is_terminal(self.current)

    def __str__(self) -> str:
        return f"{self.previous or '---'} -> {self.current} {self.status.status.description}"


class SessionHistory:
    """Every status of one session that this process has seen, whoever asked for it.

    Args:
        look: Asks KSeF for the status once.
        changed: Called with each change.
    """

    def __init__(
        self, look: Callable[[], Awaitable[SessionStatus]], changed: Callable[[Transition], None] = lambda _: None
    ) -> None:
        self._look = look
        self._changed = changed
        self.lock = anyio.Lock()
        self.listeners: list[Callable[[SessionStatus], None]] = []
        """Each is called with every status, changed or not."""
        self.transitions: list[Transition] = []
        self.last: SessionStatus | None = None
        """The status seen last."""
        self._wait: LongWait | None = None
        self._looks_unchanged = 0
        self._looked_at = float("-inf")

    @property
    def is_complete(self) -> bool:
        """True when a terminal status has been seen."""
        return bool(self.transitions) and self.transitions[-1].is_terminal

    async def look(self) -> SessionStatus:
        """Ask KSeF, and remember the answer."""
        status = await self._look()
        self._looked_at = anyio.current_time()
        self._looks_unchanged += 1
        for listener in self.listeners:
            listener(status)
        previous = self.transitions[-1].current if self.transitions else None
        code = status.status.code
        # A session's codes only grow; parallel answers may overtake each other, and an old one must not undo a new.
        if previous is not None and (code < previous or self.is_complete):
            return status
        self.last = status
        if code != previous:
            self._looks_unchanged, self._wait = 1, None
            transition = Transition(previous=previous, current=code, seen_at=datetime.now(UTC), status=status)
            self.transitions.append(transition)
            self._changed(transition)
        return status

    async def look_when_due(self, cadence: Cadence, what: str) -> None:
        """Wait until the next look is due by ``cadence``, then look; ``what`` is waited for."""
        due = self._looked_at + cadence.pause(self._looks_unchanged)
        if self._wait is None:
            self._wait = LongWait(what)
        self._wait.pause(max(0.0, due - anyio.current_time()))
        await anyio.sleep_until(due)
        await self.look()


class Transitions:
    """Yields each change of a session's status once, from the first seen to the terminal one, then stops.

    Every listener sees all of them, however late it comes. An error of a look is raised to the listener that
    looked, which may simply go on iterating.

    Args:
        history: Of the session.
        reference_number: Of the session.
        cadence: How often to look, and for how long.
        check: Raises where waiting for another change, without a deadline, would never end.

    Raises:
        WaitTimeoutError: ``cadence.deadline`` passed without a terminal status.
        TransportError: No answer came.
        ApiError: KSeF refused the call, or failed.
        RemoteProtocolError: The answer is not what KSeF's API describes.
    """

    def __init__(
        self,
        history: SessionHistory,
        reference_number: str,
        cadence: Cadence = TRANSITION_CADENCE,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._history = history
        self._check = check
        self._reference_number = reference_number
        self._cadence = cadence
        self._next = 0
        self._give_up_at: float | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Transition:
        history = self._history
        if self._give_up_at is None:
            self._give_up_at = self._cadence.give_up_at(anyio.current_time())
        while self._next == len(history.transitions):
            if history.is_complete:
                raise StopAsyncIteration
            if history.transitions and self._cadence.deadline is None:
                self._check()
            with anyio.CancelScope(deadline=self._give_up_at):
                async with history.lock:
                    # Another listener may have looked while this one waited for the lock.
                    if self._next == len(history.transitions):
                        await history.look_when_due(self._cadence, f"Session {self._reference_number}")
            if self._next == len(history.transitions) and anyio.current_time() >= self._give_up_at:
                raise WaitTimeoutError(
                    f"Session {self._reference_number} is still in progress after {self._cadence.deadline} s; "
                    "it may be asked about again later",
                    last_status=history.last.status if history.last else None,
                )
        self._next += 1
        return history.transitions[self._next - 1]
