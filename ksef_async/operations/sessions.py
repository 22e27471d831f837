"""Sessions, the invoices in them, and their UPO. Source: OpenAPI 2.9.0, /sessions/*."""

from __future__ import annotations

from http import HTTPMethod

from ..models.sessions import (
    OpenOnlineSessionRequest,
    OpenOnlineSessionResponse,
    SendInvoiceRequest,
    SendInvoiceResponse,
    SessionInvoice,
    SessionInvoicePage,
    SessionPage,
    SessionStatus,
)
from .operation import LARGEST_UPO, Operation, RateGroup

__all__ = [
    "CLOSE_ONLINE_SESSION",
    "GET_INVOICE_UPO",
    "GET_INVOICE_UPO_BY_KSEF_NUMBER",
    "GET_SESSION_INVOICE",
    "GET_SESSION_STATUS",
    "GET_SESSION_UPO_PAGE",
    "LIST_FAILED_SESSION_INVOICES",
    "LIST_SESSIONS",
    "LIST_SESSION_INVOICES",
    "OPEN_ONLINE_SESSION",
    "SEND_INVOICE",
]

GET, POST = HTTPMethod.GET, HTTPMethod.POST

_SENDERS = ("InvoiceWrite", "PefInvoiceWrite", "EnforcementOperations")
_READERS = ("InvoiceWrite", "Introspection", "PefInvoiceWrite", "EnforcementOperations")

# --- online sessions -------------------------------------------------------------------------------------

OPEN_ONLINE_SESSION: Operation[OpenOnlineSessionRequest, OpenOnlineSessionResponse] = Operation(
    # Repeat-safe because a session whose opening nobody heard of takes no invoices, and expires by itself.
    name="open_online_session", method=POST, path="/sessions/online", success=201,
    request=OpenOnlineSessionRequest, response=OpenOnlineSessionResponse,
    permissions=_SENDERS, rate_group=RateGroup.ONLINE_SESSION, repeat_safe=True,
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

# --- status and UPO --------------------------------------------------------------------------------------

LIST_SESSIONS: Operation[None, SessionPage] = Operation(
    name="list_sessions", method=GET, path="/sessions", success=200, response=SessionPage,
    query=(
        "page_size", "session_type", "reference_number", "date_created_from", "date_created_to",
        "date_closed_from", "date_closed_to", "date_modified_from", "date_modified_to", "statuses",
    ), continued=True, largest_page=1000,
    permissions=("InvoiceWrite", "Introspection", "EnforcementOperations"),
    rate_group=RateGroup.SESSION_LIST, repeat_safe=True,
)  # fmt: skip
GET_SESSION_STATUS: Operation[None, SessionStatus] = Operation(
    name="get_session_status", method=GET, path="/sessions/{reference_number}", success=200,
    response=SessionStatus, permissions=_READERS, rate_group=RateGroup.SESSION_MISC, repeat_safe=True,
)  # fmt: skip
LIST_SESSION_INVOICES: Operation[None, SessionInvoicePage] = Operation(
    name="list_session_invoices", method=GET, path="/sessions/{reference_number}/invoices", success=200,
    response=SessionInvoicePage, query=("page_size",), continued=True, largest_page=1000,
    permissions=_READERS, rate_group=RateGroup.SESSION_INVOICE_LIST, repeat_safe=True,
)  # fmt: skip
LIST_FAILED_SESSION_INVOICES: Operation[None, SessionInvoicePage] = Operation(
    name="list_failed_session_invoices", method=GET, path="/sessions/{reference_number}/invoices/failed",
    success=200, response=SessionInvoicePage, query=("page_size",), continued=True, largest_page=1000,
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
    response=bytes, largest_answer=LARGEST_UPO, permissions=_READERS, rate_group=RateGroup.SESSION_MISC,
    repeat_safe=True,
)  # fmt: skip
GET_INVOICE_UPO_BY_KSEF_NUMBER: Operation[None, bytes] = Operation(
    name="get_invoice_upo_by_ksef_number", method=GET,
    path="/sessions/{reference_number}/invoices/ksef/{ksef_number}/upo", success=200,
    response=bytes, largest_answer=LARGEST_UPO, permissions=_READERS, rate_group=RateGroup.SESSION_MISC,
    repeat_safe=True,
)  # fmt: skip
GET_SESSION_UPO_PAGE: Operation[None, bytes] = Operation(
    name="get_session_upo_page", method=GET,
    path="/sessions/{reference_number}/upo/{upo_reference_number}", success=200,
    response=bytes, largest_answer=LARGEST_UPO, permissions=_READERS, rate_group=RateGroup.SESSION_MISC,
    repeat_safe=True,
)  # fmt: skip
