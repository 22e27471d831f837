"""The models of FA(3); made by tools/documents.py."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import attrs

from .models import Element

TStatusInfoPodatnika: TypeAlias = Literal[1, 2, 3, 4]
TKodyKrajowUE: TypeAlias = Literal[
    "AT",
    "BE",
    "BG",
    "CY",
    "CZ",
    "DK",
    "EE",
    "FI",
    "FR",
    "DE",
    "EL",
    "HR",
    "HU",
    "IE",
    "IT",
    "LV",
    "LT",
    "LU",
    "MT",
    "NL",
    "PL",
    "PT",
    "RO",
    "SK",
    "SI",
    "ES",
    "SE",
    "XI",
]
JST: TypeAlias = Literal[1, 2]
GV: TypeAlias = Literal[1, 2]
TRolaPodmiotu3: TypeAlias = Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
TRolaPodmiotuUpowaznionego: TypeAlias = Literal[1, 2, 3]
TWybor1_2: TypeAlias = Literal[1, 2]
TRodzajFaktury: TypeAlias = Literal["VAT", "KOR", "ZAL", "ROZ", "UPR", "KOR_ZAL", "KOR_ROZ"]
TTypKorekty: TypeAlias = Literal[1, 2, 3]
TStawkaPodatku: TypeAlias = Literal[
    "23", "22", "8", "7", "5", "4", "3", "0 KR", "0 WDT", "0 EX", "zw", "oo", "np I", "np II"
]
TGTU: TypeAlias = Literal[
    "GTU_01",
    "GTU_02",
    "GTU_03",
    "GTU_04",
    "GTU_05",
    "GTU_06",
    "GTU_07",
    "GTU_08",
    "GTU_09",
    "GTU_10",
    "GTU_11",
    "GTU_12",
    "GTU_13",
]
TOznaczenieProcedury: TypeAlias = Literal[
    "WSTO_EE", "IED", "TT_D", "I_42", "I_63", "B_SPV", "B_SPV_DOSTAWA", "B_MPV_PROWIZJA"
]
TFormaPlatnosci: TypeAlias = Literal[1, 2, 3, 4, 5, 6, 7]
TRachunekWlasnyBanku: TypeAlias = Literal[1, 2, 3]
TRodzajTransportu: TypeAlias = Literal[1, 2, 3, 4, 5, 7, 8]
TLadunek: TypeAlias = Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
TOznaczenieProceduryZ: TypeAlias = Literal["WSTO_EE", "IED", "TT_D", "B_SPV", "B_SPV_DOSTAWA", "B_MPV_PROWIZJA"]
Typ: TypeAlias = Literal["date", "datetime", "dec", "int", "time", "txt"]

@attrs.define(kw_only=True, eq=False)
class Faktura(Element):
    """An invoice: the outermost element."""

    schema_location: str | None = None
    """``xsi:schemaLocation``, where the document has one."""
    naglowek: TNaglowek
    podmiot1: Podmiot1
    """The seller."""
    podmiot2: Podmiot2
    """The buyer."""
    podmiot3: list[Podmiot3] = ...
    """Third parties."""
    podmiot_upowazniony: PodmiotUpowazniony | None = None
    """The authorized party."""
    fa: Fa
    """The invoice itself."""
    stopka: Stopka | None = None
    """The footer."""
    zalacznik: Zalacznik | None = None
    """The attachment."""

@attrs.define(kw_only=True, eq=False)
class TNaglowek(Element):
    """The header: form, version and the moment of making."""

    kod_formularza: KodFormularza = ...
    """The form's code; it need not be given."""
    wariant_formularza: Literal[3] = ...
    """The form's variant; it need not be given."""
    data_wytworzenia_fa: datetime
    """When the document was made."""
    system_info: str | None = None
    """The name of the program that made it."""

@attrs.define(kw_only=True, eq=False)
class KodFormularza(Element):
    """The form's code; it has only one value, so it need not be given."""

    kod_systemowy: Literal["FA (3)"] = ...
    wersja_schemy: Literal["1-0E"] = ...
    text: Literal["FA"] = ...
    """The element's text."""

@attrs.define(kw_only=True, eq=False)
class Podmiot1(Element):
    """The seller."""

    prefiks_podatnika: Literal["PL"] | None = None
    """The EU prefix of the seller's number, where the law asks for it."""
    nr_eori: str | None = None
    """The EORI number."""
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

    nr_eori: str | None = None
    """The EORI number."""
    dane_identyfikacyjne: TPodmiot2
    """Who it is."""
    adres: TAdres | None = None
    """The address."""
    adres_koresp: TAdres | None = None
    """The address for letters, where it is another."""
    dane_kontaktowe: list[DaneKontaktowe] = ...
    """E-mail and telephone."""
    nr_klienta: str | None = None
    """The customer number that the party uses in contracts or orders."""
    id_nabywcy: str | None = None
    """A key that ties a buyer to its earlier data on a correction."""
    jst: JST
    """1 where the invoice concerns a unit of a local government, which Podmiot3 then names (role 8), else 2."""
    gv: GV
    """1 where the invoice concerns a member of a VAT group, which Podmiot3 then names (role 10), else 2."""

@attrs.define(kw_only=True, eq=False)
class TPodmiot2(Element):
    """The identity of a buyer: NIP, or EU number, or another number, or none."""

    nip: str | None = None
    """The Polish tax number, 10 digits."""
    kod_ue: TKodyKrajowUE | None = None
    """The country prefix of an EU number."""
    nr_vat_ue: str | None = None
    """The EU number without its prefix."""
    kod_kraju: str | None = None
    """The country, two letters (ISO 3166)."""
    nr_id: str | None = None
    """Another tax number."""
    brak_id: Literal[1] | None = None
    """1 where the party has no tax number."""
    nazwa: str | None = None
    """The name."""

@attrs.define(kw_only=True, eq=False)
class Podmiot3(Element):
    """A third party: a factor, a recipient, a further buyer ..."""

    id_nabywcy: str | None = None
    """A key that ties a buyer to its earlier data on a correction."""
    nr_eori: str | None = None
    """The EORI number."""
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
    udzial: Decimal | None = None
    """The share of a further buyer, in per cent."""
    nr_klienta: str | None = None
    """The customer number that the party uses in contracts or orders."""

@attrs.define(kw_only=True, eq=False)
class TPodmiot3(Element):
    """The identity of a third party."""

    nip: str | None = None
    """The Polish tax number, 10 digits."""
    id_wew: str | None = None
    """The internal identifier: a NIP, a hyphen and five digits."""
    kod_ue: TKodyKrajowUE | None = None
    """The country prefix of an EU number."""
    nr_vat_ue: str | None = None
    """The EU number without its prefix."""
    kod_kraju: str | None = None
    """The country, two letters (ISO 3166)."""
    nr_id: str | None = None
    """Another tax number."""
    brak_id: Literal[1] | None = None
    """1 where the party has no tax number."""
    nazwa: str | None = None
    """The name."""

@attrs.define(kw_only=True, eq=False)
class PodmiotUpowazniony(Element):
    """An authorized party: a bailiff, a tax representative ..."""

    nr_eori: str | None = None
    """The EORI number."""
    dane_identyfikacyjne: TPodmiot1
    """Who it is."""
    adres: TAdres
    """The address."""
    adres_koresp: TAdres | None = None
    """The address for letters, where it is another."""
    dane_kontaktowe: list[PodmiotUpowaznionyDaneKontaktowe] = ...
    """E-mail and telephone."""
    rola_pu: TRolaPodmiotuUpowaznionego
    """1 enforcement authority, 2 bailiff, 3 tax representative."""

@attrs.define(kw_only=True, eq=False)
class PodmiotUpowaznionyDaneKontaktowe(Element):
    """The type PodmiotUpowaznionyDaneKontaktowe of the form."""

    email_pu: str | None = None
    telefon_pu: str | None = None

@attrs.define(kw_only=True, eq=False)
class Fa(Element):
    """The invoice itself."""

    kod_waluty: str
    """The currency, three letters (ISO 4217)."""
    p_1: date
    """The day of issue."""
    p_1m: str | None = None
    """The place of issue."""
    p_2: str
    """The invoice's number."""
    wz: list[str] = ...
    """The numbers of warehouse documents."""
    p_6: date | None = None
    """The day of supply or payment, where all rows have the same and it is not the day of issue."""
    okres_fa: OkresFa | None = None
    """The period that the invoice covers."""
    p_13_1: Decimal | None = None
    """The sum of net values: the basic rate (23% or 22%)."""
    p_14_1: Decimal | None = None
    """The sum of tax: the basic rate (23% or 22%)."""
    p_14_1w: Decimal | None = None
    """The tax of P_14_1 in PLN, on an invoice in another currency."""
    p_13_2: Decimal | None = None
    """The sum of net values: the first reduced rate (8% or 7%)."""
    p_14_2: Decimal | None = None
    """The sum of tax: the first reduced rate (8% or 7%)."""
    p_14_2w: Decimal | None = None
    """The tax of P_14_2 in PLN, on an invoice in another currency."""
    p_13_3: Decimal | None = None
    """The sum of net values: the second reduced rate (5%)."""
    p_14_3: Decimal | None = None
    """The sum of tax: the second reduced rate (5%)."""
    p_14_3w: Decimal | None = None
    """The tax of P_14_3 in PLN, on an invoice in another currency."""
    p_13_4: Decimal | None = None
    """The sum of net values: the lump-sum rate of taxis (4% or 3%)."""
    p_14_4: Decimal | None = None
    """The sum of tax: the lump-sum rate of taxis (4% or 3%)."""
    p_14_4w: Decimal | None = None
    """The tax of P_14_4 in PLN, on an invoice in another currency."""
    p_13_5: Decimal | None = None
    """The sum of net values: the special procedure OSS."""
    p_14_5: Decimal | None = None
    """The sum of tax: the special procedure OSS."""
    p_13_6_1: Decimal | None = None
    """The sum of net values: 0%, except for supplies within the EU and exports."""
    p_13_6_2: Decimal | None = None
    """The sum of net values: 0%, supplies of goods within the EU."""
    p_13_6_3: Decimal | None = None
    """The sum of net values: 0%, exports."""
    p_13_7: Decimal | None = None
    """The sum of net values: exempt sales."""
    p_13_8: Decimal | None = None
    """The sum of net values: sales outside of Poland, except for those in P_13_5 and P_13_9."""
    p_13_9: Decimal | None = None
    """The sum of net values: services taxed at the buyer in another EU country (art. 100 section 1 point 4)."""
    p_13_10: Decimal | None = None
    """The sum of net values: domestic reverse charge."""
    p_13_11: Decimal | None = None
    """The sum of net values: the margin scheme."""
    p_15: Decimal
    """The total amount due; of a correction: the difference."""
    kurs_waluty_z: Decimal | None = None
    """The exchange rate of an advance invoice."""
    adnotacje: Adnotacje
    """The annotations that the law asks for."""
    rodzaj_faktury: TRodzajFaktury
    """VAT basic, KOR correction, ZAL advance, ROZ final, UPR simplified, KOR_ZAL and KOR_ROZ corrections of those."""
    przyczyna_korekty: str | None = None
    """The reason for the correction."""
    typ_korekty: TTypKorekty | None = None
    """1 effective as of the original invoice, 2 as of the correction, 3 as of other days."""
    dane_fa_korygowanej: list[DaneFaKorygowanej] = ...
    """The invoices that are corrected."""
    okres_fa_korygowanej: str | None = None
    """The period of a collective correction."""
    nr_fa_korygowany: str | None = None
    """The right number, where a wrong number is corrected."""
    podmiot1k: Podmiot1K | None = None
    """The seller's data before the correction, where they are corrected."""
    podmiot2k: list[Podmiot2K] = ...
    """The buyers' data before the correction, where they are corrected."""
    p_15zk: Decimal | None = None
    """The payment, or what was left to pay, before the correction."""
    kurs_waluty_zk: Decimal | None = None
    """The exchange rate before the correction."""
    zaliczka_czesciowa: list[ZaliczkaCzesciowa] = ...
    """The payments of an advance invoice, where there are several."""
    fp: Literal[1] | None = None
    """1 for an invoice that belongs to a receipt of a cash register (art. 109 section 3d)."""
    tp: Literal[1] | None = None
    """1 where buyer and seller are related."""
    dodatkowy_opis: list[TKluczWartosc] = ...
    """Further facts: keys and values."""
    faktura_zaliczkowa: list[FakturaZaliczkowa] = ...
    """The advance invoices that are settled."""
    zwrot_akcyzy: Literal[1] | None = None
    """1 for farmers who get the excise duty on diesel back."""
    fa_wiersz: list[FaWiersz] = ...
    """The rows."""
    rozliczenie: Rozliczenie | None = None
    """Charges and deductions besides the total."""
    platnosc: Platnosc | None = None
    """The payment."""
    warunki_transakcji: WarunkiTransakcji | None = None
    """The terms of the transaction."""
    zamowienie: Zamowienie | None = None
    """The order that an advance is paid for."""

@attrs.define(kw_only=True, eq=False)
class OkresFa(Element):
    """The period that the invoice covers."""

    p_6_od: date
    """The first day of the period."""
    p_6_do: date
    """The last day of the period."""

@attrs.define(kw_only=True, eq=False)
class Adnotacje(Element):
    """The annotations that the law asks for; every invoice has all of them, mostly as a no."""

    p_16: TWybor1_2
    """1 for cash accounting, else 2."""
    p_17: TWybor1_2
    """1 for self-billing, else 2."""
    p_18: TWybor1_2
    """1 for reverse charge, else 2."""
    p_18a: TWybor1_2
    """1 for mandatory split payment, else 2."""
    zwolnienie: Zwolnienie
    nowe_srodki_transportu: NoweSrodkiTransportu
    p_23: TWybor1_2
    """1 for the simplified triangular procedure, else 2."""
    p_marzy: PMarzy

@attrs.define(kw_only=True, eq=False)
class Zwolnienie(Element):
    """Exempt sales: the legal basis, or that there are none."""

    p_19: Literal[1] | None = None
    """1 where there are exempt sales; one of P_19A, P_19B, P_19C says by what law."""
    p_19a: str | None = None
    """The provision of the Polish act."""
    p_19b: str | None = None
    """The provision of directive 2006/112/EC."""
    p_19c: str | None = None
    """Another legal basis."""
    p_19n: Literal[1] | None = None
    """1 where there are no exempt sales."""

@attrs.define(kw_only=True, eq=False)
class NoweSrodkiTransportu(Element):
    """New means of transport sold within the EU, or that there are none."""

    p_22: Literal[1] | None = None
    """1 where new means of transport are sold within the EU."""
    p_42_5: TWybor1_2 | None = None
    """1 where the duty of art. 42 section 5 applies, else 2."""
    nowy_srodek_transportu: list[NowySrodekTransportu] = ...
    p_22n: Literal[1] | None = None
    """1 where no new means of transport are sold within the EU."""

@attrs.define(kw_only=True, eq=False)
class NowySrodekTransportu(Element):
    """The type NowySrodekTransportu of the form."""

    p_22a: date
    """The day of first use."""
    p_nr_wiersza_nst: int
    """The row that sells it."""
    p_22bmk: str | None = None
    """The make."""
    p_22bmd: str | None = None
    """The model."""
    p_22bk: str | None = None
    """The colour."""
    p_22bnr: str | None = None
    """The registration number."""
    p_22brp: str | None = None
    """The year of manufacture."""
    p_22b: str | None = None
    """Of a land vehicle: the mileage."""
    p_22b1: str | None = None
    """The vehicle identification number (VIN)."""
    p_22b2: str | None = None
    """The number of the body."""
    p_22b3: str | None = None
    """The number of the chassis."""
    p_22b4: str | None = None
    """The number of the frame."""
    p_22bt: str | None = None
    """The type of vehicle."""
    p_22c: str | None = None
    """Of a vessel: the hours of use."""
    p_22c1: str | None = None
    """The number of the hull."""
    p_22d: str | None = None
    """Of an aircraft: the hours of use."""
    p_22d1: str | None = None
    """The factory number."""

@attrs.define(kw_only=True, eq=False)
class PMarzy(Element):
    """The margin scheme: which one, or that there is none."""

    p_p_marzy: Literal[1] | None = None
    """1 for a margin scheme; one of the fields below says which."""
    p_p_marzy_2: Literal[1] | None = None
    """1 for travel agents."""
    p_p_marzy_3_1: Literal[1] | None = None
    """1 for second-hand goods."""
    p_p_marzy_3_2: Literal[1] | None = None
    """1 for works of art."""
    p_p_marzy_3_3: Literal[1] | None = None
    """1 for collectors' items and antiques."""
    p_p_marzy_n: Literal[1] | None = None
    """1 where there is no margin scheme."""

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

    prefiks_podatnika: TKodyKrajowUE | None = None
    """The EU prefix of the seller's number, where the law asks for it."""
    dane_identyfikacyjne: TPodmiot1
    """Who it is."""
    adres: TAdres
    """The address."""

@attrs.define(kw_only=True, eq=False)
class Podmiot2K(Element):
    """A buyer as on the corrected invoice."""

    dane_identyfikacyjne: TPodmiot2
    """Who it is."""
    adres: TAdres | None = None
    """The address."""
    id_nabywcy: str | None = None
    """A key that ties a buyer to its earlier data on a correction."""

@attrs.define(kw_only=True, eq=False)
class ZaliczkaCzesciowa(Element):
    """One of several payments that an advance invoice documents."""

    p_6z: date
    """The day of the payment."""
    p_15z: Decimal
    """The amount of the payment."""
    kurs_waluty_zw: Decimal | None = None
    """The exchange rate of the payment."""

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
class FakturaZaliczkowa(Element):
    """An advance invoice that this one settles."""

    nr_ksef_zn: Literal[1] | None = None
    """1 where it was issued outside of KSeF."""
    nr_fa_zaliczkowej: str | None = None
    """Its number, where it was issued outside of KSeF."""
    nr_ksef_fa_zaliczkowej: str | None = None
    """Its KSeF number."""

@attrs.define(kw_only=True, eq=False)
class FaWiersz(Element):
    """A row of the invoice."""

    nr_wiersza_fa: int
    """The row's number, from 1."""
    uu_id: str | None = None
    """A universal unique identifier of the row."""
    p_6a: date | None = None
    """The day of supply or payment of this row."""
    p_7: str | None = None
    """The name of the goods or service."""
    indeks: str | None = None
    """The seller's own code."""
    gtin: str | None = None
    """The global trade item number."""
    pkwiu: str | None = None
    """The code of the Polish classification of goods and services."""
    cn: str | None = None
    """The code of the Combined Nomenclature."""
    pkob: str | None = None
    """The code of the Polish classification of buildings."""
    p_8a: str | None = None
    """The unit."""
    p_8b: Decimal | None = None
    """The quantity."""
    p_9a: Decimal | None = None
    """The net price of a unit."""
    p_9b: Decimal | None = None
    """The gross price of a unit, where rows are counted gross."""
    p_10: Decimal | None = None
    """The discount that is not in the price."""
    p_11: Decimal | None = None
    """The net value of the row."""
    p_11a: Decimal | None = None
    """The gross value of the row, where rows are counted gross."""
    p_11_vat: Decimal | None = None
    """The tax of the row, where it is shown by row."""
    p_12: TStawkaPodatku | None = None
    """The VAT rate."""
    p_12_xii: Decimal | None = None
    """The VAT rate of another EU country (OSS), in per cent."""
    p_12_zal_15: Literal[1] | None = None
    """1 for goods and services of annex 15 (split payment)."""
    kwota_akcyzy: Decimal | None = None
    """The excise duty in the price."""
    gtu: TGTU | None = None
    """The GTU group."""
    procedura: TOznaczenieProcedury | None = None
    """The procedure."""
    kurs_waluty: Decimal | None = None
    """The exchange rate of this row."""
    stan_przed: Literal[1] | None = None
    """1 where the row shows the state before a correction."""

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

    zaplacono: Literal[1] | None = None
    """1 where it is paid already, on DataZaplaty."""
    data_zaplaty: date | None = None
    """The day it was paid."""
    znacznik_zaplaty_czesciowej: TWybor1_2 | None = None
    """1 paid in part, 2 paid in full by several payments."""
    zaplata_czesciowa: list[ZaplataCzesciowa] = ...
    """The payments made."""
    termin_platnosci: list[TerminPlatnosci] = ...
    """When payment is due."""
    forma_platnosci: TFormaPlatnosci | None = None
    """1 cash, 2 card, 3 voucher, 4 cheque, 5 credit, 6 bank transfer, 7 mobile."""
    platnosc_inna: Literal[1] | None = None
    """1 for another form of payment, which OpisPlatnosci names."""
    opis_platnosci: str | None = None
    """The other form of payment."""
    rachunek_bankowy: list[TRachunekBankowy] = ...
    """The accounts to pay to."""
    rachunek_bankowy_faktora: list[TRachunekBankowy] = ...
    """The factor's accounts."""
    skonto: Skonto | None = None
    """A discount for early payment."""
    link_do_platnosci: str | None = None
    """A link to pay by, with its IPKSeF."""
    ip_ksef: str | None = None
    """The identifier of the payment in KSeF."""

@attrs.define(kw_only=True, eq=False)
class ZaplataCzesciowa(Element):
    """The type ZaplataCzesciowa of the form."""

    kwota_zaplaty_czesciowej: Decimal
    """The amount of this payment."""
    data_zaplaty_czesciowej: date
    """The day of this payment."""
    forma_platnosci: TFormaPlatnosci | None = None
    """1 cash, 2 card, 3 voucher, 4 cheque, 5 credit, 6 bank transfer, 7 mobile."""
    platnosc_inna: Literal[1] | None = None
    """1 for another form of payment, which OpisPlatnosci names."""
    opis_platnosci: str | None = None
    """The other form of payment."""

@attrs.define(kw_only=True, eq=False)
class TerminPlatnosci(Element):
    """The type TerminPlatnosci of the form."""

    termin: date | None = None
    """The day payment is due."""
    termin_opis: TerminOpis | None = None
    """When payment is due, counted from an event."""

@attrs.define(kw_only=True, eq=False)
class TerminOpis(Element):
    """The type TerminOpis of the form."""

    ilosc: int
    """How many units of time."""
    jednostka: str
    """The unit of time."""
    zdarzenie_poczatkowe: str
    """The event it is counted from."""

@attrs.define(kw_only=True, eq=False)
class TRachunekBankowy(Element):
    """A bank account."""

    nr_rb: str
    """The account's number in full."""
    swift: str | None = None
    """The bank's SWIFT code."""
    rachunek_wlasny_banku: TRachunekWlasnyBanku | None = None
    """The kind of a bank's own account, 1 to 3."""
    nazwa_banku: str | None = None
    """The bank's name."""
    opis_rachunku: str | None = None
    """A description of the account."""

@attrs.define(kw_only=True, eq=False)
class Skonto(Element):
    """The type Skonto of the form."""

    warunki_skonta: str
    """Its conditions."""
    wysokosc_skonta: str
    """Its amount."""

@attrs.define(kw_only=True, eq=False)
class WarunkiTransakcji(Element):
    """The terms of the transaction."""

    umowy: list[Umowy] = ...
    """Contracts."""
    zamowienia: list[Zamowienia] = ...
    """Orders."""
    nr_partii_towaru: list[str] = ...
    """The numbers of batches."""
    warunki_dostawy: str | None = None
    """The terms of delivery (Incoterms)."""
    kurs_umowny: Decimal | None = None
    """An agreed exchange rate."""
    waluta_umowna: str | None = None
    """The currency of the agreed rate."""
    transport: list[Transport] = ...
    """Transports of the goods."""
    podmiot_posredniczacy: Literal[1] | None = None
    """1 for a supply by an intermediary (art. 22 section 2d)."""

@attrs.define(kw_only=True, eq=False)
class Umowy(Element):
    """The type Umowy of the form."""

    data_umowy: date | None = None
    """The day of the contract."""
    nr_umowy: str | None = None
    """The contract's number."""

@attrs.define(kw_only=True, eq=False)
class Zamowienia(Element):
    """The type Zamowienia of the form."""

    data_zamowienia: date | None = None
    """The day of the order."""
    nr_zamowienia: str | None = None
    """The order's number."""

@attrs.define(kw_only=True, eq=False)
class Transport(Element):
    """The type Transport of the form."""

    rodzaj_transportu: TRodzajTransportu | None = None
    """1 sea, 2 rail, 3 road, 4 air, 5 post, 7 fixed installations, 8 inland waterway."""
    transport_inny: Literal[1] | None = None
    """1 for another kind of transport, which OpisInnegoTransportu names."""
    opis_innego_transportu: str | None = None
    """The other kind of transport."""
    przewoznik: Przewoznik | None = None
    """The carrier."""
    nr_zlecenia_transportu: str | None = None
    """The number of the transport order."""
    opis_ladunku: TLadunek | None = None
    """The kind of load, 1 to 20."""
    ladunek_inny: Literal[1] | None = None
    """1 for another load, which OpisInnegoLadunku names."""
    opis_innego_ladunku: str | None = None
    """The other load."""
    jednostka_opakowania: str | None = None
    """The unit of packing."""
    data_godz_rozp_transportu: datetime | None = None
    """When the transport begins."""
    data_godz_zak_transportu: datetime | None = None
    """When the transport ends."""
    wysylka_z: TAdres | None = None
    """Where it starts."""
    wysylka_przez: list[TAdres] = ...
    """Where it passes."""
    wysylka_do: TAdres | None = None
    """Where it goes."""

@attrs.define(kw_only=True, eq=False)
class Przewoznik(Element):
    """The type Przewoznik of the form."""

    dane_identyfikacyjne: TPodmiot2
    """Who it is."""
    adres_przewoznika: TAdres
    """The carrier's address."""

@attrs.define(kw_only=True, eq=False)
class Zamowienie(Element):
    """The order that an advance is paid for."""

    wartosc_zamowienia: Decimal
    """The order's value with tax."""
    zamowienie_wiersz: list[ZamowienieWiersz]
    """The order's rows."""

@attrs.define(kw_only=True, eq=False)
class ZamowienieWiersz(Element):
    """A row of the order."""

    nr_wiersza_zam: int
    """The row's number, from 1."""
    uu_idz: str | None = None
    """A universal unique identifier of the row."""
    p_7z: str | None = None
    """The name of the goods or service."""
    indeks_z: str | None = None
    """The seller's own code."""
    gtinz: str | None = None
    """The global trade item number."""
    pkwiuz: str | None = None
    """The code of the Polish classification of goods and services."""
    cnz: str | None = None
    """The code of the Combined Nomenclature."""
    pkobz: str | None = None
    """The code of the Polish classification of buildings."""
    p_8az: str | None = None
    """The unit."""
    p_8bz: Decimal | None = None
    """The quantity."""
    p_9az: Decimal | None = None
    """The net price of a unit."""
    p_11_netto_z: Decimal | None = None
    """The net value of the row."""
    p_11_vat_z: Decimal | None = None
    """The tax of the row."""
    p_12z: TStawkaPodatku | None = None
    """The VAT rate."""
    p_12z_xii: Decimal | None = None
    """The VAT rate of another EU country (OSS), in per cent."""
    p_12z_zal_15: Literal[1] | None = None
    """1 for goods and services of annex 15 (split payment)."""
    gtuz: TGTU | None = None
    """The GTU group."""
    procedura_z: TOznaczenieProceduryZ | None = None
    """The procedure."""
    kwota_akcyzy_z: Decimal | None = None
    """The excise duty in the price."""
    stan_przed_z: Literal[1] | None = None
    """1 where the row shows the state before a correction."""

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

@attrs.define(kw_only=True, eq=False)
class Zalacznik(Element):
    """The attachment, in blocks of text and tables."""

    blok_danych: list[BlokDanych]
    """The blocks of the attachment."""

@attrs.define(kw_only=True, eq=False)
class BlokDanych(Element):
    """The type BlokDanych of the form."""

    z_naglowek: str | None = None
    """The heading."""
    meta_dane: list[MetaDane]
    """Keys and values of the block."""
    tekst: Tekst | None = None
    """The text of the block."""
    tabela: list[Tabela] = ...
    """The tables of the block."""

@attrs.define(kw_only=True, eq=False)
class MetaDane(Element):
    """The type MetaDane of the form."""

    z_klucz: str
    """The key."""
    z_wartosc: str
    """The value."""

@attrs.define(kw_only=True, eq=False)
class Tekst(Element):
    """The type Tekst of the form."""

    akapit: list[str]
    """The paragraphs."""

@attrs.define(kw_only=True, eq=False)
class Tabela(Element):
    """The type Tabela of the form."""

    t_meta_dane: list[TMetaDane] = ...
    """Keys and values of the table."""
    opis: str | None = None
    """A description."""
    t_naglowek: TabelaTNaglowek
    """The heading of the table."""
    wiersz: list[Wiersz]
    """The rows of the table."""
    suma: Suma | None = None
    """The row of sums."""

@attrs.define(kw_only=True, eq=False)
class TMetaDane(Element):
    """The type TMetaDane of the form."""

    t_klucz: str
    """The key."""
    t_wartosc: str
    """The value."""

@attrs.define(kw_only=True, eq=False)
class Kol(Element):
    """The type Kol of the form."""

    typ: Typ
    """The type of the column's values."""
    n_kom: str
    """The column's heading."""

@attrs.define(kw_only=True, eq=False)
class TabelaTNaglowek(Element):
    """The type TabelaTNaglowek of the form."""

    kol: list[Kol]
    """The columns."""

@attrs.define(kw_only=True, eq=False)
class Wiersz(Element):
    """The type Wiersz of the form."""

    w_kom: list[str]
    """The cells."""

@attrs.define(kw_only=True, eq=False)
class Suma(Element):
    """The type Suma of the form."""

    s_kom: list[str]
    """The cells."""

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
