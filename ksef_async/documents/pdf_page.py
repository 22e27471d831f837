"""An invoice as a PDF for people: the same content as the page of HTML, set by typst (extra ``pdf``).

The document's texts reach typst as data, never as markup. The fonts are those that typst brings; only for letters
that they lack are the machine's looked for.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Final, cast

from ..errors import LocalProtocolError
from ..protocol.json import dumps
from ..protocol.verification_codes import VerificationCode
from .blocks import (
    Block,
    Bullets,
    Column,
    Fact,
    Facts,
    Items,
    Language,
    Outline,
    Parties,
    Subheading,
    Table,
    Texts,
    Total,
)
from .outline import outline

__all__ = ["MAX_PDF_TEXT", "MAX_PDF_VALUES", "pdf"]

#: Cells of tables, and values elsewhere. With 10,000 rows, the most that FA(3) allows, there are up to 120,000 cells.
MAX_PDF_VALUES: Final = 125_000
#: Characters of one value; no form allows more than 3,500. What typst takes for longer ones grows by the square.
MAX_PDF_TEXT: Final = 10_000
# Tags for screen readers take 150 bytes a cell, twenty times what the table takes without.
_MOST_TAGGED: Final = 10_000

# What the fonts that typst brings have letters for: Latin, Greek, Cyrillic, signs.
_OTHER_LETTERS: Final = re.compile("[^\\s\u0020-\u052f\u1e00-\u1fff\u2000-\u206f\u20ac\u2116\u2122\u2190-\u2193\u2212]")
# Longer words may be broken anywhere, or they would run over what stands beside them: in what is as wide as half a
# page, in the column of names, and in that of numbers.
_HALF_PAGE: Final = 30
_NAME: Final = 16
_NARROW: Final = 7
# So many fit into a line of a table that is as wide as the page.
_IN_LINE: Final = 100
# So many characters of numbers and units stand beside a name that still has room.
_BESIDE_NAME: Final = 72
_BREAK: Final = "\u200b"


def pdf(
    xml: bytes,
    *,
    language: Language = "pl",
    ksef_number: str | None = None,
    codes: Sequence[VerificationCode] = (),
) -> bytes:
    """Return an invoice as a PDF of A4 pages; the same document gives the same bytes.

    It shows what `html` shows, and repeats the heads of tables on each page. It computes for 50 to 150 ms, or some
    10 s and 1.5 GB for 10,000 rows: from asynchronous code call it with
    ``await anyio.to_thread.run_sync(partial(pdf, xml, language="en"))``, which leaves the event loop free.

    Args:
        xml: The document: FA(3), FA(2) or FA_RR(1).
        language: Of headings and names; what the document says stays as it is.
        ksef_number: Shown on top, where the invoice has one.
        codes: Verification codes, drawn below with their labels and links; needs the extra ``qr``.

    Raises:
        DocumentError: It is not XML as KSeF takes it, or of another form.
        LocalProtocolError: typst is not installed, or segno where there are codes; or the document is too large for a
            PDF, by `MAX_PDF_VALUES` or `MAX_PDF_TEXT`.
        ValueError: The language is neither ``pl`` nor ``en``.
    """
    typst = _typst()
    shown = outline(xml, language=language, ksef_number=ksef_number)
    count = _count(shown.parties) + sum(_count(block) for section in shown.sections for block in section.blocks)
    if count > MAX_PDF_VALUES:
        message = f"This invoice has {count:,} values to show, a PDF at most {MAX_PDF_VALUES:,}; show it as HTML."
        raise LocalProtocolError(message)
    data = dumps(_data(shown, codes)).decode()
    compiler = typst.Compiler(
        pkgutil.get_data("ksef_async.documents", "page.typ") or b"",
        font_paths=typst.Fonts(include_system_fonts=_OTHER_LETTERS.search(data) is not None),
        ignore_system_fonts=True,
        sys_inputs={"outline": data},
    )
    return cast("bytes", compiler.compile(format="pdf", pdf_tags=count <= _MOST_TAGGED))


def _typst() -> ModuleType:
    try:
        import typst
    except ModuleNotFoundError:
        message = "A PDF of an invoice needs typst; install ksef_async with the extra 'pdf'."
        raise LocalProtocolError(message) from None
    return typst


def _count(block: Block) -> int:
    match block:
        case Items():
            return len(block.rows) * (2 + len(block.columns))
        case Table():
            return sum(map(len, block.rows)) + sum(map(len, block.sums))
        case Facts():
            return sum(1 + _count(fact.facts) for fact in block.facts)
        case Parties():
            return sum(1 + _count(Facts((*party.addresses, *party.facts.facts))) for party in block.parties)
        case _:
            return 0


def _data(shown: Outline, codes: Sequence[VerificationCode]) -> dict[str, object]:
    """Return what the template reads."""
    return {
        "language": shown.language,
        "kind": _breakable(shown.kind),
        "number": _breakable(shown.number, _NAME),
        "title": f"{shown.kind} {shown.number}",
        "ksef": None if shown.ksef_number is None else _fact(shown.ksef_number),
        "facts": _facts(shown.facts),
        "parties": _parties(shown.parties),
        "sections": [
            {"title": section.title, "style": section.style, "blocks": [_block(block) for block in section.blocks]}
            for section in shown.sections
        ],
        "codes_title": shown.codes_title,
        "codes": [
            {"svg": code.svg(), "label": code.label, "link": code.link, "shown": _breakable(code.link, 0)}
            for code in codes
        ],
        # One line on each page.
        "footer": " · ".join(part if len(part) <= 60 else f"{part[:59]}…" for part in (shown.number, *shown.made)),
    }


def _breakable(text: str, longest: int = _HALF_PAGE) -> str:
    """Return a text whose words of more characters than that may be broken anywhere."""
    # Blanks are the only white space there is, but for the one within a number.
    if len(text) <= longest:
        return text
    if len(text) > MAX_PDF_TEXT:
        message = f"A value of this invoice has {len(text):,} characters, in a PDF at most {MAX_PDF_TEXT:,}"
        raise LocalProtocolError(f"{message}; show it as HTML.")
    return " ".join(_BREAK.join(word) if len(word) > longest else word for word in text.split(" "))


def _facts(facts: Facts) -> list[dict[str, object]]:
    return [_fact(fact) for fact in facts.facts]


def _fact(fact: Fact) -> dict[str, object]:
    return {
        "label": _breakable(fact.label),
        "value": _breakable(fact.value),
        "lines": [_breakable(line) for line in fact.lines],
        "facts": _facts(fact.facts),
        "nested": fact.is_nested,
    }


def _parties(parties: Parties) -> list[dict[str, object]]:
    return [
        {
            "role": _breakable(party.role),
            "name": _breakable(party.name),
            "addresses": [_fact(address) for address in party.addresses],
            "facts": _facts(party.facts),
        }
        for party in parties.parties
    ]


def _block(block: Block) -> dict[str, object]:
    match block:
        case Facts():
            return {"type": "facts", "facts": _facts(block)}
        case Parties():
            return {"type": "parties", "parties": _parties(block)}
        case Items():
            return _items(block)
        case Table():
            return _table(block)
        case Total():
            return {"type": "total", "label": block.label, "amount": _breakable(block.amount)}
        case Bullets():
            return {"type": "bullets", "items": [_breakable(item) for item in block.items]}
        case Texts():
            return {"type": "texts", "texts": [_breakable(text) for text in block.texts]}
        case Subheading():
            return {"type": "subheading", "text": _breakable(block.text)}


def _items(items: Items) -> dict[str, object]:
    widest = [max(len(row.cells[place]) for row in items.rows) for place in range(len(items.columns))]
    if sum(widest) <= _BESIDE_NAME:
        # Columns as wide as what they hold; the name has what is left.
        parts, room = [0] * len(widest), [_BESIDE_NAME] * len(widest)
    else:
        words = [max(map(len, column.label.split())) + 1 for column in items.columns]
        parts = [min(max(count, word), _HALF_PAGE) for count, word in zip(widest, words, strict=True)]
        room = [_IN_LINE * part // (sum(parts) + _HALF_PAGE) for part in parts]
    return {
        "type": "items",
        # A part of 0 means as wide as needed.
        "parts": [0, _HALF_PAGE, *parts],
        "columns": [
            {"label": items.number, "number": True},
            {"label": items.name, "number": False},
            *_columns(items.columns),
        ],
        "rows": [
            {
                "number": _breakable(row.number, _NARROW),
                "badge": row.badge,
                "name": _breakable(row.name, _NAME),
                "details": _breakable(" · ".join(row.details), _NAME),
                "cells": [_breakable(cell, longest) for cell, longest in zip(row.cells, room, strict=True)],
            }
            for row in items.rows
        ],
    }


def _table(table: Table) -> dict[str, object]:
    # Rows as long as the head, for the template goes on with the next row where one is full.
    count = max(map(len, (table.columns, *table.rows, *table.sums)))
    longest = (_IN_LINE if not table.has_row_heads else _IN_LINE * 2 // 3) // count
    columns = (*table.columns, *[Column(label="", is_number=False)] * (count - len(table.columns)))
    rows, sums = (
        [[*(_breakable(cell, longest) for cell in row), *[""] * (count - len(row))] for row in lines]
        for lines in (table.rows, table.sums)
    )
    return {
        "type": "table",
        "caption": _breakable(table.caption),
        "columns": _columns(columns, longest),
        "heads": table.has_row_heads,
        "rows": rows,
        "sums": sums,
    }


def _columns(columns: Sequence[Column], longest: int = _NAME) -> list[dict[str, object]]:
    return [{"label": _breakable(column.label, longest), "number": column.is_number} for column in columns]
