"""The API as a table: one row for every KSeF operation this library knows.

The client builds its requests from it, the sandbox its routes, and the contract tests hold it to the
specification (OpenAPI 2.9.0). Everything that is true of an operation as such is said here and nowhere else.
"""

from __future__ import annotations

import enum
from http import HTTPMethod
from typing import Any, Generic, TypeVar

import attrs

from .models.auth import (
    AccessTokenResponse,
    Challenge,
    LoginStarted,
    LoginStatus,
    TokenLoginRequest,
    TokenPair,
)
from .models.keys import PublicKeyCertificate
from .models.limits import RateLimits
from .models.sessions import (
    OpenOnlineSessionRequest,
    OpenOnlineSessionResponse,
    SendInvoiceRequest,
    SendInvoiceResponse,
    SessionInvoice,
    SessionInvoicePage,
    SessionPage,
    SessionStatus,
)

__all__ = ["OPERATIONS", "Bearer", "Operation", "RateGroup"]

RequestT = TypeVar("RequestT", contravariant=True)
ResponseT = TypeVar("ResponseT", covariant=True)

GET, POST, DELETE = HTTPMethod.GET, HTTPMethod.POST, HTTPMethod.DELETE


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
    #: The one status that means success; any other is an error.
    success: int
    #: Model of the JSON body; None when there is none.
    request: type[RequestT] | None = None
    #: Model of the JSON answer, ``bytes`` for an XML document; None when there is none.
    response: type[ResponseT] | None = None
    #: Names of the query parameters.
    query: tuple[str, ...] = ()
    #: True for lists paged by the ``x-continuation-token`` header.
    continued: bool = False
    bearer: Bearer = Bearer.ACCESS
    #: The context needs any one of these; empty when every login will do.
    permissions: tuple[str, ...] = ()
    rate_group: RateGroup
    #: True when calling twice does no harm, so a lost answer may simply be asked for again.
    repeat_safe: bool = False

    def __repr__(self) -> str:
        return f"<Operation {self.name}: {self.method} {self.path}>"


_SENDERS = ("InvoiceWrite", "PefInvoiceWrite", "EnforcementOperations")
_READERS = ("InvoiceWrite", "Introspection", "PefInvoiceWrite", "EnforcementOperations")

# --- login ------------------------------------------------------------------------------------------------

GET_CHALLENGE: Operation[None, Challenge] = Operation(
    name="get_challenge", method=POST, path="/auth/challenge", success=200, response=Challenge,
    bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
LOG_IN_WITH_TOKEN: Operation[TokenLoginRequest, LoginStarted] = Operation(
    name="log_in_with_token", method=POST, path="/auth/ksef-token", success=202,
    request=TokenLoginRequest, response=LoginStarted, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
GET_LOGIN_STATUS: Operation[None, LoginStatus] = Operation(
    name="get_login_status", method=GET, path="/auth/{reference_number}", success=200, response=LoginStatus,
    bearer=Bearer.LOGIN, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
REDEEM_TOKENS: Operation[None, TokenPair] = Operation(
    name="redeem_tokens", method=POST, path="/auth/token/redeem", success=200, response=TokenPair,
    bearer=Bearer.LOGIN, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
REFRESH_ACCESS_TOKEN: Operation[None, AccessTokenResponse] = Operation(
    name="refresh_access_token", method=POST, path="/auth/token/refresh", success=200,
    response=AccessTokenResponse, bearer=Bearer.REFRESH, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
REVOKE_CURRENT_LOGIN: Operation[None, None] = Operation(
    # KSeF takes the refresh token here as well as the access token.
    name="revoke_current_login", method=DELETE, path="/auth/sessions/current", success=204,
    bearer=Bearer.REFRESH, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip

# --- public keys ------------------------------------------------------------------------------------------

LIST_PUBLIC_KEYS: Operation[None, tuple[PublicKeyCertificate, ...]] = Operation(
    name="list_public_keys", method=GET, path="/security/public-key-certificates", success=200,
    response=tuple[PublicKeyCertificate, ...],
    bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip

# --- online sessions --------------------------------------------------------------------------------------

OPEN_ONLINE_SESSION: Operation[OpenOnlineSessionRequest, OpenOnlineSessionResponse] = Operation(
    name="open_online_session", method=POST, path="/sessions/online", success=201,
    request=OpenOnlineSessionRequest, response=OpenOnlineSessionResponse,
    permissions=_SENDERS, rate_group=RateGroup.ONLINE_SESSION,
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

# --- status and UPO ---------------------------------------------------------------------------------------

LIST_SESSIONS: Operation[None, SessionPage] = Operation(
    name="list_sessions", method=GET, path="/sessions", success=200, response=SessionPage,
    query=(
        "page_size", "session_type", "reference_number", "date_created_from", "date_created_to",
        "date_closed_from", "date_closed_to", "date_modified_from", "date_modified_to", "statuses",
    ), continued=True,
    permissions=("InvoiceWrite", "Introspection", "EnforcementOperations"),
    rate_group=RateGroup.SESSION_LIST, repeat_safe=True,
)  # fmt: skip
GET_SESSION_STATUS: Operation[None, SessionStatus] = Operation(
    name="get_session_status", method=GET, path="/sessions/{reference_number}", success=200,
    response=SessionStatus, permissions=_READERS, rate_group=RateGroup.SESSION_MISC, repeat_safe=True,
)  # fmt: skip
LIST_SESSION_INVOICES: Operation[None, SessionInvoicePage] = Operation(
    name="list_session_invoices", method=GET, path="/sessions/{reference_number}/invoices", success=200,
    response=SessionInvoicePage, query=("page_size",), continued=True,
    permissions=_READERS, rate_group=RateGroup.SESSION_INVOICE_LIST, repeat_safe=True,
)  # fmt: skip
LIST_FAILED_SESSION_INVOICES: Operation[None, SessionInvoicePage] = Operation(
    name="list_failed_session_invoices", method=GET, path="/sessions/{reference_number}/invoices/failed",
    success=200, response=SessionInvoicePage, query=("page_size",), continued=True,
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
    response=bytes, permissions=_READERS, rate_group=RateGroup.SESSION_MISC, repeat_safe=True,
)  # fmt: skip
GET_INVOICE_UPO_BY_KSEF_NUMBER: Operation[None, bytes] = Operation(
    name="get_invoice_upo_by_ksef_number", method=GET,
    path="/sessions/{reference_number}/invoices/ksef/{ksef_number}/upo", success=200,
    response=bytes, permissions=_READERS, rate_group=RateGroup.SESSION_MISC, repeat_safe=True,
)  # fmt: skip
GET_SESSION_UPO_PAGE: Operation[None, bytes] = Operation(
    name="get_session_upo_page", method=GET,
    path="/sessions/{reference_number}/upo/{upo_reference_number}", success=200,
    response=bytes, permissions=_READERS, rate_group=RateGroup.SESSION_MISC, repeat_safe=True,
)  # fmt: skip

# --- limits -----------------------------------------------------------------------------------------------

GET_RATE_LIMITS: Operation[None, RateLimits] = Operation(
    name="get_rate_limits", method=GET, path="/rate-limits", success=200, response=RateLimits,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip

#: Every row above, in the order it stands there.
OPERATIONS: tuple[Operation[Any, Any], ...] = tuple(
    row for row in list(globals().values()) if isinstance(row, Operation)
)
__all__ += [name for name, value in list(globals().items()) if isinstance(value, Operation)]
