"""A document's bytes: parsed safely, with the place of what is wrong.

There is no DTD, so no entities and no bombs. The size is bounded before anything is parsed, so time and memory are.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final
from xml.parsers import expat

from ..errors import quote
from ..protocol.invoices import check_is_bytes
from ..protocol.xml import ET, find_forbidden
from .report import DocumentError, Problem, Report, make_problem

__all__ = [
    "BLANKS",
    "MOST_BYTES",
    "MOST_ELEMENTS",
    "Place",
    "Places",
    "find_refused",
    "parse_document",
    "place_of",
    "shown",
]

#: Bytes of an invoice with attachments, the largest that KSeF takes.
MOST_BYTES: Final = 3_000_000
#: More than any document of `MOST_BYTES` can have: its elements have longer names.
MOST_ELEMENTS: Final = 300_000
#: What XML calls white space; Python's is much more.
BLANKS: Final = " \t\r\n"

#: Line and column from 1, byte from 0.
Place = tuple[int, int, int]

#: As expat counts lines: a carriage return alone ends one.
_LINE_ENDS: Final = re.compile(rb"\r\n?|\n")
_DECLARED: Final = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"']*)[\"']")
#: Expat's reasons in Polish, by its code.
_REASONS: Final = {
    2: "błąd składni",
    3: "brak elementu",
    4: "niedozwolony znak",
    5: "niezamknięty znacznik",
    6: "niepełny znak",
    7: "znacznik zamykający nie pasuje do otwierającego",
    8: "powtórzony atrybut",
    9: "treść za elementem głównym",
    11: "nieznana encja",
    12: "encja zagnieżdżona w sobie",
    14: "niepoprawny numer znaku",
    20: "niezamknięta sekcja CDATA",
    27: "niezadeklarowany przedrostek",
}


def parse_document(data: bytes) -> ET.Element:
    """Return the root element of a document.

    Args:
        data: The document's bytes.

    Raises:
        DocumentError: It has more than `MOST_BYTES`, is not UTF-8 without BOM, not well-formed, or has a DTD or a
            processing instruction.
    """
    problem = find_refused(data)
    if problem is not None:
        raise DocumentError(Report(problems=(problem,)))
    try:
        # Without a DTD there are no entities, which is what S314 warns of.
        return ET.fromstring(data)
    except ET.ParseError as error:
        raise DocumentError(Report(problems=(_not_well_formed(data, error),))) from None


def find_refused(data: bytes) -> Problem | None:
    """Return the first thing about the bytes themselves that KSeF refuses in every environment; None if there is none.

    Whether they are well-formed XML is not looked at. What is not bytes is a `LocalProtocolError`.

    Args:
        data: The document's bytes.
    """
    check_is_bytes(data)
    if not data:
        return make_problem("empty")
    if len(data) > MOST_BYTES:
        return make_problem("too_large", size=len(data), limit=MOST_BYTES)
    if data.startswith(b"\xef\xbb\xbf"):
        return make_problem("bom", place=(1, 1, 0))
    if data[:2] in {b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"}:
        return make_problem("encoding", place=(1, 1, 0), encoding="UTF-16")
    declared = _DECLARED.match(data)
    if declared and declared[1].lower() != b"utf-8":
        encoding = quote(declared[1].decode("ascii", "replace"), 40)
        return make_problem("encoding", place=(1, declared.start(1) + 1, declared.start(1)), encoding=encoding)
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return make_problem("not_utf8", place=place_of(data, error.start), byte=f"0x{data[error.start]:02X}")
    # An element has at least 10 bytes in every form; each of the others takes memory.
    if data.count(b"<") > 2 * MOST_ELEMENTS and _has_more_elements(data):
        return make_problem("too_many_elements", limit=MOST_ELEMENTS)
    forbidden = find_forbidden(data)
    if forbidden is None:
        return None
    code = "dtd" if forbidden.is_dtd else "processing_instruction"
    return make_problem(code, place=place_of(data, forbidden.offset), target=quote(forbidden.target, 40))


class _EnoughError(Exception):
    """Ends the count."""


def _has_more_elements(data: bytes) -> bool:
    parser = expat.ParserCreate()
    count = 0

    def start(*_: object) -> None:
        nonlocal count
        count += 1
        if count > MOST_ELEMENTS:
            raise _EnoughError

    parser.StartElementHandler = start
    with contextlib.suppress(_EnoughError, expat.ExpatError):
        parser.Parse(data, True)
    return count > MOST_ELEMENTS


def _position(parser: Any) -> Place:
    return parser.CurrentLineNumber, parser.CurrentColumnNumber + 1, parser.CurrentByteIndex


def _not_well_formed(data: bytes, error: ET.ParseError) -> Problem:
    line, column = error.position
    start = 0
    for end in islice(_LINE_ENDS.finditer(data), line - 1):
        start = end.end()
    rest = data[start : start + 4 * column].decode("utf-8", "ignore")[:column]
    reason = expat.ErrorString(error.code) or "unknown"
    return make_problem(
        "not_well_formed",
        place=(line, column + 1, start + len(rest.encode())),
        reason=reason,
        reason_pl=_REASONS.get(error.code, reason),
    )


def place_of(data: bytes, offset: int) -> Place:
    """Return line, column and byte of a byte."""
    line_feeds, returns, both = (data.count(end, 0, offset) for end in (b"\n", b"\r", b"\r\n"))
    start = max(data.rfind(b"\n", 0, offset), data.rfind(b"\r", 0, offset)) + 1
    column = len(data[start:offset].decode("utf-8", "replace"))
    return line_feeds + returns - both + 1, column + 1, offset


class Places:
    """Where elements stand in a document.

    The elements that come from parsing do not know it, so the document is parsed a second time; only what is wrong
    needs a place.

    Args:
        data: The document's bytes.
        root: Its root element.
        wanted: The elements whose place is asked for.
    """

    def __init__(self, data: bytes, root: ET.Element, wanted: Iterable[ET.Element]) -> None:
        ids = {id(element) for element in wanted}
        self._parents: dict[int, ET.Element] = {}
        self._places: dict[int, Place] = {}
        self._numbers: dict[int, dict[int, int]] = {}
        if ids:
            self._parents = {id(child): parent for parent in root.iter() for child in parent}
            self._find(data, {number: id(each) for number, each in enumerate(root.iter()) if id(each) in ids})

    def _find(self, data: bytes, numbers: dict[int, int]) -> None:
        parser = expat.ParserCreate()
        count = 0

        def start(*_: object) -> None:
            nonlocal count
            if count in numbers:
                self._places[numbers[count]] = _position(parser)
            count += 1

        parser.StartElementHandler = start
        parser.Parse(data, True)

    def place(self, element: ET.Element) -> Place:
        """Return where the element's tag begins; of a wanted one only."""
        return self._places[id(element)]

    def parent(self, element: ET.Element) -> ET.Element | None:
        """Return the element that another stands in; None for the root."""
        return self._parents.get(id(element))

    def path(self, element: ET.Element) -> str:
        """Return the element's path: names from the root on, with a number where siblings have the same name."""
        steps = []
        current: ET.Element | None = element
        while current is not None:
            parent = self._parents.get(id(current))
            name = shown(current.tag)
            if parent is not None and (number := self._number(current, parent)) is not None:
                name += f"[{number}]"
            steps.append(name)
            current = parent
        return "/" + "/".join(reversed(steps))

    def _number(self, element: ET.Element, parent: ET.Element) -> int | None:
        """Return which of its siblings of the same name an element is; None where it is the only one."""
        if id(parent) not in self._numbers:
            counts = Counter(child.tag for child in parent)
            seen: Counter[str] = Counter()
            numbers = self._numbers[id(parent)] = {}
            for child in parent:
                seen[child.tag] += 1
                if counts[child.tag] > 1:
                    numbers[id(child)] = seen[child.tag]
        return self._numbers[id(parent)].get(id(element))


def shown(tag: str) -> str:
    """Return the name of an element or attribute without its namespace, fit for a sentence."""
    return quote(tag.rpartition("}")[2], 80)
