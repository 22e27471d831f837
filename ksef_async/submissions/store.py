"""Submissions in SQL: the one statement that writes their state, and all that users read and change.

Statements on the journal's tables are in four files: here, in `context_store` (the worker of a context),
`deadline_watch` (its deadlines), and `leases` (which worker has which context).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Select, Update, case, func, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnElement

from ..api.sessions import FormCode, InvoicingMode
from ..protocol.offline import OfflineMode
from ..protocol.polish_calendar import polish_day
from .deadlines import OUTSTANDING, PASSED, first_deadline
from .faults import Guarded
from .models import (
    GIVEN_UP,
    NEW,
    OPEN,
    Identity,
    IdentityTakenError,
    Late,
    Priority,
    Reason,
    Submission,
    SubmissionState,
    sources_of,
)
from .schema import CONTEXTS, SESSIONS, SUBMISSIONS, UPOS
from .transactions import Transaction, execute, insert_missing

__all__ = [
    "Position",
    "Store",
    "add",
    "add_certificate_link",
    "find_rivals",
    "identity_text",
    "in_state",
    "late_values",
    "look_up",
    "read",
    "transition",
    "turn_offline",
]

_T = SUBMISSIONS.c
_S = SubmissionState

_OPEN: Final = tuple(state.value for state in OPEN)
_RESULTS: Final = tuple(state.value for state in (_S.ACCEPTED, _S.REJECTED, _S.CONFLICT, _S.HELD))
# What makes an offline invoice, or its technical correction, of a submission.
_OF_OFFLINE: Final = (
    "offline", "mode", "issued_on", "due_by", "send_by", "certificate_link", "corrects", "corrects_id"
)  # fmt: skip
# What is written of one that goes back to the queue by the user's decision.
_DECIDED_ANEW: Final = {"reason": None, "reason_code": None, "acknowledged": False}
# A number that no row can have is an error to databases.
_LARGEST_ID: Final = 2**63 - 1
# Beyond 18 digits it is no id.
_DIGITS: Final = 18

Position: TypeAlias = tuple[float, int]
"""Where a page of results ends: when the last one was changed, and its id."""


# --- states ---------------------------------------------------------------------------------------------------


@cache
def in_state(*states: SubmissionState) -> ColumnElement[bool]:
    """Return the condition that a submission is in one of ``states``."""
    # Not IN: what is executed for many rows at once has to have its parameters spelled out. Not the enum's members:
    # psycopg has ideas of its own about those.
    return or_(*(_T.state == state.value for state in states))


def transition(
    state: SubmissionState, among: Collection[SubmissionState] | None = None, *, by_id: bool = False
) -> Update:
    """Return the statement that moves submissions to ``state``; no other statement changes a state.

    Conditions and values are the caller's to add. Whatever they are, only those submissions are moved that are in a
    state from which `TRANSITIONS` leads to ``state``.

    Args:
        state: The new state.
        among: The states to move from; by default all that lead there.
        by_id: True where the caller names a few ids: SQLite would look for them among all that are in those states.

    Raises:
        ValueError: No transition leads from one of ``among`` to ``state``.
    """
    leading = sources_of(state)
    sources = leading if among is None else [source for source in SubmissionState if source in among]
    if not sources or not set(sources) <= set(leading):
        raise ValueError(f"No transition leads from {', '.join(sources) or 'any state'} to {state}.")
    values: dict[str, Any] = {"state": state.value, "updated_at": time.time()}
    if state is _S.QUEUED:
        values |= {"session": None, "reference_number": None}
    if state is _S.SENDING:
        values["attempt"] = _T.attempt + 1
    elif state is not _S.TAKEN_IN:
        values["owner"] = None
    if state in GIVEN_UP:
        values["taken_identity"] = None
    is_in = or_(*(_T.state.concat("") == source.value for source in sources)) if by_id else in_state(*sources)
    return update(SUBMISSIONS).where(is_in).values(values)


# --- handing in -----------------------------------------------------------------------------------------------


def identity_text(identity: Identity) -> str:
    """Return what must be unique among a context's submissions that may still become an invoice, or have."""
    return f"{identity.seller_nip} {identity.kind} {identity.number}"


async def find_rivals(tx: Transaction, documents: Sequence[tuple[str, Identity, str | None]]) -> list[Submission]:
    """Return the submissions that have the identity or key of a document of the same context, oldest first.

    Args:
        tx: The caller's transaction.
        documents: Context, identity and key of each.
    """
    numbers: dict[tuple[str, str, str], list[str]] = {}
    keys: dict[str, list[str]] = {}
    for context, about, key in documents:
        numbers.setdefault((context, about.seller_nip, about.kind), []).append(about.number)
        if key is not None:
            keys.setdefault(context, []).append(key)
    # Not IN of all three at once, for which SQLite reads the whole table.
    wanted: list[ColumnElement[bool]] = [
        (_T.context == context) & (_T.seller_nip == seller) & (_T.kind == kind) & _T.number.in_(among)
        for (context, seller, kind), among in numbers.items()
    ]
    wanted += [(_T.context == context) & _T.caller_key.in_(among) for context, among in keys.items()]
    return [_submission(row) for row in await execute(tx, select(*_COLUMNS).where(or_(*wanted)).order_by(_T.id))]


async def add(tx: Transaction, documents: Sequence[Mapping[str, Any]]) -> list[Submission]:
    """Insert new submissions, skipping those that conflict with an existing one; return those inserted.

    Args:
        tx: The caller's transaction.
        documents: Context, key, identity, document and options of each, by the names of the columns.
    """
    now = time.time()
    begin = {
        "state": NEW.value, "attempt": 0, "failures": 0, "lost_batches": 0, "is_duplicate": False,
        "acknowledged": False, "submitted_at": now, "updated_at": now,
    }  # fmt: skip
    return [
        _submission(row)
        for row in await insert_missing(tx, SUBMISSIONS, [{**each, **begin} for each in documents], _COLUMNS)
    ]


async def turn_offline(tx: Transaction, submission_id: int, row: Mapping[str, Any]) -> Submission | None:
    """Make an offline invoice, as ``row`` has it, of one that KSeF has not decided on; None where that cannot be.

    It can be where the submission was issued online, or was late, also if it is held therefore. What is under way goes
    on as it was begun, so nothing that is being sent becomes a technical correction.

    Args:
        tx: The caller's transaction.
        submission_id: Of the submission.
        row: As for `add`.
    """
    values = {name: row[name] for name in _OF_OFFLINE if row[name] is not None}
    values |= {"late": None, "due_told": 0}
    states = OPEN if row["corrects"] is None else {_S.QUEUED}
    waiting = update(SUBMISSIONS).where(in_state(*states)).values(updated_at=time.time())
    held = transition(_S.QUEUED, {_S.HELD}).values(_DECIDED_ANEW)
    for change in (waiting, held):
        change = change.where(_is(submission_id), _T.mode.is_(None) | _T.late.is_not(None)).values(values)
        for changed in await execute(tx, change.returning(*_COLUMNS)):
            return _submission(changed)
    return None


async def add_certificate_link(tx: Transaction, submission_id: int, link: str) -> Submission | None:
    """Keep the link of KOD II of a submission that has none yet; None where it has."""
    without = update(SUBMISSIONS).where(_T.certificate_link.is_(None), _is(submission_id))
    rows = await execute(tx, without.values(certificate_link=link).returning(*_COLUMNS))
    return _submission(rows[0]) if rows else None


async def read(tx: Transaction, submission_id: int) -> Submission:
    """Return a submission that is there."""
    return _submission((await execute(tx, select(*_COLUMNS).where(_is(submission_id))))[0])


# --- what users ask and change --------------------------------------------------------------------------------


async def look_up(
    connection: AsyncConnection, wanted: Sequence[tuple[int | None, str | None]]
) -> list[tuple[Submission, ...]]:
    """Return the submissions for each of these ids or keys: one for an id, one of each context for a key, or none."""
    # A number that no row can have would be an error to all who ask at once; so would NUL, which no key has.
    ids = {number for number, _ in wanted if number is not None and 0 < number <= _LARGEST_ID}
    keys = {key for _, key in wanted if key is not None and "\0" not in key}
    either = [*([_T.id.in_(ids)] if ids else ()), *([_T.caller_key.in_(keys)] if keys else ())]
    by_id: dict[int, Submission] = {}
    by_key: dict[str, list[Submission]] = {}
    if either:
        for row in await connection.execute(select(*_COLUMNS).where(or_(*either)).order_by(_T.id)):
            submission = by_id[row.id] = _submission(row)
            if submission.key is not None:
                by_key.setdefault(submission.key, []).append(submission)
    return [
        tuple(by_key.get(key or "", ())) if number is None else (by_id[number],) if number in by_id else ()
        for number, key in wanted
    ]


class Store:
    """Reads submissions for users, and makes their changes.

    Args:
        database: Of the journal.
    """

    def __init__(self, database: Guarded) -> None:
        self._database = database

    async def list(
        self, nip: str | None, states: Collection[SubmissionState], after: int, limit: int
    ) -> tuple[Submission, ...]:
        """Return a page of submissions."""
        wanted = _page(after, limit)
        if nip is not None:
            wanted = wanted.where(_T.context == nip)
        if states:
            wanted = wanted.where(_T.state.in_([state.value for state in states]))
        return await self._submissions(wanted)

    async def find(
        self, names: Collection[str], hashes: Collection[bytes], has_upo: bool | None, after: int, limit: int
    ) -> tuple[Submission, ...]:
        """Return a page of submissions with one of ``names`` (ids, invoice numbers, KSeF numbers) or ``hashes``."""
        wanted = _page(after, limit)
        if names or hashes:
            ids = [int(name) for name in names if name.isascii() and name.isdecimal() and len(name) <= _DIGITS]
            wanted = wanted.where(
                or_(_T.id.in_(ids), _T.number.in_([*names]), _T.ksef_number.in_([*names]), _T.sha256.in_([*hashes]))
            )
        if has_upo is not None:
            wanted = wanted.where(_T.upo_id.is_not(None) if has_upo else _T.upo_id.is_(None))
        return await self._submissions(wanted)

    async def count(self, nip: str | None) -> dict[SubmissionState, int]:
        """Return how many submissions are in each state."""
        counted = select(_T.state, func.count()).group_by(_T.state)
        if nip is not None:
            counted = counted.where(_T.context == nip)
        async with self._database.read() as connection:
            rows = {row[0]: int(row[1]) for row in await connection.execute(counted)}
        return {state: rows.get(state.value, 0) for state in SubmissionState}

    async def has_work(self, nip: str | None) -> bool:
        """Return whether a submission is not terminal, or a session not over."""
        submissions = select(_T.id).where(_T.state.in_(_OPEN)).limit(1)
        sessions = select(SESSIONS.c.reference_number).where(SESSIONS.c.is_open).limit(1)
        if nip is not None:
            submissions, sessions = submissions.where(_T.context == nip), sessions.where(SESSIONS.c.context == nip)
        async with self._database.read() as connection:
            if (await connection.execute(submissions)).first() is not None:
                return True
            return (await connection.execute(sessions)).first() is not None

    async def troubles(self) -> dict[str, str]:
        """Return what keeps each context from being delivered, and which deadlines are near or have passed.

        What was not sent before its midnight is included.
        """
        found = select(CONTEXTS.c.context, CONTEXTS.c.trouble).where(CONTEXTS.c.trouble.is_not(None))
        late = select(_T.context, _T.state, func.count()).where(_T.late.is_not(None), in_state(_S.HELD, *OPEN))
        async with self._database.read() as connection:
            texts: dict[str, list[str]] = {context: [text] for context, text in await connection.execute(found)}
            counts: dict[tuple[str, bool], int] = {}
            for context, state, count in await connection.execute(late.group_by(_T.context, _T.state)):
                which = context, state == _S.HELD.value
                counts[which] = counts.get(which, 0) + count
            for (context, is_held), count in counts.items():
                texts.setdefault(context, []).append(_late_text(count, is_held=is_held))
            for context, text in await _deadline_troubles(connection):
                texts.setdefault(context, []).append(text)
        return {context: "; ".join(each) for context, each in texts.items()}

    async def unacknowledged(
        self, nip: str | None, after: Position | None, limit: int = 500
    ) -> tuple[tuple[Submission, ...], Position | None]:
        """Return a page of results that nobody has acknowledged, and where it ends; None for the last page."""
        wanted = select(*_COLUMNS).where(_T.acknowledged.is_(False), _T.state.in_(_RESULTS))
        wanted = wanted.order_by(_T.updated_at, _T.id).limit(limit)
        if nip is not None:
            wanted = wanted.where(_T.context == nip)
        if after is not None:
            wanted = wanted.where(tuple_(_T.updated_at, _T.id) > tuple_(*after))
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).all()
        found = tuple(_submission(row) for row in rows)
        # As it is stored: a datetime is rounded, and could lead past others of the same moment, or before them.
        return found, None if len(rows) < limit else (rows[-1].updated_at, rows[-1].id)

    async def acknowledge(self, submission_id: int) -> None:
        """Note that a result was handled."""
        async with self._database.write() as connection:
            await connection.execute(update(SUBMISSIONS).where(_is(submission_id)).values(acknowledged=True))

    async def document(self, submission_id: int) -> bytes | None:
        """Return a document as it is stored; None if there is no such submission."""
        return await self._stored(select(_T.document).where(_is(submission_id)))

    async def upo(self, submission_id: int) -> bytes | None:
        """Return a submission's UPO as it is stored; None if there is none."""
        wanted = select(UPOS.c.document).join(SUBMISSIONS, _T.upo_id == UPOS.c.id)
        return await self._stored(wanted.where(_is(submission_id)))

    async def retry(self, before: Submission) -> Submission | None:
        """Put a submission back into the queue as if it were new; None if its state does not allow that.

        Raises:
            IdentityTakenError: Another has taken its identity.
        """
        taken = identity_text(before.identity)
        ended = {state for state in sources_of(_S.QUEUED) if state.is_terminal and state is not _S.HELD}
        change = transition(_S.QUEUED, ended).values(
            taken_identity=taken, attempt=0, failures=0, lost_batches=0, **_DECIDED_ANEW
        )
        try:
            return await self._changed(before.id, change)
        except IntegrityError:
            twins = await self._submissions(
                select(*_COLUMNS).where(_T.taken_identity == taken, _T.context == before.nip)
            )
            raise IdentityTakenError(
                f"Another submission has taken the place of invoice {before.identity}.",
                submission_id=twins[0].id if twins else before.id,
            ) from None

    async def release(self, held: Submission, certificate_link: str | None) -> Submission | None:
        """Put a held submission back into the queue, as an offline invoice; None if it is not held."""
        if held.issued_on is None:
            return None
        change = transition(_S.QUEUED, {_S.HELD}).values(
            **late_values(held.issued_on), certificate_link=certificate_link, **_DECIDED_ANEW
        )
        return await self._changed(held.id, change)

    async def cancel(self, submission_id: int) -> Submission | None:
        """Take a submission back; None if its state does not allow that."""
        return await self._changed(submission_id, transition(_S.CANCELLED))

    async def issue_offline(self, submission_id: int, issued_on: date, certificate_link: str) -> Submission | None:
        """Make an offline invoice (OFFLINE24) of what KSeF has not decided; None where it has, or where it is one.

        It is sent as such from now on. What is under way goes on as it was begun: if KSeF turns out not to have it, it
        is sent once more, as an offline invoice.
        """
        change = (
            update(SUBMISSIONS)
            .where(in_state(*OPEN), _T.mode.is_(None))
            .values(
                **_offline24_values(issued_on),
                issued_on=issued_on.isoformat(),
                certificate_link=certificate_link,
                updated_at=time.time(),
                # It waits for nobody any more; those who do go first.
                priority=case((_T.priority > int(Priority.NORMAL), int(Priority.NORMAL)), else_=_T.priority),
            )
        )
        return await self._changed(submission_id, change)

    async def add_certificate_link(self, submission_id: int, link: str) -> Submission | None:
        """Keep the link of KOD II of a submission that has none yet; None where it has."""
        async with self._database.write() as connection:
            return await add_certificate_link(connection, submission_id, link)

    async def _changed(self, submission_id: int, change: Update) -> Submission | None:
        async with self._database.write() as connection:
            row = (await connection.execute(change.where(_is(submission_id)).returning(*_COLUMNS))).first()
        return None if row is None else _submission(row)

    async def _submissions(self, wanted: Select[Any]) -> tuple[Submission, ...]:
        async with self._database.read() as connection:
            return tuple(_submission(row) for row in await connection.execute(wanted))

    async def _stored(self, wanted: Select[Any]) -> bytes | None:
        async with self._database.read() as connection:
            row = (await connection.execute(wanted)).first()
        return None if row is None else bytes(row[0])


def late_values(issued_on: date) -> dict[str, Any]:
    """Return what is written of submissions of a date that go as offline invoices, because it is over."""
    # For KSeF it is one issued in the mode offline24, and due as such.
    return {**_offline24_values(issued_on), "late": Late.OFFLINE.value}


def _offline24_values(issued_on: date) -> dict[str, Any]:
    mode = OfflineMode.OFFLINE24
    due_by = first_deadline(mode, issued_on).timestamp()
    return {"offline": True, "mode": mode.value, "due_by": due_by, "send_by": due_by, "due_told": 0}


def _late_text(count: int, *, is_held: bool) -> str:
    some = "1 invoice that was" if count == 1 else f"{count:,} invoices that were"
    what = "held until it is decided about them" if is_held else "on the way as offline invoices"
    return f"{some} not sent before the midnight of their date: {what}"


async def _deadline_troubles(connection: AsyncConnection) -> list[tuple[str, str]]:
    """Return for each context the reported deadlines whose invoices are not with KSeF yet, for people."""
    reported = OUTSTANDING & (_T.due_told > 0) & _T.due_by.is_not(None)
    # Whoever has acknowledged a rejection knows what there is to do.
    reported &= (_T.state != _S.REJECTED.value) | _T.acknowledged.is_(False)
    counted = select(_T.context, _T.due_told, func.count(), func.min(_T.due_by)).where(reported)
    counted = counted.group_by(_T.context, _T.due_told).order_by(_T.context, _T.due_told.desc())
    found: list[tuple[str, str]] = []
    for context, reported, count, due_by in await connection.execute(counted):
        # The day ends with the deadline.
        day = polish_day(datetime.fromtimestamp(due_by - 1, UTC))
        what = "1 invoice" if count == 1 else f"{count:,} invoices"
        until = f"had to be with KSeF by the end of {day}" if reported == PASSED else f"due by the end of {day}"
        found.append((context, f"{what} issued offline, {until}, not delivered yet"))
    return found


def _is(submission_id: int) -> ColumnElement[bool]:
    return _T.id == (submission_id if abs(submission_id) <= _LARGEST_ID else 0)


def _page(after: int, limit: int) -> Select[Any]:
    return select(*_COLUMNS).where(_T.id > max(0, min(after, _LARGEST_ID))).order_by(_T.id).limit(limit)


# --- rows -----------------------------------------------------------------------------------------------------

# What `_submission` takes, in its order: all but the document itself.
_COLUMNS: Final = tuple(_T[name] for name in (
    "id", "context", "caller_key", "seller_nip", "kind", "number", "form_code", "sha256", "priority",
    "state", "attempt", "session", "reference_number", "ksef_number", "acquired_at", "is_duplicate", "reason_code",
    "reason", "upo_id", "acknowledged", "submitted_at", "updated_at", "corrects", "issued_on", "mode", "due_by",
    "certificate_link", "corrects_id", "invoicing_mode", "late",
))  # fmt: skip


def _submission(row: Sequence[Any]) -> Submission:
    # Unpacked as it is: there are hundreds at a time.
    (
        number, context, key, seller_nip, kind, invoice_number, form_code, digest, priority, state,
        attempt, session, reference_number, ksef_number, acquired_at, is_duplicate, reason_code, reason,
        upo_id, acknowledged, submitted_at, updated_at, corrects, issued_on, mode, due_by,
        certificate_link, corrects_id, invoicing_mode, late,
    ) = row  # fmt: skip
    return Submission(
        id=number,
        key=key,
        nip=context,
        identity=Identity(
            seller_nip=seller_nip,
            kind=kind,
            number=invoice_number,
            form_code=FormCode(form_code),
        ),
        issued_on=None if issued_on is None else date.fromisoformat(issued_on),
        invoice_hash=bytes(digest),
        state=SubmissionState(state),
        priority=priority,
        offline=None if mode is None else OfflineMode(mode),
        due_by=_time(due_by),
        certificate_link=certificate_link,
        corrects=None if corrects is None else bytes(corrects),
        corrects_id=corrects_id,
        attempt=attempt,
        session_reference_number=session,
        reference_number=reference_number,
        ksef_number=ksef_number,
        acquisition_date=_time(acquired_at),
        invoicing_mode=None if invoicing_mode is None else InvoicingMode(invoicing_mode),
        is_late=late is not None,
        is_duplicate=bool(is_duplicate),
        reason=None if reason is None else Reason(reason_code, reason),
        has_upo=upo_id is not None,
        is_acknowledged=bool(acknowledged),
        submitted_at=datetime.fromtimestamp(submitted_at, UTC),
        updated_at=datetime.fromtimestamp(updated_at, UTC),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
