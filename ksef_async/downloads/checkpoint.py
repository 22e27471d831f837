"""Where an incremental download stands: what a user stores, and goes on from.

The rule: a cursor goes back to KSeF in the very text that KSeF wrote, and both ends of a range count as inside; so
the numbers of the invoices at and above the cursor are kept beside it, and are not given again. Where a download looks
back below its cursor, the numbers down to there are kept as well.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Self

import attrs
import orjson

from ..api.common import ServerTime
from ..api.invoices import InvoiceSubject
from ..errors import LocalProtocolError

__all__ = ["Checkpoint", "Position", "TakenInvoice"]

_VERSION: Final = 2


@attrs.frozen
class TakenInvoice:
    """An invoice that was given already."""

    ksef_number: str
    stored_at: str | None = None
    """Its permanent storage date, as KSeF wrote it; None where it is not known."""


@attrs.frozen(kw_only=True)
class Position:
    """Where the download stands for one subject type."""

    subject_type: InvoiceSubject
    cursor: str
    """A permanent storage date, as KSeF wrote it: everything before it was taken."""
    known_from: str = attrs.field(default=attrs.Factory(lambda self: self.cursor, takes_self=True))
    """From this permanent storage date on, ``taken`` names every invoice that was taken; at most ``cursor``."""
    taken: tuple[TakenInvoice, ...] = ()
    """The invoices at or after ``known_from`` that were taken."""

    @property
    def moment(self) -> ServerTime:
        """The cursor as a time."""
        return ServerTime.parse(self.cursor)


@attrs.frozen
class Checkpoint:
    """Where a download stands. It holds no secrets; ``to_json`` and ``from_json`` keep it whole."""

    positions: tuple[Position, ...] = ()

    def of(self, subject_type: InvoiceSubject) -> Position | None:
        """Where the download stands for ``subject_type``; None when it has not begun."""
        return next((each for each in self.positions if each.subject_type == subject_type), None)

    def with_position(self, position: Position) -> Checkpoint:
        """The checkpoint with ``position`` in place of the one of its subject type."""
        others = (each for each in self.positions if each.subject_type != position.subject_type)
        return Checkpoint((*others, position))

    def to_json(self) -> str:
        """As versioned JSON."""
        positions = {
            each.subject_type.value: {
                "cursor": each.cursor,
                "knownFrom": each.known_from,
                "taken": [(taken.ksef_number, taken.stored_at) for taken in each.taken],
            }
            for each in self.positions
        }
        return orjson.dumps({"version": _VERSION, "positions": positions}).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` wrote, of this version of the library or an earlier one.

        Raises:
            LocalProtocolError: Not a checkpoint, or one of a later version of this library.
        """
        try:
            content: dict[str, Any] = orjson.loads(text)
            version = content["version"]
            if version not in (1, _VERSION):
                raise LocalProtocolError(
                    f"The checkpoint has version {version}; this ksef_async reads up to version {_VERSION}."
                )
            read = _position if version == _VERSION else _first_position
            return cls(tuple(read(name, each) for name, each in content["positions"].items()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LocalProtocolError(f"This is no checkpoint of a download: {error!r}.") from None


def _position(name: str, content: dict[str, Any]) -> Position:
    return Position(
        subject_type=InvoiceSubject(name),
        cursor=_moment(content["cursor"]),
        known_from=_moment(content["knownFrom"]),
        taken=tuple(
            TakenInvoice(_number(number), None if date is None else _moment(date)) for number, date in content["taken"]
        ),
    )


def _first_position(name: str, content: dict[str, Any]) -> Position:
    # Version 1 kept the numbers at and above the cursor, without their dates.
    taken = tuple(TakenInvoice(_number(number)) for number in content["taken"])
    return Position(subject_type=InvoiceSubject(name), cursor=_moment(content["cursor"]), taken=taken)


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _number(number: object) -> str:
    if not isinstance(number, str):
        raise TypeError("a KSeF number is a string")
    return number
