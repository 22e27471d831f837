"""Sessions and the invoices in them. Source: /sessions/*; sesja-interaktywna.md, faktury/sesja-sprawdzenie-stanu.md."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from datetime import date, datetime
from http import HTTPMethod
from typing import Annotated, Final

import attrs

from .common import (
    EVERY_ITEM,
    LEFT_OUT,
    NEVER_LEFT_OUT,
    Context,
    Cursor,
    Identifier,
    OpenStrEnum,
    SignedLink,
    StatusInfo,
    wire_name,
)
from .keys import EncryptionInfo
from .operation import LARGEST_UPO, Operation, RateGroup

__all__ = [
    "CLOSE_ONLINE_SESSION",
    "GET_INVOICE_UPO",
    "GET_INVOICE_UPO_BY_KSEF_NUMBER",
    "GET_SESSION_INVOICE",
    "GET_SESSION_STATUS",
    "GET_SESSION_UPO_PAGE",
    "LIST_FAILED_SESSION_INVOICES",
    "LIST_SESSIONS",
    "LIST_SESSION_INVOICES",
    "OPEN_ONLINE_SESSION",
    "SEND_INVOICE",
    "UPO",
    "Feature",
    "FormCode",
    "InvoiceStatusCode",
    "InvoiceStatusInfo",
    "InvoicingMode",
    "OpenOnlineSessionRequest",
    "OpenOnlineSessionResponse",
    "SendInvoiceRequest",
    "SendInvoiceResponse",
    "SessionFilter",
    "SessionInvoice",
    "SessionInvoicePage",
    "SessionOutcome",
    "SessionPage",
    "SessionStatus",
    "SessionSummary",
    "SessionType",
    "StatusCode",
    "UPODocument",
    "UPOEntry",
    "UPOPage",
]


class FormCode(enum.Enum):
    """The document forms KSeF takes; one session takes one of them.

    ``FormCode("FA (3)")`` finds one by its system code, in which the blank is KSeF's; ``FormCode("FA(3)")`` and
    ``FormCode("FA3")`` find the same.
    """

    FA2 = "FA (2)"
    """The VAT invoice of KSeF 1; TEST only."""
    FA3 = "FA (3)"
    """The VAT invoice."""
    PEF3 = "PEF (3)"
    """The Peppol invoice; online sessions only."""
    PEF_KOR3 = "PEF_KOR (3)"
    """The Peppol correction; online sessions only."""
    FA_RR1 = "FA_RR (1)"
    """The flat-rate farmer's invoice."""

    @classmethod
    def _missing_(cls, value: object) -> FormCode | None:
        if not isinstance(value, str):
            return None
        found = [form for form in cls if value in {form.value.replace(" ", ""), re.sub("[ ()]", "", form.value)}]
        return found[0] if len(found) == 1 else None

    @property
    def system_code(self) -> str:
        """The form's ``kodSystemowy`` in the document, e.g. ``"FA (3)"``."""
        return self.value

    @property
    def schema_version(self) -> str:
        """The form's ``wersjaSchemy`` in the document, e.g. ``"1-0E"``."""
        return _FORMS[self][0]

    @property
    def form(self) -> str:
        """The form's short name, e.g. ``"FA"``."""
        return _FORMS[self][1]


_FORMS: Final[Mapping[FormCode, tuple[str, str]]] = {
    FormCode.FA2: ("1-0E", "FA"),
    FormCode.FA3: ("1-0E", "FA"),
    FormCode.PEF3: ("2-1", "PEF"),
    FormCode.PEF_KOR3: ("2-1", "PEF"),
    FormCode.FA_RR1: ("1-1E", "FA_RR"),
}


class Feature(enum.StrEnum):
    """A feature that can be requested when a session is opened (header ``X-KSeF-Feature``)."""

    SUBJECT_IDENTIFIER_VALIDATION = "subject-identifier-validation"
    """Check the NIP and internal identifiers named in the invoices, which production always does."""


class SessionType(OpenStrEnum):
    """The kind of a session."""

    ONLINE = "Online"
    """Invoices are sent one by one."""
    BATCH = "Batch"
    """Invoices are sent as one package."""


class StatusCode(enum.IntEnum):
    """The known status codes of a session; `protocol.lifecycle` has the transitions between them."""

    OPENED = 100
    """Takes invoices."""
    PROCESSING = 150
    """Batch: closed by the client, being processed."""
    CLOSED = 170
    """Online: closed; invoices are being finished and the UPO made."""
    PROCESSED_OK = 200
    """At least one invoice was accepted; the UPO is ready."""
    PART_ERROR = 405
    """Batch: a part is not what was declared."""
    DECRYPTION_ERROR = 415
    """The session key could not be decrypted."""
    TOO_MANY_INVOICES = 420
    """Batch: too many invoices."""
    ARCHIVE_ERROR = 430
    """Batch: the archive cannot be unpacked, or is not what was declared."""
    PART_DECRYPTION_ERROR = 435
    """Batch: a part cannot be decrypted."""
    CANCELLED = 440
    """No invoice was sent in time."""
    VALIDATION_ERROR = 445
    """Every invoice was rejected."""
    UNKNOWN_ERROR = 500
    """KSeF failed."""


class InvoiceStatusCode(enum.IntEnum):
    """The known status codes of an invoice in a session."""

    RECEIVED = 100
    """Taken in, not yet looked at."""
    PROCESSING = 150
    """Being processed."""
    ACCEPTED = 200
    """It has a KSeF number."""
    SESSION_FAILED = 405
    """The session failed before the invoice was processed."""
    NOT_PERMITTED = 410
    """The context may not issue invoices for this seller."""
    ATTACHMENT_REFUSED = 415
    """Attachments are not allowed here."""
    FILE_ERROR = 430
    """Size, hash or encoding are not what was declared or allowed."""
    DECRYPTION_ERROR = 435
    """KSeF could not decrypt it with the session's key."""
    DUPLICATE = 440
    """Seller, kind and number are already in KSeF."""
    INVALID_DOCUMENT = 450
    """The document breaks its schema or a rule of meaning."""
    UNKNOWN_ERROR = 500
    """KSeF failed on it; the invoice may be sent again."""
    CANCELLED_BY_SYSTEM = 550
    """KSeF gave up for reasons of its own; the invoice may be sent again."""


class InvoicingMode(OpenStrEnum):
    """The mode in which KSeF regards an invoice as issued."""

    ONLINE = "Online"
    """KSeF had it on its date of issue, and it was not sent as an offline one."""
    OFFLINE = "Offline"
    """It was sent as an offline one, or came after its date of issue."""


class SessionOutcome(OpenStrEnum):
    """The coarse state by which sessions can be filtered."""

    IN_PROGRESS = "InProgress"
    """100, 150, 170"""
    SUCCEEDED = "Succeeded"
    """200"""
    CANCELLED = "Cancelled"
    """440"""
    FAILED = "Failed"
    """every other code"""


@attrs.frozen
class OpenOnlineSessionRequest:
    """Opens an online session."""

    form_code: FormCode
    encryption: EncryptionInfo


@attrs.frozen
class OpenOnlineSessionResponse:
    """A session KSeF has opened."""

    reference_number: Identifier
    valid_until: datetime | None = None
    """12 hours after the opening; activity does not move it. None when KSeF does not tell."""


@attrs.frozen(kw_only=True)
class SendInvoiceRequest:
    """One encrypted invoice."""

    invoice_hash: bytes
    """SHA-256 of the plain invoice (32 bytes)."""
    invoice_size: int
    """Bytes of the plain invoice."""
    encrypted_invoice_hash: bytes
    """SHA-256 of the ciphertext (32 bytes)."""
    encrypted_invoice_size: int
    """Bytes of the ciphertext."""
    encrypted_invoice_content: bytes = attrs.field(repr=False)
    """AES-256-CBC with PKCS#7, under the session's key and initialization vector."""
    offline_mode: bool = False
    """True for an invoice issued in an offline mode."""
    hash_of_corrected_invoice: bytes | None = None
    """SHA-256 of the rejected offline invoice that this one corrects technically (32 bytes)."""


@attrs.frozen
class SendInvoiceResponse:
    """KSeF has taken the invoice in."""

    reference_number: Identifier


@attrs.frozen
class UPOPage:
    """Where one page of a session's UPO can be fetched; a page holds up to 10,000 invoices."""

    reference_number: Identifier
    """The page's own number."""
    download_url: SignedLink | None = attrs.field(default=None, repr=False)
    """A signed link: whoever has it can read the page, so it is kept out of ``repr``. None when KSeF does not tell."""
    expires_at: datetime | None = attrs.field(default=None, metadata=wire_name("downloadUrlExpirationDate"))
    """Until when the link works."""


@attrs.frozen
class UPO:
    """The official receipt of a session, as links; `OnlineSession.upo()` fetches and verifies it."""

    pages: Annotated[tuple[UPOPage, ...], EVERY_ITEM]
    """The pages of the receipt; one page for up to 10,000 invoices."""


def _with_known_code(status: StatusInfo) -> StatusInfo:
    known = StatusCode.__members__.values()
    return attrs.evolve(status, code=StatusCode(status.code)) if status.code in known else status


@attrs.frozen(kw_only=True)
class SessionStatus:
    """The status of a session."""

    status: StatusInfo = attrs.field(converter=_with_known_code)
    """Its ``code`` is a `StatusCode` where it is a known one, and a plain int otherwise."""
    date_created: datetime | None = None
    """When the session was opened."""
    date_updated: datetime | None = None
    """When the session last changed."""
    valid_until: datetime | None = None
    """When KSeF closes the session by itself."""
    upo: UPO | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)
    """Only at 200."""
    invoice_count: int = 0
    """KSeF leaves the counters out while they are zero."""
    successful_invoice_count: int = 0
    """Invoices that were accepted."""
    failed_invoice_count: int = 0
    """Invoices that were rejected."""


@attrs.frozen(kw_only=True)
class SessionFilter:
    """Which sessions to list; times are aware, both ends inclusive."""

    session_type: SessionType
    """Online or batch sessions."""
    reference_number: str | None = None
    """The session's number, exactly."""
    date_created_from: datetime | None = None
    """Opened at this time or later."""
    date_created_to: datetime | None = None
    """Opened at this time or earlier."""
    date_closed_from: datetime | None = None
    """Closed at this time or later."""
    date_closed_to: datetime | None = None
    """Closed at this time or earlier."""
    date_modified_from: datetime | None = None
    """Last changed at this time or later."""
    date_modified_to: datetime | None = None
    """Last changed at this time or earlier."""
    statuses: tuple[SessionOutcome, ...] = ()
    """Any of these; all when empty."""


@attrs.frozen(kw_only=True)
class SessionSummary:
    """A session in a list."""

    reference_number: Identifier
    """The session."""
    status: StatusInfo = attrs.field(converter=_with_known_code)
    """Its ``code`` is a `StatusCode` where it is a known one, and a plain int otherwise."""
    date_created: datetime | None = None
    """When the session was opened."""
    date_updated: datetime | None = None
    """When the session last changed."""
    valid_until: datetime | None = None
    """When KSeF closes the session by itself."""
    total_invoice_count: int | None = None
    """Invoices that KSeF took in."""
    successful_invoice_count: int | None = None
    """Invoices that were accepted."""
    failed_invoice_count: int | None = None
    """Invoices that were rejected."""


@attrs.frozen
class SessionPage:
    """One page of sessions, newest first."""

    sessions: tuple[SessionSummary, ...]
    continuation_token: Cursor | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)


@attrs.frozen
class InvoiceStatusInfo:
    """A status as KSeF reports it, of an invoice."""

    code: int
    """Below 200 in progress, 200 accepted, above 200 rejected; see `InvoiceStatusCode`."""
    description: str = ""
    """For people, in Polish; empty when KSeF does not tell."""
    details: tuple[str, ...] = ()
    """For people, mostly in Polish."""
    extensions: dict[str, str | None] = attrs.field(factory=dict)
    """For 440: ``originalSessionReferenceNumber`` and ``originalKsefNumber``; KSeF sometimes leaves them out."""


@attrs.frozen(kw_only=True)
class SessionInvoice:
    """The status of an invoice in a session."""

    ordinal_number: int | None = None
    """From 1, in the order KSeF took them in."""
    invoice_number: str | None = None
    """The seller's number (P_2), once KSeF has read the document."""
    ksef_number: Identifier | None = None
    """Only for an accepted invoice."""
    reference_number: Identifier
    """KSeF's reference number of this invoice in its session."""
    invoice_hash: bytes | None = None
    """SHA-256 of the plain invoice (32 bytes). None when KSeF does not tell."""
    invoice_file_name: str | None = None
    """Batch sessions only."""
    acquisition_date: datetime | None = None
    """When the KSeF number was given."""
    invoicing_date: datetime | None = None
    """Online: when the invoice was sent. Batch: when the session was opened."""
    permanent_storage_date: datetime | None = None
    """Set some time after acceptance; from then on the invoice can be queried and downloaded."""
    upo_download_url: SignedLink | None = attrs.field(default=None, repr=False)
    """A signed link: whoever has it can read the invoice's UPO, so it is kept out of ``repr``."""
    upo_download_url_expiration_date: datetime | None = None
    """Until when the link works."""
    invoicing_mode: InvoicingMode | None = None
    """Only for an accepted invoice."""
    status: InvoiceStatusInfo
    """How far KSeF is with it."""


@attrs.frozen
class SessionInvoicePage:
    """One page of a session's invoices, in the order KSeF took them in."""

    invoices: tuple[SessionInvoice, ...]
    left_out: int = attrs.field(default=0, kw_only=True, metadata=LEFT_OUT)
    """How many rows could not be read: nothing must be concluded from an invoice's absence then."""
    continuation_token: Cursor | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)


@attrs.frozen(kw_only=True)
class UPOEntry:
    """One accepted invoice in a UPO."""

    seller_nip: str
    """The seller's tax number."""
    ksef_number: str
    """The invoice's number in KSeF."""
    invoice_number: str
    """The seller's number (P_2)."""
    issue_date: date
    """The date of issue that the invoice tells (P_1)."""
    invoicing_date: datetime
    """When KSeF took the document in."""
    acquisition_date: datetime
    """When the KSeF number was given."""
    invoice_hash: bytes
    """SHA-256 of the invoice (32 bytes)."""
    invoicing_mode: InvoicingMode | None = None
    """Absent in UPO older than version 4-3."""


@attrs.frozen(kw_only=True)
class UPODocument:
    """One UPO document: a page of a session's receipt, or the receipt of one invoice."""

    xml: bytes = attrs.field(repr=False)
    """The exact bytes KSeF issued: what an archive must keep."""
    session_reference_number: str
    """The session in which the invoices were sent."""
    context: Context
    """On whose behalf the invoices were sent."""
    issuer: str
    """Who confirms: outside production its name says which environment this is."""
    form: str
    """System code of the form, e.g. ``"FA (3)"``."""
    page: int = 1
    """This page, from 1, and how many there are; 1 of 1 for the receipt of one invoice."""
    page_count: int = 1
    """How many pages the receipt has."""
    entries: tuple[UPOEntry, ...] = attrs.field(repr=lambda entries: f"<{len(entries)} entries>")
    """The invoices that it confirms."""


GET, POST = HTTPMethod.GET, HTTPMethod.POST

_SENDERS = ("InvoiceWrite", "PefInvoiceWrite", "EnforcementOperations")
_READERS = ("InvoiceWrite", "Introspection", "PefInvoiceWrite", "EnforcementOperations")

# --- online sessions -------------------------------------------------------------------------------------

OPEN_ONLINE_SESSION: Operation[OpenOnlineSessionRequest, OpenOnlineSessionResponse] = Operation(
    # Repeat-safe because a session whose opening nobody heard of takes no invoices, and expires by itself.
    name="open_online_session", method=POST, path="/sessions/online", success=201,
    request=OpenOnlineSessionRequest, response=OpenOnlineSessionResponse,
    permissions=_SENDERS, rate_group=RateGroup.ONLINE_SESSION, repeat_safe=True,
)  # fmt: skip
SEND_INVOICE: Operation[SendInvoiceRequest, SendInvoiceResponse] = Operation(
    name="send_invoice", method=POST, path="/sessions/online/{reference_number}/invoices", success=202,
    request=SendInvoiceRequest, response=SendInvoiceResponse,
    permissions=_SENDERS, rate_group=RateGroup.INVOICE_SEND,
)  # fmt: skip
CLOSE_ONLINE_SESSION: Operation[None, None] = Operation(
    # Repeat-safe because a second close is refused with 21180, which the session layer reads as "closed".
    name="close_online_session", method=POST, path="/sessions/online/{reference_number}/close", success=204,
    permissions=_SENDERS, rate_group=RateGroup.ONLINE_SESSION_CLOSE, repeat_safe=True,
)  # fmt: skip

# --- status and UPO --------------------------------------------------------------------------------------

LIST_SESSIONS: Operation[None, SessionPage] = Operation(
    name="list_sessions", method=GET, path="/sessions", success=200, response=SessionPage,
    query=(
        "page_size", "session_type", "reference_number", "date_created_from", "date_created_to",
        "date_closed_from", "date_closed_to", "date_modified_from", "date_modified_to", "statuses",
    ), continued=True, largest_page=1000,
    permissions=("InvoiceWrite", "Introspection", "EnforcementOperations"),
    rate_group=RateGroup.SESSION_LIST, repeat_safe=True,
)  # fmt: skip
GET_SESSION_STATUS: Operation[None, SessionStatus] = Operation(
    name="get_session_status", method=GET, path="/sessions/{reference_number}", success=200,
    response=SessionStatus, permissions=_READERS, rate_group=RateGroup.SESSION_MISC, repeat_safe=True,
)  # fmt: skip
LIST_SESSION_INVOICES: Operation[None, SessionInvoicePage] = Operation(
    name="list_session_invoices", method=GET, path="/sessions/{reference_number}/invoices", success=200,
    response=SessionInvoicePage, query=("page_size",), continued=True, largest_page=1000,
    permissions=_READERS, rate_group=RateGroup.SESSION_INVOICE_LIST, repeat_safe=True,
)  # fmt: skip
LIST_FAILED_SESSION_INVOICES: Operation[None, SessionInvoicePage] = Operation(
    name="list_failed_session_invoices", method=GET, path="/sessions/{reference_number}/invoices/failed",
    success=200, response=SessionInvoicePage, query=("page_size",), continued=True, largest_page=1000,
    permissions=_READERS, rate_group=RateGroup.SESSION_INVOICE_LIST, repeat_safe=True,
)  # fmt: skip
GET_SESSION_INVOICE: Operation[None, SessionInvoice] = Operation(
    name="get_session_invoice", method=GET,
    path="/sessions/{reference_number}/invoices/{invoice_reference_number}", success=200,
    response=SessionInvoice, permissions=_READERS, rate_group=RateGroup.INVOICE_STATUS, repeat_safe=True,
)  # fmt: skip
GET_INVOICE_UPO: Operation[None, bytes] = Operation(
    name="get_invoice_upo", method=GET,
    path="/sessions/{reference_number}/invoices/{invoice_reference_number}/upo", success=200,
    response=bytes, largest_answer=LARGEST_UPO, permissions=_READERS, rate_group=RateGroup.SESSION_MISC,
    repeat_safe=True,
)  # fmt: skip
GET_INVOICE_UPO_BY_KSEF_NUMBER: Operation[None, bytes] = Operation(
    name="get_invoice_upo_by_ksef_number", method=GET,
    path="/sessions/{reference_number}/invoices/ksef/{ksef_number}/upo", success=200,
    response=bytes, largest_answer=LARGEST_UPO, permissions=_READERS, rate_group=RateGroup.SESSION_MISC,
    repeat_safe=True,
)  # fmt: skip
GET_SESSION_UPO_PAGE: Operation[None, bytes] = Operation(
    name="get_session_upo_page", method=GET,
    path="/sessions/{reference_number}/upo/{upo_reference_number}", success=200,
    response=bytes, largest_answer=LARGEST_UPO, permissions=_READERS, rate_group=RateGroup.SESSION_MISC,
    repeat_safe=True,
)  # fmt: skip
