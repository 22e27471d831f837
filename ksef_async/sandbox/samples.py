"""An FA(3) invoice of our own: small, valid against the schema, made anew for every number and seller."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from ..documents import building, fa3
from ..documents.shape import load_shape
from ..protocol.polish_calendar import polish_day

__all__ = ["sample_invoice"]

# Read here, for invoices are made in event loops.
load_shape("fa3")


def sample_invoice(
    seller_nip: str, number: str = "FV/1", issued_on: date | None = None, *, buyer_nip: str = "1111111111"
) -> bytes:
    """Return an FA(3) VAT invoice with one line, over 1,000 PLN net.

    Args:
        seller_nip: Who issues it: the NIP of the login's context.
        number: The seller's number (P_2); seller, kind and number may come only once.
        issued_on: Date of issue; today in Poland by default, so that KSeF takes it for an online invoice.
        buyer_nip: Who gets it.

    Returns:
        The XML, UTF-8 without BOM.
    """
    day = issued_on or polish_day(datetime.now(UTC))
    built = building.invoice(
        seller=building.seller(seller_nip, "Sprzedawca sp. z o.o.", "ul. Przykładowa 1, 00-001 Warszawa"),
        buyer=building.buyer("Nabywca S.A.", "ul. Wzorcowa 2, 30-002 Kraków", nip=buyer_nip),
        rows=[building.row("Usługa przykładowa", 1, Decimal("1000.00"))],
        number=number,
        issued_on=day,
        made_at=datetime.combine(day, time(), UTC),
    )
    return fa3.write(built)
