"""The rates of calls that KSeF grants. Source: limity-api.md; OpenAPI 2.9.0, EffectiveApiRateLimits."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import attrs

from .common import Rule, wire_name

__all__ = ["PRODUCTION_LIMITS", "UNLIMITED", "Calls", "RateLimit", "RateLimits", "usable"]

UNLIMITED: Final = -1
"""In place of a number: any number of calls."""
# More is no limit that anybody means.
_MOST: Final = 2**31 - 1


def _is_usable(calls: int) -> bool:
    return calls == UNLIMITED or 1 <= calls <= _MOST


Calls: TypeAlias = Annotated[int, Rule("a number of calls, or -1 for any number", _is_usable)]
"""How many calls fit into a window."""


@attrs.frozen
class RateLimit:
    """The calls that fit into each window, which ends now and is not aligned to the clock; -1 for any number."""

    per_second: Calls
    """Calls in any second."""
    per_minute: Calls
    """Calls in any minute."""
    per_hour: Calls
    """Calls in any hour."""

    @property
    def is_usable(self) -> bool:
        """False for numbers that can be no limit: 0, or negative ones besides -1."""
        return all(_is_usable(calls) for calls in (self.per_second, self.per_minute, self.per_hour))


def _granted(per_second: int, per_minute: int, per_hour: int, name: str | None = None) -> RateLimit:
    """Return a field for a group that production grants so many calls."""
    metadata = {"assumed": "missing, so what production grants is assumed", **(wire_name(name) if name else {})}
    field: RateLimit = attrs.field(default=RateLimit(per_second, per_minute, per_hour), metadata=metadata)
    return field


@attrs.frozen(kw_only=True)
class RateLimits:
    """The rate limits of a context from one address, by groups of operations; by default those of production."""

    online_session: RateLimit = _granted(10, 30, 120)
    """Opening online sessions."""
    online_session_close: RateLimit = _granted(20, 60, 240)
    """Closing online sessions."""
    batch_session: RateLimit = _granted(10, 20, 60)
    """Opening batch sessions."""
    batch_session_close: RateLimit = _granted(20, 40, 120)
    """Closing batch sessions."""
    invoice_send: RateLimit = _granted(10, 30, 180)
    """Sending invoices."""
    invoice_status: RateLimit = _granted(30, 120, 1200)
    """Reading the status of one invoice."""
    session_list: RateLimit = _granted(5, 10, 60)
    """Listing sessions."""
    session_invoice_list: RateLimit = _granted(10, 20, 200)
    """Listing the invoices of a session."""
    session_misc: RateLimit = _granted(10, 120, 1200)
    """Everything else about sessions."""
    invoice_metadata: RateLimit = _granted(8, 16, 20)
    """Finding invoices."""
    invoice_export: RateLimit = _granted(8, 16, 20)
    """Asking for packages of invoices."""
    invoice_export_status: RateLimit = _granted(10, 60, 600)
    """Reading how far a package is."""
    invoice_download: RateLimit = _granted(8, 16, 64)
    """Downloading single invoices."""
    collective_identifier: RateLimit = _granted(20, 120, 240)
    """Everything about collective identifiers."""
    other: RateLimit = _granted(10, 30, 120)
    """Everything else that needs a login."""
    anonymous: RateLimit = _granted(60, UNLIMITED, UNLIMITED)
    """What needs no login."""
    overall: RateLimit = _granted(75, UNLIMITED, UNLIMITED, "global")
    """Every call, of whatever group, from one address ("global" at KSeF)."""


PRODUCTION_LIMITS: Final = RateLimits()
"""What production grants, and TEST since version 2.5, unless a context was granted more."""


def usable(limits: RateLimits) -> RateLimits:
    """Return the limits with production's in place of those that can be none."""
    wrong = [field.name for field in attrs.fields(RateLimits) if not getattr(limits, field.name).is_usable]
    return attrs.evolve(limits, **{name: getattr(PRODUCTION_LIMITS, name) for name in wrong}) if wrong else limits
