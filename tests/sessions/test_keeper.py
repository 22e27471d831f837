from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import anyio
import orjson
import pytest
from clients import Traffic, connected
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import BadRequestError, FormCode, InvoicingMode, KsefClient, LocalProtocolError, StatusCode
from ksef_async.protocol.delivery import DocumentFate, Step
from ksef_async.sandbox import Clock, Fault, Sandbox, sample_invoice
from ksef_async.sessions.book import Outgoing, Undelivered
from ksef_async.sessions.keeper import KeptSession
from ksef_async.sessions.memory import Impatience, MemoryBook
from ksef_async.sessions.online import OnlineSession


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    await mind_threads()
    clock = Clock(monotonic=asyncio.get_running_loop().time)
    async with Sandbox(clock=clock, rate_limits=None, max_invoices=20) as sandbox:
        yield sandbox


def accepted(sandbox: Sandbox) -> list[bytes]:
    """The SHA-256 of all that are accepted."""
    return sorted(invoice.invoice_hash for invoice in sandbox.world.invoices() if invoice.is_accepted)


def sessions(sandbox: Sandbox) -> list[tuple[int, int]]:
    """Status and number of invoices of each."""
    now = sandbox.clock.now()
    return [(session.code_at(now).value, len(session.invoices)) for session in sandbox.world.sessions.values()]


async def test_nothing_is_opened_before_something_is_sent(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        assert sender.sessions == ()

    assert sandbox.world.sessions == {}
    assert await sender.upos() == ()


async def test_full_session_is_replaced_while_many_tasks_send(client: KsefClient, sandbox: Sandbox) -> None:
    invoices = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(50)]

    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sent = await asyncio.gather(*(sender.send(invoice) for invoice in invoices))

    hashes = {each.invoice_hash for each in sent}
    assert {outcome.invoice_hash async for outcome in sender.outcomes()} == hashes
    assert {entry.invoice_hash for upo in await sender.upos() for entry in upo.entries} == hashes
    assert sorted(sessions(sandbox)) == [(200, 10), (200, 20), (200, 20)]


async def test_session_that_others_filled_says_nothing_about_a_document() -> None:
    # One of the sixteen that send at once gets in, and the others find the session full, some of them many times.
    async with Sandbox(max_invoices=1, rate_limits=None) as sandbox, connected(sandbox) as client:
        invoices = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(16)]
        async with client.sessions.keep_open(FormCode.FA3) as sender:
            sent = [each async for each in sender.send_many(invoices)]

    assert len({each.session_reference_number for each in sent}) == 16
    assert sessions(sandbox) == [(code, 1) for code, _ in sessions(sandbox)]


async def test_document_is_recognised_across_sessions(client: KsefClient, sandbox: Sandbox) -> None:
    invoices = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(30)]

    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sent = [each async for each in sender.send_many(invoices)]
        again = await sender.send(invoices[0])

    assert again.reference_number == sent[0].reference_number
    assert sum(count for _, count in sessions(sandbox)) == 30


async def test_session_under_maintenance_is_replaced(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        await sender.send(sample_invoice(sandbox.nip, "FV/1"))
        sandbox.faults.add("send_invoice", Fault.refuse(21184))
        sandbox.faults.add("close_online_session", Fault.refuse(21184))
        await sender.send(sample_invoice(sandbox.nip, "FV/2"))
        assert [code for code, _ in sessions(sandbox)] == [100, 100]

    # What could not be closed then is closed in the end.
    await sender.upos()
    assert sessions(sandbox) == [(200, 1), (200, 1)]


async def test_maintenance_that_lasts_is_told(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sandbox.faults.add("send_invoice", Fault.refuse(21184), times=3)
        with pytest.raises(BadRequestError) as caught:
            await sender.send(sample_invoice(sandbox.nip))

    assert caught.value.code == 21184
    assert [code for code, _ in sessions(sandbox)] == [440, 440, 440]


async def test_session_that_somebody_closed_is_replaced(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        first = await sender.send(sample_invoice(sandbox.nip, "FV/1"))
        async with connected(sandbox) as other:
            await (await other.sessions.attach(first.session_reference_number)).terminate()
        second = await sender.send(sample_invoice(sandbox.nip, "FV/2"))

    assert first.session_reference_number != second.session_reference_number


async def test_session_is_replaced_before_its_twelve_hours_end(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        first = await sender.send(sample_invoice(sandbox.nip, "FV/1"))
        sandbox.clock.advance(11 * 3600 + 55 * 60)
        await client.sessions.status(first.session_reference_number)
        second = await sender.send(sample_invoice(sandbox.nip, "FV/2"))
        assert [code for code, _ in sessions(sandbox)][1:] == [100]

    assert first.session_reference_number != second.session_reference_number
    assert len(await sender.upos()) == 2


async def test_dead_session_is_replaced_with_new_keys(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client:
        await client.log_in()
        sandbox.faults.add("open_online_session", Fault.wrong_key())
        async with client.sessions.keep_open(FormCode.FA3) as sender:
            lost = await sender.send(sample_invoice(sandbox.nip, "FV/1"))
            sandbox.clock.advance(2)
            sent = await sender.send(sample_invoice(sandbox.nip, "FV/2"))

            assert (await lost.outcome()).session_reference_number == sent.session_reference_number
            await sent.outcome()

        assert accepted(sandbox) == sorted([lost.invoice_hash, sent.invoice_hash])
        assert [code for code, _ in sessions(sandbox)] == [StatusCode.DECRYPTION_ERROR, StatusCode.CLOSED]
        assert len(await sender.upos()) == 1
    assert traffic.of("list_public_keys") == 2


async def test_session_that_dies_while_it_is_activated_is_replaced(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("open_online_session", Fault.wrong_key())
    sandbox.faults.add("get_session_status", Fault.wait(5))

    async with client.sessions.keep_open(FormCode.FA3) as sender:
        await (await sender.send(sample_invoice(sandbox.nip))).outcome()

    assert [code for code, _ in sessions(sandbox)] == [StatusCode.DECRYPTION_ERROR, StatusCode.CLOSED]


async def test_session_that_is_being_closed_when_it_becomes_active_is_replaced(
    client: KsefClient, sandbox: Sandbox
) -> None:
    sandbox.faults.add("get_session_status", Fault.wait(5))
    sandbox.faults.add("close_online_session", Fault.wait(60))
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sending = asyncio.create_task(sender.send(sample_invoice(sandbox.nip)))
        while not sender.sessions:
            await asyncio.sleep(0)
        closing = asyncio.create_task(sender.sessions[0].terminate())

        sent = await sending
        await closing

    assert [session.reference_number for session in sender.sessions[1:]] == [sent.session_reference_number]


async def test_bad_file_is_told_at_once(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        with pytest.raises(LocalProtocolError, match="empty"):
            await sender.send(b"")

    assert len(sandbox.world.sessions) == 1


async def test_block_is_the_only_place_to_send(client: KsefClient, sandbox: Sandbox) -> None:
    sender = client.sessions.keep_open(FormCode.FA3)
    with pytest.raises(LocalProtocolError, match="inside of its block"):
        await sender.send(sample_invoice(sandbox.nip))
    async with sender:
        pass
    with pytest.raises(LocalProtocolError, match="inside of its block"):
        await sender.send(sample_invoice(sandbox.nip))
    with pytest.raises(LocalProtocolError, match="entered before"):
        async with sender:
            pass


async def test_session_that_is_opened_while_the_block_is_left_is_closed(client: KsefClient, sandbox: Sandbox) -> None:
    await client.log_in()
    sandbox.faults.add("open_online_session", Fault.wait(0.2))

    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sending = asyncio.create_task(sender.send(sample_invoice(sandbox.nip)))
        waiting = asyncio.create_task(sender.send(sample_invoice(sandbox.nip, "FV/2")))
        while not sandbox.world.sessions:
            await asyncio.sleep(0)

    for task in (sending, waiting):
        with pytest.raises(LocalProtocolError, match="inside of its block"):
            await task
    assert sessions(sandbox) == [(440, 0)]


async def test_failed_close_is_told(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("close_online_session", Fault.refuse(21184), times=10)
    with pytest.raises(BadRequestError) as on_exit:
        async with client.sessions.keep_open(FormCode.FA3) as sender:
            await sender.send(sample_invoice(sandbox.nip, "FV/1"))
            sandbox.faults.add("send_invoice", Fault.refuse(21184))
            await sender.send(sample_invoice(sandbox.nip, "FV/2"))
    assert on_exit.value.code == 21184
    assert len(on_exit.value.__notes__) == 1

    with pytest.raises(ZeroDivisionError) as caught:
        async with client.sessions.keep_open(FormCode.FA3) as sender:
            await sender.send(sample_invoice(sandbox.nip, "FV/3"))
            raise ZeroDivisionError
    assert "Closing a session failed as well" in caught.value.__notes__[0]


async def test_every_session_is_closed_although_the_task_is_cancelled_again_and_again(
    client: KsefClient, sandbox: Sandbox
) -> None:
    async def send_and_wait() -> None:
        async with client.sessions.keep_open(FormCode.FA3) as sender:
            for number in range(3):
                await sender.send(sample_invoice(sandbox.nip, f"FV/{number}"))
                # Neither takes more nor can be closed yet: the next invoice goes into another one.
                sandbox.faults.add("send_invoice", Fault.refuse(21184))
                sandbox.faults.add("close_online_session", Fault.refuse(21184))
            sandbox.faults.clear()
            sandbox.faults.add("close_online_session", Fault.wait(2), times=3)
            all_are_sent.set()
            await asyncio.sleep(3600)

    all_are_sent = asyncio.Event()
    task = asyncio.ensure_future(send_and_wait())
    await all_are_sent.wait()
    before = [code for code, _ in sessions(sandbox)]

    while not task.done():
        task.cancel()
        await asyncio.sleep(1)

    assert task.cancelled()
    assert before == [100, 100, 100]
    assert all(code != 100 for code, _ in sessions(sandbox))


async def test_failed_close_is_told_by_the_cancellation(client: KsefClient, sandbox: Sandbox) -> None:
    async def send_and_leave() -> None:
        async with client.sessions.keep_open(FormCode.FA3) as sender:
            await sender.send(sample_invoice(sandbox.nip, "FV/1"))
            sandbox.faults.add("close_online_session", Fault.refuse(21184), times=9)
            is_sent.set()

    is_sent = asyncio.Event()
    task = asyncio.ensure_future(send_and_leave())
    await is_sent.wait()
    task.cancel()  # the close is on its way

    with pytest.raises(asyncio.CancelledError) as cancelled:
        await task

    assert "21184" in "".join(cancelled.value.__notes__)


async def test_unheard_opening_is_repeated(client: KsefClient, sandbox: Sandbox) -> None:
    sandbox.faults.add("open_online_session", Fault.drop_after())

    async with client.sessions.keep_open(FormCode.FA3) as sender:
        await sender.send(sample_invoice(sandbox.nip))

    assert len(sender.sessions) == 1
    assert [count for _, count in sessions(sandbox)] == [0, 1]


async def test_document_in_doubt_is_looked_up_in_the_session_that_is_left_behind(
    client: KsefClient, sandbox: Sandbox
) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        await sender.send(sample_invoice(sandbox.nip, "FV/1"))
        sandbox.faults.add("send_invoice", Fault.wait(5))
        with anyio.move_on_after(1):
            await sender.send(sample_invoice(sandbox.nip, "FV/2"))
        sandbox.faults.add("send_invoice", Fault.refuse(21184))
        await sender.send(sample_invoice(sandbox.nip, "FV/3"))
        assert len(sender.sessions) == 2

        await sender.send(sample_invoice(sandbox.nip, "FV/2"))

    assert sorted(count for _, count in sessions(sandbox)) == [1, 2]


async def test_what_a_session_may_have_is_looked_up_after_its_close_before_another_gets_it(
    client: KsefClient, sandbox: Sandbox
) -> None:
    def empty(body: bytes) -> bytes:
        return orjson.dumps(orjson.loads(body) | {"invoices": []})

    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sandbox.faults.add("send_invoice", Fault.drop_after())
        sandbox.faults.add("send_invoice", Fault.refuse(21184))
        # The list lags behind for longer than it is waited for, after the loss and after the refusal.
        sandbox.faults.add("list_session_invoices", Fault.answer_becomes(body=empty), times=6)
        sent = await sender.send(sample_invoice(sandbox.nip))
        assert sandbox.faults.happened["send_invoice"] == 2

    assert sent.session_reference_number == sender.sessions[0].reference_number
    assert accepted(sandbox) == [sent.invoice_hash]
    assert [count for _, count in sessions(sandbox)] == [1]


async def test_invoice_is_sent_as_an_online_one_unless_told_otherwise(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        outcome = await (await sender.send(sample_invoice(sandbox.nip))).outcome()

    assert outcome.invoicing_mode is InvoicingMode.ONLINE


async def test_refusal_of_the_document_is_told_at_once(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sandbox.faults.add("send_invoice", Fault.refuse(21405))
        with pytest.raises(BadRequestError) as caught:
            await sender.send(sample_invoice(sandbox.nip))

    assert caught.value.code == 21405
    assert len(sandbox.world.sessions) == 1


async def test_refusal_of_an_opening_is_told_at_once(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        sandbox.faults.add("open_online_session", Fault.refuse(21405), times=1)
        with pytest.raises(BadRequestError) as caught:
            await sender.send(sample_invoice(sandbox.nip))
        assert caught.value.code == 21405
        assert sandbox.world.sessions == {}

        # The next one asks again.
        await sender.send(sample_invoice(sandbox.nip))

    assert [count for _, count in sessions(sandbox)] == [1]


async def test_session_that_cannot_be_closed_yet_holds_no_invoice_up(client: KsefClient, sandbox: Sandbox) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        await sender.send(sample_invoice(sandbox.nip, "FV/1"))
        sandbox.faults.add("send_invoice", Fault.refuse(21184))
        sandbox.faults.add("close_online_session", Fault.html(502), times=5)
        await sender.send(sample_invoice(sandbox.nip, "FV/2"))

    await sender.upos()
    assert sessions(sandbox) == [(StatusCode.PROCESSED_OK, 1), (StatusCode.PROCESSED_OK, 1)]


class NotedBook(MemoryBook):
    """Keeps what was not delivered, as the journal does."""

    def __init__(self) -> None:
        super().__init__(lambda *_: asyncio.sleep(0, result=False), lambda _: None)
        self.noted: list[Undelivered] = []

    def undelivered(self, session: OnlineSession, outgoing: Outgoing, result: Undelivered) -> None:
        self.noted.append(result)


@pytest.mark.parametrize(
    ("seconds", "taken_in", "step", "fate"),
    [
        pytest.param(-1.0, 0, Step.ANOTHER_SESSION, DocumentFate.NOT_TAKEN_IN, id="too late before it is sent"),
        pytest.param(5.0, 1, Step.SETTLE, DocumentFate.IN_DOUBT, id="too late before KSeF has answered"),
        pytest.param(60.0, 1, None, None, id="in time"),
    ],
)
async def test_what_cannot_be_sent_in_time_is_not_sent_and_what_may_have_been_is_settled(
    client: KsefClient, sandbox: Sandbox, seconds: float, taken_in: int, step: Step | None, fate: DocumentFate | None
) -> None:
    book = NotedBook()
    sandbox.faults.add("send_invoice", Fault.wait(30.0))
    async with await client.sessions.open_online(FormCode.FA3) as session:
        kept = KeptSession(session, book, now=client.sessions.now)
        until = client.sessions.now() + timedelta(seconds=seconds)
        outgoing = Outgoing(xml=sample_invoice(sandbox.nip), send_before=until)
        result = await kept.send(outgoing, Impatience())

        assert [(each.step, each.fate) for each in book.noted] == ([] if step is None else [(step, fate)])
        assert (result in book.noted, outgoing.sha256 in book.kept) == (step is not None, step is None)
        # Where KSeF may have it, only the list of the closed session tells.
        assert kept.is_spent is (step is Step.SETTLE)

    assert [count for _, count in sessions(sandbox)] == [taken_in]


@pytest.mark.parametrize("valid_until", ["1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
async def test_end_of_a_session_that_cannot_be_true_is_not_believed(
    client: KsefClient, sandbox: Sandbox, valid_until: str
) -> None:
    def absurd(body: bytes) -> bytes:
        return orjson.dumps(orjson.loads(body) | {"validUntil": valid_until})

    sandbox.faults.add("open_online_session", Fault.answer_becomes(body=absurd))
    async with client.sessions.keep_open(FormCode.FA3) as sender:
        await sender.send(sample_invoice(sandbox.nip, "FV/1"))
        await sender.send(sample_invoice(sandbox.nip, "FV/2"))
        assert len(sender.sessions) == 1
        sandbox.clock.advance(11 * 3600 + 55 * 60)
        await client.sessions.status(sender.sessions[0].reference_number)
        await sender.send(sample_invoice(sandbox.nip, "FV/3"))

    assert len(sender.sessions) == 2
