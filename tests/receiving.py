"""Invoices for a sandbox in bulk, through its own intake but without HTTP; and what tests of receiving share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from ksef_async.api.common import Context, ContextType
from ksef_async.api.invoices import DateRange, DateType, InvoiceFilters, InvoiceSubject
from ksef_async.api.sessions import FormCode
from ksef_async.protocol.lifecycle import LoginStatusCode
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sandbox.document_file import StoredDocument
from ksef_async.sandbox.intake import examine
from ksef_async.sandbox.processing import file_invoice
from ksef_async.sandbox.sessions import OnlineSession
from ksef_async.sandbox.world import Invoice, Login, Subject, new_reference_number

BUYER = "5265877635"


def new_session(sandbox: Sandbox, nip: str) -> OnlineSession:
    """A session of a company, as if it had been opened by a call."""
    now = sandbox.clock.now()
    login = next((each for each in sandbox.world.logins.values() if each.context.value == nip), None)
    if login is None:
        login = _new_login(nip, now)
    session = OnlineSession(
        reference_number=new_reference_number("SO", now),
        login=login,
        form_code=FormCode.FA3,
        cipher=None,
        check_identifiers=False,
        opened_at=now,
        valid_until=now + timedelta(hours=12),
        timings=sandbox.world.timings,
    )
    sandbox.world.sessions[session.reference_number] = session
    return session


def _new_login(nip: str, now: datetime) -> Login:
    login = Login(
        reference_number=new_reference_number("AU", now),
        context=Context(ContextType.NIP, nip),
        subject=Subject("Nip", nip),
        token=None,
        policy=None,
        client_ip="127.0.0.1",
        started_at=now,
    )
    login.decide(now, LoginStatusCode.SUCCEEDED)
    return login


def feed(sandbox: Sandbox, documents: Iterable[bytes], *, nip: str | None = None) -> list[str]:
    """Let the sandbox take documents in, as it does those that are sent; gives their KSeF numbers."""
    world = sandbox.world
    session = new_session(sandbox, nip or sandbox.nip)
    numbers = []
    for document in documents:
        now = sandbox.clock.now()
        digest = hashlib.sha256(document).digest()
        verdict = world.decide(
            examine(
                document,
                form_code=session.form_code,
                context=session.context,
                received_at=now,
                declared=(len(document), digest),
                is_correction=False,
                check_identifiers=False,
                limits=world.granted.context(session.context).online_session,
                find_shape_problems=partial(world.shape_check.problems, session.form_code),
            ),
            session.reference_number,
            now,
            offline=False,
        )
        assert verdict.ksef_number is not None
        processing_at = now + timedelta(seconds=world.timings.invoice_queue_delay)
        invoice = Invoice(
            reference_number=new_reference_number("EE", now),
            ordinal_number=len(session.invoices) + 1,
            invoice_hash=digest,
            stored=_stored(sandbox, document),
            received_at=now,
            verdict=verdict,
        )
        invoice.schedule(now, processing_at, processing_at + timedelta(seconds=world.timings.invoice_processing_delay))
        session.invoices[invoice.reference_number] = invoice
        file_invoice(world, invoice, session)
        numbers.append(verdict.ksef_number)
    return numbers


def _stored(sandbox: Sandbox, document: bytes) -> StoredDocument:
    # The sandbox writes to the disk in threads only, and the tests hold it to that.
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(sandbox.world.documents.keep, document).result()


def feed_samples(sandbox: Sandbox, count: int, *, start: int = 0, buyer: str = BUYER) -> list[str]:
    """Let the sandbox take in invoices to ``buyer``, each a millisecond of its clock after the one before."""
    numbers = []
    for number in range(start, start + count):
        numbers += feed(sandbox, [sample_invoice(sandbox.nip, f"FV/{number}", buyer_nip=buyer)])
        sandbox.clock.advance(0.001)
    return numbers


def settle(sandbox: Sandbox) -> None:
    """Let what was taken in be stored, and the high-water mark pass it."""
    sandbox.clock.advance(5)


def everything(
    sandbox: Sandbox,
    subject: InvoiceSubject = InvoiceSubject.BUYER,
    date_type: DateType = DateType.PERMANENT_STORAGE,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
) -> InvoiceFilters:
    """A query for the last day."""
    start = start or sandbox.clock.now() - timedelta(days=1)
    return InvoiceFilters(subject_type=subject, date_range=DateRange(date_type, start, end))
