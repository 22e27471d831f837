"""The temporary folder of one package."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .threads import in_thread

__all__ = ["Spool", "remove_folder"]


class Spool:
    """A folder of its own below one of the user's choice; only this user of the machine may read it.

    Args:
        parent: Where it is made; None for the system's place for temporary files.
    """

    def __init__(self, parent: Path | None) -> None:
        self._parent = parent
        self._folder: Path | None = None

    async def create(self) -> Path:
        """Make the folder.

        Raises:
            OSError: The parent is no folder, or not to be written to.
        """
        return await in_thread(self._create)

    async def remove(self) -> None:
        """Delete the folder, if it was made."""
        if self._folder is not None:
            await in_thread(remove_folder, self._folder)

    def _create(self) -> Path:
        # Kept at once: a cancellation must not lose it.
        self._folder = Path(tempfile.mkdtemp(prefix="ksef-package-", dir=self._parent))
        return self._folder


def remove_folder(folder: Path) -> None:
    """Delete ``folder`` and all that is in it, if it is there."""
    if folder.exists():
        shutil.rmtree(folder)
