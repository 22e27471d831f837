"""The sandbox's time: all its states are functions of this clock, so tests move it instead of sleeping."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from ..protocol.wire import format_datetime

__all__ = ["Clock", "Timings", "seconds", "seven_digits"]


class Clock:
    """The time in the sandbox.

    Args:
        start: Aware; now by default.
        ticking: Run from there as ``monotonic`` does; otherwise stand still until advanced.
        monotonic: Seconds from any start; real time by default.
    """

    def __init__(
        self,
        start: datetime | None = None,
        *,
        ticking: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = (start or datetime.now(UTC)).astimezone(UTC)
        self._ticking = ticking
        self._monotonic = monotonic
        self._started = monotonic()

    def __repr__(self) -> str:
        return f"<Clock {self.now():%Y-%m-%d %H:%M:%S} UTC, {'ticking' if self._ticking else 'standing still'}>"

    @property
    def is_ticking(self) -> bool:
        """Return whether it runs by itself."""
        return self._ticking

    def now(self) -> datetime:
        """Return the time (UTC)."""
        return self._now + timedelta(seconds=self._monotonic() - self._started) if self._ticking else self._now

    def advance(self, seconds: float) -> None:
        """Move forward by ``seconds``.

        Raises:
            ValueError: ``seconds`` is negative: what has happened cannot be undone.
        """
        if seconds < 0:
            raise ValueError("The sandbox's clock only moves forward.")
        self._now += timedelta(seconds=seconds)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop the clock for the duration of the block; `advance` still moves it."""
        was_ticking = self._ticking
        self._now, self._ticking = self.now(), False
        try:
            yield
        finally:
            self._started, self._ticking = self._monotonic(), was_ticking


def seven_digits(moment: datetime) -> str:
    """Return a time in ISO 8601 as .NET writes it, with seven digits (ticks of 100 ns)."""
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}7+00:00" if moment.microsecond else format_datetime(moment)


def seconds(duration: float) -> timedelta:
    """Return a duration of `Timings` as what is added to a time."""
    return timedelta(seconds=duration)


_MINUTE: Final = 60.0
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


@attrs.frozen(kw_only=True)
class Timings:
    """The durations in the sandbox, in seconds; shorter than at KSeF where nothing depends on them."""

    challenge_lifetime: float = 10 * _MINUTE
    """Seconds in which a challenge can be used."""
    login_delay: float = 0.02
    """From the login call to its decision."""
    login_token_lifetime: float = 45 * _MINUTE
    """Seconds in which a login has to be finished."""
    access_token_lifetime: float = 15 * _MINUTE
    """Seconds for which an access token is good."""
    refresh_token_lifetime: float = 7 * _DAY
    """Seconds for which a refresh token is good."""
    login_retention: float = 7 * _DAY
    """How long a login can be asked about."""
    session_lifetime: float = 12 * _HOUR
    """Seconds after which KSeF closes a session by itself."""
    expiry_lag: float = 0.0
    """KSeF closes expired sessions in sweeps, half an hour late and more."""
    key_check_delay: float = 0.05
    """From the opening until a session with a bad key turns 415."""
    invoice_queue_delay: float = 0.02
    """From sending until the invoice is being processed (150)."""
    invoice_processing_delay: float = 0.05
    """From there to its verdict."""
    storage_lag: float = 0.1
    """From acceptance to permanent storage; less than zero where KSeF's clocks disagree (ksef-api#459)."""
    session_closing_delay: float = 0.05
    """From the close, or the last verdict, until the session is final."""
    link_lifetime: float = 3 * _DAY
    """Seconds for which a link to a UPO works."""
    permission_delay: float = 0.05
    """From granting or revoking a permission until it is done."""
    permission_operation_retention: float = 30 * _DAY
    """Seconds for which an operation on permissions can be asked about."""
    index_lag: float = 0.0
    """From permanent storage until lists and exports find an invoice; where this is longer than the lag of the
    high-water mark, invoices turn up below a mark that was answered before (CIRFMF/ksef-docs#557, #711).
    """
    hwm_lag: float = 0.2
    """How far the high-water mark of permanent storage lies behind."""
    export_delay: float = 0.05
    """From asking for a package until it is ready."""
    package_lifetime: float = 7 * _DAY
    """How long a package can be fetched."""
    part_link_lifetime: float = _HOUR
    """How long a link to a part of a package works; that to upload one works as long as `upload_window` gives."""
    export_retention: float = 7 * _DAY
    """How long an export can be asked about."""
    token_delay: float = 0.05
    """From generating a token until it is active, and from revoking it until it is gone."""
    batch_visibility_lag: float = 0.0
    """Before it is over, KSeF does not know a batch session yet (21173)."""
    upload_window: float = 20 * _MINUTE
    """For each part of a package; all parts have the sum."""
    enrollment_delay: float = 0.05
    """From an application for a certificate to its decision."""
    revocation_delay: float = 0.05
    """From revoking a certificate until it is revoked."""
    enrollment_retention: float = 30 * _DAY
    """How long an application can be asked about."""
