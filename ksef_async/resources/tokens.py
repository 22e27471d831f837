"""KSeF tokens: the long-lived secrets programs log in with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from ..api.common import StatusInfo
from ..api.permission_grants import Permission
from ..api.tokens import (
    GENERATE_TOKEN,
    GET_TOKEN,
    LIST_TOKENS,
    REVOKE_TOKEN,
    GenerateTokenRequest,
    IssuedToken,
    TokenFilter,
    TokenStatus,
)
from ..calling.caller import Caller
from ..calling.paging import TokenPages
from ..errors import BadRequestError
from ..protocol.lifecycle import Phase
from ..protocol.resource_lifecycles import TOKEN
from .handles import OperationHandle
from .lists import list_by_token

__all__ = ["GeneratedToken", "Tokens"]

_GONE: Final = (TokenStatus.REVOKING, TokenStatus.REVOKED)


class GeneratedToken(OperationHandle[IssuedToken]):
    """A token that was just generated: ``await generated.wait()`` until it can be logged in with.

    `Tokens.generate` makes them. By its reference number a token is found again with `Tokens.get`, without the secret.
    """

    def __init__(self, api: Caller, reference_number: str, token: str) -> None:
        async def look() -> IssuedToken:
            return await _get(api, reference_number)

        super().__init__("Token", reference_number, look, lifecycle=TOKEN, status=_as_status)
        self.token = token
        """The secret. KSeF shows it this once: store it before anything else."""


class Tokens:
    """The tokens of a context. `KsefClient.tokens` is one."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def generate(self, permissions: Iterable[Permission | str], description: str) -> GeneratedToken:
        """Generate a token; KSeF activates it some seconds later.

        Args:
            permissions: What it is allowed to do; only what the caller may do itself.
            description: What it is for, 5 to 256 characters.

        Returns:
            The secret, and a way to wait for the activation.

        Raises:
            InvalidFieldError: The description is too short or too long; nothing was sent.
            BadRequestError: The caller lacks one of the permissions (26001), or its context is no NIP or internal
                identifier (26002).
            ForbiddenError: The login was made with a token, which KSeF gives no others.
            TransportError: The call failed. After an error with ``maybe_delivered`` a token may exist whose secret
                nobody knows; `list` shows it, and it can be revoked.
            ApiError: As for TransportError.
            RemoteProtocolError: As for TransportError.

        Source: POST /tokens; tokeny-ksef.md.
        """
        request = GenerateTokenRequest(
            permissions=tuple(Permission(permission) for permission in permissions), description=description
        )
        response = await self._api.call(GENERATE_TOKEN, request)
        return GeneratedToken(self._api, response.reference_number, response.token)

    def list(self, token_filter: TokenFilter | None = None) -> TokenPages[IssuedToken]:
        """Return the tokens that fit ``token_filter``, newest first.

        Those with CredentialsManage or CredentialsRead see all of their context, others their own.

        Source: GET /tokens.
        """
        query = attrs.asdict(token_filter or TokenFilter(), recurse=False)
        return list_by_token(
            self._api, LIST_TOKENS, lambda page: page.tokens, page_size=LIST_TOKENS.largest_page, query=query
        )

    async def get(self, reference_number: str) -> IssuedToken:
        """Return a token's permissions, status and dates.

        Raises:
            BadRequestError: KSeF does not know it (21405).
            ForbiddenError: It belongs to somebody else.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /tokens/{referenceNumber}.
        """
        return await _get(self._api, reference_number)

    async def revoke(self, reference_number: str) -> None:
        """End a token: no login and no refresh with it from now on; access tokens live on until they expire.

        Revoking a token twice does no harm.

        Raises:
            BadRequestError: KSeF does not know it (21405).
            ForbiddenError: It belongs to somebody else.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: DELETE /tokens/{referenceNumber}.
        """
        try:
            await self._api.call(REVOKE_TOKEN, path={"reference_number": reference_number})
        except BadRequestError as refused:
            # Revoked before, perhaps by this very call, whose first answer was lost.
            try:
                issued = await self.get(reference_number)
            except BadRequestError:
                raise refused from None
            if issued.status not in _GONE:
                raise


async def _get(api: Caller, reference_number: str) -> IssuedToken:
    return await api.call(GET_TOKEN, path={"reference_number": reference_number})


def _as_status(token: IssuedToken) -> StatusInfo:
    # KSeF gives a token's state a word and no code; errors carry both, so the code is that of the rule for all others.
    code = {Phase.IN_PROGRESS: 100, Phase.SUCCESS: 200, Phase.FAILURE: 500}[TOKEN.phase(token.status)]
    return StatusInfo(code, token.status.value, token.status_details)
