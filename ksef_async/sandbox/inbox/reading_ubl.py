"""A Peppol document (UBL, forms PEF and PEF_KOR) as a person reads it."""

from __future__ import annotations

from ...protocol.xml import ET, local_name, parse_xml
from .reading import Line, Party, ReadInvoice, VatRow, amount, text_of

__all__ = ["read_ubl"]

_MOST_LINES = 200
_SIDES = (("AccountingSupplierParty", "Sprzedawca"), ("AccountingCustomerParty", "Nabywca"))


def read_ubl(xml: bytes) -> ReadInvoice | None:
    """The document; None when it is no UBL invoice or credit note.

    Raises:
        ValueError: Not XML.
    """
    root = parse_xml(xml)
    kind = local_name(root)
    if kind not in ("Invoice", "CreditNote"):
        return None
    rows = root.findall(f"{{*}}{kind}Line")
    facts = (
        ("Data wystawienia", text_of(root, "IssueDate")),
        ("Termin płatności", text_of(root, "DueDate")),
        ("Rachunek", text_of(root, "PaymentMeans/PayeeFinancialAccount/ID")),
    )
    return ReadInvoice(
        title="Faktura Peppol" if kind == "Invoice" else "Korekta Peppol",
        number=text_of(root, "ID"),
        form=f"UBL {kind}",
        currency=text_of(root, "DocumentCurrencyCode"),
        facts=tuple((name, value) for name, value in facts if value),
        parties=tuple(_party(root, side, role) for side, role in _SIDES),
        lines=tuple(_line(row, kind) for row in rows[:_MOST_LINES]),
        more_lines=max(0, len(rows) - _MOST_LINES),
        is_gross=False,
        vat=tuple(
            VatRow(
                rate=f"{text_of(part, 'TaxCategory/Percent')}%",
                net=amount(text_of(part, "TaxableAmount")),
                vat=amount(text_of(part, "TaxAmount")),
            )
            for part in root.iterfind("{*}TaxTotal/{*}TaxSubtotal")
        ),
        total=amount(text_of(root, "LegalMonetaryTotal/PayableAmount")),
        notes=tuple(filter(None, (text_of(root, "Note"),))),
    )


def _party(root: ET.Element, side: str, role: str) -> Party:
    party = f"{side}/Party"
    street, city = text_of(root, f"{party}/PostalAddress/StreetName"), text_of(root, f"{party}/PostalAddress/CityName")
    code = text_of(root, f"{party}/PostalAddress/PostalZone")
    return Party(
        role=role,
        name=text_of(root, f"{party}/PartyLegalEntity/RegistrationName") or text_of(root, f"{party}/PartyName/Name"),
        identifier=text_of(root, f"{party}/PartyTaxScheme/CompanyID"),
        address=tuple(filter(None, (street, f"{code} {city}".strip()))),
    )


def _line(row: ET.Element, kind: str) -> Line:
    quantity = row.find("{*}InvoicedQuantity" if kind == "Invoice" else "{*}CreditedQuantity")
    percent = text_of(row, "Item/ClassifiedTaxCategory/Percent")
    return Line(
        number=text_of(row, "ID"),
        name=text_of(row, "Item/Name"),
        unit="" if quantity is None else quantity.get("unitCode", ""),
        quantity="" if quantity is None else (quantity.text or "").replace(".", ","),
        price=amount(text_of(row, "Price/PriceAmount")),
        value=amount(text_of(row, "LineExtensionAmount")),
        rate=f"{percent}%" if percent else "",
    )
