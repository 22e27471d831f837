"""What KSeF demands of an invoice file as such, before anybody reads it. Source: faktury/weryfikacja-faktury.md."""

from __future__ import annotations

import codecs
import hashlib
from typing import Final

from ..errors import LocalProtocolError

__all__ = ["MAX_SIZE", "MAX_SIZE_WITH_ATTACHMENT", "check_correction", "check_invoice_file", "size_limit"]

#: KSeF's megabyte is 1,000,000 bytes.
MAX_SIZE: Final = 1_000_000
MAX_SIZE_WITH_ATTACHMENT: Final = 3_000_000


def size_limit(invoice: bytes) -> int:
    """The most bytes ``invoice`` may have: more with an attachment (the element ``Zalacznik``)."""
    return MAX_SIZE_WITH_ATTACHMENT if b"Zalacznik" in invoice else MAX_SIZE


def check_invoice_file(invoice: bytes) -> None:
    """Refuse what KSeF is known to reject, sparing the budget of sends.

    Raises:
        LocalProtocolError: Not bytes, empty, too large, with a byte order mark, or not UTF-8.
    """
    if not isinstance(invoice, bytes):
        raise LocalProtocolError(f"An invoice is sent as bytes, not {type(invoice).__name__}: KSeF hashes the file.")
    if not invoice:
        raise LocalProtocolError("The invoice is empty.")
    if len(invoice) > MAX_SIZE and len(invoice) > (limit := size_limit(invoice)):
        raise LocalProtocolError(f"The invoice has {len(invoice):,} bytes; KSeF takes at most {limit:,}.")
    if invoice.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise LocalProtocolError("The invoice starts with a byte order mark; KSeF takes UTF-8 without one.")
    if invoice.isascii():
        return  # without the copy that decoding makes
    try:
        invoice.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LocalProtocolError(f"The invoice is not UTF-8: {error.reason} at byte {error.start}.") from None


def check_correction(corrects: bytes | None, *, offline: bool) -> None:
    """Refuse a technical correction that cannot be one: ``corrects`` is the SHA-256 of a rejected offline invoice.

    Raises:
        LocalProtocolError: It is not sent as an offline invoice, or ``corrects`` is no SHA-256.
    """
    if corrects is None:
        return
    if not offline:
        raise LocalProtocolError("A technical correction is an offline invoice: send it with offline=True.")
    if len(corrects) != hashlib.sha256().digest_size:
        raise LocalProtocolError(f"corrects is the SHA-256 of the rejected invoice: 32 bytes, not {len(corrects)}.")
