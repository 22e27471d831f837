"""Incremental download: every invoice once, from where the last run stopped, whatever becomes of single exports.

Which range is asked for next is decided in `cursor`; here it is asked for, and what fails is begun anew.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol, TypeVar

import anyio
import attrs

from ..api.common import ServerTime
from ..api.invoices import DateRange, DateType, InvoiceFilters, InvoiceMetadata, InvoiceSubject
from ..calling.events import Event, ExportReplaced, RequestRetried
from ..calling.finishing import in_thread
from ..calling.whole_files import replace_file
from ..errors import (
    ApiError,
    BadRequestError,
    CryptoError,
    ExportFailedError,
    GoneError,
    InvalidFieldError,
    KsefError,
    LocalProtocolError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    TransportError,
    WaitTimeoutError,
)
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import ExportStatusCode
from ..protocol.numbers import file_name
from .checkpoint import Checkpoint, Position
from .cursor import LONGEST_OVERLAP, Cursor, Window, stored_at
from .export import EXPORT_CADENCE, Export
from .parts import EXPORT_PART

__all__ = ["SYNC_INTERVAL", "Exporter", "Sync", "SyncedInvoice"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
P = TypeVar("P")

SYNC_INTERVAL: Final = 15 * 60.0
"""Seconds between two looks at one subject type, as the Ministry advises."""

# How many exports in a row may fail, hang or be damaged; not by `Attempts`, for each was answered, and takes minutes.
_ATTEMPTS: Final = 3
# Seconds between them.
_PAUSE: Final = 30.0
# Seconds to wait where KSeF does not say how long, and at most where it does: its limits are those of an hour.
_LOCKED_OUT: Final = 60.0
_LONGEST_PAUSE: Final = 3600.0
# Seconds after which waiting for KSeF's limits ends: others of the same context may take turns all the time.
_RATE_DEADLINE: Final = 2 * 3600.0
# The same, while ten exports are running: whatever runs longer than this hangs, and waiting for it does not help.
_RUNNING_DEADLINE: Final = EXPORT_CADENCE.deadline or 1800.0
# How far our clock may be from KSeF's.
_CLOCKS_DIFFER: Final = timedelta(minutes=1)


class Exporter(Protocol):
    """Begins exports: `Downloads`."""

    async def export(self, filters: InvoiceFilters) -> Export:
        """Begin an export; see `Downloads.export`."""
        ...


@attrs.frozen
class SyncedInvoice:
    """An invoice that is new here."""

    metadata: InvoiceMetadata
    """The metadata that KSeF gives of the invoice."""
    xml: bytes = attrs.field(repr=False)
    """As it was sent."""
    subject_type: InvoiceSubject
    """As what the context was looking."""
    checkpoint: Checkpoint = attrs.field(repr=False)
    """Where to go on once this invoice is kept; to be stored together with it."""

    async def save(self, folder: Path | str) -> Path:
        """Write the document into a folder as ``KSEF-NUMBER.xml``, whole or not at all.

        Args:
            folder: It has to be there. A file of that name is replaced.

        Returns:
            The file; it is on the disk.

        Raises:
            OSError: It cannot be written.
        """
        path = Path(folder) / f"{file_name(self.metadata.ksef_number)}.xml"
        await in_thread(replace_file, path, self.xml)
        return path


class Sync:
    """Every new invoice, oldest first for each subject type: ``async for invoice in client.downloads.sync(...)``.

    Nothing goes on in the background. What is waited for, and how long:

    * KSeF's limit of 20 exports an hour: two hours in all, however long KSeF says.
    * An export that hangs: 1,800 seconds. Then another one is begun, as after one that failed or is damaged.
    * Ten exports that run already (21182): 1,800 seconds, since those that run longer hang.

    The hook is called for each of these (`ExportReplaced`, `RequestRetried`), and each is logged.

    Raises:
        ExportFailedError: KSeF could not make a package, three times in a row.
        WaitTimeoutError: The third export in a row hangs.
        RemoteProtocolError: The third package in a row is broken, or not what KSeF said of it.
        BadRequestError: Ten exports hang (21182); they are forgotten by KSeF after some days.
        RateLimitedError: KSeF's limits were reached for two hours.
        LocalProtocolError: It is being iterated already; or more invoices than a package holds share one storage
            date, so that what follows them cannot be reached.
        LoginFailedError: A call failed. Iterating again goes on after the last invoice that was taken.
        TransportError: As for LoginFailedError.
        ApiError: As for LoginFailedError.
        CryptoError: As for LoginFailedError.
    """

    def __init__(
        self,
        exporter: Exporter,
        now: Callable[[], datetime],
        since: datetime,
        subject_types: tuple[InvoiceSubject, ...],
        *,
        checkpoint: Checkpoint,
        follow: bool,
        interval: float,
        overlap: float,
        report: Callable[[Event], None],
    ) -> None:
        if since.tzinfo is None:
            raise InvalidFieldError("since", f"must have a time zone; it is {since.isoformat()}")
        if not subject_types:
            raise InvalidFieldError("subject_types", "must name at least one")
        if not 0 <= overlap <= LONGEST_OVERLAP.total_seconds():
            longest = f"{LONGEST_OVERLAP.total_seconds():.0f} seconds ({LONGEST_OVERLAP.days} days)"
            raise InvalidFieldError("overlap", f"must be between 0 and {longest}; it is {overlap}")
        self._exporter = exporter
        self._now = now
        self._since = since
        self._subject_types = tuple(dict.fromkeys(subject_types))
        self._follow = follow
        self._interval = interval
        self._overlap = timedelta(seconds=overlap)
        self._report = report
        self._is_running = False
        self._is_cut_short = False
        self.checkpoint = checkpoint
        """Where to go on after the invoices that were taken: one is taken when the next is asked for."""

    @property
    def complete_until(self) -> ServerTime | None:
        """Return up to which permanent storage date every invoice was given, for all subject types.

        At the end this is KSeF's high-water mark, or a little less: an invoice that KSeF has accepted, but stores for
        good later, comes with the next download. None while a subject type was not looked at.
        """
        positions = [self.checkpoint.of(each) for each in self._subject_types]
        moments = [each.moment for each in positions if each is not None]
        return min(moments) if len(moments) == len(positions) else None

    def __repr__(self) -> str:
        positions = ", ".join(f"{each.subject_type} {each.cursor}" for each in self.checkpoint.positions)
        return f"<Sync {positions or f'since {self._since.isoformat()}'}>"

    async def __aiter__(self) -> AsyncGenerator[SyncedInvoice]:
        if self._is_running:
            raise LocalProtocolError("This download is being iterated already.")
        self._is_running = True
        try:
            while True:
                started = anyio.current_time()
                for subject_type in self._subject_types:
                    async with aclosing(self._pass(subject_type)) as invoices:
                        async for invoice in invoices:
                            yield invoice
                if not self._follow:
                    return
                await anyio.sleep_until(started + self._interval)
        finally:
            self._is_running = False

    async def _pass(self, subject_type: InvoiceSubject) -> AsyncGenerator[SyncedInvoice]:
        position = self.checkpoint.of(subject_type)
        if position is None:
            position = Position(subject_type=subject_type, cursor=self._since.isoformat())
        cursor = Cursor(position, self._overlap, self._now())
        following, failures, total = cursor.look_back, 0, 0
        while True:
            window = Window.beginning(following, self._now())
            reference_number, count = None, 0
            try:
                export = await self._within_limits(self._exporter.export, _filters(subject_type, window))
                reference_number = export.reference_number
                await self._within_limits(export.wait, EXPORT_CADENCE)
                async with export.package(EXPORT_CADENCE) as package:
                    package.sort(_storage_order(window))
                    is_complete = package.unread_rows == 0
                    cursor.begin(window, package.info, package.metadata, self._now(), is_complete=is_complete)
                    async for invoice in package:
                        metadata, xml = invoice.metadata, invoice.xml
                        if not cursor.is_new(metadata):
                            continue
                        if xml is None:
                            raise _unexpected(f"Export {reference_number} lacks the document of {metadata.ksef_number}")
                        cursor.take(metadata)
                        checkpoint = self.checkpoint.with_position(cursor.position)
                        yield SyncedInvoice(metadata, xml, subject_type, checkpoint)
                        self.checkpoint = checkpoint
                        count, total = count + 1, total + 1
                    reached = cursor.finish(window, package.info)
                    self.checkpoint = self.checkpoint.with_position(cursor.position)
            except KsefError as error:
                if _is_out_of_range(error, window, self._now()):
                    _tell_of_the_end(subject_type, total, None, window.start)
                    return
                if _is_invalid(error) and window.is_too_long(self._now()):
                    continue
                failures += 1
                if failures >= _ATTEMPTS or not _may_go_better(error):
                    raise
                await self._begin_anew(reference_number, failures, error)
                continue
            failures = 0
            if cursor.is_cut_short:
                self._warn_once_of_shorter_overlap(cursor)
            if reached is None:
                _tell_of_the_end(subject_type, total, cursor.position.moment, window.start)
                return
            if package.info.is_truncated and reached <= window.start and not count:
                raise LocalProtocolError(
                    f"More invoices than fit into a package ({len(package.metadata):,}) share one storage date "
                    f"({reached.text}); what follows them cannot be reached."
                )
            following = max(reached, window.start)

    async def _begin_anew(self, reference_number: str | None, attempt: int, error: KsefError) -> None:
        """Report that another export is begun, after a pause; one that nobody fetches does no harm."""
        self._report(ExportReplaced(reference_number=reference_number, attempt=attempt, error=error, delay=_PAUSE))
        await anyio.sleep(_PAUSE)

    async def _within_limits(self, call: Callable[[P], Awaitable[T]], argument: P) -> T:
        """Return what ``call`` gives, waiting while KSeF's limits are reached, though not for ever."""
        # Not by `Attempts`: these limits are those of an hour, longer than a call's patience.
        attempt, started = 1, anyio.current_time()
        while True:
            try:
                return await call(argument)
            except RateLimitedError as error:
                reason: ApiError = error
                pause, deadline = min(error.retry_after or _LOCKED_OUT, _LONGEST_PAUSE), _RATE_DEADLINE
            except BadRequestError as error:
                if error.code != ErrorCode.TOO_MANY_EXPORTS:
                    raise
                reason, pause, deadline = error, _LOCKED_OUT, _RUNNING_DEADLINE
            if anyio.current_time() + pause - started > deadline:
                raise reason
            if attempt == 1:
                # A wait of minutes is a warning; each further pause is an event only.
                _log.warning("KSeF's limits for exports are reached; going on in %.0f s: %s", pause, reason)
            self._report(RequestRetried(operation=reason.operation, attempt=attempt, error=reason, delay=pause))
            await anyio.sleep(pause)
            attempt += 1

    def _warn_once_of_shorter_overlap(self, cursor: Cursor) -> None:
        if not self._is_cut_short:
            self._is_cut_short = True
            _log.warning(
                "More invoices lie within the overlap of %s than are remembered; it looks back to %s only.",
                self._overlap,
                cursor.position.known_from,
            )


def _tell_of_the_end(
    subject_type: InvoiceSubject, count: int, complete_until: ServerTime | None, start: ServerTime
) -> None:
    """Log how many invoices came and until when they are complete: without that, nobody knows why none came."""
    reach = (
        f"has not reached {start.text} yet" if complete_until is None else f"is complete until {complete_until.text}"
    )
    _log.info(
        "New invoices as %s: %d. KSeF's list %s; what it stores for good later comes with the next download.",
        *(subject_type, count, reach),
    )


def _is_out_of_range(error: KsefError, window: Window, now: datetime) -> bool:
    """Return whether nothing can be new yet: the range begins above the high-water mark, or in the future."""
    if isinstance(error, ExportFailedError):
        return error.code == ExportStatusCode.RANGE_NOT_AVAILABLE
    if isinstance(error, BadRequestError):
        is_future = _is_invalid(error) and window.start > now - _CLOCKS_DIFFER
        return error.code == ErrorCode.RANGE_NOT_AVAILABLE or is_future
    return False


def _is_invalid(error: KsefError) -> bool:
    return isinstance(error, BadRequestError) and error.code == ErrorCode.INVALID_INPUT


def _may_go_better(error: KsefError) -> bool:
    """Return whether another export may succeed after one that ended with ``error``."""
    if isinstance(error, ApiError) and error.operation == EXPORT_PART:
        # The storage refuses links that KSeF has just made.
        return True
    if isinstance(error, BadRequestError):
        # KSeF's parts may take a moment until all know of a new export.
        return error.code == ErrorCode.UNKNOWN_EXPORT
    return isinstance(
        error,
        ExportFailedError
        | WaitTimeoutError
        | RemoteProtocolError
        | CryptoError
        | GoneError
        | ServerError
        | TransportError,
    )


def _filters(subject_type: InvoiceSubject, window: Window) -> InvoiceFilters:
    dates = DateRange(DateType.PERMANENT_STORAGE, window.start, window.end, restrict_to_permanent_storage_hwm_date=True)
    return InvoiceFilters(subject_type=subject_type, date_range=dates)


def _storage_order(window: Window) -> Callable[[InvoiceMetadata], datetime]:
    """Return a sort key: the oldest first, and before them those without a date."""
    return lambda invoice: stored_at(invoice) or window.start


def _unexpected(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"{problem}.", operation="export_invoices")
