from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ksef_async.protocol.responses import ServerClock


def test_time_goes_on_from_the_last_answer() -> None:
    clock = ServerClock()
    clock.observe("Sun, 06 Nov 1994 08:49:37 GMT", monotonic=100.0)

    assert clock.now(monotonic=100.0) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    assert clock.now(monotonic=161.5) == datetime(1994, 11, 6, 8, 50, 38, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "date",
    [
        None,
        "",
        "yesterday",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Fri, 27 Nov 99999999999 20:00:00 GMT",
        "Fri, 27 Nov 9999 23:59:59 -2359",
        "Fri, 27 Nov 1969 20:00:00 GMT",
        "Fri, 27 Nov 2026 20:00:00 +9999",
    ],
)
def test_answer_without_a_date_changes_nothing(date: str | None) -> None:
    clock = ServerClock()
    clock.observe("Sun, 06 Nov 1994 08:49:37 GMT", monotonic=0.0)

    clock.observe(date, monotonic=1.0)

    assert clock.now(monotonic=1.0) == datetime(1994, 11, 6, 8, 49, 38, tzinfo=UTC)


def test_local_time_until_the_first_answer() -> None:
    assert abs(ServerClock().now(monotonic=0.0) - datetime.now(UTC)) < timedelta(seconds=5)
