"""Checking a document before it is sent, off the event loop where it is large."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..calling.finishing import offload

if TYPE_CHECKING:
    from ..documents import Report

__all__ = ["check_document"]

# What checks, once it is loaded: by those alone who ask for it.
_LOADED: Final[list[Callable[..., Report]]] = []
# How much longer it takes than the work whose size `offload` goes by.
_FACTOR: Final = 3


async def check_document(invoice: bytes, *, context_nip: str | None = None) -> None:
    """Refuse a document with a problem.

    Args:
        invoice: The document.
        context_nip: In whose context it is to be sent; None where that is not looked at.

    Raises:
        DocumentError: It has one; ``report`` has them all.
    """
    # The first time, files are read, which would stop the event loop.
    size = _FACTOR * len(invoice) if _LOADED else math.inf
    await offload(size, _check, invoice, context_nip)


def _check(invoice: bytes, context_nip: str | None) -> None:
    if not _LOADED:
        from ..documents.checking import check, load

        load()
        _LOADED.append(check)
    _LOADED[0](invoice, context_nip=context_nip).raise_for_problems()
