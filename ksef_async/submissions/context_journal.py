"""The journal of one context, as its worker writes it: each write is one transaction, fenced by the lease.

Before anything is sent the intent is committed (`claim`); rows that are not this worker's any more are never touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from sqlalchemy import ColumnElement, Integer, bindparam, case, func, insert, literal, not_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..api.sessions import FormCode, UPODocument
from ..protocol.delivery import SEND_AGAIN_LIMIT
from .batch_journal import BATCH, BatchJournal
from .fenced import MAY_BE_IN_BATCH, FencedJournal, in_state, lost_batches_after
from .models import Reason
from .schema import CLAIM_ORDER, CONTEXTS, SESSIONS, SUBMISSIONS, UPOS
from .states import OPEN, SubmissionState, sources_of

if TYPE_CHECKING:
    from ..sessions.batch import BatchSession
    from ..sessions.online import OnlineSession

__all__ = ["Claim", "ContextJournal", "OpenSession", "Queue", "Receipt", "Verdict"]

_T = SUBMISSIONS.c
_S = SubmissionState


@attrs.frozen
class Queue:
    """What is queued of one form."""

    for_batch: int
    """How many may go in a batch, and how many bytes they have in all, as they are stored."""
    size_bytes: int
    others: int
    """How many may not."""


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
    is_closing: bool = False
    """Of a batch: whether KSeF may have been asked to close it."""


@attrs.frozen
class Receipt:
    """A UPO to be stored."""

    session_reference_number: str
    part: str
    """The page's number, or a KSeF number."""
    document: UPODocument


@attrs.frozen(kw_only=True)
class Verdict:
    """What is to be written of a document in a session."""

    session_reference_number: str
    invoice_hash: bytes | None
    """Which it is; None where KSeF does not tell: then it is the one with ``reference_number``."""
    state: SubmissionState
    reference_number: str | None = None
    ksef_number: str | None = None
    acquired_at: float | None = None
    """Seconds since 1970."""
    reason: Reason | None = None
    has_failed: bool = False
    """Of one that goes back to the queue: whether KSeF failed on this very document. Not more often than
    `SEND_AGAIN_LIMIT`: then it is rejected.
    """
    loss: int = 0
    """Of one that goes back to the queue: see `lost_batches_after`."""
    receipt: Receipt | None = None
    """Of a duplicate of this very document: the receipt of the first."""


class ContextJournal(FencedJournal):
    """Reads and writes for one context."""

    def batches(self) -> BatchJournal:
        """What concerns its batches."""
        return BatchJournal(self._database, self.vault, self._lease)

    async def adopt(self) -> tuple[OpenSession, ...]:
        """Make what the last worker had under way this worker's; the sessions it left, the newest first."""
        async with self._write() as connection:
            under_way = (_T.context == self.context) & in_state(_S.SENDING, _S.TAKEN_IN)
            await connection.execute(update(SUBMISSIONS).where(under_way).values(owner=self._lease.owner))
            # Packed, perhaps, but never in a session.
            packed = self._mine(_S.SENDING) & _T.session.startswith(BATCH)
            back = {"state": _S.QUEUED.value, "owner": None, "session": None, "attempt": 0}
            await connection.execute(update(SUBMISSIONS).where(packed).values(back))
            table = SESSIONS.c
            found = select(table.reference_number, table.form_code, table.kind, table.snapshot, table.is_closing)
            found = found.where(table.context == self.context, table.is_open).order_by(table.opened_at.desc())
            rows = (await connection.execute(found)).all()
        return tuple(
            OpenSession(
                reference_number=number,
                form_code=FormCode(form),
                kind=kind,
                snapshot=snapshot,
                is_closing=bool(is_closing),
            )
            for number, form, kind, snapshot, is_closing in rows
        )

    async def waiting(self) -> Mapping[FormCode, Queue]:
        """What is queued, by its form."""
        size = func.coalesce(func.sum(case((MAY_BE_IN_BATCH, func.length(_T.document)))), 0)
        counted = select(_T.form_code, func.count(case((MAY_BE_IN_BATCH, 1))), size, func.count())
        async with self._read() as connection:
            rows = (await connection.execute(counted.where(self._queued()).group_by(_T.form_code))).all()
        return {FormCode(form): Queue(count, int(size), total - count) for form, count, size, total in rows}

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
        queued = self._queued_as(form_code)
        if but_batch:
            queued &= not_(MAY_BE_IN_BATCH)
        chosen = select(_T.id, _T.attempt, _T.document, _T.offline, _T.corrects).where(queued)
        chosen = chosen.order_by(*CLAIM_ORDER).limit(limit)
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
        async with self._read() as connection:
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
            # Those that were sent again often enough are under way still.
            await self._move(connection, _S.REJECTED, [v for v in verdicts if v.has_failed])

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
        # Two statements: neither condition finds its rows by an index once it is joined to the other by OR.
        for name, column in (("of_hash", _T.sha256), ("of_reference", _T.reference_number)):
            these = [row for row in rows if (row["of_hash"] is None) is (name == "of_reference")]
            if these:
                await self._move_by(connection, state, sources, these, column == bindparam(name))

    async def _move_by(
        self,
        connection: AsyncConnection,
        state: SubmissionState,
        sources: Sequence[SubmissionState],
        rows: Sequence[Mapping[str, Any]],
        is_it: ColumnElement[bool],
    ) -> None:
        change = update(SUBMISSIONS).where(self._mine(*sources), _T.session == bindparam("of_session"), is_it)
        names = [name for name in rows[0] if not name.startswith("of_")]
        values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
        if state is _S.QUEUED:
            values["failures"] = _T.failures + bindparam("of_failures", type_=Integer)
            values["lost_batches"] = lost_batches_after(bindparam("of_loss", type_=Integer))
            change = change.where(values["failures"] <= SEND_AGAIN_LIMIT)
        unused = "of_reference" if rows[0]["of_hash"] is not None else "of_hash"
        await connection.execute(change.values(values), [
            {(f"new_{name}" if name in names else name): value for name, value in row.items() if name != unused}
            for row in rows
        ])  # fmt: skip

    @staticmethod
    def _values(state: SubmissionState, verdict: Verdict, upos: dict[Receipt, int]) -> dict[str, Any]:
        reason = verdict.reason or Reason(None, "")
        values: dict[str, Any] = {
            "of_session": verdict.session_reference_number,
            "of_hash": verdict.invoice_hash,
            "of_reference": verdict.reference_number if verdict.invoice_hash is None else None,
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
            values |= {"taken_identity": None}
        elif state is _S.QUEUED:
            values |= {"session": None, "reference_number": None}
            values |= {"of_failures": int(verdict.has_failed), "of_loss": verdict.loss}
        return values

    @staticmethod
    async def _add_upo(connection: AsyncConnection, receipt: Receipt, stored: bytes) -> int:
        known = select(UPOS.c.id).where(UPOS.c.session == receipt.session_reference_number, UPOS.c.part == receipt.part)
        if (number := (await connection.execute(known)).scalar()) is not None:
            return int(number)
        values = {"session": receipt.session_reference_number, "part": receipt.part, "document": stored}
        return int((await connection.execute(insert(UPOS).values(values).returning(UPOS.c.id))).scalar_one())

    async def add_session(
        self, session: OnlineSession | BatchSession, form_code: FormCode, kind: str, *, batch: str | None = None
    ) -> None:
        """Remember a session that was opened; nothing is sent in it before that.

        A process that dies before this is written leaves an empty session at KSeF, which ends by itself.

        Args:
            session: The session.
            form_code: Of its documents.
            kind: Online, or a batch.
            batch: What was claimed as this is in it from now on.
        """
        keys = self.vault.keys
        values = {
            "reference_number": session.reference_number,
            "context": self.context,
            "form_code": form_code.system_code,
            "kind": kind,
            "snapshot": session.snapshot(keys[0]) if keys else None,
            "is_open": True,
            "is_closing": False,
            "opened_at": time.time(),
        }
        async with self._write() as connection:
            await connection.execute(insert(SESSIONS).values(values))
            if batch is not None:
                claimed = update(SUBMISSIONS).where(self._mine(_S.SENDING), _T.session == batch)
                await connection.execute(claimed.values(session=session.reference_number))

    async def finish_session(
        self, session_reference_number: str, status_code: int | None, pages: Sequence[UPODocument]
    ) -> int:
        """Store a session's UPO and match it; how many of its accepted submissions it does not confirm."""
        stored = [await self.vault.lock(page.xml) for page in pages]
        accepted = (_T.session == session_reference_number) & in_state(_S.ACCEPTED) & _T.upo_id.is_(None)
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

    async def forget_session(self, session_reference_number: str, reason: str | None, *, loss: int = 0) -> None:
        """Regard a session as finished without an end; what was under way in it goes back to the queue.

        Args:
            session_reference_number: The session's.
            reason: Why, for people.
            loss: Of a batch: see `lost_batches_after`.
        """
        async with self._write() as connection:
            await self._put_back(
                connection, session_reference_number, None if reason is None else Reason(None, reason), loss
            )
            finished = update(SESSIONS).where(SESSIONS.c.reference_number == session_reference_number)
            await connection.execute(finished.values(is_open=False, snapshot=None))

    async def put_back(self, session_reference_number: str, reason: Reason | None, *, loss: int = 0) -> None:
        """Put what is in doubt in a session back into the queue, all at once: KSeF does not have it."""
        async with self._write() as connection:
            await self._put_back(connection, session_reference_number, reason, loss, _S.SENDING)

    async def _put_back(
        self,
        connection: AsyncConnection,
        session_reference_number: str,
        reason: Reason | None,
        loss: int,
        *states: SubmissionState,
    ) -> None:
        values: dict[str, Any] = {"state": _S.QUEUED.value, "owner": None, "session": None, "reference_number": None}
        values |= {"reason_code": reason.code if reason else None, "reason": reason.text if reason else None}
        values |= {"lost_batches": lost_batches_after(literal(loss, Integer)), "updated_at": time.time()}
        in_it = self._mine(*(states or (_S.SENDING, _S.TAKEN_IN))) & (_T.session == session_reference_number)
        await connection.execute(update(SUBMISSIONS).where(in_it).values(values))

    async def note_trouble(self, trouble: str | None) -> None:
        """Say what keeps the context from being delivered; None for nothing."""
        async with self._write() as connection:
            await connection.execute(update(CONTEXTS).where(CONTEXTS.c.context == self.context).values(trouble=trouble))

    async def has_work(self) -> bool:
        """Whether anything is queued or under way."""
        found = select(_T.id).where(_T.context == self.context, in_state(*OPEN)).limit(1)
        async with self._read() as connection:
            return (await connection.execute(found)).first() is not None
