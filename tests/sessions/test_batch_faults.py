"""Whatever can go wrong with a batch session, and what a user reads."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
import attrs
import pytest
from clients import QUICK, Traffic, connected
from packages import BROKEN, craft, packed, tarred, zipped
from sessions.test_openings import OPENING_TROUBLE
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import (
    AcceptedInvoice,
    ApiError,
    BadRequestError,
    Cadence,
    FormCode,
    InvoiceRejectedError,
    KsefClient,
    LocalProtocolError,
    SessionFailedError,
    StatusCode,
    TransportError,
    UploadExpiredError,
    WaitTimeoutError,
)
from ksef_async.api.batch import CLOSE_BATCH_SESSION
from ksef_async.api.operation import LARGEST_JSON
from ksef_async.api.packages import CompressionType
from ksef_async.packing import Package, pack
from ksef_async.protocol.delivery import SEND_AGAIN_LIMIT
from ksef_async.protocol.retry import AGREEMENT_PAUSES
from ksef_async.sandbox import Clock, Fault, Sandbox, Timings, sample_invoice
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.sandbox.sessions import BatchSession as SandboxSession
from ksef_async.sessions.batch import BatchSession


def at_ksef(sandbox: Sandbox, session: BatchSession) -> SandboxSession:
    found = sandbox.world.sessions[session.reference_number]
    assert isinstance(found, SandboxSession)
    return found


def uploads(sandbox: Sandbox, session: BatchSession) -> list[int]:
    return [part.uploads for part in at_ksef(sandbox, session).parts.values()]


async def send(client: KsefClient, package: Package) -> BatchSession:
    session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
    async with session:
        pass
    return session


async def accepted(session: BatchSession) -> int:
    return len([*(await session.upo()).entries])


# --- uploading -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault.html(200), id="a firewall's page with 200"),
        pytest.param(Fault.html(200, after_effect=True), id="a firewall's page, though the part is in"),
        pytest.param(Fault.html(503), id="a gateway's page"),
        pytest.param(Fault.html(403), id="a firewall's page with 403"),
        pytest.param(Fault.empty(200), id="200 in place of 201"),
        pytest.param(Fault.server_error(), id="500"),
        pytest.param(Fault.link_refused(503, "ServerBusy"), id="storage busy"),
        pytest.param(Fault.drop_before(), id="connection broken before"),
        pytest.param(Fault.drop_after(), id="answer lost"),
        pytest.param(Fault.answer_becomes(body=b"x" * (LARGEST_JSON + 1)), id="answer without end"),
    ],
)
async def test_part_that_failed_is_tried_again_by_itself(client: KsefClient, sandbox: Sandbox, fault: Fault) -> None:
    sandbox.faults.add(UPLOAD_PART, fault, times=2)

    async with packed(sandbox) as package:
        session = await send(client, package)
        assert await accepted(session) == 3

    assert len(package.parts) >= 3
    assert sandbox.faults.happened == {UPLOAD_PART: 2}
    assert sum(uploads(sandbox, session)) == len(package.parts) + 2 * fault.after_effect


async def test_part_that_always_fails_is_given_up(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.html(200), times=100)

    async with packed(sandbox) as package:
        with pytest.raises(ApiError, match=r"upload_part: HTTP 200: an HTML page instead of an answer") as caught:
            await send(client, package)

    assert any(f" of {len(package.parts)} of session " in note for note in caught.value.__notes__)


async def test_expired_link_is_one_clear_error(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.link_refused(), times=100)

    async with packed(sandbox, 12, part_size=500) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3, concurrency=1)
        with pytest.raises(UploadExpiredError, match=r"refuses part 1 .* its link is over .* Open a new session"):
            async with session:
                raise AssertionError

    assert sandbox.faults.happened == {UPLOAD_PART: 1}


async def test_bad_upload_is_not_repeated(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.link_refused(400, "InvalidHeaderValue"))

    async with packed(sandbox, part_size=10**6) as package:
        with pytest.raises(BadRequestError, match="the storage says InvalidHeaderValue"):
            await send(client, package)


async def test_upload_window_is_watched_without_asking(still_sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with connected(still_sandbox, hook=traffic) as client, packed(still_sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        still_sandbox.clock.advance(20 * 60 * len(package.parts) + 2)
        await session.status()  # the client learns what time it is

        with pytest.raises(UploadExpiredError, match=r"was over at .*\(0 of \d are\). Open a new session"):
            async with session:
                raise AssertionError

    assert traffic.of(UPLOAD_PART) == 0


async def test_same_package_goes_into_a_new_session_when_the_window_is_over(
    client: KsefClient, sandbox: Sandbox
) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.link_refused())

    async with packed(sandbox) as package:
        with pytest.raises(UploadExpiredError):
            await send(client, package)
        session = await send(client, package)
        assert await accepted(session) == 3


# --- closing -------------------------------------------------------------------------------------------------


async def test_lost_part_is_uploaded_again(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.part_lost())

    async with packed(sandbox) as package:
        session = await send(client, package)
        assert await accepted(session) == 3

    assert uploads(sandbox, session) == [1] * len(package.parts)


async def test_part_that_is_not_whole_is_uploaded_again(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.part_shortened())

    async with packed(sandbox) as package:
        session = await send(client, package)
        assert await accepted(session) == 3

    assert sorted(uploads(sandbox, session)) == [*[1] * (len(package.parts) - 1), 2]


async def test_all_parts_are_uploaded_again_when_ksef_does_not_say_which(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("close_batch_session", Fault.refuse(21205, "Nie przesłano zadeklarowanej '0' części pliku."))

    async with packed(sandbox) as package:
        session = await send(client, package)
        assert await accepted(session) == 3

    assert uploads(sandbox, session) == [2] * len(package.parts)


async def test_part_that_is_lost_again_and_again_is_an_error(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.part_lost(), times=100)

    async with packed(sandbox, part_size=10**6) as package:
        with pytest.raises(BadRequestError, match=r"code 21205: Pakiet nie może być pusty. Nie przesłano .*'1'"):
            await send(client, package)

    assert sandbox.faults.happened == {UPLOAD_PART: 4}


async def test_session_that_ksef_does_not_know_yet_is_closed_a_little_later() -> None:
    timings = Timings(batch_visibility_lag=0.5)
    async with Sandbox(timings=timings, rate_limits=None) as sandbox, connected(sandbox) as client:
        async with packed(sandbox) as package:
            session = await send(client, package)
            assert await accepted(session) == 3


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": VirtualTimeLoop})], ids=["virtual"])
async def test_session_that_ksef_does_not_know_at_all_is_an_error(client: KsefClient, sandbox: Sandbox) -> None:
    await mind_threads()
    sandbox.faults.add("close_batch_session", Fault.refuse(21173), times=100)

    async with packed(sandbox) as package:
        with pytest.raises(BadRequestError, match="code 21173"):
            await send(client, package)

    assert sandbox.faults.happened == {"close_batch_session": 1 + len(AGREEMENT_PAUSES)}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault.drop_after(), id="answer lost"),
        pytest.param(Fault.server_error(after_effect=True), id="500 after KSeF has begun"),
        pytest.param(Fault.html(502, after_effect=True), id="502 after KSeF has begun"),
        pytest.param(Fault.html(200, after_effect=True), id="a firewall's page after KSeF has begun"),
    ],
)
async def test_close_whose_answer_is_lost_is_not_repeated(client: KsefClient, sandbox: Sandbox, fault: Fault) -> None:
    traffic = Traffic()
    sandbox.faults.add("close_batch_session", fault)

    async with connected(sandbox, hook=traffic) as client, packed(sandbox) as package:
        session = await send(client, package)
        assert await accepted(session) == 3

    assert traffic.answers["close_batch_session", 400] == 0


@pytest.mark.parametrize("fault", [Fault.server_error(), Fault.html(502), Fault.drop_before()])
async def test_close_that_ksef_has_not_seen_is_repeated(client: KsefClient, sandbox: Sandbox, fault: Fault) -> None:
    sandbox.faults.add("close_batch_session", fault, times=2)

    async with packed(sandbox) as package:
        session = await send(client, package)
        assert await accepted(session) == 3

    assert sandbox.faults.happened == {"close_batch_session": 2}


async def test_closing_what_somebody_else_has_closed_is_success(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            path = {"reference_number": session.reference_number}
            await client.call(CLOSE_BATCH_SESSION, path=path)
        assert await accepted(session) == 3


async def test_session_closed_too_late_is_an_error(still_sandbox: Sandbox) -> None:
    async with connected(still_sandbox) as client, packed(still_sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        with pytest.raises(UploadExpiredError, match=r"not uploaded and closed in time; .* code 21208"):
            async with session:
                still_sandbox.clock.advance(12 * 3600)

        await session.status()
        with pytest.raises(SessionFailedError, match=r"440 Sesja anulowana \(Przekroczono czas wysyłki\)"):
            await session.upo()


# --- processing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [405, 415, 420, 430, 435, 440, 500])
async def test_end_of_a_session_is_told_by_outcomes_and_upo(client: KsefClient, sandbox: Sandbox, code: int) -> None:
    sandbox.faults.add("open_batch_session", Fault.session_ends(code))

    async with packed(sandbox) as package:
        session = await send(client, package)
        with pytest.raises(SessionFailedError, match=f"failed \\(.*: {code} ") as of_outcomes:
            _ = [outcome async for outcome in session.outcomes()]
        with pytest.raises(SessionFailedError, match=f"ended without a UPO \\(.*: {code} "):
            await session.upo()

    assert of_outcomes.value.code == code
    assert [transition.current async for transition in session.transitions()][-1] == code
    assert repr(session).startswith(f"<BatchSession {session.reference_number} {StatusCode(code).name}, ")


async def test_garbled_part_ends_with_405(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.part_garbled())

    async with packed(sandbox, part_size=10**6) as package:
        session = await send(client, package)
        with pytest.raises(SessionFailedError, match=r"A part arrived damaged. .*open a new .*: 405 .*części: '1' nie"):
            await session.upo()


async def test_wrong_key_ends_with_415_after_the_close(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("open_batch_session", Fault.wrong_key())

    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            assert (await session.status()).status.code == 100
        with pytest.raises(SessionFailedError, match=r"could not decrypt the session's key.*: 415"):
            await session.upo()


async def test_too_many_invoices_end_with_420() -> None:
    async with Sandbox(max_invoices=2, rate_limits=None) as sandbox, connected(sandbox) as client:
        async with packed(sandbox) as package:
            session = await send(client, package)
            with pytest.raises(SessionFailedError, match=r"more invoices than the context may send.*: 420"):
                await session.upo()
        assert (await session.status()).invoice_count == 0


async def test_package_that_is_not_the_declared_one_ends_with_430(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await send(client, attrs.evolve(package, sha256=bytes(32)))
        with pytest.raises(SessionFailedError, match=r"could not unpack.*: 430 .*Skrót SHA-256 przesłanej paczki"):
            await session.upo()


@pytest.mark.parametrize(
    ("compression", "archive"),
    [
        pytest.param(CompressionType.ZIP, b"no archive at all", id="no zip"),
        pytest.param(CompressionType.TAR_GZ, b"no archive at all", id="no tar.gz"),
        pytest.param(CompressionType.ZIP, tarred([("a.xml", b"<a/>")]), id="tar.gz in place of zip"),
        pytest.param(CompressionType.TAR_GZ, zipped([("a.xml", b"<a/>")]), id="zip in place of tar.gz"),
        pytest.param(CompressionType.ZIP, zipped([("a.xml", b"<a/>")])[:-30], id="cut zip"),
        pytest.param(CompressionType.TAR_GZ, tarred([("a.xml", b"<a/>")])[:-30], id="cut tar.gz"),
    ],
)
async def test_what_is_no_archive_ends_with_430(
    client: KsefClient, tmp_path: Path, compression: CompressionType, archive: bytes
) -> None:
    session = await send(client, craft(tmp_path, archive, compression))

    with pytest.raises(SessionFailedError, match=r"could not unpack the package.*: 430"):
        await session.upo()


async def test_part_that_cannot_be_decrypted_ends_with_435(client: KsefClient, tmp_path: Path) -> None:
    package = craft(tmp_path, zipped([("a.xml", b"<a/>")]), part_size=50)
    content = package.parts[1].path.read_bytes()[:-1]
    package.parts[1].path.write_bytes(content)
    damaged = attrs.evolve(package.parts[1], size=len(content), sha256=hashlib.sha256(content).digest())

    session = await send(client, attrs.evolve(package, parts=(package.parts[0], damaged, *package.parts[2:])))

    with pytest.raises(
        SessionFailedError, match=r"could not decrypt a part .*open a new session with the same package.*: 435 .*'2'"
    ):
        await session.upo()


@pytest.mark.parametrize(
    ("compression", "archive"),
    [(CompressionType.ZIP, zipped([])), (CompressionType.TAR_GZ, tarred([]))],
    ids=["zip", "tar.gz"],
)
async def test_package_without_invoices_ends_with_440(
    client: KsefClient, tmp_path: Path, compression: CompressionType, archive: bytes
) -> None:
    session = await send(client, craft(tmp_path, archive, compression))

    with pytest.raises(SessionFailedError, match=r"holds no invoice\..*\): 440 Sesja .* \(Nie przesłano faktur\)"):
        await session.upo()


async def test_package_of_rejected_invoices_ends_with_445_and_tells_why(client: KsefClient, sandbox: Sandbox) -> None:
    invoices = [("of-another.xml", sample_invoice("1111111111"), 1), ("broken.xml", BROKEN, 2)]

    async with pack(invoices) as package:
        session = await send(client, package)
        outcomes = {outcome.key: outcome.outcome async for outcome in session.outcomes()}
        with pytest.raises(SessionFailedError, match=r"None of its .* is accepted; .*outcomes.. tells why.*: 445"):
            await session.upo()

    assert {key: outcome.code for key, outcome in outcomes.items() if isinstance(outcome, InvoiceRejectedError)} == {
        1: 410,
        2: 450,
    }
    status = await session.status()
    assert (status.invoice_count, status.successful_invoice_count, status.failed_invoice_count) == (2, 0, 2)


async def test_stuck_session_can_be_asked_about_later(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("open_batch_session", Fault.stuck())

    async with packed(sandbox) as package:
        session = await send(client, package)
        with pytest.raises(WaitTimeoutError, match=r"still in progress after 0.5 s.*150"):
            _ = [outcome async for outcome in session.outcomes(Cadence(interval=0.05, deadline=0.5))]


# --- opening -------------------------------------------------------------------------------------------------


async def test_rotated_key_wraps_the_same_session_key_again(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        await client.sessions.new_encryption()  # so that the keys are known
        await sandbox.rotate_keys()
        session = await send(client, package)
        assert await accepted(session) == 3


async def test_opening_whose_answer_is_lost_again_and_again_is_told(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("open_batch_session", Fault.drop_after(), times=QUICK.attempts)

    async with packed(sandbox) as package:
        with pytest.raises(TransportError) as caught:
            await client.sessions.open_batch(package, form_code=FormCode.FA3)

    assert caught.value.maybe_delivered
    assert len(sandbox.world.sessions) == QUICK.attempts  # nothing comes of them: they expire


@pytest.mark.parametrize("fault", OPENING_TROUBLE.values(), ids=OPENING_TROUBLE)
async def test_batch_is_opened_again_after_an_answer_that_settles_nothing(
    client: KsefClient, sandbox: Sandbox, fault: Fault
) -> None:
    sandbox.faults.add("open_batch_session", fault)

    async with packed(sandbox) as package:
        session = await send(client, package)
        assert await accepted(session) == 3


@pytest.mark.parametrize("code", [405, 415, 430, 435, 440, 500])
async def test_package_of_a_failed_session_is_sent_again_as_it_is(
    client: KsefClient, sandbox: Sandbox, code: int
) -> None:
    sandbox.faults.add("open_batch_session", Fault.session_ends(code))

    async with packed(sandbox) as package:
        failed = await send(client, package)
        with pytest.raises(SessionFailedError, match=rf"No invoice is to blame.*: {code} ") as caught:
            await failed.upo()
        session = await send(client, package)
        assert await accepted(session) == 3

    assert caught.value.may_be_sent_again


@pytest.mark.parametrize(("code", "fetched"), [(415, 2), (435, 2), (430, 1), (500, 1)])
async def test_keys_are_fetched_anew_after_a_session_that_could_not_be_decrypted(
    sandbox: Sandbox, code: int, fetched: int
) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client, packed(sandbox) as package:
        sandbox.faults.add("open_batch_session", Fault.session_ends(code))
        with pytest.raises(SessionFailedError):
            await (await send(client, package)).upo()
        await send(client, package)

    assert traffic.of("list_public_keys") == fetched


@pytest.mark.parametrize("form_code", [FormCode.PEF3, FormCode.PEF_KOR3, "PEF (3)", "FA (9)"])
async def test_forms_that_no_batch_takes_are_refused(
    client: KsefClient, sandbox: Sandbox, form_code: FormCode | str
) -> None:
    async with packed(sandbox) as package:
        with pytest.raises(LocalProtocolError, match=r"KSeF takes FA \(2\), FA \(3\), FA_RR \(1\)"):
            await client.sessions.open_batch(package, form_code=form_code)


async def test_clock_that_stands_still_shows_every_state(still_sandbox: Sandbox) -> None:
    async with connected(still_sandbox) as client, packed(still_sandbox) as package:
        session = await send(client, package)
        while at_ksef(still_sandbox, session).result is None:
            await anyio.sleep(0.01)
        assert (await session.status()).status.code == 150
        assert [invoice async for invoice in session.invoices()] == []
        still_sandbox.clock.advance(0.02)
        assert {invoice.status.code async for invoice in session.invoices()} == {150}
        still_sandbox.clock.advance(0.05)
        assert {invoice.status.code async for invoice in session.invoices()} == {200}
        assert (await session.status()).status.code == 150
        still_sandbox.clock.advance(0.05)
        assert await accepted(session) == 3
        assert isinstance(still_sandbox.clock, Clock)


# --- sent again as a whole -----------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", [[415, 500], [440], [405, 430, 435]], ids=str)
async def test_batch_is_sent_again_while_its_sessions_fail(
    client: KsefClient, sandbox: Sandbox, codes: list[int]
) -> None:
    for code in codes:
        sandbox.faults.add("open_batch_session", Fault.session_ends(code))

    async with packed(sandbox) as package:
        session = await client.sessions.send_batch(package, form_code=FormCode.FA3)
        outcomes = [outcome.outcome async for outcome in session.outcomes()]

    assert len(sandbox.world.sessions) == len(codes) + 1
    assert len([outcome for outcome in outcomes if isinstance(outcome, AcceptedInvoice)]) == 3


async def test_batch_whose_sessions_always_fail_is_given_up(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("open_batch_session", Fault.session_ends(500), times=100)

    async with packed(sandbox) as package:
        with pytest.raises(SessionFailedError) as caught:
            await client.sessions.send_batch(package, form_code=FormCode.FA3)

    assert caught.value.may_be_sent_again
    assert len(sandbox.world.sessions) == 1 + SEND_AGAIN_LIMIT


async def test_batch_that_is_too_large_is_not_sent_again(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("open_batch_session", Fault.session_ends(420))

    async with packed(sandbox) as package:
        with pytest.raises(SessionFailedError, match="Split it") as caught:
            await client.sessions.send_batch(package, form_code=FormCode.FA3)

    assert not caught.value.may_be_sent_again
    assert len(sandbox.world.sessions) == 1


async def test_batch_of_rejected_invoices_is_processed(client: KsefClient, sandbox: Sandbox) -> None:
    async with pack([("a.xml", BROKEN)]) as package:
        session = await client.sessions.send_batch(package, form_code=FormCode.FA3)
        (outcome,) = [outcome.outcome async for outcome in session.outcomes()]

    assert isinstance(outcome, InvoiceRejectedError)
    assert len(sandbox.world.sessions) == 1


async def test_batch_whose_links_are_over_is_sent_with_new_ones(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.link_refused())

    async with packed(sandbox) as package:
        session = await client.sessions.send_batch(package, form_code=FormCode.FA3)

    assert await accepted(session) == 3
    assert len(sandbox.world.sessions) == 2
