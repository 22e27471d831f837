from __future__ import annotations

import attrs
import pytest
from clients import ONCE, connected

from ksef_async import BadRequestError, FormCode, KsefClient, RateLimitedError
from ksef_async.api.rates import PRODUCTION_LIMITS, RateLimit, RateLimits
from ksef_async.errors import InvalidFieldError
from ksef_async.sandbox import Sandbox, sample_invoice


async def test_overridden_context_limit_holds_until_it_is_restored(sandbox: Sandbox, client: KsefClient) -> None:
    granted = await client.limits.get_context()
    few = attrs.evolve(granted, online_session=attrs.evolve(granted.online_session, max_invoices=1))
    await client.limits.override_context(few)
    assert await client.limits.get_context() == few

    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(sample_invoice(sandbox.nip, "FV/1"))
        with pytest.raises(BadRequestError) as caught:
            await session.send(sample_invoice(sandbox.nip, "FV/2"))
        assert caught.value.code == 21155
        await client.limits.restore_context()
        await session.send(sample_invoice(sandbox.nip, "FV/2"))


async def test_overridden_rate_limit_is_enforced_and_can_be_adopted(sandbox: Sandbox) -> None:
    async with connected(sandbox, retry=ONCE) as client:
        slow = attrs.evolve(PRODUCTION_LIMITS, session_misc=RateLimit(1, 1, 1))
        await client.limits.override_rates(slow)
        await client.pacing.adopt_limits()
        assert client.pacing.remaining("sessionMisc") == RateLimit(1, 1, 1)
        await client.limits.restore_rates()
        assert (await client.limits.get_rates()).session_misc == RateLimit(-1, -1, -1)


async def test_rate_limit_of_production_refuses_the_eleventh_call_of_a_second(sandbox: Sandbox) -> None:
    async with connected(sandbox, retry=ONCE) as client:
        await client.limits.use_production_rates()

        with pytest.raises(RateLimitedError):
            for _ in range(11):
                await client.limits.get_rates()


async def test_limits_that_are_told_can_be_given_back(client: KsefClient) -> None:
    told = await client.limits.get_rates()
    assert told.other == RateLimit(-1, -1, -1)

    await client.limits.override_rates(attrs.evolve(told, invoice_send=RateLimit(5, -1, 7)))

    granted = await client.limits.get_rates()
    assert granted.invoice_send == RateLimit(5, 300, 7)
    assert granted.other == RateLimit(100, 300, 1200)


def beyond(limits: RateLimits) -> RateLimits:
    return attrs.evolve(limits, invoice_send=RateLimit(10, 301, 180))


async def test_limits_out_of_bounds_are_refused_before_anything_is_sent(client: KsefClient) -> None:
    granted = await client.limits.get_context()
    large = attrs.evolve(granted, batch_session=attrs.evolve(granted.batch_session, max_invoice_size_mb=6))

    with pytest.raises(InvalidFieldError, match=r"batchSession.maxInvoiceSizeInMB must be between 0 and 5"):
        await client.limits.override_context(large)
    with pytest.raises(InvalidFieldError, match=r"rateLimits.invoiceSend.perMinute must be between 1 and 300"):
        await client.limits.override_rates(beyond(PRODUCTION_LIMITS))
    with pytest.raises(InvalidFieldError, match=r"enrollment.maxEnrollments must be greater than or equal to '0'"):
        await client.limits.override_subject(enrollments=-1)


async def test_subject_limits_change_one_by_one(client: KsefClient) -> None:
    await client.limits.override_subject(certificates=1)
    limits = await client.limits.get_subject()

    assert limits.certificate is not None
    assert limits.enrollment is not None
    assert (limits.enrollment.max_enrollments, limits.certificate.max_certificates) == (300, 1)
