"""Incremental download, over real sockets: nothing missing, nothing twice, whatever happens in between."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from clients import Traffic
from receiving import BUYER, feed, feed_samples, settle
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import ExportFailedError, KsefClient, KsefToken, LocalProtocolError, Pacer
from ksef_async.api.invoices import InvoiceSubject
from ksef_async.downloads.checkpoint import Checkpoint
from ksef_async.downloads.sync import Sync
from ksef_async.errors import InvalidFieldError
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.sandbox import Clock, Fault, Sandbox, Timings, sample_invoice


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


async def numbers_of(sync: Sync) -> list[str]:
    return [invoice.metadata.ksef_number async for invoice in sync]


async def test_every_invoice_comes_once_and_then_only_new_ones(sandbox: Sandbox, buyer: KsefClient) -> None:
    since = sandbox.clock.now()
    first = feed_samples(sandbox, 20)
    settle(sandbox)
    sync = buyer.downloads.sync(since)

    assert await numbers_of(sync) == first
    assert await numbers_of(sync) == []
    second = feed_samples(sandbox, 5, start=20)
    settle(sandbox)

    assert await numbers_of(sync) == second
    stored = Checkpoint.from_json(sync.checkpoint.to_json())
    assert stored == sync.checkpoint
    assert await numbers_of(buyer.downloads.sync(since, checkpoint=stored)) == []


async def test_going_on_from_any_invoice_neither_repeats_nor_skips(sandbox: Sandbox, buyer: KsefClient) -> None:
    since = sandbox.clock.now()
    # Three at each moment, so that borders lie within and between them.
    fed: list[str] = []
    for moment in range(5):
        documents = [sample_invoice(sandbox.nip, f"FV/{moment}/{n}", buyer_nip=BUYER) for n in range(3)]
        fed += feed(sandbox, documents)
        sandbox.clock.advance(1)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 4

    whole = [invoice async for invoice in buyer.downloads.sync(since)]
    assert sorted(invoice.metadata.ksef_number for invoice in whole) == sorted(fed)

    for taken in range(len(whole)):
        checkpoint = Checkpoint.from_json(whole[taken].checkpoint.to_json())
        rest = await numbers_of(buyer.downloads.sync(since, checkpoint=checkpoint))
        assert rest == [invoice.metadata.ksef_number for invoice in whole[taken + 1 :]], taken


async def test_checkpoint_moves_only_when_the_next_invoice_is_asked_for(sandbox: Sandbox, buyer: KsefClient) -> None:
    since = sandbox.clock.now()
    fed = feed_samples(sandbox, 3)
    settle(sandbox)
    sync = buyer.downloads.sync(since)

    stream = aiter(sync)
    await anext(stream)
    assert sync.checkpoint == Checkpoint()
    second = await anext(stream)
    position = sync.checkpoint.of(InvoiceSubject.BUYER)
    assert position is not None
    assert [each.ksef_number for each in position.taken] == [fed[0]]
    assert second.checkpoint != sync.checkpoint
    await stream.aclose()

    assert await numbers_of(buyer.downloads.sync(since, checkpoint=sync.checkpoint)) == fed[1:]


async def test_invoices_above_the_high_water_mark_wait(sandbox: Sandbox, buyer: KsefClient) -> None:
    object.__setattr__(sandbox.world.timings, "hwm_lag", 3600.0)
    since = sandbox.clock.now()
    fed = feed_samples(sandbox, 4)
    settle(sandbox)
    sync = buyer.downloads.sync(since)

    assert await numbers_of(sync) == []  # 420: the mark has not even reached the beginning
    sandbox.clock.advance(3600)

    assert await numbers_of(sync) == fed


async def test_why_nothing_came_is_told(sandbox: Sandbox, buyer: KsefClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "ksef_async.downloads")
    since = sandbox.clock.now()
    object.__setattr__(sandbox.world.timings, "hwm_lag", 300.0)
    sandbox.clock.advance(600)
    # The client learns from KSeF's answers what time it is.
    await numbers_of(buyer.downloads.sync(since))
    caplog.clear()
    mark = sandbox.world.queries.hwm(sandbox.clock.now())
    fed = feed_samples(sandbox, 2)
    sync = buyer.downloads.sync(since)

    before = sync.complete_until
    early, early_until = await numbers_of(sync), sync.complete_until
    beyond = buyer.downloads.sync(sandbox.clock.now())
    nothing = await numbers_of(beyond)
    sandbox.clock.advance(300)
    late = await numbers_of(sync)

    assert (before, early, late, nothing) == (None, [], fed, [])
    assert early_until is not None
    assert sync.complete_until is not None
    # Our clock is set by KSeF's answers, which tell whole seconds.
    assert mark - timedelta(seconds=1) < early_until < mark + timedelta(minutes=1) < sync.complete_until
    assert beyond.complete_until is None
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 3
    assert told[0].startswith(f"New invoices as Subject2: 0. KSeF's list is complete until {early_until.text}; what it")
    assert told[1].startswith("New invoices as Subject2: 0. KSeF's list has not reached ")
    assert told[2].startswith(f"New invoices as Subject2: 2. KSeF's list is complete until {sync.complete_until.text};")


async def test_complete_is_the_part_that_is_furthest_behind(sandbox: Sandbox, buyer: KsefClient) -> None:
    since = sandbox.clock.now()
    sandbox.clock.advance(60)
    parts = [InvoiceSubject.BUYER, InvoiceSubject.SELLER]
    first = buyer.downloads.sync(since, parts[:1])
    await numbers_of(first)
    sandbox.clock.advance(60)
    second = buyer.downloads.sync(since, parts[1:], checkpoint=first.checkpoint)
    await numbers_of(second)

    both = buyer.downloads.sync(since, parts, checkpoint=second.checkpoint)

    assert first.complete_until is not None
    assert second.complete_until is not None
    assert first.complete_until < second.complete_until
    assert both.complete_until == first.complete_until
    assert buyer.downloads.sync(since, parts, checkpoint=first.checkpoint).complete_until is None


async def test_document_is_saved_whole_under_its_number(sandbox: Sandbox, buyer: KsefClient, tmp_path: Path) -> None:
    since = sandbox.clock.now()
    (number,) = feed_samples(sandbox, 1)
    settle(sandbox)
    (invoice,) = [invoice async for invoice in buyer.downloads.sync(since)]
    (tmp_path / f"{number}.xml").write_text("half of")

    path = await invoice.save(tmp_path)

    assert (path, path.read_bytes()) == (tmp_path / f"{number}.xml", invoice.xml)
    assert list(tmp_path.iterdir()) == [path]


async def test_each_part_that_is_played_has_its_own_position(sandbox: Sandbox, buyer: KsefClient) -> None:
    since = sandbox.clock.now()
    bought = feed_samples(sandbox, 2)
    sold = feed(sandbox, [sample_invoice(BUYER, "S/1", buyer_nip=sandbox.nip)], nip=BUYER)
    settle(sandbox)
    sync = buyer.downloads.sync(since, [InvoiceSubject.BUYER, "Subject1"])

    found = [(invoice.subject_type, invoice.metadata.ksef_number) async for invoice in sync]

    assert found == [(InvoiceSubject.BUYER, each) for each in bought] + [(InvoiceSubject.SELLER, each) for each in sold]
    assert {each.subject_type for each in sync.checkpoint.positions} == {InvoiceSubject.BUYER, InvoiceSubject.SELLER}


async def test_a_year_is_gone_through_in_ranges_that_ksef_takes(sandbox: Sandbox, buyer: KsefClient) -> None:
    since = sandbox.clock.now()
    fed = []
    for month in range(12):
        fed += feed_samples(sandbox, 1, start=month)
        sandbox.clock.advance(31 * 86400)
    await buyer.log_in()

    assert await numbers_of(buyer.downloads.sync(since)) == fed


async def test_more_invoices_at_one_moment_than_a_package_holds_are_said_to_be_out_of_reach(
    sandbox: Sandbox, buyer: KsefClient
) -> None:
    since = sandbox.clock.now()
    with sandbox.clock.standing_still():
        feed(sandbox, [sample_invoice(sandbox.nip, f"FV/{n}", buyer_nip=BUYER) for n in range(6)])
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 3

    found = []
    with pytest.raises(LocalProtocolError, match="share one storage date"):
        async for invoice in buyer.downloads.sync(since):
            found.append(invoice.metadata.ksef_number)  # noqa: PERF401  # what came before the error counts

    assert len(found) == len(set(found)) == 3


async def test_failed_export_is_begun_again(sandbox: Sandbox, buyer: KsefClient) -> None:
    since = sandbox.clock.now()
    fed = feed_samples(sandbox, 2)
    settle(sandbox)
    sandbox.faults.add("export_invoices", Fault.export_ends(550), times=2)
    sandbox.faults.add("get_export_status", Fault.too_many_requests(30))

    assert await numbers_of(buyer.downloads.sync(since)) == fed

    sandbox.faults.add("export_invoices", Fault.export_ends(500), times=3)
    with pytest.raises(ExportFailedError):
        await numbers_of(buyer.downloads.sync(since))


async def test_following_looks_again_every_quarter_of_an_hour(sandbox: Sandbox, buyer: KsefClient) -> None:
    loop = asyncio.get_running_loop()
    since, started = sandbox.clock.now(), loop.time()
    fed = feed_samples(sandbox, 1)
    settle(sandbox)

    found, moments = [], []
    # Closed before the loop ends: what a generator that nobody closed holds is let go at some later moment.
    async with aclosing(aiter(buyer.downloads.sync(since, follow=True))) as invoices:
        async for invoice in invoices:
            found.append(invoice.metadata.ksef_number)
            moments.append(loop.time() - started)
            if len(found) == 4:
                break
            fed += feed_samples(sandbox, 1, start=len(found))

    assert found == fed
    assert [round(later - earlier) for earlier, later in itertools.pairwise(moments)] == [900] * 3


@pytest.mark.timeout(120)
async def test_limits_of_production_are_kept() -> None:
    await mind_threads()
    loop, traffic = asyncio.get_running_loop(), Traffic()
    timings = Timings(access_token_lifetime=3600)
    async with Sandbox(clock=Clock(monotonic=loop.time), timings=timings) as sandbox:
        credentials = KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER))
        since = sandbox.clock.now()
        fed = feed_samples(sandbox, 50)
        settle(sandbox)
        sandbox.world.exports.limits.max_invoices = 3
        retry = RetryPolicy(patience=5, deadline=5)
        async with KsefClient(
            sandbox.environment, credentials, pacer=Pacer(), retry=retry, hook=traffic, answer_timeout=1e6
        ) as client:
            started = loop.time()
            found = await numbers_of(client.downloads.sync(since))

    assert found == fed
    assert traffic.refused == 0
    # A package begins with the last invoice of the one before; 20 begin in an hour.
    assert 24 <= traffic.of("export_invoices") <= 26
    assert 3600 < loop.time() - started < 2 * 3600


async def test_wrong_use_is_refused(sandbox: Sandbox, buyer: KsefClient) -> None:
    since = sandbox.clock.now()
    with pytest.raises(InvalidFieldError, match="since"):
        buyer.downloads.sync(since.replace(tzinfo=None))
    with pytest.raises(InvalidFieldError, match="subject_types"):
        buyer.downloads.sync(since, [])
    feed_samples(sandbox, 1)
    settle(sandbox)
    sync = buyer.downloads.sync(since)
    first = aiter(sync)
    await anext(first)
    with pytest.raises(LocalProtocolError, match="already"):
        await numbers_of(sync)
    await first.aclose()
