"""What KSeF makes of a package once its session is closed, in the order of its codes; and the filing of invoices.

Key (415) -> hashes of the parts (405) -> decryption of the parts (435) -> hash of the archive and unpacking (430) ->
number of invoices (420, 440) -> each invoice (200, 445). The order is inferred from the codes [INF]. Invoices that are
accepted, in sessions of both kinds, are filed so that their parties find them. Source: sesja-wsadowa.md.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import attrs

from ..api.limits import SessionLimits
from ..api.sessions import InvoiceStatusCode, StatusCode
from ..crypto.envelope import SessionCipher
from ..errors import CryptoError
from .archives import ArchiveError, DecryptedParts, EmptyArchiveError, Entry, TooManyEntriesError, unpack
from .clock import seconds
from .document_file import StoredDocument
from .intake import CheckedInvoice, Rejected, examine
from .sessions import BatchSession, Result
from .world import Invoice, InvoiceVerdict, Session, World, new_reference_number

__all__ = ["file_invoice", "process"]


_log = logging.getLogger("ksef_async.sandbox")
# How many invoices are decided before others may use the event loop.
_SLICE: Final = 20
# What KSeF says of a session that it ends for no fault of its package. It cancels some that were closed in time
# (ksef-api#308), in the words of those that were not.
_FORCED_DETAILS: Final = {StatusCode.CANCELLED: ("Sesja anulowana, przekroczony czas wysyłki",)}


async def process(world: World, session: BatchSession) -> None:
    """Process the package of a closed session; the outcome shows after the delays."""
    invoices: list[Invoice] = []
    details: tuple[str, ...] = ()
    try:
        if session.forced_end is not None:
            raise _SessionEnds(session.forced_end, *_FORCED_DETAILS.get(session.forced_end, ()))
        examined = await anyio.to_thread.run_sync(_examine, world, session)
        invoices = await _decide(world, session, examined)
        accepted = any(invoice.is_accepted for invoice in invoices)
        code = StatusCode.PROCESSED_OK if accepted else StatusCode.VALIDATION_ERROR
    except _SessionEnds as end:
        code, details = end.code, end.details
    except Exception:  # noqa: BLE001  # a bug in the sandbox must look like one of KSeF's, and be seen
        _log.exception("processing session %s failed", session.reference_number)
        code = StatusCode.UNKNOWN_ERROR
    await anyio.to_thread.run_sync(_remove_parts, session)
    timings = world.timings
    # The delays count from the close, or from the end of the work when that has taken longer.
    now = world.clock.now()
    listed_at = max(now, (session.closed_at or session.opened_at) + seconds(timings.invoice_queue_delay))
    decided_at = listed_at + seconds(timings.invoice_processing_delay)
    for invoice in invoices:
        invoice.schedule(now, listed_at, decided_at)
    session.invoices = {invoice.reference_number: invoice for invoice in invoices}
    for number, invoice in enumerate(invoices, 1):
        file_invoice(world, invoice, session)
        if number % _SLICE == 0:
            await anyio.lowlevel.checkpoint()
    final_at = (decided_at if invoices else listed_at) + seconds(timings.session_closing_delay)
    session.finish(now, Result(code=code, details=details, listed_at=listed_at, final_at=final_at))


class _SessionEnds(Exception):  # noqa: N818  # it is a verdict, not a failure of the sandbox
    def __init__(self, code: StatusCode, *details: str) -> None:
        super().__init__(code, *details)
        self.code = code
        self.details = details


@attrs.frozen
class _Examined:
    name: str
    sha256: bytes
    stored: StoredDocument | None
    """None for one that is longer than any invoice."""
    verdict: CheckedInvoice | Rejected


def _examine(world: World, session: BatchSession) -> list[_Examined]:
    """Read the package and check each invoice by itself; slow, so it runs in a worker thread.

    Raises:
        _SessionEnds: The package cannot be used.
    """
    if session.cipher is None:
        raise _SessionEnds(StatusCode.DECRYPTION_ERROR)
    for part in session.parts.values():
        if part.stored_hash != part.declared_hash:
            detail = (
                f"Skrót SHA-256 części: '{part.ordinal_number}' nie zgadza się z zadeklarowanym skrótem: "
                f"{_base64(part.declared_hash)}"
            )
            raise _SessionEnds(StatusCode.PART_ERROR, detail)
    try:
        return _read_package(world, session, session.cipher)
    except CryptoError as error:
        raise _SessionEnds(StatusCode.PART_DECRYPTION_ERROR, str(error)) from error
    except ArchiveError as error:
        raise _SessionEnds(StatusCode.ARCHIVE_ERROR, str(error)) from error
    except TooManyEntriesError as error:
        detail = (
            f"Przekroczono dopuszczalną liczbę faktur w paczce: '{error.limit}'. "
            f"Liczba faktur w paczce: '{error.found}'."
        )
        raise _SessionEnds(StatusCode.TOO_MANY_INVOICES, detail) from error
    except EmptyArchiveError as error:
        raise _SessionEnds(StatusCode.CANCELLED, "Nie przesłano faktur") from error


def _read_package(world: World, session: BatchSession, cipher: SessionCipher) -> list[_Examined]:
    limits = world.granted.context(session.context).batch_session
    judge = _judge_for(world, session, limits)
    paths = [part.path for _, part in sorted(session.parts.items())]
    with DecryptedParts(paths, cipher, anyio.from_thread.check_cancelled) as archive:
        if archive.size != session.declared_size or archive.sha256() != session.declared_hash:
            raise ArchiveError(
                "Skrót SHA-256 przesłanej paczki faktur nie jest zgodny z zadeklarowanym skrótem: "
                f"{_base64(session.declared_hash)}"
            )
        return [
            judge(entry)
            for entry in unpack(
                archive,
                session.compression,
                max_invoices=limits.max_invoices,
                largest=1_000_000 * limits.max_invoice_with_attachment_size_mb,
            )
        ]


def _judge_for(world: World, session: BatchSession, limits: SessionLimits) -> Callable[[Entry], _Examined]:
    now = world.clock.now()
    may_attach = world.grants.has_attachment_consent(session.context, now)
    relations = world.grants.relations_of(session.context, now)

    def judge(entry: Entry) -> _Examined:
        anyio.from_thread.check_cancelled()
        if entry.size != len(entry.content):
            too_large = Rejected(InvoiceStatusCode.FILE_ERROR, "Rozmiar pliku faktury przekracza dozwolony limit.")
            return _Examined(entry.name, entry.sha256, None, too_large)
        return _Examined(entry.name, entry.sha256, world.documents.keep(entry.content), read(entry))

    def read(entry: Entry) -> CheckedInvoice | Rejected:
        try:
            document = examine(
                entry.content,
                form_code=session.form_code,
                context=session.context,
                # The day of acceptance is that of the session [INF], as the invoicing date is.
                received_at=session.opened_at,
                declared=None,
                # Whether attachments are allowed is another question here than in an online session.
                is_correction=True,
                check_identifiers=session.check_identifiers,
                limits=limits,
                find_shape_problems=partial(world.shape_check.problems, session.form_code),
                relations=relations,
                is_production=world.is_production,
            )
        except Rejected as rejected:
            return rejected
        if document.has_attachment and not may_attach:
            return Rejected(InvoiceStatusCode.NOT_PERMITTED, invoice_number=document.invoice_number)
        return document

    return judge


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode("ascii")


async def _decide(world: World, session: BatchSession, examined: list[_Examined]) -> list[Invoice]:
    """Return the invoices with their verdicts, which depend on all earlier ones: duplicates and KSeF numbers."""
    now = world.clock.now()
    invoices = []
    for number, one in enumerate(examined, 1):
        invoices.append(_invoice(world, session, number, one, now))
        if number % _SLICE == 0:
            await anyio.lowlevel.checkpoint()
    return invoices


def _invoice(world: World, session: BatchSession, number: int, one: _Examined, now: datetime) -> Invoice:
    if isinstance(one.verdict, Rejected):
        rejected = one.verdict
        verdict = InvoiceVerdict(code=rejected.code, details=rejected.details, invoice_number=rejected.invoice_number)
    else:
        verdict = world.decide(one.verdict, session.reference_number, session.opened_at, offline=session.offline_mode)
        if verdict.code is InvoiceStatusCode.ACCEPTED:
            world.accepted_hashes.add(one.sha256)
    return Invoice(
        reference_number=new_reference_number("EE", now, number),
        ordinal_number=number,
        invoice_hash=one.sha256,
        file_name=one.name,
        stored=one.stored,
        received_at=session.opened_at,
        verdict=verdict,
    )


def _remove_parts(session: BatchSession) -> None:
    """Delete the uploaded parts, which would otherwise take as much disk as the documents."""
    for part in session.parts.values():
        part.path.unlink(missing_ok=True)


# --- filing ----------------------------------------------------------------------------------------------------------


def file_invoice(
    world: World,
    invoice: Invoice,
    session: Session,
    corrected_hash: bytes | None = None,
    *,
    index_lag: timedelta | None = None,
) -> None:
    """Store an invoice that is, or will be, accepted; its parties find it once it is in permanent storage.

    Args:
        world: Whose repository it goes to.
        invoice: With its verdict; nothing is done with one that is rejected.
        session: In which it was sent.
        corrected_hash: SHA-256 of the invoice that this one corrects technically.
        index_lag: How long after its storage it is found; as long as all others by default.
    """
    verdict, stored = invoice.verdict, invoice.stored
    if stored is None or verdict.document is None or verdict.ksef_number is None or verdict.mode is None:
        return
    world.repository.file(
        verdict.document,
        stored,
        ksef_number=verdict.ksef_number,
        invoice_hash=invoice.invoice_hash,
        mode=verdict.mode,
        form_code=session.form_code,
        context=session.context,
        received_at=invoice.received_at,
        final_at=invoice.final_at,
        # Not before now, however long the work took: the high-water mark has passed by what is before.
        stored_at=max(invoice.final_at + seconds(world.timings.storage_lag), world.clock.now()),
        index_lag=seconds(world.timings.index_lag) if index_lag is None else index_lag,
        corrected_hash=corrected_hash,
    )
