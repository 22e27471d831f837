"""The temporary folder of one package, and what is left of those whose process died.

A spool is locked while its process lives; the system drops the lock when that dies, however. The next spool beside it
removes what nobody holds, but only where parts alone are in it: a manifest was put there to go on with it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from ..calling.finishing import in_thread

__all__ = ["Spool", "remove_folder"]

_PREFIX: Final = "ksef-package-"
# As tempfile names folders.
_NAME: Final = re.compile(rf"{_PREFIX}[a-z0-9_]{{8}}")
# What a package that can be packed again leaves; a folder with anything else in it is not touched.
_LEFTOVER: Final = re.compile(r"part-\d+\.aes|uploaded-[\w-]+|manifest\.part")

# The locks of this process, by folder: a kept spool is held until it is removed, or the process ends.
_held: Final[dict[Path, int]] = {}


class Spool:
    """A folder of its own below one of the user's choice; only this user of the machine may read it.

    Args:
        parent: Where it is made; None for the system's place for temporary files.
    """

    def __init__(self, parent: Path | None) -> None:
        self._parent = parent
        self._folder: Path | None = None

    async def create(self, needed: int = 0) -> Path:
        """Create the folder; first remove folders beside it that were left by processes that have ended.

        Args:
            needed: Bytes that will certainly be written to it.

        Raises:
            OSError: The parent is no folder, or not to be written to, or on a disk with less room than is needed.
        """
        return await in_thread(self._create, needed)

    async def remove(self) -> None:
        """Delete the folder, if it was made."""
        if self._folder is not None:
            await in_thread(remove_folder, self._folder)

    def _create(self, needed: int) -> Path:
        parent = self._parent or Path(tempfile.gettempdir())
        _remove_leftovers(parent)
        if (free := shutil.disk_usage(parent).free) < needed:
            raise OSError(
                errno.ENOSPC, f"The package takes at least {needed:,} bytes, but only {free:,} are free", str(parent)
            )
        while True:
            # Kept at once: a cancellation must not lose it.
            self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            lock = _lock(self._folder, wait=True)
            if self._folder.is_dir():
                if lock is not None:
                    _held[self._folder] = lock
                return self._folder
            # Another process found it between the two, unlocked and empty.
            if lock is not None:
                os.close(lock)


def remove_folder(folder: Path) -> None:
    """Delete ``folder`` and all that is in it, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
    if (lock := _held.pop(folder, None)) is not None:
        os.close(lock)


def _remove_leftovers(parent: Path) -> None:
    try:
        folders = [folder for folder in parent.iterdir() if _NAME.fullmatch(folder.name)]
    except OSError:
        return  # What is wrong with it shows when it is written to.
    for folder in folders:
        if (lock := _lock(folder, wait=False)) is None:
            continue
        try:
            if all(_LEFTOVER.fullmatch(path.name) for path in folder.iterdir()):
                shutil.rmtree(folder)
        except OSError:
            pass  # It is in nobody's way.
        finally:
            os.close(lock)


if sys.platform == "win32":

    def _lock(folder: Path, *, wait: bool) -> int | None:
        """Folders cannot be locked here: none is, and none is removed."""
        return None

else:
    import fcntl

    def _lock(folder: Path, *, wait: bool) -> int | None:
        """The descriptor that holds the lock of this user's folder; None where it cannot be had."""
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            return None  # another user's, or gone
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if wait or os.fstat(lock).st_uid == os.geteuid():
                return lock
        except OSError:
            pass  # held; or on a file system without such locks, where leftovers stay
        os.close(lock)
        return None
