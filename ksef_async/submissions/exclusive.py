"""One process at a time: a lock beside an SQLite journal that the system drops when its holder dies, however."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import anyio.to_thread

from ..calling.finishing import finish
from .errors import JournalBusyError

__all__ = ["exclusive"]


@asynccontextmanager
async def exclusive(journal: str) -> AsyncGenerator[None]:
    """Hold the lock of the journal in file ``journal`` while the block lasts.

    Raises:
        JournalBusyError: Another process, or another runner of this one, holds it.
    """
    file = await anyio.to_thread.run_sync(_take, Path(f"{journal}.lock"))
    try:
        yield
    finally:
        # A lock that is left to the garbage collector keeps the next runner away.
        await finish(anyio.to_thread.run_sync(file.close), math.inf)


def _take(path: Path) -> IO[str]:
    # Path.open knows no modes.
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+", encoding="ascii")
    try:
        _lock(file)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise JournalBusyError(
            f"Process {holder} delivers from this journal already ({path.name} is locked). On SQLite one process "
            "delivers at a time; any number may submit. For several workers keep the journal in PostgreSQL."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        # Far behind the text, which others may read.
        file.seek(1_000_000)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
