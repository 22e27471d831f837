"""A server below HTTP: what it is told goes out byte by byte, whether or not it is an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import asynccontextmanager

from ksef_async import Environment

#: What comes after a request was read; the connection is closed when it returns.
Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def conversing(conversation: Conversation) -> AsyncGenerator[Environment]:
    """An environment at which every connection is left to ``conversation``."""
    tasks = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await conversation(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has hung up, or the test is over
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield Environment(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2")
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
