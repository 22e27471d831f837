"""Exports that go wrong on purpose: what a client has to cope with, seen on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import aiohttp
import pytest
from parties import client_of
from receiving import BUYER, everything, feed_samples, settle

from ksef_async import ApiError, BadRequestError, Cadence, Context, ContextType, ForbiddenError, KsefClient, ServerError
from ksef_async.errors import KsefError
from ksef_async.sandbox import Fault, Sandbox
from ksef_async.sandbox.faults import DOWNLOAD_PART, DOWNLOAD_UPO
from ksef_async.sandbox.storage import invoice_upo_link
from ksef_async.sandbox.subjects import Subject

AT_ONCE = Cadence(interval=0.01, factor=1.0, deadline=20)


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    async with client_of(sandbox, Subject("Nip", BUYER), Context(ContextType.NIP, BUYER)) as client:
        yield client


async def test_export_that_hangs_counts_among_those_that_run(sandbox: Sandbox, client: KsefClient) -> None:
    sandbox.world.exports.limits.max_running = 1
    sandbox.faults.add("export_invoices", Fault.stuck())

    export = await client.downloads.export(everything(sandbox))
    sandbox.clock.advance(3 * 86400)

    assert (await export.status()).status.code == 100
    with pytest.raises(BadRequestError) as caught:
        await client.downloads.export(everything(sandbox))
    assert caught.value.code == 21182


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda mark: mark + timedelta(hours=3), id="beyond"),
        pytest.param(lambda mark: mark - timedelta(days=400), id="before"),
        pytest.param(lambda _: None, id="none"),
    ],
)
async def test_export_tells_another_mark(
    sandbox: Sandbox, client: KsefClient, change: Callable[[datetime], datetime | None]
) -> None:
    real = (await (await client.downloads.export(everything(sandbox))).wait(AT_ONCE)).package
    sandbox.faults.add("export_invoices", Fault.mark_becomes(change))

    told = (await (await client.downloads.export(everything(sandbox))).wait(AT_ONCE)).package

    assert real is not None
    assert told is not None
    assert real.permanent_storage_hwm_date is not None
    wanted = change(real.permanent_storage_hwm_date)
    if wanted is None:
        assert told.permanent_storage_hwm_date is None
    else:
        assert told.permanent_storage_hwm_date is not None
        assert abs(wanted - told.permanent_storage_hwm_date) < timedelta(minutes=1)


async def test_invoice_is_found_only_once_the_index_has_caught_up(sandbox: Sandbox, client: KsefClient) -> None:
    object.__setattr__(sandbox.world.timings, "index_lag", 600.0)
    numbers = feed_samples(sandbox, 1)
    settle(sandbox)

    before = [each async for each in client.invoices.list(everything(sandbox))]
    document = await client.invoices.get(numbers[0])
    sandbox.clock.advance(10 * 60)
    after = [each.ksef_number async for each in client.invoices.list(everything(sandbox))]

    assert (before, after) == ([], numbers)
    assert document


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.html(502), ServerError),
        (Fault.link_refused(), ForbiddenError),
        (Fault.link_refused(404, "BlobNotFound"), ApiError),
    ],
    ids=["502", "403", "404"],
)
async def test_storage_fails(sandbox: Sandbox, client: KsefClient, fault: Fault, error: type[KsefError]) -> None:
    feed_samples(sandbox, 1)
    settle(sandbox)
    export = await client.downloads.export(everything(sandbox))
    sandbox.faults.add(DOWNLOAD_PART, fault, times=20)

    with pytest.raises(error):
        _ = [each async for each in export.invoices(AT_ONCE)]

    assert sandbox.faults.happened[DOWNLOAD_PART] >= 1


@pytest.mark.parametrize("operation", [DOWNLOAD_PART, DOWNLOAD_UPO])
async def test_answer_of_the_storage_changes_on_the_way(sandbox: Sandbox, client: KsefClient, operation: str) -> None:
    sandbox.clock.advance(400 * 86400)
    numbers = feed_samples(sandbox, 1)
    settle(sandbox)
    if operation == DOWNLOAD_PART:
        export = await client.downloads.export(everything(sandbox))
        package = (await export.wait(AT_ONCE)).package
        assert package is not None
        link = package.parts[0].url
    else:
        (session,) = sandbox.world.sessions.values()
        (invoice,) = session.invoices.values()
        assert invoice.verdict.ksef_number == numbers[0]
        link, _ = invoice_upo_link(sandbox.world, session, invoice, sandbox.clock.now())
    sandbox.faults.add(operation, Fault.answer_becomes(203, body=lambda own: own + b"!"))

    async with aiohttp.ClientSession() as http:
        changed, whole = [await http.get(link) for _ in range(2)]
        assert (changed.status, whole.status) == (203, 200)
        assert await changed.read() == await whole.read() + b"!"
        # Clients take the time from every answer, so all of them tell the sandbox's.
        assert changed.headers["x-ms-meta-hash"] == whole.headers["x-ms-meta-hash"]
        dates = [parsedate_to_datetime(answer.headers["Date"]) for answer in (changed, whole)]
    assert abs(dates[0] - dates[1]) < timedelta(minutes=1)
    assert abs(dates[0] - sandbox.clock.now()) < timedelta(minutes=1)


async def test_links_may_lead_where_those_of_production_do(sandbox: Sandbox, client: KsefClient) -> None:
    numbers = feed_samples(sandbox, 2)
    settle(sandbox)
    sandbox.world.exports.folder = "/storage/06/{reference}/invoice-package"

    export = await client.downloads.export(everything(sandbox))
    package = (await export.wait(AT_ONCE)).package

    assert package is not None
    assert f"/storage/06/{export.reference_number.lower()}/invoice-package/" in package.parts[0].url
    assert [each.metadata.ksef_number async for each in export.invoices(AT_ONCE)] == numbers
