"""The logins that can still be refreshed. Source: OpenAPI 2.9.0, /auth/sessions."""

from __future__ import annotations

from http import HTTPMethod

from ..models.auth_sessions import AuthSessionPage
from .operation import Operation, RateGroup

__all__ = ["LIST_AUTH_SESSIONS", "REVOKE_AUTH_SESSION"]

GET, DELETE = HTTPMethod.GET, HTTPMethod.DELETE

LIST_AUTH_SESSIONS: Operation[None, AuthSessionPage] = Operation(
    name="list_auth_sessions", method=GET, path="/auth/sessions", success=200, response=AuthSessionPage,
    query=("page_size",), continued=True, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
REVOKE_AUTH_SESSION: Operation[None, None] = Operation(
    name="revoke_auth_session", method=DELETE, path="/auth/sessions/{reference_number}", success=204,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
