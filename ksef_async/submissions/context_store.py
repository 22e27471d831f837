"""The journal of one context in SQL, as its worker writes it: each write is one transaction, fenced by the lease.

Before anything is sent the intent is committed (`ContextStore.claim`); rows that are not this worker's any more are
never touched.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import attrs
from sqlalchemy import ColumnElement, Integer, bindparam, case, func, insert, literal, not_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..api.sessions import FormCode, InvoicingMode, UPODocument
from ..protocol.delivery import SEND_AGAIN_LIMIT
from .claims import FIT, MAY_BE_IN_BATCH, Among, Claim, Lot, Queue, Today, is_due, is_late, largest_lot
from .database import Database
from .leases import Lease, check
from .models import OPEN, Late, Reason, SubmissionState, sources_of
from .schema import CLAIM_ORDER, SESSIONS, SUBMISSIONS, UPOS
from .store import in_state, late_values, transition
from .vault import Vault

if TYPE_CHECKING:
    from ..sessions.batch import BatchSession
    from ..sessions.online import OnlineSession

__all__ = [
    "BATCH",
    "ContextStore",
    "DocumentVerdict",
    "OpenSession",
    "Receipt",
]

_T = SUBMISSIONS.c
_S = SubmissionState

BATCH: Final = "batch "
"""The prefix of a batch's name while it has no session."""

# Documents of a batch that are read at a time.
_PAGE: Final = 200


@attrs.frozen(kw_only=True)
class OpenSession:
    """A session in the journal that is not over."""

    reference_number: str
    form_code: FormCode
    snapshot: tuple[bytes, bytes | str] | None = attrs.field(repr=False)
    """With its key; None where the journal has no snapshot, or no key that reads it."""
    is_closing: bool = False
    """True for a batch that KSeF may have been asked to close."""


@attrs.frozen
class Receipt:
    """A UPO to be stored."""

    session_reference_number: str
    part: str
    """The page's number, or a KSeF number."""
    document: UPODocument


@attrs.frozen(kw_only=True)
class DocumentVerdict:
    """The fate of a document in a session, as it is to be written."""

    session_reference_number: str
    invoice_hash: bytes | None
    """SHA-256 of the document; None where KSeF does not give it: then ``reference_number`` identifies it."""
    state: SubmissionState
    reference_number: str | None = None
    ksef_number: str | None = None
    acquired_at: float | None = None
    """Seconds since 1970."""
    invoicing_mode: InvoicingMode | None = None
    """As KSeF decided when it accepted the document."""
    reason: Reason | None = None
    has_failed: bool = False
    """True for one that goes back to the queue because KSeF failed on this very document. After `SEND_AGAIN_LIMIT`
    times it is rejected instead.
    """
    loss: int = 0
    """For one that goes back to the queue after a lost batch: the least number of lost batches to count for it."""
    receipt: Receipt | None = None
    """For a duplicate of this very document: the receipt of the first."""


class ContextStore:
    """Reads and writes for one context; an `UploadLedger` for the parts of its batches.

    Every method that writes raises LeaseLostError, and writes nothing, when another worker has taken the context over.

    Args:
        database: Of the journal.
        vault: Opens documents.
        lease: The right to write.
    """

    def __init__(self, database: Database, vault: Vault, lease: Lease) -> None:
        self._database = database
        self._lease = lease
        self.vault = vault
        self.context = lease.context

    @asynccontextmanager
    async def _write(self) -> AsyncGenerator[AsyncConnection]:
        """Begin a transaction in which the lease is held, and stays so; the end of the block commits it."""
        async with self._database.write() as connection:
            await check(connection, self._lease)
            yield connection

    def _mine(self) -> ColumnElement[bool]:
        return (_T.context == self.context) & (_T.owner == self._lease.owner)

    def _in(self, session: str) -> ColumnElement[bool]:
        return self._mine() & (_T.session == session)

    def _queued(self, form_code: FormCode | None = None) -> ColumnElement[bool]:
        queued = (_T.context == self.context) & in_state(_S.QUEUED)
        return queued if form_code is None else queued & (_T.form_code == form_code.system_code)

    # --- the queue ----------------------------------------------------------------------------------------

    async def take_over(self) -> tuple[OpenSession, ...]:
        """Make this worker's what the last one had under way; return the sessions it left, the newest first."""
        under_way = (_T.context == self.context) & in_state(_S.SENDING, _S.TAKEN_IN)
        # Packed, perhaps, but never in a session.
        packed = transition(_S.QUEUED, {_S.SENDING}).where(self._mine(), _T.session.startswith(BATCH))
        table = SESSIONS.c
        found = select(table.reference_number, table.form_code, table.snapshot, table.is_closing)
        found = found.where(table.context == self.context, table.is_open).order_by(table.opened_at.desc())
        async with self._write() as connection:
            await connection.execute(update(SUBMISSIONS).where(under_way).values(owner=self._lease.owner))
            await connection.execute(packed.values(attempt=0))
            rows = (await connection.execute(found)).all()
        return tuple(
            OpenSession(
                reference_number=number,
                form_code=FormCode(form),
                snapshot=None if snapshot is None else self.vault.with_key(bytes(snapshot)),
                is_closing=bool(is_closing),
            )
            for number, form, snapshot, is_closing in rows
        )

    async def waiting(self, today: Today | None = None) -> Mapping[FormCode, Queue]:
        """Return what is queued, by its form.

        Args:
            today: The day to count by; None to count nothing as due or late.
        """
        late: ColumnElement[bool] = literal(False)
        due: ColumnElement[bool] = literal(False)
        if today is not None:
            late, due = is_late(today), is_due(today)
        in_batch, due_in_batch = MAY_BE_IN_BATCH & not_(late), due & FIT & _T.offline.is_(False)
        counted = select(
            _T.form_code,
            func.count(case((in_batch, 1))),
            func.coalesce(func.sum(case((in_batch, func.length(_T.document)))), 0),
            func.count(case((not_(late) & not_(MAY_BE_IN_BATCH), 1))),
            func.count(case((due, 1))),
            func.count(case((due_in_batch, 1))),
            func.coalesce(func.sum(case((due_in_batch, func.length(_T.document)))), 0),
            func.count(case((late, 1))),
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(counted.where(self._queued()).group_by(_T.form_code))).all()
        return {FormCode(form): Queue(*map(int, numbers)) for form, *numbers in rows}

    async def mark_late(self, today: Today, late: Late) -> dict[date, int]:
        """Mark what was issued online and waits although its date is over; return how many there are of each date.

        Args:
            today: The day that it is.
            late: Whether they go as offline invoices from now on, or are held.
        """
        those = self._queued() & is_late(today)
        marked: dict[date, int] = {}
        async with self._write() as connection:
            for (text,) in (await connection.execute(select(_T.issued_on).where(those).distinct())).all():
                day = date.fromisoformat(text)
                if late is Late.HOLD:
                    reason = Reason(
                        None, f"It was not sent before the end of {day}, so KSeF will regard it as Offline."
                    )
                    change = transition(_S.HELD, {_S.QUEUED}).values(_reason_values(reason)).values(late=late.value)
                else:
                    change = update(SUBMISSIONS).values(late_values(day)).values(updated_at=time.time())
                result = await connection.execute(change.where(those, _T.issued_on == text))
                marked[day] = int(result.rowcount)
        return marked

    async def claim(
        self,
        form_code: FormCode,
        session: str,
        limit: int,
        *,
        but_batch: bool = False,
        today: Today | None = None,
        among: Among = Among.ALL,
    ) -> tuple[Claim, ...]:
        """Commit the intent to send the next ``limit`` submissions in a session; return them.

        Args:
            form_code: Of the session.
            session: Its reference number.
            limit: How many at most.
            but_batch: Leave those that may go in a batch.
            today: The day that it is: what is late is left. None if no midnight counts.
            among: Which of them.
        """
        chosen = select(_T.id, _T.attempt, _T.document, _T.offline, _T.corrects, _T.issued_on)
        chosen = chosen.where(self._queued(form_code))
        if but_batch:
            chosen = chosen.where(not_(MAY_BE_IN_BATCH))
        if today is not None:
            chosen = chosen.where(not_(is_late(today)))
            if among is not Among.ALL:
                chosen = chosen.where(is_due(today) if among is Among.DUE else not_(is_due(today)))
        chosen = chosen.order_by(*CLAIM_ORDER).limit(limit).with_for_update(skip_locked=True)
        async with self._write() as connection:
            rows = (await connection.execute(chosen)).all()
            if not rows:
                return ()
            sending = transition(_S.SENDING, by_id=True).where(_T.id.in_([row.id for row in rows]))
            await connection.execute(sending.values(owner=self._lease.owner, session=session))
        return tuple(
            [
                Claim(
                    id=number,
                    attempt=attempt + 1,
                    xml=await self.vault.unlock(document),
                    offline=bool(offline),
                    corrects=None if corrects is None else bytes(corrects),
                    issued_on=None if issued_on is None else date.fromisoformat(issued_on),
                )
                for number, attempt, document, offline, corrects, issued_on in rows
            ]
        )

    async def claim_batch(
        self, form_code: FormCode, batch: str, limit: int, *, today: Today | None = None, due: bool = False
    ) -> Lot | None:
        """Commit the intent to pack the next ``limit`` submissions as ``batch``; None if there are none.

        Those that have lost as many batches go together, the fewest first, and offline invoices by themselves.

        Args:
            form_code: Of all of them.
            batch: What to name it.
            limit: How many at most.
            today: The day that it is: what is late is left. None if no midnight counts.
            due: True for the last of those, urgent ones too, that are Online before the end of ``today`` only.
        """
        fit = self._queued(form_code) & (FIT if due else MAY_BE_IN_BATCH)
        if today is not None:
            fit &= not_(is_late(today))
            if due:
                fit &= is_due(today) & _T.offline.is_(False)
        first = select(_T.lost_batches, _T.offline).where(fit).order_by(_T.lost_batches, _T.send_by).limit(1)
        async with self._write() as connection:
            if (row := (await connection.execute(first)).first()) is None:
                return None
            lost, offline = int(row[0]), bool(row[1])
            # The first ones go online meanwhile.
            order = [_T.priority, _T.send_by.desc(), _T.attempt.desc(), _T.id.desc()] if due else CLAIM_ORDER
            chosen = select(_T.id).where(fit, _T.lost_batches == lost, _T.offline.is_(offline)).order_by(*order)
            chosen = chosen.limit(min(limit, largest_lot(lost)))
            sending = transition(_S.SENDING).where(_T.id.in_(chosen.scalar_subquery()))
            result = await connection.execute(sending.values(owner=self._lease.owner, session=batch))
        return Lot(int(result.rowcount), offline)

    # --- submissions under way ----------------------------------------------------------------------------

    async def under_way(self, session: str, state: SubmissionState) -> tuple[bytes, ...]:
        """Return the SHA-256 of the session's submissions in ``state``."""
        found = select(_T.sha256).where(self._in(session), in_state(state))
        async with self._database.read() as connection:
            return tuple(bytes(digest) for (digest,) in await connection.execute(found))

    async def is_offline(self, submission_id: int) -> bool:
        """Return whether a submission is to be sent as an offline invoice the next time."""
        async with self._database.read() as connection:
            return bool((await connection.execute(select(_T.offline).where(_T.id == submission_id))).scalar())

    async def record(self, verdicts: Sequence[DocumentVerdict]) -> tuple[DocumentVerdict, ...]:
        """Write what has become of submissions, all in one transaction; to write it again changes nothing.

        Returns:
            The verdicts by which an invoice is Offline for KSeF that was sent as an online one.
        """
        stored = {v.receipt: await self.vault.lock(v.receipt.document.xml) for v in verdicts if v.receipt is not None}
        offline = [v for v in verdicts if v.invoicing_mode is InvoicingMode.OFFLINE and v.receipt is None]
        async with self._write() as connection:
            turned = tuple([v for v in offline if await self._turn_offline(connection, v)])
            upos = {receipt: await _add_upo(connection, receipt, document) for receipt, document in stored.items()}
            # A verdict can be known before it is written that KSeF has the document: both are written then.
            decided = (_S.ACCEPTED, _S.REJECTED, _S.CONFLICT)
            had = [v for v in verdicts if v.state is _S.TAKEN_IN or (v.state in decided and v.reference_number)]
            await self._move(connection, _S.TAKEN_IN, had, upos)
            for state in (*decided, _S.QUEUED):
                await self._move(connection, state, [v for v in verdicts if v.state is state], upos)
            # Those that were sent again often enough are under way still.
            await self._move(connection, _S.REJECTED, [v for v in verdicts if v.has_failed], upos)
        return turned

    async def _turn_offline(self, connection: AsyncConnection, verdict: DocumentVerdict) -> bool:
        """Write that an invoice was late, unless it was sent as an offline invoice or that is known already."""
        its = _T.reference_number == verdict.reference_number
        if verdict.invoice_hash is not None:
            its = _T.sha256 == verdict.invoice_hash
        sent_online = self._in(verdict.session_reference_number) & its & _T.offline.is_(False) & _T.late.is_(None)
        change = update(SUBMISSIONS).where(sent_online).values(late=Late.OFFLINE.value)
        return bool((await connection.execute(change)).rowcount)

    async def _move(
        self,
        connection: AsyncConnection,
        state: SubmissionState,
        verdicts: Sequence[DocumentVerdict],
        upos: Mapping[Receipt, int],
    ) -> None:
        if not verdicts:
            return
        change = transition(state, set(sources_of(state)) & OPEN).where(
            self._mine(), _T.session == bindparam("of_session")
        )
        if state is _S.QUEUED:
            failures = _T.failures + bindparam("of_failures", type_=Integer)
            lost = _lost_batches_after(bindparam("of_loss", type_=Integer))
            change = change.where(failures <= SEND_AGAIN_LIMIT).values(failures=failures, lost_batches=lost)
        # Two statements: neither condition finds its rows by an index once it is joined to the other by OR.
        for column, these in (
            (_T.sha256, [v for v in verdicts if v.invoice_hash is not None]),
            (_T.reference_number, [v for v in verdicts if v.invoice_hash is None]),
        ):
            if these:
                values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in _values(state, these[0], upos)}
                moving = change.where(column == bindparam("of_document")).values(values)
                await connection.execute(moving, [_parameters(state, verdict, upos) for verdict in these])

    async def put_back(self, session: str, reason: Reason | None, *, loss: int = 0) -> None:
        """Put what is in doubt in a session back into the queue, all at once: KSeF does not have it."""
        async with self._write() as connection:
            await self._put_back(connection, session, reason, loss, {_S.SENDING})

    async def _put_back(
        self,
        connection: AsyncConnection,
        session: str,
        reason: Reason | None,
        loss: int,
        among: Collection[SubmissionState],
    ) -> None:
        lost = _lost_batches_after(literal(loss, Integer))
        change = (
            transition(_S.QUEUED, among)
            .where(self._in(session))
            .values(_reason_values(reason))
            .values(lost_batches=lost)
        )
        await connection.execute(change)

    # --- sessions -----------------------------------------------------------------------------------------

    async def session_opened(
        self, session: OnlineSession | BatchSession, form_code: FormCode, *, batch: str | None = None
    ) -> None:
        """Remember a session that was opened; nothing is sent in it before that.

        A process that dies before this is written leaves an empty session at KSeF, which ends by itself.

        Args:
            session: The session.
            form_code: Of its documents.
            batch: Of a batch: what was claimed as this is in it from now on.
        """
        keys = self.vault.keys
        values = {
            "reference_number": session.reference_number,
            "context": self.context,
            "form_code": form_code.system_code,
            "kind": "online" if batch is None else "batch",
            "snapshot": session.snapshot(keys[0]) if keys else None,
            "is_open": True,
            "is_closing": False,
            "opened_at": time.time(),
        }
        async with self._write() as connection:
            await connection.execute(insert(SESSIONS).values(values))
            if batch is not None:
                claimed = update(SUBMISSIONS).where(self._in(batch), in_state(_S.SENDING))
                await connection.execute(claimed.values(session=session.reference_number))

    async def session_closing(self, session: str) -> None:
        """Commit the intent to close a batch: from now on its documents are not taken back while KSeF may close it."""
        async with self._write() as connection:
            await _change_session(connection, session, is_closing=True)

    async def session_over(self, session: str, status_code: int | None, pages: Sequence[UPODocument]) -> int:
        """Store a session's UPO and match it; return how many of its accepted submissions it does not confirm.

        The session is over in the journal, too, when that is none, or when there is no UPO.
        """
        stored = [await self.vault.lock(page.xml) for page in pages]
        accepted = (_T.session == session) & in_state(_S.ACCEPTED) & _T.upo_id.is_(None)
        confirmed = (_T.ksef_number == bindparam("of_number")) & (_T.sha256 == bindparam("of_hash"))
        async with self._write() as connection:
            for page, document in zip(pages, stored, strict=True):
                upo_id = await _add_upo(connection, Receipt(session, str(page.page), page), document)
                entries = [{"of_number": entry.ksef_number, "of_hash": entry.invoice_hash} for entry in page.entries]
                confirming = update(SUBMISSIONS).where(accepted, confirmed)
                await connection.execute(confirming.values(upo_id=upo_id, updated_at=time.time()), entries)
            left = int((await connection.execute(select(func.count()).where(accepted))).scalar_one())
            if not left or not pages:
                await _change_session(connection, session, is_open=False, status_code=status_code, snapshot=None)
        return left

    async def session_given_up(self, session: str, reason: str | None, *, loss: int = 0) -> None:
        """Regard a session as over without an end; what was under way in it goes back to the queue.

        Args:
            session: Its reference number; or the name of a batch that has no session.
            reason: Why, for people.
            loss: For a batch: see `DocumentVerdict.loss`.
        """
        why = None if reason is None else Reason(None, reason)
        async with self._write() as connection:
            await self._put_back(connection, session, why, loss, {_S.SENDING, _S.TAKEN_IN})
            await _change_session(connection, session, is_open=False, snapshot=None)

    # --- batches ------------------------------------------------------------------------------------------

    async def batch_size(self, batch: str) -> int:
        """Return how many bytes the documents of ``batch`` have in all, as they are stored."""
        counted = select(func.coalesce(func.sum(func.length(_T.document)), 0))
        async with self._database.read() as connection:
            found = await connection.execute(counted.where(self._in(batch), in_state(_S.SENDING)))
            return int(found.scalar_one())

    async def batch_documents(self, batch: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """Iterate over SHA-256 and document of all that is in ``batch``, always in the same order."""
        last = 0
        while True:
            page = select(_T.id, _T.sha256, _T.document).where(self._in(batch), in_state(_S.SENDING), _T.id > last)
            async with self._database.read() as connection:
                rows = (await connection.execute(page.order_by(_T.id).limit(_PAGE))).all()
            if not rows:
                return
            for number, digest, document in rows:
                last = number
                yield bytes(digest), await self.vault.unlock(bytes(document))

    async def parts_in(self, session: str) -> set[int]:
        """See `UploadLedger.parts_in`."""
        async with self._database.read() as connection:
            return await _parts_in(connection, session)

    async def note_part(self, session: str, number: int) -> None:
        """See `UploadLedger.note_part`."""
        await self._change_parts(session, lambda parts: parts | {number})

    async def forget_parts(self, session: str, numbers: Collection[int]) -> None:
        """See `UploadLedger.forget_parts`."""
        await self._change_parts(session, lambda parts: parts.difference(numbers))

    async def _change_parts(self, session: str, change: Callable[[set[int]], set[int]]) -> None:
        # What is read cannot change before it is written: the fence holds the context's row.
        async with self._write() as connection:
            parts = change(await _parts_in(connection, session))
            await _change_session(connection, session, uploaded=" ".join(map(str, sorted(parts))))


# --- parts of statements --------------------------------------------------------------------------------------


def _lost_batches_after(loss: ColumnElement[int]) -> ColumnElement[int]:
    """Return the new count of lost batches: one more, or ``loss`` where that is more; a loss of 0 adds none."""
    more = _T.lost_batches + 1
    return case((loss == 0, _T.lost_batches), (more > loss, more), else_=loss)


def _reason_values(reason: Reason | None) -> dict[str, Any]:
    return {"reason_code": reason.code if reason else None, "reason": (reason.text or None) if reason else None}


def _values(state: SubmissionState, verdict: DocumentVerdict, upos: Mapping[Receipt, int]) -> dict[str, Any]:
    """Return what is written of a verdict besides the state."""
    if state is _S.TAKEN_IN:
        return {"reference_number": verdict.reference_number}
    if state is not _S.ACCEPTED:
        return _reason_values(verdict.reason)
    return _reason_values(verdict.reason) | {
        "ksef_number": verdict.ksef_number,
        "acquired_at": verdict.acquired_at,
        "invoicing_mode": mode.value if (mode := verdict.invoicing_mode) is not None and mode.is_known else None,
        "is_duplicate": verdict.receipt is not None,
        "upo_id": None if verdict.receipt is None else upos[verdict.receipt],
    }


def _parameters(state: SubmissionState, verdict: DocumentVerdict, upos: Mapping[Receipt, int]) -> dict[str, Any]:
    """Return the parameters of the statement in `ContextStore._move` for one verdict."""
    by_number = verdict.invoice_hash is None
    parameters = {f"new_{name}": value for name, value in _values(state, verdict, upos).items()} | {
        "of_session": verdict.session_reference_number,
        "of_document": verdict.reference_number if by_number else verdict.invoice_hash,
    }
    if state is _S.QUEUED:
        parameters |= {"of_failures": int(verdict.has_failed), "of_loss": verdict.loss}
    return parameters


async def _change_session(connection: AsyncConnection, session: str, **values: Any) -> None:
    await connection.execute(update(SESSIONS).where(SESSIONS.c.reference_number == session).values(values))


async def _parts_in(connection: AsyncConnection, session: str) -> set[int]:
    found = await connection.execute(select(SESSIONS.c.uploaded).where(SESSIONS.c.reference_number == session))
    return {int(number) for number in (found.scalar() or "").split()}


async def _add_upo(connection: AsyncConnection, receipt: Receipt, stored: bytes) -> int:
    known = select(UPOS.c.id).where(UPOS.c.session == receipt.session_reference_number, UPOS.c.part == receipt.part)
    if (number := (await connection.execute(known)).scalar()) is not None:
        return int(number)
    values = {"session": receipt.session_reference_number, "part": receipt.part, "document": stored}
    return int((await connection.execute(insert(UPOS).values(values).returning(UPOS.c.id))).scalar_one())
