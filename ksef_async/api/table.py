"""The whole table."""

from __future__ import annotations

from typing import Any, Final

from . import (
    auth,
    batch,
    certificates,
    collective_identifiers,
    invoices,
    keys,
    limits,
    peppol,
    permissions,
    sessions,
    testdata,
    tokens,
)
from .operation import Operation

__all__ = ["OPERATIONS"]

OPERATIONS: Final[tuple[Operation[Any, Any], ...]] = tuple(
    row
    for file in (
        auth,
        certificates,
        keys,
        sessions,
        batch,
        invoices,
        collective_identifiers,
        tokens,
        permissions,
        limits,
        peppol,
        testdata,
    )
    for row in vars(file).values()
    if isinstance(row, Operation)
)
"""Every row of every file, in the order of the specification's chapters."""
