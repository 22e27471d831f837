"""Which library deflates: isal (extra ``fast``), else zlib-ng, else the zlib that every Python has.

All speak the interface of `zlib`. isal is some six times faster than zlib, for an archive about a tenth larger.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from importlib import import_module
from typing import Any, Final, Protocol

import attrs

from ..errors import LocalProtocolError

__all__ = ["Buffer", "Compressor", "Deflate", "find_deflate"]

Buffer = bytes | bytearray | memoryview
"""What is compressed and written."""

# A larger piece would hold up the event loop while its result is allocated.
_PIECE: Final = 2**18

# Preferred first: name for the user, module, level. zlib's 6 is what everybody uses; a 9 costs twice for 4 %.
_LIBRARIES: Final = (("isal", "isal.isal_zlib", 2), ("zlib-ng", "zlib_ng.zlib_ng", 6), ("zlib", "zlib", 6))


class Compressor(Protocol):
    """One stream."""

    def compress(self, data: Buffer, /) -> bytes:
        """Take ``data`` in; what is ready comes out."""
        ...

    def flush(self, mode: int = ..., /) -> bytes:
        """Return the rest."""
        ...


@attrs.frozen
class Deflate:
    """A library, and the level to use it at."""

    name: str
    module: Any
    """Any: the modules share zlib's interface, but no type."""
    level: int

    def crc32(self, data: Buffer, start: int = 0) -> int:
        """Return the checksum both archive formats want; ``start`` is that of what stands before ``data``."""
        checksum: int = self.module.crc32(data, start)
        return checksum

    def whole(self, data: bytes) -> list[bytes]:
        """``data`` as raw deflate, which ends with it; in pieces, since a larger one would hold up the event loop."""
        if len(data) > _PIECE:
            return self.stream([data])
        # One call: with many small invoices the threads otherwise wait for each other rather than work.
        return [self.module.compress(data, self.level, -zlib.MAX_WBITS)]

    def stream(self, pieces: Iterable[Buffer], *, dictionary: bytes = b"", is_end: bool = True) -> list[bytes]:
        """``pieces`` as raw deflate.

        Args:
            pieces: The plain bytes.
            dictionary: What stands before them in the stream, up to 32 KiB.
            is_end: Whether the stream ends here; otherwise another may be put behind it.
        """
        options = {"zdict": dictionary} if dictionary else {}
        compressor: Compressor = self.module.compressobj(
            self.level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_DEFAULT_STRATEGY, **options
        )
        chunks = []
        for piece in pieces:
            view = memoryview(piece)
            chunks += [compressor.compress(view[start : start + _PIECE]) for start in range(0, len(view), _PIECE)]
        chunks.append(compressor.flush(zlib.Z_FINISH if is_end else zlib.Z_SYNC_FLUSH))
        return [chunk for chunk in chunks if chunk]


def find_deflate(name: str | None = None) -> Deflate:
    """Return the library called ``name``; by default the fastest that is installed.

    Raises:
        LocalProtocolError: There is no such library, or it is not installed.
    """
    for known, module, level in _LIBRARIES:
        if name in (None, known):
            try:
                return Deflate(known, import_module(module), level)
            except ModuleNotFoundError:
                continue
    known_names = ", ".join(known for known, *_ in _LIBRARIES)
    raise LocalProtocolError(f"The deflate library {name!r} is not here; known are {known_names}.")
