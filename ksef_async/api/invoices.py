"""Invoices as KSeF keeps them: what is told of each, what is asked for, and packages of them.

Source: OpenAPI 2.9.0, /invoices/*; pobieranie-faktur/*.md.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from http import HTTPMethod
from typing import Annotated

import attrs

from .common import (
    EVERY_ITEM,
    KSEF_NUMBER,
    LEFT_OUT,
    NEVER_LEFT_OUT,
    Identifier,
    OpenStrEnum,
    ServerTime,
    SignedLink,
    StatusInfo,
    text,
    wire_name,
)
from .keys import EncryptionInfo
from .operation import Operation, RateGroup
from .packages import CompressionType
from .sessions import FormCode, InvoicingMode

__all__ = [
    "EXPORT_INVOICES",
    "GET_EXPORT_STATUS",
    "GET_INVOICE",
    "QUERY_INVOICE_METADATA",
    "AmountFilter",
    "AmountType",
    "AuthorizedSubject",
    "Buyer",
    "BuyerIdentifier",
    "BuyerIdentifierType",
    "DateRange",
    "DateType",
    "ExportInvoicesRequest",
    "ExportInvoicesResponse",
    "ExportStatus",
    "FormType",
    "InvoiceFilters",
    "InvoiceMetadata",
    "InvoiceMetadataPage",
    "InvoicePackage",
    "InvoiceSubject",
    "InvoiceType",
    "PackagePart",
    "Seller",
    "SortOrder",
    "ThirdSubject",
    "ThirdSubjectIdentifier",
    "ThirdSubjectIdentifierType",
]

_NIP = r"[1-9]((\d[1-9])|([1-9]\d))\d{7}"


# --- what is told of an invoice ----------------------------------------------------------------------------


class InvoiceType(OpenStrEnum):
    """The kind of an invoice."""

    VAT = "Vat"
    """An ordinary invoice."""
    ADVANCE = "Zal"
    """For a payment in advance (ZAL)."""
    CORRECTION = "Kor"
    """Corrects another one (KOR)."""
    SETTLEMENT = "Roz"
    """Settles payments in advance (ROZ)."""
    SIMPLIFIED = "Upr"
    """A simplified invoice (UPR)."""
    ADVANCE_CORRECTION = "KorZal"
    """Corrects one for a payment in advance (KOR_ZAL)."""
    SETTLEMENT_CORRECTION = "KorRoz"
    """Corrects one that settles payments in advance (KOR_ROZ)."""
    PEF = "VatPef"
    """An invoice of Peppol to public bodies."""
    PEF_SPECIALIZED = "VatPefSp"
    """A special invoice of Peppol."""
    PEF_CORRECTION = "KorPef"
    """Corrects an invoice of Peppol."""
    RR = "VatRr"
    """An invoice to a farmer at a flat rate (FA_RR)."""
    RR_CORRECTION = "KorVatRr"
    """Corrects an invoice to a farmer at a flat rate."""


class BuyerIdentifierType(OpenStrEnum):
    """The kind of identifier that names a buyer."""

    NIP = "Nip"
    """A Polish tax number."""
    VAT_UE = "VatUe"
    """A number for VAT in another country of the EU."""
    OTHER = "Other"
    """Any other number."""
    NONE = "None"
    """The buyer has no number on the invoice."""


class ThirdSubjectIdentifierType(OpenStrEnum):
    """The kind of identifier that names a third party."""

    NIP = "Nip"
    INTERNAL_ID = "InternalId"
    VAT_UE = "VatUe"
    OTHER = "Other"
    NONE = "None"


@attrs.frozen
class Seller:
    """Who sells."""

    nip: str
    name: str | None = None


@attrs.frozen
class BuyerIdentifier:
    """The identifier of a buyer; also a filter."""

    type: BuyerIdentifierType
    """The kind of number."""
    value: str | None = attrs.field(default=None, validator=text(most=50))
    """At most 50 characters."""


@attrs.frozen
class Buyer:
    """Who buys."""

    identifier: BuyerIdentifier | None = None
    name: str | None = None


@attrs.frozen
class ThirdSubjectIdentifier:
    """The identifier of a third party."""

    type: ThirdSubjectIdentifierType
    value: str | None = None


@attrs.frozen
class ThirdSubject:
    """A third party: a factor, recipient, payer, ..."""

    identifier: ThirdSubjectIdentifier | None = None
    name: str | None = None
    role: int | None = attrs.field(default=None, kw_only=True)
    """0 other, 1 factor, 2 recipient, 3 original subject, 4 further buyer, 5 issuer, 6 payer, 7 and 8 local government,
    9 and 10 VAT group, 11 employee.
    """


@attrs.frozen
class AuthorizedSubject:
    """Who acts by authority: 1 enforcement body, 2 bailiff, 3 tax representative."""

    nip: str
    name: str | None = None
    role: int | None = attrs.field(default=None, kw_only=True)


@attrs.frozen(kw_only=True)
class InvoiceMetadata:
    """An invoice's metadata at KSeF, without its document; None stands for what KSeF does not give."""

    ksef_number: Identifier
    """The invoice's number in KSeF."""
    invoice_number: str | None = None
    """The seller's number (P_2)."""
    issue_date: date | None = None
    """Date of issue (P_1)."""
    invoicing_date: ServerTime | None = None
    """When KSeF took it in for processing."""
    acquisition_date: datetime | None = None
    """When it got its KSeF number."""
    permanent_storage_date: ServerTime | None = None
    """When it was stored for good; what incremental fetching goes by."""
    seller: Seller | None = None
    """Who sells."""
    buyer: Buyer | None = None
    """Who buys."""
    net_amount: Decimal | None = None
    """The sum without tax, in the invoice's currency."""
    gross_amount: Decimal | None = None
    """The sum with tax, in the invoice's currency."""
    vat_amount: Decimal | None = None
    """The tax, in the invoice's currency."""
    currency: str | None = None
    """ISO 4217."""
    invoicing_mode: InvoicingMode | None = None
    """Whether KSeF took it in as online or offline."""
    invoice_type: InvoiceType | None = None
    """The kind of invoice."""
    form_code: FormCode | None = None
    """None for a form that this version does not know, too."""
    is_self_invoicing: bool | None = None
    """Whether the buyer made it for the seller."""
    has_attachment: bool | None = None
    """Whether it has attachments."""
    invoice_hash: bytes | None = None
    """SHA-256 of the document (32 bytes)."""
    hash_of_corrected_invoice: bytes | None = None
    """SHA-256 of the invoice that this one corrects technically (32 bytes)."""
    third_subjects: tuple[ThirdSubject, ...] = ()
    """Others whom the invoice names."""
    authorized_subject: AuthorizedSubject | None = None
    """Who acts for the seller, if anybody."""


# --- what is asked for -------------------------------------------------------------------------------------


class InvoiceSubject(OpenStrEnum):
    """As what the context looks: only invoices in which it plays this part are found."""

    SELLER = "Subject1"
    """Podmiot1."""
    BUYER = "Subject2"
    """Podmiot2."""
    THIRD_SUBJECT = "Subject3"
    """Podmiot3."""
    AUTHORIZED = "SubjectAuthorized"
    """PodmiotUpowazniony."""


class DateType(OpenStrEnum):
    """Which date a range is of; lists are sorted by it."""

    ISSUE = "Issue"
    """The date of issue that the invoice tells (P_1)."""
    INVOICING = "Invoicing"
    """When KSeF took the invoice in."""
    PERMANENT_STORAGE = "PermanentStorage"
    """When the invoice was stored for good; the only one by which nothing is missed."""


class AmountType(OpenStrEnum):
    """Which amount."""

    GROSS = "Brutto"
    """The amount with tax."""
    NET = "Netto"
    """The amount without tax."""
    VAT = "Vat"
    """The tax."""


class FormType(OpenStrEnum):
    """Which family of document forms."""

    FA = "FA"
    PEF = "PEF"
    FA_RR = "FA_RR"


class SortOrder(OpenStrEnum):
    """Which date comes first."""

    ASCENDING = "Asc"
    """Oldest first."""
    DESCENDING = "Desc"
    """Newest first."""


@attrs.frozen
class DateRange:
    """From when to when, both ends included; at most 100 days."""

    date_type: DateType
    """Which of an invoice's dates is compared."""
    from_date: datetime = attrs.field(metadata=wire_name("from"))
    """Aware."""
    to_date: datetime | None = attrs.field(default=None, metadata=wire_name("to"))
    """Aware; now by default."""
    restrict_to_permanent_storage_hwm_date: bool | None = attrs.field(default=None, kw_only=True)
    """Only up to the high-water mark, below which nothing will be added any more; for permanent storage only."""


@attrs.frozen
class AmountFilter:
    """From how much to how much, both ends included."""

    type: AmountType
    """Which of an invoice's amounts is compared."""
    from_amount: Decimal | None = attrs.field(default=None, metadata=wire_name("from"))
    """The least, inclusive; None for no bound."""
    to_amount: Decimal | None = attrs.field(default=None, metadata=wire_name("to"))
    """The greatest, inclusive; None for no bound."""


@attrs.frozen(kw_only=True)
class InvoiceFilters:
    """Which invoices to find."""

    subject_type: InvoiceSubject
    """What the company that asks is on the invoices."""
    date_range: DateRange
    """When; 100 days at most."""
    ksef_number: str | None = attrs.field(default=None, validator=text(35, 36, KSEF_NUMBER))
    """The number in KSeF, exactly."""
    invoice_number: str | None = attrs.field(default=None, validator=text(most=256))
    """The seller's number, exactly."""
    amount: AmountFilter | None = None
    """Bounds of an amount."""
    seller_nip: str | None = attrs.field(default=None, validator=text(10, 10, _NIP))
    """The seller's tax number, exactly."""
    buyer_identifier: BuyerIdentifier | None = None
    """The buyer's number, exactly."""
    currency_codes: tuple[str, ...] = ()
    """ISO 4217; any of them."""
    invoicing_mode: InvoicingMode | None = None
    """Online or offline; None for both."""
    is_self_invoicing: bool | None = None
    """Whether the buyer made it for the seller; None for both."""
    form_type: FormType | None = None
    """The kind of form; None for all."""
    invoice_types: tuple[InvoiceType, ...] = ()
    """Any of them."""
    has_attachment: bool | None = None
    """Whether it has attachments; None for both."""


@attrs.frozen(kw_only=True)
class InvoiceMetadataPage:
    """One page of what was found."""

    has_more: bool
    """Whether more follow."""
    is_truncated: bool
    """Whether the query has reached 10,000 rows: the rest is found with a narrower range."""
    permanent_storage_hwm_date: ServerTime | None = None
    """Up to there what was found is final and complete; for permanent storage only."""
    invoices: tuple[InvoiceMetadata, ...]
    left_out: int = attrs.field(default=0, metadata=LEFT_OUT)
    """How many rows could not be read."""


# --- packages ----------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ExportInvoicesRequest:
    """Asks for a package."""

    encryption: EncryptionInfo
    only_metadata: bool = False
    """Leave the documents out."""
    filters: InvoiceFilters
    compression_type: CompressionType | None = None


@attrs.frozen
class ExportInvoicesResponse:
    """KSeF has begun to make a package."""

    reference_number: Identifier


@attrs.frozen(kw_only=True)
class PackagePart:
    """Where one part of a package can be fetched, and what it must be."""

    ordinal_number: int
    """From 1."""
    part_name: str | None = None
    method: str | None = None
    url: SignedLink = attrs.field(repr=False)
    """A signed link, good for about an hour: whoever has it can fetch the part, so it is kept out of ``repr``."""
    part_size: int
    """Bytes of the part once decrypted, and their SHA-256 (32 bytes)."""
    part_hash: bytes
    encrypted_part_size: int
    """Bytes of the part as it is fetched, and their SHA-256 (32 bytes)."""
    encrypted_part_hash: bytes
    expiration_date: datetime | None = None
    """Until when the link works."""


@attrs.frozen(kw_only=True)
class InvoicePackage:
    """A package that can be fetched."""

    invoice_count: int | None = None
    size: int | None = None
    """Bytes of the whole archive."""
    parts: Annotated[tuple[PackagePart, ...], EVERY_ITEM]
    is_truncated: bool
    """Whether there is more than fits: 10,000 invoices, or 1 GB."""
    last_issue_date: date | None = None
    """Of the last invoice in it; only when truncated, and only the date that was asked by."""
    last_invoicing_date: ServerTime | None = None
    last_permanent_storage_date: ServerTime | None = None
    permanent_storage_hwm_date: ServerTime | None = None
    """Up to there what was found is final and complete; for permanent storage only."""
    compression_type: CompressionType | None = None
    """None before version 2.8 of the API: the archive's first bytes tell."""


@attrs.frozen(kw_only=True)
class ExportStatus:
    """The status of an export."""

    status: StatusInfo
    completed_date: datetime | None = None
    package_expiration_date: datetime | None = None
    """Until when the package is there: seven days."""
    package: InvoicePackage | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)
    """None at 200, too, when nothing was found."""


GET, POST = HTTPMethod.GET, HTTPMethod.POST

_READERS = ("InvoiceRead",)

GET_INVOICE: Operation[None, bytes] = Operation(
    name="get_invoice", method=GET, path="/invoices/ksef/{ksef_number}", success=200, response=bytes,
    permissions=_READERS, rate_group=RateGroup.INVOICE_DOWNLOAD, repeat_safe=True,
)  # fmt: skip
QUERY_INVOICE_METADATA: Operation[InvoiceFilters, InvoiceMetadataPage] = Operation(
    name="query_invoice_metadata", method=POST, path="/invoices/query/metadata", success=200,
    request=InvoiceFilters, response=InvoiceMetadataPage,
    query=("sort_order", "page_offset", "page_size"), largest_page=250,
    permissions=_READERS, rate_group=RateGroup.INVOICE_METADATA, repeat_safe=True,
)  # fmt: skip
# An export that nobody fetches does no harm: after a lost answer another one is begun.
EXPORT_INVOICES: Operation[ExportInvoicesRequest, ExportInvoicesResponse] = Operation(
    name="export_invoices", method=POST, path="/invoices/exports", success=201,
    request=ExportInvoicesRequest, response=ExportInvoicesResponse,
    permissions=_READERS, rate_group=RateGroup.INVOICE_EXPORT, repeat_safe=True,
)  # fmt: skip
GET_EXPORT_STATUS: Operation[None, ExportStatus] = Operation(
    name="get_export_status", method=GET, path="/invoices/exports/{reference_number}", success=200,
    response=ExportStatus, permissions=_READERS, rate_group=RateGroup.INVOICE_EXPORT_STATUS, repeat_safe=True,
)  # fmt: skip
