"""The plan that a client makes with the limits it keeps to, and with KSeF's time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ksef_async import PRODUCTION_LIMITS, KsefClient, KsefToken, Pacer
from ksef_async.protocol.planning import Route
from ksef_async.sandbox import Clock, Sandbox, Timings


@pytest.mark.parametrize(
    ("dated_today", "opened_before_midnight"),
    [(0, False), (400, True)],
    ids=["of other days", "of today"],
)
async def test_what_is_dated_today_is_not_left_for_tomorrow(dated_today: int, opened_before_midnight: bool) -> None:
    # Half past ten in the evening in Poland.
    evening = Clock(datetime(2026, 12, 1, 21, 30, tzinfo=UTC), ticking=False)
    async with Sandbox(clock=evening, timings=Timings(login_delay=0)) as sandbox:
        credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)
        async with KsefClient(sandbox.environment, credentials, pacer=Pacer(PRODUCTION_LIMITS)) as client:
            await client.log_in()

            plan = client.sessions.plan(2_000, 10_000, dated_today=dated_today)

    assert (plan.route, plan.late) == (Route.BATCH, 0)
    assert (plan.open_by is not None) == opened_before_midnight
