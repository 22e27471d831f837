"""An FA(3) invoice of our own: small, valid against the schema, made anew for every number and seller."""

from __future__ import annotations

from datetime import date, datetime
from xml.etree import ElementTree as ET

from .intake import WARSAW

__all__ = ["sample_invoice"]

_NAMESPACE = "http://crd.gov.pl/wzor/2025/06/25/13775/"

_NET, _VAT, _GROSS = "1000.00", "230.00", "1230.00"


def sample_invoice(
    seller_nip: str, number: str = "FV/1", issued_on: date | None = None, *, buyer_nip: str = "1111111111"
) -> bytes:
    """Return an FA(3) VAT invoice with one line, over 1,000 PLN net.

    Args:
        seller_nip: Who issues it: the NIP of the login's context.
        number: The seller's number (P_2); seller, kind and number may come only once.
        issued_on: Date of issue; today in Poland by default, so that KSeF takes it for an online invoice.
        buyer_nip: Who gets it.

    Returns:
        The XML, UTF-8 without BOM.
    """
    day = (issued_on or datetime.now(WARSAW).date()).isoformat()
    root = ET.Element("Faktura", xmlns=_NAMESPACE)
    header = ET.SubElement(root, "Naglowek")
    form = ET.SubElement(header, "KodFormularza", kodSystemowy="FA (3)", wersjaSchemy="1-0E")
    form.text = "FA"
    _add(header, WariantFormularza="3", DataWytworzeniaFa=f"{day}T00:00:00Z", SystemInfo="ksef_async")
    _add_party(root, "Podmiot1", seller_nip, "Sprzedawca sp. z o.o.", "ul. Przykładowa 1, 00-001 Warszawa")
    buyer = _add_party(root, "Podmiot2", buyer_nip, "Nabywca S.A.", "ul. Wzorcowa 2, 30-002 Kraków")
    _add(buyer, JST="2", GV="2")
    body = ET.SubElement(root, "Fa")
    _add(body, KodWaluty="PLN", P_1=day, P_2=number, P_13_1=_NET, P_14_1=_VAT, P_15=_GROSS)
    notes = ET.SubElement(body, "Adnotacje")
    _add(notes, P_16="2", P_17="2", P_18="2", P_18A="2")
    _add(ET.SubElement(notes, "Zwolnienie"), P_19N="1")
    _add(ET.SubElement(notes, "NoweSrodkiTransportu"), P_22N="1")
    _add(notes, P_23="2")
    _add(ET.SubElement(notes, "PMarzy"), P_PMarzyN="1")
    _add(body, RodzajFaktury="VAT")
    line = ET.SubElement(body, "FaWiersz")
    _add(line, NrWierszaFa="1", P_7="Usługa przykładowa", P_8A="szt.", P_8B="1", P_9A=_NET, P_11=_NET, P_12="23")
    xml: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return xml


def _add_party(root: ET.Element, role: str, nip: str, name: str, address: str) -> ET.Element:
    party = ET.SubElement(root, role)
    _add(ET.SubElement(party, "DaneIdentyfikacyjne"), NIP=nip, Nazwa=name)
    _add(ET.SubElement(party, "Adres"), KodKraju="PL", AdresL1=address)
    return party


def _add(parent: ET.Element, **texts: str) -> None:
    for name, text in texts.items():
        ET.SubElement(parent, name).text = text
