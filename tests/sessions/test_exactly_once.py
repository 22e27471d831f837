from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from clients import ONCE, Traffic, connected
from virtual_time import VirtualTimeLoop

from ksef_async import (
    ForbiddenError,
    FormCode,
    KsefClient,
    OnlineSession,
    ServerError,
    TransportError,
    UnauthorizedError,
)
from ksef_async.sandbox import Fault, Sandbox, sample_invoice


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


@pytest.fixture
async def session(client: KsefClient) -> AsyncIterator[OnlineSession]:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        yield session


AFTER_EFFECT = {
    "dropped": Fault.drop_after(),
    "internal error": Fault.server_error(after_effect=True),
    "gateway": Fault.html(502, after_effect=True),
    "firewall": Fault.html(200, after_effect=True),
}
BEFORE_EFFECT = {
    "dropped": Fault.drop_before(),
    "internal error": Fault.server_error(),
    "gateway": Fault.html(503),
    "firewall": Fault.html(200),
    "rate limited": Fault.too_many_requests(1),
    "unauthorized": Fault.empty(401),
}


@pytest.mark.parametrize("fault", AFTER_EFFECT.values(), ids=AFTER_EFFECT)
async def test_invoice_whose_answer_was_lost_is_found(
    sandbox: Sandbox, session: OnlineSession, traffic: Traffic, fault: Fault
) -> None:
    sandbox.faults.add("send_invoice", fault)

    sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]
    assert traffic.of("send_invoice") <= 1
    assert (await sent.outcome()).reference_number == sent.reference_number


@pytest.mark.parametrize("fault", BEFORE_EFFECT.values(), ids=BEFORE_EFFECT)
async def test_invoice_that_never_arrived_is_sent_again(sandbox: Sandbox, session: OnlineSession, fault: Fault) -> None:
    sandbox.faults.add("send_invoice", fault)

    sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]


async def test_one_loss_after_the_other(sandbox: Sandbox, session: OnlineSession) -> None:
    for fault in (Fault.drop_before(), Fault.server_error(), Fault.drop_after()):
        sandbox.faults.add("send_invoice", fault)

    sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]


async def test_refusal_is_not_repeated(sandbox: Sandbox, session: OnlineSession, traffic: Traffic) -> None:
    sandbox.faults.add("send_invoice", Fault.forbidden())

    with pytest.raises(ForbiddenError):
        await session.send(sample_invoice(sandbox.nip))

    assert traffic.of("send_invoice") == 1


async def test_refused_token_is_replaced_once_only(sandbox: Sandbox, session: OnlineSession, traffic: Traffic) -> None:
    sandbox.faults.add("send_invoice", Fault.empty(401), times=2)

    with pytest.raises(UnauthorizedError):
        await session.send(sample_invoice(sandbox.nip))

    assert (traffic.of("send_invoice"), traffic.of("refresh_access_token")) == (2, 1)


async def test_what_could_not_be_looked_up_is_looked_up_next_time(sandbox: Sandbox) -> None:
    async with (
        connected(sandbox, retry=ONCE) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        sandbox.faults.add("send_invoice", Fault.drop_after())
        sandbox.faults.add("list_session_invoices", Fault.server_error())
        with pytest.raises(ServerError) as caught:
            await session.send(sample_invoice(sandbox.nip))
        assert isinstance(caught.value.__context__, TransportError)

        sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]


async def test_cancelled_send_is_looked_up_before_it_is_repeated(sandbox: Sandbox, session: OnlineSession) -> None:
    sandbox.faults.add("send_invoice", Fault.wait(0.2))
    with anyio.move_on_after(0.1) as scope:
        await session.send(sample_invoice(sandbox.nip))
    assert scope.cancelled_caught
    # The sandbox goes on with what it has begun, as KSeF would.
    with anyio.fail_after(5):
        while not [*sandbox.world.invoices()]:
            await anyio.sleep(0.01)

    sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]


async def test_document_is_sent_once_however_often_it_is_given(
    sandbox: Sandbox, session: OnlineSession, traffic: Traffic
) -> None:
    invoice = sample_invoice(sandbox.nip)

    sent = await asyncio.gather(*(session.send(invoice) for _ in range(20)))

    assert len({each.reference_number for each in sent}) == 1
    assert traffic.of("send_invoice") == 1
    found = session.find_sent(sent[0].invoice_hash)
    assert found is not None
    assert found.reference_number == sent[0].reference_number
    assert session.find_sent(bytes(32)) is None


async def test_document_is_sent_again_on_demand(sandbox: Sandbox, session: OnlineSession) -> None:
    first = await session.send(sample_invoice(sandbox.nip))
    sandbox.faults.add("send_invoice", Fault.drop_after())

    second = await session.send(sample_invoice(sandbox.nip), again=True)

    assert first.reference_number != second.reference_number
    assert len([*sandbox.world.invoices()]) == 2
    outcome = await second.outcome()
    assert outcome.is_duplicate
    assert outcome.ksef_number == (await first.outcome()).ksef_number


async def test_failure_that_lasts_is_told(sandbox: Sandbox, session: OnlineSession) -> None:
    sandbox.faults.add("send_invoice", Fault.drop_before(), times=20)

    with pytest.raises(TransportError) as caught:
        await session.send(sample_invoice(sandbox.nip))

    assert caught.value.maybe_delivered
