"""Reading XML that came from somewhere else: no DTD, so no entities and no bombs; no network, ever."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn
from xml.etree import ElementTree as ET
from xml.parsers import expat

import attrs

from ..api.auth import AuthorizationPolicy, SubjectBy
from ..api.common import Context

if TYPE_CHECKING:
    from lxml import etree

__all__ = [
    "ET",
    "NAMESPACE",
    "Forbidden",
    "auth_token_request",
    "collapsed",
    "find_forbidden",
    "local_name",
    "parse_xml",
]

# What XML calls white space; Python's is much more.
_BLANKS: Final = re.compile("[ \t\r\n]+")
# What is parsed at a time, while nothing else of Python runs: mostly a whole invoice, as a comment that comes in many
# pieces is read from its beginning with each.
_PIECE: Final = 2**20
# The same where little memory is wanted: the parser has a buffer of twice as much.
_SMALL_PIECE: Final = 2**16


class _StrictBuilder(ET.TreeBuilder):
    def doctype(self, *_: object) -> NoReturn:
        raise ValueError("a DTD is not allowed")

    def pi(self, *_: object) -> NoReturn:
        raise ValueError("a processing instruction is not allowed")


class _TakingBuilder(_StrictBuilder):
    def __init__(self, take: Callable[[ET.Element, ET.Element], bool]) -> None:
        super().__init__()
        self._take = take
        self._open: list[ET.Element] = []

    def start(self, tag: Any, attrs: Any, /) -> ET.Element:
        element = super().start(tag, attrs)
        self._open.append(element)
        return element

    def end(self, tag: Any, /) -> ET.Element:
        element = super().end(tag)
        self._open.pop()
        if len(self._open) == 1 and self._take(self._open[0], element):
            self._open[0].remove(element)
        return element


def parse_xml(data: bytes, take: Callable[[ET.Element, ET.Element], bool] | None = None) -> ET.Element:
    """Return the root element of an XML document.

    Args:
        data: The document.
        take: Is given the root and each child of it once that is complete; a child it returns True for is not kept,
            so that a long document need not be held as elements, which take ten times as much memory.

    Raises:
        ValueError: Not well-formed, or with a DTD or a processing instruction.
        Exception: Whatever ``take`` raises, but a `LookupError`.
    """
    # Without a DTD there are no entities, which is what S314 warns of.
    parser = ET.XMLParser(target=_builder(data) if take is None else _TakingBuilder(take))  # noqa: S314
    try:
        size = _PIECE if take is None else _SMALL_PIECE
        for start in range(0, len(data), size):
            parser.feed(data[start : start + size])
        root: ET.Element = parser.close()
        return root
    except (ET.ParseError, LookupError) as error:  # LookupError: an encoding Python does not know
        raise ValueError(f"not well-formed XML: {error}") from error


@attrs.frozen
class Forbidden:
    """A DTD or a processing instruction in a document."""

    is_dtd: bool
    offset: int
    """The byte it begins at."""
    target: str
    """Of a processing instruction: its name; of a DTD: the document's."""


def find_forbidden(data: bytes) -> Forbidden | None:
    """Return the first DTD or processing instruction of a document; None where there is none.

    Whether the document is well-formed is for who parses it.
    """
    if not _has_suspects(data):
        return None
    found: list[Forbidden] = []
    parser = expat.ParserCreate()

    def doctype(name: str, *_: object) -> None:
        # Expat reports it late, behind its name.
        start = data.rfind(b"<!DOCTYPE", 0, parser.CurrentByteIndex + len(b"<!DOCTYPE"))
        found.append(Forbidden(True, start, name))
        raise _FoundError

    def instruction(target: str, _: str) -> None:
        found.append(Forbidden(False, parser.CurrentByteIndex, target))
        raise _FoundError

    parser.StartDoctypeDeclHandler = doctype
    parser.ProcessingInstructionHandler = instruction
    with contextlib.suppress(_FoundError, expat.ExpatError):
        parser.Parse(data, True)
    return found[0] if found else None


class _FoundError(Exception):
    """Ends a search."""


def _has_suspects(data: bytes) -> bool:
    # These bytes mean the same in every encoding that expat takes but UTF-16, which has zeros in it. One byte is found
    # some fifty times as fast as two, and most invoices have neither a question nor an exclamation mark.
    start = data.find(b"?>") + 2 if data.startswith(b"<?xml ") else 0
    has_instruction = data.find(b"?", start) >= 0 and data.find(b"<?", start) >= 0
    return has_instruction or (b"!" in data and b"<!DOCTYPE" in data) or b"\0" in data


def _builder(data: bytes) -> ET.TreeBuilder:
    # ElementTree's own takes a quarter less time than one derived from it, and does where there is nothing to refuse.
    return ET.TreeBuilder() if not _has_suspects(data) else _StrictBuilder()


def local_name(element: ET.Element) -> str:
    """Return the element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def collapsed(text: str) -> str:
    """Return a text as ``xsd:token`` has it: without blanks around it, and with one between words.

    KSeF takes invoice numbers so, and others of FA (ksef-api#703).
    """
    return _BLANKS.sub(" ", text).strip(" ")


NAMESPACE: Final = "http://ksef.mf.gov.pl/auth/token/2.1"


def auth_token_request(
    challenge: str, context: Context, subject_by: SubjectBy, policy: AuthorizationPolicy | None
) -> etree._Element:
    """Return the document, without its signature; needs lxml (extra ``xades``).

    Args:
        challenge: What KSeF asked.
        context: On whose behalf calls will be made.
        subject_by: How KSeF is to find out who signs.
        policy: Addresses from which the tokens of the login may be used.
    """
    from lxml import etree

    def add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
        element = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
        element.text = text
        return element

    root = etree.Element(f"{{{NAMESPACE}}}AuthTokenRequest", nsmap={None: NAMESPACE})  # type: ignore[dict-item]  # stubs
    add(root, "Challenge", challenge)
    add(add(root, "ContextIdentifier"), context.type.value, context.value)
    add(root, "SubjectIdentifierType", subject_by.value)
    if policy is not None and (allowed := policy.allowed_ips) is not None:
        ips = add(add(root, "AuthorizationPolicy"), "AllowedIps")
        lists = (
            ("Ip4Address", allowed.ip4_addresses),
            ("Ip4Range", allowed.ip4_ranges),
            ("Ip4Mask", allowed.ip4_masks),
        )
        for name, given in lists:
            for one in given:
                add(ips, name, one)
    return root
