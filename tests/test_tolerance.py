"""Answers of a KSeF of another version, or a broken one: what the caller gets over a real socket, and what KSeF has."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs
import orjson
import pytest
from clients import ONCE, QUICK, connected
from packages import samples
from virtual_time import VirtualTimeLoop

from ksef_async import (
    PRODUCTION_LIMITS,
    AnswerIncomplete,
    FormCode,
    KsefClient,
    LimitsUnknown,
    RateLimit,
    RateLimits,
    RemoteProtocolError,
    SessionFilter,
    SessionType,
)
from ksef_async.api.keys import LIST_PUBLIC_KEYS
from ksef_async.api.sessions import SEND_INVOICE
from ksef_async.calling.events import Event, log_level
from ksef_async.packing import pack
from ksef_async.protocol.pacing import AddressBudget, Pacer
from ksef_async.protocol.planning import plan
from ksef_async.sandbox import Fault, Sandbox, sample_invoice


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def changed(change: Callable[[Any], object]) -> Fault:
    """KSeF's answer after ``change`` has gone over it."""

    def alter(body: bytes) -> bytes:
        answer = orjson.loads(body)
        change(answer)
        return orjson.dumps(answer)

    return Fault.answer_becomes(body=alter)


def parts_of(events: list[Event]) -> list[str]:
    return [part.partition(":")[0] for event in events if isinstance(event, AnswerIncomplete) for part in event.parts]


# --- limits ------------------------------------------------------------------------------------------------

#: Groups that version 2.6 of the API does not have.
YOUNGER = ("onlineSessionClose", "batchSessionClose", "collectiveIdentifier", "anonymous", "global")


async def test_limits_of_an_older_version_are_productions_where_it_has_none(sandbox: Sandbox) -> None:
    events: list[Event] = []
    async with connected(sandbox, hook=events.append) as client:
        await client.limits.override_rates(attrs.evolve(PRODUCTION_LIMITS, invoice_send=RateLimit(50, 100, 1000)))
        sandbox.faults.add("get_rate_limits", Fault.fields_missing(*YOUNGER))
        sandbox.faults.add("get_context_limits", Fault.fields_missing("collectiveIdentifier"))

        adopted = await client.pacing.adopt_limits()
        granted = await client.limits.get_context()

    assert adopted.invoice_send == RateLimit(50, 100, 1000)
    assert adopted.collective_identifier == PRODUCTION_LIMITS.collective_identifier
    assert adopted.overall == PRODUCTION_LIMITS.overall
    assert granted.collective_identifier.max_invoices == 500
    assert parts_of(events) == [*(f"$.{group}" for group in YOUNGER), "$.collectiveIdentifier"]
    # Nothing is wrong, so nobody is warned.
    assert {log_level(event) for event in events if isinstance(event, AnswerIncomplete)} == {logging.INFO}


@pytest.mark.parametrize("value", [-2, 0, 2**31, 10**30, "60", 1.5, True, None, [], {}])
async def test_number_that_is_no_limit_is_productions(sandbox: Sandbox, value: object) -> None:
    events: list[Event] = []
    async with connected(sandbox, hook=events.append) as client:
        body = orjson.dumps({"invoiceSend": {"perSecond": 10, "perMinute": "?", "perHour": 180}}).replace(
            b'"?"', str(value).encode() if isinstance(value, int) and value is not True else orjson.dumps(value)
        )
        sandbox.faults.add("get_rate_limits", Fault.answer_becomes(body=body))

        adopted = await client.pacing.adopt_limits()

    assert adopted == PRODUCTION_LIMITS
    assert "$.invoiceSend.perMinute" in parts_of(events)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault.answer_becomes(body=b"<html>"), id="not JSON"),
        pytest.param(Fault.answer_becomes(body=b"[]"), id="no object"),
        pytest.param(Fault.answer_becomes(502), id="502"),
        pytest.param(Fault.forbidden(), id="403"),
        pytest.param(Fault.drop_after(), id="no answer"),
    ],
)
async def test_adopting_limits_never_ends_a_program(sandbox: Sandbox, fault: Fault) -> None:
    events: list[Event] = []
    async with connected(sandbox, hook=events.append, retry=ONCE, pacer=None) as client:
        await client.log_in()
        sandbox.faults.add("get_rate_limits", fault, times=9)

        adopted = await client.pacing.adopt_limits()

    assert adopted == PRODUCTION_LIMITS
    assert [event for event in events if isinstance(event, LimitsUnknown)]


def starts_of(budget: AddressBudget) -> list[float]:
    return [budget.reserve(operation, 0.0) for operation in (SEND_INVOICE, LIST_PUBLIC_KEYS) for _ in range(200)]


@pytest.mark.parametrize("calls", [0, -2, -(10**18), 2**31, 10**30])
def test_limits_of_ones_own_that_can_be_none_neither_raise_nor_block(calls: int) -> None:
    limits = RateLimits(invoice_send=RateLimit(calls, calls, calls), overall=RateLimit(calls, calls, calls))

    assert Pacer(limits).limits == PRODUCTION_LIMITS
    assert starts_of(AddressBudget(limits)) == starts_of(AddressBudget())
    assert plan(1000, 5_000, rates=limits) == plan(1000, 5_000, rates=PRODUCTION_LIMITS)


# --- sending -----------------------------------------------------------------------------------------------


def without_hash_of_the_first(page: Any) -> None:
    if page["invoices"]:
        del page["invoices"][0]["invoiceHash"]


def with_an_unreadable_first(page: Any) -> None:
    if page["invoices"]:
        page["invoices"][0] = {"referenceNumber": None, "status": "?"}


async def test_row_without_its_hash_costs_no_other_row(sandbox: Sandbox, client: KsefClient) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = [await session.send(sample_invoice(sandbox.nip, f"FV/{n}")) for n in range(3)]
        sandbox.faults.add("list_session_invoices", changed(without_hash_of_the_first), times=99)
        outcomes = [outcome async for outcome in session.outcomes()]
    strangers = await client.sessions.attach(session.reference_number)
    told = [outcome async for outcome in strangers.follow()]

    # Whoever has sent it knows its hash.
    assert {outcome.invoice_hash for outcome in outcomes} == {each.invoice_hash for each in sent}
    assert {outcome.invoice_hash for outcome in told} == {None, *(each.invoice_hash for each in sent[1:])}


@pytest.mark.parametrize("change", [without_hash_of_the_first, with_an_unreadable_first])
async def test_doubt_remains_while_a_row_may_be_the_invoice(
    sandbox: Sandbox, client: KsefClient, change: Callable[[Any], None]
) -> None:
    invoice = sample_invoice(sandbox.nip)
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sandbox.faults.add("send_invoice", Fault.drop_after())
        sandbox.faults.add("list_session_invoices", changed(change), times=99)
        sandbox.faults.add("get_session_invoice", Fault.fields_missing("invoiceHash"), times=99)
        for _ in range(2):
            with pytest.raises(RemoteProtocolError) as caught:
                await session.send(invoice)
            assert caught.value.maybe_delivered
        sandbox.faults.clear()
        sent = await session.send(invoice)

    assert [each.reference_number for each in sandbox.world.invoices()] == [sent.reference_number]


async def test_row_without_its_hash_is_asked_about_where_it_settles_a_doubt(
    sandbox: Sandbox, client: KsefClient
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sandbox.faults.add("send_invoice", Fault.drop_after())
        sandbox.faults.add("list_session_invoices", changed(without_hash_of_the_first), times=99)
        sent = await session.send(sample_invoice(sandbox.nip))

    assert [each.reference_number for each in sandbox.world.invoices()] == [sent.reference_number]


async def test_row_that_cannot_be_read_is_told(sandbox: Sandbox) -> None:
    events: list[Event] = []
    async with connected(sandbox, hook=events.append) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            for n in range(3):
                await session.send(sample_invoice(sandbox.nip, f"FV/{n}"))
        sandbox.faults.add("list_session_invoices", changed(with_an_unreadable_first), times=99)
        rows = [row async for row in session.invoices()]

    assert len(rows) == 2
    assert parts_of(events) == ["$.invoices[0].referenceNumber", "$.invoices[0].status"]
    assert {log_level(event) for event in events if isinstance(event, AnswerIncomplete)} == {logging.WARNING}


# --- values ------------------------------------------------------------------------------------------------

FAR = ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.9999999+00:00", "0000-00-00T00:00:00Z", "soon", 7, None]


@pytest.mark.parametrize("moment", FAR)
async def test_time_that_cannot_be_does_no_harm(sandbox: Sandbox, moment: object) -> None:
    def of_tokens(answer: Any) -> None:
        for name in ("authenticationToken", "accessToken", "refreshToken"):
            if name in answer:
                answer[name]["validUntil"] = moment

    for operation in ("log_in_with_token", "redeem_tokens", "refresh_access_token"):
        sandbox.faults.add(operation, changed(of_tokens), times=9)
    sandbox.faults.add("open_online_session", changed(lambda answer: answer.update(validUntil=moment)))
    sandbox.faults.add("get_session_status", changed(lambda answer: answer.update(validUntil=moment)), times=99)
    async with connected(sandbox, retry=QUICK) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            sent = await session.send(sample_invoice(sandbox.nip))
            sandbox.clock.advance(20 * 60)  # the access token ends
            outcome = await sent.outcome()
        repr(client)

    assert outcome.ksef_number
    assert session.valid_until is None or isinstance(session.valid_until, datetime)


EVIL = ["../../etc/passwd", "a/b", "..", "\0", "A" * 5000, "a\r\nX-Evil: 1", "\u0661", "", 7]


@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize(
    "operation", ["open_online_session", "send_invoice", "open_batch_session", "log_in_with_token"]
)
async def test_name_that_is_none_is_a_lost_answer(sandbox: Sandbox, operation: str, name: object) -> None:
    sandbox.faults.add(operation, changed(lambda answer: answer.update(referenceNumber=name)), times=9)

    async with connected(sandbox, retry=ONCE) as client:
        with pytest.raises(RemoteProtocolError) as caught:
            if operation == "open_batch_session":
                async with pack(samples(sandbox, 2)) as package:
                    await client.sessions.open_batch(package, form_code=FormCode.FA3)
            async with await client.sessions.open_online(FormCode.FA3) as session:
                sandbox.faults.add("list_session_invoices", Fault.answer_becomes(body=b'{"invoices":[]}'), times=99)
                await session.send(sample_invoice(sandbox.nip))

    assert caught.value.path == "$.referenceNumber"
    assert caught.value.maybe_delivered
    assert repr(name) not in str(caught.value)


@pytest.mark.parametrize("token", ["a\r\nb", "a b", "", "\0", "x" * 40_000, 7])
async def test_token_that_fits_no_header_is_a_lost_answer(sandbox: Sandbox, token: object) -> None:
    sandbox.faults.add("redeem_tokens", changed(lambda answer: answer["accessToken"].update(token=token)), times=9)

    async with connected(sandbox, retry=ONCE) as client:
        with pytest.raises(RemoteProtocolError) as caught:
            await client.log_in()

    assert caught.value.path == "$.accessToken.token"


@pytest.mark.parametrize("token", ["a\r\nb", "\0", "x" * 20_000, 7])
async def test_continuation_that_fits_no_header_is_no_end_of_a_list(sandbox: Sandbox, token: object) -> None:
    sandbox.faults.add("list_sessions", changed(lambda answer: answer.update(continuationToken=token)), times=9)

    async with connected(sandbox, retry=ONCE) as client:
        with pytest.raises(RemoteProtocolError) as caught:
            [row async for row in client.sessions.list(SessionFilter(session_type=SessionType.ONLINE))]

    assert caught.value.path == "$.continuationToken"


@pytest.mark.parametrize("link", ["https://[", "https://x:99999/", "https://x:abc/", "", "javascript:1", 7])
async def test_upload_link_that_is_none_is_a_lost_answer(sandbox: Sandbox, link: object) -> None:
    sandbox.faults.add("open_batch_session", changed(lambda answer: answer["partUploadRequests"][0].update(url=link)))

    async with connected(sandbox, retry=ONCE) as client, pack(samples(sandbox, 2)) as package:
        with pytest.raises(RemoteProtocolError) as caught:
            await client.sessions.open_batch(package, form_code=FormCode.FA3)

    assert caught.value.path == "$.partUploadRequests[0].url"
