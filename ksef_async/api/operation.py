"""What is true of an operation as such: one row of the table."""

from __future__ import annotations

import enum
from http import HTTPMethod
from typing import Final, Generic, TypeVar

import attrs

__all__ = ["LARGEST_JSON", "LARGEST_UPO", "Bearer", "Operation", "RateGroup"]

#: Bytes of a JSON answer, or of an invoice. The largest page (250 rows of metadata, each with the 100 third parties
#: that FA(3) allows) has some 8 MB, the largest invoice 10 MB (with an attachment, where TEST's limits are raised).
LARGEST_JSON: Final = 16_000_000
#: Bytes of a UPO; a page with its 10,000 invoices has some 9 MB.
LARGEST_UPO: Final = 32_000_000

RequestT = TypeVar("RequestT", contravariant=True)
ResponseT = TypeVar("ResponseT", covariant=True)


class Bearer(enum.Enum):
    """Whose token an operation is called with; KSeF answers 403 to the wrong kind."""

    NONE = "none"
    #: The token of a login under way ("authenticationToken").
    LOGIN = "login"
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
    #: Every operation in it is counted on its own.
    OTHER = "other"
    #: Counted by address, without a context.
    ANONYMOUS = "anonymous"
    #: Every call counts here too, by address.
    OVERALL = "global"


@attrs.frozen(kw_only=True)
class Operation(Generic[RequestT, ResponseT]):
    """One row of the table.

    Path placeholders and query parameters are written in snake_case; on the wire they are camelCase.
    """

    name: str
    method: HTTPMethod
    path: str
    #: The status that KSeF documents for success, and the sandbox answers with; any other 2xx is as good.
    success: int
    #: Model of the JSON body, ``bytes`` for an XML document; None when there is none.
    request: type[RequestT] | None = None
    #: Model of the JSON answer, ``bytes`` for an XML document; None when there is none.
    response: type[ResponseT] | None = None
    #: Names of the query parameters.
    query: tuple[str, ...] = ()
    #: True for lists paged by the ``x-continuation-token`` header.
    continued: bool = False
    #: How many rows a page of a list may have; at least it has 10.
    largest_page: int = 100
    #: The most bytes the answer may have.
    largest_answer: int = LARGEST_JSON
    bearer: Bearer = Bearer.ACCESS
    #: The context needs any one of these; empty when every login will do.
    permissions: tuple[str, ...] = ()
    rate_group: RateGroup
    #: True when calling twice does no harm, so a lost answer may simply be asked for again.
    repeat_safe: bool = False

    def __repr__(self) -> str:
        return f"<Operation {self.name}: {self.method} {self.path}>"
