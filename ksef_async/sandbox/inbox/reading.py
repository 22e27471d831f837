"""An invoice as a person reads it, drawn from its XML: FA(2) and FA(3), and Peppol's UBL (forms PEF and PEF_KOR).

Nothing is computed: what is shown is what the document says. Source: XSD FA(3), the field names P_1 to P_15.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import attrs

from ...protocol.xml import ET, local_name, parse_xml

__all__ = ["Line", "Party", "ReadInvoice", "VatRow", "amount", "read_invoice", "read_ubl", "text_of"]


@attrs.frozen(kw_only=True)
class Party:
    """A party of the invoice."""

    role: str
    name: str
    identifier: str
    """NIP, VAT-UE or another number, with what it is."""
    address: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Line:
    """One line of goods or services; amounts as they are written on invoices."""

    number: str
    name: str
    unit: str
    quantity: str
    price: str
    value: str
    rate: str
    is_before: bool = False
    """The state before the correction."""


@attrs.frozen(kw_only=True)
class VatRow:
    """The sums for one rate."""

    rate: str
    net: str
    vat: str


@attrs.frozen(kw_only=True)
class ReadInvoice:
    """The content of an invoice, as a person reads it."""

    title: str
    number: str
    form: str
    currency: str
    facts: tuple[tuple[str, str], ...]
    """Names and values: dates, places, payment."""
    parties: tuple[Party, ...]
    lines: tuple[Line, ...]
    more_lines: int
    """How many lines are not shown."""
    is_gross: bool
    """Whether prices and values include VAT."""
    vat: tuple[VatRow, ...]
    total: str
    notes: tuple[str, ...]


# --- FA(2) and FA(3) -------------------------------------------------------------------------------------------------

# More lines than this are counted, not shown.
_MOST_LINES: Final = 200
_KINDS: Final[Mapping[str, str]] = {
    "VAT": "Faktura VAT",
    "KOR": "Faktura korygująca",
    "ZAL": "Faktura zaliczkowa",
    "ROZ": "Faktura rozliczeniowa",
    "UPR": "Faktura uproszczona",
    "KOR_ZAL": "Korekta faktury zaliczkowej",
    "KOR_ROZ": "Korekta faktury rozliczeniowej",
}
# Where the sums for each rate are: net, VAT.
_SUMS: Final = (
    ("23% / 22%", "P_13_1", "P_14_1"),
    ("8% / 7%", "P_13_2", "P_14_2"),
    ("5%", "P_13_3", "P_14_3"),
    ("ryczałt dla taksówek", "P_13_4", "P_14_4"),
    ("procedura OSS", "P_13_5", "P_14_5"),
    ("0% kraj", "P_13_6_1", None),
    ("0% WDT", "P_13_6_2", None),
    ("0% eksport", "P_13_6_3", None),
    ("zwolnione", "P_13_7", None),
    ("poza terytorium kraju", "P_13_8", None),
    ("usługi, art. 100 ust. 1 pkt 4", "P_13_9", None),
    ("odwrotne obciążenie", "P_13_10", None),
    ("procedura marży", "P_13_11", None),
)
_PAYMENTS: Final = {
    "1": "gotówka", "2": "karta", "3": "bon", "4": "czek", "5": "kredyt", "6": "przelew", "7": "płatność mobilna",
}  # fmt: skip
_NOTES: Final = (
    ("Adnotacje/P_16", "Metoda kasowa"),
    ("Adnotacje/P_17", "Samofakturowanie"),
    ("Adnotacje/P_18", "Odwrotne obciążenie"),
    ("Adnotacje/P_18A", "Mechanizm podzielonej płatności"),
    ("Adnotacje/P_23", "Procedura uproszczona, art. 135 ust. 1 pkt 4"),
    ("Adnotacje/PMarzy/P_PMarzy", "Procedura marży"),
    ("FP", "Faktura do paragonu"),
    ("TP", "Powiązania między nabywcą a dostawcą"),
)


def read_invoice(xml: bytes) -> ReadInvoice | None:
    """Return the invoice; None for a form that is not read here.

    Raises:
        ValueError: Not XML, or not an invoice.
    """
    root = parse_xml(xml)
    body = root.find("{*}Fa")
    if local_name(root) != "Faktura" or body is None:
        return None
    rows = [*body.iterfind("{*}FaWiersz")] or [*body.iterfind("{*}Zamowienie/{*}ZamowienieWiersz")]
    return ReadInvoice(
        title=_KINDS.get(kind := text_of(body, "RodzajFaktury"), f"Faktura {kind}".strip()),
        number=text_of(body, "P_2"),
        form=_form(root),
        currency=text_of(body, "KodWaluty"),
        facts=tuple((name, value) for name, value in _facts(body) if value),
        parties=tuple(_parties(root)),
        lines=tuple(_line(row) for row in rows[:_MOST_LINES]),
        more_lines=max(0, len(rows) - _MOST_LINES),
        is_gross=any(row.find("{*}P_9B") is not None for row in rows),
        vat=tuple(
            VatRow(rate=rate, net=amount(text_of(body, net)), vat=amount(text_of(body, vat)) if vat else "–")
            for rate, net, vat in _SUMS
            if text_of(body, net)
        ),
        total=amount(text_of(body, "P_15")),
        notes=tuple(_notes(root, body)),
    )


def _form(root: ET.Element) -> str:
    form = root.find("{*}Naglowek/{*}KodFormularza")
    return "" if form is None else f"{form.get('kodSystemowy', '')} {form.get('wersjaSchemy', '')}".strip()


def _facts(body: ET.Element) -> Iterator[tuple[str, str]]:
    yield "Data wystawienia", text_of(body, "P_1")
    yield "Miejsce wystawienia", text_of(body, "P_1M")
    yield "Data sprzedaży", text_of(body, "P_6")
    start, end = text_of(body, "OkresFa/P_6_Od"), text_of(body, "OkresFa/P_6_Do")
    yield "Okres", f"{start} – {end}" if start or end else ""
    for corrected in body.iterfind("{*}DaneFaKorygowanej"):
        yield (
            "Do faktury",
            " z ".join(
                filter(None, (text_of(corrected, "NrFaKorygowanej"), text_of(corrected, "DataWystFaKorygowanej")))
            ),
        )
    yield "Przyczyna korekty", text_of(body, "PrzyczynaKorekty")
    payment = body.find("{*}Platnosc")
    if payment is not None:
        yield (
            "Forma płatności",
            _PAYMENTS.get(form := text_of(payment, "FormaPlatnosci"), text_of(payment, "OpisPlatnosci") or form),
        )
        yield "Termin płatności", text_of(payment, "TerminPlatnosci/Termin")
        yield "Zapłacono", (text_of(payment, "DataZaplaty") or "tak") if text_of(payment, "Zaplacono") == "1" else ""
        yield "Rachunek", " ".join(_groups(text_of(payment, "RachunekBankowy/NrRB")))


def _groups(account: str) -> Iterator[str]:
    """Return an account number as it is written: two digits, then fours."""
    bare = account.replace(" ", "")
    yield bare[:2]
    yield from (bare[start : start + 4] for start in range(2, len(bare), 4))


def _parties(root: ET.Element) -> Iterator[Party]:
    roles = (
        ("Podmiot1", "Sprzedawca"),
        ("Podmiot2", "Nabywca"),
        ("Podmiot3", "Podmiot trzeci"),
        ("PodmiotUpowazniony", "Podmiot upoważniony"),
    )
    for element, role in roles:
        for party in root.iterfind(f"{{*}}{element}"):
            address = (text_of(party, f"Adres/{field}") for field in ("AdresL1", "AdresL2"))
            country = text_of(party, "Adres/KodKraju")
            yield Party(
                role=role,
                name=text_of(party, "DaneIdentyfikacyjne/Nazwa"),
                identifier=_identifier(party),
                address=tuple(filter(None, (*address, country if country != "PL" else ""))),
            )


def _identifier(party: ET.Element) -> str:
    of = "DaneIdentyfikacyjne"
    if nip := text_of(party, f"{of}/NIP"):
        return f"NIP {nip}"
    if eu := text_of(party, f"{of}/NrVatUE"):
        return f"VAT-UE {text_of(party, f'{of}/KodUE')}{eu}"
    if internal := text_of(party, f"{of}/IDWew"):
        return f"IDWew {internal}"
    return text_of(party, f"{of}/NrID") or ("bez identyfikatora" if text_of(party, f"{of}/BrakID") == "1" else "")


def _line(row: ET.Element) -> Line:
    # A line of an order (ZamowienieWiersz) has the same fields with a Z at the end.
    def field(*names: str) -> str:
        return next((text for name in names if (text := text_of(row, name))), "")

    return Line(
        number=field("NrWierszaFa", "NrWierszaZam"),
        name=field("P_7", "P_7Z"),
        unit=field("P_8A", "P_8AZ"),
        quantity=field("P_8B", "P_8BZ").replace(".", ","),
        price=amount(field("P_9A", "P_9B", "P_9AZ")),
        value=amount(field("P_11", "P_11A", "P_11NettoZ")),
        rate=_rate(field("P_12", "P_12Z", "P_12_XII")),
        is_before=field("StanPrzed", "StanPrzedZ") == "1",
    )


def _rate(text: str) -> str:
    return f"{text}%" if text.replace(".", "").isdecimal() else text


def _notes(root: ET.Element, body: ET.Element) -> Iterator[str]:
    yield from (note for path, note in _NOTES if text_of(body, path) == "1")
    if exempt := text_of(body, "Adnotacje/Zwolnienie/P_19A"):
        yield f"Zwolnienie z podatku: {exempt}"
    for pair in body.iterfind("{*}DodatkowyOpis"):
        yield f"{text_of(pair, 'Klucz')}: {text_of(pair, 'Wartosc')}"
    yield from filter(None, (text_of(info, "StopkaFaktury") for info in root.iterfind("{*}Stopka/{*}Informacje")))


# --- UBL -------------------------------------------------------------------------------------------------------------

_MOST_UBL_LINES = 200
_SIDES = (("AccountingSupplierParty", "Sprzedawca"), ("AccountingCustomerParty", "Nabywca"))


def read_ubl(xml: bytes) -> ReadInvoice | None:
    """Return the document; None when it is no UBL invoice or credit note.

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
        lines=tuple(_ubl_line(row, kind) for row in rows[:_MOST_UBL_LINES]),
        more_lines=max(0, len(rows) - _MOST_UBL_LINES),
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


def _ubl_line(row: ET.Element, kind: str) -> Line:
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


# --- both ------------------------------------------------------------------------------------------------------------


def text_of(element: ET.Element, path: str) -> str:
    """Return the text at a path of local names, without spaces around it; empty where there is none."""
    return (element.findtext("/".join(f"{{*}}{step}" for step in path.split("/"))) or "").strip()


def amount(text: str) -> str:
    """Return an amount as it is written in Poland: ``1 230,00``; other text stays as it is."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > 30:
        return text
    places = max(2, -int(number.as_tuple().exponent))
    return f"{number:,.{places}f}".replace(",", "\N{NO-BREAK SPACE}").replace(".", ",").replace("-", "\N{MINUS SIGN}")
