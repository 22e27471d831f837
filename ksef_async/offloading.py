"""Work on much data leaves the event loop; on little it stays, for it is done before a thread would have begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import anyio.to_thread

__all__ = ["offload"]

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")

#: Bytes from which on a thread does it: they take 0.2 ms to encrypt, 2 ms to be read.
_LARGE: Final = 64_000


async def offload(size: int, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """What ``function`` returns for ``arguments``, called in a thread if the data has more than 64,000 bytes.

    Args:
        size: Bytes of the data.
        function: Computes; whatever it raises is raised.
        arguments: Its own.
    """
    if size > _LARGE:
        return await anyio.to_thread.run_sync(function, *arguments)
    return function(*arguments)
