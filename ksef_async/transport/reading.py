"""Reading the body of an answer, within its bound."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp

from ..errors import RemoteProtocolError, TransportError
from ..protocol.bodies import AnswerBody, BodyTooLargeError, UnreadableBodyError
from ..protocol.messages import RawRequest

__all__ = ["read_body"]

#: The most bytes that are read of an answer which is an error; its status counts, also without the rest.
_LARGEST_ERROR: Final = 1_000_000
#: Bytes a second. Each byte that comes gives the rest as much time: a large answer over a slow line is not broken off,
#: and one that only trickles is.
_SLOWEST: Final = 20_000
#: Bytes that are decompressed at a time, to 4 MB at most: the event loop is not held up.
_COMPRESSED_PIECE: Final = 4096


async def read_body(request: RawRequest, response: aiohttp.ClientResponse, limit: asyncio.Timeout) -> bytes:
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
            when = limit.when()
            if when is not None and not limit.expired():
                limit.reschedule(when + len(piece) / _SLOWEST)
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
