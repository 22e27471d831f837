from __future__ import annotations

import tracemalloc

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksef_async.api.auth import REVOKE_CURRENT_LOGIN
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.api.operation import RateGroup
from ksef_async.api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit
from ksef_async.api.sessions import CLOSE_ONLINE_SESSION, GET_INVOICE_UPO, GET_SESSION_STATUS, SEND_INVOICE
from ksef_async.protocol.pacing import UNLIMITED_RATES, AddressBudget, Pacer

WINDOWS = ((1.0, "per_second"), (60.0, "per_minute"), (3600.0, "per_hour"))


@given(
    limit=st.builds(RateLimit, st.integers(1, 5), st.integers(1, 12), st.integers(1, 20)),
    pauses=st.lists(st.floats(0, 30), min_size=1, max_size=80),
)
def test_no_window_ever_holds_more_calls_than_granted(limit: RateLimit, pauses: list[float]) -> None:
    pacer = Pacer(attrs.evolve(PRODUCTION_LIMITS, invoice_send=limit))
    now, starts = 0.0, []
    for pause in pauses:
        now += pause
        starts.append(pacer.reserve(SEND_INVOICE, now))

    assert starts == sorted(starts)
    for end in starts:
        for seconds, name in WINDOWS:
            assert sum(end - seconds < start <= end for start in starts) <= getattr(limit, name)


def test_calls_go_at_once_until_a_window_is_full() -> None:
    pacer = Pacer()

    starts = [pacer.reserve(SEND_INVOICE, 100.0) for _ in range(181)]

    assert starts[:10] == [100.0] * 10
    assert starts[10] == 101.25
    assert starts[30] == 160.25
    assert starts[180] == 3700.25


@given(
    limit=st.builds(RateLimit, st.integers(1, 5), st.integers(1, 12), st.integers(1, 20)),
    pauses=st.lists(st.floats(0, 30), max_size=30),
    seconds=st.floats(0, 5000),
    most=st.integers(0, 60),
)
def test_calls_that_can_start_before_a_time_are_those_that_then_do(
    limit: RateLimit, pauses: list[float], seconds: float, most: int
) -> None:
    pacer = Pacer(attrs.evolve(PRODUCTION_LIMITS, invoice_send=limit))
    now = 0.0
    for pause in pauses:
        now += pause
        pacer.reserve(SEND_INVOICE, now)

    found = pacer.starts_before(SEND_INVOICE, now, now + seconds, most=most)

    # Asking takes nothing, so the same calls are still to be had.
    assert pacer.starts_before(SEND_INVOICE, now, now + seconds, most=most) == found
    starts = [pacer.reserve(SEND_INVOICE, now) for _ in range(most)]
    assert sum(start < now + seconds for start in starts) == found


def test_lockout_leaves_no_call_before_its_end() -> None:
    pacer = Pacer()
    pacer.block(SEND_INVOICE, 100.0)

    assert pacer.starts_before(SEND_INVOICE, 0.0, 100.0, most=5) == 0
    assert pacer.starts_before(SEND_INVOICE, 0.0, 100.1, most=5) == 5


def test_groups_do_not_hold_each_other_up() -> None:
    pacer = Pacer()
    for _ in range(500):
        pacer.reserve(SEND_INVOICE, 0.0)
        pacer.reserve(GET_SESSION_STATUS, 0.0)

    assert pacer.reserve(CLOSE_ONLINE_SESSION, 0.0) == 0.0


def test_operations_of_one_group_share_its_budget_but_those_of_other_do_not() -> None:
    pacer = Pacer()
    for _ in range(10):
        pacer.reserve(GET_SESSION_STATUS, 0.0)
        pacer.reserve(GET_RATE_LIMITS, 0.0)

    assert pacer.reserve(GET_INVOICE_UPO, 0.0) == 1.25
    assert pacer.reserve(GET_RATE_LIMITS, 0.0) == 1.25
    assert pacer.reserve(REVOKE_CURRENT_LOGIN, 0.0) == 0.0


def test_released_time_is_given_to_the_next() -> None:
    pacer = Pacer()
    starts = [pacer.reserve(SEND_INVOICE, 0.0) for _ in range(11)]

    pacer.release(SEND_INVOICE, starts[-1])

    assert pacer.reserve(SEND_INVOICE, 0.0) == starts[-1]
    pacer.release(SEND_INVOICE, 12345.0)


def test_retry_after_holds_for_the_whole_group_and_only_for_it() -> None:
    pacer = Pacer.unlimited()
    pacer.block(GET_SESSION_STATUS, 30.0)
    pacer.block(GET_INVOICE_UPO, 20.0)

    assert pacer.reserve(GET_INVOICE_UPO, 0.0) == 30.0
    assert pacer.reserve(SEND_INVOICE, 0.0) == 0.0


def test_budget_can_be_inspected() -> None:
    pacer = Pacer()
    assert pacer.remaining(RateGroup.INVOICE_SEND, 0.0) == RateLimit(10, 30, 180)

    for _ in range(4):
        pacer.reserve(SEND_INVOICE, 0.0)

    assert pacer.remaining(RateGroup.INVOICE_SEND, 0.5) == RateLimit(6, 26, 176)
    assert pacer.remaining(RateGroup.INVOICE_SEND, 30.0) == RateLimit(10, 26, 176)
    assert Pacer.unlimited().remaining(RateGroup.INVOICE_SEND, 0.0) == RateLimit(*[UNLIMITED] * 3)
    for operation, times in ((GET_RATE_LIMITS, 1), (REVOKE_CURRENT_LOGIN, 3)):
        for _ in range(times):
            pacer.reserve(operation, 0.0)
    assert pacer.remaining(RateGroup.OTHER, 0.0) == RateLimit(7, 27, 117)


def test_adopted_limits_count_what_went_before() -> None:
    pacer = Pacer()
    for _ in range(10):
        pacer.reserve(SEND_INVOICE, 0.0)
    pacer.block(SEND_INVOICE, 0.5)

    pacer.adopt(attrs.evolve(PRODUCTION_LIMITS, invoice_send=RateLimit(12, UNLIMITED, UNLIMITED)))

    assert [pacer.reserve(SEND_INVOICE, 0.0) for _ in range(3)] == [0.5, 0.5, 1.25]


def test_calls_that_wait_for_their_turn_keep_it_when_more_is_granted() -> None:
    pacer = Pacer()
    starts = [pacer.reserve(SEND_INVOICE, 0.0) for _ in range(31)]

    pacer.adopt(UNLIMITED_RATES)

    assert starts[-1] == 60.25
    assert pacer.reserve(SEND_INVOICE, 1.0) == 60.25
    assert pacer.reserve(GET_SESSION_STATUS, 1.0) == 1.0


@pytest.mark.parametrize(
    ("age", "counts"),
    [
        pytest.param(0.5, True, id="in the last second"),
        pytest.param(59.0, True, id="in the last minute"),
        pytest.param(61.0, True, id="in the last hour"),
        pytest.param(3600.125, True, id="within the margin"),
        pytest.param(3600.25, False, id="over"),
    ],
)
def test_history_tells_of_every_call_that_still_counts(age: float, counts: bool) -> None:
    pacer = Pacer()
    pacer.reserve(SEND_INVOICE, 1000.0)

    assert pacer.history(1000.0 + age) == ({"invoiceSend": [age]} if counts else {})


def test_hour_that_another_process_has_used_up_is_waited_for() -> None:
    first, second = Pacer(), Pacer()
    starts = [first.reserve(SEND_INVOICE, 0.0) for _ in range(180)]
    now = starts[-1] + 600.0
    second.reserve(SEND_INVOICE, 7.0)

    second.remember(first.history(now), 7.0)

    # 181 have started: the next may when the second of them is an hour old.
    assert second.reserve(SEND_INVOICE, 7.0) == pytest.approx(7.0 + starts[1] + 3600.25 - now)


def test_address_without_a_limit_lets_every_call_go() -> None:
    budget = AddressBudget(UNLIMITED_RATES)

    assert [budget.reserve(SEND_INVOICE, 5.0) for _ in range(200)] == [5.0] * 200


def test_turns_given_back_make_no_room_in_a_full_window() -> None:
    pacer = Pacer()
    taken = [pacer.reserve(SEND_INVOICE, 0.0) for _ in range(180)]

    for _ in range(20):
        turn = pacer.reserve(SEND_INVOICE, 1000.0)
        assert turn == taken[0] + 3600.25
        pacer.release(SEND_INVOICE, turn)

    assert pacer.remaining(RateGroup.INVOICE_SEND, 1000.0).per_hour == 0


@pytest.mark.parametrize("pacer", [Pacer(), Pacer.unlimited()], ids=["limited", "unlimited"])
def test_calls_that_no_longer_count_are_not_kept(pacer: Pacer) -> None:
    tracemalloc.start()
    try:
        for number in range(20_000):
            pacer.reserve(GET_SESSION_STATUS, number * 4.0)
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # Those of an hour are 900, of 32 bytes each.
    assert size < 200_000
