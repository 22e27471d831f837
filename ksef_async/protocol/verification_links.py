"""The links of verification codes: KOD I leads to the invoice, KOD II to whoever issued it offline.

Anybody who has a printed invoice can follow them. Both are made from the invoice file alone, without asking KSeF.
Source: kody-qr.md.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from datetime import date
from typing import Final, Self

import attrs

from ..api.common import Context
from ..api.environment import Environment
from ..errors import LocalProtocolError
from .invoices import check_is_bytes
from .xml import ET, collapsed, local_name, parse_xml

__all__ = [
    "InvoiceFingerprint",
    "base64url",
    "certificate_link_to_sign",
    "signed_certificate_link",
    "verification_link",
]

_NIP: Final = re.compile(r"[0-9]{10}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# What identifiers of contexts are made of, and what needs no escapes in a path.
_CONTEXT_VALUE: Final = re.compile(r"[A-Za-z0-9+*-]{1,64}")
_SERIAL_NUMBER: Final = re.compile(r"[0-9A-F]{16}")

# Seller and date of issue, by the document's root element and body; the names in FA_RR and UBL are inferred [INF].
_SELLER: Final = "{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP"
_DATES: Final = ("{*}Fa/{*}P_1", "{*}FakturaRR/{*}P_4B")
_UBL_SELLER: Final = "{*}AccountingSupplierParty/{*}Party/{*}PartyTaxScheme/{*}CompanyID"
_UBL_DATE: Final = "{*}IssueDate"


@attrs.frozen(kw_only=True)
class InvoiceFingerprint:
    """The data of an invoice in a verification code.

    Args:
        seller_nip: NIP of the seller (10 digits).
        issued_on: The invoice's date (P_1).
        sha256: SHA-256 of the invoice file (32 bytes), as KSeF and `SentInvoice` have it, too.

    Raises:
        LocalProtocolError: The NIP does not have ten digits, or the hash not 32 bytes.
    """

    seller_nip: str
    issued_on: date
    sha256: bytes = attrs.field(repr=bytes.hex)

    def __attrs_post_init__(self) -> None:
        if not _NIP.fullmatch(self.seller_nip):
            raise LocalProtocolError(f"The seller's NIP has ten digits; {self.seller_nip[:20]!r} is none.")
        if len(self.sha256) != hashlib.sha256().digest_size:
            raise LocalProtocolError(f"A SHA-256 has 32 bytes, not {len(self.sha256)}.")

    @classmethod
    def of(cls, invoice: bytes) -> Self:
        """Read an invoice file: FA(2), FA(3), FA_RR or a Peppol document.

        Raises:
            LocalProtocolError: It is not bytes, is not well-formed, has a DTD, or has no seller's NIP or date of issue.
        """
        check_is_bytes(invoice)
        try:
            root = parse_xml(invoice)
        except ValueError as error:
            raise LocalProtocolError(f"The invoice cannot be read: {error}.") from error
        if local_name(root) == "Faktura":
            seller, issued_on = _text(root, _SELLER), _text(root, *_DATES)
        else:
            seller, issued_on = _text(root, _UBL_SELLER).removeprefix("PL"), _text(root, _UBL_DATE)
        return cls(seller_nip=seller, issued_on=_date(issued_on), sha256=hashlib.sha256(invoice).digest())


def verification_link(invoice: bytes | InvoiceFingerprint, environment: Environment) -> str:
    """Return the link of KOD I, at which anybody can see whether the invoice is in KSeF.

    Args:
        invoice: The file exactly as it is sent; or what is known of it.
        environment: Where it is sent.

    Raises:
        LocalProtocolError: The file cannot be read; see `InvoiceFingerprint.of`.

    Source: kody-qr.md, section 1.
    """
    known = _fingerprint(invoice)
    digest = base64url(known.sha256)
    return f"{environment.qr_url}/invoice/{known.seller_nip}/{known.issued_on:%d-%m-%Y}/{digest}"


def certificate_link_to_sign(
    invoice: bytes | InvoiceFingerprint, context: Context, serial_number: str, environment: Environment
) -> str:
    """Return what is signed for KOD II: its link without ``https://`` and without the signature.

    Args:
        invoice: The file exactly as it is sent; or what is known of it.
        context: On whose behalf it is issued.
        serial_number: Of the offline certificate, as KSeF gives it: 16 hex digits in capitals.
        environment: Where it is sent.

    Raises:
        LocalProtocolError: The file cannot be read; the serial number or the context's value is malformed.

    Source: kody-qr.md, section 2.
    """
    if not _SERIAL_NUMBER.fullmatch(serial_number):
        raise LocalProtocolError(f"{serial_number[:40]!r} is no serial number of a KSeF certificate: 16 hex digits.")
    if not _CONTEXT_VALUE.fullmatch(context.value):
        raise LocalProtocolError(f"{context.value[:40]!r} cannot stand in a verification link.")
    known = _fingerprint(invoice)
    host = environment.qr_url.partition("://")[2]
    parts = (context.type.value, context.value, known.seller_nip, serial_number, base64url(known.sha256))
    return f"{host}/certificate/{'/'.join(parts)}"


def signed_certificate_link(signed: str, signature: bytes, environment: Environment) -> str:
    """Return the link of KOD II from what was signed (`certificate_link_to_sign`) and the signature."""
    scheme = environment.qr_url.partition("://")[0]
    return f"{scheme}://{signed}/{base64url(signature)}"


def base64url(data: bytes) -> str:
    """Return bytes in Base64URL without padding (RFC 4648, section 5)."""
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _fingerprint(invoice: bytes | InvoiceFingerprint) -> InvoiceFingerprint:
    return invoice if isinstance(invoice, InvoiceFingerprint) else InvoiceFingerprint.of(invoice)


def _text(root: ET.Element, *paths: str) -> str:
    for path in paths:
        if text := collapsed(root.findtext(path) or ""):
            return text
    raise LocalProtocolError(f"The invoice has no {paths[0].replace('{*}', '')}.")


def _date(text: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise LocalProtocolError(f"The invoice's date of issue is no date: {text[:40]!r}.")
