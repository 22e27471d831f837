"""One handler for each operation, by its name; the files are named like the rooms of the client."""

from __future__ import annotations

from ..router import Handler
from . import auth, limits, session_invoices, sessions, upo

__all__ = ["HANDLERS"]

HANDLERS: dict[str, Handler] = {
    name: getattr(module, name) for module in (auth, sessions, session_invoices, upo, limits) for name in module.__all__
}
