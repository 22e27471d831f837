"""Handing blocking work to a thread, so that none runs on when this is over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio.to_thread

from ..shielding import finish

__all__ = ["in_thread"]

T = TypeVar("T")
Args = TypeVarTuple("Args")


async def in_thread(function: Callable[[*Args], T], *args: *Args) -> T:
    """``function(*args)`` in a worker thread; it has ended when this returns or raises, however it was cancelled."""
    return await finish(anyio.to_thread.run_sync(function, *args), math.inf)
