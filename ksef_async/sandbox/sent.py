"""What was sent: invoices, and what both kinds of session are. States are pure functions of the clock."""

from __future__ import annotations

import abc
from datetime import datetime
from itertools import islice
from typing import ClassVar

import attrs

from ..api.common import Context, StatusInfo
from ..api.sessions import (
    FormCode,
    InvoiceStatusCode,
    InvoiceStatusInfo,
    InvoicingMode,
    SessionOutcome,
    SessionType,
    StatusCode,
)
from ..crypto.envelope import SessionCipher
from ..protocol.lifecycle import INVOICE, Lifecycle, session_outcome
from .clock import Timings, seconds
from .document_file import StoredDocument
from .intake import CheckedInvoice
from .logged_in import Login
from .timeline import Step, Timeline

__all__ = ["Invoice", "InvoiceVerdict", "Session"]


@attrs.frozen(kw_only=True)
class InvoiceVerdict:
    """The final status of an invoice, decided before it shows."""

    code: InvoiceStatusCode
    details: tuple[str, ...] = ()
    extensions: dict[str, str | None] = attrs.field(factory=dict)
    invoice_number: str | None = None
    ksef_number: str | None = None
    mode: InvoicingMode | None = None
    document: CheckedInvoice | None = None


@attrs.define(kw_only=True)
class Invoice:
    """An invoice that was sent."""

    reference_number: str
    ordinal_number: int
    invoice_hash: bytes
    file_name: str | None = None
    """In the package of a batch session."""
    stored: StoredDocument | None = None
    """As it was decrypted, sound or not; None where it could not be."""
    received_at: datetime
    verdict: InvoiceVerdict
    timeline: Timeline[InvoiceStatusCode] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Timeline(INVOICE, self.received_at), takes_self=True)
    )
    upo: bytes = attrs.field(default=b"", repr=False)
    """Its receipt, once somebody has asked for it: a signature made again would be another."""

    @property
    def is_accepted(self) -> bool:
        """Return whether it is, or will be, accepted."""
        return self.verdict.code is InvoiceStatusCode.ACCEPTED

    @property
    def final_at(self) -> datetime:
        """Return when its verdict shows."""
        return self.timeline.last.at

    def schedule(self, now: datetime, processing_at: datetime, final_at: datetime) -> None:
        """Plan when KSeF processes it and when its verdict shows; with an earlier verdict it is never at 150."""
        steps = [Step(final_at, self.verdict.code)]
        if processing_at < final_at:
            steps.insert(0, Step(processing_at, InvoiceStatusCode.PROCESSING))
        self.timeline.plan(now, *steps)

    def status_at(self, now: datetime) -> InvoiceStatusInfo:
        """Return its status in KSeF's words."""
        status = self.timeline.status_at(now)
        details, extensions = status.details, dict[str, str | None]()
        if self.timeline.is_terminal_at(now):
            details, extensions = self.verdict.details or details, self.verdict.extensions
        return InvoiceStatusInfo(status.code, status.description, details, extensions)


@attrs.define
class _Tally:
    """The number of verdicts that show in a session, which may have 10,000 invoices and be asked about every second.

    A verdict that shows never changes, so each invoice is looked at until it has one, and no longer.
    """

    accepted: int = 0
    rejected: int = 0
    _of: dict[str, Invoice] | None = None
    _seen: int = 0
    _undecided: list[Invoice] = attrs.field(factory=list)

    def update(self, invoices: dict[str, Invoice], now: datetime) -> None:
        """Count the verdicts that show by now."""
        if invoices is not self._of:
            # A package is listed at once, in a dictionary of its own.
            self._of, self._seen, self._undecided, self.accepted, self.rejected = invoices, 0, [], 0, 0
        self._undecided += islice(reversed(invoices.values()), len(invoices) - self._seen)
        self._seen = len(invoices)
        undecided = []
        for invoice in self._undecided:
            if not invoice.timeline.is_terminal_at(now):
                undecided.append(invoice)
            elif invoice.is_accepted:
                self.accepted += 1
            else:
                self.rejected += 1
        self._undecided = undecided


@attrs.define(kw_only=True)
class Session(abc.ABC):
    """A session of either kind."""

    kind: ClassVar[SessionType]
    lifecycle: ClassVar[Lifecycle[StatusCode]]

    reference_number: str
    login: Login
    form_code: FormCode
    cipher: SessionCipher | None
    """None when the key it came with cannot be decrypted."""
    check_identifiers: bool
    opened_at: datetime
    valid_until: datetime
    timings: Timings
    timeline: Timeline[StatusCode] = attrs.field(
        init=False, default=attrs.Factory(lambda self: Timeline(self.lifecycle, self.opened_at), takes_self=True)
    )
    invoices: dict[str, Invoice] = attrs.field(factory=dict)
    """By their reference numbers, in the order they were taken in."""
    is_stuck: bool = False
    """Stays in progress, on purpose."""
    upo_pages: tuple[tuple[str, bytes], ...] = ()
    _tally: _Tally = attrs.field(init=False, factory=_Tally, repr=False, eq=False)

    @property
    def context(self) -> Context:
        """Return the context in which it was opened."""
        return self.login.context

    def __attrs_post_init__(self) -> None:
        self.schedule(self.opened_at)

    @abc.abstractmethod
    def schedule(self, now: datetime) -> None:
        """Plan its further states, as they are if nothing more is done with it."""

    @abc.abstractmethod
    def close(self, now: datetime) -> None:
        """Close it."""

    @property
    def expires_at(self) -> datetime:
        """Return when KSeF closes it, unless somebody has closed it before."""
        return self.valid_until + seconds(self.timings.expiry_lag)

    def code_at(self, now: datetime) -> StatusCode:
        """Return its status code."""
        return self.timeline.code_at(now)

    def status_at(self, now: datetime) -> StatusInfo:
        """Return its status in KSeF's words."""
        return self.timeline.status_at(now)

    def outcome_at(self, now: datetime) -> SessionOutcome:
        """Return the coarse state by which sessions are listed."""
        return session_outcome(self.code_at(now))

    def closed_since(self, now: datetime) -> datetime | None:
        """Return when it was closed, by its owner or by KSeF; None while it is open, and for one that died open."""
        after_opening = self.timeline.history(now)[1:]
        if not after_opening or after_opening[0].code == StatusCode.DECRYPTION_ERROR:
            return None
        return after_opening[0].at

    def is_visible_at(self, now: datetime) -> bool:
        """Return whether KSeF knows it already."""
        return now >= self.opened_at

    def lists_at(self, now: datetime) -> bool:
        """Return whether its invoices are listed already."""
        return now >= self.opened_at

    def invoices_at(self, now: datetime) -> tuple[Invoice, ...]:
        """Return the invoices that its list shows."""
        return tuple(self.invoices.values()) if self.lists_at(now) else ()

    def updated_at(self, now: datetime) -> datetime:
        """Return the time of the last change, in whole seconds as KSeF gives it."""
        moments = [self.timeline.step_at(now).at]
        if self.invoices and self.lists_at(now):
            moments.append(next(reversed(self.invoices.values())).received_at)
        return max(moments).replace(microsecond=0)

    def counts_at(self, now: datetime) -> tuple[int, int, int]:
        """Return the numbers of invoices taken in, accepted and rejected."""
        if not self.lists_at(now):
            return 0, 0, 0
        self._tally.update(self.invoices, now)
        return len(self.invoices), self._tally.accepted, self._tally.rejected
