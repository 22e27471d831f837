"""Deadlines of offline invoices: a table, and a property test against a reference that goes day by day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ksef_async.errors import LocalProtocolError
from ksef_async.protocol.offline import Deadline, OfflineMode, Outage, OutageKind, offline_deadline
from ksef_async.protocol.polish_calendar import end_of_day, holidays, is_working_day, working_day_after

WARSAW = ZoneInfo("Europe/Warsaw")
DAY = timedelta(days=1)
OFFLINE24, UNAVAILABLE, EMERGENCY, TOTAL = OfflineMode

LIFTED, OPEN = "lifted", "open"


def moment(text: str) -> datetime:
    """In Polish time: ``2026-03-03 14:00``, or only the day."""
    return datetime.fromisoformat(text).replace(tzinfo=WARSAW)


def outage(kind: OutageKind, start: str, end: str | None = None) -> Outage:
    return Outage(kind=kind, start=moment(start), end=None if end is None else moment(end))


def failure(start: str, end: str | None = None) -> Outage:
    return outage(OutageKind.FAILURE, start, end)


def unavailable(start: str, end: str | None = None) -> Outage:
    return outage(OutageKind.UNAVAILABILITY, start, end)


def total(start: str, end: str | None = None) -> Outage:
    return outage(OutageKind.TOTAL_FAILURE, start, end)


def case(name: str, mode: OfflineMode, issued: str, due: str, *outages: Outage) -> object:
    return pytest.param(mode, issued, outages, due, id=name)


CASES = [
    # The Ministry's own example.
    case("ministry", OFFLINE24, "2025-07-08", "2025-07-22", failure("2025-07-09", "2025-07-12 12:00")),
    # The next working day.
    case("on a Tuesday", OFFLINE24, "2026-03-03", "2026-03-04"),
    case("on a Friday", OFFLINE24, "2026-03-06", "2026-03-09"),
    case("on a Saturday", OFFLINE24, "2026-03-07", "2026-03-09"),
    case("on a Sunday", OFFLINE24, "2026-03-08", "2026-03-09"),
    case("before New Year", OFFLINE24, "2025-12-31", "2026-01-02"),
    case("before Epiphany", OFFLINE24, "2026-01-05", "2026-01-07"),
    case("before Easter", OFFLINE24, "2026-04-03", "2026-04-07"),
    case("before the May holidays", OFFLINE24, "2026-04-30", "2026-05-04"),
    case("before Corpus Christi", OFFLINE24, "2026-06-03", "2026-06-05"),
    case("before 15 August, a Saturday", OFFLINE24, "2026-08-14", "2026-08-17"),
    case("before Independence Day", OFFLINE24, "2026-11-10", "2026-11-12"),
    case("before Christmas", OFFLINE24, "2026-12-23", "2026-12-28"),
    case("24 December was a working day in 2024", OFFLINE24, "2024-12-23", "2024-12-24"),
    case("a leap day", OFFLINE24, "2028-02-28", "2028-02-29"),
    # Unavailability: the working day after its end.
    case("overnight", UNAVAILABLE, "2026-03-03", "2026-03-05", unavailable("2026-03-03 20:00", "2026-03-04 05:00")),
    case("within a day", UNAVAILABLE, "2026-03-03", "2026-03-04", unavailable("2026-03-03 08:00", "2026-03-03 16:00")),
    case("to Saturday", UNAVAILABLE, "2026-03-06", "2026-03-09", unavailable("2026-03-06 20:00", "2026-03-07")),
    case("to midnight", UNAVAILABLE, "2026-03-03", "2026-03-04", unavailable("2026-03-03 20:00", "2026-03-04 00:00")),
    case(
        "the earlier of two on one day", UNAVAILABLE, "2026-03-03", "2026-03-04",
        unavailable("2026-03-02 22:00", "2026-03-03 01:00"), unavailable("2026-03-03 20:00", "2026-03-04 05:00"),
    ),
    case("second day", UNAVAILABLE, "2026-03-04", "2026-03-06", unavailable("2026-03-03 20:00", "2026-03-05 05:00")),
    case("lasting", UNAVAILABLE, "2026-03-03", OPEN, unavailable("2026-03-03 20:00")),
    # Emergency: 7 working days from the end.
    case("failure of a day", EMERGENCY, "2026-03-03", "2026-03-12", failure("2026-03-03 09:00", "2026-03-03 20:00")),
    case("over a weekend", EMERGENCY, "2026-03-06", "2026-03-17", failure("2026-03-06 09:00", "2026-03-08 20:00")),
    case("across Easter", EMERGENCY, "2026-04-02", "2026-04-14", failure("2026-04-02 09:00", "2026-04-02 20:00")),
    case("across Christmas", EMERGENCY, "2026-12-18", "2026-12-31", failure("2026-12-18 09:00", "2026-12-18 20:00")),
    case("failure that lasts", EMERGENCY, "2026-03-03", OPEN, failure("2026-03-03 09:00")),
    # Each further failure starts the count anew.
    case(
        "a second failure in time", EMERGENCY, "2026-03-03", "2026-03-20",
        failure("2026-03-03", "2026-03-03 20:00"), failure("2026-03-11", "2026-03-11 10:00"),
    ),
    case(
        "a second failure on the last evening", EMERGENCY, "2026-03-03", "2026-03-24",
        failure("2026-03-03", "2026-03-03 20:00"), failure("2026-03-12 23:59", "2026-03-13 10:00"),
    ),
    case(
        "a second failure too late", EMERGENCY, "2026-03-03", "2026-03-12",
        failure("2026-03-03", "2026-03-03 20:00"), failure("2026-03-13 00:00", "2026-03-13 10:00"),
    ),
    case(
        "a third failure, in the time that the second gave", EMERGENCY, "2026-03-03", "2026-03-30",
        failure("2026-03-03", "2026-03-03 20:00"), failure("2026-03-11", "2026-03-11 10:00"),
        failure("2026-03-19", "2026-03-19 10:00"),
    ),
    case(
        "a second failure that lasts", EMERGENCY, "2026-03-03", OPEN,
        failure("2026-03-03", "2026-03-03 20:00"), failure("2026-03-11"),
    ),
    case(
        "a short failure within a long one", EMERGENCY, "2026-03-03", "2026-03-19",
        failure("2026-03-03", "2026-03-10 10:00"), failure("2026-03-05", "2026-03-06"),
    ),
    # Failures while an invoice of another mode waits.
    case("failure next day", OFFLINE24, "2026-03-03", "2026-03-13", failure("2026-03-04 10:00", "2026-03-04 12:00")),
    case("a failure begun before", OFFLINE24, "2026-03-03", "2026-03-13", failure("2026-03-02", "2026-03-04 12:00")),
    case("a failure over before", OFFLINE24, "2026-03-03", "2026-03-04", failure("2026-03-01", "2026-03-02 12:00")),
    case("failure that day", OFFLINE24, "2026-03-03", "2026-03-04", failure("2026-03-03 10:00", "2026-03-03 12:00")),
    case("failure to midnight", OFFLINE24, "2026-03-03", "2026-03-12", failure("2026-03-03 20:00", "2026-03-04 00:00")),
    case("a failure after it was due", OFFLINE24, "2026-03-03", "2026-03-04", failure("2026-03-05", "2026-03-06")),
    case("a failure that still lasts", OFFLINE24, "2026-03-03", OPEN, failure("2026-03-04 10:00")),
    case("moves nothing", OFFLINE24, "2026-03-03", "2026-03-04", unavailable("2026-03-04", "2026-03-06")),
    case(
        "a failure after an unavailability", UNAVAILABLE, "2026-03-03", "2026-03-17",
        unavailable("2026-03-03 20:00", "2026-03-04 05:00"), failure("2026-03-05 23:00", "2026-03-06 01:00"),
    ),
    # A total failure lifts it.
    case("issued in a total failure", TOTAL, "2026-03-03", LIFTED),
    case("a total failure on the next day", OFFLINE24, "2026-03-03", LIFTED, total("2026-03-04 10:00", "2026-03-05")),
    case("a total failure after it was due", OFFLINE24, "2026-03-03", "2026-03-04", total("2026-03-05", "2026-03-06")),
    case(
        "a total failure in the time that a failure gave", EMERGENCY, "2026-03-03", LIFTED,
        failure("2026-03-03", "2026-03-03 20:00"), total("2026-03-10"),
    ),
    case(
        "a failure that turned into a total one", EMERGENCY, "2026-03-03", LIFTED,
        failure("2026-03-03"), total("2026-03-20"),
    ),
    # Days are Poland's, whatever the clock does.
    case(
        "until the night the clock goes forward", EMERGENCY, "2026-03-27", "2026-04-08",
        failure("2026-03-27 22:00", "2026-03-29 03:30"),
    ),
    case(
        "until the night the clock goes back", UNAVAILABLE, "2026-10-24", "2026-10-26",
        unavailable("2026-10-24 22:00", "2026-10-25 02:30"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "issued", "outages", "due"), CASES)
def test_deadline(mode: OfflineMode, issued: str, outages: tuple[Outage, ...], due: str) -> None:
    expected = {
        LIFTED: Deadline(is_lifted=True),
        OPEN: Deadline(waits_for_end=True),
    }.get(due) or Deadline(day=date.fromisoformat(due))

    # In whatever order they were announced.
    assert offline_deadline(mode, date.fromisoformat(issued), outages) == expected
    assert offline_deadline(mode, date.fromisoformat(issued), reversed(outages)) == expected


def test_table_has_forty_cases_at_least() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize(
    ("issued_at", "due"),
    [
        pytest.param("2026-03-03 09:00", "2026-03-12", id="before the failure"),
        pytest.param("2026-03-03 11:00", "2026-03-12", id="while it lasted"),
        pytest.param("2026-03-03 12:00", "2026-03-04", id="when it was over"),
    ],
)
def test_moment_of_issue_decides_about_a_failure_of_the_same_day(issued_at: str, due: str) -> None:
    outages = [failure("2026-03-03 10:00", "2026-03-03 12:00")]
    found = offline_deadline(OFFLINE24, date(2026, 3, 3), outages, issued_at=moment(issued_at))

    assert found.day == date.fromisoformat(due)


def test_due_by_is_the_end_of_the_day_in_poland() -> None:
    assert offline_deadline(OFFLINE24, date(2026, 3, 3)).due_by == datetime(2026, 3, 4, 23, tzinfo=UTC)
    assert offline_deadline(OFFLINE24, date(2026, 7, 1)).due_by == datetime(2026, 7, 2, 22, tzinfo=UTC)
    assert offline_deadline(TOTAL, date(2026, 7, 1)).due_by is None


@pytest.mark.parametrize(
    ("mode", "outages", "options", "sentence"),
    [
        pytest.param(EMERGENCY, [], {}, "No failure was announced for 2026-03-03", id="no failure"),
        pytest.param(
            EMERGENCY, [failure("2026-03-01", "2026-03-02")], {}, "No failure was announced", id="one of another day"
        ),
        pytest.param(
            EMERGENCY,
            [failure("2026-03-02", "2026-03-03 00:00")],
            {},
            "No failure was announced",
            id="one that ended as the day began",
        ),
        pytest.param(UNAVAILABLE, [failure("2026-03-03")], {}, "No unavailability was announced", id="another kind"),
        pytest.param(
            EMERGENCY,
            [failure("2026-03-03 10:00")],
            {"issued_at": moment("2026-03-03 09:00")},
            "No failure was announced",
            id="issued before it",
        ),
        pytest.param(OFFLINE24, [], {"issued_at": moment("2026-03-04")}, "is not on 2026-03-03", id="another day"),
        pytest.param(OFFLINE24, [], {"issued_at": datetime(2026, 3, 3)}, "no time zone", id="no time zone"),
    ],
)
def test_what_has_no_answer_is_refused(
    mode: OfflineMode, outages: list[Outage], options: dict[str, datetime], sentence: str
) -> None:
    with pytest.raises(LocalProtocolError, match=sentence):
        offline_deadline(mode, date(2026, 3, 3), outages, **options)


def test_outage_needs_moments_in_order_and_with_a_zone() -> None:
    with pytest.raises(LocalProtocolError, match="cannot end"):
        failure("2026-03-03", "2026-03-02")
    with pytest.raises(LocalProtocolError, match="no time zone"):
        Outage(kind=OutageKind.FAILURE, start=datetime(2026, 3, 3))


@pytest.mark.parametrize(
    ("year", "days"),
    [
        (2024, "0101 0106 0331 0401 0501 0503 0519 0530 0815 1101 1111 1225 1226"),
        (2025, "0101 0106 0420 0421 0501 0503 0608 0619 0815 1101 1111 1224 1225 1226"),
        (2026, "0101 0106 0405 0406 0501 0503 0524 0604 0815 1101 1111 1224 1225 1226"),
        (2027, "0101 0106 0328 0329 0501 0503 0516 0527 0815 1101 1111 1224 1225 1226"),
        (2038, "0101 0106 0425 0426 0501 0503 0613 0624 0815 1101 1111 1224 1225 1226"),
    ],
)
def test_holidays(year: int, days: str) -> None:
    assert [f"{day:%m%d}" for day in sorted(holidays(year))] == days.split()


# --- the slow reference ---------------------------------------------------------------------------------------


def easter_by_the_moon(year: int) -> date:
    """The Sunday after the full moon on or after 21 March, by the church's tables rather than by a formula."""
    golden = year % 19 + 1
    century = year // 100 + 1
    epact = (11 * golden + 20 + (8 * century + 5) // 25 - 5 - (3 * century // 4 - 12)) % 30
    if epact == 24 or (epact == 25 and golden > 11):
        epact += 1
    full_moon = date(year, 3, 21)
    while (full_moon - date(year, 3, 1)).days + 1 != (44 - epact if 44 - epact >= 21 else 74 - epact):
        full_moon += DAY
    day = full_moon + DAY
    while day.weekday() != 6:
        day += DAY
    return day


def is_free(day: date) -> bool:
    easter = easter_by_the_moon(day.year)
    moving = {easter, easter + DAY, easter + 49 * DAY, easter + 60 * DAY}
    fixed = "01-01 01-06 05-01 05-03 08-15 11-01 11-11 12-25 12-26" + (" 12-24" if day.year >= 2025 else "")
    return day.weekday() >= 5 or day in moving or f"{day:%m-%d}" in fixed.split()


def days_from(day: date) -> Iterator[date]:
    while True:
        yield day
        day += DAY


def is_over_by(outage: Outage, day: date) -> bool:
    """Whether it is over when ``day`` ends."""
    return outage.end is not None and outage.end <= end_of_day(day)


def reference(mode: OfflineMode, issued_on: date, outages: list[Outage], issued_at: datetime) -> Deadline:
    """Live through the days: on each evening, say whether the invoice is late by now."""
    if mode is TOTAL:
        return Deadline(is_lifted=True)
    kinds = {UNAVAILABLE: OutageKind.UNAVAILABILITY, EMERGENCY: OutageKind.FAILURE}
    own = [
        each
        for each in outages
        if each.kind is kinds.get(mode) and each.start <= issued_at and (each.end is None or each.end > issued_at)
    ]
    # What stops the count: the outage of the mode, and every failure met so far.
    met = list(own)
    needed, counted = (7 if mode is EMERGENCY else 1), 0
    for day in days_from(issued_on):
        if day > issued_on and all(is_over_by(each, day - DAY) for each in met) and not is_free(day):
            counted += 1
        evening = end_of_day(day)
        for each in outages:
            if each.kind is OutageKind.UNAVAILABILITY or each in met or each.start >= evening:
                continue
            if each.end is not None and each.end <= issued_at:
                continue
            if each.kind is OutageKind.TOTAL_FAILURE:
                return Deadline(is_lifted=True)
            met.append(each)
            needed, counted = 7, 0
        # An outage whose last day this is, or that still lasts, starts the count anew from here.
        if any(not is_over_by(each, day - DAY) for each in met):
            counted = 0
        if counted == needed:
            return Deadline(day=day)
        if day > issued_on + 400 * DAY:
            return Deadline(waits_for_end=True)
    raise AssertionError("there are always more days")


hours = st.integers(0, 60 * 24)


@st.composite
def outages_near(draw: st.DrawFn, start: datetime) -> list[Outage]:
    # One after another: the reference knows no failures within failures, the table above has them.
    found, at = [], start - timedelta(hours=draw(st.integers(0, 48)))
    for _ in range(draw(st.integers(0, 5))):
        begin = at + timedelta(hours=draw(st.integers(0, 24 * 12)))
        end = begin + timedelta(minutes=draw(st.integers(1, 60 * 24 * 6)))
        kind = draw(
            st.sampled_from([*[OutageKind.FAILURE] * 4, *[OutageKind.UNAVAILABILITY] * 2, OutageKind.TOTAL_FAILURE])
        )
        lasts = kind is not OutageKind.UNAVAILABILITY and draw(st.integers(0, 9)) == 0
        found.append(Outage(kind=kind, start=begin, end=None if lasts else end))
        at = end
    return found


@given(
    st.sampled_from([OFFLINE24, UNAVAILABLE, EMERGENCY]),
    st.dates(date(2024, 1, 1), date(2031, 12, 31)),
    st.integers(0, 24 * 60 - 61),
    st.data(),
)
def test_deadline_is_that_of_somebody_who_lives_through_the_days(
    mode: OfflineMode, issued_on: date, minute: int, data: st.DataObject
) -> None:
    midnight = datetime(issued_on.year, issued_on.month, issued_on.day, tzinfo=WARSAW).astimezone(UTC)
    issued_at = midnight + timedelta(minutes=minute)
    outages = data.draw(outages_near(issued_at))
    try:
        found = offline_deadline(mode, issued_on, outages, issued_at=issued_at)
    except LocalProtocolError:
        assume(False)

    assert found == reference(mode, issued_on, outages, issued_at)


@given(
    st.sampled_from([OFFLINE24, UNAVAILABLE, EMERGENCY]),
    st.dates(date(2024, 1, 1), date(2031, 12, 31)),
    st.integers(0, 24 * 60 - 61),
    st.data(),
)
def test_without_the_moment_of_issue_the_deadline_is_never_later(
    mode: OfflineMode, issued_on: date, minute: int, data: st.DataObject
) -> None:
    midnight = datetime(issued_on.year, issued_on.month, issued_on.day, tzinfo=WARSAW).astimezone(UTC)
    issued_at = midnight + timedelta(minutes=minute)
    outages = data.draw(outages_near(issued_at))
    try:
        exact = offline_deadline(mode, issued_on, outages, issued_at=issued_at)
    except LocalProtocolError:
        assume(False)
    careful = offline_deadline(mode, issued_on, outages)

    never = date(9999, 1, 1)
    assert (careful.day or never) <= (exact.day or never)
    assert not careful.is_lifted or exact.is_lifted


@given(st.dates(date(2000, 1, 1), date(2200, 12, 31)), st.integers(1, 12))
def test_working_days_are_counted_one_by_one(day: date, count: int) -> None:
    found = working_day_after(day, count)

    between = [day + number * DAY for number in range(1, (found - day).days + 1)]
    assert [is_free(each) for each in between].count(False) == count
    assert is_working_day(found)
