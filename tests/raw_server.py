"""A server below HTTP: what it is told goes out byte by byte, whether or not it is an answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import asynccontextmanager

from ksef_async import Environment

#: What comes after a request was read; the connection is closed when it returns.
Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(
    conversation: Conversation, *, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[int]:
    """A port at which every connection is left to ``conversation``, by TLS where a context is given."""
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await conversation(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has hung up, or the test is over
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", port, ssl=tls, limit=2**20)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def conversing(conversation: Conversation) -> AsyncGenerator[Environment]:
    """An environment at which every connection is left to ``conversation``."""
    async with listening(conversation) as port:
        yield Environment(f"http://127.0.0.1:{port}/v2")


def forwarding_to(port: int) -> Conversation:
    """Pass on whatever comes, to a port of this machine and back."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    return converse


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other side has hung up
    finally:
        writer.close()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """Return the request line and the headers of the next request."""
    return await reader.readuntil(b"\r\n\r\n")


def answering_with(answer: bytes | Callable[[], AsyncIterable[bytes]]) -> Conversation:
    """Answer the first request of a connection with these bytes, and hang up."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        if isinstance(answer, bytes):
            writer.write(answer)
        else:
            async for piece in answer():
                writer.write(piece)
                await writer.drain()
        await writer.drain()

    return converse
