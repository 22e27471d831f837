"""One handler for each operation, by its name; the files are named like the rooms of the client."""

from __future__ import annotations

from ..router import Handler
from . import (
    auth,
    auth_sessions,
    batch,
    collective_identifiers,
    limits,
    peppol,
    session_invoices,
    sessions,
    tokens,
    upo,
)

__all__ = ["HANDLERS"]

HANDLERS: dict[str, Handler] = {
    name: getattr(module, name)
    for module in (
        auth,
        auth_sessions,
        sessions,
        batch,
        session_invoices,
        upo,
        collective_identifiers,
        tokens,
        limits,
        peppol,
    )
    for name in module.__all__
}
