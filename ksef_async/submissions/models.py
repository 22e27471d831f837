"""What users of the journal give and get: settings, the states of a submission, the submission itself, and errors.

A submission changes its state along `TRANSITIONS`, and only by one statement (`store.transition`), which asks that
table:

(new) ──submit──► queued ──intent committed──► sending ──KSeF has it──► taken_in ──┬─► accepted
                   │ ▲                           │ │                       │       ├─► rejected
           cancel──┘ └──KSeF does not have it────┘ └─refused at once       │       └─► conflict
           (cancelled)                               (rejected)            └─► queued  (KSeF gave it up: 405, 550)

rejected, conflict and cancelled go back to queued when they are retried. With ``Settings(late="hold")``, what is dated
an earlier day goes from queued to held, and from there back when it is released, or to cancelled.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from ..api.environment import Environment
from ..api.sessions import FormCode, InvoicingMode
from ..errors import KsefError, LocalProtocolError
from ..protocol.offline import OfflineMode
from ..protocol.retry import growing_pause
from ..protocol.verification_links import InvoiceFingerprint, verification_link

if TYPE_CHECKING:
    from ..protocol.verification_codes import VerificationCode

__all__ = [
    "GIVEN_UP",
    "NEW",
    "OPEN",
    "TRANSITIONS",
    "Identity",
    "IdentityTakenError",
    "IssuedInvoice",
    "JournalBusyError",
    "JournalError",
    "Late",
    "LeaseLostError",
    "NotIssuedError",
    "Priority",
    "Reason",
    "Settings",
    "Submission",
    "SubmissionState",
    "UnknownSubmissionError",
    "sources_of",
]


class Late(enum.StrEnum):
    """A way to treat an invoice issued online that was not sent before the midnight that ended its date (P_1).

    For KSeF it is Offline from then on, whatever it is sent as, and needs KOD II.
    """

    OFFLINE = "offline"
    """It is sent with ``offlineMode: true``."""
    HOLD = "hold"
    """It is not sent until somebody decides; see `Submissions.release`."""


def _late(value: str) -> Late:
    try:
        return Late(value)
    except ValueError:
        raise LocalProtocolError(f"late is {' or '.join(map(repr, map(str, Late)))}, not {value!r}.") from None


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of the delivery; all times are in seconds."""

    linger: float = 5.0
    """How long a session is kept open for more invoices after the last one; the UPO comes after that."""
    poll_interval: float = 0.5
    """Between looks for work that another process has committed."""
    concurrency: int = 16
    """Sends of one context under way at once."""
    online_within: float = 600.0
    """A backlog goes one by one while that is over within this time; otherwise by batch, if the plan says so."""
    part_size: int = 10_000_000
    """Plain bytes of each part of a batch, up to 100,000,000; more where that would make more than 50 of them. After a
    crash those parts are uploaded again that were under way.
    """
    spool: Path | None = None
    """Where batches are packed; by default in the system's place for temporary files."""
    max_contexts: int = 200
    """Contexts delivered at once in this process."""
    lease_duration: float = 15.0
    """After which a silent worker counts as dead, and another takes its contexts over."""
    first_pause: float = 1.0
    """The first pause after something went wrong with a whole context; each further one is twice as long ..."""
    longest_pause: float = 60.0
    """... up to this."""
    tries: int = 6
    """How often one document may fail by itself, while others succeed, before it is rejected."""

    deadline_notice: float = 28_800.0
    """How long before its deadline an invoice issued offline that is not with KSeF yet is reported: by an event
    (`DeadlineNear`), a warning in the log, and `Submissions.troubles`.
    """
    deadline_interval: float = 60.0
    """Between looks at the deadlines of invoices issued offline, and at Latarnia while there are any."""
    guards_midnight: bool = True
    """Whether invoices dated today that cannot go one by one before midnight in Poland go in a batch opened before it,
    so that KSeF does not make them Offline. False: each goes when its turn comes, and ``late`` has no effect.
    """
    late: Late = attrs.field(default=Late.OFFLINE, converter=_late)
    """What is done with those that were not sent before midnight: ``"offline"`` sends them as offline invoices,
    ``"hold"`` keeps them until somebody decides.
    """

    check: bool = True
    """Whether `Submissions.submit` checks documents (see `ksef_async.documents.check`), and refuses those with a
    problem.
    """

    def pause(self, failures: int) -> float:
        """Seconds to pause after the ``failures``-th failure in a row (from 1)."""
        return growing_pause(failures, first=self.first_pause, longest=self.longest_pause)


# --- states ---------------------------------------------------------------------------------------------------


class SubmissionState(enum.StrEnum):
    """The state of a submission."""

    QUEUED = "queued"
    """In the journal, not sent yet."""
    SENDING = "sending"
    """The intent to send it is in the journal; KSeF may have it, or not."""
    TAKEN_IN = "taken_in"
    """KSeF has it and has not decided yet."""
    ACCEPTED = "accepted"
    """It has a KSeF number: it is issued."""
    REJECTED = "rejected"
    """KSeF, or this library on its behalf, does not take it; the reason says why."""
    CONFLICT = "conflict"
    """Seller, kind and number are in KSeF already, on another document or on one that KSeF does not show."""
    CANCELLED = "cancelled"
    """Taken back before it was sent."""
    HELD = "held"
    """Not sent before the midnight that ended its date, and kept until somebody decides: `Submissions.release` sends it
    as an offline invoice, `Submissions.cancel` takes it back.
    """

    @property
    def is_terminal(self) -> bool:
        """True when nothing more happens to it by itself."""
        return self not in OPEN


_S = SubmissionState

TRANSITIONS: Final[Mapping[SubmissionState, frozenset[SubmissionState]]] = {
    _S.QUEUED: frozenset({_S.SENDING, _S.CANCELLED, _S.HELD}),
    _S.SENDING: frozenset({_S.TAKEN_IN, _S.QUEUED, _S.REJECTED}),
    _S.TAKEN_IN: frozenset({_S.ACCEPTED, _S.REJECTED, _S.CONFLICT, _S.QUEUED}),
    _S.ACCEPTED: frozenset(),
    _S.REJECTED: frozenset({_S.QUEUED}),
    _S.CONFLICT: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset({_S.QUEUED}),
    _S.HELD: frozenset({_S.QUEUED, _S.CANCELLED}),
}
"""From each state, what can follow."""

NEW: Final = _S.QUEUED
"""The state that a submission begins in."""

OPEN: Final = frozenset({_S.QUEUED, _S.SENDING, _S.TAKEN_IN})
"""What the library still has work with."""

GIVEN_UP: Final = frozenset({_S.REJECTED, _S.CANCELLED})
"""States in which a submission leaves its identity (seller, kind, number) to others."""


def sources_of(target: SubmissionState) -> tuple[SubmissionState, ...]:
    """Return the states from which ``target`` can be reached."""
    return tuple(state for state, following in TRANSITIONS.items() if target in following)


# --- submissions ----------------------------------------------------------------------------------------------


class Priority(enum.IntEnum):
    """Which submissions of a context go first; any number will do, the higher the sooner."""

    NORMAL = 0
    """The usual."""
    URGENT = 100
    """Before all others, and not in a batch, except where it would be late for midnight otherwise."""


@attrs.frozen(kw_only=True)
class Identity:
    """The fields that must be unique in KSeF together: seller, kind and number."""

    seller_nip: str
    """The seller's tax number."""
    kind: str
    """VAT, KOR, ZAL, ... (RodzajFaktury)"""
    number: str
    """The seller's number (P_2)."""
    form_code: FormCode
    """What kind of document it is."""

    def __str__(self) -> str:
        return f"{self.kind} {self.number} of {self.seller_nip}"


@attrs.frozen
class Reason:
    """Why a submission ended without a KSeF number, or was put back into the queue."""

    code: int | None
    """KSeF's code: of the invoice's status (e.g. 450), or of the refusal (e.g. 21405); None where this library refused.
    """
    text: str
    """For people; KSeF's part of it in Polish."""


@attrs.frozen(kw_only=True)
class Submission:
    """An invoice handed over for delivery, as the journal knows it at one moment."""

    id: int
    """In the order of submission."""
    key: str | None
    """The caller's own, unique among those of the same context."""
    nip: str
    """The context it is sent in: the NIP that logs in."""
    identity: Identity
    """What makes it the same invoice as another one."""
    issued_on: date | None
    """Its date (P_1); None where it is not known."""
    invoice_hash: bytes
    """SHA-256 of the document (32 bytes)."""
    state: SubmissionState
    """How far it is."""
    priority: int
    """The higher, the earlier it is sent."""
    offline: OfflineMode | None
    """The mode in which it was issued offline; None for one issued online. One that `is_late` when it is sent counts as
    issued in the mode offline24.
    """
    due_by: datetime | None
    """When it is too late for an invoice issued offline to reach KSeF (UTC); None where no deadline holds, or none is
    known.
    """
    certificate_link: str | None
    """The link of KOD II, for an invoice issued offline with a signer."""
    corrects: bytes | None
    """Of a technical correction: SHA-256 of the rejected offline invoice (32 bytes)."""
    corrects_id: int | None
    """Of a technical correction: the submission of the rejected invoice, where it is in this journal."""
    attempt: int
    """How often the intent to send it was committed."""
    session_reference_number: str | None
    """The session it was sent in; None before."""
    reference_number: str | None
    """Given by KSeF when it took the document in."""
    ksef_number: str | None
    """The invoice's number in KSeF; None until it is accepted."""
    acquisition_date: datetime | None
    """When the KSeF number was given."""
    invoicing_mode: InvoicingMode | None
    """Whether KSeF regards it as issued online or offline, once it is accepted; None where KSeF did not say."""
    is_late: bool
    """True for an invoice issued online that was not sent before the midnight that ended its date: KSeF regards it as
    Offline, so it needs KOD II.
    """
    is_duplicate: bool
    """Accepted, because this very document was in KSeF already (440)."""
    reason: Reason | None
    """None while nothing is amiss."""
    has_upo: bool
    """Whether its UPO is in the journal: it comes after the session is closed."""
    is_acknowledged: bool
    """Whether `acknowledge` was called for it."""
    submitted_at: datetime
    """When it was submitted."""
    updated_at: datetime
    """When it last changed."""

    @property
    def fingerprint(self) -> InvoiceFingerprint:
        """Return the data of the invoice in its verification codes.

        Raises:
            LocalProtocolError: Its date is not known, or its seller has no NIP of ten digits.
        """
        if self.issued_on is None:
            raise LocalProtocolError(f"The date of invoice {self.identity} is not known.")
        return InvoiceFingerprint(
            seller_nip=self.identity.seller_nip, issued_on=self.issued_on, sha256=self.invoice_hash
        )

    def verification_link(self, environment: Environment) -> str:
        """Return the link of KOD I.

        Raises:
            LocalProtocolError: See `fingerprint`.
        """
        return verification_link(self.fingerprint, environment)


@attrs.frozen(kw_only=True)
class IssuedInvoice:
    """An invoice that can be handed to the customer: with its KSeF number, or as an offline invoice."""

    submission: Submission
    """As the journal knew it when it was issued; `Submissions.get` returns it as it is now."""
    verification_link: str
    """The link of KOD I."""

    @property
    def ksef_number(self) -> str | None:
        """Return the KSeF number; None for an offline invoice that is still to be delivered."""
        return self.submission.ksef_number

    @property
    def is_offline(self) -> bool:
        """Return whether it is handed out as an offline invoice, without a KSeF number."""
        return self.ksef_number is None

    @property
    def certificate_link(self) -> str | None:
        """Return the link of KOD II, which an offline invoice has beside KOD I; None for an online one.

        One that has its KSeF number may be Offline for KSeF, too, because its date was over when it was sent.
        """
        is_online = self.submission.invoicing_mode is InvoicingMode.ONLINE
        return None if is_online else self.submission.certificate_link

    @property
    def due_by(self) -> datetime | None:
        """Return when it is too late for an offline invoice to reach KSeF (UTC)."""
        return self.submission.due_by if self.is_offline else None

    @property
    def codes(self) -> tuple[VerificationCode, ...]:
        """Return the codes to print on it: KOD I with its label, and KOD II of an offline invoice."""
        # Drawn by those only who print.
        from ..protocol.verification_codes import VerificationCode

        first = VerificationCode(link=self.verification_link, label=self.ksef_number or "OFFLINE")
        second = self.certificate_link
        return (first,) if second is None else (first, VerificationCode.of_certificate(second))


# --- errors ---------------------------------------------------------------------------------------------------


class IdentityTakenError(LocalProtocolError):
    """Another document of the same company has the same seller, kind and number, or the same key."""

    def __init__(self, message: str, *, submission_id: int) -> None:
        super().__init__(message)
        self.submission_id = submission_id
        """The submission that has it."""


class NotIssuedError(KsefError):
    """An invoice cannot be handed out: KSeF, or the library on its behalf, does not take it."""

    def __init__(self, message: str, *, submission: Submission) -> None:
        super().__init__(message)
        self.submission = submission
        """With its state and the reason."""


class UnknownSubmissionError(LocalProtocolError):
    """There is no such submission in the journal."""


class JournalBusyError(LocalProtocolError):
    """Another process delivers from this SQLite journal."""


class JournalError(KsefError):
    """The journal's database cannot be used: locked, full, read-only, out of reach, refusing, damaged, ..."""

    def __init__(self, message: str, *, passes: bool) -> None:
        super().__init__(message)
        self.passes = passes
        """True when it may be over by itself: asking again later is safe. False when somebody has to mend it first."""


class LeaseLostError(Exception):
    """Another worker has taken this context over; nothing was written. It never leaves the runner."""
