"""Invoices: one by one, as lists, and in packages. Source: pobieranie-faktur/*.md."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime

import anyio.to_thread

from ...api.common import KSEF_NUMBER, ServerTime
from ...api.invoices import (
    DateType,
    ExportInvoicesRequest,
    ExportInvoicesResponse,
    ExportStatus,
    InvoiceFilters,
    InvoiceMetadataPage,
    InvoicePackage,
    InvoiceSubject,
    PackagePart,
    SortOrder,
)
from ...api.packages import CompressionType
from ...protocol.error_codes import ErrorCode
from ...protocol.lifecycle import ExportStatusCode
from ..clock import seconds, seven_digits
from ..exports import ExportPart, RequestedExport, build_parts
from ..faults import Fault
from ..handling import goes_wrong, unwrap_key
from ..refusals import Forbidden, Gone, InvalidInput, Refusal
from ..repository import ALLOWED_SUBJECTS, ArchivedInvoice, is_party, upper_end
from ..router import WIRE, Call, XmlAnswer
from ..storage import export_part_link
from ..validation import check_query
from ..world import new_reference_number

__all__ = ["export_invoices", "get_export_status", "get_invoice", "query_invoice_metadata"]


async def get_invoice(call: Call) -> XmlAnswer:
    """GET /invoices/ksef/{ksefNumber}; to a stranger an invoice does not exist."""
    number = call.path["ksef_number"]
    if not re.fullmatch(KSEF_NUMBER, number, re.ASCII):
        raise InvalidInput("'ksefNumber' is not in the correct format.")
    found = call.world.repository.get(number)
    if (
        found is None
        or call.now < (found.metadata.acquisition_date or call.now)
        or not is_party(found.metadata, found.context, call.caller.context)
    ):
        raise Refusal(ErrorCode.UNKNOWN_INVOICE, f"Faktura o numerze KSeF {number} nie została znaleziona.")
    if call.now < found.stored_at:
        detail = (
            f"Faktura o numerze KSeF {number} została przetworzona, ale nie jest jeszcze dostępna do pobrania. "
            "Spróbuj ponownie później."
        )
        raise Refusal(ErrorCode.INVOICE_NOT_STORED_YET, detail)
    xml = await anyio.to_thread.run_sync(found.stored.read)
    return XmlAnswer(xml, b64encode(found.metadata.invoice_hash or b"").decode("ascii"))


async def query_invoice_metadata(call: Call) -> InvoiceMetadataPage:
    """POST /invoices/query/metadata."""
    filters: InvoiceFilters = call.body
    check_query(filters, call.now)
    order = _sort_order(call.query.get("sort_order"))
    size, number = call.query["page_size"], call.query["page_offset"]
    now, hwm = call.world.queries.moments(call.caller.context, filters, call.now, is_first=number == 0)
    if _starts_beyond(filters, hwm):
        detail = (
            "Parametr dateRange.from jest późniejszy niż PermanentStorageHwmDate przy włączonym "
            "restrictToPermanentStorageHwmDate."
        )
        raise Refusal(ErrorCode.RANGE_NOT_AVAILABLE, detail)
    found = call.world.repository.find(call.caller.context, filters, now, hwm)
    if order is SortOrder.DESCENDING:
        found.reverse()
    most = call.world.exports.limits.max_invoices
    start, end = number * size, min((number + 1) * size, most)
    return InvoiceMetadataPage(
        has_more=end < len(found),
        # Reached with the last page that fits, not before it [INF].
        is_truncated=end == most and len(found) > most,
        permanent_storage_hwm_date=_answered_hwm(filters, now, hwm),
        invoices=tuple(each.metadata for each in found[start:end]),
    )


def _sort_order(given: str | None) -> SortOrder:
    wanted = {order.lower(): order for order in SortOrder}.get((given or "Asc").lower())
    if wanted is None:
        raise InvalidInput(f"The value '{given}' is not valid for sortOrder.")
    return wanted


def _starts_beyond(filters: InvoiceFilters, hwm: datetime) -> bool:
    dates = filters.date_range
    return (
        dates.date_type == DateType.PERMANENT_STORAGE
        and bool(dates.restrict_to_permanent_storage_hwm_date)
        and dates.from_date > hwm
    )


def _answered_hwm(filters: InvoiceFilters, now: datetime, hwm: datetime) -> ServerTime | None:
    if filters.date_range.date_type != DateType.PERMANENT_STORAGE:
        return None
    return ServerTime.parse(seven_digits(min(upper_end(filters, now, hwm), hwm)))


# --- exports -------------------------------------------------------------------------------------------------


async def export_invoices(call: Call) -> ExportInvoicesResponse:
    """POST /invoices/exports; what is found is decided now."""
    request: ExportInvoicesRequest = call.body
    world, filters, login = call.world, request.filters, call.caller
    check_query(filters, call.now)
    compression = request.compression_type or CompressionType.ZIP
    if not compression.is_known:
        raise InvalidInput("'compressionType' has a value that is not supported.")
    cipher = unwrap_key(call, request.encryption)
    _check_subject(call, filters.subject_type)
    limits = world.exports.limits
    if world.exports.running(login.context, login.subject, call.now) >= limits.max_running:
        detail = (
            "Dla uwierzytelnionego podmiotu w bieżącym kontekście osiągnięto maksymalny limit "
            f"{limits.max_running} równoczesnych eksportów faktur. Spróbuj ponownie później."
        )
        raise Refusal(ErrorCode.TOO_MANY_EXPORTS, detail)
    hwm = world.queries.hwm(call.now)
    beyond = _starts_beyond(filters, hwm)
    found = [] if beyond else world.repository.find(login.context, filters, call.now, hwm)
    fault = call.fault
    export = RequestedExport(
        reference_number=new_reference_number("EH", call.now),
        context=login.context,
        subject=login.subject,
        filters=filters,
        cipher=cipher,
        only_metadata=request.only_metadata,
        compression=compression,
        started_at=call.now,
        timings=world.timings,
        invoices=found[: limits.max_invoices],
        is_truncated=len(found) > limits.max_invoices,
        hwm=_answered_mark(_answered_hwm(filters, call.now, hwm), fault),
        is_stuck=goes_wrong(call, "stuck"),
        code=(fault and fault.export_code)
        or (ExportStatusCode.RANGE_NOT_AVAILABLE if beyond else ExportStatusCode.READY),
        change=fault.change if fault else None,
        damage=fault.damage if fault else None,
    )
    world.exports.by_reference[export.reference_number] = export
    return ExportInvoicesResponse(export.reference_number)


def _answered_mark(mark: ServerTime | None, fault: Fault | None) -> ServerTime | None:
    if mark is None or fault is None or fault.mark is None:
        return mark
    changed = fault.mark(mark)
    return None if changed is None else ServerTime.parse(seven_digits(changed))


def _check_subject(call: Call, subject: InvoiceSubject) -> None:
    kind = call.caller.context.type
    if subject not in ALLOWED_SUBJECTS.get(kind, frozenset()):
        detail = (
            f"Nie można wyeksportować paczki faktur dla wybranego podmiotu ({subject}) i zalogowanego identyfikatora "
            f"kontekstu ({kind})."
        )
        raise Refusal(ErrorCode.INVALID_EXPORT, detail)


async def get_export_status(call: Call) -> ExportStatus:
    """GET /invoices/exports/{referenceNumber}; the links are new each time."""
    export = call.world.exports.by_reference.get(call.path["reference_number"])
    if export is None:
        raise Refusal(ErrorCode.UNKNOWN_EXPORT)
    login = call.caller
    if (export.context, export.subject) != (login.context, login.subject):
        raise Forbidden("insufficient-resource-access", "Brak dostępu do wskazanego zasobu.")
    if call.now > export.started_at + seconds(call.world.timings.export_retention):
        raise Gone
    is_ready = export.timeline.is_success_at(call.now)
    is_done = export.timeline.is_terminal_at(call.now)
    return ExportStatus(
        status=export.status_at(call.now),
        completed_date=export.ready_at if is_done else None,
        package_expiration_date=export.expires_at if is_ready else None,
        package=await _package(call, export) if is_ready else None,
    )


async def _package(call: Call, export: RequestedExport) -> InvoicePackage:
    async with export.lock:
        if export.parts is None:
            export.parts = await anyio.to_thread.run_sync(_build, call, export) if export.invoices else ()
        parts = export.parts
    last, asked_by = export.last, export.date_type
    return InvoicePackage(
        invoice_count=len(export.invoices),
        size=sum(part.size for part in parts),
        parts=tuple(_part(call, export, number, part) for number, part in enumerate(parts, 1)),
        is_truncated=export.is_truncated,
        last_issue_date=last.issue_date if last and asked_by == DateType.ISSUE else None,
        last_invoicing_date=last.invoicing_date if last and asked_by == DateType.INVOICING else None,
        last_permanent_storage_date=(
            last.permanent_storage_date if last and asked_by == DateType.PERMANENT_STORAGE else None
        ),
        permanent_storage_hwm_date=export.hwm,
        compression_type=export.compression,
    )


def _build(call: Call, export: RequestedExport) -> tuple[ExportPart, ...]:
    return build_parts(export, _describe, call.world.spool, call.world.exports.limits)


def _describe(invoices: Iterable[ArchivedInvoice]) -> bytes:
    return b'{"invoices":[' + b",".join(WIRE.to_json(invoice.metadata) for invoice in invoices) + b"]}"


def _part(call: Call, export: RequestedExport, number: int, part: ExportPart) -> PackagePart:
    url, end = export_part_link(call.world, export.reference_number, part.name, call.now)
    return PackagePart(
        ordinal_number=number,
        part_name=part.name,
        method="GET",
        url=url,
        part_size=part.size,
        part_hash=part.sha256,
        encrypted_part_size=part.encrypted_size,
        encrypted_part_hash=part.encrypted_sha256,
        expiration_date=end,
    )
