"""What KSeF demands of a package of invoices, and how to send many: one by one online, or in batches.

The plan is pure arithmetic on KSeF's limits. An invoice of today that leaves after midnight is Offline (see
`midnight`), so what cannot go online before midnight goes into batches that are opened before it.
Source: sesja-wsadowa.md; limity-api.md; limity.md; OpenAPI 2.9.0, OpenBatchSessionRequest.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import attrs

from ..api.limits import ContextLimits, SessionLimits
from ..api.rates import UNLIMITED, RateLimit, RateLimits, usable
from ..errors import LocalProtocolError
from .invoices import MAX_SIZE_WITH_ATTACHMENT
from .pacing import MARGIN
from .polish_calendar import next_midnight

__all__ = [
    "BATCH_START",
    "BEFORE_MIDNIGHT",
    "MAX_FILE_NAME",
    "MAX_INVOICES",
    "MAX_PACKAGE_SIZE",
    "MAX_PARTS",
    "MAX_PART_SIZE",
    "PROCESSING_RATE",
    "Route",
    "SendingPlan",
    "calls_within",
    "check_file_name",
    "plan",
    "time_of_call",
]

MAX_INVOICES: Final = 10_000
"""Invoices in one package, unless the context was granted more."""
MAX_PARTS: Final = 50
MAX_PART_SIZE: Final = 100_000_000
"""Bytes of a part before it is encrypted; KSeF's megabyte is 1,000,000 bytes."""
MAX_PACKAGE_SIZE: Final = 5_000_000_000
"""Bytes of the whole archive."""
MAX_FILE_NAME: Final = 128
"""Characters of an invoice's name in the archive."""

_PATH_SIGNS: Final = re.compile(r"[/\\:]")
# Control characters, and halves of characters that are in no encoding.
_UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def check_file_name(name: str) -> None:
    """Refuse names that KSeF rejects, or that lead out of the folder an archive is unpacked in.

    Raises:
        LocalProtocolError: No string, empty, too long, like a path, with control characters, or not to be written
            as UTF-8.
    """
    if not isinstance(name, str):
        raise LocalProtocolError(f"An invoice's file name is a string, not {type(name).__name__}.")
    if not name or name in {".", ".."} or _PATH_SIGNS.search(name):
        raise LocalProtocolError(f"{name!r} is no plain file name; an archive for KSeF has neither folders nor paths.")
    if len(name) > MAX_FILE_NAME:
        raise LocalProtocolError(f"{name!r} has {len(name)} characters; KSeF takes file names of {MAX_FILE_NAME}.")
    if _UNWRITABLE.search(name):
        raise LocalProtocolError(f"{name!r} holds characters that cannot stand in an archive.")


_WINDOWS: Final = ("second", "minute", "hour")
_SECONDS: Final = (1.0, 60.0, 3600.0)

BATCH_START: Final = 10.0
"""Seconds that a batch takes besides its invoices: packing, opening, uploading, closing, the first looks."""
PROCESSING_RATE: Final = 10_000 / 1200
"""Invoices of a batch that KSeF processes a second. The Ministry's own tests give 10,000 up to 20 minutes."""
BEFORE_MIDNIGHT: Final = 5.0
"""Seconds before midnight from which on nothing dated today is sent: the way to KSeF, and how far its clock is off."""


class Route(StrEnum):
    """A way into KSeF."""

    ONLINE = "online"
    """One by one, in an online session."""
    BATCH = "batch"
    """In packages, each in a batch session."""
    BOTH = "both"
    """A part of the invoices each way, so that all of them are in before midnight."""


@attrs.frozen(kw_only=True)
class SendingPlan:
    """A way to send invoices, and its duration: estimated seconds from the start until the last one is in KSeF."""

    route: Route
    """The way to take."""
    batches: int
    """Batch sessions to open; 0 online."""
    batch_invoices: int
    """Invoices in the largest of them."""
    seconds: float
    """Estimated seconds from the start until the last invoice is in KSeF."""
    bound_by: str
    """What keeps it from being sooner: ``"invoiceSend: 180 an hour"``."""
    meets_deadline: bool | None
    """None without a deadline."""
    seconds_online: float
    """With all invoices sent one by one."""
    seconds_batch: float
    """With all invoices in batches."""
    online_invoices: int
    """How many invoices to send one by one, the first of them first; the next ones go into batches."""
    open_by: datetime | None = None
    """The midnight (UTC) before which the batches have to be opened; None where it makes no difference."""
    late: int = 0
    """How many invoices dated today cannot leave before midnight by any way, so that KSeF makes them Offline."""


def plan(
    count: int,
    sizes: int | Sequence[int],
    *,
    rates: RateLimits,
    deadline: float | None = None,
    limits: ContextLimits | None = None,
    upload_rate: float = 2_000_000,
    now: datetime | None = None,
    dated_today: int | None = None,
) -> SendingPlan:
    """Choose between an online session and batches.

    Online when that is soon enough, since every invoice then has its number within seconds; without a deadline, and
    when neither way meets it, whichever is over sooner.

    With ``now``, no invoice dated today is left for tomorrow: those that cannot go online before midnight go into
    batches that are opened before it.

    Args:
        count: How many invoices.
        sizes: Bytes of each: one number for all, or one for each of them.
        rates: How many calls the context is granted.
        deadline: Seconds within which the last has to be in KSeF.
        limits: What a session of the context takes; by default what KSeF grants to all.
        upload_rate: Bytes a second that the line carries. Archives are taken to be as large as what is in them, so
            this is on the safe side.
        now: What time it is at KSeF, so that midnight in Poland counts.
        dated_today: How many of the invoices, which then come first, are dated today in Poland; all by default.

    Raises:
        LocalProtocolError: No invoices, sizes that do not fit their number, an invoice larger than KSeF takes, or a
            context without any invoices in a batch; ``now`` has no time zone.
    """
    rates = usable(rates)
    granted = limits.batch_session if limits is not None else None
    each = _sizes(count, sizes, MAX_SIZE_WITH_ATTACHMENT if granted is None else _largest_invoice(granted))
    most = MAX_INVOICES if granted is None else granted.max_invoices
    way = _Ways(rates, most, upload_rate)
    online, batch = way.online(count), way.batch(each)
    is_soon_enough = deadline is not None and online.seconds <= deadline
    route = Route.ONLINE if is_soon_enough or online.seconds <= batch.seconds else Route.BATCH
    one_by_one, late, open_by = count if route is Route.ONLINE else 0, 0, None
    if now is not None:
        midnight = next_midnight(now)
        today = count if dated_today is None else min(dated_today, count)
        one_by_one, late = way.before((midnight - now).total_seconds() - BEFORE_MIDNIGHT, each, today, one_by_one)
        open_by = midnight if one_by_one + late < today else None
    route = Route.ONLINE if one_by_one == count else Route.BOTH if one_by_one else Route.BATCH
    batches = _batches(each[one_by_one:], most) if one_by_one < count else []
    taken = [way.online(one_by_one)] if one_by_one else []
    taken += [way.batch(each[one_by_one:])] if batches else []
    slowest = max(taken, key=lambda each: each.seconds)
    return SendingPlan(
        route=route,
        batches=len(batches),
        batch_invoices=max(batches, default=0),
        seconds=slowest.seconds,
        bound_by=slowest.bound_by,
        meets_deadline=None if deadline is None else slowest.seconds <= deadline,
        seconds_online=online.seconds,
        seconds_batch=batch.seconds,
        online_invoices=one_by_one,
        open_by=open_by,
        late=late,
    )


@attrs.frozen
class _Time:
    """How long a way takes, and what keeps it from being shorter."""

    seconds: float
    bound_by: str


@attrs.frozen
class _Ways:
    """Both ways into KSeF, by what a context is granted."""

    rates: RateLimits
    # Invoices in a batch.
    most: int
    upload_rate: float

    def online(self, count: int) -> _Time:
        limit = self.rates.invoice_send
        return _Time(time_of_call(count - 1, limit), _binding("invoiceSend", count, limit))

    def batch(self, sizes: Sequence[int]) -> _Time:
        batches = _batches(sizes, self.most)
        opened = time_of_call(len(batches) - 1, self.rates.batch_session)
        uploading = sum(sizes) / self.upload_rate
        processing = max(batches) / PROCESSING_RATE
        if opened > max(uploading, processing):
            bound_by = _binding("batchSession", len(batches), self.rates.batch_session)
        elif uploading > processing:
            bound_by = f"upload: {self.upload_rate / 1e6:g} MB a second"
        else:
            bound_by = f"processing: about {PROCESSING_RATE:.0f} invoices a second in a batch"
        # Batches are uploaded one after another and processed side by side.
        return _Time(BATCH_START + max(opened, uploading) + processing, bound_by)

    def before(self, seconds: float, sizes: Sequence[int], today: int, one_by_one: int) -> tuple[int, int]:
        """Return how many invoices go online so that as many of today's as possible leave before midnight.

        Args:
            seconds: Until nothing of today is sent any more.
            sizes: Bytes of each invoice.
            today: How many of them, the first ones, are dated today.
            one_by_one: How many would go online if midnight were none.

        Returns:
            How many go online, and how many of today's leave too late all the same.
        """
        online = calls_within(seconds, self.rates.invoice_send, most=today)
        if one_by_one >= today <= online:
            return one_by_one, 0
        if not online:
            return one_by_one, today
        # All of today's in batches, or what is left of them once as many as possible went online.
        first = online if one_by_one else 0
        missed = self._missed(seconds, sizes[first:today])
        if missed and not first:
            first = online
            missed = self._missed(seconds, sizes[first:today])
        # A batch that comes too late is no better than going on one by one.
        return (one_by_one, missed) if one_by_one and missed == today - first else (first, missed)

    def _missed(self, seconds: float, sizes: Sequence[int]) -> int:
        """How many invoices are in batches that cannot be opened in time; each is packed before it is opened."""
        batches = _batches(sizes, self.most) if sizes else []
        opened = calls_within(seconds - BATCH_START, self.rates.batch_session, most=len(batches))
        return sum(batches[opened:])


def time_of_call(number: int, limit: RateLimit, margin: float = MARGIN) -> float:
    """Seconds after the first call at which call ``number`` (from 0) may start, when all start as soon as they may.

    The same times as `Pacer` hands out, without counting them up.
    """
    return _time_of_call(number, [*zip(attrs.astuple(limit), _SECONDS, strict=True)], margin)


def calls_within(seconds: float, limit: RateLimit, *, most: int, margin: float = MARGIN) -> int:
    """Return how many calls, up to ``most``, may start in less than ``seconds`` when none was made before.

    Args:
        seconds: The time there is, e.g. until midnight.
        limit: Of the group of calls, e.g. `RateLimits.invoice_send`.
        most: How many calls there are to make.
        margin: Seconds added to each window, as `Pacer` does.
    """
    return bisect_left(range(most), seconds, key=lambda number: time_of_call(number, limit, margin))


def _time_of_call(number: int, windows: list[tuple[int, float]], margin: float) -> float:
    if not windows:
        return 0.0
    *shorter, (calls, seconds) = windows
    if calls == UNLIMITED:
        return _time_of_call(number, shorter, margin)
    # After as many calls as the window takes, everything repeats: after the window, or later if the shorter ones
    # do not let so many through.
    period = max(seconds + margin, _time_of_call(calls, shorter, margin))
    return number // calls * period + _time_of_call(number % calls, shorter, margin)


def _largest_invoice(granted: SessionLimits) -> int:
    return 1_000_000 * max(granted.max_invoice_size_mb, granted.max_invoice_with_attachment_size_mb)


def _sizes(count: int, sizes: int | Sequence[int], largest: int) -> Sequence[int]:
    if count < 1:
        raise LocalProtocolError(f"There is nothing to plan for {count} invoices.")
    each = [sizes] * count if isinstance(sizes, int) else sizes
    if len(each) != count:
        raise LocalProtocolError(f"{len(each)} sizes were given for {count} invoices.")
    if min(each) < 1 or max(each) > largest:
        raise LocalProtocolError(f"An invoice has 1 to {largest:,} bytes, attachments included.")
    return each


def _batches(sizes: Sequence[int], max_invoices: int) -> list[int]:
    """How many invoices each batch takes, in order: as many as fit by number and by bytes."""
    if max_invoices < 1:
        raise LocalProtocolError("The context is granted no invoice in a batch session.")
    batches = [0]
    room = MAX_PACKAGE_SIZE
    for size in sizes:
        if batches[-1] == max_invoices or size > room:
            batches.append(0)
            room = MAX_PACKAGE_SIZE
        batches[-1] += 1
        room -= size
    return batches


def _binding(group: str, count: int, limit: RateLimit) -> str:
    """The longest window that ``count`` calls overrun."""
    for calls, window in reversed([*zip(attrs.astuple(limit), _WINDOWS, strict=True)]):
        if calls != UNLIMITED and count > calls:
            return f"{group}: {calls} a{'n' if window == 'hour' else ''} {window}"
    return "nothing: KSeF's limits are not reached"
