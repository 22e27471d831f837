"""FA(3) invoices from parties, rows and dates, with the sums that the Ministry's groups of rates ask for.

Every function returns the models of `ksef_async.documents.fa3`, which may be changed by hand; `count` adds up anew. A
sum is rounded half up to 0.01, and the tax is that of the sum, not the sum of the rows' (art. 106e section 1).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from typing import Final, Literal, TypeAlias

from . import fa3
from .parts import (
    EXACT,
    Number,
    attachment,
    attachment_block,
    buyer,
    changes,
    chosen,
    exact_number,
    legal_notes,
    payment,
    rounded,
    row,
    seller,
    third_party,
)
from .sums import GROUPS, PERCENT

__all__ = [
    "attachment",
    "attachment_block",
    "buyer",
    "changes",
    "corrected_invoice",
    "count",
    "invoice",
    "legal_notes",
    "make_advance",
    "make_correction",
    "make_final",
    "payment",
    "row",
    "seller",
    "third_party",
]

_ZERO: Final = Decimal()
#: The groups of sums, as P_13_... names them; OSS has no rates in Poland, the margin scheme has no tax that is shown.
_GROUPS: Final = ("1", "2", "3", "4", "5", "6_1", "6_2", "6_3", "7", "8", "9", "10", "11")
_TAXED: Final = ("1", "2", "3", "4", "5")
_IN_PLN: Final = ("1", "2", "3", "4")


def invoice(
    *,
    seller: fa3.Podmiot1,
    buyer: fa3.Podmiot2,
    rows: Sequence[fa3.FaWiersz],
    number: str,
    issued_on: date,
    sold_on: date | None = None,
    period: tuple[date, date] | None = None,
    place: str | None = None,
    currency: str = "PLN",
    exchange_rate: Number | None = None,
    payment: fa3.Platnosc | None = None,
    notes: fa3.Adnotacje | None = None,
    third_parties: Sequence[fa3.Podmiot3] = (),
    attachment: fa3.Zalacznik | None = None,
    made_at: datetime | None = None,
    system: str | None = "ksef_async",
) -> fa3.Faktura:
    """Return an invoice with its sums; write it with `ksef_async.documents.fa3.write`.

    Args:
        seller: From `seller`.
        buyer: From `buyer`.
        rows: From `row`, or from `changes`; those of `row` are numbered from 1.
        number: The seller's number (P_2).
        issued_on: The day of issue, not in the future.
        sold_on: The day of supply, where it is another.
        period: The first and last day, in place of ``sold_on``.
        place: Of issue.
        currency: Three letters.
        exchange_rate: PLN for one unit of the currency, by which the tax is given in PLN.
        payment: From `payment`.
        notes: From `legal_notes`; no to everything by default.
        third_parties: From `third_party`.
        attachment: From `attachment`.
        made_at: When the document is made, with a time zone; now by default.
        system: The name of the program that makes it.

    Raises:
        ValueError: A row's rate is none of FA(3)'s; a currency has no exchange rate, though there is tax; exempt rows
            have no legal basis; rows of the margin scheme no scheme; or ``sold_on`` and ``period`` are both given.
        TypeError: The exchange rate is a float.
    """
    if sold_on is not None and period is not None:
        raise ValueError("An invoice has one day of supply, or a period: not both.")
    if currency == "PLN" and exchange_rate is not None:
        raise ValueError("An invoice in PLN has no exchange rate.")
    said = legal_notes() if notes is None else notes
    if any(one.p_12 in {"oo", "np II"} for one in rows):
        said.p_18 = 1
    if not any(one.stan_przed for one in rows):
        for position, one in enumerate(rows, 1):
            one.nr_wiersza_fa = position
    if exchange_rate is not None:
        for one in rows:
            one.kurs_waluty = exact_number(exchange_rate, "exchange_rate")
    made = datetime.now(UTC).replace(microsecond=0) if made_at is None else made_at
    built = fa3.Faktura(
        naglowek=fa3.TNaglowek(data_wytworzenia_fa=made, system_info=system),
        podmiot1=seller,
        podmiot2=buyer,
        podmiot3=list(third_parties),
        fa=fa3.Fa(
            kod_waluty=currency,
            p_1=issued_on,
            p_1m=place,
            p_2=number,
            p_6=sold_on,
            okres_fa=None if period is None else fa3.OkresFa(p_6_od=period[0], p_6_do=period[1]),
            p_15=_ZERO,
            adnotacje=said,
            rodzaj_faktury="VAT",
            fa_wiersz=list(rows),
            platnosc=payment,
        ),
        zalacznik=attachment,
    )
    return count(built)


def count(invoice: fa3.Faktura) -> fa3.Faktura:
    """Add up the rows again, after they have been changed, and return the invoice.

    Rows of the state before a correction are taken away. Advances that were settled have to be settled again.

    Args:
        invoice: With rows; its P_13_x, P_14_x, P_14_xW and P_15 are written anew.

    Raises:
        ValueError: A row has a rate that FA(3) does not have, or neither a net nor a gross value; or a currency, an
            exempt row or a margin scheme is wrong as described at `invoice`.
    """
    notes = invoice.fa.adnotacje
    for one in invoice.fa.fa_wiersz:
        if one.p_12 == "zw" and notes.zwolnienie.p_19 is None:
            raise ValueError("Exempt rows need their legal basis: legal_notes(exempt_act='art. 43 ust. 1 pkt ...').")
        if one.p_12 is None and one.p_12_xii is None and notes.p_marzy.p_p_marzy is None:
            raise ValueError("Rows without a rate are those of a margin scheme: legal_notes(margin=...).")
    _set_sums(invoice.fa, _sums_of(invoice.fa.fa_wiersz))
    return invoice


def corrected_invoice(number: str, issued_on: date, ksef_number: str | None = None) -> fa3.DaneFaKorygowanej:
    """Return the reference to an invoice that is corrected.

    Args:
        number: Its own number (P_2).
        issued_on: Its day of issue.
        ksef_number: None where it was issued outside of KSeF.
    """
    return fa3.DaneFaKorygowanej(
        data_wyst_fa_korygowanej=issued_on,
        nr_fa_korygowanej=number,
        nr_ksef=None if ksef_number is None else 1,
        nr_ksef_fa_korygowanej=ksef_number,
        nr_ksef_n=1 if ksef_number is None else None,
    )


def make_correction(
    invoice: fa3.Faktura,
    corrected: Sequence[fa3.DaneFaKorygowanej],
    *,
    reason: str | None = None,
    effect: Literal["original", "correction", "other"] | None = None,
) -> fa3.Faktura:
    """Make an invoice a correction, and return it.

    Its rows are the differences (negative quantities or prices), or the states before and after, see `changes`.

    Args:
        invoice: From `invoice`, `make_advance` or `make_final`; it is changed.
        corrected: From `corrected_invoice`, at least one.
        reason: Why.
        effect: As of which day it counts: that of the original invoice, of the correction, or another.

    Raises:
        ValueError: ``effect`` is none of these.
    """
    effects: dict[str, Literal[1, 2, 3]] = {"original": 1, "correction": 2, "other": 3}
    kinds: dict[str, fa3.TRodzajFaktury] = {"ZAL": "KOR_ZAL", "ROZ": "KOR_ROZ"}
    invoice.fa.rodzaj_faktury = kinds.get(invoice.fa.rodzaj_faktury, "KOR")
    invoice.fa.przyczyna_korekty = reason
    invoice.fa.typ_korekty = None if effect is None else chosen(effects, effect, "effect of a correction")
    invoice.fa.dane_fa_korygowanej = list(corrected)
    return invoice


def make_advance(invoice: fa3.Faktura, paid: Number) -> fa3.Faktura:
    """Make an invoice one of an advance payment, and return it: its rows become the order that is paid for.

    The payment is shared among the rates as the order's value is, and has the tax in it (art. 106f).

    Args:
        invoice: Of the whole order, from `invoice`; it is changed.
        paid: What was paid, with tax.

    Raises:
        ValueError: The order's value is zero, or it has rows of OSS or of a margin scheme.
        TypeError: The payment is a float.
    """
    fa = invoice.fa
    amount = exact_number(paid, "paid")
    order = _sums_of(fa.fa_wiersz)
    with localcontext(EXACT):
        gross = {key: net + tax for key, (net, tax) in order.items()}
        total = sum(gross.values(), _ZERO)
        if not total:
            raise ValueError("An order without a value cannot be paid for.")
        shares, left = {}, rounded(amount)
        for place, (key, value) in enumerate(gross.items(), 1):
            # The last one has what rounding left.
            share = left if place == len(gross) else rounded(amount * value / total)
            left -= share
            tax = rounded(share * key[1] / (100 + key[1]))
            shares[key] = (share - tax, tax)
    fa.zamowienie = fa3.Zamowienie(
        wartosc_zamowienia=total, zamowienie_wiersz=[_order_row(one) for one in fa.fa_wiersz]
    )
    fa.rodzaj_faktury = "ZAL"
    rate = _exchange_rate(fa)
    fa.fa_wiersz = []
    fa.kurs_waluty_z = rate
    _set_sums(fa, shares)
    return invoice


def make_final(invoice: fa3.Faktura, advances: Sequence[tuple[fa3.Faktura, str | None]]) -> fa3.Faktura:
    """Make an invoice the final one after advances, and return it: its sums become what the advances have left.

    Args:
        invoice: Of the whole, from `invoice`; it is changed.
        advances: Each advance invoice with its KSeF number; None where it was issued outside of KSeF.

    Raises:
        ValueError: An advance is in another currency.
    """
    fa = invoice.fa
    for advance, _ in advances:
        if advance.fa.kod_waluty != fa.kod_waluty:
            raise ValueError(f"The advance {advance.fa.p_2} is in {advance.fa.kod_waluty}, not in {fa.kod_waluty}.")
    with localcontext(EXACT):
        for advance, ksef_number in advances:
            for name in _sum_fields():
                taken: Decimal | None = getattr(advance.fa, name)
                if taken is not None:
                    setattr(fa, name, rounded((getattr(fa, name) or _ZERO) - taken))
            fa.p_15 = rounded(fa.p_15 - advance.fa.p_15)
            fa.faktura_zaliczkowa.append(
                fa3.FakturaZaliczkowa(
                    nr_ksef_zn=1 if ksef_number is None else None,
                    nr_fa_zaliczkowej=advance.fa.p_2 if ksef_number is None else None,
                    nr_ksef_fa_zaliczkowej=ksef_number,
                )
            )
    fa.rodzaj_faktury = "ROZ"
    return invoice


#: The end of P_13_..., and per cent of tax.
_Key: TypeAlias = tuple[str, Decimal]


def _sums_of(rows: Iterable[fa3.FaWiersz]) -> dict[_Key, tuple[Decimal, Decimal]]:
    """Return net and tax by group and rate."""
    nets: defaultdict[_Key, Decimal] = defaultdict(Decimal)
    grosses: defaultdict[_Key, Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        for one in rows:
            key = _key_of(one)
            sign = -1 if one.stan_przed else 1
            if one.p_11 is not None:
                nets[key] += sign * one.p_11
            elif one.p_11a is not None:
                grosses[key] += sign * one.p_11a
            else:
                raise ValueError(f"Row {one.nr_wiersza_fa} has neither a net nor a gross value.")
        sums = {}
        for key in sorted(nets.keys() | grosses.keys(), key=lambda key: (_GROUPS.index(key[0]), -key[1])):
            net, percent = nets[key], key[1]
            tax = rounded(net * percent / 100)
            inside = rounded(grosses[key] * percent / (100 + percent))
            sums[key] = (net + grosses[key] - inside, tax + inside)
    return sums


def _key_of(one: fa3.FaWiersz) -> _Key:
    if one.p_12_xii is not None:
        return "5", one.p_12_xii
    if one.p_12 is None:
        return "11", _ZERO
    # One made by hand may have any rate.
    return chosen(GROUPS, one.p_12, "rate"), PERCENT.get(one.p_12, _ZERO)


def _sum_fields() -> list[str]:
    taxes = [f"p_14_{group}" for group in _TAXED] + [f"p_14_{group}w" for group in _IN_PLN]
    return [f"p_13_{group}" for group in _GROUPS] + taxes


def _set_sums(fa: fa3.Fa, sums: Mapping[_Key, tuple[Decimal, Decimal]]) -> None:
    for name in _sum_fields():
        setattr(fa, name, None)
    total = _ZERO
    with localcontext(EXACT):
        for (group, _), (net, tax) in sums.items():
            _add(fa, f"p_13_{group}", net)
            if group in _TAXED:
                _add(fa, f"p_14_{group}", tax)
            total += net + tax
        fa.p_15 = rounded(total)
        if fa.kod_waluty == "PLN":
            return
        rate = _exchange_rate(fa)
        for group in _IN_PLN:
            taxed: Decimal | None = getattr(fa, f"p_14_{group}")
            if taxed is None:
                continue
            if rate is None:
                raise ValueError(f"Tax in {fa.kod_waluty} is given in PLN, too: exchange_rate is needed.")
            setattr(fa, f"p_14_{group}w", rounded(taxed * rate))


def _add(fa: fa3.Fa, name: str, value: Decimal) -> None:
    setattr(fa, name, rounded((getattr(fa, name) or _ZERO) + value))


def _exchange_rate(fa: fa3.Fa) -> Decimal | None:
    return next((one.kurs_waluty for one in fa.fa_wiersz if one.kurs_waluty is not None), fa.kurs_waluty_z)


def _order_row(one: fa3.FaWiersz) -> fa3.ZamowienieWiersz:
    if _key_of(one)[0] in {"5", "11"}:
        raise ValueError("Orders with rows of OSS or of a margin scheme are not built here.")
    ((net, tax),) = _sums_of([one]).values()
    return fa3.ZamowienieWiersz(
        nr_wiersza_zam=one.nr_wiersza_fa,
        p_7z=one.p_7,
        indeks_z=one.indeks,
        p_8az=one.p_8a,
        p_8bz=one.p_8b,
        p_9az=one.p_9a,
        p_11_netto_z=net,
        p_11_vat_z=tax,
        p_12z=one.p_12,
        p_12z_zal_15=one.p_12_zal_15,
        gtuz=one.gtu,
    )
