"""What announcements and our own calls come to: tables of the two rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async import Environment
from ksef_async.api.latarnia import (
    LatarniaCategory,
    LatarniaMessage,
    LatarniaMessageType,
    LatarniaReport,
    LatarniaStatus,
)
from ksef_async.protocol.availability import Availability, AvailabilityState, outages_of
from ksef_async.protocol.offline import OfflineMode, Outage, OutageKind, offline_deadline

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UP, DOWN, UNKNOWN = AvailabilityState
START, END = LatarniaMessageType.FAILURE_START, LatarniaMessageType.FAILURE_END
FAILURE = LatarniaCategory.FAILURE


def said(status: str) -> LatarniaReport:
    return LatarniaReport(LatarniaStatus(status))


@pytest.mark.parametrize(
    ("report", "answered", "failed", "failures", "is_dummy", "state"),
    [
        pytest.param(None, None, None, 0, False, UNKNOWN, id="nothing is known"),
        pytest.param("AVAILABLE", None, None, 0, False, UP, id="announced available"),
        pytest.param("FAILURE", None, None, 0, False, DOWN, id="announced failure"),
        pytest.param("MAINTENANCE", None, None, 0, False, DOWN, id="announced maintenance"),
        pytest.param("TOTAL_FAILURE", None, None, 0, False, DOWN, id="announced total failure"),
        pytest.param("DEGRADED", None, None, 0, False, UNKNOWN, id="announced something new"),
        pytest.param("TOTAL_FAILURE", None, None, 0, True, UNKNOWN, id="a dummy says so"),
        pytest.param("AVAILABLE", None, None, 0, True, UNKNOWN, id="a dummy says otherwise"),
        pytest.param("TOTAL_FAILURE", 1, None, 0, False, UP, id="but our calls are answered"),
        pytest.param("AVAILABLE", None, 1, 3, False, DOWN, id="but our calls fail"),
        pytest.param("AVAILABLE", 2, 1, 1, False, DOWN, id="failed since the last answer"),
        pytest.param("FAILURE", 1, 2, 0, False, UP, id="answered since the last failure"),
        pytest.param("FAILURE", 6, None, 0, False, DOWN, id="answered long ago"),
        pytest.param("AVAILABLE", None, 6, 9, False, UP, id="failed long ago"),
        pytest.param(None, 5, None, 0, False, UP, id="answered five minutes ago"),
        pytest.param(None, None, 1, 1, True, DOWN, id="no Latarnia, and our calls fail"),
    ],
)
def test_own_calls_count_for_more_than_what_is_announced(
    report: str | None,
    answered: int | None,
    failed: int | None,
    failures: int,
    is_dummy: bool,
    state: AvailabilityState,
) -> None:
    found = Availability(
        at=NOW,
        report=None if report is None else said(report),
        is_dummy=is_dummy,
        answered_at=None if answered is None else NOW - answered * MINUTE,
        failed_at=None if failed is None else NOW - failed * MINUTE,
        failures=failures,
    )

    assert found.state is state


@pytest.mark.parametrize(
    ("status", "mode"),
    [
        ("AVAILABLE", None),
        ("MAINTENANCE", OfflineMode.UNAVAILABILITY),
        ("FAILURE", OfflineMode.EMERGENCY),
        ("TOTAL_FAILURE", OfflineMode.TOTAL_FAILURE),
        ("DEGRADED", None),
    ],
)
def test_announcement_allows_an_offline_mode_unless_it_is_a_dummys(status: str, mode: OfflineMode | None) -> None:
    assert Availability(at=NOW, report=said(status)).announced_mode is mode
    assert Availability(at=NOW, report=said(status), is_dummy=True).announced_mode is None
    assert Availability(at=NOW).announced_mode is None


def test_only_production_has_announcements_that_mean_something() -> None:
    named = (Environment.PRODUCTION, Environment.DEMO, Environment.TEST, Environment("http://127.0.0.1:1/v2"))

    assert [each.has_dummy_latarnia for each in named] == [False, True, True, False]


def message(event: int | None = 1, version: int | None = 1, **rest: object) -> LatarniaMessage:
    return LatarniaMessage(**{"event_id": event, "version": version, "category": FAILURE, "type": START, **rest})  # type: ignore[arg-type]


def outage(start: int, end: int | None, kind: OutageKind = OutageKind.FAILURE) -> Outage:
    return Outage(kind=kind, start=hour(start), end=None if end is None else hour(end))


def hour(number: int) -> datetime:
    return NOW + timedelta(hours=number)


@pytest.mark.parametrize(
    ("messages", "outages"),
    [
        pytest.param([], [], id="none"),
        pytest.param([message(start=hour(0))], [outage(0, None)], id="a failure that lasts"),
        pytest.param(
            [message(start=hour(0)), message(version=2, type=END, start=hour(0), end=hour(2))],
            [outage(0, 2)],
            id="over",
        ),
        pytest.param(
            [message(version=2, type=END, end=hour(2)), message(start=hour(0))],
            [outage(0, 2)],
            id="in another order, and without the start",
        ),
        pytest.param(
            [message(start=hour(0)), message(version=2, type=END, published=hour(3))],
            [outage(0, 3)],
            id="over when that was published",
        ),
        pytest.param(
            [message(start=hour(0)), message(version=2, start=hour(-1))],
            [outage(-1, None)],
            id="the newest start counts",
        ),
        pytest.param(
            [message(None, None, start=hour(0), published=hour(0)), message(None, None, start=hour(5))],
            [outage(0, None), outage(5, None)],
            id="two without a name",
        ),
        pytest.param(
            [message(None, id="A", start=hour(0)), message(None, 2, id="A", type=END, end=hour(1))],
            [outage(0, 1)],
            id="by the message's own name",
        ),
        pytest.param(
            [
                message(2, start=hour(5), end=hour(9), category=LatarniaCategory.MAINTENANCE),
                message(1, start=hour(0), category=LatarniaCategory.TOTAL_FAILURE),
            ],
            [outage(0, None, OutageKind.TOTAL_FAILURE), outage(5, 9, OutageKind.UNAVAILABILITY)],
            id="of every kind, the first one first",
        ),
        pytest.param([message(start=hour(0), category=LatarniaCategory("STRIKE"))], [], id="of an unknown kind"),
        pytest.param([message(start=hour(0), category=None)], [], id="of no kind"),
        pytest.param([message()], [], id="without a start"),
        pytest.param([message(start=hour(3), end=hour(1))], [], id="over before it began"),
    ],
)
def test_messages_tell_of_outages(messages: list[LatarniaMessage], outages: list[Outage]) -> None:
    assert list(outages_of(messages)) == outages


def test_messages_lead_to_a_deadline() -> None:
    warsaw = timedelta(hours=2)
    announced = [
        message(start=datetime(2025, 7, 9, 8, tzinfo=UTC)),
        message(version=2, type=END, end=datetime(2025, 7, 12, 12, tzinfo=UTC) - warsaw),
    ]

    found = offline_deadline(OfflineMode.OFFLINE24, date(2025, 7, 8), outages_of(announced))

    assert found.day == date(2025, 7, 22)


texts = st.none() | st.sampled_from(["A", "B"])
moments = st.none() | st.integers(-5, 5).map(hour)


@given(
    st.lists(
        st.builds(
            LatarniaMessage,
            id=texts,
            event_id=st.none() | st.integers(1, 3),
            category=st.none() | st.sampled_from(LatarniaCategory) | st.just(LatarniaCategory("NEW")),
            type=st.none() | st.sampled_from(LatarniaMessageType) | st.just(LatarniaMessageType("NEW")),
            start=moments,
            end=moments,
            version=st.none() | st.integers(0, 3),
            published=moments,
        ),
        max_size=8,
    )
)
def test_whatever_is_announced_can_be_read(messages: list[LatarniaMessage]) -> None:
    found = outages_of(messages)

    assert list(found) == sorted(found, key=lambda each: each.start)
    assert len(found) <= len(messages)
