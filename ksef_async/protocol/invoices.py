"""What KSeF demands of an invoice file as such, before anybody reads it. Source: faktury/weryfikacja-faktury.md."""

from __future__ import annotations

import codecs
import hashlib
import re
from typing import Final

from ..errors import LocalProtocolError, quote
from .xml import find_forbidden

__all__ = [
    "MAX_SIZE",
    "MAX_SIZE_WITH_ATTACHMENT",
    "check_correction",
    "check_invoice_file",
    "check_is_bytes",
    "size_limit",
]

MAX_SIZE: Final = 1_000_000
"""KSeF's megabyte is 1,000,000 bytes."""
MAX_SIZE_WITH_ATTACHMENT: Final = 3_000_000

_DECLARED: Final = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"']*)[\"']")
_PIECE: Final = 16_000


def size_limit(invoice: bytes) -> int:
    """Return the most bytes ``invoice`` may have: more with an attachment (the element ``Zalacznik``)."""
    return MAX_SIZE_WITH_ATTACHMENT if b"Zalacznik" in invoice else MAX_SIZE


def check_is_bytes(invoice: object) -> None:
    """Refuse what is no file.

    Raises:
        LocalProtocolError: Not bytes.
    """
    if not isinstance(invoice, bytes):
        raise LocalProtocolError(f"An invoice is sent as bytes, not {type(invoice).__name__}: KSeF hashes the file.")


def check_invoice_file(invoice: bytes) -> None:
    """Refuse what KSeF is known to reject, sparing the budget of sends.

    Raises:
        LocalProtocolError: Not bytes, empty, too large, with a byte order mark, in or declared as another encoding than
            UTF-8, or with a DTD or a processing instruction.
    """
    check_is_bytes(invoice)
    if not invoice:
        raise LocalProtocolError("The invoice is empty.")
    if len(invoice) > MAX_SIZE and len(invoice) > (limit := size_limit(invoice)):
        raise LocalProtocolError(f"The invoice has {len(invoice):,} bytes; KSeF takes at most {limit:,}.")
    if invoice.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise LocalProtocolError("The invoice starts with a byte order mark; KSeF takes UTF-8 without one.")
    declared = _DECLARED.match(invoice)
    if (declared and declared[1].lower() != b"utf-8") or invoice.startswith((b"<\0", b"\0<")):
        name = declared[1].decode("ascii", "replace") if declared else "UTF-16"
        raise LocalProtocolError(f"The invoice is in {quote(name, 40)}; KSeF takes UTF-8 only.")
    _check_utf8(invoice)
    forbidden = find_forbidden(invoice)
    if forbidden is not None:
        what = "a DTD" if forbidden.is_dtd else f"the processing instruction <?{quote(forbidden.target, 40)}?>"
        raise LocalProtocolError(f"The invoice has {what} at byte {forbidden.offset}; KSeF takes none.")


def _check_utf8(invoice: bytes) -> None:
    if invoice.isascii():
        return  # without the copy that decoding makes
    # Piece by piece: what is decoded takes two or four times as many bytes, and is thrown away.
    view, start = memoryview(invoice), 0
    try:
        while start < len(view):
            _, size = codecs.utf_8_decode(view[start : start + _PIECE], "strict", len(view) - start <= _PIECE)
            start += size
    except UnicodeDecodeError as error:
        raise LocalProtocolError(f"The invoice is not UTF-8: {error.reason} at byte {start + error.start}.") from None


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
