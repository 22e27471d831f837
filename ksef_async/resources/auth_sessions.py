"""The logins of a subject that can still be refreshed."""

from __future__ import annotations

from ..api.auth import LIST_AUTH_SESSIONS, REVOKE_AUTH_SESSION, REVOKE_CURRENT_LOGIN, AuthSession
from ..calling.caller import Caller
from ..calling.paging import TokenPages
from .lists import list_by_token

__all__ = ["AuthSessions"]


class AuthSessions:
    """Where else one is logged in. `KsefClient.auth_sessions` is one."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    def list(self) -> TokenPages[AuthSession]:
        """Return the logins that are active, newest first; one of them is this client's.

        Source: GET /auth/sessions.
        """
        return list_by_token(
            self._api, LIST_AUTH_SESSIONS, lambda page: page.items, page_size=LIST_AUTH_SESSIONS.largest_page
        )

    async def revoke(self, reference_number: str) -> None:
        """End a login: its refresh token dies at once, its access tokens when their time is up.

        Raises:
            BadRequestError: KSeF does not know it (21405).
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: DELETE /auth/sessions/{referenceNumber}.
        """
        await self._api.call(REVOKE_AUTH_SESSION, path={"reference_number": reference_number})

    async def revoke_current(self) -> None:
        """End the login this client calls with; its next refresh fails, and it logs in again with its credentials.

        To end it for good, leave a client with ``revoke_on_exit=True``.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: DELETE /auth/sessions/current.
        """
        await self._api.call(REVOKE_CURRENT_LOGIN)
