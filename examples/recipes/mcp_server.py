"""MCP: an assistant may check invoices, show them, and list what the company received. It cannot issue any.

``pip install 'ksef_async[xades]' mcp``, the variables KSEF_ENV, KSEF_NIP, KSEF_PKCS12_FILE and KSEF_KEY_PASSWORD, then
``python mcp_server.py`` as a server that speaks over standard input and output.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mcp.server import MCPServer

from ksef_async import DateRange, DateType, InvoiceFilters, InvoiceSubject, KsefClient
from ksef_async.documents import check, fa3

server = MCPServer("KSeF")


@server.tool()
def check_invoice(xml: str) -> dict[str, Any]:
    """Say what KSeF would refuse in an invoice, and where. Nothing is sent."""
    return check(xml.encode()).to_dict()


@server.tool()
def summarize_invoice(xml: str) -> dict[str, str]:
    """Return number, seller, buyer and total of an FA(3) invoice."""
    invoice = fa3.read(xml.encode())
    return {
        "number": invoice.fa.p_2,
        "seller": invoice.podmiot1.dane_identyfikacyjne.nazwa,
        "buyer": invoice.podmiot2.dane_identyfikacyjne.nazwa or "",
        "total": f"{invoice.fa.p_15} {invoice.fa.kod_waluty}",
    }


@server.tool()
async def received_invoices(days: int = 7) -> list[dict[str, str | None]]:
    """List the invoices that the company received in the last days, up to 90."""
    since = datetime.now(UTC) - timedelta(days=min(days, 90))
    filters = InvoiceFilters(
        subject_type=InvoiceSubject.BUYER, date_range=DateRange(DateType.PERMANENT_STORAGE, from_date=since)
    )
    async with KsefClient.from_env() as client:
        rows = client.invoices.list(filters)
        return [{"ksef_number": row.ksef_number, "number": row.invoice_number} async for row in rows]


if __name__ == "__main__":
    server.run()
