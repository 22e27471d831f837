"""The action after each way in which an invoice or a session ends: done, refused, or to be sent again.

The rule: a session's failure says nothing about its documents. KSeF refuses a document only where it says so of that
very document, with a code that the document can bring about. Everything else goes better the next time, so it is sent
again, at most `SEND_AGAIN_LIMIT` times. Source: OpenAPI 2.9.0 (status tables); issues 308, 575, 675 of the Ministry's
documentation.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

import attrs

from ..api.sessions import InvoiceStatusCode, StatusCode
from .error_codes import ErrorCode
from .lifecycle import is_terminal

__all__ = [
    "ANOTHER_SESSION",
    "INVOICE_ENDS",
    "SEND_AGAIN_LIMIT",
    "SESSION_ENDS",
    "AfterInvoice",
    "AfterSession",
    "InvoiceEnd",
    "SessionEnd",
    "invoice_end",
    "session_end",
]

SEND_AGAIN_LIMIT: Final = 3
"""How often one document, or one package, is sent again before its failure is final."""

ANOTHER_SESSION: Final = frozenset(
    {ErrorCode.SESSION_FULL, ErrorCode.SESSION_NOT_OPEN, ErrorCode.SESSION_UNAVAILABLE, ErrorCode.UNKNOWN_SESSION}
)
"""Refusals of a sending that say: not in this session. The invoice was not taken in."""


class AfterInvoice(enum.Enum):
    """What to do with an invoice that has a status."""

    WAIT = "wait"
    """KSeF has not decided."""
    ACCEPTED = "accepted"
    """It is issued."""
    COMPARE = "compare"
    """KSeF has an invoice with the same seller, kind and number: look whether it is this very document."""
    REFUSED = "refused"
    """It is the document's own fault, and sending it again ends alike."""
    SEND_AGAIN = "send again"
    """KSeF has nothing of it, and it is not the document's fault: send it again, in another session."""


class AfterSession(enum.Enum):
    """What to do with the documents of a session that has a status."""

    WAIT = "wait"
    """KSeF has not decided."""
    READ_INVOICES = "read invoices"
    """Every invoice has an end of its own: read the session's list."""
    SEND_AGAIN = "send again"
    """Nothing of a batch is in KSeF, and no document is to blame: send the same package in a new session.

    Of an online session, read the list all the same: what it took in ends with 405.
    """
    SPLIT = "split"
    """The package holds more than the context may send at once: send its documents in smaller ones."""


@attrs.frozen(kw_only=True)
class InvoiceEnd:
    """What a status code of an invoice means for whoever sent it."""

    after: AfterInvoice
    reason: str
    """Why, in one sentence."""


@attrs.frozen(kw_only=True)
class SessionEnd:
    """What a status code of a session means for whoever sent the documents in it."""

    after: AfterSession
    forget_keys: bool = False
    """Whether to fetch the Ministry's public keys anew: the session's key may have been encrypted with a wrong one."""
    reason: str
    """Why, in one sentence."""


INVOICE_ENDS: Final[Mapping[int, InvoiceEnd]] = {
    InvoiceStatusCode.RECEIVED: InvoiceEnd(after=AfterInvoice.WAIT, reason="KSeF has not begun with it."),
    InvoiceStatusCode.PROCESSING: InvoiceEnd(after=AfterInvoice.WAIT, reason="KSeF is processing it."),
    InvoiceStatusCode.ACCEPTED: InvoiceEnd(after=AfterInvoice.ACCEPTED, reason="It has a KSeF number."),
    InvoiceStatusCode.SESSION_FAILED: InvoiceEnd(
        after=AfterInvoice.SEND_AGAIN, reason="The session died before KSeF read the document."
    ),
    InvoiceStatusCode.NOT_PERMITTED: InvoiceEnd(
        after=AfterInvoice.REFUSED, reason="The context may not issue invoices for this seller."
    ),
    InvoiceStatusCode.ATTACHMENT_REFUSED: InvoiceEnd(
        after=AfterInvoice.REFUSED, reason="The context may not send invoices with attachments."
    ),
    InvoiceStatusCode.FILE_ERROR: InvoiceEnd(
        after=AfterInvoice.REFUSED, reason="Size, hash or encoding of the file are not allowed."
    ),
    InvoiceStatusCode.DECRYPTION_ERROR: InvoiceEnd(
        # Seen on production for invoices that were accepted when sent again (issue 575).
        after=AfterInvoice.SEND_AGAIN,
        reason="KSeF could not decrypt what this library encrypted, so it never saw the document.",
    ),
    InvoiceStatusCode.DUPLICATE: InvoiceEnd(
        after=AfterInvoice.COMPARE, reason="Seller, kind and number are already in KSeF."
    ),
    InvoiceStatusCode.INVALID_DOCUMENT: InvoiceEnd(
        after=AfterInvoice.REFUSED, reason="The document breaks its schema or a rule of meaning."
    ),
    InvoiceStatusCode.UNKNOWN_ERROR: InvoiceEnd(
        after=AfterInvoice.SEND_AGAIN, reason="KSeF failed while it processed the document."
    ),
    InvoiceStatusCode.CANCELLED_BY_SYSTEM: InvoiceEnd(
        after=AfterInvoice.SEND_AGAIN, reason="KSeF cancelled the processing for reasons of its own."
    ),
}

SESSION_ENDS: Final[Mapping[int, SessionEnd]] = {
    StatusCode.OPENED: SessionEnd(after=AfterSession.WAIT, reason="It is open."),
    StatusCode.PROCESSING: SessionEnd(after=AfterSession.WAIT, reason="KSeF is processing it."),
    StatusCode.CLOSED: SessionEnd(after=AfterSession.WAIT, reason="It is closed, and KSeF is processing it."),
    StatusCode.PROCESSED_OK: SessionEnd(
        after=AfterSession.READ_INVOICES, reason="At least one of its invoices is accepted."
    ),
    StatusCode.PART_ERROR: SessionEnd(after=AfterSession.SEND_AGAIN, reason="A part arrived damaged."),
    StatusCode.DECRYPTION_ERROR: SessionEnd(
        # Also at random on production, with a key that is right (issue 675).
        after=AfterSession.SEND_AGAIN,
        forget_keys=True,
        reason="KSeF could not decrypt the session's key.",
    ),
    StatusCode.TOO_MANY_INVOICES: SessionEnd(
        after=AfterSession.SPLIT, reason="The package holds more invoices than the context may send at once."
    ),
    StatusCode.ARCHIVE_ERROR: SessionEnd(after=AfterSession.SEND_AGAIN, reason="KSeF could not unpack the package."),
    StatusCode.PART_DECRYPTION_ERROR: SessionEnd(
        after=AfterSession.SEND_AGAIN, forget_keys=True, reason="KSeF could not decrypt a part of the package."
    ),
    StatusCode.CANCELLED: SessionEnd(
        # Also seconds after a good close (issue 308); where the package holds no invoice, there is none to send.
        after=AfterSession.SEND_AGAIN,
        reason="It was not closed in time, KSeF gave it up, or the package holds no invoice.",
    ),
    StatusCode.VALIDATION_ERROR: SessionEnd(
        # "Rejected" includes those that KSeF failed on, which are to be sent again.
        after=AfterSession.READ_INVOICES,
        reason="None of its invoices is accepted; each has an end of its own.",
    ),
    StatusCode.UNKNOWN_ERROR: SessionEnd(after=AfterSession.SEND_AGAIN, reason="KSeF failed on the session."),
}

_UNKNOWN_REFUSAL: Final = InvoiceEnd(after=AfterInvoice.REFUSED, reason="KSeF gives a reason that is new.")
_UNKNOWN_FAILURE: Final = InvoiceEnd(after=AfterInvoice.SEND_AGAIN, reason="KSeF failed in a way that is new.")
_UNKNOWN_END: Final = SessionEnd(after=AfterSession.SEND_AGAIN, reason="The session failed in a way that is new.")


def invoice_end(code: int) -> InvoiceEnd:
    """Return what follows from the status code of an invoice.

    A code that is not in `INVOICE_ENDS` is in progress below 200, a refusal from 201, and a failure of KSeF's, which
    is sent again, from 500.
    """
    if (known := INVOICE_ENDS.get(code)) is not None:
        return known
    if not is_terminal(code):
        return INVOICE_ENDS[InvoiceStatusCode.PROCESSING]
    return _UNKNOWN_FAILURE if code >= 500 else _UNKNOWN_REFUSAL


def session_end(code: int) -> SessionEnd:
    """Return what follows from the status code of a session, online or batch, for the documents in it.

    A code that is not in `SESSION_ENDS` is in progress below 200, and from 201 the session's own failure.
    """
    if (known := SESSION_ENDS.get(code)) is not None:
        return known
    if not is_terminal(code):
        return SESSION_ENDS[StatusCode.PROCESSING]
    return _UNKNOWN_END
