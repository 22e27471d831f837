"""A file as a request's body, and large bodies at all: in pieces, so that the event loop stays free."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path
from typing import Final, NoReturn

import anyio.to_thread
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from ..errors import LocalProtocolError
from ..protocol.messages import FileBody

__all__ = ["FilePayload", "payload_of"]

_LARGE: Final = 2**20
# What is read from a file, and handed to the socket, at a time. With more, each piece is fresh memory from the system,
# which costs as much as is saved by fewer calls.
_PIECE: Final = 2**18


def payload_of(body: bytes | None) -> bytes | io.BytesIO | None:
    """Return a body as aiohttp is to be given it."""
    # aiohttp writes a large body in pieces, so that the event loop stays free, only from a file-like object.
    return io.BytesIO(body) if body is not None and len(body) > _LARGE else body


class FilePayload(Payload):
    """A file in pieces, sent once; each one taken gives the next as much time."""

    def __init__(self, body: FileBody, limit: asyncio.Timeout, patience: float) -> None:
        super().__init__(body.path)
        self._body = body
        self._limit = limit
        self._patience = patience
        self._sent = 0
        self.failure: LocalProtocolError | OSError | None = None
        """Why the file could not be read; aiohttp makes a broken connection of it."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        """Refuse: a file goes out as it is."""
        raise TypeError("a file is not decoded")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Send the pieces."""
        while self._sent < self._body.size:
            self._go_on()
            await writer.write(await self._next())
        self._go_on()

    def _go_on(self) -> None:
        if not self._limit.expired():
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
    """What the system has in memory of these bytes, which takes no thread; None where only the disk has them.

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
