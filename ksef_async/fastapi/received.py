"""What others have issued to a company: found, and read as a document or a page."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Final

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ..api.common import KSEF_NUMBER
from ..api.invoices import DateRange, DateType, InvoiceFilters, InvoiceMetadata, InvoiceSubject
from ..client import KsefClient
from .refusals import FaultRoute, responses
from .service import client_for

__all__ = ["Part", "ReceivedPage", "ReceivedView", "get_received", "list_received", "router"]

# KSeF counts pages in 32 bits.
_LAST_PAGE: Final = 2**31 - 1

router: Final = APIRouter(route_class=FaultRoute)

#: KSeF has no invoices from outside of these years, and at the ends of the calendar UTC has other ones.
_Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(3000, 1, 1, tzinfo=UTC))]


class Part(enum.StrEnum):
    """The part that the company plays on an invoice."""

    BUYER = "buyer"
    """It buys."""
    SELLER = "seller"
    """It sells."""
    THIRD = "third"
    """It is named as somebody else."""
    AUTHORIZED = "authorized"
    """It acts for the seller."""


_SUBJECTS: Final = {
    Part.BUYER: InvoiceSubject.BUYER,
    Part.SELLER: InvoiceSubject.SELLER,
    Part.THIRD: InvoiceSubject.THIRD_SUBJECT,
    Part.AUTHORIZED: InvoiceSubject.AUTHORIZED,
}


class ReceivedView(BaseModel):
    """An invoice at KSeF, as the router tells it; null stands for what KSeF does not give."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    ksef_number: str
    """The invoice's number in KSeF."""
    number: str | None
    """The seller's number (P_2)."""
    issued_on: date | None
    """Date of issue (P_1)."""
    stored_at: datetime | None
    """When KSeF stored it for good."""
    seller_nip: str | None
    """The seller's tax number."""
    seller_name: str | None
    """The seller's name."""
    buyer_identifier: str | None
    """The buyer's number."""
    buyer_name: str | None
    """The buyer's name."""
    net: Decimal | None
    """The sum without tax, in the invoice's currency, as a string."""
    vat: Decimal | None
    """The tax, likewise."""
    gross: Decimal | None
    """The sum with tax, likewise."""
    currency: str | None
    """ISO 4217."""
    kind: str | None
    """The kind of invoice, as KSeF names it."""
    sha256: str | None
    """SHA-256 of the document, in hexadecimal."""

    @classmethod
    def of(cls, metadata: InvoiceMetadata) -> ReceivedView:
        """Return the view of what KSeF tells of an invoice."""
        seller, buyer, digest = metadata.seller, metadata.buyer, metadata.invoice_hash
        return cls(
            ksef_number=metadata.ksef_number,
            number=metadata.invoice_number,
            issued_on=metadata.issue_date,
            stored_at=metadata.permanent_storage_date,
            seller_nip=None if seller is None else seller.nip,
            seller_name=None if seller is None else seller.name,
            buyer_identifier=None if buyer is None or buyer.identifier is None else buyer.identifier.value,
            buyer_name=None if buyer is None else buyer.name,
            net=metadata.net_amount,
            vat=metadata.vat_amount,
            gross=metadata.gross_amount,
            currency=metadata.currency,
            kind=metadata.invoice_type,
            sha256=None if digest is None else digest.hex(),
        )


class ReceivedPage(BaseModel):
    """A page of invoices, the oldest first."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    invoices: list[ReceivedView]
    """In the order in which KSeF stored them."""
    has_more: bool
    """Whether the next page has any."""
    complete_until: datetime | None
    """Up to there nothing will be added any more: a good ``since`` for the next time."""


@router.get("/{nip}/received", responses=responses(404, 422, 502, 503))
async def list_received(
    nip: str,
    request: Request,
    since: _Moment,
    until: _Moment | None = None,
    part: Part = Part.BUYER,
    page: Annotated[int, Query(ge=0, le=_LAST_PAGE)] = 0,
    limit: Annotated[int, Query(ge=10, le=250)] = 250,
) -> ReceivedPage:
    """Return a page of the invoices that KSeF has stored for good from ``since`` to ``until``, 100 days at most.

    Each page is one of the 20 queries an hour that KSeF takes of a company. What a company receives is best kept by a
    worker: see ``client.downloads.sync``.
    """
    client: KsefClient = client_for(request, nip)
    dates = DateRange(DateType.PERMANENT_STORAGE, since, until, restrict_to_permanent_storage_hwm_date=True)
    filters = InvoiceFilters(subject_type=_SUBJECTS[part], date_range=dates)
    found = await client.invoices.list_page(filters, page_offset=page, page_size=limit)
    return ReceivedPage(
        invoices=[ReceivedView.of(each) for each in found.invoices],
        has_more=found.has_more,
        complete_until=found.permanent_storage_hwm_date,
    )


@router.get(
    "/{nip}/received/{ksef_number}",
    response_class=Response,
    responses={
        200: {"description": "The XML as it was sent, or a page", "content": {"application/xml": {}, "text/html": {}}},
        **responses(404, 422, 502, 503),
    },
)
async def get_received(
    nip: str,
    request: Request,
    ksef_number: Annotated[str, Path(pattern=KSEF_NUMBER, examples=["5265877635-20261124-0100001AF629-2C"])],
    page: Annotated[bool, Query(description="An HTML page in place of the XML")] = False,
    language: Annotated[str, Query(pattern="^(pl|en)$", description="Of the page")] = "pl",
) -> Response:
    """Return an invoice the company is a party to, whose SHA-256 was compared with the one that KSeF vouches for."""
    client: KsefClient = client_for(request, nip)
    xml = await client.invoices.get(ksef_number)
    if not page:
        return Response(xml, media_type="application/xml", headers={"X-Content-Type-Options": "nosniff"})
    # In a thread, however small: the first one reads files, for what makes pages is not loaded before.
    made = await to_thread.run_sync(_page, xml, language, ksef_number)
    return Response(made, media_type="text/html", headers={"X-Content-Type-Options": "nosniff"})


def _page(xml: bytes, language: str, ksef_number: str) -> str:
    from ..documents import html

    return html(xml, language="en" if language == "en" else "pl", ksef_number=ksef_number)
