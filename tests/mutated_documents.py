# ruff: noqa: E501  # the table of values
"""Documents with something changed: elements dropped, doubled, moved, renamed, values of every type broken."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from lxml import etree
from made_documents import make_value

from ksef_async.documents.shape import load_shape

__all__ = ["mutate"]

_VALUES: Final = [
    "", " ", "\n", "x", "0", "-0", "+0", "1", "+1", "01", "001", "1.", ".5", "1.0", "1.00", "1.000", "1.10", "1,23", "1e3", "1E3", "1e-3",
    " 1 ", "1 000.00", "1 000,00", "-1", "--1", "- 1", "NaN", "INF", "-INF", "Infinity", "abc", "0x1F", "1_000", "2", "3", "7", "99",
    "-128", "-129", "127", "128", "255", "99999999999999", "100000000000000", "9999999999999999.99", "99999999999999999.99",
    "0.00000001", "0.000000001", "12345678901234567890123456", "1." + "0" * 30, "0" * 40 + "1", "1" * 25, "0." + "1" * 25, "100", "100.0", "100.000001", "50.1234567", "0.1234560",
    "00.5", "-.5", "+.5", "1\u00a0000", "\u0661\u0662", "\u00b2", "2026-02-28", "2026-02-29", "2024-02-29", "2026-02-30", "2026-13-01", "2026-00-10", "2026-01-00",
    "2026-1-1", "26-01-01", "20260101", "2026-W01-1", "01.02.2026", "2026/02/01", " 2026-02-01 ", "2026-02-01Z", "2026-02-01+01:00", "-2026-02-01", "12026-02-01",
    "0000-01-01", "1899-12-31", "1989-12-31", "1990-01-01", "2006-01-01", "2005-12-31", "2016-07-01", "2016-06-30", "2050-01-01", "2050-01-02", "2051-01-01",
    "2026-02-01T00:00:00Z", "2026-02-01T24:00:00Z", "2026-02-01T24:00:01Z", "2026-02-01T25:00:00Z", "2026-02-01T23:60:00Z", "2026-02-01T23:59:60Z",
    "2026-02-01T00:00:00", "2026-02-01T00:00Z", "2026-02-01 00:00:00", "2026-02-01T00:00:00.Z", "2026-02-01T00:00:00.000Z", "2026-02-01T00:00:00+14:00", "2026-02-01T00:00:00+14:01",
    "2026-02-01T00:00:00+15:00", "2026-02-01T00:00:00-13:59", "2026-02-01T00:00:00+01:60", "2026-02-01T00:00:00z", "2025-08-31T23:59:59Z", "2025-09-01T00:00:00Z", "2025-09-01T00:00:00", "2025-09-01T14:00:00",
    "2025-09-01T14:00:01", "2025-09-01T01:59:59+02:00", "2050-01-01T23:59:59Z", "2050-01-01T23:59:59.5Z", "2050-01-02T00:00:00Z", "2050-01-01T09:59:59", "2050-01-01T10:00:00", "2021-10-01T00:00:00Z", "2021-09-30T23:59:59Z", "2022-01-01T00:00:00Z",
    "2026-02-01T12:00:00\n", " 2026-02-01T12:00:00Z", "PLN", "pln", "PLN ", " PLN", "XXX", "PL", "pl", "EL", "GR", "XI", "UK", "VAT", " VAT ", "VAT\n", "vat", "KOR", "KOR_ROZ", "23", "23%", "0 KR", "0  KR", "0\nKR", "zw", "ZW", "np I", "np  I",
    "GTU_01", "GTU_14", "FA", "FA ", "FA (3)", "FA  (3)", "FA (2)", "1-0E", "1-1E", "txt", "dec", "TXT",
    "9999999999", "999-999-99-99", "0999999999", "9009999999", "99999999990", "999999999", " 9999999999", "PL9999999999", "\u0661" * 10,
    "5265877635-00001", "5265877635-0000", "5265877635-20250826-0100001AF629-AF", "9999999999-20230908-8BEF28-0C81E2-C6", "5265877635-20250826-0100001af629-AF",
    "a@b", "@b", "a@", "a b@c", "ab", "a@" + "b" * 253, "a@" + "b" * 254, "AAAABBCC", "ABCDPLPW", "ABCDPLPWXX", "abcdplpw", "73111111111111111111111111", "PL 73", "1" * 9, "1" * 10, "1" * 14, "1" * 32, "1" * 34, "1" * 35,
    "x" * 9, "x" * 13, "x" * 14, "x" * 16, "x" * 17, "x" * 20, "x" * 21, "x" * 32, "x" * 33, "x" * 50, "x" * 51, "x" * 256, "x" * 257, "x" * 512, "x" * 513, "x" * 3500, "x" * 3501,
    "\u0105" * 256, "\u0105" * 257, "\U0001d11e" * 256, "\U0001d11e" * 257, "x" * 255 + " ", "x" * 256 + " ", "x " * 128, "x  " * 128, "\u00a0", "\u2003", "\u00a0x", "x\ty", "x\r\ny", "\x85", "\u2028",
    "123abcDEF4567", "12abcDEF45678", "https://a.pl/?IPKSeF=123abcDEF4567", "https://a/?IPKSeF=123abcDEF4567", "ftp://a.pl/?IPKSeF=123abcDEF4567", "https://a.pl/a b?IPKSeF=123abcDEF4567", "http://a.pl?x&IPKSeF=123abcDEF4567#\u0105 b",
]  # fmt: skip

_Element = etree._Element


def mutate(xml: bytes, form: str, chance: random.Random, count: int) -> bytes:
    """Return a document with some changes; it stays well-formed.

    Args:
        xml: A document.
        form: Its form.
        chance: Where chance comes from.
        count: How many changes.
    """
    root = etree.fromstring(xml)
    for _ in range(count):
        chance.choices([change for change, _ in _CHANGES], [weight for _, weight in _CHANGES])[0](root, form, chance)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _any(root: _Element, chance: random.Random, *, leaf: bool | None = None) -> _Element | None:
    elements = [e for e in root.iter(etree.Element) if e is not root and (leaf is None or (len(e) == 0) is leaf)]
    return chance.choice(elements) if elements else None


def _drop(root: _Element, form: str, chance: random.Random) -> None:
    element = _any(root, chance)
    if element is not None:
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)


def _double(root: _Element, form: str, chance: random.Random) -> None:
    element = _any(root, chance)
    if element is not None:
        for _ in range(chance.choice([1, 1, 1, 2, 5, 30, 120])):
            element.addnext(_copy(element))


def _copy(element: _Element) -> _Element:
    copied = etree.fromstring(etree.tostring(element, with_tail=False))
    copied.tail = element.tail
    return copied


def _move(root: _Element, form: str, chance: random.Random) -> None:
    element = _any(root, chance)
    if element is None:
        return
    parent = element.getparent()
    assert parent is not None
    if chance.random() < 0.75:
        parent.insert(chance.randrange(len(parent)), element)
        return
    others = [e for e in root.iter(etree.Element) if len(e) and element not in e.iterancestors() and e is not element]
    others = [e for e in others if not any(a is element for a in e.iterancestors())]
    other = chance.choice(others)
    other.insert(chance.randint(0, len(other)), element)


def _rename(root: _Element, form: str, chance: random.Random) -> None:
    element = _any(root, chance)
    if element is None:
        return
    shape = load_shape(form)
    namespace, _, name = element.tag.rpartition("}")
    names = [item.name for kind in shape.elements for item in shape.complex(kind).items]
    parent = element.getparent()
    assert parent is not None
    siblings = [str(sibling.tag).rpartition("}")[2] for sibling in parent.iter(etree.Element)]
    name = chance.choice([chance.choice(names), chance.choice(siblings), f"{name}x", name.lower(), "Invented"])
    if chance.random() < 0.1:
        namespace = chance.choice(["", "{urn:x", "{http://crd.gov.pl/wzor/2023/06/29/12648/"])
    element.tag = f"{namespace}}}{name}" if namespace else name


def _add(root: _Element, form: str, chance: random.Random) -> None:
    """Put an element of the form where it may or may not belong."""
    shape = load_shape(form)
    kind = shape.complex(chance.choice(shape.elements))
    if not kind.items:
        return
    item = chance.choice(kind.items)
    made = etree.Element(f"{{{shape.namespace}}}{item.name}", nsmap={None: shape.namespace})  # type: ignore[dict-item]  # stubs
    if shape.is_simple(item.type):
        made.text = make_value(shape.simple(item.type), chance)
    parents = [e for e in root.iter(etree.Element) if len(e)]
    parent = chance.choice(parents)
    parent.insert(chance.randint(0, len(parent)), made)


def _break(root: _Element, form: str, chance: random.Random) -> None:
    element = _any(root, chance, leaf=True)
    if element is not None:
        element.text = chance.choice(_VALUES)


def _bend(root: _Element, form: str, chance: random.Random) -> None:
    """Change one character of a value."""
    element = _any(root, chance, leaf=True)
    if element is None:
        return
    text = element.text or ""
    at = chance.randint(0, len(text))
    element.text = (
        text[:at]
        + chance.choice(["", " ", "0", "9", ".", ",", "-", "+", "x", "\n", "ą"])
        + text[at + chance.randint(0, 1) :]
    )


def _fill(root: _Element, form: str, chance: random.Random) -> None:
    """Put text where there are elements, or elements where there is text."""
    element = _any(root, chance)
    if element is None:
        return
    if len(element) and chance.random() < 0.5:
        element.text = chance.choice(["x", "\n", " \t", "\u00a0", "0"])
    elif len(element):
        element[chance.randrange(len(element))].tail = chance.choice(["x", "\n", "\u00a0", "0"])
    else:
        element.append(etree.Element(chance.choice(["b", str(element.tag)])))


def _empty(root: _Element, form: str, chance: random.Random) -> None:
    element = _any(root, chance)
    if element is not None:
        tail = element.tail
        element.clear()
        element.tail = tail


def _change_attribute(root: _Element, form: str, chance: random.Random) -> None:
    having = [e for e in root.iter(etree.Element) if e.attrib]
    element = chance.choice(having) if having and chance.random() < 0.7 else _any(root, chance)
    if element is None:
        return
    xsi = "{http://www.w3.org/2001/XMLSchema-instance}"
    names = [*map(str, element.attrib), "Typ", "x", "kodSystemowy", f"{xsi}nil", f"{xsi}noNamespaceSchemaLocation"]
    name = chance.choice(names)
    if name in element.attrib and chance.random() < 0.5:
        del element.attrib[name]
    else:
        element.set(name, chance.choice([*_VALUES[:20], "FA (3)", "FA (2)", "1-0E", "txt", " txt", "true", "false"]))


def _comment(root: _Element, form: str, chance: random.Random) -> None:
    element = _any(root, chance)
    if element is not None:
        element.insert(0, etree.Comment("c"))
        if len(element) == 1:
            element[0].tail, element.text = element.text, chance.choice([None, "1", " "])


_CHANGES: Final[list[tuple[Callable[[_Element, str, random.Random], None], int]]] = [
    (_drop, 12), (_double, 10), (_move, 12), (_rename, 10), (_add, 8), (_break, 30), (_bend, 10), (_fill, 4), (_empty, 3),
    (_change_attribute, 5), (_comment, 2),
]  # fmt: skip
