"""Where an incremental download stands: what a user stores, and goes on from.

The rule: a cursor goes back to KSeF in the very text that KSeF wrote, and both ends of a range count as inside; so
the numbers of the invoices that lie on the cursor are kept beside it, and are not given again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Self

import attrs
import orjson

from ..errors import LocalProtocolError
from ..models.invoices import InvoiceMetadata, InvoiceSubject
from ..models.times import ServerTime

__all__ = ["Checkpoint", "Position"]

_VERSION: Final = 1


@attrs.frozen(kw_only=True)
class Position:
    """Where the download stands for one subject type."""

    subject_type: InvoiceSubject
    #: A permanent storage date, as KSeF wrote it: everything before it was taken.
    cursor: str
    #: KSeF numbers of the invoices at or after ``cursor`` that were taken.
    taken: tuple[str, ...] = ()

    @property
    def moment(self) -> ServerTime:
        """The cursor as a time."""
        return ServerTime.parse(self.cursor)

    def after(self, invoice: InvoiceMetadata) -> Position:
        """The position once ``invoice`` is taken; invoices are taken in the order of their storage."""
        date = invoice.permanent_storage_date
        if date <= self.moment:
            return attrs.evolve(self, taken=(*self.taken, invoice.ksef_number))
        return attrs.evolve(self, cursor=date.text, taken=(invoice.ksef_number,))

    def moved_to(self, border: ServerTime, invoices: tuple[InvoiceMetadata, ...]) -> Position:
        """The position once everything up to ``border`` is taken, ``invoices`` being the last package."""
        if border < self.moment:
            return self
        beyond = [each.ksef_number for each in invoices if each.permanent_storage_date >= border]
        if border == self.moment:
            beyond = [*self.taken, *beyond]
        return attrs.evolve(self, cursor=border.text, taken=tuple(dict.fromkeys(beyond)))


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
            each.subject_type.value: {"cursor": each.cursor, "taken": list(each.taken)} for each in self.positions
        }
        return orjson.dumps({"version": _VERSION, "positions": positions}).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The other direction of `to_json`.

        Raises:
            LocalProtocolError: Not a checkpoint, or one of a later version of this library.
        """
        try:
            content: dict[str, Any] = orjson.loads(text)
            if content["version"] != _VERSION:
                raise LocalProtocolError(
                    f"The checkpoint has version {content['version']}; this ksef_async reads version {_VERSION}."
                )
            return cls(tuple(_position(name, each) for name, each in content["positions"].items()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LocalProtocolError(f"This is no checkpoint of a download: {error!r}.") from None


def _position(name: str, content: dict[str, Any]) -> Position:
    cursor, taken = content["cursor"], content["taken"]
    datetime.fromisoformat(cursor)
    if not all(isinstance(number, str) for number in taken):
        raise ValueError("a KSeF number is a string")
    return Position(subject_type=InvoiceSubject(name), cursor=cursor, taken=tuple(taken))
