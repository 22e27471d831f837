"""Locks between processes, each beside what it protects: a file that is locked for as long as its holder has it open.

A holder that dies gives its lock back by that; its file may stay, and is taken again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from .finishing import in_thread

__all__ = ["file_lock"]


@asynccontextmanager
async def file_lock(path: Path, refusal: Callable[[str], Exception], *, is_kept: bool) -> AsyncGenerator[None]:
    """Hold the lock of the file ``path`` (0600), which has the number of this process in it, while the block lasts.

    Args:
        path: The file; it is made where it is not there.
        refusal: Makes the error that is raised while another process, or another task of this one, holds the lock;
            gets the holder's process number, or "unknown".
        is_kept: Whether the file stays when the lock is given back.

    Raises:
        OSError: The file cannot be written.
    """
    file: IO[str] | None = None

    def take() -> None:
        nonlocal file
        file = _take(path, refusal)

    try:
        await in_thread(take)
        yield
    finally:
        # A lock that is left to the garbage collector keeps the next one away.
        if file is not None:
            await in_thread(_give_back, path, file, is_kept)


def _take(path: Path, refusal: Callable[[str], Exception]) -> IO[str]:
    while True:
        # Path.open knows no modes.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+", encoding="ascii")
        try:
            _lock(file)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise refusal(holder) from None
        # The last holder may have deleted it between the two: then others lock another file of this name.
        if _is_there(path, file):
            break
        file.close()
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _is_there(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _give_back(path: Path, file: IO[str], is_kept: bool) -> None:
    try:
        # While it is locked still, so that it is nobody else's. Windows deletes no file that is open: there it stays.
        if not is_kept:
            with suppress(PermissionError):
                path.unlink(missing_ok=True)
    finally:
        file.close()


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        # Far behind the text, which others may read.
        file.seek(1_000_000)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
