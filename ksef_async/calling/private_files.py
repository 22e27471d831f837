"""Writing files that hold keys: each is its owner's alone (0600) from its first byte."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["create_private_file", "part_of", "replace_private_file"]


def create_private_file(path: Path, data: bytes) -> None:
    """Write a new file; its content is on the disk when this returns.

    Raises:
        FileExistsError: There is one already, which stays as it is.
        OSError: It cannot be written.
    """
    # Path.open knows no modes.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def part_of(path: Path) -> Path:
    """Return the file beside ``path`` that `replace_private_file` writes first, and a crash may leave."""
    return path.with_name(f"{path.name}.part")


def replace_private_file(path: Path, data: bytes) -> None:
    """Write a file in one step: whoever looks sees the old one or the new one, whole.

    Raises:
        OSError: It cannot be written.
    """
    part = part_of(path)
    part.unlink(missing_ok=True)
    create_private_file(part, data)
    part.replace(path)
    if os.name == "posix":
        # A name is on the disk once its folder is.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
