"""What a user writes, and what type it has: checked by mypy and pyright, not run."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal, assert_type

import aiohttp

from ksef_async import (
    AcceptedInvoice,
    AiohttpTransport,
    AnswerIncomplete,
    AuthSessions,
    AvailabilityState,
    BatchOutcome,
    BatchSession,
    Cadence,
    Caller,
    CertificateCredentials,
    Certificates,
    Checkpoint,
    CollectiveIdentifiers,
    CompressionType,
    Context,
    ContextLimits,
    ContextType,
    Deadline,
    DownloadedPackage,
    Downloads,
    EncryptionInfo,
    Environment,
    Event,
    Export,
    ExportedInvoice,
    ExportReplaced,
    FormCode,
    Hook,
    InvoiceFilters,
    InvoiceFingerprint,
    InvoiceMetadata,
    InvoiceRejectedError,
    Invoices,
    InvoiceSubject,
    InvoicingMode,
    KsefClient,
    KsefError,
    KsefToken,
    Latarnia,
    LatarniaReport,
    Limits,
    LimitsUnknown,
    OfflineMode,
    OfflineSigner,
    OnlineSession,
    OperationHandle,
    Outage,
    OutageKind,
    Package,
    PackedInvoice,
    Peppol,
    Permission,
    Permissions,
    RateLimit,
    RateLimits,
    RawRequest,
    RawResponse,
    SendingPlan,
    SentInvoice,
    Session,
    SessionFailedError,
    SessionFilter,
    SessionInvoice,
    SessionKeeper,
    SessionManager,
    SessionStatus,
    SessionSummary,
    SessionType,
    SessionUPO,
    Sync,
    SyncedInvoice,
    TestData,
    TokenFilter,
    Tokens,
    TokenStatus,
    Transition,
    Transport,
    UPODocument,
    UPOEntry,
    VerificationCode,
    certificate_link,
    offline_deadline,
    outages_of,
    pack,
    verification_link,
)
from ksef_async.api.auth import GET_CHALLENGE, AuthSession, Challenge
from ksef_async.api.certificates import CertificateRow, Enrollment
from ksef_async.api.collective_identifiers import CollectiveIdentifierInvoice, InvoiceToGroup
from ksef_async.api.invoices import ExportStatus, InvoiceMetadataPage
from ksef_async.api.limits import SubjectLimits
from ksef_async.api.peppol import PeppolProvider
from ksef_async.api.permission_grants import AttachmentConsent, OperationStatus
from ksef_async.api.permissions import EntityPermissionRow, PersonPermissionRow
from ksef_async.api.sessions import CLOSE_ONLINE_SESSION, GET_INVOICE_UPO
from ksef_async.api.tokens import IssuedToken
from ksef_async.crypto.issuing import new_private_key
from ksef_async.documents import fa2, fa3, fa_rr1
from ksef_async.resources.tokens import GeneratedToken
from ksef_async.sandbox import Sandbox
from ksef_async.submissions import IssuedInvoice, Submission, Submissions


async def certificates(files: tuple[str, str]) -> None:
    async def on_a_card(data: bytes, algorithm: str) -> bytes:
        return data + algorithm.encode()

    credentials = await CertificateCredentials.from_files(*files, password="secret", nip="5265877635")
    assert_type(credentials, CertificateCredentials)
    assert_type(CertificateCredentials.from_hook(b"", on_a_card, nip="5265877635"), CertificateCredentials)
    async with KsefClient(Environment.TEST, credentials) as client:
        handle = await client.certificates.enroll("Faktury", new_private_key())
        assert_type(await handle.wait(), Enrollment)
        async for row in client.certificates.list():
            assert_type(row, CertificateRow)


async def issued_offline(xml: bytes, certificate: bytes) -> None:
    def quick(data: bytes, algorithm: str) -> bytes:
        return data + algorithm.encode()

    async def patient(data: bytes, algorithm: str) -> bytes:
        return data + algorithm.encode()

    assert_type(await OfflineSigner.from_files("c.pem", "k.pem", password="secret"), OfflineSigner)
    assert_type(OfflineSigner.from_hook(certificate, quick), OfflineSigner)
    signer = OfflineSigner.from_hook(certificate, patient)
    assert_type(verification_link(xml, Environment.TEST), str)
    context = Context(ContextType.NIP, "5265877635")
    assert_type(await certificate_link(xml, signer, context, Environment.TEST), str)
    code = VerificationCode.of_invoice(InvoiceFingerprint.of(xml), Environment.TEST, ksef_number=None)
    assert_type(code.svg(), str)
    assert_type(code.png(scale=4), bytes)
    outage = Outage(kind=OutageKind.FAILURE, start=datetime.now(UTC))
    due = offline_deadline(OfflineMode.OFFLINE24, date(2026, 4, 30), [outage], issued_at=datetime.now(UTC))
    assert_type(due, Deadline)
    assert_type(due.due_by, datetime | None)


async def outages(client: KsefClient) -> None:
    assert_type(await client.latarnia.status(), LatarniaReport)
    assert_type(outages_of(await client.latarnia.get_messages()), tuple[Outage, ...])
    async for report in client.latarnia.changes(interval=30):
        assert_type(report, LatarniaReport)
    assert_type((await client.availability()).state, AvailabilityState)


async def networks(context: ssl.SSLContext) -> None:
    token = KsefToken(nip="5265877635", token="secret")
    async with (
        KsefClient(Environment.TEST, token, proxy="http://proxy.example:3128", ca_file=Path("ca.pem")),
        KsefClient(Environment.TEST, token, ca_file="ca.pem", ssl_context=None),
        KsefClient(Environment.TEST, token, ssl_context=context, proxy=""),
    ):
        pass
    AiohttpTransport(proxy="http://proxy.example:3128", ssl_context=context)


class Counting:
    """A transport of the user's, around the library's."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.requests = 0

    async def send(self, request: RawRequest, /) -> RawResponse:
        self.requests += 1
        assert_type(request.operation, str)
        response = await self.inner.send(request)
        assert_type(response.status, int)
        return response


async def seams(http: aiohttp.ClientSession) -> None:
    token = KsefToken(nip="5265877635", token="secret")
    transport: Transport = Counting(AiohttpTransport(http))
    told: Hook = hook
    async with (
        KsefClient(Environment.TEST, token, http_session=http, hook=told),
        KsefClient(Environment.TEST, token, transport=transport),
    ):
        pass
    caller = Caller(Environment.TEST, transport, hook=hook).with_bearer("jwt")
    assert_type(caller.access_token, str | None)
    assert_type(SessionManager(caller), SessionManager)


def hook(event: Event) -> None:
    if isinstance(event, AnswerIncomplete):
        assert_type(event.parts, tuple[str, ...])
    elif isinstance(event, ExportReplaced):
        assert_type(event.error, KsefError)
        assert_type(event.reference_number, str | None)
    elif isinstance(event, LimitsUnknown):
        assert_type(event.error, KsefError)


def what_to_do_after(error: KsefError) -> None:
    assert_type(error.maybe_delivered, bool)
    if isinstance(error, SessionFailedError | InvoiceRejectedError):
        assert_type(error.may_be_sent_again, bool)


async def either_kind(client: KsefClient, session: Session) -> None:
    attached: Session = await client.sessions.attach("20250625-SB-2C3E6C8000-B675CF5D68-07")
    assert_type(attached.reference_number, str)
    async for outcome in session.follow():
        assert_type(outcome, AcceptedInvoice | InvoiceRejectedError)
    assert_type(await session.terminate(), SessionStatus)
    assert_type(await session.upo(), SessionUPO)
    if isinstance(session, BatchSession):
        assert_type(session.uploaded_parts, frozenset[int])
        assert_type(session.package, Package)


async def client_and_session() -> None:
    async with KsefClient(Environment.TEST, KsefToken(nip="5265877635", token="secret")) as client:
        assert_type(client, KsefClient)
        session = await client.sessions.open_online(FormCode.FA3)
        assert_type(session, OnlineSession)
        async with session as entered:
            assert_type(entered, OnlineSession)
            sent = await session.send(b"<Faktura/>")
            assert_type(sent, SentInvoice)
            accepted = await sent.outcome()
            assert_type(accepted, AcceptedInvoice)
            assert_type(accepted.ksef_number, str)
            assert_type(accepted.accepted, Literal[True])
            assert_type(await sent.status(), SessionInvoice)
            assert_type(await sent.upo(), UPODocument)
            async for each in session.send_many([b"<Faktura/>"]):
                assert_type(each, SentInvoice)
            async for outcome in session.outcomes():
                assert_type(outcome, AcceptedInvoice | InvoiceRejectedError)
                assert_type(outcome.accepted, bool)
            async for invoice in session.invoices():
                assert_type(invoice, SessionInvoice)
            async for page in session.failed_invoices().pages():
                assert_type(page, tuple[SessionInvoice, ...])
        assert_type(await session.terminate(), SessionStatus)
        async for transition in session.transitions():
            assert_type(transition, Transition)
        upo = await session.upo()
        assert_type(upo, SessionUPO)
        assert_type(upo.documents, tuple[UPODocument, ...])
        for entry in upo.entries:
            assert_type(entry, UPOEntry)
        assert_type(session.valid_until, datetime | None)


async def manager(client: KsefClient, caller: Caller, encryption: EncryptionInfo) -> None:
    assert_type(client.sessions, SessionManager)
    session = await SessionManager(caller).open_online(FormCode.FA3, encryption=encryption, access_token="jwt")
    assert_type(session.snapshot(b"key"), bytes)
    assert_type(await client.sessions.attach("reference"), OnlineSession | BatchSession)
    assert_type(await client.sessions.attach("reference", encryption=encryption), OnlineSession)
    assert_type(await client.sessions.resume(b"snapshot", "key"), OnlineSession)
    assert_type(await client.sessions.status("reference"), SessionStatus)
    assert_type(await client.sessions.new_encryption(), EncryptionInfo)
    async for transition in client.sessions.transitions("reference"):
        assert_type(transition, Transition)
    async for summary in client.sessions.list(SessionFilter(session_type=SessionType.ONLINE)):
        assert_type(summary, SessionSummary)
    async with pack(Path("invoices"), compression=CompressionType.TAR_GZ) as package:
        assert_type(package, Package)
        batch = await client.sessions.open_batch(package, form_code=FormCode.FA3, progress=print)
        assert_type(batch, BatchSession)
        async with batch as entered_batch:
            assert_type(entered_batch, BatchSession)
        async for result in batch.outcomes():
            assert_type(result, BatchOutcome)
            assert_type(result.accepted, bool)
            assert_type(result.outcome, AcceptedInvoice | InvoiceRejectedError)
        assert_type(await batch.wait_until_processed(Cadence(interval=1.0, first_look=0.5)), SessionStatus)
        assert_type(await batch.upo(), SessionUPO)
        assert_type(await client.sessions.send_batch(package, form_code=FormCode.FA3), BatchSession)
        assert_type(await client.sessions.resume(batch.snapshot(b"key"), b"key", package=package), BatchSession)
    assert_type(await client.sessions.resume(b"snapshot", b"key"), OnlineSession)
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        assert_type(sender, SessionKeeper)
        assert_type(await sender.send(b"<Faktura/>"), SentInvoice)
        assert_type(sender.send_many([b"<Faktura/>"]), AsyncIterator[SentInvoice])
    assert_type(await sender.upos(), tuple[SessionUPO, ...])


async def rows_and_limits(client: KsefClient) -> None:
    assert_type(await client.call(GET_CHALLENGE), Challenge)
    assert_type(await client.call(GET_INVOICE_UPO, path={}), bytes)
    await client.call(CLOSE_ONLINE_SESSION, path={"reference_number": "reference"})
    assert_type(client.pacing.remaining("invoiceSend"), RateLimit)
    assert_type(await client.pacing.adopt_limits(), RateLimits)


async def resources(client: KsefClient) -> None:
    generated = await client.tokens.generate([Permission.INVOICE_READ, "InvoiceWrite"], "For the warehouse")
    assert_type(generated, GeneratedToken)
    assert_type(generated.token, str)
    assert_type(await generated.wait(), IssuedToken)
    async for token in client.tokens.list(TokenFilter(status=(TokenStatus.ACTIVE,))):
        assert_type(token, IssuedToken)
    await client.refresh()
    async for login in client.auth_sessions.list():
        assert_type(login, AuthSession)
    assert_type(await client.limits.get_context(), ContextLimits)
    assert_type(await client.limits.get_subject(), SubjectLimits)
    assert_type(await client.limits.get_rates(), RateLimits)
    async for providers in client.peppol.list_providers().pages():
        assert_type(providers, tuple[PeppolProvider, ...])
    group = await client.collective_identifiers.create(["number", InvoiceToGroup("number")])
    assert_type(group, str)
    async for invoice in client.collective_identifiers.list_invoices(group):
        assert_type(invoice, CollectiveIdentifierInvoice)


async def permissions(client: KsefClient) -> None:
    handle = await client.permissions.grant_to_entity("7762811692", ["InvoiceWrite"], "Bookkeeping", "Biuro sp. z o.o.")
    assert_type(handle, OperationHandle[OperationStatus])
    assert_type(await handle.wait(), OperationStatus)
    assert_type(client.permissions.operation(handle.reference_number), OperationHandle[OperationStatus])
    async for row in client.permissions.list_of_persons():
        assert_type(row, PersonPermissionRow)
    async for page in client.permissions.list_received().pages():
        assert_type(page, tuple[EntityPermissionRow, ...])
    assert_type(await client.permissions.get_attachment_status(), AttachmentConsent)
    await client.testdata.create_person("7762811692", "15062788702", "Sole trader")


async def receiving(client: KsefClient, filters: InvoiceFilters, since: datetime) -> None:
    assert_type(await client.invoices.get("number"), bytes)
    async for metadata in client.invoices.list(filters):
        assert_type(metadata, InvoiceMetadata)
    async for page in client.invoices.list(filters).pages():
        assert_type(page, tuple[InvoiceMetadata, ...])
    assert_type(await client.invoices.list_page(filters), InvoiceMetadataPage)
    export = await client.downloads.export(filters)
    assert_type(export, Export)
    assert_type(await export.wait(), ExportStatus)
    assert_type(export.snapshot(b"key"), bytes)
    async for invoice in export.invoices():
        assert_type(invoice, ExportedInvoice)
    async with export.package() as package:
        assert_type(package, DownloadedPackage)
    assert_type(await export.save("folder"), tuple[Path, ...])
    assert_type(client.downloads.resume(b"snapshot", "key"), Export)
    sync = client.downloads.sync(since, [InvoiceSubject.BUYER], checkpoint=Checkpoint.from_json("{}"))
    client.downloads.sync(since, [InvoiceSubject.BUYER], overlap=3600)
    async for synced in sync:
        assert_type(synced, SyncedInvoice)
        assert_type(synced.checkpoint.to_json(), str)
    assert_type(sync, Sync)
    assert_type(sync.checkpoint, Checkpoint)


async def journals(client: KsefClient) -> None:
    async with Submissions("sqlite:///journal.db", client=client) as submissions:
        issued = await submissions.issue(b"<Faktura/>", signer=OfflineSigner.from_bytes(b"", b""), within=2.0)
        assert_type(issued, IssuedInvoice)
        assert_type(issued.ksef_number, str | None)
        assert_type(issued.due_by, datetime | None)
        assert_type(issued.codes, tuple[VerificationCode, ...])
        assert_type(await submissions.correct(issued.submission.id, b"<Faktura/>"), Submission)
        assert_type(issued.submission.invoicing_mode, InvoicingMode | None)
        submission = await submissions.submit(b"<Faktura/>", key="order 1", nip="5265877635")
        assert_type(submission, Submission)
        assert_type(await submissions.get(submission.id), Submission)
        assert_type(await submissions.get(key="order 1", nip="5265877635"), Submission)
        async for each in submissions.list():
            assert_type(each, Submission)
        assert_type(await submissions.list_page(after=submission.id, limit=10), tuple[Submission, ...])
        await submissions.wait_until_settled()


def annotated(client: KsefClient) -> None:
    assert_type(client.auth_sessions, AuthSessions)
    assert_type(client.certificates, Certificates)
    assert_type(client.collective_identifiers, CollectiveIdentifiers)
    assert_type(client.downloads, Downloads)
    assert_type(client.invoices, Invoices)
    assert_type(client.latarnia, Latarnia)
    assert_type(client.limits, Limits)
    assert_type(client.peppol, Peppol)
    assert_type(client.permissions, Permissions)
    assert_type(client.testdata, TestData)
    assert_type(client.tokens, Tokens)


def documents(xml: bytes) -> None:
    invoice = fa3.read(xml)
    assert_type(invoice, fa3.Faktura)
    assert_type(invoice.fa.p_15, Decimal)
    assert_type(invoice.fa.fa_wiersz, list[fa3.FaWiersz])
    invoice.fa.fa_wiersz[0].p_12 = "23"
    invoice.fa.fa_wiersz.append(fa3.FaWiersz(nr_wiersza_fa=2, p_7="a", p_11=Decimal("1.00"), p_12="zw"))
    header = fa3.TNaglowek(data_wytworzenia_fa=datetime(2026, 2, 1))
    assert_type(header.kod_formularza, fa3.KodFormularza)
    assert_type(fa3.write(invoice), bytes)
    assert_type(fa2.read(xml).fa.p_1, date)
    assert_type(fa_rr1.read(xml).faktura_rr.p_4b, date)


async def sandboxes() -> None:
    async with Sandbox() as sandbox:
        assert_type(sandbox, Sandbox)
        assert_type(sandbox.environment, Environment)


async def packing_and_planning(client: KsefClient, rows: AsyncIterator[tuple[str, bytes, int]]) -> None:
    assert_type(client.sessions.plan(2000, 10_000, deadline=3600), SendingPlan)
    async with pack(rows, compression="TarGz", part_size=10_000_000) as package:
        assert_type(package, Package)
        assert_type(package.by_file_name("a.xml"), PackedInvoice | None)
        await package.write_manifest("key")
    async with pack(Path("invoices")), pack([Path("a.xml"), Path("b.xml")]), pack([("a.xml", b"<Faktura/>")]):
        pass
    assert_type(await Package.reopen(Path("spool"), b"key"), Package)
