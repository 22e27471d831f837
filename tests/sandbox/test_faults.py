from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from aiohttp import ClientSession
from clients import ONCE, connected

from ksef_async import (
    BadRequestError,
    ForbiddenError,
    FormCode,
    InvoiceRejectedError,
    KsefClient,
    KsefError,
    RateLimitedError,
    ServerError,
    SessionFailedError,
    StatusCode,
    TransportError,
    UnauthorizedError,
)
from ksef_async.api.invoices import DateRange, DateType, InvoiceFilters, InvoiceSubject
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.api.sessions import OPEN_ONLINE_SESSION
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.inbox.presets import PRESETS


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    """One that takes every answer as it comes."""
    async with connected(sandbox, retry=ONCE) as client:
        await client.log_in()
        yield client


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault.drop_before(), TransportError, id="drop before"),
        pytest.param(Fault.drop_after(), TransportError, id="drop after"),
        pytest.param(Fault.server_error(), ServerError, id="500"),
        pytest.param(Fault.html(502), ServerError, id="gateway"),
        pytest.param(Fault.html(503), ServerError, id="maintenance"),
        pytest.param(Fault.html(200), ServerError, id="firewall"),
        pytest.param(Fault.forbidden("ip-not-allowed"), ForbiddenError, id="403"),
        pytest.param(Fault.refuse(21184), BadRequestError, id="21184"),
    ],
)
async def test_call_goes_wrong_once(sandbox: Sandbox, client: KsefClient, fault: Fault, error: type[KsefError]) -> None:
    sandbox.faults.add(OPEN_ONLINE_SESSION, fault)

    with pytest.raises(error):
        await client.sessions.open_online(FormCode.FA3)
    await client.sessions.open_online(FormCode.FA3)

    assert sandbox.faults.happened == {"open_online_session": 1}


@pytest.mark.parametrize("after_effect", [False, True])
async def test_effect_takes_place_or_not(sandbox: Sandbox, client: KsefClient, after_effect: bool) -> None:
    sandbox.faults.add("open_online_session", Fault.server_error(after_effect=after_effect))

    with pytest.raises(ServerError):
        await client.sessions.open_online(FormCode.FA3)

    assert len(sandbox.world.sessions) == after_effect


async def test_empty_refusal_twice_is_told(sandbox: Sandbox, client: KsefClient) -> None:
    sandbox.faults.add(GET_RATE_LIMITS, Fault.empty(401), times=3)

    with pytest.raises(UnauthorizedError, match="empty answer"):
        await client.call(GET_RATE_LIMITS)


async def test_retry_after_is_what_the_fault_says(sandbox: Sandbox, client: KsefClient) -> None:
    sandbox.faults.add("get_rate_limits", Fault.too_many_requests(2680))

    with pytest.raises(RateLimitedError) as caught:
        await client.call(GET_RATE_LIMITS)

    assert caught.value.retry_after == 2680


@pytest.mark.parametrize("code", [500, 550])
async def test_invoice_ends_as_planned(sandbox: Sandbox, client: KsefClient, code: int) -> None:
    sandbox.faults.add("send_invoice", Fault.invoice_ends(code))
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(sample_invoice(sandbox.nip))
        with pytest.raises(InvoiceRejectedError) as caught:
            await sent.outcome()
        assert caught.value.code == code

        # What KSeF gave up may be sent again.
        again = await session.send(sample_invoice(sandbox.nip), again=True)
        await again.outcome()


async def test_session_stays_in_progress(sandbox: Sandbox, client: KsefClient) -> None:
    sandbox.faults.add("open_online_session", Fault.stuck())
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(sample_invoice(sandbox.nip))

    sandbox.clock.advance(20 * 3600)

    assert (await session.status()).status.code == StatusCode.CLOSED


async def test_chance_is_the_same_for_the_same_seed(sandbox: Sandbox, client: KsefClient) -> None:
    async def results() -> list[bool]:
        sandbox.faults.clear()
        sandbox.faults.seed(7)
        sandbox.faults.add("get_rate_limits", Fault.server_error(), probability=0.5)
        seen = []
        for _ in range(20):
            try:
                await client.call(GET_RATE_LIMITS)
            except ServerError:
                seen.append(False)
            else:
                seen.append(True)
        return seen

    first = await results()

    assert await results() == first
    assert {*first} == {True, False}


def test_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no operation send_invoices"):
        Sandbox().faults.add("send_invoices", Fault.drop_before())


@pytest.mark.parametrize(("withdraw", "known"), [(True, 1), (False, 2)])
async def test_keys_are_rotated_in_an_emergency_or_as_planned(sandbox: Sandbox, withdraw: bool, known: int) -> None:
    async with connected(sandbox) as client:
        encryption = await client.sessions.new_encryption()
        await sandbox.rotate_keys(withdraw=withdraw)
        assert len(sandbox.world.ministry.certificates) == 2 * known
        if withdraw:
            with pytest.raises(BadRequestError) as caught:
                await client.sessions.open_online(FormCode.FA3, encryption=encryption)
            assert caught.value.code == 21470
        else:
            async with await client.sessions.open_online(FormCode.FA3, encryption=encryption) as session:
                await (await session.send(sample_invoice(sandbox.nip))).outcome()


async def test_session_dies_in_the_middle(sandbox: Sandbox, client: KsefClient) -> None:
    xml = sample_invoice(sandbox.nip, "FV/2")
    with pytest.raises(SessionFailedError) as died:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            first = await (await session.send(sample_invoice(sandbox.nip))).outcome()
            sandbox.faults.add("send_invoice", Fault.session_dies())
            sent = await session.send(xml)
            with pytest.raises(InvoiceRejectedError) as rejected:
                await sent.outcome()
    async with await client.sessions.open_online(FormCode.FA3) as another:
        again = await (await another.send(xml)).outcome()

    assert (died.value.code, rejected.value.code) == (415, 405)
    assert [each.metadata.ksef_number for each in sandbox.world.repository] == [first.ksef_number, again.ksef_number]


async def test_one_invoice_is_indexed_late(sandbox: Sandbox, client: KsefClient) -> None:
    sandbox.faults.add("send_invoice", Fault.indexed_late(600))
    async with await client.sessions.open_online(FormCode.FA3) as session:
        late = await (await session.send(sample_invoice(sandbox.nip, "FV/1"))).outcome()
        prompt = await (await session.send(sample_invoice(sandbox.nip, "FV/2"))).outcome()
    sandbox.clock.advance(1)
    dates = DateRange(DateType.PERMANENT_STORAGE, sandbox.clock.now() - timedelta(hours=1))
    filters = InvoiceFilters(subject_type=InvoiceSubject.SELLER, date_range=dates)

    before = [each.ksef_number async for each in client.invoices.list(filters)]
    sandbox.clock.advance(600)
    after = [each.ksef_number async for each in client.invoices.list(filters)]

    assert (before, after) == ([prompt.ksef_number], [late.ksef_number, prompt.ksef_number])


@pytest.mark.parametrize("status", [200, 201, 202])
async def test_success_has_another_number(sandbox: Sandbox, status: int) -> None:
    sandbox.faults.add("get_challenge", Fault.answer_becomes(status))

    async with ClientSession() as http, http.post(f"{sandbox.environment.base_url}/auth/challenge") as answer:
        assert (answer.status, "challenge" in await answer.json()) == (status, True)


async def test_fields_are_missing(sandbox: Sandbox) -> None:
    url = f"{sandbox.environment.base_url}/security/public-key-certificates"
    sandbox.faults.add("list_public_keys", Fault.fields_missing("[].publicKeyId", "[].validTo"))

    async with ClientSession() as http:
        async with http.get(url) as answer:
            lacking = await answer.json()
        async with http.get(url) as answer:
            whole = await answer.json()

    assert {*whole[0]} - {*lacking[0]} == {*whole[1]} - {*lacking[1]} == {"publicKeyId", "validTo"}


async def test_redeeming_is_out_of_step(sandbox: Sandbox) -> None:
    sandbox.faults.add("redeem_tokens", Fault.refuse(21301))

    async with connected(sandbox) as client:
        await client.log_in()

    assert sandbox.faults.happened == {"redeem_tokens": 1}


@pytest.mark.parametrize("name", PRESETS)
def test_every_fault_of_the_page_can_be_planned(name: str) -> None:
    """Each is one of the vocabulary of `faults`, which tells what it is for."""
    fault = PRESETS[name]()

    assert fault == PRESETS[name]() or fault.altered is not None or fault.mark is not None or fault.refusal is not None
