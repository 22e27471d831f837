"""Whose the journal's SQLite file is: it holds invoices, and without a key of yours in clear."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

__all__ = ["make_private"]

_log = logging.getLogger(__name__)


def make_private(path: Path) -> None:
    """Make the file of a journal, readable for its owner only, whatever the umask; what SQLite puts beside it follows.

    A file that is there keeps its mode, since who shares a journal among users of one group has set it; that others
    can read it is logged.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        mode = stat.S_IMODE(path.stat().st_mode)
        # Elsewhere a mode tells nothing.
        if os.name == "posix" and mode & 0o077:
            _log.warning(
                "journal %s can be used by others than its owner (mode %03o): chmod 600 it and what lies beside it",
                path,
                mode,
            )
    except OSError:
        return  # SQLite says what is wrong when it opens it.
