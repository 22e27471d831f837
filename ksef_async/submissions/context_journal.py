"""The journal of one context, as its worker writes it: each write is one transaction, fenced by the lease.

Before anything is sent the intent is committed (`claim`); rows that are not this worker's any more are never touched.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
from sqlalchemy import bindparam, func, insert, not_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from ..models.sessions import FormCode
from ..models.upo import UPODocument
from .database import Database
from .leases import Lease, check
from .models import Priority, Reason
from .schema import CONTEXTS, SESSIONS, SUBMISSIONS, UPOS
from .states import OPEN, SubmissionState, sources_of
from .vault import Vault

__all__ = ["BATCH", "Claim", "ContextJournal", "OpenSession", "Receipt", "Verdict"]

_T = SUBMISSIONS.c
_S = SubmissionState

#: What the name of a batch starts with that has no session yet.
BATCH: Final = "batch "

_PAGE: Final = 200


@attrs.frozen(kw_only=True)
class Claim:
    """A submission whose sending has been committed as an intent."""

    id: int
    attempt: int
    xml: bytes = attrs.field(repr=False)
    offline: bool
    corrects: bytes | None


@attrs.frozen(kw_only=True)
class OpenSession:
    """A session in the journal that is not finished."""

    reference_number: str
    form_code: FormCode
    kind: str
    snapshot: bytes | None = attrs.field(repr=False)


@attrs.frozen
class Receipt:
    """A UPO to be stored."""

    session_reference_number: str
    #: The page's number, or a KSeF number.
    part: str
    document: UPODocument


@attrs.frozen(kw_only=True)
class Verdict:
    """What is to be written of the document with ``invoice_hash`` in a session."""

    session_reference_number: str
    invoice_hash: bytes
    state: SubmissionState
    reference_number: str | None = None
    ksef_number: str | None = None
    #: Seconds since 1970.
    acquired_at: float | None = None
    reason: Reason | None = None
    #: Of a duplicate of this very document: the receipt of the first.
    receipt: Receipt | None = None


class ContextJournal:
    """The submissions and sessions of one context.

    Args:
        database: Of the journal.
        vault: Opens documents.
        lease: The right to write.
    """

    def __init__(self, database: Database, vault: Vault, lease: Lease) -> None:
        self._database = database
        self.vault = vault
        self.context = lease.context
        self._lease = lease

    @asynccontextmanager
    async def _write(self) -> AsyncGenerator[AsyncConnection]:
        async with self._database.write() as connection:
            await check(connection, self._lease)
            yield connection

    def _mine(self, *states: SubmissionState) -> ColumnElement[bool]:
        return (_T.context == self.context) & (_T.owner == self._lease.owner) & _in(*states)

    async def adopt(self) -> tuple[OpenSession, ...]:
        """Make what the last worker had under way this worker's; the sessions it left, the newest first."""
        async with self._write() as connection:
            under_way = (_T.context == self.context) & _in(_S.SENDING, _S.TAKEN_IN)
            await connection.execute(update(SUBMISSIONS).where(under_way).values(owner=self._lease.owner))
            # Packed, perhaps, but never in a session.
            packed = self._mine(_S.SENDING) & _T.session.startswith(BATCH)
            back = {"state": _S.QUEUED.value, "owner": None, "session": None, "attempt": 0}
            await connection.execute(update(SUBMISSIONS).where(packed).values(back))
            table = SESSIONS.c
            found = select(table.reference_number, table.form_code, table.kind, table.snapshot)
            found = found.where(table.context == self.context, table.is_open).order_by(table.opened_at.desc())
            rows = (await connection.execute(found)).all()
        return tuple(
            OpenSession(reference_number=number, form_code=FormCode(form), kind=kind, snapshot=snapshot)
            for number, form, kind, snapshot in rows
        )

    async def waiting(self) -> dict[FormCode, int]:
        """How many submissions are queued, by form."""
        counted = select(_T.form_code, func.count()).where(_T.context == self.context, _in(_S.QUEUED))
        async with self._database.read() as connection:
            rows = (await connection.execute(counted.group_by(_T.form_code))).all()
        return {FormCode(form): count for form, count in rows}

    def _for_batch(self, form_code: FormCode) -> ColumnElement[bool]:
        """The queued that may go in a batch: not urgent, not offline, and not in a batch that failed before."""
        queued = (_T.context == self.context) & _in(_S.QUEUED) & (_T.form_code == form_code.system_code)
        return queued & (_T.priority < int(Priority.URGENT)) & (_T.attempt == 0) & _T.offline.is_(False)

    async def backlog(self, form_code: FormCode) -> tuple[int, int]:
        """How many submissions may go in a batch, and how many bytes they have in all."""
        counted = select(func.count(), func.coalesce(func.sum(func.length(_T.document)), 0))
        async with self._database.read() as connection:
            count, size = (await connection.execute(counted.where(self._for_batch(form_code)))).one()
        return int(count), int(size)

    async def claim_batch(self, form_code: FormCode, batch: str, limit: int) -> int:
        """Commit the intent to pack the next ``limit`` submissions as ``batch``; how many they are."""
        chosen = select(_T.id).where(self._for_batch(form_code)).order_by(_T.priority.desc(), _T.id).limit(limit)
        values = {"state": _S.SENDING.value, "owner": self._lease.owner, "session": batch, "updated_at": time.time()}
        values["attempt"] = _T.attempt + 1
        async with self._write() as connection:
            result = await connection.execute(
                update(SUBMISSIONS).where(_T.id.in_(chosen.scalar_subquery()), _in(_S.QUEUED)).values(values)
            )
        return int(result.rowcount)

    async def documents(self, batch: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """SHA-256 and document of what was claimed as ``batch``."""
        last = 0
        while True:
            page = select(_T.id, _T.sha256, _T.document).where(
                self._mine(_S.SENDING), _T.session == batch, _T.id > last
            )
            async with self._database.read() as connection:
                rows = (await connection.execute(page.order_by(_T.id).limit(_PAGE))).all()
            if not rows:
                return
            for number, digest, document in rows:
                last = number
                yield bytes(digest), await self.vault.unlock(bytes(document))

    async def send_batch_as(self, batch: str, session: OpenSession) -> None:
        """From now on what was claimed as ``batch`` is in a session; nothing is processed before that."""
        async with self._write() as connection:
            await connection.execute(insert(SESSIONS).values(self._row(session)))
            claimed = update(SUBMISSIONS).where(self._mine(_S.SENDING), _T.session == batch)
            await connection.execute(claimed.values(session=session.reference_number))

    async def still_mine(self) -> None:
        """Make sure that the lease is held.

        Raises:
            LeaseLostError: Another worker has taken the context over.
        """
        async with self._write():
            pass

    async def claim(
        self, form_code: FormCode, session_reference_number: str, limit: int, *, but_batch: bool = False
    ) -> tuple[Claim, ...]:
        """Commit the intent to send the next ``limit`` submissions in a session; those it is about.

        Args:
            form_code: Of the session.
            session_reference_number: The session's.
            limit: How many at most.
            but_batch: Leave those that may go in a batch.
        """
        queued = (_T.context == self.context) & _in(_S.QUEUED) & (_T.form_code == form_code.system_code)
        if but_batch:
            queued &= not_(self._for_batch(form_code))
        chosen = select(_T.id, _T.attempt, _T.document, _T.offline, _T.corrects).where(queued)
        # What failed before waits behind what did not.
        chosen = chosen.order_by(_T.priority.desc(), _T.attempt, _T.id).limit(limit)
        async with self._write() as connection:
            rows = (await connection.execute(chosen.with_for_update(skip_locked=True))).all()
            if not rows:
                return ()
            values = {
                "state": _S.SENDING.value,
                "owner": self._lease.owner,
                "attempt": _T.attempt + 1,
                "session": session_reference_number,
                "updated_at": time.time(),
            }
            ids = [row.id for row in rows]
            await connection.execute(update(SUBMISSIONS).where(_T.id.in_(ids)).values(values))
        return tuple(
            [
                Claim(
                    id=number,
                    attempt=attempt + 1,
                    xml=await self.vault.unlock(document),
                    offline=bool(offline),
                    corrects=None if corrects is None else bytes(corrects),
                )
                for number, attempt, document, offline, corrects in rows
            ]
        )

    async def under_way(self, session_reference_number: str, state: SubmissionState) -> tuple[bytes, ...]:
        """SHA-256 of the session's submissions in ``state``."""
        found = select(_T.sha256).where(self._mine(state), _T.session == session_reference_number)
        async with self._database.read() as connection:
            return tuple(bytes(digest) for (digest,) in await connection.execute(found))

    async def record(self, verdicts: Sequence[Verdict]) -> None:
        """Write what has become of submissions, all in one transaction."""
        stored = {v.receipt: await self.vault.lock(v.receipt.document.xml) for v in verdicts if v.receipt is not None}
        async with self._write() as connection:
            upos = {receipt: await self._add_upo(connection, receipt, document) for receipt, document in stored.items()}
            # A verdict can be known before it is written that KSeF has the document: both are written then.
            decided = (_S.ACCEPTED, _S.REJECTED, _S.CONFLICT)
            had = [v for v in verdicts if v.state is _S.TAKEN_IN or (v.state in decided and v.reference_number)]
            await self._move(connection, _S.TAKEN_IN, had)
            for state in (*decided, _S.QUEUED):
                await self._move(connection, state, [v for v in verdicts if v.state is state], upos)

    async def _move(
        self,
        connection: AsyncConnection,
        state: SubmissionState,
        verdicts: Iterable[Verdict],
        upos: dict[Receipt, int] | None = None,
    ) -> None:
        rows = [self._values(state, verdict, upos or {}) for verdict in verdicts]
        if not rows:
            return
        sources = [source for source in sources_of(state) if source in OPEN]
        of_session = (_T.session == bindparam("of_session")) & (_T.sha256 == bindparam("of_hash"))
        change = update(SUBMISSIONS).where(self._mine(*sources), of_session)
        names = [name for name in rows[0] if not name.startswith("of_")]
        await connection.execute(change.values({name: bindparam(f"new_{name}") for name in names}), [
            {(f"new_{name}" if name in names else name): value for name, value in row.items()} for row in rows
        ])  # fmt: skip

    @staticmethod
    def _values(state: SubmissionState, verdict: Verdict, upos: dict[Receipt, int]) -> dict[str, Any]:
        reason = verdict.reason or Reason(None, "")
        values: dict[str, Any] = {
            "of_session": verdict.session_reference_number,
            "of_hash": verdict.invoice_hash,
            "state": state.value,
            "updated_at": time.time(),
        }
        if state is _S.TAKEN_IN:
            return values | {"reference_number": verdict.reference_number}
        values |= {"owner": None, "reason_code": reason.code, "reason": reason.text or None}
        if state is _S.ACCEPTED:
            values |= {"ksef_number": verdict.ksef_number, "acquired_at": verdict.acquired_at}
            values |= {"is_duplicate": verdict.receipt is not None, "upo_id": upos.get(verdict.receipt)}  # type: ignore[arg-type]
        elif state is _S.REJECTED:
            values |= {"identity": None}
        elif state is _S.QUEUED:
            values |= {"session": None, "reference_number": None}
        return values

    @staticmethod
    async def _add_upo(connection: AsyncConnection, receipt: Receipt, stored: bytes) -> int:
        known = select(UPOS.c.id).where(UPOS.c.session == receipt.session_reference_number, UPOS.c.part == receipt.part)
        if (number := (await connection.execute(known)).scalar()) is not None:
            return int(number)
        values = {"session": receipt.session_reference_number, "part": receipt.part, "document": stored}
        return int((await connection.execute(insert(UPOS).values(values).returning(UPOS.c.id))).scalar_one())

    async def add_session(self, session: OpenSession) -> None:
        """Remember a session that was opened; nothing is sent in it before that."""
        async with self._write() as connection:
            await connection.execute(insert(SESSIONS).values(self._row(session)))

    def _row(self, session: OpenSession) -> dict[str, Any]:
        values = attrs.asdict(session) | {"context": self.context, "form_code": session.form_code.system_code}
        return values | {"is_open": True, "opened_at": time.time()}

    async def finish_session(
        self, session_reference_number: str, status_code: int | None, pages: Sequence[UPODocument]
    ) -> int:
        """Store a session's UPO and match it; how many of its accepted submissions it does not confirm."""
        stored = [await self.vault.lock(page.xml) for page in pages]
        accepted = (_T.session == session_reference_number) & _in(_S.ACCEPTED) & _T.upo_id.is_(None)
        async with self._write() as connection:
            for page, document in zip(pages, stored, strict=True):
                upo_id = await self._add_upo(
                    connection, Receipt(session_reference_number, str(page.page), page), document
                )
                entries = [{"of_number": entry.ksef_number, "of_hash": entry.invoice_hash} for entry in page.entries]
                confirmed = (_T.ksef_number == bindparam("of_number")) & (_T.sha256 == bindparam("of_hash"))
                await connection.execute(update(SUBMISSIONS).where(accepted, confirmed).values(upo_id=upo_id), entries)
            left = (await connection.execute(select(func.count()).where(accepted))).scalar_one()
            if not left or not pages:
                finished = update(SESSIONS).where(SESSIONS.c.reference_number == session_reference_number)
                await connection.execute(finished.values(is_open=False, status_code=status_code, snapshot=None))
        return int(left)

    async def forget_session(self, session_reference_number: str, reason: str | None, *, is_new: bool = False) -> None:
        """Regard a session as finished without an end; what was under way in it goes back to the queue.

        Args:
            session_reference_number: The session's.
            reason: Why, for people.
            is_new: As if it had never been tried.
        """
        values: dict[str, Any] = {"state": _S.QUEUED.value, "owner": None, "session": None, "reference_number": None}
        values |= {"reason": reason} | ({"attempt": 0} if is_new else {})
        async with self._write() as connection:
            in_it = self._mine(_S.SENDING, _S.TAKEN_IN) & (_T.session == session_reference_number)
            await connection.execute(update(SUBMISSIONS).where(in_it).values(values))
            finished = update(SESSIONS).where(SESSIONS.c.reference_number == session_reference_number)
            await connection.execute(finished.values(is_open=False, snapshot=None))

    async def note_trouble(self, trouble: str | None) -> None:
        """Say what keeps the context from being delivered; None for nothing."""
        async with self._write() as connection:
            await connection.execute(update(CONTEXTS).where(CONTEXTS.c.context == self.context).values(trouble=trouble))

    async def has_work(self) -> bool:
        """Whether anything is queued or under way."""
        found = select(_T.id).where(_T.context == self.context, _in(*OPEN)).limit(1)
        async with self._database.read() as connection:
            return (await connection.execute(found)).first() is not None


def _in(*states: SubmissionState) -> ColumnElement[bool]:
    # Not IN: what is executed for many rows at once has to have its parameters spelled out. Not the enum's members:
    # psycopg has ideas of its own about those.
    return or_(*(_T.state == state.value for state in states))
