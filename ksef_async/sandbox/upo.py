"""UPO documents of version 4-3, built as documents. Source: XSD http://upo.schematy.mf.gov.pl/KSeF/v4-3.

They break the schema where KSeF's own outside production do: the issuer's name says what this is. They are signed
where the extra ``xades`` is installed, and otherwise not.
"""

from __future__ import annotations

import functools
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final
from xml.etree import ElementTree as ET

from ..api.common import ContextType
from ..crypto.certificates import Certificate, PrivateKey
from ..crypto.issuing import new_private_key, self_signed
from ..protocol.polish_calendar import WARSAW
from .world import Invoice, Session

__all__ = ["ISSUER", "PAGE_SIZE", "invoice_upo", "session_upo_pages", "signed"]


ISSUER: Final = "Ministerstwo Finansów - środowisko testowe (TE) - SYMULATOR ksef_async, bez mocy prawnej"
PAGE_SIZE: Final = 10_000
_NAMESPACE: Final = "http://upo.schematy.mf.gov.pl/KSeF/v4-3"
_CONTEXT_ELEMENTS: Final = {
    ContextType.NIP: "Nip",
    ContextType.INTERNAL_ID: "IdWewnetrzny",
    ContextType.NIP_VAT_UE: "IdZlozonyVatUE",
    ContextType.PEPPOL_ID: "IdDostawcyUslugPeppol",
}


def session_upo_pages(session: Session) -> list[bytes]:
    """Return the receipt of a session: its accepted invoices, 10,000 a page; call it in a worker thread."""
    accepted = [invoice for invoice in session.invoices.values() if invoice.is_accepted]
    starts = range(0, len(accepted), PAGE_SIZE)
    return [
        _document(session, accepted[start : start + PAGE_SIZE], (number, len(starts), start + 1, len(accepted)))
        for number, start in enumerate(starts, 1)
    ]


def invoice_upo(session: Session, invoice: Invoice) -> bytes:
    """Return the receipt of one accepted invoice; call it in a worker thread."""
    return _document(session, [invoice], None)


def _document(session: Session, invoices: Sequence[Invoice], page: tuple[int, int, int, int] | None) -> bytes:
    return signed(_unsigned(session, invoices, page), max(invoice.final_at for invoice in invoices))


def _unsigned(session: Session, invoices: Sequence[Invoice], page: tuple[int, int, int, int] | None) -> bytes:
    root = ET.Element("Potwierdzenie", xmlns=_NAMESPACE)
    _add(root, NazwaPodmiotuPrzyjmujacego=ISSUER, NumerReferencyjnySesji=session.reference_number)
    proof = ET.SubElement(root, "Uwierzytelnienie")
    _add(ET.SubElement(proof, "IdKontekstu"), **{_CONTEXT_ELEMENTS[session.context.type]: session.context.value})
    if session.login.token is not None:
        _add(proof, NumerReferencyjnyTokenaKSeF=session.login.token.reference_number)
    elif session.login.signature is not None:
        digest = b64encode(session.login.signature.document_hash).decode("ascii")
        _add(proof, SkrotDokumentuUwierzytelniajacego=digest)
    if page is not None:
        number, count, first, total = page
        description = ET.SubElement(root, "OpisPotwierdzenia")
        _add(description, Strona=f"{number}", LiczbaStron=f"{count}", ZakresDokumentowOd=f"{first}")
        _add(description, ZakresDokumentowDo=f"{first + len(invoices) - 1}", CalkowitaLiczbaDokumentow=f"{total}")
    form = session.form_code
    structure = f"Schemat_{form.system_code}_v{form.schema_version}.xsd".replace(" ", "")
    _add(root, NazwaStrukturyLogicznej=structure, KodFormularza=form.system_code)
    for invoice in invoices:
        _add_invoice(root, invoice)
    xml: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return xml


def _add_invoice(root: ET.Element, invoice: Invoice) -> None:
    verdict = invoice.verdict
    if verdict.document is None or verdict.ksef_number is None or verdict.mode is None:
        raise ValueError("only an accepted invoice has a receipt")
    _add(
        ET.SubElement(root, "Dokument"),
        NipSprzedawcy=verdict.document.seller_nip,
        NumerKSeFDokumentu=verdict.ksef_number,
        NumerFaktury=verdict.document.invoice_number,
        DataWystawieniaFaktury=verdict.document.issued_on.isoformat(),
        DataPrzeslaniaDokumentu=_local(invoice.received_at),
        DataNadaniaNumeruKSeF=_local(invoice.final_at),
        SkrotDokumentu=b64encode(invoice.invoice_hash).decode("ascii"),
        TrybWysylki=verdict.mode.value,
    )


def _local(moment: datetime) -> str:
    return moment.astimezone(WARSAW).isoformat(timespec="milliseconds")


def _add(parent: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = text


# --- the signature ---------------------------------------------------------------------------------------------------

_SUBJECT: Final = {
    "country_name": "PL",
    "organization_name": "ksef_async sandbox",
    "common_name": "SYMULATOR pieczęć UPO - nie Ministerstwo Finansów",
}


def signed(document: bytes, signing_time: datetime) -> bytes:
    """Return a document with its signature; as it is where signxml is not installed.

    Call it in a worker thread.
    """
    try:
        from lxml import etree

        from ..crypto.xades import prepare, sign_with_key
    except ModuleNotFoundError:
        return document
    certificate, key = _signing_key()
    unsigned = prepare(etree.fromstring(document), certificate, signing_time)
    return unsigned.complete(sign_with_key(key, unsigned))


@functools.cache
def _signing_key() -> tuple[Certificate, PrivateKey]:
    # One for all sandboxes of a process, whatever time their clocks tell.
    key = new_private_key("ec")
    return self_signed(_SUBJECT, key, valid_from=datetime(2020, 1, 1, tzinfo=UTC), lifetime=36525 * 86400), key
