"""What people are shown of an invoice, as data: sections of facts, tables and texts, without a trace of markup.

What an invoice always has is laid out; everything else that the document says follows by its name, so nothing is
left out. Also a document with problems is shown, as long as its root is that of a form. `page` writes it as HTML,
`pdf_page` as PDF.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from ..protocol.xml import ET
from .blocks import (
    Block,
    Bullets,
    Column,
    Fact,
    Facts,
    ItemRow,
    Items,
    Language,
    Outline,
    Parties,
    Party,
    Section,
    Subheading,
    Table,
    Texts,
    Total,
)
from .checking import check, form_of
from .labels import GROUPS, KINDS, LABELS, RR_LABELS, TEXTS, VALUES, Pair
from .report import DocumentError, Report
from .shape import load_shape
from .source import parse_document
from .sums import GROUPS as RATE_GROUPS

__all__ = ["outline"]

#: Forms nest up to seven deep; what is deeper is shown as text.
_DEEPEST: Final = 12
_NUMBER: Final = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?").fullmatch

#: Elements whose value is a number to be grouped by thousands.
_NUMBERS: Final = re.compile(
    r"P_8BZ?|P_9AZ?|P_9B|P_10|P_11|P_11A|P_11Vat|P_11NettoZ|P_11VatZ|P_1[345]_\w+|P_15\w*|P_6B|P_8|Kwota\w*|Kurs\w+|"
    r"Suma\w+|Do(Zaplaty|Rozliczenia)|WartoscZamowienia"
).fullmatch
_RR_NUMBERS: Final = re.compile(
    r"P_6B|P_7|P_8|P_10|P_11|P_1[12]_\w+|Kwota\w*|Suma\w+|Do(Zaplaty|Rozliczenia)"
).fullmatch
#: The columns of rows, by the rows' element; the first is the name, with what has no column below it.
_COLUMNS: Final = {
    "FaWiersz": ("P_7", "P_8B", "P_8A", "P_9A", "P_9B", "P_10", "P_11", "P_12", "P_12_XII", "P_11Vat", "P_11A"),
    "ZamowienieWiersz": ("P_7Z", "P_8BZ", "P_8AZ", "P_9AZ", "P_11NettoZ", "P_12Z", "P_12Z_XII", "P_11VatZ"),
    "FakturaRRWiersz": ("P_5", "P_6B", "P_6A", "P_6C", "P_7", "P_8", "P_9", "P_10", "P_11"),
}
_RATES: Final = frozenset({"P_12", "P_12Z", "P_12_XII", "P_12Z_XII", "P_9"})
#: Elements that only say no, or repeat what is said beside them.
_SILENT: Final = frozenset({"RolaInna", "PlatnoscInna", "TransportInny", "LadunekInny", "NrKSeF", "BrakID"})
_HEADING: Final = ("P_1", "P_4B", "P_1M", "P_6", "P_4A", "WZ")
_CORRECTION: Final = (
    "PrzyczynaKorekty", "TypKorekty", "DaneFaKorygowanej", "OkresFaKorygowanej", "NrFaKorygowany", "P_15ZK",
    "KursWalutyZK",
)  # fmt: skip
_RR_SUMS: Final = ("P_11_1", "P_11_1W", "P_11_2", "P_11_2W", "P_12_1W", "P_12_2")
_BASES: Final = ("P_19A", "P_19B", "P_19C")
_TEXTS: Final = frozenset({"P_7", "P_7Z", "P_8A", "P_8AZ"})
_RR_TEXTS: Final = frozenset({"P_5", "P_6A", "P_6C"})
_FLAGS: Final = frozenset(
    {"Zaplacono", "PodmiotPosredniczacy", "NrKSeFN", "NrKSeFZN", "P_12_Zal_15", "P_22", "P_42_5", "JST", "GV"}
)


def outline(xml: bytes, *, language: Language = "pl", ksef_number: str | None = None) -> Outline:
    """Return what people are shown of an invoice.

    Args:
        xml: The document: FA(3), FA(2) or FA_RR(1).
        language: Of headings and names; what the document says stays as it is.
        ksef_number: Shown on top, where the invoice has one.

    Raises:
        DocumentError: It is not XML as KSeF takes it, or of another form.
        ValueError: The language is neither ``pl`` nor ``en``.
    """
    if language not in {"pl", "en"}:
        raise ValueError(f"The page is in 'pl' or 'en', not in {language!r}.")
    root = parse_document(xml)
    form = form_of(root)
    if form is None:
        report = check(xml)
        raise DocumentError(report if report.problems else Report(problems=report.warnings))
    return _Outliner(form, root, language).outline(ksef_number)


class _Part:
    """An element of which it is remembered what has been shown."""

    def __init__(self, element: ET.Element) -> None:
        self._children: dict[str, list[ET.Element]] = {}
        for child in element:
            self._children.setdefault(child.tag.rpartition("}")[2], []).append(child)

    def take(self, name: str) -> list[ET.Element]:
        """Return the elements of a name, which count as shown."""
        return self._children.pop(name, [])

    def part(self, name: str) -> _Part:
        """Return the first element of a name."""
        return _Part(next(iter(self.take(name)), ET.Element(name)))

    def text(self, name: str) -> str:
        """Return the text of an element, which counts as shown; empty where there is none."""
        return " ".join(_text(element) for element in self.take(name))

    def rest(self) -> list[ET.Element]:
        """Return what has not been shown yet."""
        rest = [element for elements in self._children.values() for element in elements]
        self._children = {}
        return rest


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


class _Outliner:
    def __init__(self, form: str, root: ET.Element, language: Language) -> None:
        self.form = form
        self.is_rr = form == "fa_rr1"
        self.root = _Part(root)
        self.index = 0 if language == "pl" else 1
        self.language: Language = language
        #: The rates that rows have, by the group of their sums.
        self.rates: defaultdict[str, set[str]] = defaultdict(set)
        self.labels = {**LABELS, **RR_LABELS} if self.is_rr else LABELS
        self.currency = ""

    def outline(self, ksef_number: str | None) -> Outline:
        header = self.root.part("Naglowek")
        body = self.root.part("FakturaRR" if self.is_rr else "Fa")
        kind = body.text("RodzajFaktury")
        number = body.text("P_4C" if self.is_rr else "P_2")
        self.currency = body.text("KodWaluty")
        facts = self._heading(body)
        parties = self._parties()
        # In this order, for what has been shown by its place is not shown again by its name.
        sections = (
            self._correction(body),
            self._rows("rows", body, "FakturaRRWiersz" if self.is_rr else "FaWiersz"),
            self._sums(body, kind),
            self._section("settlement", self._facts(body.part("Rozliczenie").rest())),
            self._section("payment", self._payment(body)),
            self._section("annotations", *self._annotations(body)),
            self._section("advance", self._facts(body.take("ZaliczkaCzesciowa") + body.take("FakturaZaliczkowa"))),
            *(self._rows("order", _Part(order), "ZamowienieWiersz") for order in body.take("Zamowienie")),
            self._section("terms", self._facts(body.part("WarunkiTransakcji").rest())),
            self._section("notes", self._descriptions(body), self._facts(body.rest())),
            self._attachment(),
            self._footer(),
            self._section("notes", self._facts(self.root.rest())),
        )
        made = (load_shape(self.form).system_code, header.text("DataWytworzeniaFa"), header.text("SystemInfo"))
        return Outline(
            language=self.language,
            kind=self._said(KINDS.get(kind, (kind, kind))),
            number=number,
            ksef_number=Fact(label=self._word("ksef_number"), value=ksef_number) if ksef_number else None,
            facts=facts,
            parties=parties,
            sections=tuple(section for section in sections if section is not None),
            codes_title=self._word("codes"),
            made=tuple(part for part in made if part),
        )

    # Words.

    def _said(self, pair: Pair) -> str:
        return pair[self.index]

    def _word(self, key: str) -> str:
        return TEXTS[key][self.index]

    def _label(self, name: str) -> str:
        # An order's rows have the names of an invoice's rows with a Z behind.
        names = (name, name.removesuffix("Z"), name.replace("Z_", "_"), {"P_11NettoZ": "P_11"}.get(name, ""))
        return next((self._said(self.labels[each]) for each in names if each in self.labels), name)

    def _value(self, name: str, text: str) -> str:
        """Return a value as it is shown."""
        if name in VALUES:
            return self._said(VALUES[name].get(text, (text, text)))
        if name in _RATES:
            return f"{text}%" if text.replace(".", "").isdigit() else text
        if (_RR_NUMBERS if self.is_rr else _NUMBERS)(name):
            return self._number(text)
        return text

    def _number(self, text: str) -> str:
        match = _NUMBER(text)
        if match is None:
            return text
        sign, whole, fraction = match.groups()
        between, point = ("\u00a0", ",") if self.language == "pl" else (",", ".")
        grouped = f"{int(whole):,}".replace(",", between)
        return f"{sign and chr(0x2212)}{grouped}{point + fraction if fraction else ''}"

    # Pieces.

    def _section(self, key: str, *blocks: Block, style: str = "") -> Section | None:
        filled = tuple(block for block in blocks if block)
        return Section(title=self._word(key), style=style or key, blocks=filled) if filled else None

    def _facts(self, elements: Iterable[ET.Element], depth: int = 0) -> Facts:
        """Return elements by their names, and what is in them by theirs."""
        facts = (self._fact(element, depth) for element in elements)
        return Facts(tuple(fact for fact in facts if fact is not None))

    def _fact(self, element: ET.Element, depth: int) -> Fact | None:
        name = _name(element)
        if name in _SILENT:
            return None
        if not len(element) or depth > _DEEPEST:
            if not (text := _text(element)):
                return None
            is_flag = text in {"1", "2"} and self._is_flag(name)
            value = self._word("yes" if text == "1" else "no") if is_flag else self._value(name, text)
            return Fact(label=self._label(name), value=value)
        if _is_address(element):
            return self._address(element, self._label(name))
        inner = self._facts(element, depth + 1)
        return Fact(label=self._label(name), facts=inner, is_nested=True)

    def _is_flag(self, name: str) -> bool:
        shape = load_shape(self.form)
        return name in _FLAGS or (name in shape.types and shape.simple(name).enum in {("1",), ("1", "2")})

    def _address(self, address: ET.Element, label: str = "") -> Fact:
        part = _Part(address)
        country = part.text("KodKraju")
        lines = (part.text("AdresL1"), part.text("AdresL2"), country if country != "PL" else "")
        return Fact(label=label, lines=tuple(filter(None, lines)), facts=self._facts(part.rest()), is_nested=True)

    def _heading(self, body: _Part) -> Facts:
        facts = list(self._facts(element for name in _HEADING for element in body.take(name)).facts)
        period = body.part("OkresFa")
        first, last = period.text("P_6_Od"), period.text("P_6_Do")
        if first or last:
            facts.append(Fact(label=self._label("OkresFa"), value=f"{first} – {last}"))
        if self.currency != "PLN":
            facts.append(Fact(label=self._label("KodWaluty"), value=self.currency))
        return Facts(tuple(facts))

    def _parties(self) -> Parties:
        thirds = (self._party(self._word("third"), third) for third in self.root.take("Podmiot3"))
        return Parties(
            (
                *self._all("farmer" if self.is_rr else "seller", self.root.take("Podmiot1")),
                *self._all("buyer", self.root.take("Podmiot2")),
                *thirds,
                *self._all("authorized", self.root.take("PodmiotUpowazniony")),
            )
        )

    def _all(self, key: str, elements: Iterable[ET.Element]) -> list[Party]:
        return [self._party(self._word(key), element) for element in elements]

    def _party(self, role: str, element: ET.Element) -> Party:
        part = _Part(element)
        who = part.part("DaneIdentyfikacyjne")
        coded = part.text("Rola")
        role = self._said(VALUES["Rola"].get(coded, (coded, coded))) if coded else part.text("OpisRoli") or role
        name = who.text("Nazwa")
        number = who.text("NrVatUE")
        if number:
            number = who.text("KodUE") + number
        # Only that it is one tells anything.
        flags = [one for flag in ("JST", "GV") for one in part.take(flag) if _text(one) != "2"]
        facts = list(self._facts(who.rest()).facts)
        if number:
            facts.append(Fact(label=self._label("NrVatUE"), value=number))
        addresses = tuple(self._address(one) for one in part.take("Adres"))
        contacts = [one for each in part.take("DaneKontaktowe") for one in each]
        facts += self._facts([*contacts, *part.rest(), *flags]).facts
        return Party(role=role, name=name, addresses=addresses, facts=Facts(tuple(facts)))

    def _correction(self, body: _Part) -> Section | None:
        facts = self._facts(element for name in _CORRECTION for element in body.take(name))
        before = (
            *self._all("seller_before", body.take("Podmiot1K")),
            *self._all("buyer_before", body.take("Podmiot2K")),
        )
        return self._section("correction", facts, Parties(before))

    def _rows(self, key: str, body: _Part, name: str) -> Section | None:
        items = self._items(name, [_Part(row) for row in body.take(name)])
        return self._section(key, items, self._facts(body.rest() if key == "order" else ()), style="items")

    def _items(self, name: str, rows: Sequence[_Part]) -> Items:
        first, *others = _COLUMNS[name]
        taken = [{column: row.text(column) for column in (first, *others)} for row in rows]
        columns = [column for column in others if any(values[column] for values in taken)]
        made = []
        for position, (row, values) in enumerate(zip(rows, taken, strict=True), 1):
            rate = values.get("P_12", "")
            self.rates[RATE_GROUPS.get(rate, "")].add(rate)
            number = row.text("NrWierszaFa") or row.text("NrWierszaZam") or str(position)
            is_before = bool(row.text("StanPrzed") or row.text("StanPrzedZ"))
            made.append(
                ItemRow(
                    number=number,
                    badge=self._word("before") if is_before else "",
                    name=values[first],
                    details=self._details(row),
                    cells=tuple(self._value(column, values[column]) for column in columns),
                )
            )
        texts = _RR_TEXTS if self.is_rr else _TEXTS
        return Items(
            number=self._label("NrWierszaFa"),
            name=self._label(first),
            columns=tuple(Column(label=self._label(name), is_number=name not in texts) for name in columns),
            rows=tuple(made),
        )

    def _details(self, row: _Part) -> tuple[str, ...]:
        details = []
        for element in row.rest():
            name, text = _name(element), _text(element)
            if self._is_flag(name.replace("Z_", "_")):
                details.append(self._label(name))
            elif text:
                details.append(f"{self._label(name)}: {self._value(name, text)}")
        return tuple(details)

    def _sums(self, body: _Part, kind: str) -> Section | None:
        if self.is_rr:
            total = body.text("P_12_1")
            facts = self._facts(element for name in _RR_SUMS for element in body.take(name))
            return self._section("sums", facts, self._total("total", total))
        lines = []
        for group, pair in GROUPS.items():
            texts = [body.text(name) for name in (f"P_13_{group}", f"P_14_{group}", f"P_14_{group}W")]
            if any(texts):
                rates = self.rates[group] if group in {"1", "2", "3", "4"} else set()
                label = f"{min(rates)}%" if len(rates) == 1 else self._said(pair)
                lines.append((label, *map(self._number, texts)))
        in_pln = any(line[-1] for line in lines)
        heads = ("rate", "net", "tax", "tax_pln")[: 4 if in_pln else 3] if lines else ()
        table = Table(
            columns=tuple(Column(label=self._word(key), is_number=place > 0) for place, key in enumerate(heads)),
            rows=tuple(line[: len(heads)] for line in lines),
            has_row_heads=True,
        )
        total_key = "total_correction" if kind.startswith("KOR") else "total"
        return self._section("sums", table, self._total(total_key, body.text("P_15")))

    def _total(self, key: str, text: str) -> Total:
        return Total(label=self._word(key), amount=f"{self._number(text)} {self.currency}")

    def _payment(self, body: _Part) -> Facts:
        payment = body.part("Platnosc")
        dates = [date for due in payment.take("TerminPlatnosci") for date in due]
        first = [*payment.take("Zaplacono"), *payment.take("DataZaplaty"), *dates]
        return self._facts([*first, *payment.rest(), *body.take("DokumentZaplaty")])

    def _annotations(self, body: _Part) -> tuple[Bullets, Facts]:
        notes = body.part("Adnotacje")
        said = [
            *(name for name in ("P_16", "P_17", "P_18", "P_18A", "P_23") if notes.text(name) == "1"),
            *(name for name in ("FP", "TP", "ZwrotAkcyzy") if body.text(name)),
        ]
        margin = [_name(one) for part in notes.take("PMarzy") for one in part if _text(one) == "1"]
        # That it is a margin scheme is said again by which.
        said += [name for name in margin if name != "P_PMarzyN" and (name != "P_PMarzy" or len(margin) == 1)]
        items = [self._label(name) for name in said]
        exempt = notes.part("Zwolnienie")
        if exempt.text("P_19"):
            basis = [f"{self._label(name)}: {text}" for name in _BASES if (text := exempt.text(name))]
            items.append(" – ".join([self._label("P_19"), *basis]))
        vehicles = [one for part in notes.take("NoweSrodkiTransportu") for one in part if not one.tag.endswith("N")]
        facts = self._facts([*vehicles, *notes.rest()])
        return Bullets(tuple(item[:1].upper() + item[1:] for item in items)), facts

    def _descriptions(self, body: _Part) -> Facts:
        facts = []
        for part in map(_Part, body.take("DodatkowyOpis")):
            row = part.text("NrWiersza")
            label = part.text("Klucz") + (f" ({self._word('row')} {row})" if row else "")
            facts.append(Fact(label=label, value=part.text("Wartosc")))
        return Facts(tuple(facts))

    def _attachment(self) -> Section | None:
        blocks: list[Block] = []
        for block in map(_Part, self.root.part("Zalacznik").take("BlokDanych")):
            blocks += [
                Subheading(block.text("ZNaglowek")),
                _pairs(block.take("MetaDane"), "ZKlucz", "ZWartosc"),
                Texts(tuple(_text(paragraph) for text in block.take("Tekst") for paragraph in text)),
            ]
            for table in map(_Part, block.take("Tabela")):
                blocks += [
                    _pairs(table.take("TMetaDane"), "TKlucz", "TWartosc"),
                    self._table(table),
                    self._facts(table.rest()),
                ]
            blocks.append(self._facts(block.rest()))
        return self._section("attachment", *blocks)

    def _table(self, table: _Part) -> Table:
        caption = table.text("Opis")
        heads = table.part("TNaglowek").rest()
        rows = [tuple(map(_text, row)) for row in table.take("Wiersz")]
        sums = [tuple(map(_text, row)) for row in table.take("Suma")]
        return Table(
            caption=caption,
            # Numbers stand below each other, and are written as they are.
            columns=tuple(Column(label=_text(head), is_number=head.get("Typ") in {"dec", "int"}) for head in heads),
            rows=tuple(rows),
            sums=tuple(sums),
        )

    def _footer(self) -> Section | None:
        footer = self.root.part("Stopka")
        texts = Texts(tuple(_text(text) for part in footer.take("Informacje") for text in part))
        registers = [self._facts(register) for register in footer.take("Rejestry")]
        return self._section("footer", texts, *registers, self._facts(footer.rest()))


def _is_address(element: ET.Element) -> bool:
    return any(child.tag.endswith("}AdresL1") for child in element)


def _pairs(elements: Iterable[ET.Element], key: str, value: str) -> Facts:
    return Facts(tuple(Fact(label=part.text(key), value=part.text(value)) for part in map(_Part, elements)))
