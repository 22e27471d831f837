"""When a login ends: a certificate by its own date, KSeF tokens by the regulation.

Tokens serve until 2026-12-31 by the regulation in force when this was written; the Ministry has proposed to keep them
(ksef-api#834). So after that day nothing is said of them: KSeF takes them, or it does not.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from ..api.environment import Environment
from ..calling.events import CredentialsEnding
from .credentials import Credentials, KsefToken

__all__ = ["EXPIRY_NOTICE", "TOKENS_END", "ending_of"]

EXPIRY_NOTICE: Final = 30 * 86_400.0
"""Seconds before its end from which on a login is told to end."""

TOKENS_END: Final = datetime(2026, 12, 31, 23, 0, tzinfo=UTC)
"""The end of 2026 in Poland."""


def ending_of(
    credentials: Credentials, environment: Environment, now: datetime, notice: float
) -> CredentialsEnding | None:
    """Return what is to be told of the end of a login; None while that is far.

    Args:
        credentials: Who logs in.
        environment: Where; what is not the Ministry's takes tokens for ever.
        now: What time it is there.
        notice: Seconds before the end from which on it is told; 0 for never.
    """
    if isinstance(credentials, KsefToken):
        if not environment.is_of_the_ministry or now >= TOKENS_END:
            return None
        kind, valid_until = "token", TOKENS_END
    else:
        kind, valid_until = "certificate", credentials.certificate.valid_until
    if not notice or now < valid_until - timedelta(seconds=notice):
        return None
    return CredentialsEnding(nip=credentials.context.value, kind=kind, valid_until=valid_until)
