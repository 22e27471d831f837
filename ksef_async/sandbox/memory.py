"""Smaller things that the world remembers: background work, requests, collective identifiers, moments of queries.

Background work goes on after a call is answered, and ends with the sandbox at the latest. Requests are kept for the
sandbox's page, the newest only. The high-water mark and the moment a query was begun at are the same for all its pages.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import anyio
import attrs

from ..api.collective_identifiers import InvoiceToGroup
from ..api.common import Context
from ..api.invoices import InvoiceFilters
from .clock import Timings, seconds
from .redacting import ShownBody

__all__ = ["Background", "Group", "QueryMoments", "Recent", "SeenRequest"]


# --- background work -------------------------------------------------------------------------------------------------


class Background:
    """Tasks of one sandbox.

    Not a task group: around the sandbox's block, it would wrap the block's own error into a group.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], anyio.CancelScope] = {}

    def start(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` in the background; it must not raise."""
        scope = anyio.CancelScope()

        async def run() -> None:
            # A scope, unlike Task.cancel(), waits for a worker thread and lets it see that it is to stop.
            with scope:
                await work()

        task = asyncio.get_running_loop().create_task(run())
        self._tasks[task] = scope
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def aclose(self) -> None:
        """Cancel all work and wait until it has ended."""
        tasks = dict(self._tasks)
        for scope in tasks.values():
            scope.cancel()
        if tasks:
            await asyncio.wait(tasks)


# --- recent requests -------------------------------------------------------------------------------------------------

_REQUESTS: Final = 200


@attrs.frozen(kw_only=True)
class SeenRequest:
    """A request that was answered; its path is without the query, which can hold a signature."""

    number: int
    at: datetime
    operation: str
    """Name of the operation; ``storage`` for a signed link."""
    method: str
    path: str
    status: int
    """0 where the connection was dropped on purpose."""
    seconds: float
    fault: str | None = None
    """The kind of the fault that happened to it; None without one."""
    refusal: str | None = None
    """KSeF's words where it refused."""
    query: str = ""
    """Without secrets, like the bodies."""
    asked: ShownBody | None = None
    """The body of the request."""
    answered: ShownBody | None = None
    """The body of the answer."""


class Recent:
    """The last requests."""

    def __init__(self) -> None:
        self.requests: deque[SeenRequest] = deque(maxlen=_REQUESTS)
        self.request_count = 0
        """How many there ever were."""

    def saw(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        at: datetime,
        status: int,
        seconds: float,
        fault: str | None = None,
        refusal: str | None = None,
        query: str = "",
        asked: ShownBody | None = None,
        answered: ShownBody | None = None,
    ) -> None:
        """Remember a request."""
        self.request_count += 1
        seen = SeenRequest(
            number=self.request_count,
            at=at,
            operation=operation,
            method=method,
            path=path,
            status=status,
            seconds=seconds,
            fault=fault,
            refusal=refusal,
            query=query,
            asked=asked,
            answered=answered,
        )
        self.requests.append(seen)


# --- collective identifiers ------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Group:
    """Invoices of one seller under one number."""

    number: str
    context: Context
    """The context in which it was made."""
    seller_nip: str
    created_at: datetime
    invoices: tuple[InvoiceToGroup, ...]

    def __contains__(self, ksef_number: str) -> bool:
        return any(invoice.ksef_number == ksef_number for invoice in self.invoices)


# --- moments of queries ----------------------------------------------------------------------------------------------

# Queries whose moments are remembered; whoever goes on with an older one gets the present.
_REMEMBERED: Final = 1_000


class QueryMoments:
    """Remembers when each query began.

    Args:
        timings: How far the high-water mark lies behind.
    """

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self._begun: OrderedDict[tuple[Context, InvoiceFilters], tuple[datetime, datetime]] = OrderedDict()

    def hwm(self, now: datetime) -> datetime:
        """Return the high-water mark: no invoice will be stored with an earlier date."""
        return now - seconds(self._timings.hwm_lag)

    def moments(
        self, context: Context, filters: InvoiceFilters, now: datetime, *, is_first: bool
    ) -> tuple[datetime, datetime]:
        """Return the time and the high-water mark that hold for a page of a query."""
        key = (context, filters)
        if is_first or key not in self._begun:
            self._begun[key] = now, self.hwm(now)
            self._begun.move_to_end(key)
            if len(self._begun) > _REMEMBERED:
                self._begun.popitem(last=False)
        return self._begun[key]
