"""An invoice as a page for people: HTML of its own, without scripts and without anything from outside."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from html import escape

from ..protocol.verification_codes import VerificationCode
from .blocks import (
    Block,
    Bullets,
    Fact,
    Facts,
    Items,
    Language,
    Outline,
    Parties,
    Section,
    Subheading,
    Table,
    Texts,
    Total,
)
from .outline import outline

__all__ = ["html"]


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
    return _page(outline(xml, language=language, ksef_number=ksef_number), codes)


def _page(shown: Outline, codes: Sequence[VerificationCode]) -> str:
    style = (pkgutil.get_data("ksef_async.documents", "page.css") or b"").decode()
    made = f'<p class="made">{" · ".join(escape(part) for part in shown.made)}</p>\n'
    content = "".join(map(_section, shown.sections))
    return (
        f'<!DOCTYPE html>\n<html lang="{shown.language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Whatever slips through what is escaped could neither run nor load anything.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{escape(f'{shown.kind} {shown.number}')}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<main>\n{_heading(shown)}<section class="parties">\n{"".join(_parties(shown.parties))}</section>\n'
        f"{content}{_codes(shown.codes_title, codes)}{made}</main>\n</body>\n</html>\n"
    )


def _heading(shown: Outline) -> str:
    named = ""
    if shown.ksef_number:
        label, number = escape(shown.ksef_number.label), escape(shown.ksef_number.value)
        named = f'<p class="ksef">{label}: <b>{number}</b></p>'
    return (
        f'<header>\n<div><p class="kind">{escape(shown.kind)}</p><h1>{escape(shown.number)}</h1>{named}</div>\n'
        f"<dl>{_fact_list(shown.facts)}</dl>\n</header>\n"
    )


def _section(section: Section) -> str:
    return _titled(section.style, section.title, "".join(map(_block, section.blocks)))


def _titled(css: str, title: str, content: str) -> str:
    return f'<section class="{css}">\n<h2>{escape(title)}</h2>\n{content}</section>\n'


def _block(block: Block) -> str:
    match block:
        case Facts():
            return _facts(block)
        case Parties():
            return f'<div class="parties">{"".join(_parties(block))}</div>\n'
        case Items():
            return _items(block)
        case Table():
            return _table(block)
        case Total():
            return f'<p class="total">{escape(block.label)} <b>{escape(block.amount)}</b></p>\n'
        case Bullets():
            return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in block.items)}</ul>\n"
        case Texts():
            return "".join(f"<p>{escape(text)}</p>\n" for text in block.texts)
        case Subheading():
            return f"<h3>{escape(block.text)}</h3>\n"


def _facts(facts: Facts) -> str:
    return f"<dl>{_fact_list(facts)}</dl>\n" if facts else ""


def _fact_list(facts: Facts) -> str:
    return "".join(map(_fact, facts.facts))


def _fact(fact: Fact) -> str:
    css = ' class="nested"' if fact.is_nested else ""
    value = _nested(fact) if fact.is_nested else escape(fact.value)
    return f"<div{css}><dt>{escape(fact.label)}</dt><dd>{value}</dd></div>"


def _nested(fact: Fact) -> str:
    return "<br>".join(map(escape, fact.lines)) + _facts(fact.facts)


def _parties(parties: Parties) -> list[str]:
    cards = []
    for party in parties.parties:
        name = f'<p class="name">{escape(party.name)}</p>' if party.name else ""
        addresses = "".join(f'<div class="address">{_nested(address)}</div>\n' for address in party.addresses)
        facts = f"<dl>{_fact_list(party.facts)}</dl>" if party.facts else ""
        cards.append(f'<div class="party"><h2>{escape(party.role)}</h2>\n{name}{addresses}{facts}</div>\n')
    return cards


def _items(items: Items) -> str:
    css = [' class="n"' if column.is_number else "" for column in items.columns]
    labels = [escape(column.label) for column in items.columns]
    heads = "".join(f'<th{each} scope="col">{label}</th>' for each, label in zip(css, labels, strict=True))
    # Phones show rows as cards, where each value has its label beside it.
    filled = [f'<td{each} data-label="{label}">' for each, label in zip(css, labels, strict=True)]
    empty = [f'<td class="empty" data-label="{label}"></td>' for label in labels]
    lines = []
    for row in items.rows:
        badge = f'<span class="badge">{escape(row.badge)}</span> ' if row.badge else ""
        details = f"<small>{' · '.join(map(escape, row.details))}</small>" if row.details else ""
        cells = "".join(
            f"{start}{escape(cell)}</td>" if cell else nothing
            for start, nothing, cell in zip(filled, empty, row.cells, strict=True)
        )
        lines.append(
            f'<tr{" class=before" if row.badge else ""}><td class="no">{escape(row.number)}</td>'
            f'<td class="what">{badge}{escape(row.name)}{details}</td>{cells}</tr>\n'
        )
    return (
        f'<table class="rows"><thead><tr><th class="no" scope="col">{escape(items.number)}</th>'
        f'<th scope="col">{escape(items.name)}</th>{heads}</tr></thead>\n<tbody>\n{"".join(lines)}</tbody></table>\n'
    )


def _table(table: Table) -> str:
    css = [' class="n"' if column.is_number else "" for column in table.columns]
    heads = "".join(
        f'<th{each} scope="col">{escape(column.label)}</th>' for each, column in zip(css, table.columns, strict=True)
    )
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    return (
        f'<div class="wide"><table>{caption}<thead><tr>{heads}</tr></thead>\n<tbody>\n'
        f"{''.join(_row(row, css, has_head=table.has_row_heads) for row in table.rows)}"
        f"{''.join(_row(row, css, tag='th') for row in table.sums)}</tbody></table></div>\n"
    )


def _row(cells: Sequence[str], css: Sequence[str], *, tag: str = "td", has_head: bool = False) -> str:
    shown = [
        f"<{tag}{css[place] if place < len(css) else ''}>{escape(cell)}</{tag}>" for place, cell in enumerate(cells)
    ]
    if has_head:
        shown[0] = f'<th scope="row">{escape(cells[0])}</th>'
    return f"<tr>{''.join(shown)}</tr>\n"


def _codes(title: str, codes: Sequence[VerificationCode]) -> str:
    figures = "".join(
        f'<figure>{code.svg()}<figcaption><a href="{link}">{link}</a></figcaption></figure>\n'
        for code, link in ((code, escape(code.link)) for code in codes)
    )
    return _titled("codes", title, figures) if codes else ""
