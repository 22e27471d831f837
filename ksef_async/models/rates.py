"""How many calls KSeF grants: what every client is paced by. Source: limity-api.md."""

from __future__ import annotations

from typing import Final

import attrs

from .common import wire_name

__all__ = ["PRODUCTION_LIMITS", "UNLIMITED", "RateLimit", "RateLimits"]

#: In place of a number: any number of calls.
UNLIMITED: Final = -1


@attrs.frozen
class RateLimit:
    """How many calls fit in each window, which ends now and is not aligned to the clock; -1 for any number."""

    per_second: int
    per_minute: int
    per_hour: int


@attrs.frozen(kw_only=True)
class RateLimits:
    """What a context is granted from one address, by groups of operations."""

    online_session: RateLimit
    online_session_close: RateLimit
    batch_session: RateLimit
    batch_session_close: RateLimit
    invoice_send: RateLimit
    invoice_status: RateLimit
    session_list: RateLimit
    session_invoice_list: RateLimit
    session_misc: RateLimit
    invoice_metadata: RateLimit
    invoice_export: RateLimit
    invoice_export_status: RateLimit
    invoice_download: RateLimit
    collective_identifier: RateLimit
    other: RateLimit
    anonymous: RateLimit
    #: Every call, of whatever group, from one address ("global" at KSeF).
    overall: RateLimit = attrs.field(metadata=wire_name("global"))


#: What production grants, and TEST since version 2.5, unless a context was granted more.
PRODUCTION_LIMITS: Final = RateLimits(
    online_session=RateLimit(10, 30, 120),
    online_session_close=RateLimit(20, 60, 240),
    batch_session=RateLimit(10, 20, 60),
    batch_session_close=RateLimit(20, 40, 120),
    invoice_send=RateLimit(10, 30, 180),
    invoice_status=RateLimit(30, 120, 1200),
    session_list=RateLimit(5, 10, 60),
    session_invoice_list=RateLimit(10, 20, 200),
    session_misc=RateLimit(10, 120, 1200),
    invoice_metadata=RateLimit(8, 16, 20),
    invoice_export=RateLimit(8, 16, 20),
    invoice_export_status=RateLimit(10, 60, 600),
    invoice_download=RateLimit(8, 16, 64),
    collective_identifier=RateLimit(20, 120, 240),
    other=RateLimit(10, 30, 120),
    anonymous=RateLimit(60, UNLIMITED, UNLIMITED),
    overall=RateLimit(75, UNLIMITED, UNLIMITED),
)
