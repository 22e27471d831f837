from __future__ import annotations

import random

import attrs
import pytest

from ksef_async.api.keys import LIST_PUBLIC_KEYS
from ksef_async.api.operation import Operation
from ksef_async.api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit
from ksef_async.api.sessions import SEND_INVOICE
from ksef_async.protocol.pacing import AddressBudget, Pacer

#: Few enough to try every moment.
GRANTED = RateLimit(4, UNLIMITED, UNLIMITED)


@pytest.mark.parametrize(
    ("operation", "granted"),
    [pytest.param(SEND_INVOICE, 75, id="overall"), pytest.param(LIST_PUBLIC_KEYS, 60, id="anonymous")],
)
def test_no_second_holds_more_calls_than_the_address_is_granted(
    operation: Operation[object, object], granted: int
) -> None:
    chance, budget = random.Random(7), AddressBudget(margin=0.0)
    now, starts = 0.0, []
    for _ in range(600):
        now += chance.choice((0.0, 0.0, 0.001, 0.03))
        starts.append(budget.reserve(operation, now))
    starts.sort()

    assert all(starts[place + granted] - starts[place] >= 1.0 - 1e-9 for place in range(len(starts) - granted))
    assert starts[granted * 3] < 5.0 + now


def test_each_call_starts_as_soon_as_the_second_around_it_has_room() -> None:
    chance, budget = random.Random(11), AddressBudget(attrs.evolve(PRODUCTION_LIMITS, overall=GRANTED), margin=0.0)
    now, starts = 0.0, list[float]()
    for _ in range(300):
        now += chance.choice((0.0, 0.125, 0.375))
        start = budget.reserve(SEND_INVOICE, now)

        # Room can only begin where there is room at once, or a second after some other call.
        soonest = min(
            moment for moment in (now, *(other + 1.0 for other in starts)) if moment >= now and fits(starts, moment)
        )
        assert start == soonest
        starts = sorted([*starts, start])


def fits(starts: list[float], start: float) -> bool:
    together = sorted([*starts, start])
    return all(
        together[place + GRANTED.per_second] - together[place] >= 1.0
        for place in range(len(together) - GRANTED.per_second)
    )


def test_anonymous_calls_leave_room_for_others() -> None:
    budget = AddressBudget()
    for _ in range(60):
        assert budget.reserve(LIST_PUBLIC_KEYS, 0.0) == 0.0

    assert budget.reserve(LIST_PUBLIC_KEYS, 0.0) > 1.0
    assert budget.reserve(SEND_INVOICE, 0.0) == 0.0


def test_history_counts_in_another_pacer() -> None:
    first, second = Pacer(), Pacer()
    for _ in range(10):
        first.reserve(SEND_INVOICE, 100.0)

    second.remember(first.history(100.5), 7.0)

    assert first.reserve(SEND_INVOICE, 100.5) == pytest.approx(101.25)
    assert second.reserve(SEND_INVOICE, 7.0) == pytest.approx(7.75)
