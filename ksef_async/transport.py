"""The only place that touches a socket: a request goes out, a complete answer comes back.

Every failure of aiohttp becomes a `TransportError` that says whether KSeF may have seen the request.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn, Protocol

import aiohttp
import anyio.to_thread
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.payload import Payload
from yarl import URL

from .errors import AnswerTimeoutError, ConnectError, LocalProtocolError, RemoteProtocolError, TransportError
from .protocol.bodies import ACCEPT_ENCODING, AnswerBody, BodyTooLargeError, UnreadableBodyError
from .protocol.messages import FileBody, RawRequest, RawResponse

__all__ = ["AiohttpTransport", "Transport"]

_LARGE = 2**20
#: What is read from a file, and handed to the socket, at a time. With more, each piece is fresh memory from the system,
#: which costs as much as is saved by fewer calls.
_PIECE: Final = 2**18
#: The most bytes that are read of an answer which is an error; its status counts, also without the rest.
_LARGEST_ERROR: Final = 1_000_000
#: Bytes that are decompressed at a time, to 4 MB at most: the event loop is not held up.
_COMPRESSED_PIECE: Final = 4096


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
        self._file_timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout, sock_read=answer_timeout)
        #: Seconds for each piece of a file to be taken, and then for the answer.
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
            OSError: The file to be sent cannot be read.
        """
        if isinstance(request.body, FileBody):
            return await self._send_file(request, request.body)
        return await self._exchange(request, _payload(request.body), request.headers, self._timeout)

    async def _send_file(self, request: RawRequest, body: FileBody) -> RawResponse:
        headers = {**request.headers, "Content-Length": str(body.size)}
        pieces = None
        try:
            async with asyncio.timeout(self._patience) as limit:
                pieces = _Pieces(body, limit, self._patience)
                return await self._exchange(request, pieces, headers, self._file_timeout)
        except TimeoutError:
            raise AnswerTimeoutError(
                f"{request.operation}: for {self._patience:g} s the other side took no more of the file, or gave no "
                "answer; it may have come through all the same.",
                maybe_delivered=True,
            ) from None
        except TransportError:
            if pieces is not None and pieces.failure is not None:
                raise pieces.failure from None
            raise

    async def _exchange(
        self,
        request: RawRequest,
        payload: bytes | io.BytesIO | Payload | None,
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> RawResponse:
        if self._session is None:
            # Firewall cookies must not tie the calls of a process together, hence the dummy jar.
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        what = f"{request.operation}: "
        url = _checked_address(request, headers)
        try:
            async with self._session.request(
                request.method,
                url,
                data=payload,
                headers={**headers, "Accept-Encoding": ACCEPT_ENCODING},
                allow_redirects=False,
                auto_decompress=False,
                middlewares=(*_middlewares_of(self._session), _sent_once),
                raise_for_status=False,
                timeout=timeout,
            ) as response:
                body = await _read(request, response)
                lower = {name.lower(): value for name, value in response.headers.items()}
                return RawResponse(status=response.status, headers=lower, body=body)
        # `from None`: aiohttp's messages carry the URL, and a signed link is a secret. Its kind and reason suffice.
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            # One or the other, by the kind of error and the version of aiohttp.
            reasons = (getattr(error, name, None) for name in ("os_error", "certificate_error"))
            reason = next(filter(None, reasons), "no connection in time")
            raise ConnectError(f"{what}KSeF cannot be reached ({reason}).", maybe_delivered=False) from None
        except TimeoutError:
            raise AnswerTimeoutError(
                f"{what}no complete answer within {self._timeout.sock_read:g} s; KSeF may have acted all the same.",
                maybe_delivered=True,
            ) from None
        # Not all that aiohttp's parsers raise is of its own kinds.
        except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError, ArithmeticError, LookupError) as error:
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


def _checked_address(request: RawRequest, headers: Mapping[str, str]) -> URL:
    """Return the address; refuse what aiohttp would refuse later, with the same exceptions as for a wrong answer."""
    try:
        # As it stands: rewriting the escapes of a signed link may break its signature.
        url = URL(request.url, encoded=True)
        is_usable = bool(url.host and url.port) and re.fullmatch(r"[!-~]+", request.url) is not None
    except ValueError:
        is_usable = False
    if not is_usable or not re.fullmatch(r"[A-Z]+", request.method):
        raise RemoteProtocolError(
            f"{request.operation}: nothing can be sent to the address that KSeF gave.", operation=request.operation
        )
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\t -~\x80-\uD7FF]*", value):
            raise LocalProtocolError(f"{request.operation}: a header cannot be sent as it is; nothing was sent.")
    return url


def _middlewares_of(session: aiohttp.ClientSession) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    # Those of a request take the place of the session's, which a borrowed session may have, and no public name tells.
    return tuple(getattr(session, "_middlewares", ()))


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


async def _read(request: RawRequest, response: aiohttp.ClientResponse) -> bytes:
    """Return the body, decompressed.

    Raises:
        RemoteProtocolError: It is too large, or compressed in an unknown way, although it is one of success.
        TransportError: It is not what it says it is.
    """
    is_error = response.status >= 300
    largest = _LARGEST_ERROR if is_error else request.largest_answer
    problem = f"has more than {largest:,} bytes"
    body = None
    try:
        body = AnswerBody(largest=largest, encoding=response.headers.get("Content-Encoding", ""))
        if not is_error and (response.content_length or 0) > largest:
            raise BodyTooLargeError
        # As it comes: `read()` would hold a large answer twice, once in pieces.
        async for piece in response.content.iter_any():
            await _feed(body, piece)
        body.end()
    except (BodyTooLargeError, UnreadableBodyError) as error:
        response.close()
        if is_error:
            return b"" if body is None else body.content
        if body is not None and isinstance(error, UnreadableBodyError):
            raise TransportError(
                f"{request.operation}: the answer cannot be decompressed; KSeF may have acted all the same.",
                maybe_delivered=True,
            ) from None
        if body is None:
            problem = "is compressed in a way that was not asked for"
        raise RemoteProtocolError(
            f"{request.operation}: the answer {problem}, so it is not read; KSeF may have acted all the same.",
            operation=request.operation,
            maybe_delivered=True,
        ) from None
    return body.content


async def _feed(body: AnswerBody, piece: bytes) -> None:
    if not body.is_compressed:
        body.feed(piece)
        return
    for start in range(0, len(piece), _COMPRESSED_PIECE):
        body.feed(piece[start : start + _COMPRESSED_PIECE])
        await asyncio.sleep(0)


def _payload(body: bytes | None) -> bytes | io.BytesIO | None:
    # aiohttp writes a large body in pieces, so that the event loop stays free, only from a file-like object.
    return io.BytesIO(body) if body is not None and len(body) > _LARGE else body


class _Pieces(Payload):
    """A file in pieces, sent once; each one taken gives the next as much time."""

    def __init__(self, body: FileBody, limit: asyncio.Timeout, patience: float) -> None:
        super().__init__(body.path)
        self._body = body
        self._limit = limit
        self._patience = patience
        self._sent = 0
        #: Why the file could not be read; aiohttp makes a broken connection of it.
        self.failure: LocalProtocolError | OSError | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        raise TypeError("a file is not decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        while self._sent < self._body.size:
            self._go_on()
            await writer.write(await self._next())
        self._go_on()

    def _go_on(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time() + self._patience)
        if self._body.progress is not None:
            self._body.progress(self._sent)

    async def _next(self) -> memoryview | bytes:
        size = min(_PIECE, self._body.size - self._sent)
        piece: memoryview | bytes | None = _read_at_hand(self._body.path, self._sent, size)
        if piece:
            # The socket may take all there is without ever waiting: others want to run meanwhile.
            await asyncio.sleep(0)
        else:
            try:
                piece = await anyio.to_thread.run_sync(self._read, size)
            except (LocalProtocolError, OSError) as error:
                self.failure = error
                raise
        self._sent += len(piece)
        return piece

    def _read(self, size: int) -> bytes:
        # Opened for each piece: so nothing has to be closed while a cancelled task's thread may still be reading.
        with self._body.path.open("rb") as file:
            file.seek(self._sent)
            data = file.read(size)
        if len(data) < size:
            raise LocalProtocolError(f"{self._body.path} is shorter than the {self._body.size:,} bytes to send.")
        return data


def _read_at_hand(path: Path, start: int, size: int) -> memoryview | None:
    """What the system has in memory of these bytes, which takes no thread; None where only the disk would tell.

    A part that was just packed is nearly always there. Handing each piece to a thread takes as long as sending it.
    """
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            piece = bytearray(size)
            read = os.preadv(file, [piece], start, os.RWF_NOWAIT)
        finally:
            os.close(file)
    except OSError:
        # Not in memory, or not to be read so, or not at all: reading it in a thread gives it, or the reason.
        return None
    return memoryview(piece)[:read]
