"""A bearer token that is always fresh: logged in lazily, refreshed once for everybody, logged in again when dead."""

from __future__ import annotations

from datetime import date, timedelta

import anyio

from ..api.auth import REFRESH_ACCESS_TOKEN, REVOKE_CURRENT_LOGIN, TokenInfo, TokenPair
from ..calling.caller import Caller
from ..calling.events import CredentialsEnding
from ..calling.keys import PublicKeys
from ..calling.polling import Cadence
from ..errors import BadRequestError, ForbiddenError, RemoteProtocolError, UnauthorizedError
from .credentials import Credentials
from .ending import EXPIRY_NOTICE, ending_of
from .login import log_in

__all__ = ["AccessTokens"]

REFRESH_MARGIN = timedelta(seconds=60)
"""A token is replaced this long before it ends, so that no call starts with one that dies on the way."""


class AccessTokens:
    """The tokens of one login; safe to use from many tasks, which all wait for one refresh.

    Args:
        caller: How to reach KSeF.
        keys: The Ministry's public keys.
        credentials: Who logs in, and how.
        cadence: How often to look at a login, and for how long; see `log_in`.
        notice: Seconds before the end of certificate or token from which on that is told, once a day.
    """

    def __init__(
        self,
        caller: Caller,
        keys: PublicKeys,
        credentials: Credentials,
        *,
        cadence: Cadence | None = None,
        notice: float = EXPIRY_NOTICE,
    ) -> None:
        self._notice = notice
        self._told_on: date | None = None
        self._caller = caller
        self._keys = keys
        self._credentials = credentials
        self._cadence = cadence
        self._lock = anyio.Lock()
        self._tokens: TokenPair | None = None
        # How many renewals have begun, and which of them the tokens come from.
        self._begun = 0
        self._renewal = 0

    def __repr__(self) -> str:
        until = self._tokens.access_token.valid_until if self._tokens else None
        state = "not logged in" if self._tokens is None else f"until {until:%H:%M:%S}" if until else "logged in"
        return f"<AccessTokens {self._credentials.context}, {state}>"

    @property
    def current(self) -> str | None:
        """The access token as it is now; None before the first login."""
        return self._tokens.access_token.token if self._tokens else None

    async def get(self) -> str:
        """Return an access token that is good for a while; logs in or refreshes where needed.

        Raises:
            KsefError: As `log_in`.
        """
        if self._tokens is None or self._ends_soon(self._tokens.access_token):
            async with self._lock:
                if self._tokens is None or self._ends_soon(self._tokens.access_token):
                    return await self._renew()
        return self._tokens.access_token.token

    async def replace(self, refused: str) -> str:
        """Another access token, after KSeF refused ``refused``: one refresh serves all who were refused.

        Raises:
            KsefError: As `log_in`.
        """
        async with self._lock:
            if self._tokens is None or self._tokens.access_token.token == refused:
                token = await self._renew()
                if token != refused:
                    return token
                # KSeF refreshes to the very token it refuses. All who were refused share the new login.
                self._tokens = None
                return await self._renew()
            return self._tokens.access_token.token

    async def refresh(self) -> None:
        """Get an access token that is newer than this call; all who call meanwhile share one refresh.

        Raises:
            KsefError: As `log_in`.
        """
        # A renewal under way may have been answered before the caller had reason to ask for one.
        wanted = self._begun + 1
        async with self._lock:
            if self._renewal < wanted:
                await self._renew()

    async def revoke(self) -> None:
        """End the login at KSeF: its refresh token dies at once, its access token when its time is up.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: DELETE /auth/sessions/current.
        """
        async with self._lock:
            tokens, self._tokens = self._tokens, None
            if tokens is not None:
                await self._caller.with_bearer(tokens.refresh_token.token).call(REVOKE_CURRENT_LOGIN)

    async def _renew(self) -> str:
        self._begun += 1
        renewal = self._begun
        self._tokens = await self._renewed()
        self._renewal = renewal
        self._tell_of_the_end()
        return self._tokens.access_token.token

    @property
    def ending(self) -> CredentialsEnding | None:
        """The end of certificate or token, where it is near enough to be told; None while it is far."""
        return ending_of(self._credentials, self._caller.environment, self._caller.now(), self._notice)

    def _tell_of_the_end(self) -> None:
        today = self._caller.now().date()
        if today != self._told_on and (ending := self.ending) is not None:
            self._told_on = today
            self._caller.report(ending)

    async def _renewed(self) -> TokenPair:
        if self._tokens is not None and not self._ends_soon(self._tokens.refresh_token):
            refresh_token = self._tokens.refresh_token
            try:
                response = await self._caller.with_bearer(refresh_token.token).call(REFRESH_ACCESS_TOKEN)
                return TokenPair(response.access_token, refresh_token)
            except (BadRequestError, UnauthorizedError, ForbiddenError, RemoteProtocolError):
                pass  # The refresh token is expired or revoked, or of no use: the credentials may still be good.
        return await log_in(self._caller, self._keys, self._credentials, cadence=self._cadence)

    def _ends_soon(self, token: TokenInfo) -> bool:
        # One that does not say until when is used until KSeF refuses it.
        return token.valid_until is not None and self._caller.now() >= token.valid_until - REFRESH_MARGIN
