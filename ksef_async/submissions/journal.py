"""The journal as its users read it, and the changes they make: retry, cancel, acknowledge."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, func, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from ..errors import LocalProtocolError
from .database import Database
from .errors import IdentityTakenError, UnknownSubmissionError
from .grouping import Grouped
from .intake import identity_text
from .models import Submission
from .rows import COLUMNS, submission_of
from .schema import CONTEXTS, SESSIONS, SUBMISSIONS, UPOS
from .states import OPEN, SubmissionState, sources_of
from .vault import Vault

__all__ = ["Journal"]

_T = SUBMISSIONS.c
_S = SubmissionState
_RESULTS = tuple(state.value for state in (_S.ACCEPTED, _S.REJECTED, _S.CONFLICT))
_OPEN = tuple(state.value for state in OPEN)
_PAGE = 500
_LARGEST_ID = 2**63 - 1


class Journal:
    """Reads and changes submissions, whoever delivers them.

    Args:
        database: Of the journal.
        vault: Opens documents.
    """

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._lookup = Grouped(database.read, _look_up)

    async def get(self, submission_id: int | None, key: str | None = None, nip: str | None = None) -> Submission:
        """See `Submissions.get`."""
        if (submission_id is None) == (key is None):
            raise LocalProtocolError("A submission is looked up by its id, or else by its key.")
        # A number that no row can have is an error to databases, and would be one to all who ask at once.
        is_possible = "\0" not in (key or "") if submission_id is None else 0 < submission_id <= _LARGEST_ID
        known: tuple[Submission, ...] = await self._lookup.ask((submission_id, key)) if is_possible else ()
        found = [submission for submission in known if nip is None or submission.nip == nip]
        if not found:
            raise UnknownSubmissionError(f"There is no submission {submission_id if key is None else repr(key)}.")
        if len(found) > 1:
            raise LocalProtocolError(f"Several companies have a submission {key!r}: say which one, with nip.")
        return found[0]

    async def aclose(self) -> None:
        """Wait until everybody who has asked is answered."""
        await self._lookup.aclose()

    async def list(
        self, nip: str | None, states: Collection[SubmissionState], after: int, limit: int
    ) -> tuple[Submission, ...]:
        """See `Submissions.list`."""
        wanted = select(*COLUMNS).where(_T.id > max(0, min(after, _LARGEST_ID))).order_by(_T.id).limit(limit)
        if nip is not None:
            wanted = wanted.where(_T.context == nip)
        if states:
            wanted = wanted.where(_T.state.in_([state.value for state in states]))
        return await self._submissions(wanted)

    async def count(self, nip: str | None) -> dict[SubmissionState, int]:
        """See `Submissions.count`."""
        counted = select(_T.state, func.count()).group_by(_T.state)
        if nip is not None:
            counted = counted.where(_T.context == nip)
        async with self._database.read() as connection:
            rows = {row[0]: int(row[1]) for row in await connection.execute(counted)}
        return {state: rows.get(state.value, 0) for state in SubmissionState}

    async def unsettled(self, nip: str | None) -> bool:
        """Whether anything is still to be done."""
        submissions = select(_T.id).where(_T.state.in_(_OPEN)).limit(1)
        sessions = select(SESSIONS.c.reference_number).where(SESSIONS.c.is_open).limit(1)
        if nip is not None:
            submissions, sessions = submissions.where(_T.context == nip), sessions.where(SESSIONS.c.context == nip)
        async with self._database.read() as connection:
            if (await connection.execute(submissions)).first() is not None:
                return True
            return (await connection.execute(sessions)).first() is not None

    async def troubles(self) -> dict[str, str]:
        """See `Submissions.troubles`."""
        found = select(CONTEXTS.c.context, CONTEXTS.c.trouble).where(CONTEXTS.c.trouble.is_not(None))
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(found)}

    async def unheard(
        self, nip: str | None, after: tuple[float, int] | None
    ) -> tuple[tuple[Submission, ...], tuple[float, int] | None]:
        """A page of results that nobody has acknowledged, and where the next page begins; None at the end."""
        wanted = select(*COLUMNS).where(_T.acknowledged.is_(False), _T.state.in_(_RESULTS))
        wanted = wanted.order_by(_T.updated_at, _T.id).limit(_PAGE)
        if nip is not None:
            wanted = wanted.where(_T.context == nip)
        if after is not None:
            wanted = wanted.where(tuple_(_T.updated_at, _T.id) > tuple_(*after))
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).all()
        found = tuple(submission_of(row) for row in rows)
        # As it is stored: a datetime is rounded, and could lead past others of the same moment, or before them.
        return found, None if len(rows) < _PAGE else (rows[-1].updated_at, rows[-1].id)

    async def acknowledge(self, submission_id: int) -> None:
        """See `Submissions.acknowledge`."""
        async with self._database.write() as connection:
            await connection.execute(update(SUBMISSIONS).where(_is(submission_id)).values(acknowledged=True))

    async def document(self, submission_id: int) -> bytes:
        """See `Submissions.document`."""
        async with self._database.read() as connection:
            found = await connection.execute(select(_T.document).where(_is(submission_id)))
            row = found.first()
        if row is None:
            raise UnknownSubmissionError(f"There is no submission {submission_id}.")
        return await self._vault.unlock(bytes(row[0]))

    async def upo(self, submission_id: int) -> bytes:
        """See `Submissions.upo`."""
        wanted = select(UPOS.c.document).join(SUBMISSIONS, _T.upo_id == UPOS.c.id).where(_is(submission_id))
        async with self._database.read() as connection:
            row = (await connection.execute(wanted)).first()
        if row is None:
            submission = await self.get(submission_id)
            raise LocalProtocolError(f"Submission {submission_id} is {submission.state.value} and has no UPO yet.")
        return await self._vault.unlock(bytes(row[0]))

    async def retry(self, submission_id: int) -> Submission:
        """See `Submissions.retry`."""
        before = await self.get(submission_id)
        values: dict[str, Any] = {
            "reason": None,
            "reason_code": None,
            "attempt": 0,
            "failures": 0,
            "lost_batches": 0,
            "acknowledged": False,
            "owner": None,
        }
        values |= {"session": None, "reference_number": None, "updated_at": time.time()}
        about = before.identity
        values["taken_identity"] = identity_text(about)
        sources = [state for state in sources_of(_S.QUEUED) if state not in OPEN]
        try:
            return await self._change(before, _S.QUEUED, sources, values, "cannot be retried")
        except IntegrityError:
            taken = (_T.taken_identity == values["taken_identity"]) & (_T.context == before.nip)
            twins = await self._submissions(select(*COLUMNS).where(taken))
            raise IdentityTakenError(
                f"Another submission has taken the place of invoice {about}.",
                submission_id=twins[0].id if twins else submission_id,
            ) from None

    async def cancel(self, submission_id: int) -> Submission:
        """See `Submissions.cancel`."""
        before = await self.get(submission_id)
        values: dict[str, Any] = {"taken_identity": None, "updated_at": time.time()}
        return await self._change(before, _S.CANCELLED, sources_of(_S.CANCELLED), values, "cannot be taken back")

    async def _change(
        self,
        before: Submission,
        state: SubmissionState,
        sources: Collection[SubmissionState],
        values: dict[str, Any],
        cannot: str,
    ) -> Submission:
        allowed = or_(*(_T.state == source.value for source in sources))
        change = update(SUBMISSIONS).where(_T.id == before.id, allowed).values(values | {"state": state.value})
        async with self._database.write() as connection:
            row = (await connection.execute(change.returning(*COLUMNS))).first()
        if row is None:
            now = await self.get(before.id)
            raise LocalProtocolError(f"Submission {before.id} is {now.state.value} and {cannot}.")
        return submission_of(row)

    async def _submissions(self, wanted: Select[Any]) -> tuple[Submission, ...]:
        async with self._database.read() as connection:
            return tuple(submission_of(row) for row in await connection.execute(wanted))


async def _look_up(
    connection: AsyncConnection, wanted: Sequence[tuple[int | None, str | None]]
) -> list[tuple[Submission, ...]]:
    """Return the submissions for each of these ids or keys: one for an id, one of each context for a key, or none."""
    ids = {number for number, _ in wanted if number is not None}
    keys = {key for _, key in wanted if key is not None}
    either = [*([_T.id.in_(ids)] if ids else ()), *([_T.caller_key.in_(keys)] if keys else ())]
    rows = await connection.execute(select(*COLUMNS).where(or_(*either)).order_by(_T.id))
    by_id: dict[int, Submission] = {}
    by_key: dict[str, list[Submission]] = {}
    for submission in map(submission_of, rows):
        by_id[submission.id] = submission
        if submission.key is not None:
            by_key.setdefault(submission.key, []).append(submission)
    return [
        tuple(by_key.get(key or "", ())) if number is None else (by_id[number],) if number in by_id else ()
        for number, key in wanted
    ]


def _is(submission_id: int) -> ColumnElement[bool]:
    # A number that no row can have is an error to databases.
    return _T.id == (submission_id if abs(submission_id) <= _LARGEST_ID else 0)
