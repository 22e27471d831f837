"""What is true of an operation as such: one row of the table."""

from __future__ import annotations

import enum
from http import HTTPMethod
from typing import Final, Generic, TypeVar

import attrs

__all__ = ["LARGEST_JSON", "LARGEST_UPO", "Bearer", "Operation", "RateGroup"]

LARGEST_JSON: Final = 16_000_000
"""Bytes of a JSON answer, or of an invoice. The largest page (250 rows of metadata, each with the 100 third parties
that FA(3) allows) has some 8 MB, the largest invoice 10 MB (with an attachment, where TEST's limits are raised).
"""
LARGEST_UPO: Final = 32_000_000
"""Bytes of a UPO; a page with its 10,000 invoices has some 9 MB."""

RequestT = TypeVar("RequestT", contravariant=True)
ResponseT = TypeVar("ResponseT", covariant=True)


class Bearer(enum.Enum):
    """Whose token an operation is called with; KSeF answers 403 to the wrong kind."""

    NONE = "none"
    LOGIN = "login"
    """The token of a login under way ("authenticationToken")."""
    ACCESS = "access"
    REFRESH = "refresh"


class RateGroup(enum.StrEnum):
    """The budgets KSeF counts calls in, by its own names (limity-api.md)."""

    ONLINE_SESSION = "onlineSession"
    ONLINE_SESSION_CLOSE = "onlineSessionClose"
    BATCH_SESSION = "batchSession"
    BATCH_SESSION_CLOSE = "batchSessionClose"
    INVOICE_SEND = "invoiceSend"
    INVOICE_STATUS = "invoiceStatus"
    SESSION_LIST = "sessionList"
    SESSION_INVOICE_LIST = "sessionInvoiceList"
    SESSION_MISC = "sessionMisc"
    INVOICE_METADATA = "invoiceMetadata"
    INVOICE_EXPORT = "invoiceExport"
    INVOICE_EXPORT_STATUS = "invoiceExportStatus"
    INVOICE_DOWNLOAD = "invoiceDownload"
    COLLECTIVE_IDENTIFIER = "collectiveIdentifier"
    OTHER = "other"
    """Every operation in it is counted on its own."""
    ANONYMOUS = "anonymous"
    """Counted by address, without a context."""
    OVERALL = "global"
    """Every call counts here too, by address."""


@attrs.frozen(kw_only=True)
class Operation(Generic[RequestT, ResponseT]):
    """One row of the table.

    Path placeholders and query parameters are written in snake_case; on the wire they are camelCase.
    """

    name: str
    method: HTTPMethod
    path: str
    success: int
    """The status that KSeF documents for success, and the sandbox answers with; any other 2xx is as good."""
    request: type[RequestT] | None = None
    """Model of the JSON body, ``bytes`` for an XML document; None when there is none."""
    response: type[ResponseT] | None = None
    """Model of the JSON answer, ``bytes`` for an XML document; None when there is none."""
    query: tuple[str, ...] = ()
    """Names of the query parameters."""
    continued: bool = False
    """True for lists paged by the ``x-continuation-token`` header."""
    largest_page: int = 100
    """How many rows a page of a list may have; at least it has 10."""
    largest_answer: int = LARGEST_JSON
    """The most bytes the answer may have."""
    bearer: Bearer = Bearer.ACCESS
    permissions: tuple[str, ...] = ()
    """The context needs any one of these; empty when every login will do."""
    rate_group: RateGroup
    repeat_safe: bool = False
    """True when calling twice does no harm, so a lost answer may simply be asked for again."""

    def __repr__(self) -> str:
        return f"<Operation {self.name}: {self.method} {self.path}>"
