from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
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
    StatusCode,
    TransportError,
    UnauthorizedError,
)
from ksef_async.operations.limits import GET_RATE_LIMITS
from ksef_async.operations.sessions import OPEN_ONLINE_SESSION
from ksef_async.sandbox import Fault, Sandbox, sample_invoice


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
        pytest.param(Fault.forbidden(), ForbiddenError, id="403 without a reason"),
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
    sandbox.faults.add(None, Fault.empty(401), times=3)

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

    sandbox.clock.advance(timedelta(hours=20))

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
