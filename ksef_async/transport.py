"""The only place that touches a socket: a request goes out, a complete answer comes back.

Every failure of aiohttp becomes a `TransportError` that says whether KSeF may have seen the request.
"""

from __future__ import annotations

import io
from typing import Protocol

import aiohttp

from .errors import AnswerTimeoutError, ConnectError, LocalProtocolError, TransportError
from .protocol.messages import RawRequest, RawResponse

__all__ = ["AiohttpTransport", "Transport"]

_LARGE = 2**20


class Transport(Protocol):
    """Sends a request as it stands and returns the whole answer."""

    async def send(self, request: RawRequest, /) -> RawResponse:
        """Send ``request``.

        Raises:
            TransportError: No complete answer came.
        """
        ...


class AiohttpTransport:
    """A transport on an aiohttp connection pool.

    Args:
        session: A pool of the caller's, which stays open; None for one of our own.
        connect_timeout: Seconds for a connection to stand.
        answer_timeout: Seconds from then on for the whole answer.

    Raises:
        LocalProtocolError: ``session`` would add credentials of its own to every request, signed links included.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession | None = None,
        *,
        connect_timeout: float = 10.0,
        answer_timeout: float = 60.0,
    ) -> None:
        if session is not None and (session.auth or "Authorization" in session.headers):
            raise LocalProtocolError(
                "The aiohttp session sends an Authorization header by default; it would reach signed links too."
            )
        self._owned = session is None
        self._session = session
        self._timeout = aiohttp.ClientTimeout(
            total=connect_timeout + answer_timeout, sock_connect=connect_timeout, sock_read=answer_timeout
        )

    async def send(self, request: RawRequest) -> RawResponse:
        """Send ``request``; redirects are answers, not followed.

        Raises:
            ConnectError: KSeF could not be reached.
            AnswerTimeoutError: The answer took too long.
            TransportError: The connection broke.
        """
        if self._session is None:
            # Firewall cookies must not tie the calls of a process together, hence the dummy jar.
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        what = f"{request.operation}: "
        try:
            async with self._session.request(
                request.method,
                request.url,
                data=_payload(request.body),
                headers=request.headers,
                allow_redirects=False,
                raise_for_status=False,
                timeout=self._timeout,
            ) as response:
                body = await response.read()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return RawResponse(status=response.status, headers=headers, body=body)
        # `from None`: aiohttp's messages carry the URL, and a signed link is a secret. Its kind and reason suffice.
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            reason = getattr(error, "os_error", None) or "no connection in time"
            raise ConnectError(f"{what}KSeF cannot be reached ({reason}).", maybe_delivered=False) from None
        except TimeoutError:
            raise AnswerTimeoutError(
                f"{what}no complete answer within {self._timeout.sock_read:g} s; KSeF may have acted all the same.",
                maybe_delivered=True,
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise TransportError(
                f"{what}the connection broke before the answer was complete ({type(error).__name__}); "
                "KSeF may have acted all the same.",
                maybe_delivered=True,
            ) from None

    async def aclose(self) -> None:
        """Close the pool, if it is ours."""
        if self._owned and self._session is not None:
            await self._session.close()
            self._session = None


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    # aiohttp writes a large body in pieces, so that the event loop stays free, only from a file-like object.
    return io.BytesIO(body) if body is not None and len(body) > _LARGE else body
