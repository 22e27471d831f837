"""The UPO: fetched by its signed links, verified, and read.

What is verified: the SHA-256 the storage vouches for (``x-ms-meta-hash``), that the document is about this session,
and the check digits of every KSeF number. The Ministry's signature in it is kept as it is, and verified on request
(`upo_signer`): its certificate is published nowhere. Source: XSD http://upo.schematy.mf.gov.pl/KSeF/v4-3.
"""

from __future__ import annotations

import functools
import sys
from base64 import b64decode
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import anyio.to_thread
import attrs

from ..api.common import Context, ContextType
from ..api.sessions import InvoicingMode, UPODocument, UPOEntry
from ..calling.finishing import offload
from ..errors import LocalProtocolError, RemoteProtocolError
from ..protocol.numbers import KsefNumber
from ..protocol.xml import ET, local_name, parse_xml

if TYPE_CHECKING:
    from ..crypto.certificates import Certificate

__all__ = ["SessionUPO", "parse_upo", "upo_signer", "verify_upo"]

_CONTEXT_TYPES: Final = {
    "Nip": ContextType.NIP,
    "IdWewnetrzny": ContextType.INTERNAL_ID,
    "IdZlozonyVatUE": ContextType.NIP_VAT_UE,
    "IdDostawcyUslugPeppol": ContextType.PEPPOL_ID,
}


@attrs.frozen
class SessionUPO:
    """The verified receipt of a session."""

    session_reference_number: str
    """The session that the receipt is of."""
    documents: tuple[UPODocument, ...]
    """One a page of `UPO.pages`, in order; an archive must keep the ``xml`` of each."""

    @property
    def entries(self) -> tuple[UPOEntry, ...]:
        """Every accepted invoice, page by page."""
        return tuple(entry for document in self.documents for entry in document.entries)


async def verify_upo(xml: bytes, *, session_reference_number: str) -> UPODocument:
    """Read a UPO and check that it is what was asked for.

    Raises:
        RemoteProtocolError: It is not a UPO, is about another session, or holds a broken KSeF number.
    """
    try:
        document = await offload(len(xml), parse_upo, xml)
    except ValueError as error:
        raise RemoteProtocolError(
            f"KSeF's UPO of session {session_reference_number} cannot be read: {error}.", operation="upo"
        ) from error
    if document.session_reference_number != session_reference_number:
        raise RemoteProtocolError(
            f"KSeF's UPO is about session {document.session_reference_number}, not {session_reference_number}.",
            operation="upo",
            path="NumerReferencyjnySesji",
        )
    return document


async def upo_signer(document: UPODocument) -> Certificate:
    """Check that a UPO is as it was signed, and return the signer's certificate; needs the extra ``xades``.

    The Ministry publishes its certificate nowhere, so whether it is the Ministry's is not decided here: keep the
    certificates seen, and look when another comes.

    Raises:
        RemoteProtocolError: It is not signed, or not as it was signed.
        LocalProtocolError: The extra ``xades`` is not installed.
    """
    return await anyio.to_thread.run_sync(_signer, document)


def _signer(document: UPODocument) -> Certificate:
    try:
        from ..crypto.verification import SignatureError, verify_signed_document
    except ModuleNotFoundError as error:
        message = f"Verifying a signature needs {error.name}; install ksef_async with the extra 'xades'."
        raise LocalProtocolError(message) from error
    try:
        return verify_signed_document(document.xml, "Potwierdzenie").certificate
    except SignatureError as error:
        message = f"The UPO of session {document.session_reference_number} must not be trusted: {error}."
        raise RemoteProtocolError(message, operation="upo") from error


def parse_upo(xml: bytes) -> UPODocument:
    """Read a UPO of version 4-2 or 4-3.

    Args:
        xml: The document as KSeF issued it.

    Raises:
        ValueError: Not a UPO; names the element that is missing or wrong.
    """
    entries: list[UPOEntry] = []

    def take(root: ET.Element, child: ET.Element) -> bool:
        if child.tag != f"{root.tag.removesuffix(local_name(root))}Dokument":
            return False
        entries.append(_entry(child))
        return True

    root = parse_xml(xml, take)
    if local_name(root) != "Potwierdzenie":
        raise ValueError(f"the root element is {local_name(root)}, not Potwierdzenie")
    namespace = root.tag.rpartition("}")[0][1:]
    names = {"": namespace}

    def text(element: ET.Element, path: str) -> str:
        found = element.findtext(path, namespaces=names)
        if not found:
            raise ValueError(f"{path} is missing")
        return found

    context = root.find("Uwierzytelnienie/IdKontekstu/*", names)
    if context is None or local_name(context) not in _CONTEXT_TYPES:
        raise ValueError("Uwierzytelnienie/IdKontekstu is missing or of an unknown kind")
    description = root.find("OpisPotwierdzenia", names)
    return UPODocument(
        xml=xml,
        session_reference_number=text(root, "NumerReferencyjnySesji"),
        context=Context(_CONTEXT_TYPES[local_name(context)], context.text or ""),
        issuer=text(root, "NazwaPodmiotuPrzyjmujacego"),
        form=text(root, "KodFormularza"),
        page=1 if description is None else int(text(description, "Strona")),
        page_count=1 if description is None else int(text(description, "LiczbaStron")),
        entries=tuple(entries),
    )


def _entry(element: ET.Element) -> UPOEntry:
    fields = {local_name(child): child.text or "" for child in element}
    try:
        KsefNumber.parse(fields["NumerKSeFDokumentu"])
        mode = fields.get("TrybWysylki")
        return UPOEntry(
            seller_nip=sys.intern(fields["NipSprzedawcy"]),
            ksef_number=fields["NumerKSeFDokumentu"],
            invoice_number=fields["NumerFaktury"],
            issue_date=_day(fields["DataWystawieniaFaktury"]),
            invoicing_date=_moment(fields["DataPrzeslaniaDokumentu"]),
            acquisition_date=_moment(fields["DataNadaniaNumeruKSeF"]),
            invoice_hash=b64decode(fields["SkrotDokumentu"], validate=True),
            invoicing_mode=InvoicingMode(mode) if mode else None,
        )
    except KeyError as error:
        raise ValueError(f"Dokument/{error.args[0]} is missing") from None


# The invoices of a session share most of theirs.
_day = functools.lru_cache(256)(date.fromisoformat)
_moment = functools.lru_cache(256)(datetime.fromisoformat)
