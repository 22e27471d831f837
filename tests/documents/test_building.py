"""Invoices from parties, rows and dates: valid by the Ministry's schema, with sums that add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from official import FA_SCHEMAS, needs

from ksef_async import FormCode
from ksef_async.documents import check, fa3
from ksef_async.documents.building import (
    attachment,
    attachment_block,
    buyer,
    changes,
    corrected_invoice,
    count,
    invoice,
    legal_notes,
    make_advance,
    make_correction,
    make_final,
    payment,
    row,
    seller,
    third_party,
)
from ksef_async.sandbox.schemas import Schemas

D = Decimal
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = date(2026, 3, 1)
KSEF_NUMBER = "5265877635-20250826-0100001AF629-AF"
SELLER = seller("5265877635", "Żółw i Wspólnicy sp. z o.o.", "ul. Łąkowa 1\n00-001 Warszawa", email="a@b.pl")
BUYER = buyer("Nabywca S.A.", "ul. Wzorcowa 2, 30-002 Kraków", nip="1111111111")

#: The end of P_13_... and per cent, by rate, as the schema's annotations have them.
GROUP_OF: dict[str | None, tuple[str, int]] = {
    "23": ("1", 23), "22": ("1", 22), "8": ("2", 8), "7": ("2", 7), "5": ("3", 5), "4": ("4", 4), "3": ("4", 3),
    "0 KR": ("6_1", 0), "0 WDT": ("6_2", 0), "0 EX": ("6_3", 0), "zw": ("7", 0), "np I": ("8", 0),
    "np II": ("9", 0), "oo": ("10", 0), None: ("11", 0),
}  # fmt: skip


def build(*rows: Any, **options: Any) -> Any:
    values = {"seller": SELLER, "buyer": BUYER, "number": "FV/1", "issued_on": DAY, "made_at": NOW, **options}
    return invoice(rows=list(rows), **values)


def sums_of(built: Any) -> dict[str, Decimal]:
    return {
        name: value
        for name in dir(type(built.fa))
        if name.startswith(("p_13_", "p_14_", "p_15")) and (value := getattr(built.fa, name)) is not None
    }


def assert_valid(built: Any) -> None:
    report = check(fa3.write(built), now=NOW, context_nip="5265877635")
    assert (report.problems, report.warnings) == ((), ())


def half_up(value: Decimal) -> Decimal:
    return value.quantize(D("0.01"), ROUND_HALF_UP)


texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=20)
prices = st.decimals("-1000000", "1000000", places=4) | st.decimals(0, 100, places=2) | st.integers(0, 10**9)
quantities = st.decimals("0.001", "100000", places=3) | st.integers(1, 1000)
rates: st.SearchStrategy[Any] = st.sampled_from(sorted(GROUP_OF, key=str))


@st.composite
def rows_of(draw: st.DrawFn) -> list[Any]:
    return [
        row(draw(texts), draw(quantities), draw(prices), rate=draw(rates), gross=draw(st.booleans()))
        for _ in range(draw(st.integers(1, 8)))
    ]


def reference_sums(rows: list[Any]) -> dict[str, Decimal]:
    """Add up rows of one rate, net or gross, by the rules of the law; nothing here is shared with what is tested."""
    with localcontext(prec=200):
        values: defaultdict[tuple[str, int, str], Decimal] = defaultdict(Decimal)
        for one in rows:
            kind = "gross" if one.p_9a is None else "net"
            value = half_up(one.p_8b * (one.p_9a if one.p_9b is None else one.p_9b))
            group, percent = GROUP_OF[one.p_12]
            values[group, percent, kind] += -value if one.stan_przed else value
        sums: defaultdict[str, Decimal] = defaultdict(Decimal)
        for (group, percent, kind), value in values.items():
            tax = half_up(value * percent / (100 if kind == "net" else 100 + percent))
            sums[f"p_13_{group}"] += value if kind == "net" else value - tax
            if percent:
                sums[f"p_14_{group}"] += tax
            sums["p_15"] += value if kind == "gross" else value + tax
        return dict(sums)


@needs(FA_SCHEMAS)
@pytest.mark.timeout(120)
def test_whatever_is_built_is_valid_and_adds_up() -> None:
    schemas = Schemas(FA_SCHEMAS)

    @given(
        rows=rows_of(),
        before=st.none() | rows_of(),
        currency=st.sampled_from(["PLN", "EUR"]),
        exchange_rate=st.decimals("0.01", "10", places=4),
        name=texts,
    )
    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def build_one(rows: list[Any], before: list[Any] | None, currency: str, exchange_rate: Decimal, name: str) -> None:
        built = build(
            *(rows if before is None else changes(before, rows)),
            buyer=buyer(name, eu_vat=("DE", "123456789"), country="DE"),
            currency=currency,
            exchange_rate=None if currency == "PLN" else exchange_rate,
            notes=legal_notes(exempt_act="art. 43 ust. 1 pkt 37", margin="art"),
            payment=payment(due=DAY, form="transfer", account="73111111111111111111111111"),
        )
        if before is not None:
            make_correction(built, [corrected_invoice("FV/0", DAY, KSEF_NUMBER)], reason="cena", effect="correction")

        xml = fa3.write(built)
        assert schemas.validate(FormCode.FA3, xml) == ()
        assert check(xml, now=NOW).problems == ()
        assert fa3.read(xml) == built
        expected = reference_sums(built.fa.fa_wiersz)
        in_pln = {
            f"{key}w": half_up(value * exchange_rate)
            for key, value in expected.items()
            if key.startswith("p_14") and currency != "PLN"
        }
        assert sums_of(built) == {**expected, **in_pln}

    build_one()


@pytest.mark.parametrize(
    ("rows", "sums"),
    [
        # 10 x 0.05 at 23%: the tax is that of the sum, 0.12, and not ten times 0.01.
        ([row("a", 1, D("0.05"))] * 10, {"p_13_1": D("0.50"), "p_14_1": D("0.12"), "p_15": D("0.62")}),
        ([row("a", 1, D("0.05"), rate="5")] * 2, {"p_13_3": D("0.10"), "p_14_3": D("0.01"), "p_15": D("0.11")}),
        (
            [row("a", 1, 100, gross=True), row("b", 1, 100, rate="8")],
            {
                "p_13_1": D("81.30"),
                "p_14_1": D("18.70"),
                "p_13_2": D("100.00"),
                "p_14_2": D("8.00"),
                "p_15": D("208.00"),
            },
        ),
        (
            [row("a", 3, D("33.335"), discount=D("0.01"))],
            {"p_13_1": D("100.00"), "p_14_1": D("23.00"), "p_15": D("123.00")},
        ),
        (
            [row("a", 1, 100), row("a", 1, 100, rate="22")],
            {"p_13_1": D("200.00"), "p_14_1": D("45.00"), "p_15": D("245.00")},
        ),
        ([row("a", 1, 100, oss_rate=D("19"))], {"p_13_5": D("100.00"), "p_14_5": D("19.00"), "p_15": D("119.00")}),
        ([row("a", 1, 100, rate="oo")], {"p_13_10": D("100.00"), "p_15": D("100.00")}),
        ([row("a", -1, D("0.001"))], {"p_13_1": D("0.00"), "p_14_1": D("0.00"), "p_15": D("0.00")}),
    ],
    ids=["tax of the sum", "half up", "gross", "discount", "two rates in a group", "OSS", "reverse charge", "no -0.00"],
)
def test_sums_are_those_of_the_groups(rows: list[Any], sums: dict[str, Decimal]) -> None:
    built = build(*[fa3.FaWiersz(**{name: getattr(one, name) for name in one._fields}) for one in rows])

    # As texts, for 0.50 is not written as 0.5.
    assert {name: str(value) for name, value in sums_of(built).items()} == {
        name: str(value) for name, value in sums.items()
    }
    assert_valid(built)


def test_reverse_charge_is_said_by_itself() -> None:
    assert build(row("a", 1, 100, rate="oo")).fa.adnotacje.p_18 == 1
    assert build(row("a", 1, 100, rate="np II")).fa.adnotacje.p_18 == 1
    assert build(row("a", 1, 100)).fa.adnotacje.p_18 == 2


@pytest.mark.parametrize("margin", ["travel", "used_goods", "art", "antiques"])
def test_margin_scheme_shows_no_tax(margin: Any) -> None:
    built = build(row("wazon", 1, 1000, rate=None), notes=legal_notes(margin=margin))

    assert sums_of(built) == {"p_13_11": D("1000.00"), "p_15": D("1000.00")}
    assert_valid(built)


def test_exempt_invoice_has_its_legal_basis() -> None:
    for notes in (
        legal_notes(exempt_act="art. 113 ust. 1"),
        legal_notes(exempt_directive="art. 135"),
        legal_notes(exempt_other="rozporządzenie"),
    ):
        built = build(row("porada", 1, 100, rate="zw"), notes=notes)
        assert sums_of(built) == {"p_13_7": D("100.00"), "p_15": D("100.00")}
        assert_valid(built)


def test_tax_in_a_currency_is_in_pln_too() -> None:
    built = build(row("a", 1, D("100.10")), currency="EUR", exchange_rate=D("4.2371"))

    assert (built.fa.p_14_1, built.fa.p_14_1w) == (D("23.02"), D("97.54"))
    assert [one.kurs_waluty for one in built.fa.fa_wiersz] == [D("4.2371")]
    assert_valid(built)


def test_correction_by_difference() -> None:
    built = make_correction(
        build(row("zwrot", -2, 50)), [corrected_invoice("FV/0", DAY, KSEF_NUMBER)], reason="zwrot towaru"
    )

    assert (built.fa.rodzaj_faktury, built.fa.p_13_1, built.fa.p_14_1, built.fa.p_15) == (
        "KOR",
        D("-100.00"),
        D("-23.00"),
        D("-123.00"),
    )
    assert_valid(built)


def test_correction_by_state_leaves_the_rows_that_it_was_given() -> None:
    before, after = row("lodówka", 1, D("1626.01")), row("lodówka", 1, D("1463.41"))

    built = make_correction(build(*changes([before], [after])), [corrected_invoice("FV/0", DAY)])

    assert [(one.nr_wiersza_fa, one.stan_przed) for one in built.fa.fa_wiersz] == [(1, 1), (1, None)]
    assert (built.fa.p_13_1, built.fa.p_14_1, built.fa.p_15) == (D("-162.60"), D("-37.40"), D("-200.00"))
    assert before.stan_przed is None
    assert_valid(built)


def order() -> Any:
    return build(row("dom", 1, 300_000, rate="8"), row("garaż", 2, 5_000), number="FZ/1")


def test_advance_is_shared_among_the_rates_of_the_order() -> None:
    built: Any = make_advance(order(), 33_630)

    fa = built.fa
    # A tenth of 324,000 + 12,300.
    assert (fa.p_13_2, fa.p_14_2, fa.p_13_1, fa.p_14_1) == (D("30000.00"), D("2400.00"), D("1000.00"), D("230.00"))
    assert (fa.rodzaj_faktury, fa.p_15, fa.zamowienie.wartosc_zamowienia) == ("ZAL", D("33630.00"), D("336300.00"))
    assert fa.fa_wiersz == []
    assert_valid(built)


@given(paid=st.decimals("0.01", "400000", places=2))
@settings(max_examples=50, deadline=None)
def test_advance_is_paid_to_the_grosz(paid: Decimal) -> None:
    built = make_advance(order(), paid)

    assert sum(sums_of(built).values()) == 2 * paid


def test_advances_and_the_final_invoice_are_the_whole() -> None:
    advances = [(make_advance(order(), 1000), KSEF_NUMBER), (make_advance(order(), D("12345.67")), None)]

    final: Any = make_final(order(), advances)

    whole = sums_of(order())
    assert final.fa.rodzaj_faktury == "ROZ"
    for name, value in whole.items():
        assert getattr(final.fa, name) + sum(getattr(advance.fa, name) for advance, _ in advances) == value
    assert_valid(final)
    assert_valid(make_correction(final, [corrected_invoice("FV/0", DAY)]))
    assert final.fa.rodzaj_faktury == "KOR_ROZ"


def test_advance_in_a_currency_has_its_rate() -> None:
    built = make_advance(build(row("dom", 1, 1000), currency="EUR", exchange_rate=D("4.5")), 123)

    assert (built.fa.kurs_waluty_z, built.fa.p_14_1, built.fa.p_14_1w) == (D("4.5"), D("23.00"), D("103.50"))
    assert_valid(built)


def test_parties_and_attachment_are_valid() -> None:
    block = attachment_block(
        {"Licznik": "123"}, heading="Zużycie", paragraphs=["Opis"], columns=["Dzień"], rows=[["1"]]
    )
    built = build(
        row("prąd", D("10.5"), D("0.99"), unit="kWh", gtu="GTU_02", code="E1", annex_15=True, sold_on=DAY),
        buyer=buyer(
            "Gmina", "Rynek 1", nip="1111111111", is_local_government_unit=True, phone="123", customer_number="7"
        ),
        third_parties=[
            third_party("local_government_recipient", "Szkoła", "Szkolna 1", internal_id="5265877635-00004"),
            third_party("further_buyer", "Drugi", nip="1111111111", share=D("50")),
            third_party("Poręczyciel", "Jan", tax_id=("US", "12-3")),
        ],
        attachment=attachment(block),
        period=(DAY, DAY),
        place="Łódź",
        notes=legal_notes(self_billing=True, split_payment=True, cash_accounting=True, triangular=True),
        payment=payment(paid_on=DAY, form="kompensata"),
    )

    assert_valid(built)
    assert_valid(build(row("a", 1, 1), buyer=buyer("Jan Kowalski", "Polna 1")))
    assert_valid(build(row("a", 1, 1), buyer=buyer("Inc.", "5th Av", tax_id=("US", "12-3456789"), country="US")))


def test_rows_that_were_changed_are_counted_again() -> None:
    built = build(row("a", 1, 100))
    built.fa.fa_wiersz[0].p_11 = D("50.00")
    built.fa.fa_wiersz[0].p_12 = "8"

    assert sums_of(count(built)) == {"p_13_2": D("50.00"), "p_14_2": D("4.00"), "p_15": D("54.00")}


#: As those write who have no type checker.
untyped_row: Any = row
untyped_notes: Any = legal_notes
untyped_correction: Any = make_correction
RATE: Any = "24"
untyped_advance: Any = make_advance


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (
            lambda: untyped_row("a", 1, 0.1),
            TypeError,
            r"price is the float 0.1, which is not exact: write Decimal\('0.1'\)",
        ),
        (lambda: untyped_row("a", 1.5, 1), TypeError, "quantity is the float 1.5"),
        (lambda: untyped_row("a", 1, 1, discount=0.5), TypeError, "discount is the float 0.5"),
        (lambda: untyped_row("a", 1, 2, rate="24"), ValueError, "no rate '24'; known are '23', '22', '8'"),
        (lambda: untyped_row("a", 1, 2, rate=24), ValueError, "no rate '24'"),
        (lambda: untyped_row("a", 1, 2, rate=True), ValueError, "no rate True"),
        (lambda: untyped_row("a", 1, 2, rate=["23"]), ValueError, "no rate"),
        (lambda: build(fa3.FaWiersz(nr_wiersza_fa=1, p_11=D(1), p_12=RATE)), ValueError, "no rate '24'"),
        (lambda: untyped_notes(margin="cars"), ValueError, "no margin scheme 'cars'; known are 'travel'"),
        (lambda: untyped_correction(order(), [], effect="now"), ValueError, "no effect of a correction 'now'"),
        (lambda: row("a", True, 1), TypeError, "quantity is a Decimal or an int, not True"),
        (lambda: row("a", 1, D("NaN")), TypeError, "price is a Decimal or an int"),
        (lambda: untyped_row("a", 1, "1,00"), TypeError, "price is a Decimal or an int"),
        (lambda: untyped_advance(order(), 0.5), TypeError, "paid is the float 0.5"),
        (lambda: build(row("a", 1, 1, rate="zw")), ValueError, "legal basis"),
        (lambda: legal_notes(exempt_act="a", exempt_other="b"), ValueError, "one legal basis"),
        (lambda: build(row("a", 1, 1, rate=None)), ValueError, "margin scheme"),
        (lambda: build(row("a", 1, 1), currency="EUR"), ValueError, "exchange_rate is needed"),
        (lambda: build(row("a", 1, 1), exchange_rate=D(4)), ValueError, "in PLN has no exchange rate"),
        (lambda: build(row("a", 1, 1), sold_on=DAY, period=(DAY, DAY)), ValueError, "not both"),
        (lambda: buyer("a", nip="1", eu_vat=("DE", "1")), ValueError, "one number"),
        (lambda: make_advance(build(row("a", 1, 0)), 1), ValueError, "without a value"),
        (lambda: make_advance(build(row("a", 1, 1, oss_rate=D(19))), 1), ValueError, "OSS"),
        (
            lambda: make_final(order(), [(build(row("a", 1, 1), currency="EUR", exchange_rate=D(4)), None)]),
            ValueError,
            "is in EUR, not in PLN",
        ),
        (lambda: build(fa3.FaWiersz(nr_wiersza_fa=1, p_12="23")), ValueError, "neither a net nor a gross value"),
    ],
)
def test_what_cannot_be_an_invoice_is_told(make: Callable[[], object], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        make()


def test_rate_may_be_a_whole_number() -> None:
    assert row("a", 1, 1, rate=8) == row("a", 1, 1, rate="8")
