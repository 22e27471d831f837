"""Midnight in Poland: which mode KSeF gives, and what has to leave before it, by what production grants."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async.api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit
from ksef_async.api.sessions import SEND_INVOICE, InvoicingMode
from ksef_async.errors import LocalProtocolError
from ksef_async.protocol.midnight import Division, Evening, divide, mode_of, online_until, seconds_left
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.planning import Route, SendingPlan, calls_within, plan, time_of_call
from ksef_async.protocol.polish_calendar import end_of_day, next_midnight, polish_day

WARSAW = ZoneInfo("Europe/Warsaw")
DAY = date(2026, 3, 3)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("moment", "offline", "mode"),
    [
        pytest.param("2026-03-03T00:00:00+01:00", False, InvoicingMode.ONLINE, id="first moment of the day"),
        pytest.param("2026-03-03T23:59:59+01:00", False, InvoicingMode.ONLINE, id="last second of the day"),
        pytest.param("2026-03-04T00:00:00+01:00", False, InvoicingMode.OFFLINE, id="midnight"),
        pytest.param("2026-03-03T22:59:59+00:00", False, InvoicingMode.ONLINE, id="in UTC an hour before"),
        pytest.param("2026-03-03T23:00:00+00:00", False, InvoicingMode.OFFLINE, id="in UTC the same day still"),
        pytest.param("2026-03-03T12:00:00+01:00", True, InvoicingMode.OFFLINE, id="sent as offline"),
        pytest.param("2026-03-02T23:59:59+01:00", False, InvoicingMode.ONLINE, id="dated tomorrow"),
    ],
)
def test_mode_goes_by_the_day_in_poland(moment: str, offline: bool, mode: InvoicingMode) -> None:
    assert mode_of(DAY, at(moment), offline=offline) is mode


@pytest.mark.parametrize(
    ("moment", "midnight"),
    [
        pytest.param("2026-01-15T22:59:59+00:00", "2026-01-15T23:00:00+00:00", id="winter"),
        pytest.param("2026-01-15T23:00:00+00:00", "2026-01-16T23:00:00+00:00", id="at midnight, the next one"),
        pytest.param("2026-07-15T21:59:00+00:00", "2026-07-15T22:00:00+00:00", id="summer"),
        pytest.param("2026-03-28T23:30:00+00:00", "2026-03-29T22:00:00+00:00", id="a day of 23 hours"),
        pytest.param("2026-10-24T22:00:00+00:00", "2026-10-25T23:00:00+00:00", id="a day of 25 hours"),
        pytest.param("2026-12-31T23:00:00+01:00", "2026-12-31T23:00:00+00:00", id="new year"),
    ],
)
def test_midnight_knows_the_changes_of_the_clock(moment: str, midnight: str) -> None:
    assert next_midnight(at(moment)) == at(midnight)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
def test_midnight_ends_the_day_and_no_sooner(naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    midnight = next_midnight(moment)

    assert moment < midnight <= moment + timedelta(hours=25)
    assert polish_day(midnight) == polish_day(moment) + timedelta(days=1)
    assert polish_day(midnight - timedelta(microseconds=1)) == polish_day(moment)
    assert mode_of(polish_day(moment), moment) is InvoicingMode.ONLINE
    assert mode_of(polish_day(moment), midnight) is InvoicingMode.OFFLINE
    assert online_until(polish_day(moment)) == midnight


def test_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="no time zone"):
        mode_of(DAY, datetime(2026, 3, 3))
    with pytest.raises(LocalProtocolError, match="the year is 9999"):
        end_of_day(date(9999, 12, 31))


calls = st.integers(1, 40) | st.just(UNLIMITED)


@given(st.builds(RateLimit, calls, calls, calls), st.floats(0.001, 10_000), st.integers(0, 200))
def test_calls_within_are_those_that_the_pacer_lets_start(limit: RateLimit, seconds: float, most: int) -> None:
    pacer = Pacer(attrs.evolve(PRODUCTION_LIMITS, invoice_send=limit))
    starts = [pacer.reserve(SEND_INVOICE, 0.0) for _ in range(most)]
    found = calls_within(seconds, limit, most=most)

    # What differs by nothing but the rounding of sums may fall on either side.
    assert sum(start < seconds - 1e-6 for start in starts) <= found <= sum(start < seconds + 1e-6 for start in starts)
    assert found == most or time_of_call(found, limit) >= seconds


def planned(count: int, now: str, **options: Any) -> SendingPlan:
    moment = datetime.fromisoformat(now).replace(tzinfo=WARSAW)
    return plan(count, 10_000, **{"rates": PRODUCTION_LIMITS, "now": moment, "deadline": 7 * 86_400, **options})


@pytest.mark.parametrize(
    ("count", "now", "options", "route", "online", "batches", "late"),
    [
        pytest.param(100, "2026-03-03 12:00", {}, Route.ONLINE, 100, 0, 0, id="noon"),
        pytest.param(2000, "2026-03-03 12:00", {}, Route.ONLINE, 2000, 0, 0, id="time enough for 2,000"),
        pytest.param(2000, "2026-03-03 22:30", {}, Route.BOTH, 360, 1, 0, id="2,000 at half past ten"),
        pytest.param(360, "2026-03-03 22:30", {}, Route.ONLINE, 360, 0, 0, id="as many as can"),
        pytest.param(361, "2026-03-03 22:30", {}, Route.BOTH, 360, 1, 0, id="one more"),
        pytest.param(30, "2026-03-03 23:59", {}, Route.ONLINE, 30, 0, 0, id="a minute's worth in a minute"),
        pytest.param(31, "2026-03-03 23:59", {}, Route.BOTH, 30, 1, 0, id="31 in a minute"),
        pytest.param(31, "2026-03-03 23:59:50", {}, Route.ONLINE, 31, 0, 1, id="too late to pack"),
        pytest.param(31, "2026-03-03 23:59:57", {}, Route.ONLINE, 31, 0, 31, id="too late for anything"),
        pytest.param(
            2000, "2026-03-03 22:30", {"dated_today": 300}, Route.ONLINE, 2000, 0, 0, id="the others are of yesterday"
        ),
        pytest.param(2000, "2026-03-03 22:30", {"dated_today": 0}, Route.ONLINE, 2000, 0, 0, id="none is of today"),
        pytest.param(2000, "2026-03-03 22:30", {"deadline": None}, Route.BATCH, 0, 1, 0, id="in a batch anyway"),
        pytest.param(
            50_000, "2026-03-03 23:59:40", {"deadline": None}, Route.BATCH, 0, 5, 0, id="five batches in five seconds"
        ),
        pytest.param(
            250_000, "2026-03-03 23:59:40", {"deadline": None}, Route.BOTH, 30, 25, 49_970, id="not all can be opened"
        ),
        pytest.param(460, "2026-10-24 22:00", {}, Route.BOTH, 360, 1, 0, id="the evening before the clock goes back"),
        pytest.param(460, "2026-10-25 21:00", {}, Route.ONLINE, 460, 0, 0, id="three hours"),
    ],
)
def test_what_cannot_go_online_before_midnight_goes_into_batches(
    count: int, now: str, options: dict[str, Any], route: Route, online: int, batches: int, late: int
) -> None:
    result = planned(count, now, **options)

    assert (result.route, result.online_invoices, result.batches, result.late) == (route, online, batches, late)
    midnight = next_midnight(datetime.fromisoformat(now).replace(tzinfo=WARSAW))
    assert result.open_by == (None if route is Route.ONLINE else midnight)


def test_without_now_midnight_is_nothing_special() -> None:
    result = plan(2000, 10_000, rates=PRODUCTION_LIMITS, deadline=7 * 86400)

    assert (result.route, result.online_invoices, result.late, result.open_by) == (Route.ONLINE, 2000, 0, None)


@given(st.integers(1, 3000), st.integers(1, 86_399), st.booleans(), st.data())
def test_invoices_that_are_not_late_all_leave_before_midnight(
    count: int, seconds_left: int, in_haste: bool, data: st.DataObject
) -> None:
    today = data.draw(st.integers(0, count))
    midnight = at("2026-03-04T00:00:00+01:00")
    deadline = None if in_haste else 90 * 86400
    now = midnight - timedelta(seconds=seconds_left)
    result = plan(count, 1000, rates=PRODUCTION_LIMITS, deadline=deadline, now=now, dated_today=today)
    pacer = Pacer(PRODUCTION_LIMITS)
    sent = [pacer.reserve(SEND_INVOICE, 0.0) < seconds_left for _ in range(min(result.online_invoices, today))]

    in_time = sum(sent) + (today - len(sent) if result.open_by is not None else 0)
    assert in_time >= today - result.late
    assert result.online_invoices == count or result.batches
    assert result.late == 0 or seconds_left < 20


# --- a queue, as the journal has it ---------------------------------------------------------------------------

NORMAL = Evening(waiting=0, for_batch=0, size_bytes=0, sends=360, batches=60, batch_limit=10_000)


def queue(waiting: int, **changes: int) -> Evening:
    """As many invoices of 10 kB as wait, all of which may go in a batch."""
    return attrs.evolve(NORMAL, **{"waiting": waiting, "for_batch": waiting, "size_bytes": waiting * 10_000, **changes})


@pytest.mark.parametrize(
    ("now", "evening", "division"),
    [
        pytest.param("2026-03-03 22:30", queue(0), Division(online=0), id="nothing"),
        pytest.param("2026-03-03 22:30", queue(360), Division(online=360), id="as many as can go online"),
        pytest.param("2026-03-03 22:30", queue(2000), Division(online=360, batch=1640), id="2,000"),
        pytest.param("2026-03-03 22:30", queue(379), Division(online=360, gathered=19), id="not worth a batch yet"),
        pytest.param("2026-03-03 22:30", queue(380), Division(online=360, batch=20), id="worth a batch"),
        pytest.param("2026-03-03 23:49:54", queue(361), Division(online=360, gathered=1), id="a moment before"),
        pytest.param("2026-03-03 23:49:56", queue(361), Division(online=360, batch=1), id="last call"),
        pytest.param("2026-03-03 23:50", queue(5, sends=0), Division(online=0, batch=5), id="the budget is spent"),
        pytest.param("2026-03-03 23:53", queue(5, sends=0), Division(online=0, gathered=5), id="between two calls"),
        pytest.param("2026-03-03 23:55", queue(5, sends=0), Division(online=0, batch=5), id="second call"),
        pytest.param("2026-03-03 23:59:10", queue(5, sends=0), Division(online=0, batch=5), id="at last all the time"),
        pytest.param(
            "2026-03-03 23:50", queue(5, sends=0, batches=2), Division(online=0, gathered=5), id="two batches are left"
        ),
        pytest.param(
            "2026-03-03 23:59:15", queue(5, sends=0, batches=2), Division(online=0, batch=5), id="time for the first"
        ),
        pytest.param(
            "2026-03-03 23:59:30", queue(5, sends=0, batches=1), Division(online=0, batch=5), id="time for the last"
        ),
        pytest.param("2026-03-03 23:50", queue(25, sends=0, batches=0), Division(online=0, late=25), id="no batches"),
        pytest.param(
            "2026-03-03 23:00", queue(200, sends=100, batch_limit=0), Division(online=100, late=100), id="none granted"
        ),
        pytest.param(
            "2026-03-03 23:00",
            queue(500, sends=100, batches=2, batch_limit=150),
            Division(online=100, gathered=300, late=100),
            id="small batches, the last of them",
        ),
        pytest.param(
            "2026-03-03 23:00",
            queue(500, sends=100, batches=4, batch_limit=50),
            Division(online=100, batch=200, late=200),
            id="small batches",
        ),
        pytest.param(
            "2026-03-03 23:00",
            queue(100, for_batch=30, sends=50),
            Division(online=50, batch=30, late=20),
            id="most go online only",
        ),
        pytest.param(
            "2026-03-03 23:59:44", queue(30, sends=0), Division(online=0, batch=30), id="just in time to pack"
        ),
        pytest.param("2026-03-03 23:59:45", queue(30, sends=0), Division(online=0, late=30), id="too late to pack"),
        pytest.param(
            "2026-03-03 23:59:54", queue(30, sends=30), Division(online=30), id="too late to pack, not to send"
        ),
        pytest.param("2026-03-03 23:59:55", queue(30, sends=30), Division(online=0, late=30), id="too late for all"),
        pytest.param(
            "2026-03-03 23:59",
            queue(1000, sends=0, size_bytes=900_000_000),
            Division(online=0, batch=500, late=500),
            id="half of them can be packed in time",
        ),
        pytest.param(
            "2026-03-28 23:50", queue(5, sends=0), Division(online=0, batch=5), id="the night the clock goes forward"
        ),
        pytest.param("2026-03-29 22:50", queue(5, sends=0), Division(online=0, gathered=5), id="summer time, 22:50"),
        pytest.param("2026-03-29 23:50", queue(5, sends=0), Division(online=0, batch=5), id="summer time, 23:50"),
        pytest.param(
            "2026-10-24 23:50", queue(5, sends=0), Division(online=0, batch=5), id="the night the clock goes back"
        ),
        pytest.param("2026-10-25 23:50", queue(5, sends=0), Division(online=0, batch=5), id="winter time, 23:50"),
    ],
)
def test_queue_is_divided_so_that_nothing_is_left_for_tomorrow(now: str, evening: Evening, division: Division) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=WARSAW)

    assert divide(moment.astimezone(UTC), evening) == division


@given(
    st.builds(
        Evening,
        waiting=st.integers(0, 5000),
        for_batch=st.integers(0, 5000),
        size_bytes=st.integers(0, 10**10),
        sends=st.integers(0, 400),
        batches=st.integers(0, 60),
        batch_limit=st.integers(0, 10_000),
    ),
    st.integers(0, 86_399),
)
def test_every_invoice_is_divided_once_and_no_limit_is_exceeded(evening: Evening, seconds: int) -> None:
    evening = attrs.evolve(evening, for_batch=min(evening.for_batch, evening.waiting))
    now = at("2026-03-03T00:00:00+01:00") + timedelta(seconds=seconds)
    result = divide(now, evening)

    assert result.online + result.batch + result.gathered + result.late == evening.waiting
    assert min(attrs.astuple(result)) >= 0
    assert not (result.batch and result.gathered)
    assert result.online <= evening.sends
    assert result.batch + result.gathered <= min(evening.for_batch, evening.batches * evening.batch_limit)
    # What could have gone is not late.
    assert not result.late or result.online == evening.sends or seconds_left(now) <= 0


@given(st.integers(1, 60), st.integers(1, 40))
def test_batches_last_until_midnight_however_many_invoices_come_one_by_one(batches: int, each: int) -> None:
    midnight = at("2026-03-04T00:00:00+01:00")
    waiting = 0
    for left in range(1800, 35, -3):
        # No invoice can go online, and more of them come every three seconds.
        waiting += each
        if divide(midnight - timedelta(seconds=left), queue(waiting, sends=0, batches=batches, size_bytes=0)).batch:
            assert batches > 0
            batches, waiting = batches - 1, 0

    assert batches > 0
