"""What was sent: invoices, and what both kinds of session are. States are pure functions of the clock."""

from __future__ import annotations

import abc
from datetime import datetime
from typing import ClassVar

import attrs

from ..api.common import Context, StatusInfo
from ..api.sessions import FormCode, InvoiceStatusCode, InvoicingMode, SessionType, StatusCode
from ..crypto.envelope import SessionCipher
from ..protocol.lifecycle import INVOICE_STATES
from .clock import Timings
from .document_file import StoredDocument
from .intake import Document
from .logged_in import Login

__all__ = ["Invoice", "Session", "Verdict"]


@attrs.frozen(kw_only=True)
class Verdict:
    """What an invoice's status will be once it is final."""

    code: InvoiceStatusCode
    details: tuple[str, ...] = ()
    extensions: dict[str, str | None] = attrs.field(factory=dict)
    invoice_number: str | None = None
    ksef_number: str | None = None
    mode: InvoicingMode | None = None
    document: Document | None = None


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
    processing_at: datetime
    final_at: datetime
    verdict: Verdict
    upo: bytes = attrs.field(default=b"", repr=False)
    """Its receipt, once somebody has asked for it: a signature made again would be another."""

    @property
    def is_accepted(self) -> bool:
        """Whether it is, or will be, accepted."""
        return self.verdict.code is InvoiceStatusCode.ACCEPTED

    def code_at(self, now: datetime) -> InvoiceStatusCode:
        """How far it is."""
        if now >= self.final_at:
            return self.verdict.code
        return InvoiceStatusCode.PROCESSING if now >= self.processing_at else InvoiceStatusCode.RECEIVED

    def details_at(self, now: datetime) -> tuple[str, ...]:
        """What is said of its status."""
        if now < self.final_at:
            return ()
        return self.verdict.details or INVOICE_STATES[self.verdict.code].details


@attrs.define(kw_only=True)
class Session(abc.ABC):
    """What both kinds of session are."""

    kind: ClassVar[SessionType]

    reference_number: str
    login: Login
    form_code: FormCode
    cipher: SessionCipher | None
    """None when the key it came with cannot be decrypted."""
    check_identifiers: bool
    opened_at: datetime
    valid_until: datetime
    timings: Timings
    closed_at: datetime | None = None
    invoices: dict[str, Invoice] = attrs.field(factory=dict)
    """By their reference numbers, in the order they were taken in."""
    is_stuck: bool = False
    """Stays in progress, on purpose."""
    upo_pages: tuple[tuple[str, bytes], ...] = ()

    @property
    def context(self) -> Context:
        """On whose behalf it was opened."""
        return self.login.context

    def closed_since(self, now: datetime) -> datetime | None:
        """When it was closed, by its owner or by KSeF; None while it is open."""
        if self.closed_at is not None:
            return self.closed_at
        expired_at = self.valid_until + self.timings.expiry_lag
        return expired_at if now >= expired_at else None

    @abc.abstractmethod
    def final_since(self, now: datetime) -> datetime | None:
        """When it became final; None before."""

    @abc.abstractmethod
    def code_at(self, now: datetime) -> StatusCode:
        """How far it is."""

    @abc.abstractmethod
    def status_at(self, now: datetime) -> StatusInfo:
        """How far it is, in KSeF's words."""

    def is_visible_at(self, now: datetime) -> bool:
        """Whether KSeF knows it already."""
        return now >= self.opened_at

    def lists_at(self, now: datetime) -> bool:
        """Whether its invoices are listed already."""
        return now >= self.opened_at

    def invoices_at(self, now: datetime) -> tuple[Invoice, ...]:
        """What it lists."""
        return tuple(self.invoices.values()) if self.lists_at(now) else ()

    def updated_at(self, now: datetime) -> datetime:
        """When something happened last; KSeF gives whole seconds."""
        moments = [self.opened_at, self.closed_since(now), self.final_since(now)]
        if invoices := self.invoices_at(now):
            moments.append(invoices[-1].received_at)
        return max(moment for moment in moments if moment is not None).replace(microsecond=0)

    def counts_at(self, now: datetime) -> tuple[int, int, int]:
        """Invoices taken in, accepted, rejected."""
        listed = self.invoices_at(now)
        final = [invoice for invoice in listed if now >= invoice.final_at]
        accepted = sum(invoice.is_accepted for invoice in final)
        return len(listed), accepted, len(final) - accepted
