"""What the numbers of an invoice say to each other. KSeF does not add them up, so all of this is a warning.

Which rate belongs to which sum is said in the schema's annotations; a sum is rounded half up to 0.01. Invoices count
either by row or by rate, so a sum may be off by a grosz a row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any, Final

from ..protocol.xml import ET
from .validation import MOST_FINDINGS, Finding, make_finding

__all__ = ["GROUPS", "PERCENT", "find_wrong_sums"]

#: The sum that a rate belongs to: the end of P_13_...
GROUPS: Final = {
    "23": "1",
    "22": "1",
    "8": "2",
    "7": "2",
    "5": "3",
    "4": "4",
    "3": "4",
    "0 KR": "6_1",
    "0 WDT": "6_2",
    "0 EX": "6_3",
    "zw": "7",
    "np I": "8",
    "np II": "9",
    "oo": "10",
}
#: Per cent of tax, by rate; of the others there is none.
PERCENT: Final = {rate: Decimal(rate) for rate, group in GROUPS.items() if group in {"1", "2", "3", "4"}}

_GROSZ: Final = Decimal("0.01")
_ZERO: Final = Decimal()


class _Row:
    """One of the many rows of a document, with its texts by name, as a search for each of them takes longer.

    Args:
        element: The row.
        namespace: In braces.
    """

    __slots__ = ("_namespace", "_texts", "element")

    def __init__(self, element: ET.Element, namespace: str) -> None:
        self.element = element
        self._namespace = namespace
        self._texts = {child.tag: child.text for child in element}

    def text(self, name: str) -> str:
        text = self._texts.get(self._namespace + name)
        return " ".join(text.split()) if text else ""

    def number(self, name: str) -> Decimal | None:
        text = self._texts.get(self._namespace + name)
        # Blanks around it are not looked at.
        return Decimal(text) if text else None


class _Sums:
    """The warnings about one document.

    Args:
        root: The element that the sums are in: Fa, or FakturaRR.
        namespace: In braces.
    """

    def __init__(self, root: ET.Element, namespace: str) -> None:
        self.root = root
        self.namespace = namespace
        self.found: list[Finding] = []

    @cached_property
    def rows(self) -> list[_Row]:
        """Of an invoice of FA."""
        return [_Row(row, self.namespace) for row in self.all("FaWiersz")]

    def get(self, name: str, parent: ET.Element | None = None) -> ET.Element | None:
        return (self.root if parent is None else parent).find(self.namespace + name)

    def all(self, name: str, parent: ET.Element | None = None) -> list[ET.Element]:
        return (self.root if parent is None else parent).findall(self.namespace + name)

    def text(self, name: str, parent: ET.Element | None = None) -> str:
        element = self.get(name, parent)
        return "" if element is None else " ".join((element.text or "").split())

    def number(self, name: str, parent: ET.Element | None = None) -> Decimal | None:
        text = self.text(name, parent)
        return Decimal(text) if text else None

    def add(self, code: str, element: ET.Element | None, **values: Any) -> None:
        if element is not None and len(self.found) < MOST_FINDINGS:
            self.found.append(make_finding(code, element, **values))

    def compare(
        self, code: str, name: str, expected: Decimal, off: Decimal, parent: ET.Element | None = None, **values: Any
    ) -> None:
        """Warn where a number is there and further from the expected one than ``off``."""
        value = self.number(name, parent)
        if value is not None and abs(value - expected) > off:
            self.add(code, self.get(name, parent), value=_shown(value), expected=_shown(_rounded(expected)), **values)


def find_wrong_sums(form: str, root: ET.Element, namespace: str) -> list[Finding]:
    """Return the warnings about the sums of a document that has the shape of its form.

    Args:
        form: One of `ksef_async.documents.shape.FORMS`.
        root: The document's root.
        namespace: Its namespace, in braces.
    """
    body = root.find(namespace + ("FakturaRR" if form == "fa_rr1" else "Fa"))
    if body is None:
        return []
    sums = _Sums(body, namespace)
    if form == "fa_rr1":
        _check_rr(sums)
    else:
        kind = sums.text("RodzajFaktury")
        _check_kind(sums, kind)
        _check_rows(sums)
        if kind in {"VAT", "KOR"}:
            _check_groups(sums)
        _check_total(sums, kind)
        _check_currency(sums)
        _check_settlement(sums)
    return sums.found


def _check_kind(sums: _Sums, kind: str) -> None:
    corrected = sums.get("DaneFaKorygowanej")
    if kind.startswith("KOR") and corrected is None:
        sums.add("correction", sums.get("RodzajFaktury"), value=kind)
    elif corrected is not None and not kind.startswith("KOR"):
        sums.add("no_correction", corrected, value=kind)
    if kind == "ROZ" and sums.get("FakturaZaliczkowa") is None:
        sums.add("settlement", sums.get("RodzajFaktury"), value=kind)


def _check_rows(sums: _Sums) -> None:
    seen = set()
    for row in sums.rows:
        number = row.text("NrWierszaFa")
        key = number, row.text("StanPrzed")
        if key in seen:
            sums.add("row_number", sums.get("NrWierszaFa", row.element), value=number)
        seen.add(key)
        quantity, discount = row.number("P_8B"), row.number("P_10") or _ZERO
        if quantity is None:
            continue
        for price_name, value_name in (("P_9A", "P_11"), ("P_9B", "P_11A")):
            price = row.number(price_name)
            if price is None:
                continue
            # The discount is that of the row, or that of a unit: the Ministry's samples have both.
            value = row.number(value_name)
            if value is None or abs(quantity * (price - discount) - value) > _GROSZ:
                sums.compare("row_value", value_name, quantity * price - discount, _GROSZ, row.element)


def _check_groups(sums: _Sums) -> None:
    """Compare the rows with the sums of their rates; rows of the state before a correction are taken away."""
    nets: defaultdict[str, Decimal] = defaultdict(Decimal)
    taxes: defaultdict[str, Decimal] = defaultdict(Decimal)
    rates: defaultdict[str, set[str]] = defaultdict(set)
    counts: defaultdict[str, int] = defaultdict(int)
    for row in sums.rows:
        rate = row.text("P_12")
        group = GROUPS.get(rate)
        net, gross, tax = row.number("P_11"), row.number("P_11A"), row.number("P_11Vat")
        if group is None or (net is None and gross is None):
            # OSS, the margin scheme, and rows without a value: the sums are not in the rows.
            return
        percent = PERCENT.get(rate, _ZERO)
        if net is None:
            assert gross is not None  # noqa: S101 - one of the two is there
            net = gross - (tax if tax is not None else gross * percent / (100 + percent))
        sign = -1 if row.text("StanPrzed") else 1
        nets[group] += sign * net
        taxes[group] += sign * (tax if tax is not None else net * percent / 100)
        rates[group].add(rate)
        counts[group] += 1
    if not sums.rows:
        return
    for group in dict.fromkeys(GROUPS.values()):
        off = _GROSZ * max(counts[group], 1)
        net_name, tax_name = f"P_13_{group}", f"P_14_{group}"
        if sums.get(net_name) is None:
            if abs(nets[group]) > off:
                sums.add("sum_absent", sums.get("P_15"), expected=_shown(_rounded(nets[group])), missing=net_name)
            continue
        sums.compare("sum_of_rows", net_name, nets[group], off)
        percents = {PERCENT.get(rate, _ZERO) for rate in rates[group]}
        if len(percents) == 1:
            (percent,) = percents
            net = sums.number(net_name) or _ZERO
            sums.compare("tax", tax_name, net * percent / 100, off, net=_shown(net), rate=percent)
        else:
            sums.compare("sum_of_rows", tax_name, taxes[group], off)


def _check_total(sums: _Sums, kind: str) -> None:
    names = list(_sum_names(sums))
    if not names:
        return
    total = sum((sums.number(name) or _ZERO for name in names), _ZERO)
    # What was paid in advance may be left out of the sums, and a simplified invoice has no sums that matter.
    if kind not in {"UPR", "ROZ", "KOR_ROZ"}:
        sums.compare("total", "P_15", total, _GROSZ)


def _sum_names(sums: _Sums) -> Iterator[str]:
    for element in sums.root:
        name = element.tag.removeprefix(sums.namespace)
        if name.startswith(("P_13_", "P_14_")) and not name.endswith("W"):
            yield name


def _check_currency(sums: _Sums) -> None:
    currency = sums.text("KodWaluty")
    rates = {row.text("KursWaluty") for row in sums.rows} | {sums.text("KursWalutyZ")}
    rates.discard("")
    for group in "1234":
        tax, in_pln = sums.number(f"P_14_{group}"), sums.get(f"P_14_{group}W")
        if currency == "PLN" and in_pln is not None:
            sums.add("tax_pln_needless", in_pln)
        elif currency != "PLN" and tax and in_pln is None:
            missing = f"P_14_{group}W"
            sums.add("tax_pln_absent", sums.get(f"P_14_{group}"), currency=currency, missing=missing)
        elif currency != "PLN" and tax is not None and len(rates) == 1:
            (rate,) = rates
            off = _GROSZ * (1 + len(sums.rows))
            sums.compare(
                "tax_pln", f"P_14_{group}W", tax * Decimal(rate), off * max(Decimal(rate), Decimal(1)), rate=rate
            )


def _check_settlement(sums: _Sums) -> None:
    settlement = sums.get("Rozliczenie")
    if settlement is not None:
        added, taken = (
            sum((sums.number("Kwota", part) or _ZERO for part in sums.all(name, settlement)), _ZERO)
            for name in ("Obciazenia", "Odliczenia")
        )
        sums.compare("partial_sum", "SumaObciazen", added, _ZERO, settlement)
        sums.compare("partial_sum", "SumaOdliczen", taken, _ZERO, settlement)
        left = (sums.number("P_15") or _ZERO) + added - taken
        sums.compare("partial_sum", "DoZaplaty", left, _ZERO, settlement)
    parts = sums.all("ZaliczkaCzesciowa")
    if parts and sums.text("RodzajFaktury") == "ZAL":
        paid = sum((sums.number("P_15Z", part) or _ZERO for part in parts), _ZERO)
        sums.compare("partial_sum", "P_15", paid, _ZERO)
    order = sums.get("Zamowienie")
    if order is not None:
        rows = [row for row in sums.all("ZamowienieWiersz", order) if not sums.text("StanPrzedZ", row)]
        values = [(sums.number("P_11NettoZ", row), sums.number("P_11VatZ", row)) for row in rows]
        if all(net is not None for net, _ in values):
            total = sum(((net or _ZERO) + (tax or _ZERO) for net, tax in values), _ZERO)
            sums.compare("partial_sum", "WartoscZamowienia", total, _GROSZ * len(rows), order)


def _check_rr(sums: _Sums) -> None:
    net, refund = _ZERO, _ZERO
    rows = sums.all("FakturaRRWiersz")
    for row in rows:
        value, tax = sums.number("P_8", row) or _ZERO, sums.number("P_10", row) or _ZERO
        sums.compare(
            "row_value", "P_8", (sums.number("P_6B", row) or _ZERO) * (sums.number("P_7", row) or _ZERO), _GROSZ, row
        )
        sums.compare("partial_sum", "P_11", value + tax, _GROSZ, row)
        sign = -1 if sums.text("StanPrzed", row) else 1
        net += sign * value
        refund += sign * tax
    if rows:
        sums.compare("sum_of_rows", "P_11_1", net, _GROSZ * len(rows))
        sums.compare("sum_of_rows", "P_11_2", refund, _GROSZ * len(rows))
    sums.compare("total", "P_12_1", (sums.number("P_11_1") or _ZERO) + (sums.number("P_11_2") or _ZERO), _GROSZ)


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(_GROSZ, ROUND_HALF_UP)


def _shown(number: Decimal) -> str:
    return format(number, "f")
