"""Exports that hang, fail, are damaged or refused: begun anew a bounded number of times, and never in silence."""

from __future__ import annotations

import asyncio
import io
import logging
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from clients import ONCE, QUICK
from receiving import BUYER, everything, feed, feed_samples, settle
from virtual_time import VirtualTimeLoop

from ksef_async import (
    BadRequestError,
    Checkpoint,
    ExportReplaced,
    ForbiddenError,
    KsefClient,
    KsefToken,
    Pacer,
    RateLimitedError,
    RemoteProtocolError,
    RequestRetried,
    WaitTimeoutError,
)
from ksef_async.calling.events import Event
from ksef_async.downloads.sync import Sync
from ksef_async.errors import ApiError, InvalidFieldError, KsefError
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.faults import DOWNLOAD_PART

#: One bit of each part turns over.
DAMAGED = Fault.part_becomes(lambda data: bytes([data[0] ^ 1]) + data[1:])


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
async def buyer(sandbox: Sandbox, events: list[Event]) -> AsyncIterator[KsefClient]:
    credentials = KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER))
    async with KsefClient(
        sandbox.environment,
        credentials,
        pacer=Pacer.unlimited(),
        retry=QUICK,
        hook=events.append,
        answer_timeout=1e6,
    ) as client:
        yield client


async def numbers_of(sync: Sync) -> list[str]:
    return [invoice.metadata.ksef_number async for invoice in sync]


def replaced(events: list[Event]) -> list[ExportReplaced]:
    return [event for event in events if isinstance(event, ExportReplaced)]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_export_that_hangs_is_given_up_after_half_an_hour_and_another_is_begun(
    sandbox: Sandbox, buyer: KsefClient, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    loop, since = asyncio.get_running_loop(), sandbox.clock.now()
    fed = feed_samples(sandbox, 2)
    settle(sandbox)
    sandbox.faults.add("export_invoices", Fault.stuck())
    started = loop.time()

    with caplog.at_level(logging.WARNING, "ksef_async"):
        assert await numbers_of(buyer.downloads.sync(since)) == fed

    assert 1_800 <= loop.time() - started < 1_900
    (event,) = replaced(events)
    stuck = next(iter(sandbox.world.exports.by_reference))
    assert (event.reference_number, event.attempt, type(event.error)) == (stuck, 1, WaitTimeoutError)
    assert [stuck in warning for warning in warnings(caplog)] == [True]


async def test_export_that_hangs_is_waited_for_half_an_hour_by_itself_too(sandbox: Sandbox, buyer: KsefClient) -> None:
    loop = asyncio.get_running_loop()
    sandbox.faults.add("export_invoices", Fault.stuck())
    export = await buyer.downloads.export(everything(sandbox))
    started = loop.time()

    with pytest.raises(WaitTimeoutError):
        await export.wait()

    assert 1_800 <= loop.time() - started < 1_820


async def test_three_exports_that_hang_in_a_row_are_enough(
    sandbox: Sandbox, buyer: KsefClient, events: list[Event]
) -> None:
    loop, since = asyncio.get_running_loop(), sandbox.clock.now()
    fed = feed_samples(sandbox, 2)
    settle(sandbox)
    sandbox.faults.add("export_invoices", Fault.stuck(), times=3)
    started, sync = loop.time(), buyer.downloads.sync(since)

    with pytest.raises(WaitTimeoutError):
        await numbers_of(sync)

    assert 3 * 1_800 <= loop.time() - started < 3 * 1_900
    assert [event.attempt for event in replaced(events)] == [1, 2]
    assert await numbers_of(sync) == fed


async def test_ten_exports_that_hang_are_waited_for_half_an_hour(
    sandbox: Sandbox, buyer: KsefClient, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    loop, since = asyncio.get_running_loop(), sandbox.clock.now()
    fed = feed_samples(sandbox, 1)
    settle(sandbox)
    sandbox.world.exports.limits.max_running = 1
    sandbox.faults.add("export_invoices", Fault.stuck())
    await buyer.downloads.export(everything(sandbox))
    started, sync = loop.time(), buyer.downloads.sync(since)

    with caplog.at_level(logging.WARNING, "ksef_async"), pytest.raises(BadRequestError) as caught:
        await numbers_of(sync)

    assert caught.value.code == 21182
    assert 1_700 <= loop.time() - started <= 1_801
    told = [event for event in events if isinstance(event, RequestRetried) and event.operation == "export_invoices"]
    assert [event.attempt for event in told] == list(range(1, 30))
    # One warning for one trouble.
    assert len(warnings(caplog)) == 1

    sandbox.world.exports.limits.max_running = 2
    assert await numbers_of(sync) == fed


async def test_exports_that_end_make_room(sandbox: Sandbox, buyer: KsefClient) -> None:
    loop, since = asyncio.get_running_loop(), sandbox.clock.now()
    fed = feed_samples(sandbox, 1)
    settle(sandbox)
    sandbox.faults.add("export_invoices", Fault.refuse(21182), times=3)
    started = loop.time()

    assert await numbers_of(buyer.downloads.sync(since)) == fed
    assert 180 <= loop.time() - started < 200


@pytest.mark.parametrize(("retry_after", "least"), [(None, 60), (120, 120)], ids=["not told", "told"])
async def test_limits_are_waited_for_as_long_as_is_told(sandbox: Sandbox, retry_after: int | None, least: int) -> None:
    loop, since = asyncio.get_running_loop(), sandbox.clock.now()
    fed = feed_samples(sandbox, 1)
    settle(sandbox)
    credentials = KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER))
    async with KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=ONCE) as buyer:
        await buyer.log_in()
        fault = Fault.empty(429) if retry_after is None else Fault.too_many_requests(retry_after)
        sandbox.faults.add("export_invoices", fault)
        sandbox.faults.add("get_export_status", fault)
        started = loop.time()

        assert await numbers_of(buyer.downloads.sync(since)) == fed
        assert 2 * least <= loop.time() - started < 2 * least + 10


async def test_absurd_pause_is_not_kept(sandbox: Sandbox, buyer: KsefClient) -> None:
    loop, since = asyncio.get_running_loop(), sandbox.clock.now()
    fed = feed_samples(sandbox, 1)
    settle(sandbox)
    await buyer.log_in()
    sandbox.faults.add("export_invoices", Fault.too_many_requests(10**9))
    started = loop.time()

    assert await numbers_of(buyer.downloads.sync(since)) == fed
    assert 3_600 <= loop.time() - started < 3_700


async def test_limits_that_never_end_are_given_up_after_two_hours(sandbox: Sandbox, buyer: KsefClient) -> None:
    loop, since = asyncio.get_running_loop(), sandbox.clock.now()
    sandbox.faults.add("export_invoices", Fault.too_many_requests(1_000), times=100)
    started = loop.time()

    with pytest.raises(RateLimitedError):
        await numbers_of(buyer.downloads.sync(since))

    assert 6_000 < loop.time() - started <= 7_201


TROUBLES: dict[str, tuple[str, Fault, type[KsefError]]] = {
    "damaged parts": ("export_invoices", DAMAGED, RemoteProtocolError),
    "damaged archive": ("export_invoices", Fault.package_becomes(lambda data: data[:-20]), RemoteProtocolError),
    "no archive": ("export_invoices", Fault.package_becomes(lambda data: b"x" * len(data)), RemoteProtocolError),
    "parts lost by the storage": (DOWNLOAD_PART, Fault.link_refused(404, "BlobNotFound"), ApiError),
    "links refused": (DOWNLOAD_PART, Fault.link_refused(), ForbiddenError),
}


@pytest.mark.parametrize("kind", TROUBLES)
async def test_package_that_cannot_be_had_is_ordered_anew_three_times_at_most(
    sandbox: Sandbox, buyer: KsefClient, events: list[Event], kind: str
) -> None:
    operation, fault, error = TROUBLES[kind]
    since = sandbox.clock.now()
    fed = feed_samples(sandbox, 2)
    settle(sandbox)
    # A link that is refused is asked for anew once: two refusals end an export.
    each = 2 if fault.refusal is not None and error is ForbiddenError else 1
    sandbox.faults.add(operation, fault, times=2 * each)

    assert await numbers_of(buyer.downloads.sync(since)) == fed
    assert len(replaced(events)) == 2

    sandbox.faults.add(operation, fault, times=3 * each)
    with pytest.raises(error):
        await numbers_of(buyer.downloads.sync(since))
    assert len(replaced(events)) == 4


async def test_refusal_that_waiting_does_not_change_is_raised_at_once(sandbox: Sandbox, buyer: KsefClient) -> None:
    loop, since = asyncio.get_running_loop(), sandbox.clock.now()
    await buyer.log_in()
    started = loop.time()
    for fault, error in ((Fault.refuse(21181), BadRequestError), (Fault.forbidden("ip-not-allowed"), ForbiddenError)):
        sandbox.faults.add("export_invoices", fault)
        with pytest.raises(error):
            await numbers_of(buyer.downloads.sync(since))

    assert loop.time() - started < 10


def with_its_last_document_changed(archive: bytes) -> bytes:
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as new:
        *_, last, _ = names = old.namelist()
        for name in names:
            data = old.read(name)
            new.writestr(name, data.replace(b"1230.00", b"1.00") if name == last else data)
    return changed.getvalue()


async def test_what_was_given_of_a_damaged_package_does_not_come_again(
    sandbox: Sandbox, buyer: KsefClient, events: list[Event]
) -> None:
    since = sandbox.clock.now()
    long = b"<!--" + b"a" * 600_000 + b"-->"
    documents = [sample_invoice(sandbox.nip, f"FV/{number}", buyer_nip=BUYER) + long for number in range(5)]
    fed = [number for document in documents for number in feed(sandbox, [document])]
    settle(sandbox)
    sandbox.faults.add("export_invoices", Fault.package_becomes(with_its_last_document_changed))
    found, before = [], None

    async for invoice in buyer.downloads.sync(since):
        found.append(invoice.metadata.ksef_number)
        if before is None and replaced(events):
            before = len(found) - 1

    assert found == fed
    # So some of it were given before the fault was found.
    assert before is not None
    assert 0 < before < 5


async def test_invoices_that_turn_up_below_the_mark_are_found_by_looking_back(
    sandbox: Sandbox, buyer: KsefClient
) -> None:
    since = sandbox.clock.now()
    first = feed_samples(sandbox, 2)
    object.__setattr__(sandbox.world.timings, "index_lag", 300.0)
    late = feed_samples(sandbox, 2, start=2)
    object.__setattr__(sandbox.world.timings, "index_lag", 0.0)
    last = feed_samples(sandbox, 2, start=4)
    settle(sandbox)
    await buyer.log_in()
    blind, looking = buyer.downloads.sync(since), buyer.downloads.sync(since, overlap=10 * 60)

    assert await numbers_of(blind) == first + last
    assert await numbers_of(looking) == first + last
    sandbox.clock.advance(5 * 60)
    again = buyer.downloads.sync(since, checkpoint=Checkpoint.from_json(looking.checkpoint.to_json()), overlap=10 * 60)

    assert await numbers_of(blind) == []
    assert await numbers_of(again) == late
    assert await numbers_of(again) == []


async def test_overlap_has_bounds(sandbox: Sandbox, buyer: KsefClient) -> None:
    for overlap in (-1, 91 * 86400, float("nan")):
        with pytest.raises(InvalidFieldError, match="overlap"):
            buyer.downloads.sync(sandbox.clock.now(), overlap=overlap)


async def test_download_from_the_future_on_has_nothing_to_give_yet(sandbox: Sandbox, buyer: KsefClient) -> None:
    sync = buyer.downloads.sync(sandbox.clock.now() + timedelta(hours=1))
    fed = feed_samples(sandbox, 1)
    settle(sandbox)

    assert await numbers_of(sync) == []
    sandbox.clock.advance(2 * 3600)
    fed = feed_samples(sandbox, 1, start=1)
    settle(sandbox)

    assert await numbers_of(sync) == fed
