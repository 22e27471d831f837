"""Incremental download: every invoice once, up to the high-water mark, from where the last run stopped.

The rule (pobieranie-faktur/hwm.md): what was stored at or before the high-water mark is final and complete. So each
export is restricted to it, and the next begins where this one ended: at the mark, or, when KSeF has cut the package
off, at the storage date of its last invoice.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

import anyio
import attrs

from ..errors import (
    BadRequestError,
    ExportFailedError,
    InvalidFieldError,
    LocalProtocolError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    TransportError,
)
from ..models.invoices import DateRange, DateType, InvoiceFilters, InvoiceMetadata, InvoicePackage, InvoiceSubject
from ..models.times import ServerTime
from ..protocol.error_codes import ErrorCode
from ..protocol.invoice_queries import LONGEST_RANGE
from ..protocol.lifecycle import ExportStatusCode
from .checkpoint import Checkpoint, Position
from .export import Export
from .package import DownloadedPackage

__all__ = ["SYNC_INTERVAL", "Exporter", "Sync", "SyncedInvoice"]

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: Between two looks at one subject type, as the Ministry advises.
SYNC_INTERVAL: Final = timedelta(minutes=15)

#: Room for clocks that differ, within the 100 days a query may span.
_WINDOW: Final = LONGEST_RANGE - timedelta(days=1)
#: How often an export is begun again when KSeF failed with it.
_ATTEMPTS: Final = 3
#: Seconds until then.
_PAUSE: Final = 30.0
#: Seconds to wait where KSeF does not say how long.
_LOCKED_OUT: Final = 60.0


class Exporter(Protocol):
    """Begins exports: `Downloads`."""

    async def export(self, filters: InvoiceFilters) -> Export:
        """Begin an export; see `Downloads.export`."""
        ...


@attrs.frozen
class SyncedInvoice:
    """An invoice that is new here."""

    metadata: InvoiceMetadata
    #: As it was sent.
    xml: bytes = attrs.field(repr=False)
    #: As what the context was looking.
    subject_type: InvoiceSubject
    #: Where to go on once this invoice is kept; to be stored together with it.
    checkpoint: Checkpoint = attrs.field(repr=False)


class Sync:
    """Every new invoice, oldest first for each subject type: ``async for invoice in client.downloads.sync(...)``.

    Waits out KSeF's limit of 20 exports an hour, for up to an hour. Nothing goes on in the background.

    Raises (while iterating):
        ExportFailedError: KSeF could not make a package, three times in a row.
        RemoteProtocolError: A package is broken, or not what KSeF said of it.
        LocalProtocolError: It is being iterated already; or more invoices than a package holds share one storage
            date, so that what follows them cannot be reached.
        LoginFailedError, TransportError, ApiError, CryptoError: A call failed. Iterating again goes on after the
            last invoice that was taken.
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
        interval: timedelta,
    ) -> None:
        if since.tzinfo is None:
            raise InvalidFieldError("since", f"must have a time zone; it is {since.isoformat()}")
        if not subject_types:
            raise InvalidFieldError("subject_types", "must name at least one")
        self._exporter = exporter
        self._now = now
        self._since = since
        self._subject_types = tuple(dict.fromkeys(subject_types))
        self._follow = follow
        self._interval = interval
        self._is_running = False
        #: Where to go on after the invoices that were taken: one is taken when the next is asked for.
        self.checkpoint = checkpoint

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
                await anyio.sleep_until(started + self._interval.total_seconds())
        finally:
            self._is_running = False

    async def _pass(self, subject_type: InvoiceSubject) -> AsyncGenerator[SyncedInvoice]:
        position = self.checkpoint.of(subject_type)
        if position is None:
            position = Position(subject_type=subject_type, cursor=self._since.isoformat())
        while True:
            start = position.moment
            end = None if self._now() - start < _WINDOW else start + _WINDOW
            export = await self._ready(_filters(subject_type, start, end))
            if export is None:
                return
            async with export.package() as package:
                package.sort(lambda invoice: invoice.permanent_storage_date)
                taken = set(position.taken)
                async for invoice in package:
                    number = invoice.metadata.ksef_number
                    if number in taken:
                        continue
                    if invoice.xml is None:
                        raise _unexpected(f"Export {export.reference_number} lacks the document of {number}")
                    position = position.after(invoice.metadata)
                    checkpoint = self.checkpoint.with_position(position)
                    yield SyncedInvoice(invoice.metadata, invoice.xml, subject_type, checkpoint)
                    self.checkpoint = checkpoint
                border = _border(export, package)
                position = position.moved_to(border, package.metadata)
            self.checkpoint = self.checkpoint.with_position(position)
            if package.info.is_truncated:
                _check_progress(package.info, start, border, is_new=len(taken) < package.info.invoice_count)
            elif end is None or border < end:
                return

    async def _ready(self, filters: InvoiceFilters) -> Export | None:
        """An export whose package is ready; None when there cannot be anything new yet."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                export = await _within_limits(lambda: self._exporter.export(filters))
                await _within_limits(export.wait)
                return export
            except BadRequestError as error:
                if error.code == ErrorCode.RANGE_NOT_AVAILABLE:
                    return None
                raise
            except (ExportFailedError, ServerError, TransportError) as error:
                if isinstance(error, ExportFailedError) and error.code == ExportStatusCode.RANGE_NOT_AVAILABLE:
                    return None
                if attempt == _ATTEMPTS:
                    raise
                # An export that nobody fetches does no harm.
                _log.info("An export has failed and is begun again: %s", error)
                await anyio.sleep(_PAUSE)
        raise AssertionError("the last attempt returns or raises")


async def _within_limits(call: Callable[[], Awaitable[T]]) -> T:
    """What ``call`` gives, however long KSeF's limits make one wait."""
    while True:
        try:
            return await call()
        except RateLimitedError as error:
            pause = error.retry_after or _LOCKED_OUT
        except BadRequestError as error:
            if error.code != ErrorCode.TOO_MANY_EXPORTS:
                raise
            pause = _LOCKED_OUT
        _log.info("KSeF's limits for exports are reached; going on in %.0f s", pause)
        await anyio.sleep(pause)


def _filters(subject_type: InvoiceSubject, start: ServerTime, end: datetime | None) -> InvoiceFilters:
    dates = DateRange(DateType.PERMANENT_STORAGE, start, end, restrict_to_permanent_storage_hwm_date=True)
    return InvoiceFilters(subject_type=subject_type, date_range=dates)


def _border(export: Export, package: DownloadedPackage) -> ServerTime:
    """Where the next export begins."""
    info = package.info
    border = info.last_permanent_storage_date if info.is_truncated else info.permanent_storage_hwm_date
    if border is None:
        raise _unexpected(f"Export {export.reference_number} does not say up to which date it is complete")
    return border


def _check_progress(info: InvoicePackage, start: ServerTime, border: ServerTime, *, is_new: bool) -> None:
    if border <= start and not is_new:
        raise LocalProtocolError(
            f"More invoices than fit into a package ({info.invoice_count:,}) share one storage date "
            f"({border.text}); what follows them cannot be reached."
        )


def _unexpected(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"{problem}.", operation="export_invoices")
