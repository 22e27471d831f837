"""AuthTokenRequest, read and held to its schema. Source: XSD http://ksef.mf.gov.pl/auth/token/2.0 and /2.1."""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
from lxml import etree

from ..api.auth import AllowedIps, AuthorizationPolicy, SubjectBy
from ..api.common import IP4_ADDRESS, IP4_MASK, IP4_RANGE, Context, ContextType
from ..crypto.xades import ds_tag

__all__ = ["AuthSchema", "AuthTokenRequest", "read_auth_token_request"]

_NAMESPACES: Final = ("http://ksef.mf.gov.pl/auth/token/2.0", "http://ksef.mf.gov.pl/auth/token/2.1")

# Attributes that every document may have.
_INSTANCE: Final = "{http://www.w3.org/2001/XMLSchema-instance}"

_NIP: Final = r"[1-9]((\d[1-9])|([1-9]\d))\d{7}"
_CHALLENGE: Final = r"\d{8}-CR-[A-F0-9]{10}-[A-F0-9]{10}-[A-F0-9]{2}"
_CONTEXTS: Final = {
    ContextType.NIP: _NIP,
    ContextType.INTERNAL_ID: rf"{_NIP}-\d{{5}}",
    ContextType.NIP_VAT_UE: rf"{_NIP}-[A-Z]{{2}}[A-Z0-9+*]{{2,12}}",
    ContextType.PEPPOL_ID: r"P[A-Z]{2}\d{6}",
}
_IPS: Final = {
    "Ip4Address": IP4_ADDRESS,
    "Ip4Range": IP4_RANGE,
    "Ip4Mask": IP4_MASK,
}


@attrs.frozen(kw_only=True)
class AuthTokenRequest:
    """The content of a request to log in by certificate."""

    challenge: str
    context: Context
    subject_by: SubjectBy
    policy: AuthorizationPolicy | None


class AuthSchema:
    """The Ministry's schema, read from a folder of the user's.

    Args:
        folder: With ``schemat_auth_v2-1.xsd``, or below it.

    Raises:
        ValueError: The schema cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._schema: etree.XMLSchema | None = None
        # A schema keeps the errors of its last validation.
        self._lock = threading.Lock()
        for file in folder.rglob("schemat_auth_v2-1.xsd"):
            parsed = etree.parse(file, etree.XMLParser(no_network=True))
            # Patterns have no anchors in XSD; .NET, which KSeF runs on, takes them as such all the same.
            for pattern in parsed.iter("{http://www.w3.org/2001/XMLSchema}pattern"):
                pattern.set("value", pattern.get("value", "").removeprefix("^").removesuffix("$"))
            try:
                self._schema = etree.XMLSchema(parsed)
            except etree.LxmlError as error:
                raise ValueError(f"{file} cannot be used: {error}") from error

    def validate(self, document: etree._Element) -> tuple[str, ...]:
        """Return the violations of the schema in a document; its signature is not checked."""
        if self._schema is None:
            return ()
        # The schemas know no signature, and differ in nothing but their namespaces.
        bare = copy.deepcopy(document)
        for signature in bare.findall(ds_tag("Signature")):
            bare.remove(signature)
        text = etree.tostring(bare).replace(_NAMESPACES[0].encode(), _NAMESPACES[1].encode())
        with self._lock:
            if self._schema.validate(etree.fromstring(text)):
                return ()
            return tuple(str(error.message) for error in self._schema.error_log)  # type: ignore[attr-defined]  # stubs


def read_auth_token_request(document: etree._Element) -> AuthTokenRequest:
    """Return the content of the document; its signature is not checked.

    Raises:
        ValueError: It does not fit its schema; says where.
    """
    namespace = etree.QName(document).namespace
    if namespace not in _NAMESPACES:
        raise ValueError(f"The namespace '{namespace}' of AuthTokenRequest is not supported.")
    _check_attributes(document)
    children = _Children(document, str(namespace))
    challenge = children.text("Challenge", _CHALLENGE)
    (context,) = children.inside("ContextIdentifier")
    kind = ContextType(etree.QName(context).localname)
    if kind not in _CONTEXTS:
        raise ValueError(f"The element '{kind.value}' has no place in ContextIdentifier.")
    value = _checked(kind.value, _text(context), _CONTEXTS[kind])
    subject_by = SubjectBy(children.text("SubjectIdentifierType", "certificateSubject|certificateFingerprint"))
    policy = _policy(children, str(namespace)) if children.next_is("AuthorizationPolicy") else None
    children.end()
    return AuthTokenRequest(challenge=challenge, context=Context(kind, value), subject_by=subject_by, policy=policy)


def _check_attributes(document: etree._Element) -> None:
    for element in [document, *(inner for child in _elements(document) for inner in child.iter("*"))]:
        if etree.QName(element).namespace == etree.QName(document).namespace:
            for name in map(str, element.keys()):
                if not name.startswith(_INSTANCE):
                    raise ValueError(f"The attribute '{name}' is not declared.")


def _policy(children: _Children, namespace: str) -> AuthorizationPolicy:
    (allowed,) = children.inside("AuthorizationPolicy")
    if allowed.tag != f"{{{namespace}}}AllowedIps":
        raise ValueError("'AuthorizationPolicy' must contain 'AllowedIps'.")
    lists: dict[str, list[str]] = {name: [] for name in _IPS}
    order = list(_IPS)
    for child in _elements(allowed):
        name = etree.QName(child).localname
        if name not in order or child.tag != f"{{{namespace}}}{name}":
            raise ValueError(f"The element '{name}' has no place in AllowedIps.")
        order = order[order.index(name) :]
        lists[name].append(_checked(name, " ".join(_text(child).split()), _IPS[name]))
    if long := [name for name, given in lists.items() if len(given) > 10]:
        raise ValueError(f"The element '{long[0]}' may occur 10 times.")
    addresses, ranges, masks = map(tuple, lists.values())
    return AuthorizationPolicy(AllowedIps(ip4_addresses=addresses, ip4_ranges=ranges, ip4_masks=masks))


class _Children:
    """The children of an element, taken one after the other."""

    def __init__(self, parent: etree._Element, namespace: str) -> None:
        self._elements = [child for child in _elements(parent) if child.tag != ds_tag("Signature")]
        self._namespace = namespace

    def next_is(self, name: str) -> bool:
        return bool(self._elements) and self._elements[0].tag == f"{{{self._namespace}}}{name}"

    def text(self, name: str, pattern: str) -> str:
        # Of the type xsd:token, so blanks around it do not count.
        return _checked(name, " ".join(_text(self._take(name)).split()), pattern)

    def inside(self, name: str) -> list[etree._Element]:
        found = list(_elements(self._take(name)))
        if len(found) != 1:
            raise ValueError(f"'{name}' must contain one element, not {len(found)}.")
        return found

    def end(self) -> None:
        if self._elements:
            raise ValueError(f"The element '{etree.QName(self._elements[0]).localname}' has no place here.")

    def _take(self, name: str) -> etree._Element:
        if not self.next_is(name):
            raise ValueError(f"The element '{name}' is missing, or not in its place.")
        return self._elements.pop(0)


def _elements(parent: etree._Element) -> Iterator[etree._Element]:
    return parent.iterchildren("*")  # neither comments nor texts


def _text(element: etree._Element) -> str:
    if any(True for _ in _elements(element)):
        raise ValueError(f"The element '{etree.QName(element).localname}' may contain only text.")
    # All of it: nobody signs comments, so whoever puts one into a value must not be able to cut it short.
    return str(element.xpath("string()"))


def _checked(name: str, text: str, pattern: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(f"The value '{text}' of '{name}' is invalid.")
    return text
