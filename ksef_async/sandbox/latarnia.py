"""The sandbox's Latarnia: announces outages, and nothing else; what else goes wrong is a matter of `faults`.

async with Sandbox() as sandbox:
    event = sandbox.latarnia.announce(LatarniaStatus.FAILURE)
    sandbox.clock.advance(3600)
    sandbox.latarnia.end(event)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import anyio
import attrs
from aiohttp import web

from ..api.latarnia import (
    GET_LATARNIA_MESSAGES,
    GET_LATARNIA_STATUS,
    LatarniaCategory,
    LatarniaMessage,
    LatarniaMessageType,
    LatarniaReport,
    LatarniaStatus,
)
from ..api.operation import Operation
from .clock import Clock
from .faults import Faults
from .refusals import Refusal
from .router import WIRE

__all__ = ["SandboxLatarnia", "add_latarnia"]

# From the least to the worst; of several at once the worst is told.
_SEVERITY: Final = (LatarniaCategory.MAINTENANCE, LatarniaCategory.FAILURE, LatarniaCategory.TOTAL_FAILURE)
_TITLES: Final = {
    LatarniaCategory.MAINTENANCE: "Planowana niedostępność KSeF",
    LatarniaCategory.FAILURE: "Awaria KSeF",
    LatarniaCategory.TOTAL_FAILURE: "Awaria całkowita KSeF",
}


@attrs.define(kw_only=True)
class _Event:
    number: int
    category: LatarniaCategory
    start: datetime
    end: datetime | None
    announced_at: datetime
    text: str

    def is_on(self, now: datetime) -> bool:
        return self.start <= now and (self.end is None or now < self.end)

    def messages(self, now: datetime) -> list[LatarniaMessage]:
        """Return the messages of it that are published by now."""
        is_planned = self.category is LatarniaCategory.MAINTENANCE
        begins, ends = LatarniaMessageType.FAILURE_START, LatarniaMessageType.FAILURE_END
        first = LatarniaMessage(
            id=f"K/{self.announced_at.year}/{'PRT' if is_planned else 'AWR'}/{self.number:02}",
            event_id=self.number,
            category=self.category,
            type=LatarniaMessageType.MAINTENANCE_ANNOUNCEMENT if is_planned else begins,
            title=_TITLES[self.category],
            text=self.text,
            start=self.start,
            end=self.end if is_planned else None,
            version=1,
            published=self.announced_at,
        )
        if is_planned or self.end is None or now < self.end:
            return [first]
        return [
            first,
            attrs.evolve(first, type=ends, end=self.end, version=2, published=max(self.end, first.start or self.end)),
        ]


class SandboxLatarnia:
    """The announcements of the sandbox's Latarnia. `Sandbox.latarnia` is one.

    Announcing a failure makes none: the sandbox goes on answering unless `Sandbox.faults` says otherwise.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[_Event] = []

    def announce(
        self,
        category: LatarniaCategory | LatarniaStatus | str,
        *,
        start: datetime | None = None,
        end: datetime | float | None = None,
        text: str = "Komunikat symulatora, bez skutków prawnych.",
    ) -> int:
        """Announce an outage.

        Args:
            category: ``MAINTENANCE``, ``FAILURE`` or ``TOTAL_FAILURE``.
            start: When it starts; now by default.
            end: When it ends, or after how many seconds; by default it lasts until `SandboxLatarnia.end`.
            text: What is said of it.

        Returns:
            The number of the event.

        Raises:
            ValueError: There is no such category, or it ends before it starts.
        """
        now = self._clock.now()
        begins = start or now
        over = end if end is None or isinstance(end, datetime) else begins + timedelta(seconds=end)
        kind = LatarniaCategory(str(category))
        if not kind.is_known:
            raise ValueError(f"{category} is no outage; announce MAINTENANCE, FAILURE or TOTAL_FAILURE")
        if over is not None and over < begins:
            raise ValueError("an outage cannot end before it starts")
        number = len(self._events) + 1
        self._events.append(_Event(number=number, category=kind, start=begins, end=over, announced_at=now, text=text))
        return number

    def end(self, event: int) -> None:
        """Announce that an outage is over now; without effect on one that is.

        Raises:
            ValueError: There is no such event.
        """
        now = self._clock.now()
        if not 1 <= event <= len(self._events):
            raise ValueError(f"there is no event {event}")
        found = self._events[event - 1]
        if found.end is None or now < found.end:
            found.end = max(now, found.start)

    def report(self) -> LatarniaReport:
        """Return what it says now."""
        now = self._clock.now()
        on = [event for event in self._events if event.is_on(now)]
        if not on:
            return LatarniaReport(LatarniaStatus.AVAILABLE)
        worst = max((event.category for event in on), key=_SEVERITY.index)
        messages = [message for event in on if event.category is worst for message in event.messages(now)]
        return LatarniaReport(LatarniaStatus(worst.value), tuple(messages))

    def messages(self) -> tuple[LatarniaMessage, ...]:
        """Return all that was published by now."""
        now = self._clock.now()
        return tuple(message for event in self._events for message in event.messages(now))


def add_latarnia(app: web.Application, latarnia: SandboxLatarnia, clock: Clock, faults: Faults) -> None:
    """Route ``/latarnia/status`` and ``/latarnia/messages``."""
    for operation, make in ((GET_LATARNIA_STATUS, latarnia.report), (GET_LATARNIA_MESSAGES, latarnia.messages)):
        app.router.add_get(f"/latarnia{operation.path}", _answer(operation, make, clock, faults))


def _answer(
    operation: Operation[None, object], make: Callable[[], object], clock: Clock, faults: Faults
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        now = clock.now()
        response = web.Response(body=WIRE.to_json(make()), content_type="application/json")
        fault = faults.next_for(operation)
        if "Authorization" in request.headers:
            # Nobody is to send a token to somebody else.
            return web.Response(status=400, text="Latarnia takes no Authorization header.")
        if fault is None:
            return response
        await anyio.sleep(fault.seconds)
        try:
            # A response is a mapping, and an empty one is false in older aiohttp.
            replaced = fault.response(request, now, response)
        except Refusal as refusal:
            return refusal.response(instance=request.path, now=now, problem_details=False)
        return response if replaced is None else replaced

    return answer
