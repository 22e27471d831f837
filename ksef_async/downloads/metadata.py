"""``_metadata.json``: the metadata of the invoices in a package, read row by row and never held as a whole."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Final

import attrs

from ..api.invoices import InvoiceMetadata
from ..errors import RemoteProtocolError
from ..protocol.wire import WIRE, WireError
from .archives import UnpackLimits

__all__ = ["Row", "read_metadata"]

_ARRAY: Final = re.compile(r'\s*\{.*?"invoices"\s*:\s*\[', re.DOTALL)
_BLANKS: Final = re.compile(r"[ \t\r\n]*")
# Characters within which the array of invoices begins.
_LONGEST_HEAD: Final = 2**16


@attrs.frozen
class Row:
    """The metadata of one invoice."""

    text: str = attrs.field(repr=False)
    """As KSeF wrote it."""
    metadata: InvoiceMetadata | None
    """None where it cannot be read."""
    unread: tuple[tuple[str, str], ...] = ()
    """What of it could not be read: where, and what was expected there."""


def read_metadata(pieces: Iterable[bytes], limits: UnpackLimits) -> Iterator[Row]:
    """Each invoice, one by one: ten thousand at once would keep all other threads waiting, and take much memory.

    Args:
        pieces: The file.
        limits: How long a row may be.

    Raises:
        RemoteProtocolError: Not what KSeF specifies: not JSON, cut off, or with a row longer than may be.
    """
    rows = _rows(_Text(pieces), limits.max_row_size)
    for number in itertools.count():
        found, problem = None, ""
        try:
            found = next(rows, None)
        except (ValueError, RecursionError, ArithmeticError) as error:
            # Its own text holds what was read; only where it ended is said.
            problem = error.msg if isinstance(error, json.JSONDecodeError) else str(error) or "unreadable"
        if problem:
            raise RemoteProtocolError(
                f"The metadata in KSeF's package is not JSON: {problem} (invoice {number}).",
                operation="export_package",
                path=f"$.invoices[{number}]",
            )
        if found is None:
            return
        yield _row(*found, number)


def _row(text: str, value: object, number: int) -> Row:
    unread: list[Any] = []
    metadata = None
    try:
        metadata = WIRE.load(value, InvoiceMetadata, unread)
    except WireError as error:
        unread += error.problems
    except RecursionError:
        unread.append(("$", "expected less that is nested"))
    return Row(text, metadata, tuple((path.replace("$", f"$.invoices[{number}]", 1), why) for path, why in unread))


class _Text:
    """Text that comes in pieces; what is done with is dropped."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text = ""
        self.at = 0

    def more(self, least: int = 1) -> bool:
        """Append what comes next, at least so many characters where there are as many; False at the end."""
        parts, length = [self.text[self.at :]], 0
        while length < least and (piece := next(self._pieces, None)) is not None:
            parts.append(self._decoder.decode(piece))
            length += len(parts[-1])
        if length == 0:
            parts.append(self._decoder.decode(b"", final=True))
        self.text, self.at = "".join(parts), 0
        return length > 0

    def skip_blanks(self) -> str:
        """Go to the next character that is not blank, and give it; empty at the end."""
        while True:
            blanks = _BLANKS.match(self.text, self.at)
            self.at = self.at if blanks is None else blanks.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def last_character(self) -> str:
        """Read to the end; return the last character that is not blank."""
        last = ""
        while True:
            if rest := self.text[self.at :].rstrip():
                last = rest[-1]
            self.at = len(self.text)
            if not self.more():
                return last


def _rows(text: _Text, longest: int) -> Iterator[tuple[str, object]]:
    while (found := _ARRAY.match(text.text, text.at)) is None:
        if len(text.text) > _LONGEST_HEAD or not text.more():
            raise ValueError("no array of invoices")
    text.at = found.end()
    decoder = json.JSONDecoder(parse_float=Decimal)
    following = text.skip_blanks()
    while following != "]":
        yield _value(decoder, text, longest)
        following = text.skip_blanks()
        if following == ",":
            text.at += 1
            text.skip_blanks()
        elif following != "]":
            raise ValueError("the array does not end")
    # To the end: there the checksum of the archive is compared, and a file that was cut off shows.
    if text.last_character() != "}":
        raise ValueError("the object does not end")


def _value(decoder: json.JSONDecoder, text: _Text, longest: int) -> tuple[str, object]:
    text.skip_blanks()
    while True:
        held = len(text.text) - text.at
        try:
            value, end = decoder.raw_decode(text.text, text.at)
        except json.JSONDecodeError:
            # It may be that the rest is still to come.
            if held > longest or not text.more(held):
                raise
            continue
        if end - text.at > longest:
            raise ValueError(f"a row has more than {longest:,} characters")
        if end < len(text.text) or not text.more():
            row = text.text[text.at : end]
            text.at = end
            return row, value
