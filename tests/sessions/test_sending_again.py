"""What KSeF fails on, for no fault of the document's, is sent again by whoever keeps a session open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from clients import ONCE, Traffic, connected
from virtual_time import VirtualTimeLoop

from ksef_async import (
    AcceptedInvoice,
    BadRequestError,
    FormCode,
    InvoiceRejectedError,
    InvoiceStatusCode,
    KsefClient,
    OnlineSession,
    SentInvoice,
    StatusCode,
)
from ksef_async.calling.events import Event, RequestSent
from ksef_async.protocol.delivery import SEND_AGAIN_LIMIT
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sessions.keep_open import SessionKeeper
from ksef_async.sessions.memory import KeptInvoice


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def accepted(sandbox: Sandbox) -> list[bytes]:
    """The SHA-256 of all that are accepted."""
    return sorted(invoice.invoice_hash for invoice in sandbox.world.invoices() if invoice.is_accepted)


async def by_each(sender: SessionKeeper, sent: list[SentInvoice]) -> list[str]:
    return [outcome.ksef_number for outcome in await asyncio.gather(*(each.outcome() for each in sent))]


async def by_all(sender: SessionKeeper, sent: list[SentInvoice]) -> list[str]:
    outcomes = [outcome async for outcome in sender.outcomes()]
    assert all(isinstance(outcome, AcceptedInvoice) for outcome in outcomes)
    return [outcome.ksef_number for outcome in outcomes if isinstance(outcome, AcceptedInvoice)]


async def by_both(sender: SessionKeeper, sent: list[SentInvoice]) -> list[str]:
    one, other = await asyncio.gather(by_each(sender, sent), by_all(sender, sent))
    assert {*one} == {*other}
    return other


Asking = Callable[[SessionKeeper, list[SentInvoice]], Awaitable[list[str]]]


@pytest.mark.parametrize("ask", [by_each, by_all, by_both])
@pytest.mark.parametrize("when", ["inside", "afterwards"])
@pytest.mark.parametrize("code", [435, 500, 550])
@pytest.mark.parametrize("times", [1, 3])
async def test_invoice_that_ksef_fails_on_is_sent_again(
    client: KsefClient, sandbox: Sandbox, ask: Asking, when: str, code: int, times: int
) -> None:
    numbers: list[str] = []
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sandbox.faults.add("send_invoice", Fault.invoice_ends(code), times=times)
        sent = [await sender.send(sample_invoice(sandbox.nip, f"FV/{number}")) for number in range(4)]
        if when == "inside":
            numbers = await ask(sender, sent)
    if when == "afterwards":
        numbers = await ask(sender, sent)

    assert len(numbers) == len({*numbers}) == 4
    assert accepted(sandbox) == sorted(each.invoice_hash for each in sent)
    assert len([entry for upo in await sender.upos() for entry in upo.entries]) == 4


@pytest.mark.parametrize("ask", [by_each, by_all, by_both])
async def test_invoices_of_a_dead_session_are_sent_again_after_the_block_in_one_session(
    client: KsefClient, sandbox: Sandbox, ask: Asking
) -> None:
    sandbox.faults.add("open_online_session", Fault.wrong_key())
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sent = [await sender.send(sample_invoice(sandbox.nip, f"FV/{number}")) for number in range(12)]
        await asyncio.sleep(10)

    numbers = await ask(sender, sent)

    assert len({*numbers}) == 12
    assert accepted(sandbox) == sorted(each.invoice_hash for each in sent)
    assert len(sender.sessions) == 2
    now = sandbox.clock.now()
    assert StatusCode.OPENED not in {session.code_at(now) for session in sandbox.world.sessions.values()}


async def test_one_that_cannot_be_looked_for_does_not_hold_up_the_others(sandbox: Sandbox) -> None:
    async with connected(sandbox, retry=ONCE) as client:
        async with client.sessions.keep_open(FormCode.FA3) as sender:
            sandbox.faults.add("send_invoice", Fault.invoice_ends(500), times=3)
            sent = [await sender.send(sample_invoice(sandbox.nip, f"FV/{number}")) for number in range(3)]
        sandbox.faults.add("send_invoice", Fault.drop_after())
        sandbox.faults.add("list_session_invoices", Fault.server_error())

        results = await asyncio.gather(*(each.outcome() for each in sent), return_exceptions=True)
        again = await by_each(sender, sent)

    assert sorted(type(each).__name__ for each in results) == ["AcceptedInvoice", "AcceptedInvoice", "ServerError"]
    assert len({*again}) == 3
    assert accepted(sandbox) == sorted(each.invoice_hash for each in sent)


async def test_invoice_that_ksef_always_fails_on_is_told_after_a_few_times(
    client: KsefClient, sandbox: Sandbox
) -> None:
    invoice = sample_invoice(sandbox.nip)
    sandbox.faults.add("send_invoice", Fault.invoice_ends(500), times=1000)

    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sent = await sender.send(invoice)
        with pytest.raises(InvoiceRejectedError) as caught:
            await sent.outcome()
        assert caught.value.may_be_sent_again
        assert len([*sandbox.world.invoices()]) == 1 + SEND_AGAIN_LIMIT
        sandbox.faults.clear()

        # Given once more, it is sent once more.
        assert (await (await sender.send(invoice)).outcome()).ksef_number


@pytest.mark.parametrize("ask", [by_each, by_all])
async def test_death_of_a_session_is_not_counted_as_a_failure_on_the_document(
    client: KsefClient, sandbox: Sandbox, ask: Asking
) -> None:
    sandbox.faults.add("open_online_session", Fault.wrong_key())
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sent = await sender.send(sample_invoice(sandbox.nip))
        await asyncio.sleep(10)
        # One of them is spent on the dead session, which takes nothing any more.
        sandbox.faults.add("send_invoice", Fault.invoice_ends(500), times=SEND_AGAIN_LIMIT + 1)

        assert len(await ask(sender, [sent])) == 1

    ends = [invoice.verdict.code for invoice in sandbox.world.invoices()]
    assert ends == [405, *[500] * SEND_AGAIN_LIMIT, 200]


async def test_outcomes_tell_once_what_ksef_always_fails_on(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(500), times=1000)
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sent = await sender.send(sample_invoice(sandbox.nip))

    for _ in range(2):
        (outcome,) = [outcome async for outcome in sender.outcomes()]
        assert isinstance(outcome, InvoiceRejectedError)
        assert outcome.code == InvoiceStatusCode.UNKNOWN_ERROR

    assert len([*sandbox.world.invoices()]) == 1 + SEND_AGAIN_LIMIT
    assert isinstance(sent, KeptInvoice)
    assert sent.outgoing is None


async def test_outcomes_raise_what_keeps_an_invoice_from_being_sent_again_and_go_on_later(
    client: KsefClient, sandbox: Sandbox
) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(500), times=2)
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sent = [await sender.send(sample_invoice(sandbox.nip, f"FV/{number}")) for number in range(3)]
        sandbox.faults.add("send_invoice", Fault.refuse(21405))
        with pytest.raises(BadRequestError) as caught:
            await by_all(sender, [])

        outcomes = [outcome async for outcome in sender.outcomes()]

    assert caught.value.code == 21405
    assert {outcome.invoice_hash for outcome in outcomes} == {each.invoice_hash for each in sent}
    assert accepted(sandbox) == sorted(each.invoice_hash for each in sent)


async def test_refused_document_is_not_sent_again(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sent = await sender.send(sample_invoice(sandbox.nip)[:-5])
        with pytest.raises(InvoiceRejectedError) as caught:
            await sent.outcome()
        assert (await sender.send(sample_invoice(sandbox.nip)[:-5])).reference_number == sent.reference_number

    assert caught.value.code == InvoiceStatusCode.INVALID_DOCUMENT
    assert len([*sandbox.world.invoices()]) == 1


async def test_documents_that_ksef_has_decided_on_are_let_go(sandbox: Sandbox) -> None:
    traffic = Traffic()
    invoices = [sample_invoice(sandbox.nip, f"FV/{number:02}") for number in range(15)]
    async with connected(sandbox, hook=traffic) as client:

        async def open_session() -> OnlineSession:
            return await client.sessions.open_online(FormCode.FA3)

        async with SessionKeeper(
            open_session, client.sessions.now, report=client.report, room=5 * len(invoices[0])
        ) as sender:
            kept: list[SentInvoice] = []
            for invoice in invoices:
                kept.append(await sender.send(invoice))
                await asyncio.sleep(5)

    held = [each for each in kept if isinstance(each, KeptInvoice) and each.outgoing is not None]
    assert 0 < len(held) <= 5
    assert 2 <= traffic.of("list_session_invoices") <= 3


async def test_documents_whose_outcome_was_asked_for_take_no_room(sandbox: Sandbox) -> None:
    traffic = Traffic()
    invoices = [sample_invoice(sandbox.nip, f"FV/{number:02}") for number in range(15)]
    async with connected(sandbox, hook=traffic) as client:

        async def open_session() -> OnlineSession:
            return await client.sessions.open_online(FormCode.FA3)

        async with SessionKeeper(
            open_session, client.sessions.now, report=client.report, room=2 * len(invoices[0])
        ) as sender:
            for invoice in invoices:
                await (await sender.send(invoice)).outcome()

    assert traffic.of("list_session_invoices") == 0


async def test_few_documents_are_kept_without_asking_about_them(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with (
        connected(sandbox, hook=traffic) as client,
        client.sessions.keep_open(FormCode.FA3) as sender,
    ):
        for number in range(40):
            await sender.send(sample_invoice(sandbox.nip, f"FV/{number}"))

    assert traffic.of("list_session_invoices", "get_session_invoice") == 0


class Trigger:
    """Cancels a task at the n-th request."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.task: asyncio.Task[Any] | None = None

    def __call__(self, event: Event) -> None:
        if self.task is not None and isinstance(event, RequestSent):
            self.left -= 1
            if self.left == 0:
                self.task.cancel()


async def test_sending_again_leaves_no_session_open_wherever_it_is_cancelled(sandbox: Sandbox) -> None:
    number = 0
    while True:
        number += 1
        trigger = Trigger(number)
        async with connected(sandbox, hook=trigger) as client:
            await client.log_in()
            async with client.sessions.keep_open(FormCode.FA3) as sender:
                sandbox.faults.add("send_invoice", Fault.invoice_ends(500), times=2)
                sent = [await sender.send(sample_invoice(sandbox.nip, f"FV/{number}/{each}")) for each in range(2)]
            trigger.task = asyncio.ensure_future(by_all(sender, sent))
            await asyncio.wait([trigger.task])
            now = sandbox.clock.now()
            codes = {session.code_at(now) for session in sandbox.world.sessions.values()}
            assert StatusCode.OPENED not in codes, f"cancelled at request {number}"

            # Whoever asks once more is told of each, and each is issued once.
            numbers = await by_all(sender, sent)

        assert len({*numbers}) == 2
        if not trigger.task.cancelled():
            break

    issued = accepted(sandbox)
    assert len(issued) == len({*issued}) == 2 * number
    assert number > 5
