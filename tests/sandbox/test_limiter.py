from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from clients import ONCE, connected

from ksef_async import FormCode, KsefClient, KsefToken, RateLimitedError, RetryPolicy
from ksef_async.api.common import Context, ContextType
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.api.operation import RateGroup
from ksef_async.api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit
from ksef_async.api.sessions import GET_SESSION_STATUS
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Clock, Sandbox, Timings
from ksef_async.sandbox.limiter import RateLimiter
from ksef_async.sandbox.refusals import TooManyRequests

CONTEXT = Context(ContextType.NIP, "5265877635")


def still(**limits: RateLimit) -> Sandbox:
    rates = attrs.evolve(PRODUCTION_LIMITS, **limits)
    return Sandbox(clock=Clock(ticking=False), timings=Timings(login_delay=0), rate_limits=rates)


class Counted:
    """A limiter of one group, and the seconds it has been running."""

    def __init__(self, limit: RateLimit) -> None:
        self._limiter = RateLimiter(attrs.evolve(PRODUCTION_LIMITS, other=limit))

    def call(self, seconds: float, address: str = "127.0.0.1") -> tuple[int, str] | None:
        """None for a call that is let through, or how long it is to wait and why."""
        now = datetime(2026, 7, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        try:
            self._limiter.count(GET_RATE_LIMITS, CONTEXT, address, now)
        except TooManyRequests as refusal:
            response = refusal.response(instance="/", now=now, problem_details=True)
            assert isinstance(response.body, bytes)
            return int(response.headers["Retry-After"]), json.loads(response.body)["detail"]
        return None


def test_counting_does_not_get_slower_with_every_call() -> None:
    counted, started = Counted(RateLimit(50, 3_000, 100_000)), time.process_time()
    for number in range(40_000):
        assert counted.call(number * 0.03) is None

    # Half a second; minutes when each call looks at all before it.
    assert time.process_time() - started < 10


def test_calls_beyond_a_window_are_refused_until_it_has_passed() -> None:
    counted = Counted(RateLimit(3, 5, 100))

    assert [counted.call(0) for _ in range(3)] == [None] * 3
    assert counted.call(0) == (1, "Przekroczono limit 3 żądań na sekundę. Spróbuj ponownie po 1 sekundach.")
    assert counted.call(1.5) is None
    # The refused call counted as well.
    waiting = counted.call(1.6)
    assert waiting is not None
    assert "limit 5 żądań na minutę" in waiting[1]
    assert counted.call(1.7, address="127.0.0.2") is None
    assert counted.call(300) is None


def test_call_during_a_block_is_refused_though_there_would_be_room() -> None:
    counted = Counted(RateLimit(1, UNLIMITED, UNLIMITED))
    for seconds in (0, 0, 1.5, 1.5):
        counted.call(seconds)

    assert counted.call(3.2) is not None
    assert counted.call(4.5) is None


def test_block_grows_with_every_offence_and_is_forgiven_after_an_hour() -> None:
    counted = Counted(RateLimit(1, UNLIMITED, UNLIMITED))
    now, blocks = 0.0, []
    for _ in range(4):
        assert counted.call(now) is None
        refused = counted.call(now)
        assert refused is not None
        blocks.append(refused[0])
        now += refused[0] + 0.5

    assert blocks == [1, 2, 4, 8]
    assert counted.call(now + 3600) is None
    assert counted.call(now + 3600) == (1, "Przekroczono limit 1 żądań na sekundę. Spróbuj ponownie po 1 sekundach.")


async def test_context_has_budgets_of_its_own() -> None:
    async with still(other=RateLimit(1, 1, 1)) as sandbox:
        for nip in ("1111111111", "2222222222"):
            token = sandbox.issue_token(nip)
            async with KsefClient(sandbox.environment, KsefToken(nip=nip, token=token), retry=ONCE) as client:
                await client.call(GET_RATE_LIMITS)


async def test_client_adopts_what_the_context_is_granted() -> None:
    granted = RateLimit(2, 4, 8)
    async with still(session_misc=granted) as sandbox, connected(sandbox, pacer=Pacer()) as client:
        session = await client.sessions.open_online(FormCode.FA3)
        await session.status()
        assert client.pacing.remaining("sessionMisc") == RateLimit(9, 119, 1199)

        limits = await client.pacing.adopt_limits()

        assert limits == attrs.evolve(PRODUCTION_LIMITS, session_misc=granted)
        assert client.pacing.remaining(RateGroup.SESSION_MISC) == RateLimit(1, 3, 7)


async def test_paced_client_is_never_refused_and_an_impatient_one_does_not_wait() -> None:
    limit = RateLimit(2, 100, 3)
    async with Sandbox(rate_limits=attrs.evolve(PRODUCTION_LIMITS, session_misc=limit)) as sandbox:
        impatient = RetryPolicy(attempts=1, patience=5)
        async with connected(sandbox, pacer=Pacer(), retry=impatient) as client:
            await client.pacing.adopt_limits()
            session = await client.sessions.open_online(FormCode.FA3)
            for _ in range(3):
                await session.status()
            with pytest.raises(RateLimitedError, match="nothing was sent") as caught:
                await client.call(GET_SESSION_STATUS, path={"reference_number": session.reference_number})

            assert client.pacing.remaining("sessionMisc").per_hour == 0

    assert caught.value.retry_after is not None
    assert 3590 < caught.value.retry_after < 3601
