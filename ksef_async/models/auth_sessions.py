"""The logins that can still be refreshed. Source: OpenAPI 2.9.0, /auth/sessions; sesje-uwierzytelniania.md."""

from __future__ import annotations

import attrs

from .auth import LoginStatus
from .checked import NEVER_LEFT_OUT, Cursor, Identifier

__all__ = ["AuthSession", "AuthSessionPage"]


@attrs.frozen(kw_only=True)
class AuthSession(LoginStatus):
    """A login that was redeemed, and whose refresh token lives."""

    reference_number: Identifier
    #: Whether it is the one this list was asked for with.
    is_current: bool = False


@attrs.frozen
class AuthSessionPage:
    """One page of logins, newest first."""

    items: tuple[AuthSession, ...]
    continuation_token: Cursor | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)
