"""A checkpoint in a file, for programs that keep what they receive in a folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, Self

import anyio
import anyio.to_thread

from ..calling.finishing import in_thread
from ..calling.whole_files import replace_file
from ..errors import LocalProtocolError
from .checkpoint import Checkpoint

__all__ = ["CheckpointFile"]

# Seconds.
_WRITE_EVERY: Final = 1.0


class CheckpointFile:
    """A checkpoint in a file, written once a second at most and at the end of the block, however that comes.

    With an overlap it may have some 500 kB, too many to be written after each invoice. A process that is killed loses
    what it noted within one second: the next one fetches those invoices again, and writes the same files.

    Args:
        path: Of the file; its folder has to be there.

    Raises:
        LocalProtocolError: On entering: the file holds no checkpoint, or one of a later version of this library.
        OSError: The file cannot be read, or written.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._checkpoint = self._written = Checkpoint()
        self._written_at = -math.inf

    def __repr__(self) -> str:
        return f"<CheckpointFile {self._path}>"

    @property
    def checkpoint(self) -> Checkpoint:
        """Return where to go on: what the file held on entering, then what `move_to` got; empty without a file."""
        return self._checkpoint

    async def __aenter__(self) -> Self:
        self._checkpoint = self._written = await anyio.to_thread.run_sync(_read, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._write()

    async def move_to(self, checkpoint: Checkpoint) -> None:
        """Note that everything up to ``checkpoint`` is saved.

        Raises:
            OSError: The file cannot be written.
        """
        self._checkpoint = checkpoint
        if anyio.current_time() - self._written_at >= _WRITE_EVERY:
            await self._write()

    async def _write(self) -> None:
        if self._written is not self._checkpoint:
            checkpoint = self._checkpoint
            # To its end: a thread that goes on writing would meet the next one in the same file.
            await in_thread(replace_file, self._path, checkpoint.to_json().encode())
            self._written, self._written_at = checkpoint, anyio.current_time()


def _read(path: Path) -> Checkpoint:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Checkpoint()
    try:
        return Checkpoint.from_json(text)
    except LocalProtocolError as error:
        raise LocalProtocolError(f"{path}: {error}") from error
