"""The pieces that people are shown of an invoice: what `outline` makes, and `page` and `pdf_page` write.

Every text is as it is shown, in the language of the outline, and is not escaped.
"""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = [
    "Block", "Bullets", "Column", "Fact", "Facts", "ItemRow", "Items", "Language", "Outline", "Parties", "Party",
    "Section", "Subheading", "Table", "Texts", "Total",
]  # fmt: skip

Language = Literal["pl", "en"]


@attrs.frozen(kw_only=True)
class Fact:
    """A value, or several, with the name it has on the page."""

    label: str
    value: str = ""
    lines: tuple[str, ...] = ()
    """An address."""
    facts: Facts = attrs.field(factory=lambda: Facts(()))
    """What is in it."""
    is_nested: bool = False
    """It has lines or facts rather than a value."""


@attrs.frozen
class Facts:
    """Values with their names."""

    facts: tuple[Fact, ...]

    def __bool__(self) -> bool:
        return bool(self.facts)


@attrs.frozen(kw_only=True)
class Party:
    """A company or person."""

    role: str
    name: str
    addresses: tuple[Fact, ...]
    """Without labels."""
    facts: Facts


@attrs.frozen
class Parties:
    """Companies and persons, side by side."""

    parties: tuple[Party, ...]

    def __bool__(self) -> bool:
        return bool(self.parties)


@attrs.frozen(kw_only=True)
class Column:
    """A column of a table."""

    label: str
    is_number: bool
    """Its values stand below each other at the right."""


@attrs.frozen(kw_only=True)
class ItemRow:
    """A row of an invoice or order."""

    number: str
    badge: str
    """That it shows the state before a correction; mostly empty."""
    name: str
    details: tuple[str, ...]
    """What has no column."""
    cells: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Items:
    """The rows of an invoice or order: number, name and further columns."""

    number: str
    """The first column's label."""
    name: str
    """The second column's label."""
    columns: tuple[Column, ...]
    rows: tuple[ItemRow, ...]

    def __bool__(self) -> bool:
        return bool(self.rows)


@attrs.frozen(kw_only=True)
class Table:
    """Any other table; a row may have fewer or more cells than there are columns."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    sums: tuple[tuple[str, ...], ...] = ()
    """The last rows."""
    caption: str = ""
    has_row_heads: bool = False
    """The first cell of each row says what the row is about."""

    def __bool__(self) -> bool:
        return bool(self.columns or self.rows or self.sums)


@attrs.frozen(kw_only=True)
class Total:
    """The amount that the invoice is about."""

    label: str
    amount: str


@attrs.frozen
class Bullets:
    """Short sentences below each other."""

    items: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.items)


@attrs.frozen
class Texts:
    """Paragraphs."""

    texts: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.texts)


@attrs.frozen
class Subheading:
    """A heading within a section."""

    text: str

    def __bool__(self) -> bool:
        return bool(self.text)


#: What a section may have, in any order; each is false where it has nothing to show.
Block = Facts | Parties | Items | Table | Total | Bullets | Texts | Subheading


@attrs.frozen(kw_only=True)
class Section:
    """A part of the page with a heading of its own."""

    title: str
    style: str
    """How it looks: ``items``, ``sums``, ``footer``, ..."""
    blocks: tuple[Block, ...]


@attrs.frozen(kw_only=True)
class Outline:
    """All that is shown of an invoice, from top to bottom."""

    language: Language
    kind: str
    """``Faktura VAT``, ``Correcting invoice``, ..."""
    number: str
    ksef_number: Fact | None
    facts: Facts
    """Dates, and what else stands beside the number."""
    parties: Parties
    sections: tuple[Section, ...]
    codes_title: str
    """The heading of the verification codes."""
    made: tuple[str, ...]
    """The form, when the document was made, and by which program."""
