"""The logins that can still be refreshed. Source: sesje-uwierzytelniania.md."""

from __future__ import annotations

from ...models.auth_sessions import AuthSession, AuthSessionPage
from ...protocol.lifecycle import is_success
from ..lookup import is_callers, login_fields, page_of
from ..refusals import InvalidInput
from ..router import Call
from ..world import Login

__all__ = ["list_auth_sessions", "revoke_auth_session"]


async def list_auth_sessions(call: Call) -> AuthSessionPage:
    """GET /auth/sessions."""
    active = [login for login in reversed(call.world.logins.values()) if _is_visible(call, login)]
    rows, token = page_of(active, call, call.query["page_size"])
    return AuthSessionPage(
        tuple(
            AuthSession(
                **login_fields(login, call.now),
                reference_number=login.reference_number,
                is_current=login is call.caller,
            )
            for login in rows
        ),
        token,
    )


async def revoke_auth_session(call: Call) -> None:
    """DELETE /auth/sessions/{referenceNumber}; issued access tokens live on."""
    reference_number = call.path["reference_number"]
    login = call.world.logins.get(reference_number)
    if login is None or not _is_own(call, login):
        # [INF]: this operation has no code of its own for what it does not find.
        detail = f"Sesja uwierzytelnienia o numerze referencyjnym {reference_number} nie została znaleziona."
        raise InvalidInput(detail)
    login.is_revoked = True


def _is_own(call: Call, login: Login) -> bool:
    # [INF]: one sees the logins of the same subject in the same context.
    if login.context != call.caller.context:
        return False
    return login.subject == call.caller.subject or (login.subject is not None and is_callers(call, login.subject))


def _is_visible(call: Call, login: Login) -> bool:
    return (
        _is_own(call, login)
        and is_success(login.status_at(call.now).code)
        and login.refresh_until is not None
        and call.now < login.refresh_until
    )
