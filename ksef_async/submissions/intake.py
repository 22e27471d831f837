"""Writing submissions into the journal, in anybody's transaction, each at most once."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

import attrs
from sqlalchemy import or_, select
from sqlalchemy.sql import ColumnElement

from ..errors import LocalProtocolError
from ..offloading import offload
from ..protocol.invoices import check_correction, check_invoice_file
from .errors import IdentityTakenError
from .identity import read_identity
from .models import Identity, Submission
from .rows import COLUMNS, submission_of
from .schema import SUBMISSIONS
from .states import SubmissionState
from .transactions import Transaction, execute, insert_missing
from .vault import Vault

__all__ = ["Entry", "hand_in", "identity_text", "prepare"]

_T = SUBMISSIONS.c

#: A row that was in the way can be gone when it is looked for: rejected or cancelled meanwhile.
_TRIES: Final = 3

#: States in which a document leaves its identity to others.
_GIVEN_UP: Final = (SubmissionState.REJECTED, SubmissionState.CANCELLED)


def identity_text(identity: Identity) -> str:
    """What must be unique among the submissions that may still become an invoice, or have."""
    return f"{identity.seller_nip} {identity.kind} {identity.number}"


@attrs.frozen(kw_only=True, eq=False)
class Entry:
    """A document that may be written into the journal, as far as it alone can tell."""

    identity: Identity
    #: SHA-256 of the document (32 bytes).
    digest: bytes
    #: The document as it is stored.
    stored: bytes = attrs.field(repr=False)
    key: str | None
    #: The NIP it is sent for.
    context: str
    priority: int
    offline: bool
    corrects: bytes | None


async def prepare(
    vault: Vault,
    xml: bytes,
    *,
    key: str | None,
    priority: int,
    nip: str | None,
    offline: bool,
    corrects: bytes | None,
) -> Entry:
    """Read, check and encrypt a document: all that needs no database.

    Raises:
        LocalProtocolError: The file is not fit to be sent, or its identity cannot be read; or it is a technical
            correction of something that cannot be corrected so.
    """
    check_invoice_file(xml)
    check_correction(corrects, offline=offline)
    identity = await offload(len(xml), read_identity, xml)
    return Entry(
        identity=identity,
        digest=hashlib.sha256(xml).digest(),
        stored=await vault.lock(xml),
        key=key,
        context=nip or identity.seller_nip,
        priority=priority,
        offline=offline,
        corrects=corrects,
    )


async def hand_in(tx: Transaction, entries: Sequence[Entry]) -> list[Submission | Exception]:
    """Insert what is not in the journal yet; for each entry its submission or its error, as if one came after another.

    The errors are: IdentityTakenError: another document has its identity, or its key. LocalProtocolError: others
    wrote it and took it back, time and again.
    """
    answers: dict[int, Submission | Exception] = {}
    left = [*enumerate(entries)]
    for _ in range(_TRIES):
        known = _Known(await _find(tx, [entry for _, entry in left]))
        decisions = [(number, entry, *known.decide(entry)) for number, entry in left]
        await _insert(tx, known.new)
        left = []
        for number, entry, held, answer in decisions:
            if held.submission is not None:
                answers[number] = answer(entry, held.submission)
            else:
                left.append((number, entry))  # Others were quicker, with it or with what it was measured against.
        if not left:
            break
    answers |= {number: _unlucky(entry) for number, entry in left}
    return [answers[number] for number in range(len(entries))]


# --- what is in the journal, and will be ----------------------------------------------------------------------

_Answer: TypeAlias = Callable[[Entry, Submission], Submission | Exception]


@attrs.define(kw_only=True, eq=False)
class _Held:
    """A document in the journal, or to be inserted."""

    digest: bytes
    #: Whether it has left its identity to others.
    is_given_up: bool = False
    #: None until it is inserted.
    submission: Submission | None = None


class _Known:
    """What the journal has of some documents, by key and by identity."""

    def __init__(self, found: Iterable[Submission]) -> None:
        self._by_key: dict[str, _Held] = {}
        self._by_identity: dict[str, list[_Held]] = {}
        self.new: dict[str, tuple[Entry, _Held]] = {}
        for submission in found:
            given_up = submission.state in _GIVEN_UP
            held = _Held(digest=submission.invoice_hash, is_given_up=given_up, submission=submission)
            self._add(held, submission.key, identity_text(submission.identity))

    def _add(self, held: _Held, key: str | None, identity: str) -> None:
        self._by_identity.setdefault(identity, []).append(held)
        if key is not None:
            self._by_key[key] = held

    def decide(self, entry: Entry) -> tuple[_Held, _Answer]:
        """What an entry is the same as, or is refused because of; it is new if there is nothing of the kind."""
        if entry.key is not None and (other := self._by_key.get(entry.key)) is not None:
            return other, _same if other.digest == entry.digest else _key_taken
        identity = identity_text(entry.identity)
        rivals = self._by_identity.get(identity, ())
        # The last of several: earlier ones with this identity were rejected or taken back.
        if twin := next((held for held in reversed(rivals) if held.digest == entry.digest), None):
            return twin, _same
        if taken := next((held for held in rivals if not held.is_given_up), None):
            return taken, _identity_taken
        held = _Held(digest=entry.digest)
        self._add(held, entry.key, identity)
        self.new[identity] = entry, held
        return held, _same


def _same(_: Entry, submission: Submission) -> Submission:
    return submission


def _key_taken(entry: Entry, other: Submission) -> Exception:
    return IdentityTakenError(
        f"Key {entry.key!r} belongs to submission {other.id}, which is another document.", submission_id=other.id
    )


def _identity_taken(entry: Entry, taken: Submission) -> Exception:
    return IdentityTakenError(
        f"Submission {taken.id} is another document with kind and number of invoice {entry.identity}; "
        "correct the number, or cancel that one before it is sent.",
        submission_id=taken.id,
    )


def _unlucky(entry: Entry) -> Exception:
    return LocalProtocolError(
        f"Invoice {entry.identity} could not be written: others wrote it and took it back meanwhile."
    )


# --- statements ---------------------------------------------------------------------------------------------------


async def _find(tx: Transaction, entries: Sequence[Entry]) -> list[Submission]:
    """What is in the journal with the identity or the key of one of them, in the order of submission."""
    numbers: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        about = entry.identity
        numbers.setdefault((about.seller_nip, about.kind), []).append(about.number)
    # Not IN of all three at once, for which SQLite reads the whole table.
    wanted: list[ColumnElement[bool]] = [
        (_T.seller_nip == seller) & (_T.kind == kind) & _T.number.in_(among)
        for (seller, kind), among in numbers.items()
    ]
    if keys := [entry.key for entry in entries if entry.key is not None]:
        wanted.append(_T.key.in_(keys))
    return [submission_of(row) for row in await execute(tx, select(*COLUMNS).where(or_(*wanted)).order_by(_T.id))]


async def _insert(tx: Transaction, new: dict[str, tuple[Entry, _Held]]) -> None:
    """Insert what is new; what is in the way of others that were quicker is left out."""
    if not new:
        return
    now = time.time()
    rows = [_row(identity, entry, now) for identity, (entry, _) in new.items()]
    for row in await insert_missing(tx, SUBMISSIONS, rows, COLUMNS):
        submission = submission_of(row)
        new[identity_text(submission.identity)][1].submission = submission


def _row(identity: str, entry: Entry, now: float) -> dict[str, Any]:
    about = entry.identity
    return {
        "key": entry.key,
        "context": entry.context,
        "seller_nip": about.seller_nip,
        "kind": about.kind,
        "number": about.number,
        "form_code": about.form_code.system_code,
        "identity": identity,
        "sha256": entry.digest,
        "document": entry.stored,
        "offline": entry.offline,
        "corrects": entry.corrects,
        "priority": entry.priority,
        "state": SubmissionState.QUEUED.value,
        "attempt": 0,
        "is_duplicate": False,
        "acknowledged": False,
        "submitted_at": now,
        "updated_at": now,
    }
