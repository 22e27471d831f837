"""Sessions: online ones opened, sent to and closed; both kinds, their invoices and their receipts asked about.

Receipts are had by their operations here; the signed links to the same bytes are in `storage`. Source:
sesja-interaktywna.md; faktury/sesja-sprawdzenie-stanu.md.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import anyio.to_thread
import attrs

from ...api.common import StatusInfo
from ...api.sessions import (
    UPO,
    Feature,
    InvoiceStatusCode,
    OpenOnlineSessionRequest,
    OpenOnlineSessionResponse,
    SendInvoiceRequest,
    SendInvoiceResponse,
    SessionFilter,
    SessionInvoice,
    SessionInvoicePage,
    SessionPage,
    SessionStatus,
    SessionSummary,
    SessionType,
    StatusCode,
    UPOPage,
)
from ...crypto.envelope import SessionCipher
from ...errors import CryptoError
from ...protocol.error_codes import ErrorCode
from ...protocol.wire import WireError
from ..clock import seconds
from ..document_file import StoredDocument
from ..handling import (
    check_form_code,
    checked,
    find_invoice,
    find_session,
    find_session_of,
    goes_wrong,
    page_of,
    shows_session,
    unwrap_key,
)
from ..intake import CheckedInvoice, Rejected, examine
from ..processing import file_invoice
from ..refusals import InvalidInput, Refusal
from ..router import WIRE, Call, WrittenAnswer, XmlAnswer
from ..sessions import OnlineSession
from ..storage import invoice_receipt, invoice_upo_link, session_upo_link, upo_pages
from ..validation import problems_in_words
from ..world import Invoice, InvoiceVerdict, Session, new_reference_number

__all__ = [
    "close_online_session",
    "get_invoice_upo",
    "get_invoice_upo_by_ksef_number",
    "get_session_invoice",
    "get_session_status",
    "get_session_upo_page",
    "list_failed_session_invoices",
    "list_session_invoices",
    "list_sessions",
    "open_online_session",
    "send_invoice",
]


# How long what is stuck on purpose stays in progress.
_STUCK: Final = timedelta(days=365)


# --- online sessions -------------------------------------------------------------------------------------------------


async def open_online_session(call: Call) -> OpenOnlineSessionResponse:
    """POST /sessions/online; whether the key can be decrypted shows only later."""
    request: OpenOnlineSessionRequest = call.body
    check_form_code(call, request.form_code)
    cipher = unwrap_key(call, request.encryption)
    session = OnlineSession(
        reference_number=new_reference_number("SO", call.now),
        login=call.caller,
        form_code=request.form_code,
        cipher=cipher,
        check_identifiers=Feature.SUBJECT_IDENTIFIER_VALIDATION in call.features,
        opened_at=call.now,
        valid_until=call.now + seconds(call.world.timings.session_lifetime),
        timings=call.world.timings,
        is_stuck=goes_wrong(call, "stuck"),
    )
    call.world.sessions[session.reference_number] = session
    return OpenOnlineSessionResponse(session.reference_number, session.valid_until)


async def send_invoice(call: Call) -> SendInvoiceResponse:
    """POST /sessions/online/{referenceNumber}/invoices."""
    session = find_session_of(OnlineSession, call, "odnaleziona")
    async with session.lock:
        return await _take_in(call, session, call.body)


async def _take_in(call: Call, session: OnlineSession, request: SendInvoiceRequest) -> SendInvoiceResponse:
    world = call.world
    if (code := session.code_at(call.now)) != StatusCode.OPENED:
        raise Refusal(ErrorCode.SESSION_NOT_OPEN, f"Status sesji ({code.value}) uniemożliwia wysyłkę faktur.")
    _check_request(request)
    limits = world.granted.context(session.context).online_session
    if len(session.invoices) >= limits.max_invoices:
        detail = (
            f"Sesja o numerze referencyjnym {session.reference_number} osiągnęła dozwolony limit liczby faktur "
            f"{limits.max_invoices}."
        )
        raise Refusal(ErrorCode.SESSION_FULL, detail)
    _check_correction(call, request)
    verdict, stored = await _judge(call, session, request)
    processing_at = call.now + seconds(world.timings.invoice_queue_delay)
    takes = _STUCK if goes_wrong(call, "stuck") else seconds(world.timings.invoice_processing_delay)
    final_at = processing_at + takes
    invoice = Invoice(
        reference_number=new_reference_number("EE", call.now),
        ordinal_number=len(session.invoices) + 1,
        invoice_hash=request.invoice_hash,
        stored=stored,
        received_at=call.now,
        verdict=verdict,
    )
    invoice.schedule(call.now, processing_at, final_at if session.cipher else max(call.now, session.key_fails_at))
    session.invoices[invoice.reference_number] = invoice
    session.schedule(call.now)
    late = timedelta(seconds=call.fault.seconds) if call.fault is not None and goes_wrong(call, "late") else None
    file_invoice(world, invoice, session, request.hash_of_corrected_invoice, index_lag=late)
    if goes_wrong(call, "session_dies"):
        session.die(call.now)
        world.cancel_invoices(session, call.now)
    return SendInvoiceResponse(invoice.reference_number)


def _check_request(request: SendInvoiceRequest) -> None:
    hashes = {
        "invoiceHash": request.invoice_hash,
        "encryptedInvoiceHash": request.encrypted_invoice_hash,
        "hashOfCorrectedInvoice": request.hash_of_corrected_invoice,
    }
    problems = [
        f"'{name}' must be 44 characters in length."
        for name, value in hashes.items()
        if value is not None and len(value) != 32
    ]
    sizes = {"invoiceSize": request.invoice_size, "encryptedInvoiceSize": request.encrypted_invoice_size}
    problems += [f"'{name}' must be greater than or equal to '1'." for name, size in sizes.items() if size < 1]
    if request.hash_of_corrected_invoice is not None and not request.offline_mode:
        problems.append("HashOfCorrectedInvoice can only be provided for offline invoices")
    if problems:
        raise InvalidInput(*problems)
    content = request.encrypted_invoice_content
    if len(content) != request.encrypted_invoice_size:
        raise Refusal(ErrorCode.WRONG_FILE_SIZE, "Długość treści nie zgadza się z rozmiarem pliku.")
    if hashlib.sha256(content).digest() != request.encrypted_invoice_hash:
        raise Refusal(ErrorCode.WRONG_FILE_HASH, "Skrót treści nie zgadza się ze skrótem pliku.")


def _check_correction(call: Call, request: SendInvoiceRequest) -> None:
    corrected = request.hash_of_corrected_invoice
    if corrected is None:
        return
    if corrected in call.world.corrected_hashes:
        detail = "Faktura posiada już przetworzoną prawidłowo korektę techniczną."
        raise Refusal(ErrorCode.CORRECTION_ALREADY_ACCEPTED, detail)
    if corrected in call.world.accepted_hashes:
        detail = "Nie można wysłać korekty technicznej do prawidłowo przetworzonej faktury."
        raise Refusal(ErrorCode.CORRECTED_INVOICE_ACCEPTED, detail)


async def _judge(
    call: Call, session: OnlineSession, request: SendInvoiceRequest
) -> tuple[InvoiceVerdict, StoredDocument | None]:
    if session.cipher is None:
        return InvoiceVerdict(code=InvoiceStatusCode.SESSION_FAILED), None
    if call.fault is not None and call.fault.verdict is not None:
        return InvoiceVerdict(code=call.fault.verdict), None
    try:
        stored, document = await anyio.to_thread.run_sync(_reader(call, session, session.cipher, request))
    except CryptoError:
        return InvoiceVerdict(
            code=InvoiceStatusCode.DECRYPTION_ERROR, details=("Plik niepoprawnie zaszyfrowany",)
        ), None
    return _verdict(call, session, request, document), stored


def _reader(
    call: Call, session: OnlineSession, cipher: SessionCipher, request: SendInvoiceRequest
) -> Callable[[], tuple[StoredDocument, CheckedInvoice | Rejected]]:
    limits = call.world.granted.context(session.context).online_session
    relations = call.world.grants.relations_of(session.context, call.now)

    def read() -> tuple[StoredDocument, CheckedInvoice | Rejected]:
        invoice = cipher.decrypt(request.encrypted_invoice_content)
        stored = call.world.documents.keep(invoice)
        try:
            return stored, examine(
                invoice,
                form_code=session.form_code,
                context=session.context,
                received_at=call.now,
                declared=(request.invoice_size, request.invoice_hash),
                is_correction=request.hash_of_corrected_invoice is not None,
                check_identifiers=session.check_identifiers,
                limits=limits,
                find_shape_problems=partial(call.world.shape_check.problems, session.form_code),
                relations=relations,
                is_production=call.world.is_production,
            )
        except Rejected as rejected:
            return stored, rejected

    return read


def _verdict(
    call: Call, session: OnlineSession, request: SendInvoiceRequest, document: CheckedInvoice | Rejected
) -> InvoiceVerdict:
    if isinstance(document, Rejected):
        return InvoiceVerdict(code=document.code, details=document.details, invoice_number=document.invoice_number)
    call.warnings.extend(document.warnings)
    verdict = call.world.decide(document, session.reference_number, call.now, offline=request.offline_mode)
    if verdict.code is InvoiceStatusCode.ACCEPTED:
        call.world.accepted_hashes.add(request.invoice_hash)
        if request.hash_of_corrected_invoice is not None:
            call.world.corrected_hashes.add(request.hash_of_corrected_invoice)
    return verdict


async def close_online_session(call: Call) -> None:
    """POST /sessions/online/{referenceNumber}/close."""
    session = find_session_of(OnlineSession, call, "odnaleziona")
    async with session.lock:
        if (code := session.code_at(call.now)) != StatusCode.OPENED:
            raise Refusal(ErrorCode.SESSION_NOT_OPEN, f"Status sesji ({code.value}) uniemożliwia jej zamknięcie.")
        session.close(call.now)


# --- sessions of both kinds ------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _CountedStatus:
    """A `SessionStatus` whose counters are written even when they are zero."""

    status: StatusInfo
    date_created: datetime
    date_updated: datetime
    valid_until: datetime | None
    upo: UPO | None
    invoice_count: int
    successful_invoice_count: int
    failed_invoice_count: int


async def get_session_status(call: Call) -> SessionStatus | _CountedStatus:
    """GET /sessions/{referenceNumber}."""
    session = find_session(call)
    count, accepted, rejected = session.counts_at(call.now)
    is_done = session.code_at(call.now) == StatusCode.PROCESSED_OK
    # A batch session that was processed has all three counters, whatever they are; otherwise zeros are left out.
    model = _CountedStatus if is_done and session.kind is SessionType.BATCH else SessionStatus
    return model(
        status=session.status_at(call.now),
        date_created=session.opened_at,
        date_updated=session.updated_at(call.now),
        valid_until=session.valid_until,
        upo=await _upo_links(call, session) if is_done else None,
        invoice_count=count,
        successful_invoice_count=accepted,
        failed_invoice_count=rejected,
    )


async def _upo_links(call: Call, session: Session) -> UPO:
    pages = []
    for number, (reference_number, _) in enumerate(await upo_pages(session, call.now)):
        url, end = session_upo_link(call.world, session, number, call.now)
        pages.append(UPOPage(reference_number, url, end))
    return UPO(tuple(pages))


async def list_sessions(call: Call) -> SessionPage:
    """GET /sessions."""
    query = dict(call.query)
    size = query.pop("page_size")
    if "session_type" not in query:
        raise InvalidInput("'sessionType' must not be empty.")
    try:
        wanted = WIRE.load({name.replace("_", ""): value for name, value in query.items()}, SessionFilter)
    except WireError as error:
        raise InvalidInput(*problems_in_words(error)) from error
    checked(wanted)
    found = [
        session
        for session in reversed(call.world.sessions.values())
        if shows_session(call, session) and _fits(session, wanted, call.now)
    ]
    rows, token = page_of(found, call, size)
    return SessionPage(tuple(_summary(session, call.now) for session in rows), token)


def _fits(session: Session, wanted: SessionFilter, now: datetime) -> bool:
    closed = session.closed_since(now)
    return (
        wanted.session_type == session.kind
        and session.is_visible_at(now)
        and wanted.reference_number in (None, session.reference_number)
        and _within(session.opened_at, wanted.date_created_from, wanted.date_created_to)
        and _within(closed, wanted.date_closed_from, wanted.date_closed_to)
        and _within(session.updated_at(now), wanted.date_modified_from, wanted.date_modified_to)
        and (not wanted.statuses or session.outcome_at(now) in wanted.statuses)
    )


def _within(moment: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    if start is None and end is None:
        return True
    return moment is not None and (start is None or start <= moment) and (end is None or moment <= end)


def _summary(session: Session, now: datetime) -> SessionSummary:
    count, accepted, rejected = session.counts_at(now)
    return SessionSummary(
        reference_number=session.reference_number,
        status=session.status_at(now),
        date_created=session.opened_at,
        date_updated=session.updated_at(now),
        valid_until=session.valid_until,
        total_invoice_count=count,
        successful_invoice_count=accepted,
        failed_invoice_count=rejected,
    )


# --- invoices of a session -------------------------------------------------------------------------------------------


async def list_session_invoices(call: Call) -> WrittenAnswer:
    """GET /sessions/{referenceNumber}/invoices."""
    session = find_session(call)
    return await _page(call, session, session.invoices_at(call.now))


async def list_failed_session_invoices(call: Call) -> WrittenAnswer:
    """GET /sessions/{referenceNumber}/invoices/failed."""
    session = find_session(call)
    failed = [i for i in session.invoices_at(call.now) if i.timeline.is_terminal_at(call.now) and not i.is_accepted]
    return await _page(call, session, failed)


async def get_session_invoice(call: Call) -> SessionInvoice:
    """GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}."""
    session = find_session(call)
    return _row(call, session, find_invoice(call, session))


async def _page(call: Call, session: Session, invoices: Sequence[Invoice]) -> WrittenAnswer:
    rows, token = page_of(invoices, call, call.query["page_size"])
    # A thousand rows, each with a link to be signed, take a tenth of a second.
    return await WrittenAnswer.of(
        lambda: SessionInvoicePage(tuple(_row(call, session, invoice) for invoice in rows), token)
    )


def _row(call: Call, session: Session, invoice: Invoice) -> SessionInvoice:
    accepted = invoice.timeline.is_success_at(call.now)
    final = invoice.timeline.is_terminal_at(call.now)
    verdict = invoice.verdict
    archived = call.world.repository.get(verdict.ksef_number or "")
    stored_at = archived.stored_at if archived else None
    url, url_end = invoice_upo_link(call.world, session, invoice, call.now) if accepted else (None, None)
    return SessionInvoice(
        ordinal_number=invoice.ordinal_number,
        invoice_number=verdict.invoice_number if final else None,
        ksef_number=verdict.ksef_number if accepted else None,
        reference_number=invoice.reference_number,
        invoice_hash=invoice.invoice_hash,
        invoice_file_name=invoice.file_name,
        acquisition_date=invoice.final_at if accepted else None,
        invoicing_date=invoice.received_at,
        permanent_storage_date=stored_at if accepted and stored_at and call.now >= stored_at else None,
        upo_download_url=url,
        upo_download_url_expiration_date=url_end,
        invoicing_mode=verdict.mode if accepted else None,
        status=invoice.status_at(call.now),
    )


# --- receipts --------------------------------------------------------------------------------------------------------


async def get_invoice_upo(call: Call) -> XmlAnswer:
    """GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}/upo."""
    session = find_session(call)
    return await _receipt(call, session, find_invoice(call, session))


async def get_invoice_upo_by_ksef_number(call: Call) -> XmlAnswer:
    """GET /sessions/{referenceNumber}/invoices/ksef/{ksefNumber}/upo."""
    session = find_session(call)
    number = call.path["ksef_number"]
    for invoice in session.invoices_at(call.now):
        if invoice.verdict.ksef_number == number:
            return await _receipt(call, session, invoice)
    raise _no_upo(number, session)


async def get_session_upo_page(call: Call) -> XmlAnswer:
    """GET /sessions/{referenceNumber}/upo/{upoReferenceNumber}."""
    session = find_session(call)
    wanted = call.path["upo_reference_number"]
    if session.code_at(call.now) == StatusCode.PROCESSED_OK:
        for reference_number, page in await upo_pages(session, call.now):
            if reference_number == wanted:
                return _document(page)
    detail = f"UPO o numerze referencyjnym {wanted} dla sesji {session.reference_number} nie zostało znalezione."
    raise Refusal(ErrorCode.UNKNOWN_UPO, detail)


async def _receipt(call: Call, session: Session, invoice: Invoice) -> XmlAnswer:
    if not invoice.timeline.is_success_at(call.now):
        raise _no_upo(invoice.reference_number, session)
    return _document(await invoice_receipt(session, invoice))


def _document(xml: bytes) -> XmlAnswer:
    return XmlAnswer(xml, b64encode(hashlib.sha256(xml).digest()).decode("ascii"))


def _no_upo(number: str, session: Session) -> Refusal:
    detail = (
        f"UPO o numerze KSeF {number} i numerze referencyjnym sesji {session.reference_number} nie zostało znalezione."
    )
    return Refusal(ErrorCode.UNKNOWN_UPO, detail)
