"""KSeF tokens: generated, activated, listed, revoked. Source: tokeny-ksef.md."""

from __future__ import annotations

import secrets
from typing import Final

from ...api.common import ContextType, SubjectIdentifier, SubjectType
from ...api.permission_grants import Permission
from ...api.tokens import GenerateTokenRequest, GenerateTokenResponse, IssuedToken, TokenFilter, TokenPage, TokenStatus
from ...protocol.error_codes import ErrorCode
from ...protocol.wire import WireError
from ..clock import seconds
from ..handling import checked, is_callers, page_of
from ..refusals import Forbidden, InvalidInput, Refusal
from ..router import WIRE, Call, status_of_token
from ..validation import problems_in_words
from ..world import StoredToken, Subject, new_reference_number

__all__ = ["generate_token", "get_token", "list_tokens", "revoke_token"]

# In whose contexts tokens can be generated, and how they are written in the secret.
_CONTEXTS: Final = {ContextType.NIP: "nip", ContextType.INTERNAL_ID: "internalId"}


async def generate_token(call: Call) -> GenerateTokenResponse:
    """POST /tokens; the token becomes active some time later."""
    request: GenerateTokenRequest = call.body
    login = call.caller
    if login.token is not None and not call.world.tokens_generate_tokens:
        detail = "Operacja jest niedostępna dla użytej metody uwierzytelnienia."
        raise Forbidden("auth-method-not-allowed", detail, {"authenticationMethodCategory": "Token"})
    if (kind := _CONTEXTS.get(login.context.type)) is None:
        allowed = ", ".join(_CONTEXTS)
        detail = f"Aktualny typ kontekstu: {login.context.type}. Dozwolone typy kontekstu: {allowed}."
        raise Refusal(ErrorCode.TOKEN_NOT_FOR_CONTEXT, detail)
    if not request.permissions:
        raise InvalidInput("'permissions' must not be empty.")
    if unknown := [permission for permission in request.permissions if not permission.is_known]:
        raise InvalidInput(*(f"The value '{permission}' is not valid for permissions." for permission in unknown))
    present = call.world.permissions_of(login)
    if missing := [permission.value for permission in request.permissions if permission not in present]:
        raise Refusal(ErrorCode.PERMISSIONS_NOT_HELD, f"Brakujące uprawnienia: {', '.join(missing)}")
    reference_number = new_reference_number("EC", call.now)
    secret = f"{reference_number}|{kind}-{login.context.value}|{secrets.token_hex(32)}"
    call.world.tokens[secret] = StoredToken(
        reference_number=reference_number,
        context=login.context,
        author=login.subject or Subject("Nip", login.context.value),
        permissions=tuple(dict.fromkeys(permission.value for permission in request.permissions)),
        description=request.description,
        created_at=call.now,
        active_at=call.now + seconds(call.world.timings.token_delay),
    )
    return GenerateTokenResponse(reference_number, secret)


async def list_tokens(call: Call) -> TokenPage:
    """GET /tokens."""
    query = dict(call.query)
    size = query.pop("page_size")
    try:
        wanted = WIRE.load({name.replace("_", ""): value for name, value in query.items()}, TokenFilter)
    except WireError as error:
        raise InvalidInput(*problems_in_words(error)) from error
    checked(wanted)
    found = [
        token
        for token in reversed(call.world.tokens.values())
        if token.context == call.caller.context
        and _is_visible(call, token, "CredentialsManage", "CredentialsRead")
        and _fits(call, token, wanted)
    ]
    rows, continuation = page_of(found, call, size)
    return TokenPage(tuple(_row(call, token) for token in rows), continuation)


async def get_token(call: Call) -> IssuedToken:
    """GET /tokens/{referenceNumber}.

    A login by token sees any token of its context by its reference number: a test of the Ministry's polls one with the
    token it logged in with. The changelog promises its own only (ksef-api#758), which holds for the list.
    """
    return _row(call, _find(call, "CredentialsManage", "CredentialsRead", by_token=True))


async def revoke_token(call: Call) -> None:
    """DELETE /tokens/{referenceNumber}; logins made with it can no longer be refreshed."""
    token = _find(call, "CredentialsManage")
    status = status_of_token(call.world, token, call.now)
    if status not in (TokenStatus.ACTIVE, TokenStatus.PENDING):
        # [INF]: KSeF speaks of active tokens here, and has no code of its own for others.
        raise InvalidInput(f"Status tokena ({status}) uniemożliwia jego unieważnienie.")
    token.revoke(call.now, gone_at=call.now + seconds(call.world.timings.token_delay))


def _find(call: Call, *permissions: str, by_token: bool = False) -> StoredToken:
    wanted = call.path["reference_number"]
    for token in call.world.tokens.values():
        if token.reference_number == wanted:
            is_visible = _is_visible(call, token, *permissions) or (by_token and call.caller.token is not None)
            if token.context != call.caller.context or not is_visible:
                raise Forbidden("insufficient-resource-access", "Brak dostępu do wskazanego zasobu.")
            return token
    # [INF]: these operations have no code of their own for what they do not find.
    raise InvalidInput(f"Token o numerze referencyjnym {wanted} nie został znaleziony.")


def _is_visible(call: Call, token: StoredToken, *permissions: str) -> bool:
    """Return whether the caller has one of ``permissions``, or the token is its own."""
    login = call.caller
    if set(permissions) & set(call.world.permissions_of(login)):
        return True
    return token is login.token if login.token is not None else is_callers(call, token.author)


def _fits(call: Call, token: StoredToken, wanted: TokenFilter) -> bool:
    return (
        (not wanted.status or status_of_token(call.world, token, call.now) in wanted.status)
        and (wanted.description or "").lower() in token.description.lower()
        and (wanted.author_identifier or "").lower() in token.author.value.lower()
        and wanted.author_identifier_type in (None, token.author.type)
    )


def _row(call: Call, token: StoredToken) -> IssuedToken:
    status = status_of_token(call.world, token, call.now)
    return IssuedToken(
        reference_number=token.reference_number,
        author=SubjectIdentifier(SubjectType(token.author.type), token.author.value),
        context=token.context,
        description=token.description,
        requested_permissions=tuple(Permission(permission) for permission in token.permissions),
        date_created=token.created_at,
        last_use_date=token.last_used_at,
        status=status,
        status_details=(token.failure,) if status is TokenStatus.FAILED else (),
    )
