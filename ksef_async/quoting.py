"""Text of KSeF's, or of whoever answered in its place, made fit for errors and logs.

It is bounded, holds no control characters (which would forge lines of a log, or steer a terminal), and none of what
opens doors: JWTs, KSeF tokens, signed links.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["LONGEST_QUOTE", "quote", "quote_data"]

#: Characters; KSeF's own sentences have some two hundred.
LONGEST_QUOTE: Final = 1000
#: How many entries of a list or an object are kept, and how deep. A package has at most 50 parts, each may be named.
_MOST, _DEEPEST = 100, 4

_SECRETS: Final = re.compile(
    r"eyJ[\w-]{4,}(?:\.[\w-]*){0,2}"  # a JWT, or its beginning
    r"|\|[A-Za-z]{2,20}-[^|\s]{1,80}\|[0-9A-Fa-f]{16,}"  # the secret half of a KSeF token
    r"|(?i:\bbearer\s+)[^\s\"']+"
    r"|(?i:\bsig(?:nature)?=)[^\s\"'&<>]+"
    r"|(?<=\?)[^\s\"'<>?]*=[^\s\"'<>]*"  # the query of a link
)
_MASK: Final = "[...]"


def quote(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return ``text`` as it may be shown: at most ``longest`` characters, printable ones only, without secrets."""
    # Cut twice: what is searched is bounded, and so is what is left.
    safe = _SECRETS.sub(_MASK, text[: 4 * longest])
    printable = "".join(character if character.isprintable() else " " for character in safe)
    return printable if len(printable) <= longest else printable[: longest - 3] + "..."


def quote_data(value: object, depth: int = 0) -> object:
    """Return parsed JSON as it may be shown: every text quoted, lists and objects bounded."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return [quote_data(each, depth + 1) for each in value[:_MOST]] if depth < _DEEPEST else []
    if isinstance(value, Mapping):
        if depth >= _DEEPEST:
            return {}
        return {quote(str(name), 100): quote_data(each, depth + 1) for name, each in [*value.items()][:_MOST]}
    return value
