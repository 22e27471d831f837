"""When a failed call is tried again, and after how long.

The rule: a call is repeated only when that cannot issue anything twice. 429 and a connection that was never made
prove that KSeF did not act; a lost answer, a 5xx and a success that cannot be read prove nothing, so they are repeated
only where the operation's row says ``repeat_safe``. Source: limity-api.md; the Ministry's advice on 5xx (issue 786 of
its documentation).
"""

from __future__ import annotations

import random
from typing import Final

import attrs

from ..errors import ApiError, ConnectError, ForbiddenError, KsefError, RateLimitedError, TransportError

__all__ = [
    "AGREEMENT_PAUSES",
    "RetryPolicy",
    "delay_before_retry",
    "growing_pause",
    "may_be_outdated",
    "may_be_repeated",
    "may_have_taken_effect",
]

AGREEMENT_PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each further call while KSeF's parts do not agree: what one has just made, another does not know yet.

A refusal comes before KSeF acts, so a call that was refused too early is repeated without harm. Source: reports of
21301 right after a login's 200 (issue 238 of the Ministry's C# client) and of 21173 right after an opening (issue 801
of its documentation).
"""


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """The limits of retrying; all times are in seconds."""

    attempts: int = 5
    """How often a call is made in all, not counting answers of 429 that say how long to wait."""
    first_pause: float = 0.5
    """The first pause is random between 0 and this; each further one may be twice as long ..."""
    longest_pause: float = 15.0
    """... up to this."""
    patience: float = 60.0
    """The longest ``Retry-After`` that is waited out; a longer one raises `RateLimitedError` at once."""
    deadline: float = 180.0
    """No attempt starts later than this after the first."""


def growing_pause(times: int, *, first: float, longest: float, factor: float = 2.0) -> float:
    """Return how many seconds to wait after something failed, or brought nothing new, for the ``times``-th time.

    Every pause that grows is this one: of calls, of looks, of a worker whose database is away.

    Args:
        times: In a row, from 1.
        first: The first pause in seconds.
        longest: The longest pause in seconds.
        factor: Each pause is so many times the one before.
    """
    # The exponent is bounded: a float overflows at 2 ** 1024, and what waits for long comes to more than that.
    return min(longest, first * factor ** min(times - 1, 64))


def may_have_taken_effect(error: KsefError) -> bool:
    """Return whether KSeF may have acted on the call that ended with ``error``: its answer is lost.

    An answer of success that cannot be read is as good as none: KSeF acted, and what it said is lost.
    """
    return error.maybe_delivered


def may_be_outdated(error: ApiError) -> bool:
    """Return whether a call refused by 401 or 403 may be accepted with a newer token.

    A token holds the permissions of the moment it was issued. KSeF may leave out why it refuses (ksef-api#747), so a
    403 without a reason may be for want of a permission, too; of other reasons a newer token changes nothing.
    """
    return not isinstance(error, ForbiddenError) or error.reason in (None, "missing-permissions")


def may_be_repeated(error: KsefError, *, repeat_safe: bool) -> bool:
    """Return whether calling again after ``error`` cannot make anything happen twice, and may go better."""
    if isinstance(error, RateLimitedError | ConnectError):
        return True
    return repeat_safe and (isinstance(error, TransportError) or may_have_taken_effect(error))


def delay_before_retry(
    policy: RetryPolicy,
    error: KsefError,
    *,
    repeat_safe: bool,
    attempt: int,
    elapsed: float,
    chance: random.Random,
) -> float | None:
    """Seconds to wait before the next attempt; None when there is none.

    Args:
        policy: How hard to try.
        error: What the attempt ended with.
        repeat_safe: Whether calling twice does no harm.
        attempt: Which attempt it was, from 1, not counting those that ended with 429 and a time to wait.
        elapsed: Seconds since the first attempt started.
        chance: The source of jitter.
    """
    if not may_be_repeated(error, repeat_safe=repeat_safe):
        return None
    jitter = chance.random()
    if isinstance(error, RateLimitedError) and error.retry_after is not None:
        # A moment later than KSeF says, and not all at the same moment.
        delay = error.retry_after + jitter
        too_long = error.retry_after > policy.patience
    else:
        pause = growing_pause(attempt, first=policy.first_pause, longest=policy.longest_pause)
        # A 429 that does not say how long: never less than the pause, for KSeF locks out longer who comes too soon.
        delay = pause * (1.0 + jitter) if isinstance(error, RateLimitedError) else pause * jitter
        too_long = attempt >= policy.attempts
    return None if too_long or elapsed + delay > policy.deadline else delay
