"""The file in which a command keeps where its download stands."""

from __future__ import annotations

import math
from typing import Final, Self

import anyio

from ..downloads.checkpoint import Checkpoint
from ..shielding import finish

__all__ = ["CheckpointFile"]

#: Seconds.
_WRITE_EVERY: Final = 1.0


class CheckpointFile:
    """A checkpoint in a file, written once a second at most and at the end of the block, however that comes.

    With an overlap it may have some 500 kB, too many to be written after each invoice. A process that is killed loses
    its last second: the next one fetches those invoices again, and writes the same files.

    Args:
        path: Of the file.
    """

    def __init__(self, path: anyio.Path) -> None:
        self._path = path
        self._checkpoint = self._written = Checkpoint()
        self._written_at = -math.inf

    async def read(self) -> Checkpoint:
        """Return what the file holds; an empty checkpoint where there is no file.

        Raises:
            LocalProtocolError: It holds no checkpoint, or one of a later version of this library.
            OSError: It cannot be read.
        """
        if await self._path.exists():
            self._checkpoint = self._written = Checkpoint.from_json(await self._path.read_text())
        return self._checkpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._write()

    async def move_to(self, checkpoint: Checkpoint) -> None:
        """Note that all up to ``checkpoint`` is saved.

        Raises:
            OSError: The file cannot be written.
        """
        self._checkpoint = checkpoint
        if anyio.current_time() - self._written_at >= _WRITE_EVERY:
            await self._write()

    async def _write(self) -> None:
        if self._written is not self._checkpoint:
            # To its end: a thread that goes on writing would meet the next one in the same file.
            await finish(self._replace(self._checkpoint), math.inf)

    async def _replace(self, checkpoint: Checkpoint) -> None:
        """Write the file whole or not at all."""
        beside = self._path.with_suffix(".new")
        await beside.write_text(checkpoint.to_json())
        await beside.replace(self._path)
        self._written, self._written_at = checkpoint, anyio.current_time()
