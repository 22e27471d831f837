"""Batch sessions as their users see them: the way in, the way out, the outcomes, progress, and parallel uploads."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import attrs
import orjson
import pytest
from aiohttp import web
from canned import serving
from clients import RecordingTransport, Traffic, connected
from cryptography.fernet import Fernet
from packages import BROKEN, packed, samples

from ksef_async import (
    AcceptedInvoice,
    DuplicateInvoiceError,
    FormCode,
    InvoicingMode,
    KsefClient,
    LocalProtocolError,
    RemoteProtocolError,
    SessionFilter,
    SessionType,
    UploadExpiredError,
)
from ksef_async.api.batch import OPEN_BATCH_SESSION, PartUploadRequest
from ksef_async.api.packages import CompressionType, PackageProgress, PackageStage
from ksef_async.calling.caller import Caller
from ksef_async.calling.transport import AiohttpTransport
from ksef_async.packing import Package, pack
from ksef_async.protocol.error_codes import ErrorCode
from ksef_async.protocol.messages import FileBody
from ksef_async.sandbox import Fault, Sandbox
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.sandbox.sessions import BatchSession as SandboxSession
from ksef_async.sessions.batch import BatchSession
from ksef_async.sessions.manager import UPLOAD_CONCURRENCY
from ksef_async.sessions.tracking import LARGEST_PAGE

KEY = Fernet.generate_key()
COMPRESSIONS = pytest.mark.parametrize("compression", [CompressionType.ZIP, CompressionType.TAR_GZ])


def at_ksef(sandbox: Sandbox, session: BatchSession) -> SandboxSession:
    found = sandbox.world.sessions[session.reference_number]
    assert isinstance(found, SandboxSession)
    return found


@COMPRESSIONS
async def test_package_is_uploaded_on_entering_and_processed_after_leaving(
    client: KsefClient, sandbox: Sandbox, compression: CompressionType
) -> None:
    async with packed(sandbox, 30, compression=compression, part_size=2000) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            assert (await session.status()).status.code == 100
            assert at_ksef(sandbox, session).invoices == {}
        assert (await session.status()).status.code in (150, 200)
        outcomes = [outcome async for outcome in session.outcomes()]
        upo = await session.upo()

    assert {outcome.key for outcome in outcomes} == {f"key of FV/{n}" for n in range(1, 31)}
    assert all(isinstance(outcome.outcome, AcceptedInvoice) for outcome in outcomes)
    assert {entry.invoice_hash for entry in upo.entries} == {invoice.sha256 for invoice in package.invoices}
    seen = [transition.current async for transition in session.transitions()]
    assert (seen[0], seen[-1]) == (100, 200)
    status = await session.status()
    assert (status.invoice_count, status.successful_invoice_count, status.failed_invoice_count) == (30, 30, 0)


async def test_outcomes_carry_the_callers_keys_and_the_reasons(client: KsefClient, sandbox: Sandbox) -> None:
    first, second = samples(sandbox, 2)
    invoices = [first, ("copy.xml", first[1], 7), ("broken.xml", BROKEN, ("any", "key")), second]

    async with pack(invoices) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        outcomes = {outcome.file_name: outcome async for outcome in session.outcomes()}

    assert {name: outcome.key for name, outcome in outcomes.items()} == {item[0]: item[2] for item in invoices}
    original, copy = outcomes["FV-1.xml"].outcome, outcomes["copy.xml"].outcome
    assert isinstance(original, AcceptedInvoice)
    assert isinstance(copy, AcceptedInvoice)
    assert (copy.is_duplicate, copy.ksef_number) == (True, original.ksef_number)
    rejected = outcomes["broken.xml"].outcome
    assert not isinstance(rejected, AcceptedInvoice)
    assert (rejected.code, rejected.invoice_hash) == (450, package.invoices[2].sha256)


async def test_another_document_under_a_number_of_the_same_package_is_a_duplicate(
    client: KsefClient, sandbox: Sandbox
) -> None:
    (first,) = samples(sandbox, 1)
    invoices = [first, ("other.xml", first[1].replace(b"1000.00", b"2000.00"), "other")]

    async with pack(invoices) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        outcomes = {outcome.key: outcome.outcome async for outcome in session.outcomes()}

    assert isinstance(outcomes["key of FV/1"], AcceptedInvoice)
    assert isinstance(outcomes["other"], DuplicateInvoiceError)
    assert outcomes["other"].original_session == session.reference_number


async def test_invoicing_date_is_that_of_the_session_and_offline_counts_for_all(
    client: KsefClient, sandbox: Sandbox
) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code="FA (3)", offline=True)
        async with session:
            pass
        await session.upo()
        invoices = [invoice async for invoice in session.invoices()]

    created = (await session.status()).date_created
    assert {invoice.invoicing_date for invoice in invoices} == {created}
    assert {invoice.invoicing_mode for invoice in invoices} == {InvoicingMode.OFFLINE}
    assert [(invoice.ordinal_number, invoice.invoice_file_name) for invoice in invoices] == [
        (n, f"FV-{n}.xml") for n in (1, 2, 3)
    ]


async def test_list_that_does_not_fit_the_package_is_an_error_after_what_fits(
    client: KsefClient, sandbox: Sandbox
) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        await session.upo()
        at_ksef(sandbox, session).invoices.popitem()

        outcomes = []
        with pytest.raises(RemoteProtocolError, match="lacks 1 of 3 invoices, and has 0 that were not sent"):
            async for outcome in session.outcomes():
                outcomes.append(outcome)  # noqa: PERF401  # what came before the error counts

    assert len(outcomes) == 2


async def test_list_that_lags_is_waited_for(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        await session.upo()
        listed = at_ksef(sandbox, session).invoices
        reference_number, last = listed.popitem()

        outcomes = []
        async for outcome in session.outcomes():
            outcomes.append(outcome)
            if len(outcomes) == 2:
                listed[reference_number] = last

    assert [outcome.file_name for outcome in outcomes] == ["FV-1.xml", "FV-2.xml", "FV-3.xml"]


async def test_outcomes_may_be_taken_slowly_and_twice(client: KsefClient, sandbox: Sandbox) -> None:
    count = LARGEST_PAGE + 5
    async with packed(sandbox, count) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        await session.upo()
        names = []
        async for outcome in session.outcomes():
            names.append(outcome.file_name)
            if len(names) == LARGEST_PAGE - 1:
                # KSeF has forgotten where the list was read up to.
                sandbox.faults.add("list_session_invoices", Fault.refuse(ErrorCode.INVALID_CONTINUATION_TOKEN))
        again = [outcome.file_name async for outcome in session.outcomes()]

    assert names == again == [f"FV-{n}.xml" for n in range(1, count + 1)]
    assert sandbox.faults.happened == {"list_session_invoices": 1}


async def test_others_have_their_turn_while_many_outcomes_are_taken(client: KsefClient, sandbox: Sandbox) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with packed(sandbox, 450) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        await session.upo()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            # All on one page, so nothing else is waited for between them.
            at = [turns async for _ in session.outcomes()]
            tasks.cancel_scope.cancel()

    assert len(at) == 450
    assert at[-1] - at[0] >= 4


async def test_batch_sessions_have_a_list_of_their_own(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        batch = await client.sessions.open_batch(package, form_code=FormCode.FA3)
    online = await client.sessions.open_online(FormCode.FA3)

    for kind, session in ((SessionType.BATCH, batch), (SessionType.ONLINE, online)):
        listed = [each.reference_number async for each in client.sessions.list(SessionFilter(session_type=kind))]
        assert listed == [session.reference_number]


# --- lifecycle -----------------------------------------------------------------------------------------------


def ours(tasks: set[asyncio.Task[object]]) -> list[asyncio.Task[object]]:
    """Those that are not the sandbox's server, which is in this process too."""
    return [task for task in tasks if "aiohttp/web" not in repr(task)]


async def test_failing_block_does_not_close(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        with pytest.raises(ZeroDivisionError):
            async with session:
                raise ZeroDivisionError

    assert at_ksef(sandbox, session).closed_at is None


async def test_cancelled_block_does_not_close_and_leaves_no_task(client: KsefClient, sandbox: Sandbox) -> None:
    before = asyncio.all_tasks()
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        with anyio.move_on_after(0.2):
            async with session:
                await anyio.sleep_forever()

    assert at_ksef(sandbox, session).closed_at is None
    assert ours(asyncio.all_tasks() - before) == []


async def test_session_is_entered_once_and_answers_after_the_block(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            with pytest.raises(LocalProtocolError, match="the UPO comes after it is closed"):
                await session.upo()
            with pytest.raises(LocalProtocolError, match="outcomes come after it is closed"):
                _ = [outcome async for outcome in session.outcomes()]
        with pytest.raises(LocalProtocolError, match="was entered before"):
            async with session:
                pass
        assert (await session.terminate()).status.code in (150, 200)

    assert repr(session).endswith(f"{len(package.parts)} of {len(package.parts)} parts uploaded>")


# --- uploading -----------------------------------------------------------------------------------------------


async def test_links_are_used_exactly_as_given_and_without_the_token(sandbox: Sandbox) -> None:
    async with (
        aclosing(RecordingTransport()) as transport,
        connected(sandbox, transport=transport) as client,
        packed(sandbox) as package,
    ):
        async with await client.sessions.open_batch(package, form_code=FormCode.FA3):
            pass

    (opened,) = transport.answers(OPEN_BATCH_SESSION.name)
    asked = {request.url: request for request in transport.requests(UPLOAD_PART)}
    assert asked.keys() == {part["url"] for part in orjson.loads(opened)["partUploadRequests"]}
    for request in asked.values():
        assert request.method == "PUT"
        assert request.headers.keys() - {"User-Agent"} == {"x-ms-blob-type"}
        assert "sig=" not in repr(request)


async def test_link_to_another_host_is_not_followed(sandbox: Sandbox) -> None:
    sandbox.world.public_url = "http://elsewhere.example"
    traffic = Traffic()

    async with connected(sandbox, hook=traffic) as client, packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        with pytest.raises(RemoteProtocolError, match=r"does not lead to 127.0.0.1") as caught:
            async with session:
                raise AssertionError

    assert "sig=" not in str(caught.value)
    assert traffic.of(UPLOAD_PART) == 0


async def upload_seconds(client: KsefClient, package: Package, concurrency: int = UPLOAD_CONCURRENCY) -> float:
    session = await client.sessions.open_batch(package, form_code=FormCode.FA3, concurrency=concurrency)
    started = time.perf_counter()
    await session.upload()
    return time.perf_counter() - started


async def test_parts_go_up_side_by_side(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.wait(0.2), times=40)

    async with packed(sandbox, 40, part_size=1000) as package:
        package = first_parts(package, 20)
        one_by_one = await upload_seconds(client, package, concurrency=1)
        together = await upload_seconds(client, package)

    assert one_by_one >= 20 * 0.2
    assert one_by_one / together >= 4


def first_parts(package: Package, count: int) -> Package:
    assert len(package.parts) >= count
    return attrs.evolve(package, parts=package.parts[:count])


async def test_failure_stops_the_other_uploads_and_leaves_no_task(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.link_refused(400, "InvalidInput"))
    sandbox.faults.add(UPLOAD_PART, Fault.wait(30), times=100)

    async with packed(sandbox, 40, part_size=1000) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        before = asyncio.all_tasks()
        with anyio.fail_after(5), pytest.raises(Exception, match="InvalidInput"):
            async with session:
                raise AssertionError
        assert ours(asyncio.all_tasks() - before) == []

    assert sandbox.faults.happened[UPLOAD_PART] <= 8


async def test_cancelled_upload_goes_on_with_the_missing_parts(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.wait(0.1), times=1000)

    async with packed(sandbox, 40, part_size=1000) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3, concurrency=2)
        with anyio.move_on_after(0.45):
            await session.upload()
        done = session.uploaded_parts
        sandbox.faults.clear()
        async with session:
            pass
        await session.upo()

    assert 2 <= len(done) < len(package.parts)
    parts = at_ksef(sandbox, session).parts
    assert {number for number in done if parts[number].uploads != 1} == set()


async def test_progress_counts_bytes_and_parts_and_invoices(client: KsefClient, sandbox: Sandbox) -> None:
    seen: list[PackageProgress] = []

    async with packed(sandbox, 30, part_size=2000) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3, progress=seen.append)
        async with session:
            pass
        await session.upo()

    uploading = [each for each in seen if each.stage is PackageStage.UPLOADING]
    assert (uploading[0].done, uploading[0].parts) == (0, 0)
    assert any(each.done > 0 for each in uploading if not each.parts)
    assert [each.done for each in uploading] == sorted(each.done for each in uploading)
    assert (uploading[-1].done, uploading[-1].parts) == (package.encrypted_size, len(package.parts))
    assert {each.total for each in uploading} == {package.encrypted_size}
    processing = [each for each in seen if each.stage is PackageStage.PROCESSING]
    assert (processing[-1].done, processing[-1].total) == (30, 30)


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["failed", "cancelled"])
async def test_progress_of_an_upload_that_is_gone_on_with_counts_what_is_in_only(
    client: KsefClient, sandbox: Sandbox, is_cancelled: bool
) -> None:
    seen: list[PackageProgress] = []
    async with packed(sandbox, 40, part_size=1000) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3, concurrency=1, progress=seen.append)
        sandbox.faults.add(UPLOAD_PART, Fault.wait(0), times=2)
        sandbox.faults.add(UPLOAD_PART, Fault.wait(2) if is_cancelled else Fault.link_refused())
        with anyio.move_on_after(1), suppress(UploadExpiredError):
            await session.upload()
        sandbox.faults.clear()
        seen.clear()

        await session.upload()

    assert (seen[0].parts, seen[0].done) == (2, sum(part.size for part in package.parts[:2]))
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert seen[-1].done == package.encrypted_size


async def test_progress_hook_that_fails_costs_nothing(client: KsefClient, sandbox: Sandbox) -> None:
    def fail(_: PackageProgress) -> None:
        raise ZeroDivisionError

    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3, progress=fail)
        async with session:
            pass
        assert len([*(await session.upo()).entries]) == 3


async def test_upload_window_is_told(client: KsefClient, sandbox: Sandbox) -> None:
    async with packed(sandbox) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)

    opened_at = (await session.status()).date_created
    assert opened_at is not None
    expected = opened_at + timedelta(minutes=20) * len(package.parts)
    assert abs(session.upload_until - expected) < timedelta(seconds=2)


async def test_link_is_not_escaped_anew(tmp_path: Path) -> None:
    seen: list[str] = []

    async def take(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        await request.read()
        return web.Response(status=201)

    (tmp_path / "part").write_bytes(b"x" * 32)
    async with serving(take) as environment:
        path = "/a%2Fb/1.zip.enc?sig=x%2Fy%2Bz%3d%3D&se=2026-01-01T00%3A00%3A00Z&odd=%7E~%20"
        link = PartUploadRequest(
            ordinal_number=1, method="PUT", url=f"{environment.base_url.removesuffix('/v2')}{path}", headers={"x": "y"}
        )
        async with aclosing(AiohttpTransport()) as transport:
            caller = Caller(environment, transport)
            await caller.upload(UPLOAD_PART, link, FileBody(path=tmp_path / "part", size=32))

    assert seen == [path]
