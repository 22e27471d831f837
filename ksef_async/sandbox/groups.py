"""What the world remembers of a collective identifier."""

from __future__ import annotations

from datetime import datetime

import attrs

from ..models.collective_identifiers import InvoiceToGroup
from ..models.common import Context

__all__ = ["Group"]


@attrs.frozen(kw_only=True)
class Group:
    """Invoices of one seller under one number."""

    number: str
    #: In which it was made.
    context: Context
    seller_nip: str
    created_at: datetime
    invoices: tuple[InvoiceToGroup, ...]

    def __contains__(self, ksef_number: str) -> bool:
        return any(invoice.ksef_number == ksef_number for invoice in self.invoices)
