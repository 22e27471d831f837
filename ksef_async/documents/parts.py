"""The parts of an invoice that is built: parties, rows, annotations, payment, attachment. See `building`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from itertools import zip_longest
from typing import Final, Literal, TypeAlias, TypeVar, get_args

import attrs

from . import fa3

__all__ = [
    "EXACT",
    "Number",
    "attachment",
    "attachment_block",
    "buyer",
    "changes",
    "chosen",
    "exact_number",
    "legal_notes",
    "payment",
    "rounded",
    "row",
    "seller",
    "third_party",
]

Number: TypeAlias = Decimal | int
"""What amounts, prices and quantities are; a float is refused."""
# Whatever the caller's context is: the largest quantity times the largest price has to be exact.
EXACT: Final = Context(prec=120, rounding=ROUND_HALF_UP)

T = TypeVar("T")

_RATES: Final[Mapping[str, fa3.TStawkaPodatku]] = {rate: rate for rate in get_args(fa3.TStawkaPodatku)}
_GROSZ: Final = Decimal("0.01")
_ZERO: Final = Decimal()
_FORMS: Final = {"cash": 1, "card": 2, "voucher": 3, "cheque": 4, "credit": 5, "transfer": 6, "mobile": 7}
_ROLES: Final = {
    "factor": 1, "recipient": 2, "original": 3, "further_buyer": 4, "issuer": 5, "payer": 6,
    "local_government_issuer": 7, "local_government_recipient": 8, "vat_group_issuer": 9, "vat_group_recipient": 10,
    "employee": 11,
}  # fmt: skip
_MARGINS: Final = {
    "travel": "p_p_marzy_2", "used_goods": "p_p_marzy_3_1", "art": "p_p_marzy_3_2", "antiques": "p_p_marzy_3_3",
}  # fmt: skip


def seller(
    nip: str, name: str, address: str, *, country: str = "PL", email: str | None = None, phone: str | None = None
) -> fa3.Podmiot1:
    """Return the seller.

    Args:
        nip: Ten digits.
        name: The full name.
        address: One line, or two with a line break between.
        country: Two letters.
        email: Shown on the invoice.
        phone: Shown on the invoice.
    """
    return fa3.Podmiot1(
        dane_identyfikacyjne=fa3.TPodmiot1(nip=nip, nazwa=name),
        adres=_address(address, country),
        dane_kontaktowe=_contact(email, phone),
    )


def buyer(
    name: str | None = None,
    address: str | None = None,
    *,
    nip: str | None = None,
    eu_vat: tuple[str, str] | None = None,
    tax_id: tuple[str | None, str] | None = None,
    country: str = "PL",
    email: str | None = None,
    phone: str | None = None,
    customer_number: str | None = None,
    is_local_government_unit: bool = False,
    is_vat_group_member: bool = False,
) -> fa3.Podmiot2:
    """Return the buyer; without a number of any kind it is a consumer.

    Args:
        name: The full name.
        address: One line, or two with a line break between.
        nip: Ten digits.
        eu_vat: Prefix and number of a buyer in the EU: ``("DE", "123456789")``.
        tax_id: Country and number of a buyer elsewhere: ``("US", "12-3456789")``.
        country: Two letters, of the address.
        email: Shown on the invoice.
        phone: Shown on the invoice.
        customer_number: The buyer's number with the seller.
        is_local_government_unit: Whether it is for a unit of a local government, which a third party then names.
        is_vat_group_member: Whether it is for a member of a VAT group, which a third party then names.

    Raises:
        ValueError: More than one number is given.
    """
    who = fa3.TPodmiot2(nazwa=name)
    _identify(who, nip, eu_vat, tax_id)
    return fa3.Podmiot2(
        dane_identyfikacyjne=who,
        adres=None if address is None else _address(address, country),
        dane_kontaktowe=_contact(email, phone),
        nr_klienta=customer_number,
        jst=_choice(is_local_government_unit),
        gv=_choice(is_vat_group_member),
    )


def third_party(
    role: Literal[
        "factor",
        "recipient",
        "original",
        "further_buyer",
        "issuer",
        "payer",
        "local_government_issuer",
        "local_government_recipient",
        "vat_group_issuer",
        "vat_group_recipient",
        "employee",
    ]
    | str,
    name: str,
    address: str | None = None,
    *,
    nip: str | None = None,
    internal_id: str | None = None,
    eu_vat: tuple[str, str] | None = None,
    tax_id: tuple[str | None, str] | None = None,
    country: str = "PL",
    share: Number | None = None,
) -> fa3.Podmiot3:
    """Return a third party.

    Args:
        role: One of those listed, or any other text, which the invoice then shows.
        name: The full name.
        address: One line, or two with a line break between.
        nip: Ten digits.
        internal_id: Of a unit within a company: NIP, hyphen, five digits.
        eu_vat: Prefix and number within the EU.
        tax_id: Country and number elsewhere.
        country: Two letters, of the address.
        share: Of a further buyer, in per cent.

    Raises:
        ValueError: More than one number is given.
        TypeError: The share is no Decimal.
    """
    known = _ROLES.get(role)
    who = fa3.TPodmiot3(nazwa=name)
    _identify(who, nip, eu_vat, tax_id, internal_id)
    return fa3.Podmiot3(
        dane_identyfikacyjne=who,
        adres=None if address is None else _address(address, country),
        rola=known,  # type: ignore[arg-type]  # the values of the table above
        rola_inna=1 if known is None else None,
        opis_roli=role if known is None else None,
        udzial=None if share is None else exact_number(share, "share"),
    )


def row(
    name: str,
    quantity: Number,
    price: Number,
    *,
    rate: fa3.TStawkaPodatku | int | None = "23",
    unit: str | None = "szt.",
    gross: bool = False,
    discount: Number | None = None,
    oss_rate: Number | None = None,
    annex_15: bool = False,
    sold_on: date | None = None,
    gtu: fa3.TGTU | None = None,
    code: str | None = None,
) -> fa3.FaWiersz:
    """Return a row; of a correction by difference, quantity or price are negative. `invoice` numbers it.

    Args:
        name: The goods or the service.
        quantity: How many units: an int or a Decimal, as all numbers; a float is refused.
        price: Of a unit: net, or with tax where ``gross``.
        rate: The VAT rate: ``"23"`` (or 23), ``"8"``, ``"5"``, ``"0 KR"``, ``"zw"``, ``"np I"``, ...; None in the
            margin scheme, where the price is the one with tax.
        unit: Such as ``szt.``, ``kg`` or ``godz.``.
        gross: Whether price and discount are with tax.
        discount: Of the whole row, not in the price.
        oss_rate: The rate of another EU country in per cent, in place of ``rate``.
        annex_15: Whether it is of annex 15, for which split payment may be mandatory.
        sold_on: The day of supply, where rows differ.
        gtu: The GTU group, such as ``"GTU_01"``.
        code: The seller's own code.

    Raises:
        TypeError: A number is a float, or none at all.
        ValueError: FA(3) has no such rate.
    """
    many, each = exact_number(quantity, "quantity"), exact_number(price, "price")
    off = None if discount is None else exact_number(discount, "discount")
    known_rate = None if rate is None else _rate(rate)
    is_gross = gross or (rate is None and oss_rate is None)
    with localcontext(EXACT):
        value = rounded(many * each - (off or _ZERO))
    return fa3.FaWiersz(
        nr_wiersza_fa=1,
        p_6a=sold_on,
        p_7=name,
        indeks=code,
        p_8a=unit,
        p_8b=many,
        p_9a=None if is_gross else each,
        p_9b=each if is_gross else None,
        p_10=off,
        p_11=None if is_gross else value,
        p_11a=value if is_gross else None,
        p_12=known_rate if oss_rate is None else None,
        p_12_xii=None if oss_rate is None else exact_number(oss_rate, "oss_rate"),
        p_12_zal_15=1 if annex_15 else None,
        gtu=gtu,
    )


def changes(before: Sequence[fa3.FaWiersz], after: Sequence[fa3.FaWiersz]) -> list[fa3.FaWiersz]:
    """Return the rows of a correction by state: of each row how it was and how it is, with the same number.

    Args:
        before: The rows that change, as they were; they are copied.
        after: The same rows as they should be, in the same order; a row too many stands alone.
    """
    rows = []
    for number, (old, new) in enumerate(zip_longest(before, after), 1):
        if old is not None:
            rows.append(attrs.evolve(old, nr_wiersza_fa=number, stan_przed=1))
        if new is not None:
            rows.append(attrs.evolve(new, nr_wiersza_fa=number, stan_przed=None))
    return rows


def legal_notes(
    *,
    cash_accounting: bool = False,
    self_billing: bool = False,
    reverse_charge: bool = False,
    split_payment: bool = False,
    triangular: bool = False,
    exempt_act: str | None = None,
    exempt_directive: str | None = None,
    exempt_other: str | None = None,
    margin: Literal["travel", "used_goods", "art", "antiques"] | None = None,
) -> fa3.Adnotacje:
    """Return the annotations that every invoice has, as a no where nothing else is said.

    Args:
        cash_accounting: P_16.
        self_billing: P_17: the buyer issues the invoice.
        reverse_charge: P_18; `invoice` says it by itself where a row has the rate ``oo`` or ``np II``.
        split_payment: P_18A: mandatory for goods of annex 15 on an invoice above 15,000 PLN.
        triangular: P_23: the second in a simplified triangular transaction.
        exempt_act: The provision of the Polish act that exempts: ``art. 43 ust. 1 pkt 37``.
        exempt_directive: Or that of directive 2006/112/EC.
        exempt_other: Or another legal basis.
        margin: The margin scheme that applies.

    Raises:
        ValueError: There is more than one legal basis, or no such margin scheme.
    """
    bases = [basis for basis in (exempt_act, exempt_directive, exempt_other) if basis is not None]
    if len(bases) > 1:
        raise ValueError("An invoice names one legal basis of its exemption: act, directive or other.")
    exempt = fa3.Zwolnienie(p_19=1, p_19a=exempt_act, p_19b=exempt_directive, p_19c=exempt_other)
    scheme = fa3.PMarzy(p_p_marzy_n=1)
    if margin is not None:
        scheme = fa3.PMarzy(p_p_marzy=1)
        setattr(scheme, chosen(_MARGINS, margin, "margin scheme"), 1)
    return fa3.Adnotacje(
        p_16=_choice(cash_accounting),
        p_17=_choice(self_billing),
        p_18=_choice(reverse_charge),
        p_18a=_choice(split_payment),
        zwolnienie=exempt if bases else fa3.Zwolnienie(p_19n=1),
        nowe_srodki_transportu=fa3.NoweSrodkiTransportu(p_22n=1),
        p_23=_choice(triangular),
        p_marzy=scheme,
    )


def payment(
    *,
    due: date | None = None,
    paid_on: date | None = None,
    form: Literal["cash", "card", "voucher", "cheque", "credit", "transfer", "mobile"] | str | None = None,
    account: str | None = None,
    bank: str | None = None,
) -> fa3.Platnosc:
    """Return how and when it is paid.

    Args:
        due: The last day.
        paid_on: The day it was paid, where it is.
        form: One of those listed, or any other text.
        account: The number to pay to.
        bank: The account's bank.
    """
    known = None if form is None else _FORMS.get(form)
    return fa3.Platnosc(
        zaplacono=None if paid_on is None else 1,
        data_zaplaty=paid_on,
        termin_platnosci=[] if due is None else [fa3.TerminPlatnosci(termin=due)],
        forma_platnosci=known,  # type: ignore[arg-type]  # the values of the table above
        platnosc_inna=1 if form is not None and known is None else None,
        opis_platnosci=form if known is None else None,
        rachunek_bankowy=[] if account is None else [fa3.TRachunekBankowy(nr_rb=account, nazwa_banku=bank)],
    )


def attachment_block(
    facts: Mapping[str, str],
    *,
    heading: str | None = None,
    paragraphs: Sequence[str] = (),
    columns: Sequence[str] = (),
    rows: Iterable[Sequence[str]] = (),
) -> fa3.BlokDanych:
    """Return a block of an attachment: facts, text and a table.

    Args:
        facts: Keys and values, at least one.
        heading: Above the block.
        paragraphs: The text.
        columns: The headings of the table's columns, which are texts; none for no table.
        rows: The cells of each row, as many as columns.
    """
    table = fa3.Tabela(
        t_naglowek=fa3.TabelaTNaglowek(
            kol=[fa3.Kol(typ="txt", n_kom=column) for column in columns],
        ),
        wiersz=[fa3.Wiersz(w_kom=list(cells)) for cells in rows],
    )
    return fa3.BlokDanych(
        z_naglowek=heading,
        meta_dane=[fa3.MetaDane(z_klucz=key, z_wartosc=value) for key, value in facts.items()],
        tekst=fa3.Tekst(akapit=list(paragraphs)) if paragraphs else None,
        tabela=[table] if columns else [],
    )


def attachment(*blocks: fa3.BlokDanych) -> fa3.Zalacznik:
    """Return an attachment; KSeF takes it in batches only, from who has announced it."""
    return fa3.Zalacznik(blok_danych=list(blocks))


def rounded(value: Decimal) -> Decimal:
    """Return an amount, rounded half up to 0.01."""
    # Plus zero, for a sum is never -0.00.
    return value.quantize(_GROSZ, ROUND_HALF_UP, EXACT) + _ZERO


def exact_number(value: Number, name: str) -> Decimal:
    """Return a number as Decimal.

    Args:
        value: A Decimal or an int.
        name: What the sentence calls it.

    Raises:
        TypeError: It is a float, or no number.
    """
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, float):
        raise TypeError(f"{name} is the float {value!r}, which is not exact: write Decimal('{value!r}').")
    raise TypeError(f"{name} is a Decimal or an int, not {value!r}.")


def chosen(values: Mapping[str, T], name: object, what: str) -> T:
    """Return the value of a name in a table.

    Args:
        values: The table.
        name: One of its names.
        what: What a name stands for, in the sentence.

    Raises:
        ValueError: The table does not have it.
    """
    if isinstance(name, str) and name in values:
        return values[name]
    raise ValueError(f"There is no {what} {name!r}; known are {', '.join(map(repr, values))}.")


def _rate(rate: fa3.TStawkaPodatku | int) -> fa3.TStawkaPodatku:
    written = str(rate) if isinstance(rate, int) and not isinstance(rate, bool) else rate
    return chosen(_RATES, written, "rate")


def _choice(yes: bool) -> Literal[1, 2]:
    return 1 if yes else 2


def _address(address: str, country: str) -> fa3.TAdres:
    first, _, second = address.partition("\n")
    return fa3.TAdres(kod_kraju=country, adres_l1=first, adres_l2=second or None)


def _contact(email: str | None, phone: str | None) -> list[fa3.DaneKontaktowe]:
    return [fa3.DaneKontaktowe(email=email, telefon=phone)] if email or phone else []


def _identify(
    who: fa3.TPodmiot2 | fa3.TPodmiot3,
    nip: str | None,
    eu_vat: tuple[str, str] | None,
    tax_id: tuple[str | None, str] | None,
    internal_id: str | None = None,
) -> None:
    if sum(one is not None for one in (nip, eu_vat, tax_id, internal_id)) > 1:
        raise ValueError("A party has one number: NIP, EU VAT number, or another.")
    who.nip = nip
    if isinstance(who, fa3.TPodmiot3):
        who.id_wew = internal_id
    if eu_vat is not None:
        who.kod_ue, who.nr_vat_ue = eu_vat  # type: ignore[assignment]  # `check` knows the prefixes
    if tax_id is not None:
        who.kod_kraju, who.nr_id = tax_id
    if (nip, eu_vat, tax_id, internal_id) == (None, None, None, None):
        who.brak_id = 1
