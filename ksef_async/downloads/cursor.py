"""The rules of an incremental download: which range is asked for next, and what was given already.

The rule (pobieranie-faktur/hwm.md): what was stored at or before the high-water mark is final and complete, so the
cursor moves up to the mark. But a mark may lie beyond the range that was asked for, before its start, or nowhere:

* The cursor moves to the smallest of the mark, the end of the range and, where KSeF has cut the package off, the
  storage date of its last invoice. It never moves back.
* A mark that is missing, or lies in the future, says nothing: then what was stored a day ago counts as final.
* Invoices above the cursor are given too, as they come, and remembered until the cursor has passed them.
* Invoices that turn up below the cursor (the index lags behind the storage: CIRFMF/ksef-docs#557, #711) are found by
  looking back; what lies within the overlap is remembered as well.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from ..api.common import ServerTime
from ..api.invoices import InvoiceMetadata, InvoicePackage
from ..errors import RemoteProtocolError
from ..protocol.invoice_queries import LONGEST_RANGE
from .checkpoint import Position, TakenInvoice

__all__ = ["LONGEST_OVERLAP", "Cursor", "Window", "stored_at"]

# Room for clocks that differ, within the 100 days a query may span.
_WINDOW: Final = LONGEST_RANGE - timedelta(days=1)
LONGEST_OVERLAP: Final = timedelta(days=90)
"""As far as a download can look back within one query, and still get somewhere."""
# What was stored so long ago is final, where KSeF does not say up to which date everything is: it takes minutes.
_SETTLED: Final = timedelta(days=1)
# How far KSeF's clocks may be apart from each other, and ours from them.
_CLOCKS_DIFFER: Final = timedelta(minutes=1)
# Invoices below the cursor that are remembered, and above it; some 70 bytes each in the checkpoint.
_MOST_BELOW: Final = 10_000
_MOST_ABOVE: Final = 100_000
_TICK: Final = timedelta(microseconds=1)


@attrs.frozen(kw_only=True)
class Window:
    """A range of permanent storage dates to ask for."""

    start: ServerTime
    end: ServerTime | None
    """None for all there is."""
    asked_at: datetime
    """What time it was at KSeF, at the latest when it was asked."""

    @classmethod
    def beginning(cls, start: ServerTime, now: datetime) -> Window:
        """Return the range from ``start`` on, as long as KSeF allows."""
        end = None if now - start < _WINDOW else _written(start + _WINDOW)
        return cls(start=start, end=end, asked_at=now)

    @property
    def limit(self) -> datetime:
        """Nothing that was stored later was asked for."""
        return self.asked_at if self.end is None else self.end

    def is_too_long(self, now: datetime) -> bool:
        """Return whether the range is too long by now: our clock stood still, as in a computer that slept."""
        return self.end is None and now - self.start >= _WINDOW

    @property
    def is_recent(self) -> bool:
        """Return whether the high-water mark may not have reached its end yet."""
        return self.end is None or self.asked_at - self.end < _SETTLED


class Cursor:
    """Where a download stands for one subject type, while it goes on.

    Args:
        position: Where it stood.
        overlap: How far it looks back.
        now: What time it is at KSeF.
    """

    def __init__(self, position: Position, overlap: timedelta, now: datetime) -> None:
        self._subject_type = position.subject_type
        self._overlap = overlap
        self._cursor = position.moment
        self._known_from = ServerTime.parse(position.known_from)
        self._numbers = {each.ksef_number for each in position.taken}
        entries = sorted(_entry(each, now) for each in position.taken)
        """What is remembered, the oldest first, and by which date: `position` is asked for with every invoice."""
        self._keys = [(date, number) for date, number, _ in entries]
        self._taken = [taken for _, _, taken in entries]
        # The invoices of the package, the oldest first, and how many of them were taken without a gap.
        self._order: list[InvoiceMetadata] = []
        self._passed = 0
        self._final = self._cursor
        self._asked_at = now
        self._is_complete = True
        self.is_cut_short = False
        """Whether less is looked back than was wished, for there were too many invoices to remember."""

    @property
    def position(self) -> Position:
        """The position to store."""
        return Position(
            subject_type=self._subject_type,
            cursor=self._cursor.text,
            known_from=self._known_from.text,
            taken=tuple(self._taken),
        )

    @property
    def look_back(self) -> ServerTime:
        """The date to begin at: the cursor minus the overlap, as far back as what was given is remembered."""
        return self._below_cursor()

    def begin(
        self,
        window: Window,
        info: InvoicePackage,
        metadata: Sequence[InvoiceMetadata],
        now: datetime,
        *,
        is_complete: bool = True,
    ) -> None:
        """Take up a package.

        Args:
            window: What was asked for.
            info: What KSeF says of the package.
            metadata: Of its invoices.
            now: What time it is at KSeF, now that the package is there.
            is_complete: Whether these are all its invoices; otherwise the cursor stays until the package is finished.
        """
        self._final = _final(window, info.permanent_storage_hwm_date, now)
        self._asked_at = max(window.asked_at, now)
        # One without a date may have any: nothing is passed by before it is taken.
        self._order = sorted(metadata, key=lambda each: stored_at(each) or window.start)
        self._passed = 0
        self._is_complete = is_complete

    def is_new(self, invoice: InvoiceMetadata) -> bool:
        """Return whether the invoice was not given yet; False for one that was stored before all that was asked for."""
        date = stored_at(invoice)
        return invoice.ksef_number not in self._numbers and (date is None or date >= self._known_from)

    def take(self, invoice: InvoiceMetadata) -> None:
        """Note that the invoice is given, and move the cursor to it once all before it are.

        Raises:
            RemoteProtocolError: There are more invoices above the high-water mark than can be remembered.
        """
        date = stored_at(invoice)
        taken = TakenInvoice(invoice.ksef_number, None if date is None else date.text)
        self._numbers.add(invoice.ksef_number)
        stored, number, taken = _entry(taken, self._asked_at)
        place = bisect.bisect(self._keys, (stored, number))
        self._keys.insert(place, (stored, number))
        self._taken.insert(place, taken)
        reached = None
        while self._passed < len(self._order) and not self.is_new(self._order[self._passed]):
            reached = stored_at(self._order[self._passed]) or reached
            self._passed += 1
        if reached is not None and self._is_complete:
            self._move_to(min(reached, self._final))
        if len(self._keys) > _MOST_BELOW + _MOST_ABOVE:
            raise RemoteProtocolError(
                f"KSeF gives more than {_MOST_ABOVE:,} invoices above the high-water mark that it gives "
                f"({self._final.text}); the download cannot go on.",
                operation="export_invoices",
            )

    def finish(self, window: Window, info: InvoicePackage) -> ServerTime | None:
        """Note that the whole package was taken.

        Returns:
            Where the next range begins; None when KSeF has no more to give for now.

        Raises:
            RemoteProtocolError: KSeF has cut the package off, and none of its invoices has a date.
        """
        if info.is_truncated:
            reached = self._last_date(window, info)
            self._move_to(min(reached, self._final))
            return reached
        self._move_to(self._final)
        if window.end is not None and window.is_recent and self._final < window.end:
            return None
        # Where the mark lies before the end of an old range, the cursor stays there, but what follows is given.
        return window.end

    def _last_date(self, window: Window, info: InvoicePackage) -> ServerTime:
        """Up to which date the package is complete."""
        dates = [date for each in self._order if (date := stored_at(each)) is not None]
        declared = info.last_permanent_storage_date
        if not dates and declared is None:
            raise RemoteProtocolError(
                "KSeF has cut a package off, and does not say after which date.",
                operation="export_invoices",
                path="$.package.lastPermanentStorageDate",
            )
        # What is in it counts: a later date would skip what lies between.
        last = dates[-1] if dates else None
        if declared is not None and (last is None or window.start < declared < last):
            last = declared
        assert last is not None  # noqa: S101  # one of the two is there
        # Our clock may be behind KSeF's, which is known in whole seconds only: what was stored just now lies beyond the
        # time at which we asked by our clock, and is still the last of the package.
        latest = window.limit if window.end is not None else window.limit + _CLOCKS_DIFFER
        return last if last <= latest else _written(window.limit)

    def _move_to(self, moment: ServerTime) -> None:
        self._cursor = max(self._cursor, moment)
        self._known_from = self._below_cursor()
        self._forget(self._count_below(self._known_from))
        below = self._count_below(self._cursor)
        if below > _MOST_BELOW:
            last, _ = self._keys[below - _MOST_BELOW - 1]
            self._known_from = min(self._cursor, _written(last + _TICK))
            self._forget(self._count_below(self._known_from))
            self.is_cut_short = True

    def _below_cursor(self) -> ServerTime:
        if not self._overlap:
            return self._cursor
        if self._cursor - self._known_from <= self._overlap:
            return self._known_from
        return _written(self._cursor - self._overlap)

    def _count_below(self, moment: datetime) -> int:
        return bisect.bisect_left(self._keys, moment, key=lambda each: each[0])

    def _forget(self, count: int) -> None:
        self._numbers.difference_update(number for _, number in self._keys[:count])
        del self._keys[:count], self._taken[:count]


def stored_at(invoice: InvoiceMetadata) -> ServerTime | None:
    """When it was stored for good; None where KSeF does not say so."""
    return invoice.permanent_storage_date


def _final(window: Window, mark: ServerTime | None, now: datetime) -> ServerTime:
    """Up to which date nothing more will turn up in the range."""
    is_usable = mark is not None and mark <= now + _CLOCKS_DIFFER
    final = mark if mark is not None and is_usable else _written(now - _SETTLED)
    return final if final <= window.limit else _written(window.limit)


def _entry(taken: TakenInvoice, now: datetime) -> tuple[datetime, str, TakenInvoice]:
    if taken.stored_at is None:
        # Remembered until the cursor has passed the present: it was stored before.
        taken = attrs.evolve(taken, stored_at=_written(now).text)
    return ServerTime.parse(taken.stored_at or ""), taken.ksef_number, taken


def _written(moment: datetime) -> ServerTime:
    return ServerTime.parse(moment.astimezone(UTC).isoformat())
