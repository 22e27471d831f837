"""Watching the deadlines of invoices issued offline: moved by what Latarnia announces, reported before it is too late.

A process watches the contexts that it has a client for, whether or not it delivers for them: a deadline passes also
where nothing can be delivered. What is reported is written into the rows first, in one statement, so that one process
reports it once, and `Submissions.troubles` has it until the invoices are with KSeF.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Final, TypeAlias

import anyio
import attrs
from sqlalchemy import ColumnElement, select, update

from ..calling.events import DeadlineNear, DeadlinePassed
from ..client import KsefClient
from ..errors import ApiError, LocalProtocolError, RemoteProtocolError, TransportError
from ..protocol.availability import outages_of
from ..protocol.offline import OfflineMode, Outage, is_on
from ..protocol.polish_calendar import start_of_day
from .database import Database
from .deadlines import NEAR, OUTSTANDING, PASSED, deadline_in, first_deadline
from .models import Settings
from .schema import NEVER, SUBMISSIONS
from .trouble import Unreachable

__all__ = ["DeadlineWatch"]

_log = logging.getLogger(__name__)

_T = SUBMISSIONS.c

# The most numbers that an event names.
_MOST_NAMED: Final = 20

_Report: TypeAlias = DeadlineNear | DeadlinePassed


@attrs.frozen
class _Group:
    """Outstanding invoices of one mode and date."""

    mode: OfflineMode
    issued_on: date
    due_by: float | None


class DeadlineWatch:
    """Watches the deadlines of a journal.

    Args:
        database: Of the journal.
        client_of: Returns the client of a context, which asks Latarnia, knows KSeF's time, and reports events; raises
            LocalProtocolError where this process has none.
        settings: When to look, and when to report.
        outage: Waits for the database while it cannot be reached.
    """

    def __init__(
        self, database: Database, client_of: Callable[[str], KsefClient], settings: Settings, outage: Unreachable
    ) -> None:
        self._database = database
        self._client_of = client_of
        self._settings = settings
        self._outage = outage
        # Contexts whose client could not be made, once that is logged.
        self._left_out: set[str] = set()

    async def run(self) -> None:
        """Watch until cancelled; a database that cannot be reached is waited for.

        Raises:
            Exception: What the journal's database raised, where that is not over by itself.
        """
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  # any driver's own; what is final is raised
                await self._outage.wait_out(error)
                continue
            self._outage.is_over()
            await anyio.sleep(self._settings.deadline_interval)

    async def look(self) -> None:
        """Move the deadlines by what is announced, and report those that are near or have passed."""
        announced: dict[str, tuple[Outage, ...]] = {}
        for context, groups in (await self._groups()).items():
            if (client := self._client(context)) is None:
                continue
            if outages := await self._outages(client, announced):
                await self._move(context, groups, outages)
            for event in await self._due(context, client.sessions.now().timestamp()):
                client.report(event)

    def _client(self, context: str) -> KsefClient | None:
        """Return the client of a context; None where this process has none, or none for now."""
        try:
            client = self._client_of(context)
        except LocalProtocolError:
            return None  # A process that has it reports the deadlines.
        except Exception as error:  # noqa: BLE001  # the caller's function; one company must not stop the others
            if context not in self._left_out:
                self._left_out.add(context)
                _log.warning(
                    "the deadlines of %s are not watched for now: %s: %s", context, type(error).__name__, error
                )
            return None
        self._left_out.discard(context)
        return client

    async def _groups(self) -> dict[str, list[_Group]]:
        """Return what is outstanding, by context."""
        found = select(_T.context, _T.mode, _T.issued_on, _T.due_by).where(OUTSTANDING).distinct()
        async with self._database.read() as connection:
            rows = (await connection.execute(found)).all()
        groups: dict[str, list[_Group]] = {}
        for context, mode, day, due_by in rows:
            of_context = groups.setdefault(context, [])
            if day is not None:
                of_context.append(_Group(OfflineMode(mode), date.fromisoformat(day), due_by))
        return groups

    @staticmethod
    async def _outages(client: KsefClient, announced: dict[str, tuple[Outage, ...]]) -> tuple[Outage, ...]:
        """Return what is announced; nothing where that is a dummy's, or cannot be asked.

        Args:
            client: Who asks.
            announced: What was answered in this look, by Latarnia's address: it says the same to every company.
        """
        if client.environment.has_dummy_latarnia:
            return ()
        latarnia = client.environment.latarnia_url
        if latarnia not in announced:
            try:
                announced[latarnia] = outages_of(await client.latarnia.get_messages(fresh=True))
            except (TransportError, ApiError, RemoteProtocolError, LocalProtocolError):
                return ()  # The failure was reported; the deadlines stay as they are. Another client may get through.
        return announced[latarnia]

    async def _move(self, context: str, groups: Sequence[_Group], outages: Sequence[Outage]) -> None:
        changes = [(group, *moved) for group in groups if (moved := _moved(group, outages)) is not None]
        if not changes:
            return
        async with self._database.write() as connection:
            for group, due_by, send_by in changes:
                these = (
                    _outstanding(context)
                    & (_T.mode == group.mode.value)
                    & (_T.issued_on == group.issued_on.isoformat())
                )
                these &= _T.due_by.is_(None) if group.due_by is None else _T.due_by == group.due_by
                # About the new one nothing was reported.
                values = {"due_by": due_by, "send_by": send_by, "due_told": 0}
                await connection.execute(update(SUBMISSIONS).where(these).values(values))

    async def _due(self, context: str, now: float) -> list[_Report]:
        """Write down what is to be reported now, and return it."""
        reports: list[_Report] = []
        steps = ((PASSED, now, DeadlinePassed), (NEAR, now + self._settings.deadline_notice, DeadlineNear))
        for level, until, event in steps:
            these = _outstanding(context) & (_T.due_by <= until) & (_T.due_told < level)
            async with self._database.read() as connection:
                if (await connection.execute(select(_T.id).where(these).limit(1))).first() is None:
                    continue
            async with self._database.write() as connection:
                # One statement: what others change or hand in meanwhile is reported if it is marked, and only then.
                marking = update(SUBMISSIONS).where(these).values(due_told=level)
                marked = (await connection.execute(marking.returning(_T.due_by, _T.id, _T.number))).all()
            by_deadline: dict[float, list[str]] = {}
            for due_by, _, number in sorted(marked):
                by_deadline.setdefault(due_by, []).append(number)
            for due_by, numbers in by_deadline.items():
                moment = datetime.fromtimestamp(due_by, UTC)
                named = tuple(numbers[:_MOST_NAMED])
                reports.append(event(nip=context, due_by=moment, count=len(numbers), numbers=named))
        return reports


def _outstanding(context: str) -> ColumnElement[bool]:
    return OUTSTANDING & (_T.context == context)


def _moved(group: _Group, outages: Sequence[Outage]) -> tuple[float | None, float] | None:
    """Return the new deadline and place in the queue of a group; None where nothing changes."""
    deadline = deadline_in(group.mode, group.issued_on, outages)
    due_by = None if deadline.due_by is None else deadline.due_by.timestamp()
    if due_by == group.due_by:
        return None
    if due_by is not None and group.due_by is not None and due_by < group.due_by:
        # Latarnia may have stopped announcing what it announced before: that shortens no deadline.
        start, end = start_of_day(group.issued_on), datetime.fromtimestamp(group.due_by, UTC)
        if not any(is_on(outage, start, end) for outage in outages):
            return None
    if due_by is not None:
        return due_by, due_by
    # It waits for the end of an outage: in the queue it stays where it was at first.
    return None, NEVER if deadline.is_lifted else first_deadline(group.mode, group.issued_on).timestamp()
