"""Names of files for what KSeF calls by a number: what it sends never becomes a path by itself."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

__all__ = ["file_name"]

#: KSeF numbers and reference numbers, whatever their parts; no separators, dots or names of devices.
_PLAIN: Final = re.compile(r"[0-9][0-9A-Za-z-]{0,63}", re.ASCII)


def file_name(number: str) -> str:
    """Return ``number`` where it may be a file's name on every system, and otherwise its SHA-256 in hexadecimal.

    Args:
        number: A KSeF number or a reference number, as KSeF has given it.
    """
    if _PLAIN.fullmatch(number):
        return number
    return sha256(number.encode("utf-8", "surrogatepass")).hexdigest()
