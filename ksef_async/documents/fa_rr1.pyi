"""The models of FA_RR(1); made by tools/documents.py."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import attrs

from .models import Element

TStatusInfoPodatnika: TypeAlias = Literal[1, 2, 3, 4]
TRolaPodmiotu3: TypeAlias = Literal[1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
TRodzajFaktury: TypeAlias = Literal["VAT_RR", "KOR_VAT_RR"]
TTypKorekty: TypeAlias = Literal[1, 2, 3, 4]

@attrs.define(kw_only=True, eq=False)
class Faktura(Element):
    """An invoice: the outermost element."""

    schema_location: str | None = None
    """``xsi:schemaLocation``, where the document has one."""
    naglowek: TNaglowek
    podmiot1: Podmiot1
    """The farmer, who sells."""
    podmiot2: Podmiot2
    """The buyer, who issues the invoice."""
    podmiot3: list[Podmiot3] = ...
    """Third parties."""
    faktura_rr: FakturaRR
    """The invoice itself."""
    stopka: Stopka | None = None
    """The footer."""

@attrs.define(kw_only=True, eq=False)
class TNaglowek(Element):
    """The header: form, version and the moment of making."""

    kod_formularza: KodFormularza = ...
    """The form's code; it need not be given."""
    wariant_formularza: Literal[1] = ...
    """The form's variant; it need not be given."""
    data_wytworzenia_fa: datetime
    """When the document was made."""
    system_info: str | None = None
    """The name of the program that made it."""

@attrs.define(kw_only=True, eq=False)
class KodFormularza(Element):
    """The form's code; it has only one value, so it need not be given."""

    kod_systemowy: Literal["FA_RR (1)"] = ...
    wersja_schemy: Literal["1-1E"] = ...
    text: Literal["FA_RR"] = ...
    """The element's text."""

@attrs.define(kw_only=True, eq=False)
class Podmiot1(Element):
    """The seller."""

    dane_identyfikacyjne: TPodmiot1
    """Who it is."""
    adres: TAdres
    """The address."""
    adres_koresp: TAdres | None = None
    """The address for letters, where it is another."""
    dane_kontaktowe: list[DaneKontaktowe] = ...
    """E-mail and telephone."""
    nr_kontrahenta: str | None = None
    """The number of the contractor."""

@attrs.define(kw_only=True, eq=False)
class TPodmiot1(Element):
    """The identity of a party that has a NIP."""

    nip: str
    """The Polish tax number, 10 digits."""
    nazwa: str
    """The name."""

@attrs.define(kw_only=True, eq=False)
class TAdres(Element):
    """An address."""

    kod_kraju: str
    """The country, two letters (ISO 3166)."""
    adres_l1: str
    """The first line of the address."""
    adres_l2: str | None = None
    """The second line of the address."""
    gln: str | None = None
    """The global location number."""

@attrs.define(kw_only=True, eq=False)
class DaneKontaktowe(Element):
    """The type DaneKontaktowe of the form."""

    email: str | None = None
    telefon: str | None = None

@attrs.define(kw_only=True, eq=False)
class Podmiot2(Element):
    """The buyer."""

    dane_identyfikacyjne: TPodmiot1
    """Who it is."""
    adres: TAdres
    """The address."""
    adres_koresp: TAdres | None = None
    """The address for letters, where it is another."""
    dane_kontaktowe: list[DaneKontaktowe] = ...
    """E-mail and telephone."""
    status_info_podatnika: TStatusInfoPodatnika | None = None
    """1 in liquidation, 2 in restructuring, 3 bankrupt, 4 estate of a deceased."""

@attrs.define(kw_only=True, eq=False)
class Podmiot3(Element):
    """A third party: a factor, a recipient, a further buyer ..."""

    dane_identyfikacyjne: TPodmiot3
    """Who it is."""
    adres: TAdres | None = None
    """The address."""
    adres_koresp: TAdres | None = None
    """The address for letters, where it is another."""
    dane_kontaktowe: list[DaneKontaktowe] = ...
    """E-mail and telephone."""
    rola: TRolaPodmiotu3 | None = None
    """1 factor, 2 recipient, 3 original party, 4 further buyer, 5 issuer, 6 payer, 7 and 8 local government as issuer and recipient, 9 and 10 member of a VAT group as issuer and recipient, 11 employee."""  # noqa: E501
    rola_inna: Literal[1] | None = None
    """1 for another role, which OpisRoli names."""
    opis_roli: str | None = None
    """The other role."""

@attrs.define(kw_only=True, eq=False)
class TPodmiot3(Element):
    """The identity of a third party."""

    nip: str | None = None
    """The Polish tax number, 10 digits."""
    id_wew: str | None = None
    """The internal identifier: a NIP, a hyphen and five digits."""
    brak_id: Literal[1] | None = None
    """1 where the party has no tax number."""
    nazwa: str
    """The name."""

@attrs.define(kw_only=True, eq=False)
class FakturaRR(Element):
    """The invoice itself."""

    kod_waluty: str
    """The currency, three letters (ISO 4217)."""
    p_1m: str | None = None
    """The place of issue."""
    p_4a: date | None = None
    """The day of purchase, where all rows have the same."""
    p_4b: date
    """The day of issue."""
    p_4c: str
    """The invoice's number."""
    p_11_1: Decimal
    """The value of the products or services."""
    p_11_1w: Decimal | None = None
    """The value in PLN, on an invoice in another currency."""
    p_11_2: Decimal
    """The flat-rate refund of tax."""
    p_11_2w: Decimal | None = None
    """The refund in PLN, on an invoice in another currency."""
    p_12_1: Decimal
    """The total amount due, with the refund."""
    p_12_1w: Decimal | None = None
    """The total in PLN, on an invoice in another currency."""
    p_12_2: str
    """The total amount due, in words."""
    rodzaj_faktury: TRodzajFaktury
    """The kind: VAT_RR, or KOR_VAT_RR for a correction."""
    przyczyna_korekty: str | None = None
    """The reason for the correction."""
    typ_korekty: TTypKorekty | None = None
    """1 effective as of the original invoice, 2 as of the correction, 3 as of other days."""
    dane_fa_korygowanej: list[DaneFaKorygowanej] = ...
    """The invoices that are corrected."""
    nr_fa_korygowany: str | None = None
    """The right number, where a wrong number is corrected."""
    podmiot1k: Podmiot1K | None = None
    """The seller's data before the correction, where they are corrected."""
    podmiot2k: Podmiot2K | None = None
    """The buyers' data before the correction, where they are corrected."""
    dokument_zaplaty: list[DokumentZaplaty] = ...
    """Documents of payment."""
    dodatkowy_opis: list[TKluczWartosc] = ...
    """Further facts: keys and values."""
    faktura_rr_wiersz: list[FakturaRRWiersz] = ...
    """The rows."""
    rozliczenie: Rozliczenie | None = None
    """Charges and deductions besides the total."""
    platnosc: Platnosc | None = None
    """The payment."""

@attrs.define(kw_only=True, eq=False)
class DaneFaKorygowanej(Element):
    """An invoice that is corrected."""

    data_wyst_fa_korygowanej: date
    """Its day of issue."""
    nr_fa_korygowanej: str
    """Its number (P_2)."""
    nr_ksef: Literal[1] | None = None
    """1 where it has a KSeF number."""
    nr_ksef_fa_korygowanej: str | None = None
    """Its KSeF number."""
    nr_ksef_n: Literal[1] | None = None
    """1 where it was issued outside of KSeF."""

@attrs.define(kw_only=True, eq=False)
class Podmiot1K(Element):
    """The seller as on the corrected invoice."""

    dane_identyfikacyjne: TPodmiot1
    """Who it is."""
    adres: TAdres
    """The address."""

@attrs.define(kw_only=True, eq=False)
class Podmiot2K(Element):
    """A buyer as on the corrected invoice."""

    dane_identyfikacyjne: TPodmiot1
    """Who it is."""
    adres: TAdres
    """The address."""

@attrs.define(kw_only=True, eq=False)
class DokumentZaplaty(Element):
    """The type DokumentZaplaty of the form."""

    nr_dokumentu: str
    """The document's number."""
    data_dokumentu: date | None = None
    """The document's day."""

@attrs.define(kw_only=True, eq=False)
class TKluczWartosc(Element):
    """A further fact: key and value, of the invoice or of one row."""

    nr_wiersza: int | None = None
    """The row it belongs to; None where it is the whole invoice."""
    klucz: str
    """The key."""
    wartosc: str
    """The value."""

@attrs.define(kw_only=True, eq=False)
class FakturaRRWiersz(Element):
    """A row of the invoice."""

    nr_wiersza_fa: int
    """The row's number, from 1."""
    uu_id: str | None = None
    """A universal unique identifier of the row."""
    p_4aa: date | None = None
    """The day of purchase of this row."""
    p_5: str
    """The name of the product or service."""
    gtin: str | None = None
    """The global trade item number."""
    pkwiu: str | None = None
    """The code of the Polish classification of goods and services."""
    cn: str | None = None
    """The code of the Combined Nomenclature."""
    p_6a: str
    """The unit."""
    p_6b: Decimal
    """The quantity."""
    p_6c: str
    """The class or quality."""
    p_7: Decimal
    """The price of a unit without the refund."""
    p_8: Decimal
    """The value of the row without the refund."""
    p_9: Decimal
    """The rate of the refund."""
    p_10: Decimal
    """The refund of the row."""
    p_11: Decimal
    """The value of the row with the refund."""
    stan_przed: Literal[1] | None = None
    """1 where the row shows the state before a correction."""
    kurs_waluty: Decimal | None = None
    """The exchange rate of this row."""

@attrs.define(kw_only=True, eq=False)
class Rozliczenie(Element):
    """Charges and deductions besides the total."""

    obciazenia: list[Obciazenia] = ...
    """Charges, added to P_15."""
    suma_obciazen: Decimal | None = None
    """The sum of charges."""
    odliczenia: list[Odliczenia] = ...
    """Deductions, taken from P_15."""
    suma_odliczen: Decimal | None = None
    """The sum of deductions."""
    do_zaplaty: Decimal | None = None
    """What is to be paid: P_15 with charges and without deductions."""
    do_rozliczenia: Decimal | None = None
    """What was paid too much."""

@attrs.define(kw_only=True, eq=False)
class Obciazenia(Element):
    """The type Obciazenia of the form."""

    kwota: Decimal
    """The amount."""
    powod: str
    """The reason."""

@attrs.define(kw_only=True, eq=False)
class Odliczenia(Element):
    """The type Odliczenia of the form."""

    kwota: Decimal
    """The amount."""
    powod: str
    """The reason."""

@attrs.define(kw_only=True, eq=False)
class Platnosc(Element):
    """The payment."""

    forma_platnosci: Literal[1] | None = None
    """1 cash, 2 card, 3 voucher, 4 cheque, 5 credit, 6 bank transfer, 7 mobile."""
    platnosc_inna: Literal[1] | None = None
    """1 for another form of payment, which OpisPlatnosci names."""
    opis_platnosci: str | None = None
    """The other form of payment."""
    rachunek_bankowy1: list[TRachunekBankowy] = ...
    """The farmer's accounts."""
    rachunek_bankowy2: list[TRachunekBankowy] = ...
    """The buyer's accounts."""
    ip_ksef: str | None = None
    """The identifier of the payment in KSeF."""
    link_do_platnosci: str | None = None
    """A link to pay by, with its IPKSeF."""

@attrs.define(kw_only=True, eq=False)
class TRachunekBankowy(Element):
    """A bank account."""

    nr_rb: str
    """The account's number in full."""
    swift: str | None = None
    """The bank's SWIFT code."""
    nazwa_banku: str | None = None
    """The bank's name."""
    opis_rachunku: str | None = None
    """A description of the account."""

@attrs.define(kw_only=True, eq=False)
class Stopka(Element):
    """The footer."""

    informacje: list[Informacje] = ...
    """Further texts."""
    rejestry: list[Rejestry] = ...
    """Numbers in other registers."""

@attrs.define(kw_only=True, eq=False)
class Informacje(Element):
    """The type Informacje of the form."""

    stopka_faktury: str | None = None
    """A text of the footer."""

@attrs.define(kw_only=True, eq=False)
class Rejestry(Element):
    """The type Rejestry of the form."""

    pelna_nazwa: str | None = None
    """The full name."""
    krs: str | None = None
    """The number in the court register."""
    regon: str | None = None
    """The statistical number."""
    bdo: str | None = None
    """The number in the register of waste."""

def read(xml: bytes) -> Faktura:
    """Return the invoice that a document is.

    Args:
        xml: The document, UTF-8 without BOM.

    Raises:
        DocumentError: It is not XML as KSeF takes it, of another form, or has something that the form does not.
    """

def write(invoice: Faktura) -> bytes:
    """Return an invoice as a document, UTF-8 without BOM.

    Args:
        invoice: The invoice; its amounts are written as they are, ``Decimal("2051.00")`` with its zeros.

    Raises:
        TypeError: It is no ``Faktura`` of this form.
        DocumentError: A field has a value of another type, or none where there must be one.
    """
