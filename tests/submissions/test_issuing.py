"""Issuing an invoice while the customer waits: online in time, or offline with both codes, and never twice."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import anyio
import attrs
import pytest
from certificates import EC_KEY, NIP, pem
from clients import ONCE, connected
from codes import decode_png

from ksef_async import (
    CryptoError,
    InvoicingMode,
    KsefClient,
    LocalProtocolError,
    OfflineMode,
    OfflineSigner,
    WaitTimeoutError,
)
from ksef_async.api.certificates import CertificateType, EnrollmentData
from ksef_async.api.rates import UNLIMITED, RateLimit
from ksef_async.api.sessions import SEND_INVOICE
from ksef_async.protocol.pacing import UNLIMITED_RATES, Pacer
from ksef_async.protocol.polish_calendar import polish_day
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.sandbox import Clock, Fault, Sandbox, Timings, sample_invoice
from ksef_async.sandbox.authority import Authority
from ksef_async.submissions import IssuedInvoice, NotIssuedError, Submissions, SubmissionState

from .conftest import QUICK_SETTINGS, deliver

NOW = datetime.now(UTC)
SUBJECT = EnrollmentData(common_name="Firma", country_name="PL", organization_identifier=f"VATPL-{NIP}")
AUTHORITY = Authority(NOW - timedelta(days=30))
CERTIFICATE = pem(AUTHORITY.issue(SUBJECT, EC_KEY.public_key(), NOW - timedelta(days=1), CertificateType.OFFLINE)[1])
SIGNER = OfflineSigner.from_key(CERTIFICATE, EC_KEY)
EXPIRED = OfflineSigner.from_key(
    pem(AUTHORITY.issue(SUBJECT, EC_KEY.public_key(), NOW - timedelta(days=3_000), CertificateType.OFFLINE)[1]), EC_KEY
)
FOREVER = 10**9


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(nip=NIP, rate_limits=None) as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    async with connected(sandbox, retry=ONCE) as client:
        yield client


def modes_at_ksef(sandbox: Sandbox) -> list[InvoicingMode | None]:
    return [invoice.verdict.mode for invoice in sandbox.world.invoices() if invoice.is_accepted]


def check_offline(issued: IssuedInvoice) -> None:
    """It is an offline invoice, with all that the customer gets."""
    assert issued.is_offline
    assert issued.ksef_number is None
    assert issued.submission.offline is OfflineMode.OFFLINE24
    assert issued.due_by is not None
    assert issued.due_by == issued.submission.due_by
    first, second = issued.codes
    assert (first.label, second.label) == ("OFFLINE", "CERTYFIKAT")
    assert decode_png(first.png(3)) == [issued.verification_link]
    assert decode_png(second.png(3)) == [issued.certificate_link]


async def test_invoice_is_issued_online_where_ksef_answers_in_time(submissions: Submissions, sandbox: Sandbox) -> None:
    signed: list[str] = []

    def sign(data: bytes, algorithm: str) -> bytes:
        signed.append(algorithm)
        raise AssertionError("nobody needs a signature")

    async with submissions.running():
        issued = await submissions.issue(
            sample_invoice(NIP), within=20, signer=OfflineSigner.from_hook(CERTIFICATE, sign), key="till 1"
        )

    assert not issued.is_offline
    assert (issued.due_by, issued.certificate_link, signed) == (None, None, [])
    (code,) = issued.codes
    assert (code.label, code.link) == (issued.ksef_number, issued.verification_link)
    assert issued.submission.key == "till 1"
    assert issued.submission.invoicing_mode is InvoicingMode.ONLINE
    assert modes_at_ksef(sandbox) == [InvoicingMode.ONLINE]


async def test_nobody_need_sign_where_ksef_answers_in_time(submissions: Submissions, sandbox: Sandbox) -> None:
    async with submissions.running():
        issued = await submissions.issue(sample_invoice(NIP), within=20)

    assert (issued.is_offline, len(issued.codes)) == (False, 1)
    assert modes_at_ksef(sandbox) == [InvoicingMode.ONLINE]


async def test_without_a_signer_nothing_is_issued_offline_and_all_is_delivered(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    sandbox.faults.add(None, Fault.html(503), times=FOREVER)
    async with submissions.running():
        with pytest.raises(WaitTimeoutError, match="it is not issued: offline it needs a certificate"):
            await submissions.issue(sample_invoice(NIP), within=0.2)
        (waiting,) = await submissions.list_page()
        assert (waiting.state, waiting.offline) == (SubmissionState.QUEUED, None)

        sandbox.faults.clear()
        with anyio.fail_after(20):
            await submissions.wait_until_settled()
    assert modes_at_ksef(sandbox) == [InvoicingMode.ONLINE]


async def test_what_was_issued_offline_is_returned_to_who_cannot_sign(submissions: Submissions) -> None:
    issued = await submissions.issue(sample_invoice(NIP), within=0.1, signer=SIGNER)
    other = sample_invoice(NIP, "FV/2")
    await submissions.submit(other, offline=OfflineMode.OFFLINE24)

    again = await submissions.issue(sample_invoice(NIP), within=20)

    assert again.certificate_link == issued.certificate_link
    with pytest.raises(LocalProtocolError, match="without KOD II it cannot be handed out"):
        await submissions.issue(other, within=20)


async def test_invoice_is_issued_offline_where_ksef_is_away_and_delivered_as_such_later(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    sandbox.faults.add(None, Fault.html(503), times=FOREVER)
    async with submissions.running():
        began = anyio.current_time()
        issued = await submissions.issue(sample_invoice(NIP), within=0.3, signer=SIGNER)
        took = anyio.current_time() - began
        check_offline(issued)
        assert issued.submission.priority == 0
        assert await submissions.get(issued.submission.id) == issued.submission

        sandbox.faults.clear()
        with anyio.fail_after(20):
            await submissions.wait_until_settled()

    assert 0.3 <= took < 2
    delivered = await submissions.get(issued.submission.id)
    assert delivered.state is SubmissionState.ACCEPTED
    assert (delivered.offline, delivered.invoicing_mode) == (OfflineMode.OFFLINE24, InvoicingMode.OFFLINE)
    assert modes_at_ksef(sandbox) == [InvoicingMode.OFFLINE]


async def test_what_ksef_may_have_when_the_time_runs_out_is_not_sent_twice(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    sandbox.faults.add("send_invoice", Fault.drop_after())
    sandbox.faults.add("list_session_invoices", Fault.html(503), times=FOREVER)
    async with submissions.running():
        issued = await submissions.issue(sample_invoice(NIP), within=3.0, signer=SIGNER)
        check_offline(issued)
        assert issued.submission.state is SubmissionState.SENDING

        sandbox.faults.clear()
        with anyio.fail_after(20):
            await submissions.wait_until_settled()

    delivered = await submissions.get(issued.submission.id)
    assert delivered.state is SubmissionState.ACCEPTED
    # The customer has a paper with both codes, which stays true; KSeF calls it online, and that is told.
    assert (delivered.offline, delivered.invoicing_mode) == (OfflineMode.OFFLINE24, InvoicingMode.ONLINE)
    assert len([*sandbox.world.invoices()]) == 1


@pytest.mark.parametrize("attempts", [1, 5], ids=["after a pause of the worker", "within one call"])
async def test_what_did_not_arrive_is_sent_again_as_an_offline_invoice(
    sqlite_url: str, sandbox: Sandbox, attempts: int
) -> None:
    policy = RetryPolicy(attempts=attempts, first_pause=2.0, longest_pause=2.0)
    async with (
        connected(sandbox, retry=policy) as client,
        Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions,
    ):
        await issue_what_is_lost(submissions, sandbox)

    assert modes_at_ksef(sandbox) == [InvoicingMode.OFFLINE]
    assert len([*sandbox.world.invoices()]) == 1


async def issue_what_is_lost(submissions: Submissions, sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.drop_before())
    sandbox.faults.add("list_session_invoices", Fault.html(503), times=FOREVER)
    async with submissions.running():
        issued = await submissions.issue(sample_invoice(NIP), within=3.0, signer=SIGNER)
        assert issued.submission.state is SubmissionState.SENDING

        sandbox.faults.clear()
        with anyio.fail_after(20):
            await submissions.wait_until_settled()


async def test_what_waits_for_its_turn_when_the_time_runs_out_goes_as_an_offline_invoice(
    sqlite_url: str, sandbox: Sandbox
) -> None:
    pacer = Pacer(attrs.evolve(UNLIMITED_RATES, invoice_send=RateLimit(1, UNLIMITED, UNLIMITED)))
    async with (
        connected(sandbox, pacer=pacer) as client,
        Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions,
        submissions.running(),
    ):
        # Others have taken the turns of the next seconds.
        for _ in range(4):
            pacer.reserve(SEND_INVOICE, anyio.current_time())
        issued = await submissions.issue(sample_invoice(NIP), within=2.0, signer=SIGNER)
        assert issued.submission.state is SubmissionState.SENDING
        check_offline(issued)

        with anyio.fail_after(20):
            await submissions.wait_until_settled()

        delivered = await submissions.get(issued.submission.id)
    assert (delivered.state, delivered.attempt) == (SubmissionState.ACCEPTED, 1)
    assert (delivered.offline, delivered.invoicing_mode) == (OfflineMode.OFFLINE24, InvoicingMode.OFFLINE)
    assert modes_at_ksef(sandbox) == [InvoicingMode.OFFLINE]
    assert len([*sandbox.world.invoices()]) == 1


async def test_what_ksef_refuses_for_now_goes_as_an_offline_invoice_once_the_time_has_run_out(
    sqlite_url: str, sandbox: Sandbox
) -> None:
    sandbox.faults.add("send_invoice", Fault.too_many_requests(4))
    async with (
        connected(sandbox, retry=RetryPolicy()) as client,
        Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions,
        submissions.running(),
    ):
        issued = await submissions.issue(sample_invoice(NIP), within=2.0, signer=SIGNER)
        assert issued.submission.state is SubmissionState.SENDING

        with anyio.fail_after(20):
            await submissions.wait_until_settled()

    assert modes_at_ksef(sandbox) == [InvoicingMode.OFFLINE]


async def test_what_the_worker_that_died_may_have_sent_is_looked_up_before_it_goes_offline(
    journal_url: str, sandbox: Sandbox, client: KsefClient
) -> None:
    for fault in (Fault.drop_after(), Fault.drop_before()):
        sandbox.faults.add("send_invoice", fault)
        sandbox.faults.add("list_session_invoices", Fault.html(503), times=FOREVER)
        async with Submissions(journal_url, client=client, settings=QUICK_SETTINGS) as submissions:
            async with submissions.running():
                issued = await submissions.issue(
                    sample_invoice(NIP, f"FV/{fault.after_effect}"), within=3.0, signer=SIGNER
                )
                assert issued.submission.state is SubmissionState.SENDING
        sandbox.faults.clear()
        async with Submissions(journal_url, client=client, settings=QUICK_SETTINGS) as submissions:
            await deliver(submissions)
            assert (await submissions.get(issued.submission.id)).state is SubmissionState.ACCEPTED

    assert modes_at_ksef(sandbox) == [InvoicingMode.ONLINE, InvoicingMode.OFFLINE]
    assert len([*sandbox.world.invoices()]) == 2


async def test_what_ksef_is_still_reading_is_handed_out_offline_and_stays_online(sqlite_url: str) -> None:
    clock = Clock(ticking=False)
    async with (
        Sandbox(nip=NIP, rate_limits=None, clock=clock, timings=Timings(login_delay=0, key_check_delay=0)) as sandbox,
        connected(sandbox) as client,
        Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions,
        submissions.running(),
    ):
        issued = await submissions.issue(sample_invoice(NIP), within=3.0, signer=SIGNER)
        check_offline(issued)
        assert issued.submission.state is SubmissionState.TAKEN_IN

        with anyio.fail_after(20):
            while not (await submissions.get(issued.submission.id)).has_upo:
                clock.advance(0.5)
                await anyio.sleep(0.05)

        delivered = await submissions.get(issued.submission.id)
        assert (delivered.offline, delivered.invoicing_mode) == (OfflineMode.OFFLINE24, InvoicingMode.ONLINE)
        assert len([*sandbox.world.invoices()]) == 1


async def test_invoice_whose_date_is_over_has_its_number_and_the_second_code(submissions: Submissions) -> None:
    document = sample_invoice(NIP, issued_on=polish_day(NOW) - timedelta(days=1))
    async with submissions.running():
        issued = await submissions.issue(document, within=20, signer=SIGNER)

    assert issued.submission.invoicing_mode is InvoicingMode.OFFLINE
    assert issued.ksef_number
    assert [code.label for code in issued.codes] == [issued.ksef_number, "CERTYFIKAT"]


async def test_refused_invoice_cannot_be_handed_out(submissions: Submissions, sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    async with submissions.running():
        for _ in range(2):
            with pytest.raises(NotIssuedError, match=r"rejected: .*450") as caught:
                await submissions.issue(sample_invoice(NIP), within=20, signer=SIGNER)

    assert caught.value.submission.state is SubmissionState.REJECTED
    assert caught.value.submission.offline is None


async def test_same_document_again_is_the_same_offline_invoice_at_once(submissions: Submissions) -> None:
    document = sample_invoice(NIP)
    first = await submissions.issue(document, within=0.1, signer=SIGNER)
    second = await submissions.issue(document, within=3_600, signer=SIGNER)

    assert second == first
    check_offline(second)


async def test_two_who_issue_the_same_document_at_once_hand_out_the_same(submissions: Submissions) -> None:
    document, issued = sample_invoice(NIP), list[IssuedInvoice]()

    async def issue() -> None:
        issued.append(await submissions.issue(document, within=0.2, signer=SIGNER))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(issue)
        tasks.start_soon(issue)

    assert issued[0] == issued[1]
    check_offline(issued[0])


async def test_offline_invoice_without_a_signer_gets_its_second_code_when_it_is_issued(
    submissions: Submissions,
) -> None:
    document = sample_invoice(NIP)
    before = await submissions.submit(document, offline=OfflineMode.OFFLINE24)
    assert before.certificate_link is None

    issued = await submissions.issue(document, within=3_600, signer=SIGNER)

    check_offline(issued)
    assert issued.submission.id == before.id


async def test_process_that_only_writes_issues_offline_when_nobody_delivers(sqlite_url: str, sandbox: Sandbox) -> None:
    async with Submissions(sqlite_url, environment=sandbox.environment) as submissions:
        check_offline(await submissions.issue(sample_invoice(NIP), within=0.1, signer=SIGNER))

    async with Submissions(sqlite_url) as submissions:
        with pytest.raises(LocalProtocolError, match="environment"):
            await submissions.issue(sample_invoice(NIP, "FV/2"), within=0.1, signer=SIGNER)
        assert len(await submissions.list_page()) == 1


async def test_caller_who_dies_while_waiting_leaves_an_online_invoice_behind(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    with anyio.move_on_after(0.2):
        await submissions.issue(sample_invoice(NIP), within=3_600, signer=SIGNER)

    (left,) = await submissions.list_page()
    assert (left.state, left.offline) == (SubmissionState.QUEUED, None)
    await deliver(submissions)
    assert modes_at_ksef(sandbox) == [InvoicingMode.ONLINE]


async def test_certificate_that_has_expired_is_refused_before_anything_is_written(submissions: Submissions) -> None:
    with pytest.raises(CryptoError, match="expired"):
        await submissions.issue(sample_invoice(NIP), within=0.1, signer=EXPIRED)

    assert await submissions.list_page() == ()


async def test_signature_that_cannot_be_made_is_told_and_the_invoice_goes_online(submissions: Submissions) -> None:
    def no_card(data: bytes, algorithm: str) -> bytes:
        raise OSError("the card is not in the reader")

    with pytest.raises(OSError, match="reader") as caught:
        await submissions.issue(sample_invoice(NIP), within=0.1, signer=OfflineSigner.from_hook(CERTIFICATE, no_card))

    (left,) = await submissions.list_page()
    assert f"Submission {left.id} is in the journal" in caught.value.__notes__[0]
    assert (left.state, left.offline) == (SubmissionState.QUEUED, None)


async def test_invoice_that_ksef_decides_on_while_the_signature_fails_is_issued(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    is_accepted = anyio.Event()

    async def no_card(data: bytes, algorithm: str) -> bytes:
        await is_accepted.wait()
        raise OSError("the card is not in the reader")

    async def accept() -> None:
        await deliver(submissions)
        is_accepted.set()

    async with anyio.create_task_group() as tasks:
        signer = OfflineSigner.from_hook(CERTIFICATE, no_card)
        tasks.start_soon(accept)
        issued = await submissions.issue(sample_invoice(NIP), within=0.0, signer=signer)

    assert issued.ksef_number
    assert not issued.is_offline
    assert modes_at_ksef(sandbox) == [InvoicingMode.ONLINE]


async def test_submitted_offline_invoice_keeps_the_link_its_signer_signed(submissions: Submissions) -> None:
    submission = await submissions.submit(sample_invoice(NIP), offline=OfflineMode.OFFLINE24, signer=SIGNER)

    assert submission.certificate_link is not None
    assert f"/certificate/Nip/{NIP}/{NIP}/{SIGNER.serial_number}/" in submission.certificate_link
    with pytest.raises(LocalProtocolError, match="offline"):
        await submissions.submit(sample_invoice(NIP, "FV/2"), signer=SIGNER)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_is_lost_everything_is_in_hand_once_at_ksef_and_in_its_mode(journal_url: str, seed: int) -> None:
    chance = random.Random(seed)
    issued: list[IssuedInvoice] = []
    quick = RetryPolicy(attempts=2, first_pause=0.05, longest_pause=0.05)
    async with (
        Sandbox(nip=NIP, rate_limits=None) as sandbox,
        connected(sandbox, retry=quick) as client,
        Submissions(journal_url, client=client, settings=QUICK_SETTINGS) as submissions,
    ):
        sandbox.faults.seed(seed)
        for fault, probability in (
            (Fault.drop_after(), 0.15),
            (Fault.drop_before(), 0.15),
            (Fault.html(503), 0.1),
            (Fault.html(503, after_effect=True), 0.1),
        ):
            sandbox.faults.add("send_invoice", fault, probability=probability)
        sandbox.faults.add("list_session_invoices", Fault.html(503), probability=0.3)

        async def sell(number: int) -> None:
            within = chance.choice([0.0, 0.05, 0.2, 1.0])
            issued.append(await submissions.issue(sample_invoice(NIP, f"FV/{number}"), within=within, signer=SIGNER))

        async with submissions.running():
            for start in range(0, 40, 8):
                async with anyio.create_task_group() as tills:
                    for number in range(start, start + 8):
                        tills.start_soon(sell, number)
            sandbox.faults.clear()
            with anyio.fail_after(120):
                await submissions.wait_until_settled()

        at_ksef = [invoice.invoice_hash for invoice in sandbox.world.invoices() if invoice.is_accepted]
        assert len(at_ksef) == len({*at_ksef}) == len(issued) == 40
        for one in issued:
            delivered = await submissions.get(one.submission.id)
            assert delivered.state is SubmissionState.ACCEPTED
            if not one.is_offline:
                assert delivered.offline is None
                continue
            assert one.certificate_link
            if one.submission.attempt == 0:
                # It became an offline invoice before anything of it was sent.
                assert delivered.invoicing_mode is InvoicingMode.OFFLINE
    assert any(one.is_offline for one in issued)


# --- technical corrections ------------------------------------------------------------------------------------


async def rejected_offline(submissions: Submissions, sandbox: Sandbox, code: int = 450) -> int:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(code))
    number = (await submissions.submit(sample_invoice(NIP), offline=OfflineMode.OFFLINE24, signer=SIGNER)).id
    await deliver(submissions)
    return number


async def test_rejected_offline_invoice_is_corrected_by_the_deadline_of_the_original(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    original = await submissions.get(await rejected_offline(submissions, sandbox))
    document = sample_invoice(NIP, buyer_nip="7010002137")

    correction = await submissions.correct(original.id, document, signer=SIGNER, key="again")
    assert await submissions.correct(original.id, document, signer=SIGNER, key="again") == correction
    await deliver(submissions)

    delivered = await submissions.get(correction.id)
    assert delivered.state is SubmissionState.ACCEPTED
    assert (delivered.corrects, delivered.corrects_id) == (original.invoice_hash, original.id)
    assert (delivered.offline, delivered.due_by) == (original.offline, original.due_by)
    assert delivered.certificate_link not in (None, original.certificate_link)
    assert sandbox.world.corrected_hashes == {original.invoice_hash}
    # The paper that the customer has leads to the correction.
    link = original.verification_link(sandbox.environment)
    async with aiohttp.ClientSession() as http, http.get(link, headers={"Accept": "application/json"}) as page:
        told = await page.json()
    assert (told["ksefNumber"], told["technicallyCorrected"]) == (delivered.ksef_number, True)


async def test_rejected_file_is_no_correction_of_itself(submissions: Submissions, sandbox: Sandbox) -> None:
    rejected = await submissions.get(await rejected_offline(submissions, sandbox))
    document = await submissions.document(rejected.id)

    with pytest.raises(LocalProtocolError, match="very file"):
        await submissions.correct(rejected.id, document, signer=SIGNER)
    with pytest.raises(LocalProtocolError, match="very file"):
        await submissions.submit(document, offline=OfflineMode.OFFLINE24, corrects=rejected.invoice_hash)

    assert await submissions.list_page() == (rejected,)


@pytest.mark.parametrize("code", [410, 415])
async def test_what_is_refused_for_want_of_a_permission_is_not_corrected(
    submissions: Submissions, sandbox: Sandbox, code: int
) -> None:
    number = await rejected_offline(submissions, sandbox, code)

    with pytest.raises(LocalProtocolError, match="retry"):
        await submissions.correct(number, sample_invoice(NIP, buyer_nip="7010002137"))


async def test_only_a_rejected_offline_invoice_is_corrected(submissions: Submissions, sandbox: Sandbox) -> None:
    online = await submissions.submit(sample_invoice(NIP, "FV/2"))
    waiting = await submissions.submit(sample_invoice(NIP, "FV/3"), offline=OfflineMode.OFFLINE24)
    for number in (online.id, waiting.id):
        with pytest.raises(LocalProtocolError, match="only a rejected offline invoice"):
            await submissions.correct(number, sample_invoice(NIP))
    await submissions.cancel(online.id)
    await submissions.cancel(waiting.id)

    number = await rejected_offline(submissions, sandbox)
    for other in (sample_invoice(NIP, "FV/9"), sample_invoice(NIP, issued_on=NOW.date() - timedelta(days=9))):
        with pytest.raises(LocalProtocolError, match="has the content"):
            await submissions.correct(number, other)
