"""Writing files onto the disk; one that is replaced has its old content or the new one, also after a crash.

Files that hold keys are their owner's alone (0600) from their first byte.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["create_private_file", "part_of", "replace_file", "replace_private_file"]


def create_private_file(path: Path, data: bytes) -> None:
    """Write a new file; its content is on the disk when this returns.

    Raises:
        FileExistsError: There is one already, which stays as it is.
        OSError: It cannot be written.
    """
    _create(path, data, 0o600)


def replace_private_file(path: Path, data: bytes) -> None:
    """Write a file for its owner alone in one step, as `replace_file` does.

    Raises:
        OSError: It cannot be written.
    """
    _replace(path, data, 0o600)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file in one step; its content and its name are on the disk when this returns.

    Raises:
        OSError: It cannot be written.
    """
    _replace(path, data, 0o666)


def part_of(path: Path) -> Path:
    """Return the file beside ``path`` that is written first when it is replaced, and that a crash may leave."""
    return path.with_name(f"{path.name}.part")


def _create(path: Path, data: bytes, mode: int) -> None:
    # Path.open knows no modes.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, data: bytes, mode: int) -> None:
    part = part_of(path)
    part.unlink(missing_ok=True)
    _create(part, data, mode)
    part.replace(path)
    if os.name == "posix":
        # A name is on the disk once its folder is.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
