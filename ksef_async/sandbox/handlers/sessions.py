"""Online sessions, their invoices and receipts. Source: sesja-interaktywna.md, faktury/sesja-sprawdzenie-stanu.md."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import anyio.to_thread

from ...crypto.envelope import IV_SIZE, KEY_SIZE, SessionCipher, rsa_decrypt
from ...errors import CryptoError
from ...models.keys import PublicKeyUsage
from ...models.sessions import (
    UPO,
    Feature,
    InvoiceStatusCode,
    InvoiceStatusInfo,
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
from ...protocol.error_codes import ErrorCode
from ...protocol.lifecycle import INVOICE_STATES, is_terminal, session_outcome
from ...protocol.wire import WireError
from ..intake import Rejected, examine
from ..refusals import Forbidden, InvalidInput, Refusal
from ..router import WIRE, Call, Document, Handler
from ..upo import invoice_upo, session_upo_pages
from ..world import Invoice, OnlineSession, Verdict, new_reference_number

__all__ = ["HANDLERS"]

T = TypeVar("T")

#: Work on more bytes than this leaves the event loop.
_LARGE: Final = 64_000


async def open_online_session(call: Call) -> OpenOnlineSessionResponse:
    """POST /sessions/online; whether the key can be decrypted shows only later."""
    request: OpenOnlineSessionRequest = call.body
    encryption = request.encryption
    if len(iv := encryption.initialization_vector) != IV_SIZE:
        raise InvalidInput(
            f"Nieprawidłowa długość wektora inicjującego (IV). Oczekiwano {IV_SIZE} bajtów, otrzymano {len(iv)}."
        )
    private_key = call.sandbox.ministry.private_key(PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION, encryption.public_key_id)
    if private_key is None:
        detail = f"Klucz o identyfikatorze {encryption.public_key_id} nie jest wspierany."
        raise Refusal(ErrorCode.UNKNOWN_PUBLIC_KEY, detail)
    try:
        key = rsa_decrypt(private_key, encryption.encrypted_symmetric_key)
    except CryptoError:
        key = b""
    session = OnlineSession(
        reference_number=new_reference_number("SO", call.now),
        login=call.caller,
        form_code=request.form_code,
        cipher=SessionCipher(key, iv) if len(key) == KEY_SIZE else None,
        check_identifiers=Feature.SUBJECT_IDENTIFIER_VALIDATION in call.features,
        opened_at=call.now,
        valid_until=call.now + call.world.timings.session_lifetime,
        timings=call.world.timings,
    )
    call.world.sessions[session.reference_number] = session
    return OpenOnlineSessionResponse(session.reference_number, session.valid_until)


async def send_invoice(call: Call) -> SendInvoiceResponse:
    """POST /sessions/online/{referenceNumber}/invoices."""
    session = _find(call, "odnaleziona")
    request: SendInvoiceRequest = call.body
    if (code := session.code_at(call.now)) != StatusCode.OPENED:
        raise Refusal(ErrorCode.SESSION_NOT_OPEN, f"Status sesji ({code.value}) uniemożliwia wysyłkę faktur.")
    _check_request(request)
    if len(session.invoices) >= call.sandbox.max_invoices:
        detail = (
            f"Sesja o numerze referencyjnym {session.reference_number} osiągnęła dozwolony limit liczby faktur "
            f"{call.sandbox.max_invoices}."
        )
        raise Refusal(ErrorCode.SESSION_FULL, detail)
    _check_correction(call, request)
    timings = call.world.timings
    processing_at = call.now + timings.invoice_queue_delay
    # Its place is taken before the work leaves the event loop, so that order and limits hold.
    invoice = Invoice(
        reference_number=new_reference_number("EE", call.now),
        ordinal_number=len(session.invoices) + 1,
        invoice_hash=request.invoice_hash,
        received_at=call.now,
        processing_at=processing_at,
        final_at=processing_at + timings.invoice_processing_delay,
        verdict=Verdict(code=InvoiceStatusCode.UNKNOWN_ERROR),
    )
    session.invoices.append(invoice)
    invoice.verdict = await _judge(call, session, request)
    if session.cipher is None:
        invoice.final_at = max(call.now, session.key_fails_at)
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


async def _judge(call: Call, session: OnlineSession, request: SendInvoiceRequest) -> Verdict:
    cipher = session.cipher
    if cipher is None:
        return Verdict(code=InvoiceStatusCode.SESSION_FAILED)

    def read() -> Any:
        plain = cipher.decrypt(request.encrypted_invoice_content)
        return examine(
            plain,
            form_code=session.form_code,
            context=session.context,
            received_at=call.now,
            declared_size=request.invoice_size,
            declared_hash=request.invoice_hash,
            is_correction=request.hash_of_corrected_invoice is not None,
            check_identifiers=session.check_identifiers,
            validate=None,
        )

    try:
        large = len(request.encrypted_invoice_content) > _LARGE
        document = await anyio.to_thread.run_sync(read) if large else read()
    except CryptoError:
        return Verdict(code=InvoiceStatusCode.DECRYPTION_ERROR, details=("Plik niepoprawnie zaszyfrowany",))
    except Rejected as rejected:
        return Verdict(code=rejected.code, details=rejected.details, invoice_number=rejected.invoice_number)
    verdict = call.world.decide(document, session.reference_number, call.now, offline=request.offline_mode)
    if verdict.code is InvoiceStatusCode.ACCEPTED:
        call.world.accepted_hashes.add(request.invoice_hash)
        if request.hash_of_corrected_invoice is not None:
            call.world.corrected_hashes.add(request.hash_of_corrected_invoice)
    return verdict


async def close_online_session(call: Call) -> None:
    """POST /sessions/online/{referenceNumber}/close."""
    session = _find(call, "odnaleziona")
    if (code := session.code_at(call.now)) != StatusCode.OPENED:
        raise Refusal(ErrorCode.SESSION_NOT_OPEN, f"Status sesji ({code.value}) uniemożliwia jej zamknięcie.")
    session.closed_at = call.now


async def get_session_status(call: Call) -> SessionStatus:
    """GET /sessions/{referenceNumber}."""
    session = _find(call)
    count, accepted, rejected = session.counts_at(call.now)
    return SessionStatus(
        status=session.status_at(call.now),
        date_created=session.opened_at,
        date_updated=session.updated_at(call.now),
        valid_until=session.valid_until,
        upo=await _upo_links(call, session) if session.code_at(call.now) == StatusCode.PROCESSED_OK else None,
        invoice_count=count,
        successful_invoice_count=accepted,
        failed_invoice_count=rejected,
    )


async def _upo_links(call: Call, session: OnlineSession) -> UPO:
    pages = []
    for number, (reference_number, _) in enumerate(await _upo_pages(call, session)):
        path = f"/storage/01/{session.reference_number.lower()}/session-upo/upo_{number:02}.xml"
        url, end = _link(call, path, session.upo_pages[number][1])
        pages.append(UPOPage(reference_number, url, end))
    return UPO(tuple(pages))


async def _upo_pages(call: Call, session: OnlineSession) -> tuple[tuple[str, bytes], ...]:
    if not session.upo_pages:
        pages = await anyio.to_thread.run_sync(session_upo_pages, session)
        if not session.upo_pages:
            session.upo_pages = tuple((new_reference_number("EU", call.now), page) for page in pages)
    return session.upo_pages


def _link(call: Call, path: str, document: bytes) -> tuple[str, datetime]:
    call.sandbox.blobs[path] = document
    signed, end = call.sandbox.ministry.sign_link(path, call.now, call.world.timings.link_lifetime)
    return call.sandbox.public_url + signed, end


async def list_sessions(call: Call) -> SessionPage:
    """GET /sessions."""
    query = dict(call.query)
    size = query.pop("page_size")
    if "session_type" not in query:
        raise InvalidInput("'sessionType' must not be empty.")
    try:
        wanted = WIRE.load({name.replace("_", ""): value for name, value in query.items()}, SessionFilter)
    except WireError as error:
        raise InvalidInput(f"'{error.path.removeprefix('$.')}' is invalid: {error}.") from error
    found = [
        session
        for session in reversed(call.world.sessions.values())
        if session.context == call.caller.context and _fits(session, wanted, call.now)
    ]
    rows, token = _page(found, call, size)
    return SessionPage(tuple(_summary(session, call.now) for session in rows), token)


def _fits(session: OnlineSession, wanted: SessionFilter, now: datetime) -> bool:
    closed = session.closed_since(now)
    return (
        wanted.session_type == SessionType.ONLINE
        and wanted.reference_number in (None, session.reference_number)
        and _within(session.opened_at, wanted.date_created_from, wanted.date_created_to)
        and _within(closed, wanted.date_closed_from, wanted.date_closed_to)
        and _within(session.updated_at(now), wanted.date_modified_from, wanted.date_modified_to)
        and (not wanted.statuses or session_outcome(session.code_at(now)) in wanted.statuses)
    )


def _within(moment: datetime | None, start: datetime | None, end: datetime | None) -> bool:
    if start is None and end is None:
        return True
    return moment is not None and (start is None or start <= moment) and (end is None or moment <= end)


def _summary(session: OnlineSession, now: datetime) -> SessionSummary:
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


async def list_session_invoices(call: Call) -> SessionInvoicePage:
    """GET /sessions/{referenceNumber}/invoices."""
    session = _find(call)
    return _invoice_page(call, session, session.invoices)


async def list_failed_session_invoices(call: Call) -> SessionInvoicePage:
    """GET /sessions/{referenceNumber}/invoices/failed."""
    session = _find(call)
    failed = [i for i in session.invoices if is_terminal(i.code_at(call.now)) and not i.is_accepted]
    return _invoice_page(call, session, failed)


def _invoice_page(call: Call, session: OnlineSession, invoices: Sequence[Invoice]) -> SessionInvoicePage:
    rows, token = _page(invoices, call, call.query["page_size"])
    return SessionInvoicePage(tuple(_status(call, session, invoice) for invoice in rows), token)


async def get_session_invoice(call: Call) -> SessionInvoice:
    """GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}."""
    session = _find(call)
    return _status(call, session, _find_invoice(call, session))


def _status(call: Call, session: OnlineSession, invoice: Invoice) -> SessionInvoice:
    code = invoice.code_at(call.now)
    accepted = code is InvoiceStatusCode.ACCEPTED
    verdict = invoice.verdict
    stored_at = invoice.final_at + call.world.timings.storage_lag
    url, url_end = None, None
    if accepted:
        path = f"/storage/01/{session.reference_number.lower()}/invoice-upo/upo_{verdict.ksef_number}.xml"
        url, url_end = _link(call, path, invoice_upo(session, invoice))
    return SessionInvoice(
        ordinal_number=invoice.ordinal_number,
        invoice_number=verdict.invoice_number if is_terminal(code) else None,
        ksef_number=verdict.ksef_number if accepted else None,
        reference_number=invoice.reference_number,
        invoice_hash=invoice.invoice_hash,
        acquisition_date=invoice.final_at if accepted else None,
        invoicing_date=invoice.received_at,
        permanent_storage_date=stored_at if accepted and call.now >= stored_at else None,
        upo_download_url=url,
        upo_download_url_expiration_date=url_end,
        invoicing_mode=verdict.mode if accepted else None,
        status=InvoiceStatusInfo(
            code,
            INVOICE_STATES[code].description,
            invoice.details_at(call.now),
            verdict.extensions if is_terminal(code) else {},
        ),
    )


async def get_invoice_upo(call: Call) -> Document:
    """GET /sessions/{referenceNumber}/invoices/{invoiceReferenceNumber}/upo."""
    session = _find(call)
    return _receipt(call, session, _find_invoice(call, session))


async def get_invoice_upo_by_ksef_number(call: Call) -> Document:
    """GET /sessions/{referenceNumber}/invoices/ksef/{ksefNumber}/upo."""
    session = _find(call)
    number = call.path["ksef_number"]
    for invoice in session.invoices:
        if invoice.verdict.ksef_number == number:
            return _receipt(call, session, invoice)
    raise _no_upo(number, session)


def _receipt(call: Call, session: OnlineSession, invoice: Invoice) -> Document:
    if invoice.code_at(call.now) is not InvoiceStatusCode.ACCEPTED:
        raise _no_upo(invoice.reference_number, session)
    return _document(invoice_upo(session, invoice))


async def get_session_upo_page(call: Call) -> Document:
    """GET /sessions/{referenceNumber}/upo/{upoReferenceNumber}."""
    session = _find(call)
    wanted = call.path["upo_reference_number"]
    if session.code_at(call.now) == StatusCode.PROCESSED_OK:
        for reference_number, page in await _upo_pages(call, session):
            if reference_number == wanted:
                return _document(page)
    raise Refusal(
        ErrorCode.UNKNOWN_UPO,
        f"UPO o numerze referencyjnym {wanted} dla sesji {session.reference_number} nie zostało znalezione.",
    )


def _document(xml: bytes) -> Document:
    return Document(xml, b64encode(hashlib.sha256(xml).digest()).decode("ascii"))


def _no_upo(number: str, session: OnlineSession) -> Refusal:
    return Refusal(
        ErrorCode.UNKNOWN_UPO,
        f"UPO o numerze KSeF {number} i numerze referencyjnym sesji {session.reference_number} nie zostało znalezione.",
    )


def _find(call: Call, found: str = "znaleziona") -> OnlineSession:
    reference_number = call.path["reference_number"]
    session = call.world.sessions.get(reference_number)
    if session is None:
        detail = f"Sesja o numerze referencyjnym {reference_number} nie została {found}."
        raise Refusal(ErrorCode.UNKNOWN_SESSION, detail)
    if session.context != call.caller.context:
        raise Forbidden("insufficient-resource-access", "Brak dostępu do wskazanego zasobu.")
    return session


def _find_invoice(call: Call, session: OnlineSession) -> Invoice:
    wanted = call.path["invoice_reference_number"]
    for invoice in session.invoices:
        if invoice.reference_number == wanted:
            return invoice
    raise InvalidInput(f"Faktura o numerze referencyjnym {wanted} nie została znaleziona.")


def _page(rows: Sequence[T], call: Call, size: int) -> tuple[Sequence[T], str | None]:
    start = 0
    if call.continuation_token is not None:
        try:
            start = int(urlsafe_b64decode(call.continuation_token).decode().removeprefix("[").removesuffix("]"))
        except (binascii.Error, ValueError):
            raise Refusal(
                ErrorCode.INVALID_CONTINUATION_TOKEN, "'continuationToken' is not in the correct format."
            ) from None
    end = start + size
    token = urlsafe_b64encode(f"[{end}]".encode()).decode() if end < len(rows) else None
    return rows[start:end], token


HANDLERS: dict[str, Handler] = {
    handler.__name__: handler
    for handler in (
        open_online_session, send_invoice, close_online_session, list_sessions, get_session_status,
        list_session_invoices, list_failed_session_invoices, get_session_invoice, get_invoice_upo,
        get_invoice_upo_by_ksef_number, get_session_upo_page,
    )
}  # fmt: skip
