"""One handler for each operation, by its name; the files are named like the rooms of the client."""

from __future__ import annotations

from ..router import Handler
from . import (
    auth,
    auth_sessions,
    batch,
    certificates,
    collective_identifiers,
    invoices,
    limits,
    peppol,
    permission_queries,
    permissions,
    session_invoices,
    sessions,
    signature_login,
    testdata,
    tokens,
    upo,
)

__all__ = ["HANDLERS"]

HANDLERS: dict[str, Handler] = {
    name: getattr(module, name)
    for module in (
        auth,
        signature_login,
        auth_sessions,
        sessions,
        batch,
        session_invoices,
        upo,
        invoices,
        collective_identifiers,
        certificates,
        tokens,
        permissions,
        permission_queries,
        limits,
        peppol,
        testdata,
    )
    for name in module.__all__
}
