"""Latarnia: what the Ministry announces of KSeF's availability."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Self, TypeVar

import anyio

from ..api.environment import Environment
from ..api.latarnia import GET_LATARNIA_MESSAGES, GET_LATARNIA_STATUS, LatarniaMessage, LatarniaReport
from ..calling.caller import Caller
from ..calling.events import Hook
from ..calling.transport import Transport
from ..errors import AnswerTimeoutError, ApiError, LocalProtocolError, RemoteProtocolError, TransportError
from ..protocol.pacing import Pacer
from ..protocol.retry import RetryPolicy

__all__ = ["Latarnia", "LatarniaChanges"]

T = TypeVar("T")

CACHED_FOR: Final = 60.0
"""Seconds for which an answer is not asked for again."""
TIMEOUT: Final = 10.0
"""Seconds after which Latarnia is taken to be down, all attempts included."""
INTERVAL: Final = 60.0


class Latarnia:
    """The Ministry's announcements of KSeF's availability. `KsefClient.latarnia` is one.

    Its answers are advice: Latarnia was itself down or wrong at times, and what it says of TEST and DEMO is a dummy's
    (TOTAL_FAILURE since January 2026). Nothing in this library stops or starts sending because of it.

    Args:
        environment: Whose outages are announced; see `Environment.latarnia_url`.
        transport: How to get there.
        hook: Is told of every request.
        check: Raises where nothing may be called, as for `Caller`.
    """

    def __init__(
        self,
        environment: Environment,
        transport: Transport,
        *,
        hook: Hook | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        # A caller of its own: neither token, rate limits nor clock of KSeF have anything to do with it.
        own = Environment(environment.latarnia_url, allow_http=environment.allow_http)
        retry = RetryPolicy(attempts=2, patience=0.0, deadline=TIMEOUT)
        caller = Caller(own, transport, retry=retry, pacer=Pacer.unlimited(), hook=hook, check=check)
        self._status = _Cached(lambda: caller.call(GET_LATARNIA_STATUS))
        self._messages = _Cached(lambda: caller.call(GET_LATARNIA_MESSAGES))

    async def status(self, *, fresh: bool = False) -> LatarniaReport:
        """Return how KSeF is, and the messages that this follows from; asked for once a minute at most.

        Args:
            fresh: Ask now, whatever is known.

        Raises:
            TransportError: No answer came within 10 seconds.
            ApiError: Latarnia said no.
            RemoteProtocolError: Its answer cannot be read.

        Source: GET /status.
        """
        return await self._status.get(fresh=fresh)

    async def get_messages(self, *, fresh: bool = False) -> tuple[LatarniaMessage, ...]:
        """Return all messages, future ones too; asked for once a minute at most. See `outages_of`.

        Args:
            fresh: Ask now, whatever is known.

        Raises:
            TransportError: No answer came within 10 seconds.
            ApiError: Latarnia said no.
            RemoteProtocolError: Its answer cannot be read.

        Source: GET /messages.
        """
        return await self._messages.get(fresh=fresh)

    def changes(self, *, interval: float = INTERVAL) -> LatarniaChanges:
        """Follow what Latarnia says: ``async for report in client.latarnia.changes():``.

        Args:
            interval: Seconds between two looks.

        Raises:
            LocalProtocolError: The interval is not above 0.
        """
        if not interval > 0:
            raise LocalProtocolError(f"The interval between two looks is above 0 s, not {interval:g} s.")
        return LatarniaChanges(self, interval)


class LatarniaChanges:
    """Yields Latarnia's report, first the present one and then each changed one. It never ends by itself.

    While Latarnia cannot be asked, nothing is yielded: that says nothing of KSeF.
    """

    def __init__(self, latarnia: Latarnia, interval: float) -> None:
        self._latarnia = latarnia
        self._interval = interval
        self._last: LatarniaReport | None = None
        self._looked_at: float | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LatarniaReport:
        while True:
            if self._looked_at is not None:
                await anyio.sleep_until(self._looked_at + self._interval)
            self._looked_at = anyio.current_time()
            try:
                report = await self._latarnia.status(fresh=True)
            except (TransportError, ApiError, RemoteProtocolError):
                continue  # the hook was told
            if report != self._last:
                self._last = report
                return report


class _Cached(Generic[T]):
    """An answer that is asked for once a minute, by one task at a time."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._ask = ask
        self._lock = anyio.Lock()
        self._answer: tuple[T, float] | None = None

    async def get(self, *, fresh: bool) -> T:
        asked_at = anyio.current_time()
        async with self._lock:
            if self._answer is not None:
                value, at = self._answer
                # What another task has asked for meanwhile is fresh, too.
                if at >= asked_at or (not fresh and asked_at < at + CACHED_FOR):
                    return value
            self._answer = (await self._answered(), anyio.current_time())
            return self._answer[0]

    async def _answered(self) -> T:
        with anyio.move_on_after(TIMEOUT):
            return await self._ask()
        raise AnswerTimeoutError(f"Latarnia has not answered within {TIMEOUT:g} s.", maybe_delivered=False)
