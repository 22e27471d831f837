from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from clients import Traffic, connected
from virtual_time import VirtualTimeLoop

from ksef_async import (
    AcceptedInvoice,
    Cadence,
    DuplicateInvoiceError,
    FormCode,
    InvoiceRejectedError,
    KsefClient,
    LocalProtocolError,
    OnlineSession,
    SentInvoice,
    WaitTimeoutError,
)
from ksef_async.api.sessions import SessionInvoicePage
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sessions.ledger import Ledger


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
async def client(sandbox: Sandbox, traffic: Traffic) -> AsyncIterator[KsefClient]:
    async with connected(sandbox, hook=traffic) as client:
        yield client


async def some(sandbox: Sandbox, count: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield sample_invoice(sandbox.nip, f"FV/{number}")


async def test_invoices_of_an_iterator_are_sent_in_order(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = [each.reference_number async for each in session.send_many(some(sandbox, 40), concurrency=7)]
        plain = [each async for each in session.send_many([sample_invoice(sandbox.nip, "FV/X")])]

    assert len(plain) == 1
    assert len(set(sent)) == 40
    assert sorted(sent) == sorted([*sandbox.world.sessions[session.reference_number].invoices][:-1])


async def test_no_more_invoices_are_taken_than_are_under_way(client: KsefClient, sandbox: Sandbox) -> None:
    taken = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal taken
        async for invoice in some(sandbox, 100):
            taken += 1
            yield invoice

    async with await client.sessions.open_online(FormCode.FA3) as session:
        got = 0
        async for _ in session.send_many(counted(), concurrency=5):
            got += 1
            assert taken <= got + 5
            if got == 12:
                break
        left_behind = [task for task in asyncio.all_tasks() if "send" in repr(task.get_coro())]

    assert got == 12
    assert left_behind == []


async def test_failure_is_raised_after_what_was_taken_in(client: KsefClient, sandbox: Sandbox) -> None:
    good = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(5)]
    got: list[SentInvoice] = []
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(LocalProtocolError) as caught:
            async for sent in session.send_many([*good, b"", good[0]], concurrency=3):
                got += [sent]

    assert len(got) == 5
    assert caught.value.__notes__ == ["This was invoice 6 of those given to send_many (from 1)."]


async def test_concurrency_is_at_least_one(client: KsefClient) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(LocalProtocolError, match="at least 1"):
            async for _ in session.send_many([], concurrency=0):
                pass


async def test_outcomes_come_once_each_good_or_bad(client: KsefClient, sandbox: Sandbox) -> None:
    invoices = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(3)]
    async with await client.sessions.open_online(FormCode.FA3) as session:
        for invoice in (*invoices, b"<Faktura/>", invoices[0] + b"<!-- other -->"):
            await session.send(invoice)

        outcomes = [outcome async for outcome in session.outcomes()]
        again = [outcome async for outcome in session.outcomes()]

    assert [outcome.accepted for outcome in outcomes] == [type(each) is AcceptedInvoice for each in outcomes]
    assert [type(outcome) for outcome in outcomes] == [
        *[AcceptedInvoice] * 3,
        InvoiceRejectedError,
        DuplicateInvoiceError,
    ]
    assert again == outcomes


async def test_outcomes_of_a_session_opened_elsewhere(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = {each.invoice_hash async for each in session.send_many(some(sandbox, 5))}

    async with connected(sandbox) as other:
        attached = await other.sessions.attach(session.reference_number)
        assert isinstance(attached, OnlineSession)
        assert {outcome.invoice_hash async for outcome in attached.outcomes()} == sent


async def test_outcomes_that_do_not_come_end_with_an_error(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.stuck())
    async with await client.sessions.open_online(FormCode.FA3) as session:
        stuck = await session.send(sample_invoice(sandbox.nip))

        with pytest.raises(WaitTimeoutError, match="1 invoices are still in progress"):
            _ = [outcome async for outcome in session.outcomes(Cadence(deadline=30))]
        with pytest.raises(WaitTimeoutError, match="150 Trwa przetwarzanie"):
            await stuck.outcome(Cadence(deadline=30))


@pytest.mark.parametrize(("count", "looks", "pages"), [(1, range(1, 4), range(1)), (50, range(1, 20), range(1, 4))])
async def test_tasks_that_wait_share_the_cheapest_look(
    client: KsefClient, sandbox: Sandbox, traffic: Traffic, count: int, looks: range, pages: range
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = [each async for each in session.send_many(some(sandbox, count))]

        outcomes = await asyncio.gather(*(each.outcome() for each in sent))

    assert {outcome.reference_number for outcome in outcomes} == {each.reference_number for each in sent}
    assert traffic.of("list_session_invoices") in pages
    assert traffic.of("get_session_invoice") + traffic.of("list_session_invoices") in looks


async def test_settled_pages_are_not_read_again(client: KsefClient, sandbox: Sandbox, traffic: Traffic) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        async for _ in session.send_many(some(sandbox, 2100), concurrency=50):
            pass
        sandbox.clock.advance(60)
        assert len([outcome async for outcome in session.outcomes()]) == 2100
        assert traffic.of("list_session_invoices") == 3

        await session.send(sample_invoice(sandbox.nip, "FV/one more"))
        assert len([outcome async for outcome in session.outcomes()]) == 2101

    assert traffic.of("list_session_invoices") in (4, 5)


async def test_old_continuation_tokens_are_replaced(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        async for _ in session.send_many(some(sandbox, 1100), concurrency=50):
            pass
        sandbox.clock.advance(60)
        assert len([outcome async for outcome in session.outcomes()]) == 1100
        sandbox.faults.add("list_session_invoices", Fault.refuse(21418))

        assert len([outcome async for outcome in session.outcomes()]) == 1100


async def test_readers_that_wait_share_a_reading() -> None:
    reads = 0

    async def fetch(token: str | None) -> SessionInvoicePage:
        nonlocal reads
        reads += 1
        await asyncio.sleep(1)
        return SessionInvoicePage(())

    ledger = Ledger(fetch)
    first = [asyncio.ensure_future(ledger.read()) for _ in range(5)]
    await asyncio.sleep(0.5)
    assert reads == 1
    # What is being read may be older than what these want to know.
    await asyncio.gather(*first, *(ledger.read() for _ in range(5)))

    assert reads == 2


@pytest.mark.parametrize(
    ("extensions", "details", "told"),
    [
        pytest.param(True, False, True, id="extensions"),
        pytest.param(False, True, True, id="details"),
        pytest.param(False, False, False, id="nothing"),
    ],
)
async def test_original_is_found_wherever_it_is_named(
    client: KsefClient, sandbox: Sandbox, extensions: bool, details: bool, told: bool
) -> None:
    def less_told(body: bytes) -> bytes:
        answer = orjson.loads(body)
        if not extensions:
            answer["status"].pop("extensions", None)
        if not details:
            answer["status"]["details"] = ["Duplikat faktury"]
        return orjson.dumps(answer)

    invoice = sample_invoice(sandbox.nip)
    async with await client.sessions.open_online(FormCode.FA3) as session:
        first = await (await session.send(invoice)).outcome()
        second = await session.send(invoice, again=True)
        sandbox.faults.add("get_session_invoice", Fault.answer_becomes(body=less_told), times=99)

        if told:
            assert (await second.outcome()).ksef_number == first.ksef_number
        else:
            with pytest.raises(DuplicateInvoiceError, match="without naming the original"):
                await second.outcome()


@pytest.mark.parametrize(
    "fault", [Fault.forbidden("insufficient-resource-access"), Fault.refuse(21164)], ids=["somebody else's", "unknown"]
)
async def test_original_that_is_not_shown_is_not_believed(client: KsefClient, sandbox: Sandbox, fault: Fault) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()
        second = await session.send(sample_invoice(sandbox.nip), again=True)
        sandbox.faults.add("get_invoice_upo_by_ksef_number", fault)

        with pytest.raises(DuplicateInvoiceError, match="shows no receipt"):
            await second.outcome()


async def test_original_still_in_progress_is_waited_for(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()
        second = await session.send(sample_invoice(sandbox.nip), again=True)
        sandbox.faults.add("get_invoice_upo_by_ksef_number", Fault.refuse(21178), times=2)
        assert (await second.outcome()).is_duplicate

        third = await session.send(sample_invoice(sandbox.nip), again=True)
        sandbox.faults.add("get_invoice_upo_by_ksef_number", Fault.refuse(21178), times=3)
        with pytest.raises(DuplicateInvoiceError, match="shows no receipt"):
            await third.outcome()
