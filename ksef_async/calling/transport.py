"""Requests over a pool of aiohttp's connections."""

from __future__ import annotations

import asyncio
import functools
import io
import os
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Final, Protocol

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.payload import Payload
from aiohttp.tracing import Trace
from yarl import URL

from ..errors import AnswerTimeoutError, ConnectError, LocalProtocolError, RemoteProtocolError, TransportError
from ..protocol.messages import ACCEPT_ENCODING, FileBody, RawRequest, RawResponse
from .files import FilePayload, payload_of
from .networks import Proxies, Proxy, tls_context
from .reading import FileNotWrittenError, read_body

__all__ = ["AiohttpTransport", "Transport", "failure_of", "proxy_wants_a_password"]

_METHOD: Final = re.compile(r"[A-Z]+")
# Names and values of headers: neither line breaks nor what cannot be encoded.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\t -~\x80-\uD7FF]*")
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
# The names that our own requests have: most need no look at each letter.
_USUAL_NAMES: Final = frozenset(
    (
        "Accept",
        "Authorization",
        "Content-Length",
        "Content-Type",
        "User-Agent",
        "X-Error-Format",
        "x-continuation-token",
    )
)

# How far the request of this task came.
_progress: ContextVar[dict[str, bool]] = ContextVar("_progress")


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
        http_session: A pool of the caller's, which stays open; None for one of our own. Proxies and certificates are
            then its own, the environment's variables included.
        connect_timeout: Seconds for a connection to stand.
        answer_timeout: Seconds from then on for the whole answer; a large one may take as much longer as it takes at
            20 kB a second.
        proxy: Address of the proxy for every request, e.g. ``http://user:password@proxy.example:3128``; by default
            the environment's (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), and none at all where this is empty.
        ssl_context: Decides which certificates are trusted.
        ca_file: Certificates of authorities (PEM) that are trusted besides the system's.

    Raises:
        LocalProtocolError: ``http_session`` would add credentials of its own to every request, signed links included;
            or an argument cannot be used, or not beside another.
    """

    def __init__(
        self,
        http_session: aiohttp.ClientSession | None = None,
        *,
        connect_timeout: float = 10.0,
        answer_timeout: float = 60.0,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        ca_file: Path | str | None = None,
    ) -> None:
        if http_session is not None:
            _check_borrowed(http_session, {"proxy": proxy, "ssl_context": ssl_context, "ca_file": ca_file})
        self._owned = http_session is None
        self._session = http_session
        self._proxies = Proxies.choose(proxy, os.environ if self._owned else {})
        self._tls = tls_context(ssl_context, ca_file)
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=answer_timeout)
        self._answer_timeout = answer_timeout
        # Seconds for connection and answer, and besides for each piece of a file to be taken.
        self._patience = connect_timeout + answer_timeout

    async def send(self, request: RawRequest) -> RawResponse:
        """Send ``request``; redirects are answers, not followed.

        A file is sent however long it takes: what is timed is how long the other side takes for each piece of it.

        Raises:
            ConnectError: KSeF could not be reached.
            AnswerTimeoutError: The answer took too long.
            TransportError: The connection broke, or what came is not HTTP.
            RemoteProtocolError: The answer is larger than `RawRequest.largest_answer`, or compressed in a way that
                was not asked for; the address, which KSeF gave, cannot be used.
            LocalProtocolError: The file to be sent is shorter than it should be; a header has a line break in it.
            OSError: The file to be sent cannot be read, or that for the answer cannot be written.
        """
        # A pool of the caller's does not show how far a request came.
        progress = {"was_sent": not self._owned}
        _progress.set(progress)
        file = None
        failure: TransportError | LocalProtocolError | OSError
        try:
            async with asyncio.timeout(self._patience) as limit:
                if not isinstance(request.body, FileBody):
                    return await self._exchange(request, payload_of(request.body), request.headers, limit, progress)
                headers = {**request.headers, "Content-Length": str(request.body.size)}
                file = FilePayload(request.body, limit, self._patience)
                return await self._exchange(request, file, headers, limit, progress)
        except TimeoutError as error:
            failure = self._failure(error, request, progress)
            if file is not None and not isinstance(failure, ConnectError):
                failure = AnswerTimeoutError(
                    f"{request.operation}: for {self._patience:g} s the other side took no more of the file, or gave "
                    "no answer; it may have come through all the same.",
                    maybe_delivered=True,
                )
        except TransportError:
            if file is None or file.failure is None:
                raise
            failure = file.failure
        raise failure from None

    async def _exchange(
        self,
        request: RawRequest,
        payload: bytes | io.BytesIO | Payload | None,
        headers: Mapping[str, str],
        limit: asyncio.Timeout,
        progress: dict[str, bool],
    ) -> RawResponse:
        url = _checked_address(request, headers)
        proxy = self._proxies.for_url(request.url)
        if self._session is None:
            self._session = self._pool()
        sent = {**headers, "Accept-Encoding": ACCEPT_ENCODING}
        if proxy is not None:
            sent |= _plain_authorization(url, proxy)
        try:
            async with self._session.request(
                request.method,
                url,
                data=payload,
                headers=sent,
                allow_redirects=False,
                auto_decompress=False,
                middlewares=_middlewares(self._session, request.method),
                proxy=None if proxy is None else proxy.url,
                proxy_headers=None if proxy is None else _authorization(proxy),
                raise_for_status=False,
                timeout=self._timeout,
            ) as response:
                if response.status == 407 and proxy is not None:
                    raise proxy_wants_a_password(request.operation, proxy)
                body, written = await read_body(request, response, limit)
                lower = {
                    name.lower(): value if value.isascii() else _readable(value)
                    for name, value in response.headers.items()
                }
                return RawResponse(status=response.status, headers=lower, body=body, written=written)
        except FileNotWrittenError as error:
            raise error.reason from None
        # Not all that aiohttp's parsers raise is of its own kinds.
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, ArithmeticError, LookupError) as error:
            failure = self._failure(error, request, progress)
        # Out here it has no context: what aiohttp raised holds addresses, and with them secrets.
        raise failure from None

    def _failure(self, error: Exception, request: RawRequest, progress: Mapping[str, bool]) -> TransportError:
        return failure_of(
            error,
            operation=request.operation,
            proxy=self._proxies.for_url(request.url),
            was_sent=progress["was_sent"],
            answer_timeout=self._answer_timeout,
        )

    def _pool(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # Firewall cookies must not tie the calls of a process together, hence the dummy jar.
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=_Connector(ssl=self._tls or True),
            # With True it would read `.netrc`, whose credentials would go to signed links too.
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the pool, if it is ours."""
        if self._owned and self._session is not None:
            await self._session.close()
            self._session = None


def _is_plain(text: str) -> bool:
    """Return whether it is nothing but printable ASCII, in a fraction of the time that a regular expression takes."""
    return text.isascii() and not text.encode("ascii").translate(None, _PRINTABLE)


def _checked_address(request: RawRequest, headers: Mapping[str, str]) -> URL:
    """Return the address; refuse what aiohttp would refuse later, with the same exceptions as for a wrong answer."""
    url = _address(request.url) if _METHOD.fullmatch(request.method) else None
    if url is None:
        raise RemoteProtocolError(
            f"{request.operation}: nothing can be sent to the address that KSeF gave.", operation=request.operation
        )
    # All at once, as nearly all are; what may be wrong is looked for one by one.
    if headers.keys() <= _USUAL_NAMES and _is_plain("".join(headers.values())):
        return url
    for name, value in headers.items():
        if not _NAME.fullmatch(name) or not (_is_plain(value) or _VALUE.fullmatch(value)):
            raise LocalProtocolError(f"{request.operation}: a header cannot be sent as it is; nothing was sent.")
    return url


@functools.lru_cache(128)  # as yarl does; most calls of a session go to one address
def _address(text: str) -> URL | None:
    """Return an address as it stands, since rewriting the escapes of a signed link may break its signature."""
    if _is_plain(text) and " " not in text:
        with suppress(ValueError):
            url = URL(text, encoded=True)
            return url if url.host and url.port else None
    return None


def _check_borrowed(session: aiohttp.ClientSession, others: Mapping[str, object]) -> None:
    if session.auth or "Authorization" in session.headers:
        raise LocalProtocolError(
            "The aiohttp session sends an Authorization header by default; it would reach signed links too."
        )
    if session.trust_env:
        raise LocalProtocolError(
            "The aiohttp session has trust_env=True, so credentials from .netrc would reach signed links too; "
            "leave it out, and name a proxy by aiohttp.ClientSession(proxy=...)."
        )
    if excluded := [name for name, value in others.items() if value is not None]:
        raise LocalProtocolError(
            f"http_session and {excluded[0]} exclude each other: a borrowed session has its own proxy (its argument "
            "proxy=) and certificates (its connector's ssl=)."
        )


def _readable(value: str) -> str:
    # aiohttp hands on bytes that are not UTF-8 as lone surrogates, which nothing can print or store.
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _authorization(proxy: Proxy) -> dict[str, str]:
    return {} if proxy.authorization is None else {"Proxy-Authorization": proxy.authorization}


def _plain_authorization(url: URL, proxy: Proxy | None) -> dict[str, str]:
    # Without TLS the proxy reads the request itself; with it, only what asks it for the connection.
    return _authorization(proxy) if proxy is not None and url.scheme == "http" else {}


class _Connector(aiohttp.TCPConnector):
    """Notes when a request has its connection: until then KSeF has not seen it, however it ends.

    aiohttp's tracing gives the same, and takes a sixth of the time that sending an invoice does.
    """

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        _progress.get()["was_sent"] = True
        return connection


def _middlewares(session: aiohttp.ClientSession, method: str) -> tuple[aiohttp.ClientMiddlewareType, ...] | None:
    if method == "POST":
        # aiohttp repeats none by itself: the session's own, which it may have.
        return None
    # Those of a request take the place of the session's. A borrowed session may have some, and no public name shows
    # them.
    return (*getattr(session, "_middlewares", ()), _sent_once)


class _ConnectionLostError(aiohttp.ClientConnectionError):
    """A connection that broke, of a kind for which aiohttp does not repeat the request."""


async def _sent_once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a GET, PUT or DELETE by itself: what is repeated, and when, is ours to say.

    It does so for the exceptions below, once, and has no setting against it (aiohttp#10790); a middleware is called
    for each attempt, and what it raises is what aiohttp decides by.
    """
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLostError(type(error).__name__) from None


def failure_of(
    error: Exception, *, operation: str, proxy: Proxy | None, was_sent: bool, answer_timeout: float
) -> TransportError:
    """Return the error to raise.

    Args:
        error: What aiohttp raised.
        operation: Name of the operation, for the message.
        proxy: What the request went through.
        was_sent: Whether anything of the request has left; True where that is not known.
        answer_timeout: Seconds that were waited for the answer.
    """
    reason = _reason(error)
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        if error.status == 407:
            return proxy_wants_a_password(operation, proxy)
        problem = f"the proxy {proxy.name} refuses the connection to KSeF (HTTP {error.status})"
    elif isinstance(error, aiohttp.ClientProxyConnectionError) and proxy is not None:
        problem = f"the proxy {proxy.name} cannot be reached ({reason})"
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        problem = (
            f"KSeF cannot be reached ({reason}). Where a proxy or a firewall opens TLS, its authority has to be named: "
            "ca_file=, or the environment's SSL_CERT_FILE"
        )
    elif isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not was_sent:
        through = f"through the proxy {proxy.name} " if proxy is not None else ""
        problem = f"KSeF cannot be reached {through}({reason})"
    elif isinstance(error, TimeoutError):
        return AnswerTimeoutError(
            f"{operation}: no complete answer within {answer_timeout:g} s; KSeF may have acted all the same.",
            maybe_delivered=True,
        )
    else:
        return TransportError(
            f"{operation}: the connection broke before the answer was complete ({type(error).__name__}); "
            "KSeF may have acted all the same.",
            maybe_delivered=True,
        )
    return ConnectError(f"{operation}: {problem}.", maybe_delivered=False)


def proxy_wants_a_password(operation: str, proxy: Proxy) -> ConnectError:
    """Return the error for 407."""
    wish = "asks for a user name and a password" if proxy.authorization is None else "refuses its user or password"
    return ConnectError(
        f"{operation}: the proxy {proxy.name} {wish} (HTTP 407): write them into its address, "
        "http://user:password@host:port.",
        maybe_delivered=False,
    )


def _reason(error: Exception) -> object:
    # One or the other, by the kind of error and the version of aiohttp.
    for name in ("certificate_error", "os_error"):
        if reason := getattr(error, name, None):
            return reason
    return "no connection in time" if isinstance(error, TimeoutError) else type(error).__name__
