"""An invoice as a page for people: HTML of its own, without scripts and without anything from outside.

What an invoice always has is laid out; everything else that the document says follows by its name, so nothing is
left out. Also a document with problems is shown, as long as its root is that of a form.
"""

from __future__ import annotations

import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final, Literal

from ..protocol.verification_codes import VerificationCode
from ..protocol.xml import ET
from .checking import check, form_of
from .labels import GROUPS, KINDS, LABELS, RR_LABELS, TEXTS, VALUES, Pair
from .report import DocumentError, Report
from .shape import load_shape
from .source import parse_document
from .sums import GROUPS as RATE_GROUPS

__all__ = ["html"]

Language = Literal["pl", "en"]

#: Forms nest up to seven deep; what is deeper is shown as text.
_DEEPEST: Final = 12
_NUMBER: Final = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?").fullmatch


#: Elements whose value is a number to be grouped by thousands.
_NUMBERS: Final = re.compile(
    r"P_8BZ?|P_9AZ?|P_9B|P_10|P_11|P_11A|P_11Vat|P_11NettoZ|P_11VatZ|P_1[345]_\w+|P_15\w*|P_6B|P_8|Kwota\w*|"
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


def html(
    xml: bytes,
    *,
    language: Language = "pl",
    ksef_number: str | None = None,
    codes: Sequence[VerificationCode] = (),
) -> str:
    """Return an invoice as a page of HTML, which can be opened, printed or sent as it is.

    It has no script and needs nothing from outside; what the document says is escaped. It takes about a
    second for a document of 3 MB, so use a thread for those.

    Args:
        xml: The document: FA(3), FA(2) or FA_RR(1).
        language: Of headings and names; what the document says stays as it is.
        ksef_number: Shown on top, where the invoice has one.
        codes: Verification codes, drawn below; needs the extra ``qr``.

    Raises:
        DocumentError: It is not XML as KSeF takes it, or of another form.
        LocalProtocolError: There are codes, and segno is not installed.
        ValueError: The language is neither ``pl`` nor ``en``.
    """
    if language not in {"pl", "en"}:
        raise ValueError(f"The page is in 'pl' or 'en', not in {language!r}.")
    root = parse_document(xml)
    form = form_of(root)
    if form is None:
        report = check(xml)
        raise DocumentError(report if report.problems else Report(problems=report.warnings))
    return _Page(form, root, language).write(ksef_number, codes)


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


def _text(element: ET.Element) -> str:
    return " ".join("".join(element.itertext()).split())


class _Page:
    def __init__(self, form: str, root: ET.Element, language: Language) -> None:
        self.form = form
        self.is_rr = form == "fa_rr1"
        self.root = _Part(root)
        self.index = 0 if language == "pl" else 1
        self.language = language
        #: The rates that rows have, by the group of their sums.
        self.rates: defaultdict[str, set[str]] = defaultdict(set)
        self.labels = {**LABELS, **RR_LABELS} if self.is_rr else LABELS

    def write(self, ksef_number: str | None, codes: Sequence[VerificationCode]) -> str:
        header = self.root.part("Naglowek")
        body = self.root.part("FakturaRR" if self.is_rr else "Fa")
        kind = body.text("RodzajFaktury")
        number = body.text("P_4C" if self.is_rr else "P_2")
        self.currency = body.text("KodWaluty")
        title = self._said(KINDS.get(kind, (kind, kind)))
        content = "".join(
            (
                self._heading(title, number, body, ksef_number),
                self._parties(),
                self._correction(body),
                self._rows("rows", body, "FakturaRRWiersz" if self.is_rr else "FaWiersz"),
                self._sums(body, kind),
                self._section("settlement", self._facts(body.part("Rozliczenie").rest())),
                self._section("payment", self._payment(body)),
                self._section("annotations", self._annotations(body)),
                self._section("advance", self._facts(body.take("ZaliczkaCzesciowa") + body.take("FakturaZaliczkowa"))),
                self._order(body),
                self._section("terms", self._facts(body.part("WarunkiTransakcji").rest())),
                self._section("notes", self._descriptions(body) + self._facts(body.rest())),
                self._attachment(),
                self._section("footer", self._footer()),
                self._section("notes", self._facts(self.root.rest())),
                self._codes(codes),
            )
        )
        style = (pkgutil.get_data("ksef_async.documents", "page.css") or b"").decode()
        made = [load_shape(self.form).system_code, header.text("DataWytworzeniaFa"), header.text("SystemInfo")]
        return (
            f'<!DOCTYPE html>\n<html lang="{self.language}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            # Whatever slips through what is escaped could neither run nor load anything.
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
            f"<title>{escape(f'{title} {number}')}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
            f'{content}<p class="made">{" · ".join(escape(part) for part in made if part)}</p>\n'
            "</main>\n</body>\n</html>\n"
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
        """Return a value as it is shown, escaped."""
        if name in VALUES:
            return escape(self._said(VALUES[name].get(text, (text, text))))
        if name in _RATES:
            return escape(f"{text}%" if text.replace(".", "").isdigit() else text)
        if (_RR_NUMBERS if self.is_rr else _NUMBERS)(name):
            return self._number(text)
        return escape(text)

    def _number(self, text: str) -> str:
        match = _NUMBER(text)
        if match is None:
            return escape(text)
        sign, whole, fraction = match.groups()
        between, point = ("\u00a0", ",") if self.language == "pl" else (",", ".")
        grouped = f"{int(whole):,}".replace(",", between)
        return f"{sign and chr(0x2212)}{grouped}{point + fraction if fraction else ''}"

    # Pieces of pages.

    def _section(self, key: str, content: str, css: str = "") -> str:
        if not content:
            return ""
        return f'<section class="{css or key}">\n<h2>{escape(self._word(key))}</h2>\n{content}</section>\n'

    def _facts(self, elements: Iterable[ET.Element], depth: int = 0) -> str:
        """Return elements by their names, and what is in them by theirs."""
        facts = "".join(self._fact(element, depth) for element in elements)
        return f"<dl>{facts}</dl>\n" if facts else ""

    def _fact(self, element: ET.Element, depth: int) -> str:
        name = element.tag.rpartition("}")[2]
        if name in _SILENT:
            return ""
        if not len(element) or depth > _DEEPEST:
            if not (text := _text(element)):
                return ""
            is_flag = text in {"1", "2"} and self._is_flag(name)
            return self._pair(
                self._label(name), self._word("yes" if text == "1" else "no") if is_flag else self._value(name, text)
            )
        inner = self._lines(element) if _is_address(element) else self._facts(element, depth + 1)
        return self._pair(self._label(name), inner, nested=True)

    def _is_flag(self, name: str) -> bool:
        shape = load_shape(self.form)
        return name in _FLAGS or (name in shape.types and shape.simple(name).enum in {("1",), ("1", "2")})

    def _pair(self, label: str, value: str, *, nested: bool = False) -> str:
        css = ' class="nested"' if nested else ""
        return f"<div{css}><dt>{escape(label)}</dt><dd>{value}</dd></div>"

    def _lines(self, address: ET.Element) -> str:
        part = _Part(address)
        country = part.text("KodKraju")
        lines = [part.text("AdresL1"), part.text("AdresL2"), country if country != "PL" else ""]
        shown = "<br>".join(escape(line) for line in lines if line)
        return shown + self._facts(part.rest())

    def _heading(self, title: str, number: str, body: _Part, ksef_number: str | None) -> str:
        facts = [element for name in _HEADING for element in body.take(name)]
        period = body.part("OkresFa")
        first, last = period.text("P_6_Od"), period.text("P_6_Do")
        shown = "".join(self._fact(element, 0) for element in facts)
        if first or last:
            shown += self._pair(self._label("OkresFa"), escape(f"{first} – {last}"))
        if self.currency != "PLN":
            shown += self._pair(self._label("KodWaluty"), escape(self.currency))
        named = ""
        if ksef_number:
            named = f'<p class="ksef">{escape(self._word("ksef_number"))}: <b>{escape(ksef_number)}</b></p>'
        return (
            f'<header>\n<div><p class="kind">{escape(title)}</p><h1>{escape(number)}</h1>{named}</div>\n'
            f"<dl>{shown}</dl>\n</header>\n"
        )

    def _parties(self) -> str:
        cards = [
            self._party(self._word("farmer" if self.is_rr else "seller"), self.root.take("Podmiot1")),
            self._party(self._word("buyer"), self.root.take("Podmiot2")),
            *(self._party(self._word("third"), [one]) for one in self.root.take("Podmiot3")),
            self._party(self._word("authorized"), self.root.take("PodmiotUpowazniony")),
        ]
        return f'<section class="parties">\n{"".join(cards)}</section>\n'

    def _party(self, role: str, elements: Sequence[ET.Element]) -> str:
        cards = []
        for element in elements:
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
            facts = "".join(self._fact(one, 0) for one in who.rest())
            if number:
                facts += self._pair(self._label("NrVatUE"), escape(number))
            address = "".join(f'<p class="address">{self._lines(one)}</p>\n' for one in part.take("Adres"))
            contact = "".join(self._fact(one, 0) for each in part.take("DaneKontaktowe") for one in each)
            others = "".join(self._fact(one, 0) for one in (*part.rest(), *flags))
            heading = f'<p class="name">{escape(name)}</p>' if name else ""
            shown = facts + contact + others
            cards.append(
                f'<div class="party"><h2>{escape(role)}</h2>\n{heading}{address}'
                f"{f'<dl>{shown}</dl>' if shown else ''}</div>\n"
            )
        return "".join(cards)

    def _correction(self, body: _Part) -> str:
        facts = self._facts(element for name in _CORRECTION for element in body.take(name))
        before = [
            self._party(self._word("seller_before"), body.take("Podmiot1K")),
            self._party(self._word("buyer_before"), body.take("Podmiot2K")),
        ]
        parties = f'<div class="parties">{"".join(before)}</div>\n' if any(before) else ""
        return self._section("correction", facts + parties)

    def _rows(self, key: str, body: _Part, name: str) -> str:
        rows = [_Part(row) for row in body.take(name)]
        return self._section(key, self._items(name, rows) + self._facts(body.rest() if key == "order" else ()), "items")

    def _items(self, name: str, rows: Sequence[_Part]) -> str:
        if not rows:
            return ""
        taken = [{column: row.text(column) for column in _COLUMNS[name]} for row in rows]
        columns = [column for column in _COLUMNS[name] if any(values[column] for values in taken)]
        first = _COLUMNS[name][0]
        if first not in columns:
            columns.insert(0, first)
        heads = "".join(f'<th{self._css(column)} scope="col">{escape(self._label(column))}</th>' for column in columns)
        for values in taken:
            self.rates[RATE_GROUPS.get(values.get("P_12", ""), "")].add(values.get("P_12", ""))
        lines = []
        for position, (row, values) in enumerate(zip(rows, taken, strict=True), 1):
            number = row.text("NrWierszaFa") or row.text("NrWierszaZam") or str(position)
            is_before = bool(row.text("StanPrzed") or row.text("StanPrzedZ"))
            cells = "".join(
                self._cell(column, values[column], row, first=first, is_before=is_before) for column in columns
            )
            css = ' class="before"' if is_before else ""
            lines.append(f'<tr{css}><td class="no">{escape(number)}</td>{cells}</tr>\n')
        return (
            f'<table class="rows"><thead><tr><th class="no" scope="col">{escape(self._label("NrWierszaFa"))}</th>'
            f"{heads}</tr></thead>\n<tbody>\n{''.join(lines)}</tbody></table>\n"
        )

    def _cell(self, column: str, text: str, row: _Part, *, first: str, is_before: bool) -> str:
        label = escape(self._label(column), quote=True)
        if column == first:
            badge = f'<span class="badge">{escape(self._word("before"))}</span> ' if is_before else ""
            return f'<td class="what">{badge}{escape(text)}{self._details(row)}</td>'
        if not text:
            return f'<td class="empty" data-label="{label}"></td>'
        return f'<td{self._css(column)} data-label="{label}">{self._value(column, text)}</td>'

    def _css(self, column: str) -> str:
        return "" if column in (_RR_TEXTS if self.is_rr else _TEXTS) else ' class="n"'

    def _details(self, row: _Part) -> str:
        details = []
        for element in row.rest():
            name, text = element.tag.rpartition("}")[2], _text(element)
            if self._is_flag(name.replace("Z_", "_")):
                details.append(escape(self._label(name)))
            elif text:
                details.append(f"{escape(self._label(name))}: {self._value(name, text)}")
        return f"<small>{' · '.join(details)}</small>" if details else ""

    def _sums(self, body: _Part, kind: str) -> str:
        if self.is_rr:
            total = body.text("P_12_1")
            facts = self._facts(element for name in _RR_SUMS for element in body.take(name))
            return self._section("sums", facts + self._total("total", total), "sums")
        lines = []
        for group, pair in GROUPS.items():
            texts = [body.text(name) for name in (f"P_13_{group}", f"P_14_{group}", f"P_14_{group}W")]
            if any(texts):
                rates = self.rates[group] if group in {"1", "2", "3", "4"} else set()
                lines.append((f"{min(rates)}%" if len(rates) == 1 else self._said(pair), texts))
        heads = [self._word(key) for key in ("rate", "net", "tax")]
        in_pln = any(texts[2] for _, texts in lines)
        heads += [self._word("tax_pln")] if in_pln else []
        table = ""
        if lines:
            shown = "".join(
                f'<tr><th scope="row">{escape(label)}</th>'
                + "".join(f'<td class="n">{self._number(text)}</td>' for text in texts[: 3 if in_pln else 2])
                + "</tr>\n"
                for label, texts in lines
            )
            head = "".join(f'<th{" class=n" if place else ""} scope="col">{h}</th>' for place, h in enumerate(heads))
            table = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{shown}</tbody></table>\n"
        total_key = "total_correction" if kind.startswith("KOR") else "total"
        return self._section("sums", table + self._total(total_key, body.text("P_15")), "sums")

    def _total(self, key: str, text: str) -> str:
        return f'<p class="total">{escape(self._word(key))} <b>{self._number(text)} {escape(self.currency)}</b></p>\n'

    def _payment(self, body: _Part) -> str:
        payment = body.part("Platnosc")
        dates = [date for due in payment.take("TerminPlatnosci") for date in due]
        first = [*payment.take("Zaplacono"), *payment.take("DataZaplaty"), *dates]
        return self._facts([*first, *payment.rest(), *body.take("DokumentZaplaty")])

    def _annotations(self, body: _Part) -> str:
        notes = body.part("Adnotacje")
        said = [
            *(name for name in ("P_16", "P_17", "P_18", "P_18A", "P_23") if notes.text(name) == "1"),
            *(name for name in ("FP", "TP", "ZwrotAkcyzy") if body.text(name)),
        ]
        margin = [one.tag.rpartition("}")[2] for part in notes.take("PMarzy") for one in part if _text(one) == "1"]
        # That it is a margin scheme is said again by which.
        said += [name for name in margin if name != "P_PMarzyN" and (name != "P_PMarzy" or len(margin) == 1)]
        items = [escape(self._label(name)) for name in said]
        exempt = notes.part("Zwolnienie")
        if exempt.text("P_19"):
            basis = [f"{self._label(name)}: {text}" for name in _BASES if (text := exempt.text(name))]
            items.append(escape(" – ".join([self._label("P_19"), *basis])))
        vehicles = [one for part in notes.take("NoweSrodkiTransportu") for one in part if not one.tag.endswith("N")]
        facts = self._facts([*vehicles, *notes.rest()])
        shown = "".join(f"<li>{item[:1].upper() + item[1:]}</li>" for item in items)
        return (f"<ul>{shown}</ul>\n" if shown else "") + facts

    def _order(self, body: _Part) -> str:
        return "".join(self._rows("order", _Part(order), "ZamowienieWiersz") for order in body.take("Zamowienie"))

    def _descriptions(self, body: _Part) -> str:
        pairs = []
        for part in map(_Part, body.take("DodatkowyOpis")):
            row = part.text("NrWiersza")
            label = part.text("Klucz") + (f" ({self._word('row')} {row})" if row else "")
            pairs.append(self._pair(label, escape(part.text("Wartosc"))))
        return f"<dl>{''.join(pairs)}</dl>\n" if pairs else ""

    def _attachment(self) -> str:
        blocks = []
        for block in map(_Part, self.root.part("Zalacznik").take("BlokDanych")):
            heading = block.text("ZNaglowek")
            pairs = list(_keys(block.take("MetaDane"), "ZKlucz", "ZWartosc"))
            texts = [paragraph for text in block.take("Tekst") for paragraph in text]
            blocks.append(
                (f"<h3>{escape(heading)}</h3>\n" if heading else "")
                + self._plain_pairs(pairs)
                + "".join(f"<p>{escape(_text(paragraph))}</p>\n" for paragraph in texts)
                + "".join(self._table(_Part(table)) for table in block.take("Tabela"))
                + self._facts(block.rest())
            )
        return self._section("attachment", "".join(blocks))

    def _plain_pairs(self, pairs: Sequence[tuple[str, str]]) -> str:
        shown = "".join(self._pair(key, escape(value)) for key, value in pairs)
        return f"<dl>{shown}</dl>\n" if shown else ""

    def _table(self, table: _Part) -> str:
        pairs = list(_keys(table.take("TMetaDane"), "TKlucz", "TWartosc"))
        caption = table.text("Opis")
        columns = list(table.part("TNaglowek").rest())
        heads = "".join(f'<th scope="col">{escape(_text(column))}</th>' for column in columns)
        # Numbers stand below each other, and are written as they are.
        css = [' class="n"' if column.get("Typ") in {"dec", "int"} else "" for column in columns]
        lines = [
            (tag, [_text(cell) for cell in row])
            for name, tag in (("Wiersz", "td"), ("Suma", "th"))
            for row in table.take(name)
        ]
        shown = "".join(
            "<tr>"
            + "".join(
                f"<{tag}{css[place] if place < len(css) else ''}>{escape(cell)}</{tag}>"
                for place, cell in enumerate(cells)
            )
            + "</tr>\n"
            for tag, cells in lines
        )
        return (
            self._plain_pairs(pairs)
            + f'<div class="wide"><table>{f"<caption>{escape(caption)}</caption>" if caption else ""}'
            + f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{shown}</tbody></table></div>\n"
            + self._facts(table.rest())
        )

    def _footer(self) -> str:
        footer = self.root.part("Stopka")
        texts = [text for part in footer.take("Informacje") for text in part]
        shown = "".join(f"<p>{escape(_text(text))}</p>\n" for text in texts)
        return (
            shown + "".join(self._facts(register) for register in footer.take("Rejestry")) + self._facts(footer.rest())
        )

    def _codes(self, codes: Sequence[VerificationCode]) -> str:
        figures = "".join(
            f'<figure>{code.svg()}<figcaption><a href="{link}">{link}</a></figcaption></figure>\n'
            for code, link in ((code, escape(code.link)) for code in codes)
        )
        return self._section("codes", figures)


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


def _is_address(element: ET.Element) -> bool:
    return any(child.tag.endswith("}AdresL1") for child in element)


def _keys(elements: Iterable[ET.Element], key: str, value: str) -> Iterator[tuple[str, str]]:
    for part in map(_Part, elements):
        yield part.text(key), part.text(value)
