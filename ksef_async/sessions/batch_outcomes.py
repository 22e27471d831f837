"""What became of the invoices of a package, read from KSeF's list page by page: nothing of thousands is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from ..api.sessions import SessionInvoice, SessionInvoicePage
from ..calling.paging import check_leads_on
from ..errors import BadRequestError
from ..protocol.error_codes import ErrorCode
from .outcomes import Outcome
from .tracking import LAG

if TYPE_CHECKING:
    from ..packing import Package, PackedInvoice

__all__ = ["BatchOutcome", "Matching", "listed_invoices"]


@attrs.frozen(kw_only=True)
class BatchOutcome:
    """What became of one invoice of a package."""

    key: Any
    """What the caller knows it by; the file name by default."""
    file_name: str
    outcome: Outcome
    """Accepted, or the error that tells why not."""


class Matching:
    """Finds the caller's invoice for each that KSeF lists: by file name and SHA-256, or else by SHA-256.

    Its length is how many are not found yet.
    """

    def __init__(self, package: Package) -> None:
        self._package = package
        self._open = {invoice.file_name for invoice in package.invoices}

    def __len__(self) -> int:
        return len(self._open)

    def take(self, listed: SessionInvoice) -> PackedInvoice | None:
        """The invoice, once; None for a stranger."""
        found = self._package.by_file_name(listed.invoice_file_name or "")
        told = listed.invoice_hash
        if found is None or told not in (None, found.sha256) or found.file_name not in self._open:
            same = () if told is None else self._package.by_sha256(told)
            found = next((invoice for invoice in same if invoice.file_name in self._open), None)
        if found is not None:
            self._open.remove(found.file_name)
        return found


async def listed_invoices(
    fetch: Callable[[str | None], Awaitable[SessionInvoicePage]], count: int
) -> AsyncIterator[SessionInvoice]:
    """The invoices of a session that is final, each once; the list may lag a little behind, which is waited out.

    Args:
        fetch: Asks for the page that a continuation token leads to.
        count: How many there should be.

    Raises:
        TransportError, ApiError, RemoteProtocolError: A call failed.
    """
    given, before, token = 0, 0, None
    for seconds in LAG:
        await anyio.sleep(seconds)
        used: set[str | None] = set()
        while True:
            used.add(token)
            try:
                page = await fetch(token)
            except BadRequestError as error:
                if error.code != ErrorCode.INVALID_CONTINUATION_TOKEN or token is None:
                    raise
                # It has grown old: whoever takes the invoices may take their time over them.
                before, token = 0, None
                used.clear()
                continue
            for invoice in page.invoices[max(0, given - before) :]:
                given += 1
                yield invoice
            if not page.continuation_token:
                break
            check_leads_on(page.continuation_token, used)
            before, token = before + len(page.invoices), page.continuation_token
        if given >= count:
            return
