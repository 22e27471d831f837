"""Writing submissions into the journal, in anybody's transaction, each at most once."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import attrs
from sqlalchemy import or_, select
from sqlalchemy.sql import ColumnElement

from ..calling.finishing import offload
from ..errors import LocalProtocolError
from ..protocol.invoices import check_correction, check_invoice_file
from .errors import IdentityTakenError
from .identity import read_identity
from .models import Identity, Submission
from .rows import COLUMNS, submission_of
from .schema import SUBMISSIONS
from .states import SubmissionState
from .transactions import Transaction, execute, insert_missing
from .vault import Vault

__all__ = ["Document", "hand_in", "identity_text"]

_T = SUBMISSIONS.c

# A row that was in the way can be gone when it is looked for: rejected or cancelled meanwhile.
_TRIES: Final = 3

# Bytes of documents that are read before others have their turn on the event loop: in two milliseconds.
_AT_A_TIME: Final = 50_000

# As the columns take them; of the numbers, what every database takes.
_LONGEST_KEY: Final = 255
_LONGEST_NIP: Final = 32
_LEAST_PRIORITY: Final = -(2**31) + 1

# A key, or an identity, of a context.
_Scoped: TypeAlias = tuple[str, str]

# States in which a document leaves its identity to others.
_GIVEN_UP: Final = (SubmissionState.REJECTED, SubmissionState.CANCELLED)


def identity_text(identity: Identity) -> str:
    """What must be unique among a context's submissions that may still become an invoice, or have."""
    return f"{identity.seller_nip} {identity.kind} {identity.number}"


@attrs.frozen(kw_only=True, eq=False)
class Document:
    """What is handed over, before anybody has looked into it.

    Raises:
        LocalProtocolError: The file is not fit to be sent; or it is a technical correction of something that cannot be
            corrected so.
    """

    xml: bytes = attrs.field(repr=False)
    key: str | None
    nip: str | None
    """The NIP it is sent for; None for the seller's."""
    priority: int
    offline: bool
    corrects: bytes | None

    def __attrs_post_init__(self) -> None:
        if self.key is not None and (not 0 < len(self.key) <= _LONGEST_KEY or "\0" in self.key):
            raise LocalProtocolError(f"A key has 1 to {_LONGEST_KEY} characters, and no NUL.")
        if self.nip is not None and (not 0 < len(self.nip) <= _LONGEST_NIP or "\0" in self.nip):
            raise LocalProtocolError("The context of a submission is a NIP.")
        if not _LEAST_PRIORITY <= self.priority <= -_LEAST_PRIORITY:
            raise LocalProtocolError(f"A priority is between {_LEAST_PRIORITY} and {-_LEAST_PRIORITY}.")
        check_invoice_file(self.xml)
        check_correction(self.corrects, offline=self.offline)


@attrs.frozen(kw_only=True, eq=False)
class _Entry:
    """A document that may be written into the journal, as far as it alone can tell."""

    document: Document
    identity: Identity
    digest: bytes
    """SHA-256 of the document (32 bytes)."""
    stored: bytes = attrs.field(repr=False)
    """The document as it is stored."""

    @property
    def context(self) -> str:
        """The NIP it is sent for."""
        return self.document.nip or self.identity.seller_nip

    @property
    def scoped(self) -> _Scoped:
        """What must be unique."""
        return self.context, identity_text(self.identity)


async def hand_in(vault: Vault, tx: Transaction, documents: Sequence[Document]) -> list[Submission | Exception]:
    """Insert what is not in the journal yet; for each its submission or its error, as if one came after another.

    The errors are: IdentityTakenError: another document has its identity, or its key. LocalProtocolError: its identity
    cannot be read; or others wrote it and took it back, time and again.
    """
    answers: dict[int, Submission | Exception] = {}
    left: list[tuple[int, _Entry]] = []
    size = 0
    for number, document in enumerate(documents):
        # One right after the other: amid other work each takes half as long again.
        if size > _AT_A_TIME:
            size = 0
            await asyncio.sleep(0)
        size += len(document.xml)
        try:
            left.append((number, await _read(vault, document)))
        except LocalProtocolError as error:
            answers[number] = error
    for _ in range(_TRIES):
        if not left:
            break
        known = _Known(await _find(tx, [entry for _, entry in left]))
        decisions = [(number, entry, *known.decide(entry)) for number, entry in left]
        await _insert(tx, known.new)
        left = []
        for number, entry, held, answer in decisions:
            if held.submission is not None:
                answers[number] = answer(entry, held.submission)
            else:
                left.append((number, entry))  # Others were quicker, with it or with what it was measured against.
    answers |= {number: _unlucky(entry) for number, entry in left}
    return [answers[number] for number in range(len(documents))]


async def _read(vault: Vault, document: Document) -> _Entry:
    """A document read and encrypted: all that needs no database."""
    identity = await offload(len(document.xml), read_identity, document.xml)
    digest = hashlib.sha256(document.xml).digest()
    return _Entry(document=document, identity=identity, digest=digest, stored=await vault.lock(document.xml))


# --- what is in the journal, and will be ----------------------------------------------------------------------

_Answer: TypeAlias = Callable[[_Entry, Submission], Submission | Exception]


@attrs.define(kw_only=True, eq=False)
class _Held:
    """A document in the journal, or to be inserted."""

    digest: bytes
    is_given_up: bool = False
    """Whether it has left its identity to others."""
    submission: Submission | None = None
    """None until it is inserted."""


class _Known:
    """What the journal has of some documents, by key and by identity, of each context."""

    def __init__(self, found: Iterable[Submission]) -> None:
        self._by_key: dict[_Scoped, _Held] = {}
        self._by_identity: dict[_Scoped, list[_Held]] = {}
        self.new: dict[_Scoped, tuple[_Entry, _Held]] = {}
        for submission in found:
            given_up = submission.state in _GIVEN_UP
            held = _Held(digest=submission.invoice_hash, is_given_up=given_up, submission=submission)
            self._add(held, submission.key, (submission.nip, identity_text(submission.identity)))

    def _add(self, held: _Held, key: str | None, identity: _Scoped) -> None:
        self._by_identity.setdefault(identity, []).append(held)
        if key is not None:
            self._by_key[identity[0], key] = held

    def decide(self, entry: _Entry) -> tuple[_Held, _Answer]:
        """What an entry is the same as, or is refused because of; it is new if there is nothing of the kind."""
        key = entry.document.key
        if key is not None and (other := self._by_key.get((entry.context, key))) is not None:
            return other, _same if other.digest == entry.digest else _key_taken
        identity = entry.scoped
        rivals = self._by_identity.get(identity, ())
        # The last of several: earlier ones with this identity were rejected or taken back.
        if twin := next((held for held in reversed(rivals) if held.digest == entry.digest), None):
            return twin, _same
        if taken := next((held for held in rivals if not held.is_given_up), None):
            return taken, _identity_taken
        held = _Held(digest=entry.digest)
        self._add(held, key, identity)
        self.new[identity] = entry, held
        return held, _same


def _same(_: _Entry, submission: Submission) -> Submission:
    return submission


def _key_taken(entry: _Entry, other: Submission) -> Exception:
    return IdentityTakenError(
        f"Key {entry.document.key!r} belongs to submission {other.id}, which is another document.",
        submission_id=other.id,
    )


def _identity_taken(entry: _Entry, taken: Submission) -> Exception:
    return IdentityTakenError(
        f"Submission {taken.id} is another document with kind and number of invoice {entry.identity}; "
        "correct the number, or cancel that one before it is sent.",
        submission_id=taken.id,
    )


def _unlucky(entry: _Entry) -> Exception:
    return LocalProtocolError(
        f"Invoice {entry.identity} could not be written: others wrote it and took it back meanwhile."
    )


# --- statements ---------------------------------------------------------------------------------------------------


async def _find(tx: Transaction, entries: Sequence[_Entry]) -> list[Submission]:
    """Return the submissions of the same contexts with the identity or key of one of them, in order of submission."""
    numbers: dict[tuple[str, str, str], list[str]] = {}
    keys: dict[str, list[str]] = {}
    for entry in entries:
        about, key = entry.identity, entry.document.key
        numbers.setdefault((entry.context, about.seller_nip, about.kind), []).append(about.number)
        if key is not None:
            keys.setdefault(entry.context, []).append(key)
    # Not IN of all three at once, for which SQLite reads the whole table.
    wanted: list[ColumnElement[bool]] = [
        (_T.context == context) & (_T.seller_nip == seller) & (_T.kind == kind) & _T.number.in_(among)
        for (context, seller, kind), among in numbers.items()
    ]
    wanted += [(_T.context == context) & _T.caller_key.in_(among) for context, among in keys.items()]
    return [submission_of(row) for row in await execute(tx, select(*COLUMNS).where(or_(*wanted)).order_by(_T.id))]


async def _insert(tx: Transaction, new: dict[_Scoped, tuple[_Entry, _Held]]) -> None:
    """Insert what is new; what is in the way of others that were quicker is left out."""
    if not new:
        return
    now = time.time()
    rows = [_row(entry, now) for entry, _ in new.values()]
    for row in await insert_missing(tx, SUBMISSIONS, rows, COLUMNS):
        submission = submission_of(row)
        new[submission.nip, identity_text(submission.identity)][1].submission = submission


def _row(entry: _Entry, now: float) -> dict[str, Any]:
    about, document = entry.identity, entry.document
    return {
        "context": entry.context,
        "caller_key": document.key,
        "seller_nip": about.seller_nip,
        "kind": about.kind,
        "number": about.number,
        "form_code": about.form_code.system_code,
        "taken_identity": identity_text(about),
        "sha256": entry.digest,
        "document": entry.stored,
        "offline": document.offline,
        "corrects": document.corrects,
        "priority": document.priority,
        "state": SubmissionState.QUEUED.value,
        "attempt": 0,
        "failures": 0,
        "lost_batches": 0,
        "is_duplicate": False,
        "acknowledged": False,
        "submitted_at": now,
        "updated_at": now,
    }
