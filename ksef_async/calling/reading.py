"""Reading the body of an answer, within its bound."""

from __future__ import annotations

import asyncio
import hashlib
from typing import IO, Final

import aiohttp
import anyio.to_thread

from ..errors import RemoteProtocolError, TransportError
from ..protocol.messages import AnswerBody, BodyTooLargeError, RawRequest, UnreadableBodyError, WrittenBody

__all__ = ["FileNotWrittenError", "read_body"]

# The most bytes that are read of an answer which is an error; its status counts, also without the rest.
_LARGEST_ERROR: Final = 1_000_000
# Bytes a second. Each byte that comes gives the rest as much time: a large answer over a slow line is not broken off,
# and one that only trickles is.
_SLOWEST: Final = 20_000
# Bytes that are decompressed at a time, to 4 MB at most: the event loop is not held up.
_COMPRESSED_PIECE: Final = 4096
# Bytes that are written to a file at a time.
_WRITE: Final = 2**20


class FileNotWrittenError(Exception):
    """The file for the body cannot be written."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(reason)
        self.reason = reason


async def read_body(
    request: RawRequest, response: aiohttp.ClientResponse, limit: asyncio.Timeout
) -> tuple[bytes, WrittenBody | None]:
    """Return the body, decompressed; where it goes to the request's file, its beginning and what was written.

    Raises:
        RemoteProtocolError: It is too large, or compressed in an unknown way, although it is one of success.
        TransportError: It is not what it says it is.
        OSError: The request's file cannot be written.
    """
    if request.into is None and _is_small(response, request.largest_answer):
        # Nearly all are: neither a bound nor a timer is to be minded.
        return await response.content.read(), None
    is_error = response.status >= 300
    largest = _LARGEST_ERROR if is_error else request.largest_answer
    problem = f"has more than {largest:,} bytes"
    body = None
    file = None if is_error or request.into is None else _File(request.into)
    try:
        body = AnswerBody(largest=largest, encoding=response.headers.get("Content-Encoding", ""))
        if not is_error and (response.content_length or 0) > largest:
            raise BodyTooLargeError
        # As it comes: `read()` would hold a large answer twice, once in pieces.
        earned = 0.0
        async for piece in response.content.iter_any():
            await _feed(body, piece)
            if file is not None and body.waiting >= _WRITE:
                await file.write(body.take())
            earned += len(piece) / _SLOWEST
            # Setting a timer anew takes time, so the pieces of a small answer do not.
            if earned >= 1.0:
                when = limit.when()
                if when is not None and not limit.expired():
                    limit.reschedule(when + earned)
                earned = 0.0
        body.end()
    except (BodyTooLargeError, UnreadableBodyError) as error:
        response.close()
        if is_error:
            return b"" if body is None else body.content, None
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
    if file is None:
        return body.content, None
    await file.write(body.take())
    return file.beginning, file.written


def _is_small(response: aiohttp.ClientResponse, largest: int) -> bool:
    """Return whether an answer says of itself that it is plain, within its bound, and comes in one or two pieces."""
    size, headers = response.content_length, response.headers
    return (
        size is not None
        and size <= min(_SLOWEST, largest)
        and "Content-Encoding" not in headers
        and "Transfer-Encoding" not in headers
    )


class _File:
    """Writes a body to a file, in threads."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._size = 0
        self._digest = hashlib.sha256()
        self.beginning = b""
        """Enough to see a page in place of a document."""

    @property
    def written(self) -> WrittenBody:
        return WrittenBody(size=self._size, sha256=self._digest.digest())

    async def write(self, data: bytes) -> None:
        if not self._size:
            self.beginning = data[:1000]
        try:
            await anyio.to_thread.run_sync(self._write, data)
        except OSError as error:
            # Not to be taken for one of the network's.
            raise FileNotWrittenError(error) from None

    def _write(self, data: bytes) -> None:
        if not self._size:
            # An attempt before this one may have left something.
            self._file.seek(0)
            self._file.truncate()
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)


async def _feed(body: AnswerBody, piece: bytes) -> None:
    if not body.is_compressed:
        body.feed(piece)
        return
    for start in range(0, len(piece), _COMPRESSED_PIECE):
        body.feed(piece[start : start + _COMPRESSED_PIECE])
        await asyncio.sleep(0)
