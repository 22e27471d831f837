"""Who may deliver: for a context the worker that holds its lease, from an SQLite file the process that holds its lock.

Every write of a worker asks whether it still holds the lease. One that is not renewed in time may be taken over. What
is left of the context's rate limits follows it.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ..calling.file_locks import file_lock
from .database import Database
from .models import OPEN, JournalBusyError, LeaseLostError
from .schema import CONTEXTS, SESSIONS, SUBMISSIONS

__all__ = ["Lease", "Leases", "check", "exclusive"]

_OPEN: Final = tuple(state.value for state in OPEN)


@attrs.frozen
class Lease:
    """The right to deliver for a context."""

    context: str
    owner: str
    pacing: dict[str, list[float]] = attrs.field(repr=False)
    """Calls that earlier holders made, by rate group, in seconds before now; empty when the last was this process."""
    trouble: str | None = None
    """The trouble of the context that is in the journal; None for none."""


class Leases:
    """Takes, renews and gives back leases.

    Args:
        database: Of the journal.
        owner: Who takes them: unique among all processes that ever were.
        duration: Seconds a lease lasts unrenewed.
    """

    def __init__(self, database: Database, owner: str, duration: float) -> None:
        self._database = database
        self.owner = owner
        self.duration = duration

    @property
    def are_contested(self) -> bool:
        """True if another process may take a lease that is not renewed; on SQLite there is no other."""
        return not self._database.is_sqlite

    async def waiting(self) -> list[str]:
        """Return the contexts with work that nobody else holds a lease on, the longest waiting first."""
        now = self._now()
        table = SUBMISSIONS.c
        # NULL is nobody, and nothing is unequal to it.
        held = select(CONTEXTS.c.context).where(CONTEXTS.c.expires_at > now, CONTEXTS.c.owner != self.owner)
        work = select(table.context, func.min(table.id).label("first")).where(table.state.in_(_OPEN))
        unfinished = select(SESSIONS.c.context).where(SESSIONS.c.is_open, SESSIONS.c.context.not_in(held)).distinct()
        async with self._database.read() as connection:
            rows = await connection.execute(work.where(table.context.not_in(held)).group_by(table.context))
            first: dict[str, int] = {row[0]: row[1] for row in rows}
            for (context,) in await connection.execute(unfinished):
                first.setdefault(context, 0)
        return sorted(first, key=first.__getitem__)

    async def take(self, context: str) -> Lease | None:
        """Return the lease on ``context``; None while another holds it.

        The owner may take its own again, e.g. one that it could not give back while the database was gone: it sees to
        it that it delivers for a context once at a time.
        """
        dialect = sqlite if self._database.is_sqlite else postgresql
        async with self._database.write() as connection:
            now = self._now()
            row = {"context": context, "expires_at": 0.0}
            await connection.execute(dialect.insert(CONTEXTS).values(row).on_conflict_do_nothing())
            table = CONTEXTS.c
            found = select(table.owner, table.expires_at > now, table.pacing, table.trouble).where(
                table.context == context
            )
            owner, is_held, pacing, trouble = (await connection.execute(found.with_for_update())).one()
            if is_held and owner not in (None, self.owner):
                return None
            values = {"owner": self.owner, "expires_at": now + self.duration}
            await connection.execute(update(CONTEXTS).where(table.context == context).values(values))
            last_was_this_process = owner == self.owner
        return Lease(context, self.owner, {} if last_was_this_process else _aged(pacing), trouble)

    async def renew(self, lease: Lease, pacing: dict[str, list[float]]) -> None:
        """Hold it for another while.

        Raises:
            LeaseLostError: Another has taken it over.
        """
        async with self._database.write(shield=False) as connection:
            await check(connection, lease)
            values: dict[str, Any] = {"expires_at": self._now() + self.duration, "pacing": _dated(pacing)}
            await connection.execute(update(CONTEXTS).where(CONTEXTS.c.context == lease.context).values(values))

    async def give_back(self, lease: Lease, pacing: dict[str, list[float]] | None) -> None:
        """Let others take it at once; does nothing when one has. No ``pacing``: no call was made."""
        async with self._database.write() as connection:
            values: dict[str, Any] = {"expires_at": 0.0}
            if pacing is not None:
                values["pacing"] = _dated(pacing)
            mine = (CONTEXTS.c.context == lease.context) & (CONTEXTS.c.owner == lease.owner)
            await connection.execute(update(CONTEXTS).where(mine).values(values))

    async def release_all(self) -> None:
        """Take every lease from whoever held it: with SQLite, the one process that may deliver is this one."""
        async with self._database.write() as connection:
            await connection.execute(update(CONTEXTS).values(expires_at=0.0))

    async def note_trouble(self, context: str, trouble: str | None, *, lease: Lease | None = None) -> None:
        """Write what keeps a context from being delivered; None for nothing.

        Args:
            context: Which.
            trouble: For people.
            lease: Of the worker that delivers for it; None where nobody can.

        Raises:
            LeaseLostError: Another has taken it over.
        """
        async with self._database.write() as connection:
            if lease is not None:
                await check(connection, lease)
            await connection.execute(update(CONTEXTS).where(CONTEXTS.c.context == context).values(trouble=trouble))

    def _now(self) -> Any:
        # Several machines need not agree on the time; SQLite's users are on one.
        return time.time() if self._database.is_sqlite else func.extract("epoch", func.clock_timestamp())


async def check(connection: AsyncConnection, lease: Lease) -> None:
    """Make sure that the lease is held, and stays so until the transaction ends.

    Raises:
        LeaseLostError: Another has taken it over.
    """
    found = select(CONTEXTS.c.owner).where(CONTEXTS.c.context == lease.context).with_for_update()
    if (owner := (await connection.execute(found)).scalar()) != lease.owner:
        raise LeaseLostError(f"Context {lease.context} was taken over by worker {owner}.")


def _dated(pacing: dict[str, list[float]]) -> str:
    return json.dumps({"at": time.time(), "calls": pacing})


def _aged(stored: str | None) -> dict[str, list[float]]:
    if stored is None:
        return {}
    content = json.loads(stored)
    # Clocks that differ by seconds make a limit seem that much fuller or emptier, no more.
    passed = max(0.0, time.time() - content["at"])
    return {group: [age + passed for age in ages] for group, ages in content["calls"].items()}


# --- one process for an SQLite file ---------------------------------------------------------------------------


@asynccontextmanager
async def exclusive(journal: str) -> AsyncGenerator[None]:
    """Hold the lock of the journal in file ``journal`` while the block lasts.

    Raises:
        JournalBusyError: Another process, or another worker of this one, holds it.
    """
    path = Path(f"{journal}.lock")

    def refusal(holder: str) -> JournalBusyError:
        return JournalBusyError(
            f"Process {holder} delivers from this journal already ({path.name} is locked). On SQLite one process "
            "delivers at a time; any number may submit (KsefService(..., deliver=False), or Submissions without "
            "running()). For several workers keep the journal in PostgreSQL."
        )

    async with file_lock(path, refusal, is_kept=True):
        yield
