"""Where an incremental download stands: what a user stores, and goes on from.

The rule: a cursor goes back to KSeF in the very text that KSeF wrote, and both ends of a range count as inside; so
the numbers of the invoices at and above the cursor are kept beside it, and are not given again. Where a download looks
back below its cursor, the numbers down to there are kept as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from ..api.common import ServerTime
from ..api.invoices import InvoiceSubject
from ..protocol.snapshots import SnapshotFormat

__all__ = ["Checkpoint", "Position", "TakenInvoice"]


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
    """One for each subject type whose download has begun."""

    def of(self, subject_type: InvoiceSubject) -> Position | None:
        """Where the download stands for ``subject_type``; None when it has not begun."""
        return next((each for each in self.positions if each.subject_type == subject_type), None)

    def with_position(self, position: Position) -> Checkpoint:
        """Return the checkpoint with ``position`` in place of the one of its subject type."""
        others = (each for each in self.positions if each.subject_type != position.subject_type)
        return Checkpoint((*others, position))

    def to_json(self) -> str:
        """Return it as JSON."""
        return _FORMAT.write(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Checkpoint:
        """Return what `to_json` was called of.

        Raises:
            LocalProtocolError: Not a checkpoint, or one of another version of this library.
        """
        return _FORMAT.read(text)


def _dump(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "positions": {
            each.subject_type.value: {
                "cursor": each.cursor,
                "knownFrom": each.known_from,
                "taken": [(taken.ksef_number, taken.stored_at) for taken in each.taken],
            }
            for each in checkpoint.positions
        }
    }


def _load(content: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        tuple(
            Position(
                subject_type=InvoiceSubject(name),
                cursor=_moment(each["cursor"]),
                known_from=_moment(each["knownFrom"]),
                taken=tuple(
                    TakenInvoice(_number(number), None if date is None else _moment(date))
                    for number, date in each["taken"]
                ),
            )
            for name, each in content["positions"].items()
        )
    )


_FORMAT: Final = SnapshotFormat(kind="download", dump=_dump, load=_load)


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


def _number(number: object) -> str:
    if not isinstance(number, str):
        raise TypeError("a KSeF number is a string")
    return number
