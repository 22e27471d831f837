from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import anyio
import attrs
import orjson
import pytest
from clients import ONCE, Traffic, connected
from virtual_time import VirtualTimeLoop

from ksef_async import (
    AiohttpTransport,
    BadRequestError,
    ConnectError,
    ForbiddenError,
    FormCode,
    InvoiceRejectedError,
    KsefClient,
    KsefError,
    KsefToken,
    OnlineSession,
    ServerError,
    SessionManager,
    TransportError,
    UnauthorizedError,
)
from ksef_async.api.rates import UNLIMITED, RateLimit
from ksef_async.auth.access import AccessTokens
from ksef_async.calling.caller import Caller
from ksef_async.calling.keys import PublicKeys
from ksef_async.protocol.messages import RawRequest, RawResponse
from ksef_async.protocol.pacing import UNLIMITED_RATES, Pacer
from ksef_async.protocol.retry import RetryPolicy
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


class Unplugged(AiohttpTransport):
    """A transport that can be told to reach nobody for sending."""

    is_unplugged = False

    async def send(self, request: RawRequest) -> RawResponse:
        if self.is_unplugged and request.operation == "send_invoice":
            raise ConnectError("nobody is there", maybe_delivered=False)
        return await super().send(request)


AFTER_EFFECT = {
    "dropped": Fault.drop_after(),
    "internal error": Fault.server_error(after_effect=True),
    "gateway": Fault.html(502, after_effect=True),
    "firewall": Fault.html(200, after_effect=True),
    "firewall's 403": Fault.html(403, after_effect=True),
    "202 that does not fit": Fault.answer_becomes(202, body=b"{}"),
    "202 that is no JSON": Fault.answer_becomes(202, body=b"OK"),
    "204": Fault.answer_becomes(204, body=b""),
}
BEFORE_EFFECT = {
    "dropped": Fault.drop_before(),
    "internal error": Fault.server_error(),
    "gateway": Fault.html(503),
    "firewall": Fault.html(200),
    "firewall's 403": Fault.html(403),
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


async def test_invoice_that_is_cancelled_while_it_waits_for_its_turn_is_in_no_doubt(sandbox: Sandbox) -> None:
    pacer = Pacer(attrs.evolve(UNLIMITED_RATES, invoice_send=RateLimit(1, UNLIMITED, UNLIMITED)))
    traffic = Traffic()
    async with (
        connected(sandbox, hook=traffic, pacer=pacer) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        first, second = sample_invoice(sandbox.nip, "FV/1"), sample_invoice(sandbox.nip, "FV/2")
        await session.send(first)
        with anyio.move_on_after(0.1) as waiting:
            await session.send(second)

        assert waiting.cancelled_caught
        assert session.may_have(hashlib.sha256(first).digest())
        assert not session.may_have(hashlib.sha256(second).digest())
        await session.send(second)
        assert traffic.of("list_session_invoices") == 0

    assert len([*sandbox.world.invoices()]) == 2


async def test_one_loss_after_the_other(sandbox: Sandbox, session: OnlineSession) -> None:
    for fault in (Fault.drop_before(), Fault.server_error(), Fault.drop_after()):
        sandbox.faults.add("send_invoice", fault)

    sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]


async def test_refusal_is_not_repeated(sandbox: Sandbox, session: OnlineSession, traffic: Traffic) -> None:
    sandbox.faults.add("send_invoice", Fault.forbidden("ip-not-allowed"))

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


async def test_doubt_is_told_although_it_is_the_look_for_it_that_failed(sandbox: Sandbox) -> None:
    async with (
        connected(sandbox, retry=ONCE) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        sandbox.faults.add("send_invoice", Fault.drop_after())
        sandbox.faults.add("list_session_invoices", Fault.refuse(21405))

        with pytest.raises(BadRequestError) as caught:
            await session.send(sample_invoice(sandbox.nip))

        assert caught.value.maybe_delivered


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


async def test_document_whose_doubt_is_settled_is_sent_again_on_demand(
    sandbox: Sandbox, session: OnlineSession
) -> None:
    sandbox.faults.add("send_invoice", Fault.drop_after())
    first = await session.send(sample_invoice(sandbox.nip))

    second = await session.send(sample_invoice(sandbox.nip), again=True)

    assert first.reference_number != second.reference_number
    assert len([*sandbox.world.invoices()]) == 2


async def test_failure_that_lasts_is_told(sandbox: Sandbox, session: OnlineSession) -> None:
    sandbox.faults.add("send_invoice", Fault.drop_before(), times=20)

    with pytest.raises(TransportError) as caught:
        await session.send(sample_invoice(sandbox.nip))

    assert caught.value.maybe_delivered


@pytest.mark.parametrize("fault", [Fault.drop_before(), Fault.html(403), Fault.server_error()])
async def test_document_sent_again_on_demand_is_sent_until_ksef_has_it_twice(
    sandbox: Sandbox, session: OnlineSession, fault: Fault
) -> None:
    first = await session.send(sample_invoice(sandbox.nip))
    sandbox.faults.add("send_invoice", fault, times=2)

    second = await session.send(sample_invoice(sandbox.nip), again=True)

    taken_in = [invoice.reference_number for invoice in sandbox.world.invoices()]
    assert taken_in == [first.reference_number, second.reference_number]


async def test_doubt_about_what_was_sent_again_is_settled_by_the_newest(sandbox: Sandbox) -> None:
    async with (
        connected(sandbox, retry=ONCE) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        first = await session.send(sample_invoice(sandbox.nip))
        sandbox.faults.add("send_invoice", Fault.drop_after())
        sandbox.faults.add("list_session_invoices", Fault.server_error())
        with pytest.raises(ServerError):
            await session.send(sample_invoice(sandbox.nip), again=True)
        # The list shows both meanwhile.
        assert len([outcome async for outcome in session.outcomes()]) == 2

        second = await session.send(sample_invoice(sandbox.nip), again=True)

    taken_in = [invoice.reference_number for invoice in sandbox.world.invoices()]
    assert taken_in == [first.reference_number, second.reference_number]


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(Fault.refuse(21405), id="refused"),
        pytest.param(Fault.too_many_requests(600), id="rate limited"),
        pytest.param(Fault.forbidden("ip-not-allowed"), id="forbidden"),
    ],
)
async def test_answer_to_a_later_attempt_does_not_settle_an_earlier_doubt(
    sandbox: Sandbox, session: OnlineSession, later: Fault
) -> None:
    sandbox.faults.add("send_invoice", Fault.drop_after())
    # KSeF does not list it yet, so it is posted once more.
    empty = Fault.answer_becomes(body=b'{"invoices": []}')
    sandbox.faults.add("list_session_invoices", empty, times=3)
    sandbox.faults.add("send_invoice", later)

    try:
        sent = await session.send(sample_invoice(sandbox.nip))
    except KsefError:
        sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]


async def test_connection_that_is_never_made_does_not_settle_an_earlier_doubt(sandbox: Sandbox) -> None:
    transport = Unplugged()
    caller = Caller(sandbox.environment, transport, retry=ONCE, pacer=Pacer.unlimited())
    keys = PublicKeys(caller)
    tokens = AccessTokens(caller, keys, KsefToken(nip=sandbox.nip, token=sandbox.token))
    sessions = SessionManager(caller.with_bearer(tokens), keys)
    async with aclosing(transport), await sessions.open_online(FormCode.FA3) as session:
        empty = Fault.answer_becomes(body=b'{"invoices": []}')
        sandbox.faults.add("list_session_invoices", empty, times=9)
        sandbox.faults.add("send_invoice", Fault.drop_after())
        with pytest.raises(TransportError):
            await session.send(sample_invoice(sandbox.nip))
        transport.is_unplugged = True
        with pytest.raises(ConnectError):
            await session.send(sample_invoice(sandbox.nip))
        transport.is_unplugged = False

        sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]


async def test_tasks_with_one_document_wait_for_each_other_although_the_first_fails(
    sandbox: Sandbox, session: OnlineSession, traffic: Traffic
) -> None:
    slow_and_lost = attrs.evolve(Fault.drop_after(), seconds=5.0)
    sandbox.faults.add("send_invoice", slow_and_lost)
    invoice = sample_invoice(sandbox.nip)

    sent = await asyncio.gather(*(session.send(invoice) for _ in range(3)))
    one_more = await session.send(invoice)

    assert len({each.reference_number for each in [*sent, one_more]}) == 1
    assert len([*sandbox.world.invoices()]) == 1


@pytest.mark.parametrize("code", [435, 500, 550])
async def test_what_ksef_failed_on_is_sent_again_once_that_was_seen(
    sandbox: Sandbox, session: OnlineSession, code: int
) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(code))
    failed = await session.send(sample_invoice(sandbox.nip))
    with pytest.raises(InvoiceRejectedError, match="Send it again in another session") as caught:
        await failed.outcome()
    assert caught.value.may_be_sent_again

    sent = await session.send(sample_invoice(sandbox.nip))

    assert sent.reference_number != failed.reference_number
    assert (await sent.outcome()).ksef_number
    assert (await session.send(sample_invoice(sandbox.nip))).reference_number == sent.reference_number


async def test_what_ksef_refused_is_not_sent_again_by_itself(
    sandbox: Sandbox, session: OnlineSession, traffic: Traffic
) -> None:
    invoice = sample_invoice(sandbox.nip)[:-5]
    refused = await session.send(invoice)
    with pytest.raises(InvoiceRejectedError) as caught:
        await refused.outcome()

    assert not caught.value.may_be_sent_again
    assert (await session.send(invoice)).reference_number == refused.reference_number
    assert traffic.of("send_invoice") == 1


async def test_outcomes_wait_for_what_ksef_does_not_list_yet(sandbox: Sandbox, session: OnlineSession) -> None:
    first = await session.send(sample_invoice(sandbox.nip, "FV/1"))
    await first.outcome()
    second = await session.send(sample_invoice(sandbox.nip, "FV/2"))

    def without_the_last(body: bytes) -> bytes:
        page = orjson.loads(body)
        page["invoices"].pop()
        return orjson.dumps(page)

    sandbox.faults.add("list_session_invoices", Fault.answer_becomes(body=without_the_last), times=2)

    outcomes = [outcome.reference_number async for outcome in session.outcomes()]

    assert outcomes == [first.reference_number, second.reference_number]


def rows_changed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Fault:
    """The list of a session whose every row is changed on the way."""

    def changed(body: bytes) -> bytes:
        page = orjson.loads(body)
        return orjson.dumps(page | {"invoices": [change(row) for row in page["invoices"]]})

    return Fault.answer_becomes(body=changed)


ODD_ROWS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "without SHA-256": lambda row: {name: value for name, value in row.items() if name != "invoiceHash"},
    "with a SHA-256 of another length": lambda row: row | {"invoiceHash": "AAAA"},
    "unreadable": lambda row: {"ordinalNumber": row["ordinalNumber"]},
}


@pytest.mark.parametrize("odd", ODD_ROWS.values(), ids=ODD_ROWS)
async def test_row_that_does_not_tell_which_invoice_it_is_settles_no_doubt(
    sandbox: Sandbox, session: OnlineSession, odd: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    sandbox.faults.add("list_session_invoices", rows_changed(odd), times=1000)
    sandbox.faults.add("send_invoice", Fault.drop_after())
    with suppress(KsefError):
        await session.send(sample_invoice(sandbox.nip))
    assert len([*sandbox.world.invoices()]) == 1
    sandbox.faults.clear()

    sent = await session.send(sample_invoice(sandbox.nip))

    assert [invoice.reference_number for invoice in sandbox.world.invoices()] == [sent.reference_number]


async def test_row_that_lacks_something_does_not_sink_the_others(sandbox: Sandbox, session: OnlineSession) -> None:
    sent = [await session.send(sample_invoice(sandbox.nip, f"FV/{number}")) for number in range(3)]

    def second_is_odd(row: dict[str, Any]) -> dict[str, Any]:
        if row["ordinalNumber"] != 2:
            return row
        return {name: value for name, value in row.items() if name not in ("invoiceHash", "ordinalNumber")}

    sandbox.faults.add("list_session_invoices", rows_changed(second_is_odd), times=1000)

    outcomes = [outcome async for outcome in session.outcomes()]

    assert {outcome.reference_number for outcome in outcomes} == {each.reference_number for each in sent}
    assert {outcome.invoice_hash for outcome in outcomes} == {each.invoice_hash for each in sent}


async def test_pauses_lie_between_the_attempts_to_send(sandbox: Sandbox) -> None:
    patient = RetryPolicy(attempts=4, first_pause=10_000, longest_pause=10_000, deadline=1e9)
    loop = asyncio.get_running_loop()
    async with (
        connected(sandbox, retry=patient, answer_timeout=1e6) as client,
        await client.sessions.open_online(FormCode.FA3) as session,
    ):
        sandbox.faults.add("send_invoice", Fault.drop_before(), times=3)
        began = loop.time()
        await session.send(sample_invoice(sandbox.nip))

    # Three pauses at random, of up to ten thousand seconds each; looking for it takes seconds.
    assert 60.0 < loop.time() - began < 30_060.0
    assert len([*sandbox.world.invoices()]) == 1
