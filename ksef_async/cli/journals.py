"""Which journal was used last for a company, so that two of them, which share KSeF's limits unknowingly, are noticed.

KSeF counts calls by the hour, company and address (limity-api.md, section 1). What a journal has sent it remembers for
the next run; of another journal it knows nothing. The note lies in the user's folder of state, one file for each
environment and company, and is only advice: a command never fails by it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

from ..errors import quote

__all__ = ["note_journal"]

# The longest window in which KSeF counts.
_WINDOW: Final = 3600.0


def note_journal(journal: Path, environment: str, nip: str) -> str | None:
    """Remember that a journal delivers for a company; return a warning where another one did within the hour.

    Args:
        journal: Its file.
        environment: As a word that can be part of a file's name.
        nip: The company.
    """
    path = os.path.realpath(journal)
    try:
        note = _state_folder() / "journals" / f"{environment}-{nip}"
        other = _recent(note)
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        note.write_text(path, encoding="utf-8")
    except (OSError, RuntimeError, UnicodeError):
        # No home, or one that cannot be written, as in containers: there is no advice to give then.
        return None
    if other is None or other == path or not Path(other).exists():
        return None
    return (
        f"{quote(other, 300)} has delivered for {nip} within the last hour. Two journals of one company do not know of "
        "each other's calls, and KSeF may lock the company out: use one, by KSEF_JOURNAL or --journal."
    )


def _state_folder() -> Path:
    """Return the folder in which this user's programs keep what they remember between runs."""
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given) / "ksef_async"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "ksef_async"
    return Path.home() / ".local" / "state" / "ksef_async"


def _recent(note: Path) -> str | None:
    if not note.exists() or time.time() - note.stat().st_mtime > _WINDOW:
        return None
    return note.read_text(encoding="utf-8")
