"""KSeF's own list of a session's invoices: the truth about what was sent, read with as few requests as possible."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

import anyio
import attrs

from ..api.sessions import LIST_SESSION_INVOICES, InvoiceStatusInfo, SessionInvoice, SessionInvoicePage
from ..calling.paging import check_leads_on
from ..errors import BadRequestError, RemoteProtocolError
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import INVOICE

__all__ = ["Ledger", "is_settled"]

_HASH_SIZE: Final = 32


def is_settled(invoice: SessionInvoice) -> bool:
    """Return whether KSeF has said all that it is going to say of an invoice: of an accepted one, its KSeF number."""
    status = invoice.status.code
    return INVOICE.is_terminal(status) and (not INVOICE.is_success(status) or invoice.ksef_number is not None)


@attrs.define
class _Page:
    continuation: str | None
    """The continuation token it is asked for with; None for the first."""
    is_settled: bool = False
    """Full, and every invoice in it final: it will not change any more."""
    left_out: int = 0
    """How many of its rows could not be read."""


class Ledger:
    """The invoices of one session, as KSeF lists them.

    The list only grows at its end, so pages in which everything is final are never read again.

    Args:
        fetch: Asks for the page that a continuation token leads to.
    """

    def __init__(self, fetch: Callable[[str | None], Awaitable[SessionInvoicePage]]) -> None:
        self._fetch = fetch
        self._lock = anyio.Lock()
        self._pages = [_Page(None)]
        self._read_at: float | None = None
        self._statuses: dict[tuple[int, str, tuple[str, ...]], InvoiceStatusInfo] = {}
        self.invoices: dict[str, SessionInvoice] = {}
        """By reference number, in KSeF's order."""
        self.by_hash: dict[bytes, str] = {}
        """Reference numbers by SHA-256; the last where one document was sent more than once."""

    @property
    def was_read(self) -> bool:
        """Return whether it has been read to its end."""
        return self._read_at is not None

    @property
    def pages_to_read(self) -> int:
        """The least number of requests that the next reading takes."""
        return max(1, sum(not page.is_settled for page in self._pages))

    def references_of(self, invoice_hash: bytes) -> set[str]:
        """Return the reference numbers of all that are listed with a SHA-256 (32 bytes)."""
        if invoice_hash not in self.by_hash:
            return set()
        return {number for number, invoice in self.invoices.items() if invoice.invoice_hash == invoice_hash}

    def check_absence(self, known: Collection[str]) -> None:
        """Make sure that what is not listed is not at KSeF.

        Args:
            known: Reference numbers of which the document is known without a SHA-256.

        Raises:
            RemoteProtocolError: There is a row that may be any invoice: it cannot be read, or has no SHA-256.
        """
        if any(page.left_out for page in self._pages) or self.without_hash(known):
            raise RemoteProtocolError(
                "KSeF lists invoices of the session in a way that does not say which they are, so one that is not "
                "found may be there all the same.",
                operation=LIST_SESSION_INVOICES.name,
                path="$.invoices",
                maybe_delivered=True,
            )

    def without_hash(self, known: Collection[str]) -> list[str]:
        """Return the reference numbers listed without a SHA-256, except those in ``known``."""
        return [
            reference_number
            for reference_number, invoice in self.invoices.items()
            if invoice.invoice_hash is None and reference_number not in known
        ]

    def note(self, invoice: SessionInvoice) -> None:
        """Remember what KSeF said of an invoice elsewhere; what is final stays as it is."""
        if len(invoice.invoice_hash or b"") != _HASH_SIZE:
            # It identifies nothing.
            invoice = attrs.evolve(invoice, invoice_hash=None)
        known = self.invoices.get(invoice.reference_number)
        if known is None or known.invoice_hash is None or not is_settled(known):
            if invoice.invoice_hash is None and known is not None:
                invoice = attrs.evolve(invoice, invoice_hash=known.invoice_hash)
            self.invoices[invoice.reference_number] = attrs.evolve(
                invoice,
                # A signed link would be kept for as long as the session.
                upo_download_url=None,
                upo_download_url_expiration_date=None,
                status=self._shared(invoice.status),
            )
            if invoice.invoice_hash is not None:
                self.by_hash[invoice.invoice_hash] = invoice.reference_number

    def _shared(self, status: InvoiceStatusInfo) -> InvoiceStatusInfo:
        """The same object for all that are accepted, which mostly means every one of thousands."""
        if not INVOICE.is_success(status.code) or status.extensions:
            return status
        return self._statuses.setdefault((status.code, status.description, status.details), status)

    async def read(self) -> None:
        """Read what may have changed; tasks that ask while another waits to read share its reading.

        Raises:
            KsefError: A call failed; what was read before that is kept.
        """
        asked_at = anyio.current_time()
        async with self._lock:
            if self._read_at is not None and self._read_at > asked_at:
                return
            started_at = anyio.current_time()
            try:
                await self._read_pages()
            except BadRequestError as error:
                if error.code != ErrorCode.INVALID_CONTINUATION_TOKEN:
                    raise
                # The tokens have grown old.
                self._pages = [_Page(None)]
                await self._read_pages()
            self._read_at = started_at

    async def _read_pages(self) -> None:
        number = 0
        while number < len(self._pages):
            page = self._pages[number]
            number += 1
            if page.is_settled:
                continue
            seen = await self._fetch(page.continuation)
            for invoice in seen.invoices:
                self.note(invoice)
            page.left_out = seen.left_out
            if seen.continuation_token:
                page.is_settled = not seen.left_out and all(is_settled(invoice) for invoice in seen.invoices)
                if number == len(self._pages):
                    check_leads_on(seen.continuation_token, {each.continuation for each in self._pages})
                    self._pages.append(_Page(seen.continuation_token))
