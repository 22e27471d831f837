"""Texts of KSeF that are more than shown: they become paths, headers, addresses. Each is checked where it is read.

The types are plain strings; the rule beside each is for whoever reads an answer. Nothing is checked here that a
later version of KSeF might change: only what a text must not do where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import urlsplit

import attrs

__all__ = [
    "EVERY_ITEM",
    "LEFT_OUT",
    "NEVER_LEFT_OUT",
    "ChallengeText",
    "Cursor",
    "Identifier",
    "Jwt",
    "Method",
    "Rule",
    "SignedLink",
    "UploadHeaders",
    "are_headers",
]


@attrs.frozen(eq=False)
class Rule:
    """What a value has to be; stands in the annotation of a field."""

    #: For messages: ``"a reference number"``.
    what: str
    holds: Callable[[Any], bool] = attrs.field(repr=False)


class _EveryItem:
    """Of a list that means nothing unless all its items can be read, such as the parts of an archive."""


#: Stands in the annotation of a list of which no item may be left out.
EVERY_ITEM: Final = _EveryItem()
#: Metadata of a field that is told how many items of the lists beside it could not be read and were left out.
LEFT_OUT: Final[Mapping[str, Any]] = {"local": True, "left_out": True}

#: Metadata of a field that may be missing, but that must not be taken for missing when it cannot be read.
NEVER_LEFT_OUT: Final[Mapping[str, Any]] = {"never_left_out": True}

_LONGEST_LINK: Final = 8_192
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_HEADER_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?|")


def _is_link(text: str) -> bool:
    if len(text) > _LONGEST_LINK or not _VISIBLE.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def are_headers(headers: Mapping[str, str | None]) -> bool:
    """Return whether these can be sent as headers; None stands for one that is not sent."""
    return all(
        _HEADER_NAME.fullmatch(name) and (value is None or _HEADER_VALUE.fullmatch(value))
        for name, value in headers.items()
    )


def _visible(most: int) -> Callable[[str], bool]:
    return lambda text: len(text) <= most and _VISIBLE.fullmatch(text) is not None


#: A reference number, a KSeF number, a serial number: goes into paths, file names and columns.
Identifier: TypeAlias = Annotated[
    str, Rule("letters, digits and hyphens, at most 64", lambda text: _IDENTIFIER.fullmatch(text) is not None)
]
#: Goes into a header.
Jwt: TypeAlias = Annotated[str, Rule("a token that fits a header", _visible(16_384))]
#: Of an HTTP request.
Method: TypeAlias = Annotated[str, Rule("an HTTP method", lambda text: text in ("PUT", "POST"))]
#: Leads to the next page of a list; goes into a header.
Cursor: TypeAlias = Annotated[str, Rule("a token that fits a header", lambda text: not text or _visible(8_192)(text))]
#: Goes into an XML document, and back to KSeF.
ChallengeText: TypeAlias = Annotated[str, Rule("visible ASCII, at most 100", _visible(100))]
#: Whether it leads to where it may is for `Environment.accepts` to say.
SignedLink: TypeAlias = Annotated[str, Rule("an address", _is_link)]
#: Sent as they are.
UploadHeaders: TypeAlias = Annotated[dict[str, str | None], Rule("headers", are_headers)]
