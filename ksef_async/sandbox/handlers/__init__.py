"""One handler for each operation, by its name; the files are named like the rooms of the client."""

from __future__ import annotations

from .auth import HANDLERS as AUTH
from .sessions import HANDLERS as SESSIONS

__all__ = ["HANDLERS"]

HANDLERS = AUTH | SESSIONS
