from __future__ import annotations

import random

import pytest

from ksef_async import (
    AnswerTimeoutError,
    BadRequestError,
    ConnectError,
    KsefError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    TransportError,
)
from ksef_async.protocol.retry import (
    RetryPolicy,
    delay_before_retry,
    growing_pause,
    may_be_repeated,
    may_have_taken_effect,
)

ANSWER = {"operation": "send_invoice", "http_status": 500}
LOST = TransportError("lost", maybe_delivered=True)
SERVER = ServerError("failed", operation="send_invoice", http_status=502)


def limited(retry_after: float | None) -> RateLimitedError:
    return RateLimitedError("slow down", operation="send_invoice", http_status=429, retry_after=retry_after)


class Certain(random.Random):
    """Chance that always has the same to say."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self._value = value

    def random(self) -> float:
        return self._value


def delay(
    error: KsefError, *, attempt: int = 1, elapsed: float = 0.0, chance: float = 1.0, safe: bool = True
) -> object:
    return delay_before_retry(
        RetryPolicy(), error, repeat_safe=safe, attempt=attempt, elapsed=elapsed, chance=Certain(chance)
    )


@pytest.mark.parametrize(
    ("error", "if_safe", "always"),
    [
        (limited(None), True, True),
        (ConnectError("no way there", maybe_delivered=False), True, True),
        (LOST, True, False),
        (AnswerTimeoutError("late", maybe_delivered=True), True, False),
        (SERVER, True, False),
        (BadRequestError("no", operation="send_invoice", http_status=400), False, False),
        (RemoteProtocolError("nonsense"), False, False),
        (RemoteProtocolError("success that cannot be read", maybe_delivered=True), True, False),
    ],
)
def test_only_what_cannot_happen_twice_is_repeated(error: KsefError, if_safe: bool, always: bool) -> None:
    assert may_be_repeated(error, repeat_safe=True) is if_safe
    assert may_be_repeated(error, repeat_safe=False) is always


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (LOST, True),
        (SERVER, True),
        (RemoteProtocolError("success that cannot be read", maybe_delivered=True), True),
        (RemoteProtocolError("a link that is not followed"), False),
        (ConnectError("no way there", maybe_delivered=False), False),
        (limited(None), False),
        (BadRequestError("no", operation="send_invoice", http_status=400), False),
    ],
)
def test_a_lost_answer_leaves_open_whether_the_call_took_effect(error: KsefError, expected: bool) -> None:
    assert may_have_taken_effect(error) is expected


@pytest.mark.parametrize(("attempt", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0)])
def test_pauses_grow_and_are_spread(attempt: int, longest: float) -> None:
    assert delay(SERVER, attempt=attempt, chance=1.0) == longest
    assert delay(SERVER, attempt=attempt, chance=0.25) == longest / 4
    assert delay(SERVER, attempt=attempt, chance=0.0) == 0.0


def test_attempts_end() -> None:
    assert delay(SERVER, attempt=5) is None
    assert delay(BadRequestError("no", operation="x", http_status=400)) is None
    assert delay(SERVER, safe=False) is None


def test_retry_after_is_waited_out_however_often() -> None:
    assert delay(limited(30.0), attempt=50, chance=0.5) == 30.5
    assert delay(limited(60.0), chance=0.0) == 60.0


def test_lockout_that_does_not_say_how_long_is_paused_for_ever_longer_and_not_for_ever() -> None:
    pauses = [delay(limited(None), attempt=attempt, chance=0.0) for attempt in range(1, 6)]

    assert pauses == [0.5, 1.0, 2.0, 4.0, None]
    assert delay(limited(None), chance=1.0, safe=False) == 1.0


def test_patience_ends() -> None:
    assert delay(limited(61.0)) is None


def test_deadline_ends_everything() -> None:
    assert delay(SERVER, elapsed=179.0, chance=1.0) == 0.5
    assert delay(SERVER, elapsed=180.0, chance=1.0) is None
    assert delay(limited(30.0), elapsed=160.0) is None


def test_last_attempt_may_start_when_the_deadline_is_reached() -> None:
    assert delay(SERVER, elapsed=179.5, chance=1.0) == 0.5
    assert delay(limited(30.0), elapsed=150.0, chance=0.0) == 30.0


@pytest.mark.parametrize("attempt", [6, 7, 100, 10**9])
def test_pauses_stop_growing(attempt: int) -> None:
    policy = RetryPolicy(attempts=10**10)

    pause = delay_before_retry(policy, SERVER, repeat_safe=True, attempt=attempt, elapsed=0.0, chance=Certain(1.0))

    assert pause == 15.0


@pytest.mark.parametrize(
    ("times", "factor", "pause"),
    [(1, 2.0, 0.5), (2, 2.0, 1.0), (3, 2.0, 2.0), (6, 2.0, 15.0), (100_000, 2.0, 15.0), (3, 1.5, 1.125), (9, 1.0, 0.5)],
)
def test_pause_grows_up_to_the_longest(times: int, factor: float, pause: float) -> None:
    assert growing_pause(times, first=0.5, longest=15.0, factor=factor) == pause
