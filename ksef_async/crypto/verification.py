"""XAdES signatures, verified by KSeF's rules: a wide choice of algorithms, and no doubt about what was signed.

signxml signs for us, but does not verify here: it takes transforms out of their order, wants exclusive forms that KSeF
does not want, and cannot say which of KSeF's refusals its own is. So canonicalization is lxml's, the algorithms are
signxml's tables, the mathematics is `cryptography`'s, and what stands below is only the order of things, with a
refusal at every doubt. Whom to trust is not decided here.

Source: podpis-xades.md; W3C XML Signature 1.1; ETSI EN 319 132-1.
"""

from __future__ import annotations

import binascii
import copy
import enum
import hashlib
import re
from base64 import b64decode
from typing import Any, Final

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from lxml import etree
from signxml.algorithms import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureMethod,
    digest_algorithm_implementations,
)

from ..errors import CryptoError
from .certificates import Certificate, load_certificate
from .xades import ds_tag, xades_tag

__all__ = ["SignatureError", "SignatureProblem", "SignedDocument", "verify_signed_document"]

_SIGNED_PROPERTIES: Final = "http://uri.etsi.org/01903#SignedProperties"
_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_XPATH: Final = "http://www.w3.org/TR/1999/REC-xpath-19991116"
_BASE64: Final = "http://www.w3.org/2000/09/xmldsig#base64"
_FILTER2: Final = "http://www.w3.org/2002/06/xmldsig-filter2"
# Everything but the signature, as both kinds of XPath say it; the prefix has to be that of XML signatures.
_WITHOUT_SIGNATURE: Final = re.compile(r"\s*not\(\s*ancestor-or-self::([\w.-]+):Signature\s*\)\s*")
_SIGNATURES: Final = re.compile(r"\s*(?:/descendant(?:-or-self)?::|//)([\w.-]+):Signature\s*")
_SIGNATURE_HERE: Final = re.compile(r"\s*here\(\)/ancestor::([\w.-]+):Signature\[1\]\s*")
_IDS: Final = ("Id", "ID", "id", "{http://www.w3.org/XML/1998/namespace}id")

_REFUSED: Final = "Podpis zweryfikowany negatywnie."
_UNSUPPORTED: Final = "Podpis złożony z użyciem niewspieranego algorytmu kryptograficznego."
_NOT_FOUND: Final = "Element wskazywany przez referencję '{reference}' nie został odnaleziony."
_AGAINST_SCHEMA: Final = "Błąd walidacji XSD: {problem}"
_WRONG_PROFILE: Final = "Format podpisu niezgodny z akceptowanymi profilami XAdES."


class SignatureProblem(enum.Enum):
    """Why a document is refused; the names are those of KSeF's exception codes."""

    INVALID_DOCUMENT = "it is not the document that was expected"
    NO_SIGNATURE = "it is not signed"
    TOO_MANY_SIGNATURES = "it is signed more than once"
    INVALID_SIGNATURE = "its signature is not good"
    UNREADABLE_CONTENT = "it is not well-formed XML"
    INVALID_CERTIFICATE = "the signer's certificate cannot be used"
    INVALID_ENCODING = "it is not UTF-8"


class SignatureError(ValueError):
    """A document that nobody vouches for."""

    def __init__(self, problem: SignatureProblem, detail: str | None = None) -> None:
        super().__init__(f"{problem.value} ({detail})" if detail else problem.value)
        self.problem = problem
        self.detail = detail
        """In KSeF's words, where it has any."""


@attrs.frozen
class SignedDocument:
    """The document that a valid signature covers, and its signer."""

    root: etree._Element
    """The document's root element, with the signature still in it when it is enveloped."""
    certificate: Certificate
    sha256: bytes
    """SHA-256 of everything that was received."""


def verify_signed_document(data: bytes, root_name: str) -> SignedDocument:
    """Return the document named ``root_name`` in ``data``, and who signed it.

    Args:
        data: UTF-8; the document with its signature in it (enveloped), or a signature with the document in it.
        root_name: Local name of the document's root element.

    Raises:
        SignatureError: KSeF would refuse it.
    """
    root = _parse(data)
    signatures = list(root.iter(ds_tag("Signature")))
    if not signatures:
        raise SignatureError(SignatureProblem.NO_SIGNATURE)
    if len(signatures) > 1:
        raise SignatureError(SignatureProblem.TOO_MANY_SIGNATURES)
    (signature,) = signatures
    document, covering = _document(root, signature, root_name)
    ids = _ids(root)
    referenced = [_verify_reference(reference, root, ids) for reference in _required(signature, "SignedInfo/Reference")]
    # A signature over anything else, however sound, says nothing of this document.
    if not any(target is each for target, _ in referenced for each in covering):
        raise _failure(_REFUSED)
    certificate = _signing_certificate(signature, referenced)
    _verify_value(signature, certificate)
    return SignedDocument(document, certificate, hashlib.sha256(data).digest())


def _parse(data: bytes) -> etree._Element:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureError(SignatureProblem.INVALID_ENCODING) from None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        # Without the name libxml2 gives to what is no file.
        raise SignatureError(SignatureProblem.UNREADABLE_CONTENT, str(error.msg).partition(" (<")[0]) from error
    info = root.getroottree().docinfo
    if (info.encoding or "UTF-8").upper() not in ("UTF-8", "US-ASCII"):
        raise SignatureError(SignatureProblem.INVALID_ENCODING)
    has_doctype = bool(info.doctype)  # type: ignore[union-attr]  # stubs
    # Before and after the root element too: they are part of what is signed, and c14n of an element leaves them out.
    everywhere = [*root.itersiblings(preceding=True), *root.iter(), *root.itersiblings()]
    if has_doctype or any(each.tag in (etree.ProcessingInstruction, etree.Entity) for each in everywhere):
        raise SignatureError(SignatureProblem.INVALID_DOCUMENT)
    return root


def _document(
    root: etree._Element, signature: etree._Element, root_name: str
) -> tuple[etree._Element, tuple[etree._Element, ...]]:
    """The document, and the elements of which any, when signed, covers it."""
    if _local_name(root) == root_name:
        if signature.getparent() is not root:
            raise _failure(_WRONG_PROFILE)
        return root, (root,)
    if root is not signature:
        # Somewhere beside the document: detached, which KSeF does not take.
        raise SignatureError(SignatureProblem.INVALID_DOCUMENT)
    found: list[tuple[etree._Element, tuple[etree._Element, ...]]] = []
    for element in signature.findall(ds_tag("Object")):
        children = list(element.iterchildren("*"))
        if len(children) == 1 and _local_name(children[0]) == root_name:
            found.append((children[0], (element, children[0])))
        elif not children and element.text and element.text.strip():
            inner = _parse(_decode(element.text))
            if _local_name(inner) == root_name:
                found.append((inner, (element,)))
    if len(found) != 1:
        raise SignatureError(SignatureProblem.INVALID_DOCUMENT)
    return found[0]


def _ids(root: etree._Element) -> dict[str, etree._Element]:
    found: dict[str, etree._Element] = {}
    for element in root.iter(etree.Element):
        for value in {element.get(name) for name in _IDS} - {None}:
            # Which of two elements of one name is meant is what wrapping attacks play with.
            if value in found:
                raise _failure(_REFUSED)
            found[str(value)] = element
    return found


def _verify_reference(
    reference: etree._Element, root: etree._Element, ids: dict[str, etree._Element]
) -> tuple[etree._Element, str]:
    """What a reference points at, and its type; its digest is right."""
    uri = reference.get("URI")
    if uri == "":
        target: etree._Element | None = root
    else:
        target = ids.get(uri[1:]) if uri is not None and uri.startswith("#") else None
    if target is None:
        raise _failure(_NOT_FOUND.format(reference=_quoted(uri)) if uri is not None else _REFUSED)
    content: etree._Element | bytes = target
    for transform in reference.findall(f"{ds_tag('Transforms')}/{ds_tag('Transform')}"):
        content = _transformed(content, transform)
    if not isinstance(content, bytes):
        content = _canonical(content, CanonicalizationMethod.CANONICAL_XML_1_0)
    if _digest(_algorithm(reference, "DigestMethod"), content) != _decode(_text(reference, "DigestValue")):
        raise _failure(_REFUSED)
    return target, reference.get("Type", "")


def _transformed(content: etree._Element | bytes, transform: etree._Element) -> etree._Element | bytes:
    algorithm = transform.get("Algorithm")
    if not isinstance(content, bytes):
        if algorithm == _ENVELOPED:
            return _without_signature(content)
        if (algorithm == _XPATH and _leaves_signature_out(transform)) or (
            algorithm == _FILTER2 and _subtracts_signature(transform)
        ):
            return _without_signature(content)
        if algorithm == _BASE64:
            return _decode("".join(map(str, content.itertext())))
        if algorithm in {method.value for method in CanonicalizationMethod}:
            return _canonical(content, CanonicalizationMethod(algorithm), transform)
    raise _failure(_WRONG_PROFILE)


def _leaves_signature_out(transform: etree._Element) -> bool:
    path = transform.find(ds_tag("XPath"))
    return path is not None and _names_signature(path, _WITHOUT_SIGNATURE)


def _subtracts_signature(transform: etree._Element) -> bool:
    """Whether an XPath Filter 2.0 says nothing but: all of it without the signature (podpis-xades.md allows it)."""
    paths = list(transform.iterchildren("*"))
    return (
        len(paths) == 1
        and paths[0].tag == f"{{{_FILTER2}}}XPath"
        and paths[0].get("Filter") == "subtract"
        and (_names_signature(paths[0], _SIGNATURES) or _names_signature(paths[0], _SIGNATURE_HERE))
    )


def _names_signature(path: etree._Element, pattern: re.Pattern[str]) -> bool:
    found = pattern.fullmatch(path.text or "")
    return found is not None and path.nsmap.get(found[1]) == _DS


def _without_signature(element: etree._Element) -> etree._Element:
    whole = copy.deepcopy(element)
    for signature in list(whole.iter(ds_tag("Signature"))):
        parent, before = signature.getparent(), signature.getprevious()
        if parent is None:
            raise _failure(_REFUSED)
        if signature.tail:  # it belongs to the document
            if before is not None:
                before.tail = (before.tail or "") + signature.tail
            else:
                parent.text = (parent.text or "") + signature.tail
        parent.remove(signature)
    return whole


def _canonical(
    element: etree._Element,
    method: CanonicalizationMethod,
    node: etree._Element | None = None,
    *,
    with_comments: bool = False,
) -> bytes:
    # 1.0 and 1.1 differ in xml:id and xml:base only. A reference by URI leaves comments out whatever the method says.
    exclusive = "xml-exc-c14n" in method.value
    prefixes = None if node is None else node.find("{http://www.w3.org/2001/10/xml-exc-c14n#}InclusiveNamespaces")
    try:
        return etree.tostring(
            element,
            method="c14n",
            exclusive=exclusive,
            with_comments=with_comments,
            inclusive_ns_prefixes=(
                prefixes.get("PrefixList", "").split() if prefixes is not None and exclusive else None
            ),
        )
    except etree.C14NError as error:  # what has no canonical form, e.g. with a relative namespace
        raise _failure(_REFUSED) from error


def _signing_certificate(signature: etree._Element, referenced: list[tuple[etree._Element, str]]) -> Certificate:
    path = f"{ds_tag('Object')}/{xades_tag('QualifyingProperties')}"
    qualifying = signature.findall(path)
    if len(qualifying) != 1 or qualifying[0].get("Target") != f"#{signature.get('Id')}":
        raise _failure(_WRONG_PROFILE)
    properties = qualifying[0].find(xades_tag("SignedProperties"))
    if not any(target is properties and kind == _SIGNED_PROPERTIES for target, kind in referenced):
        raise _failure(_WRONG_PROFILE)
    signed = qualifying[0].find(f"{xades_tag('SignedProperties')}/{xades_tag('SignedSignatureProperties')}")
    if signed is None:
        raise _failure(_WRONG_PROFILE)
    named = [
        cert
        for name in ("SigningCertificate", "SigningCertificateV2")
        for cert in signed.findall(f"{xades_tag(name)}/{xades_tag('Cert')}")
    ]
    if not named:
        raise _failure(_WRONG_PROFILE)
    digest = named[0].find(xades_tag("CertDigest"))
    if digest is None:
        raise _failure(_WRONG_PROFILE)
    algorithm, wanted = _algorithm(digest, "DigestMethod"), _decode(_text(digest, "DigestValue"))
    for node in signature.iterfind(f"{ds_tag('KeyInfo')}/{ds_tag('X509Data')}/{ds_tag('X509Certificate')}"):
        der = _decode(node.text or "")
        if _digest(algorithm, der) == wanted:
            return _load(der, named[0].findtext(f"{xades_tag('IssuerSerial')}/{ds_tag('X509SerialNumber')}"))
    raise _failure(_REFUSED)


def _load(der: bytes, serial_number: str | None) -> Certificate:
    try:
        certificate = load_certificate(der)
        _ = certificate.public_key  # KSeF takes only some
    except CryptoError as error:
        raise SignatureError(SignatureProblem.INVALID_CERTIFICATE) from error
    if serial_number is not None and serial_number.strip() != str(certificate.readable.serial_number):
        raise _failure(_REFUSED)
    return certificate


def _verify_value(signature: etree._Element, certificate: Certificate) -> None:
    (info,) = signature.findall(ds_tag("SignedInfo"))
    node = info.find(ds_tag("CanonicalizationMethod"))
    try:
        canonicalization = CanonicalizationMethod("" if node is None else node.get("Algorithm"))
    except Exception as error:  # signxml raises its own, of no common kind
        raise _failure(_WRONG_PROFILE) from error
    try:
        method = SignatureMethod(_algorithm(info, "SignatureMethod"))
    except Exception as error:
        raise _failure(_UNSUPPORTED) from error
    if not method.name.startswith(("RSA_", "ECDSA_")) and not method.name.endswith("_RSA_MGF1"):
        raise _failure(_UNSUPPORTED)
    signed = _canonical(info, canonicalization, node, with_comments=canonicalization.value.endswith("#WithComments"))
    value, key = _decode(_text(signature, "SignatureValue")), certificate.public_key
    digest: Any = digest_algorithm_implementations[method]()
    try:
        if isinstance(key, rsa.RSAPublicKey) and method.name.startswith("RSA_"):
            key.verify(value, signed, padding.PKCS1v15(), digest)
        elif isinstance(key, rsa.RSAPublicKey) and method.name.endswith("_RSA_MGF1"):
            key.verify(value, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and method.name.startswith("ECDSA_"):
            key.verify(_der(value, key), signed, ec.ECDSA(digest))
        else:
            raise _failure(_REFUSED)
    except (InvalidSignature, ValueError) as error:
        raise _failure(_REFUSED) from error


def _der(value: bytes, key: ec.EllipticCurvePublicKey) -> bytes:
    size = (key.key_size + 7) // 8
    if len(value) != 2 * size:
        raise InvalidSignature
    return utils.encode_dss_signature(int.from_bytes(value[:size], "big"), int.from_bytes(value[size:], "big"))


def _digest(algorithm: str, data: bytes) -> bytes:
    try:
        implementation: Any = digest_algorithm_implementations[DigestAlgorithm(algorithm)]()
    except Exception as error:  # signxml raises its own, of no common kind
        raise _failure(_UNSUPPORTED) from error
    digest = hashes.Hash(implementation)
    digest.update(data)
    return digest.finalize()


def _required(signature: etree._Element, path: str) -> list[etree._Element]:
    if len(signature.findall(ds_tag("SignedInfo"))) != 1:
        problem = "The element 'Signature' must contain one 'SignedInfo'."
        raise _failure(_AGAINST_SCHEMA.format(problem=problem))
    return signature.findall("/".join(ds_tag(name) for name in path.split("/")))


def _algorithm(parent: etree._Element, name: str) -> str:
    node = parent.find(ds_tag(name))
    return "" if node is None else node.get("Algorithm", "")


def _text(parent: etree._Element, name: str) -> str:
    return parent.findtext(ds_tag(name)) or ""


def _decode(text: str) -> bytes:
    try:
        return b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        problem = f"The value '{_quoted(text)}' is invalid according to its datatype 'base64Binary'."
        raise _failure(_AGAINST_SCHEMA.format(problem=problem)) from error


def _quoted(text: str) -> str:
    """As much of a value as fits a detail."""
    return text if len(text) <= 100 else f"{text[:100]}..."


def _failure(detail: str) -> SignatureError:
    return SignatureError(SignatureProblem.INVALID_SIGNATURE, detail)


def _local_name(element: etree._Element) -> str:
    return etree.QName(element).localname
