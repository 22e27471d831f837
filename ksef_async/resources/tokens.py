"""KSeF tokens: the long-lived secrets programs log in with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from ..caller import Api
from ..errors import BadRequestError, ProcessingError
from ..models.common import StatusInfo
from ..models.tokens import GenerateTokenRequest, IssuedToken, TokenFilter, TokenPermission, TokenStatus
from ..operations.tokens import GENERATE_TOKEN, GET_TOKEN, LIST_TOKENS, REVOKE_TOKEN
from ..paging import TokenPages
from ..polling import Cadence, wait_until
from .lists import list_by_token

__all__ = ["TOKEN_CADENCE", "GeneratedToken", "Tokens"]

#: KSeF takes seconds to activate a token.
TOKEN_CADENCE: Final = Cadence(interval=0.5, factor=1.6, longest=5.0, deadline=300.0)

_GONE: Final = (TokenStatus.REVOKING, TokenStatus.REVOKED)


class GeneratedToken:
    """A token that was just generated: ``await generated.active()`` before it is logged in with.

    `KsefClient.tokens` makes them; a token is found again by its reference number with `Tokens.get`, without the
    secret.
    """

    def __init__(self, api: Api, reference_number: str, token: str) -> None:
        self._api = api
        #: 36 characters.
        self.reference_number = reference_number
        #: The secret. KSeF shows it this once: store it before anything else.
        self.token = token

    def __repr__(self) -> str:
        return f"<GeneratedToken {self.reference_number}>"

    async def status(self) -> IssuedToken:
        """Ask KSeF how far it is.

        Raises:
            TransportError, ApiError, RemoteProtocolError: The call failed.
        """
        return await _get(self._api, self.reference_number)

    async def active(self, cadence: Cadence = TOKEN_CADENCE) -> IssuedToken:
        """Wait until it can be logged in with.

        Args:
            cadence: How often to look, and for how long.

        Raises:
            ProcessingError: KSeF could not activate it, or it was revoked meanwhile.
            WaitTimeoutError: It was still pending when ``cadence.deadline`` passed.
            TransportError, ApiError, RemoteProtocolError: A call failed.

        Source: GET /tokens/{referenceNumber}.
        """
        issued = await wait_until(
            self.status,
            lambda token: token.status != TokenStatus.PENDING,
            cadence,
            what=f"Token {self.reference_number}",
            status=_as_status,
        )
        if issued.status != TokenStatus.ACTIVE:
            message = f"Token {self.reference_number} cannot be used"
            raise ProcessingError(message, status=_as_status(issued))
        return issued


class Tokens:
    """The tokens of a context. `KsefClient.tokens` is one."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def generate(self, permissions: Iterable[TokenPermission | str], description: str) -> GeneratedToken:
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
            TransportError, ApiError, RemoteProtocolError: The call failed. After a `TransportError` with
                ``maybe_delivered`` a token may exist whose secret nobody knows; `list` shows it, and it can be revoked.

        Source: POST /tokens; tokeny-ksef.md.
        """
        request = GenerateTokenRequest(
            permissions=tuple(TokenPermission(permission) for permission in permissions), description=description
        )
        response = await self._api.call(GENERATE_TOKEN, request)
        return GeneratedToken(self._api, response.reference_number, response.token)

    def list(self, token_filter: TokenFilter | None = None) -> TokenPages[IssuedToken]:
        """The tokens that fit ``token_filter``, newest first.

        Those with CredentialsManage or CredentialsRead see all of their context, others their own.

        Source: GET /tokens.
        """
        query = attrs.asdict(token_filter or TokenFilter(), recurse=False)
        return list_by_token(
            self._api, LIST_TOKENS, lambda page: page.tokens, page_size=LIST_TOKENS.largest_page, query=query
        )

    async def get(self, reference_number: str) -> IssuedToken:
        """What KSeF tells of a token.

        Raises:
            BadRequestError: KSeF does not know it (21405).
            ForbiddenError: It belongs to somebody else.
            TransportError, ApiError, RemoteProtocolError: The call failed.

        Source: GET /tokens/{referenceNumber}.
        """
        return await _get(self._api, reference_number)

    async def revoke(self, reference_number: str) -> None:
        """End a token: no login and no refresh with it from now on; access tokens live on until they expire.

        Revoking a token twice does no harm.

        Raises:
            BadRequestError: KSeF does not know it (21405).
            ForbiddenError: It belongs to somebody else.
            TransportError, ApiError, RemoteProtocolError: The call failed.

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


async def _get(api: Api, reference_number: str) -> IssuedToken:
    return await api.call(GET_TOKEN, path={"reference_number": reference_number})


def _as_status(token: IssuedToken) -> StatusInfo:
    # KSeF gives a token's state a word and no code; errors carry both, so the code is that of the rule for all others.
    code = {TokenStatus.PENDING: 100, TokenStatus.ACTIVE: 200}.get(token.status, 500)
    return StatusInfo(code, token.status.value, token.status_details)
