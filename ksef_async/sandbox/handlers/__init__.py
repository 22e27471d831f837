"""One handler for each operation, by its name; the files are named like the rooms of the client."""

from __future__ import annotations

from ..router import Handler
from . import (
    auth,
    batch,
    certificates,
    collective_identifiers,
    invoices,
    limits,
    peppol,
    permission_queries,
    permissions,
    sessions,
    testdata,
    tokens,
)

__all__ = ["HANDLERS"]

HANDLERS: dict[str, Handler] = {
    name: getattr(module, name)
    for module in (
        auth,
        sessions,
        batch,
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
