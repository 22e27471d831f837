"""A XAdES signer of the tests' own, from lxml and `cryptography` alone: every variant KSeF takes, and many it does not.

A misreading that the library's signer and its verifier share would show here.
"""

from __future__ import annotations

import copy
import hashlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from lxml import etree

DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
MORE_2007 = "http://www.w3.org/2007/05/xmldsig-more#"
ENVELOPED = f"{DS}enveloped-signature"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
FILTER2 = "http://www.w3.org/2002/06/xmldsig-filter2"
PROPERTIES_TYPE = "http://uri.etsi.org/01903#SignedProperties"

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
C14N_11 = "http://www.w3.org/2006/12/xml-c14n11"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"

SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
DIGESTS = {
    f"{DS}sha1": "sha1",
    SHA256: "sha256",
    f"{MORE}sha384": "sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512": "sha512",
    f"{MORE_2007}sha3-256": "sha3_256",
    f"{MORE_2007}sha3-512": "sha3_512",
}
RSA_SHA256, ECDSA_SHA256 = f"{MORE}rsa-sha256", f"{MORE}ecdsa-sha256"
RSA_METHODS: dict[str, tuple[Any, Any]] = {
    f"{DS}rsa-sha1": (hashes.SHA1(), False),
    RSA_SHA256: (hashes.SHA256(), False),
    f"{MORE}rsa-sha384": (hashes.SHA384(), False),
    f"{MORE}rsa-sha512": (hashes.SHA512(), False),
    f"{MORE_2007}sha1-rsa-MGF1": (hashes.SHA1(), True),
    f"{MORE_2007}sha256-rsa-MGF1": (hashes.SHA256(), True),
    f"{MORE_2007}sha384-rsa-MGF1": (hashes.SHA384(), True),
    f"{MORE_2007}sha512-rsa-MGF1": (hashes.SHA512(), True),
    f"{MORE_2007}sha3-256-rsa-MGF1": (hashes.SHA3_256(), True),
}
ECDSA_METHODS: dict[str, Any] = {
    f"{MORE}ecdsa-sha1": hashes.SHA1(),
    ECDSA_SHA256: hashes.SHA256(),
    f"{MORE}ecdsa-sha384": hashes.SHA384(),
    f"{MORE}ecdsa-sha512": hashes.SHA512(),
    "http://www.w3.org/2021/04/xmldsig-more#ecdsa-sha3-256": hashes.SHA3_256(),
}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def ds(name: str) -> str:
    return f"{{{DS}}}{name}"


def xades(name: str) -> str:
    return f"{{{XADES}}}{name}"


@attrs.frozen(kw_only=True)
class Signer:
    """Signs documents in one way."""

    key: Key
    #: DER.
    certificate: bytes
    method: str | None = None
    digest: str = SHA256
    c14n: str = C14N_11
    #: ``enveloped``, ``enveloping``, ``base64`` (enveloping, encoded), or enveloped by ``xpath`` or ``filter2``.
    form: str = "enveloped"
    #: Of XPath Filter 2.0: what is done with what its expression finds.
    filtered: tuple[str, str] = ("subtract", "/descendant::ds:Signature")
    #: Transforms of the reference to the properties.
    properties_transforms: bool = False
    #: Sign KeyInfo too.
    signs_key_info: bool = False
    #: Of SigningCertificate: 1 or 2, or 0 for none.
    certificate_version: int = 2
    issuer_serial: bool = False
    signs_document: bool = True
    #: Names the document by this, and not as the whole.
    document_id: str = ""
    signs_properties: bool = True
    properties_type: str = PROPERTIES_TYPE
    target: str = "#S"
    #: Changes the signature before it is made.
    prepare: Callable[[etree._Element], None] = lambda _: None
    #: Changes the value: bytes of the signature -> bytes.
    value: Callable[[bytes], bytes] = lambda value: value

    def sign(self, document: bytes) -> bytes:
        root = etree.fromstring(document)
        if self.document_id:
            root.set("Id", self.document_id)
        signature = etree.Element(ds("Signature"), nsmap={"ds": DS}, Id="S")
        info = etree.SubElement(signature, ds("SignedInfo"))
        etree.SubElement(info, ds("CanonicalizationMethod"), Algorithm=self.c14n)
        etree.SubElement(info, ds("SignatureMethod"), Algorithm=self._method)
        value = etree.SubElement(signature, ds("SignatureValue"))
        key_info = etree.SubElement(signature, ds("KeyInfo"), Id="K")
        data = etree.SubElement(key_info, ds("X509Data"))
        etree.SubElement(data, ds("X509Certificate")).text = b64encode(self.certificate).decode()
        properties = self._properties(signature)
        top = root
        if self.form in ("enveloped", "xpath", "filter2"):
            signed = copy.deepcopy(root)
            root.append(signature)
            transforms = [{"enveloped": ENVELOPED, "xpath": XPATH, "filter2": FILTER2}[self.form], self.c14n]
            self._reference(
                info, f"#{self.document_id}".rstrip("#"), signed, transforms
            ) if self.signs_document else None
        else:
            top = signature
            thing = etree.SubElement(signature, ds("Object"), Id="O")
            if self.form == "base64":
                thing.text = b64encode(document).decode()
            else:
                thing.append(root)
            self._reference(info, "#O", thing, [self.c14n]) if self.signs_document else None
        self.prepare(signature)
        if self.signs_properties:
            transforms = [self.c14n] if self.properties_transforms else []
            self._reference(info, "#P", properties, transforms, Type=self.properties_type)
        if self.signs_key_info:
            self._reference(info, "#K", key_info, [self.c14n])
        value.text = b64encode(self.value(self._sign(canonical(info, self.c14n, comments=True)))).decode()
        return etree.tostring(top, xml_declaration=True, encoding="UTF-8")

    @property
    def _method(self) -> str:
        return self.method or (RSA_SHA256 if isinstance(self.key, rsa.RSAPrivateKey) else ECDSA_SHA256)

    def _properties(self, signature: etree._Element) -> etree._Element:
        qualifying = etree.SubElement(
            etree.SubElement(signature, ds("Object")),
            xades("QualifyingProperties"),
            nsmap={"xades": XADES},
            Target=self.target,
        )
        properties = etree.SubElement(qualifying, xades("SignedProperties"), Id="P")
        signed = etree.SubElement(properties, xades("SignedSignatureProperties"))
        etree.SubElement(signed, xades("SigningTime")).text = "2026-07-01T10:00:00Z"
        if self.certificate_version:
            name = "SigningCertificate" if self.certificate_version == 1 else "SigningCertificateV2"
            cert = etree.SubElement(etree.SubElement(signed, xades(name)), xades("Cert"))
            digest = etree.SubElement(cert, xades("CertDigest"))
            etree.SubElement(digest, ds("DigestMethod"), Algorithm=self.digest)
            etree.SubElement(digest, ds("DigestValue")).text = self._hash(self.certificate)
            if self.issuer_serial:
                parsed = x509.load_der_x509_certificate(self.certificate)
                serial = etree.SubElement(cert, xades("IssuerSerial"))
                etree.SubElement(serial, ds("X509IssuerName")).text = parsed.issuer.rfc4514_string()
                etree.SubElement(serial, ds("X509SerialNumber")).text = str(parsed.serial_number)
        return properties

    def _reference(
        self, info: etree._Element, uri: str, target: etree._Element, transforms: list[str], **attributes: str
    ) -> None:
        reference = etree.SubElement(info, ds("Reference"), attrib=attributes, URI=uri)
        if transforms:
            parent = etree.SubElement(reference, ds("Transforms"))
            for algorithm in transforms:
                transform = etree.SubElement(parent, ds("Transform"), Algorithm=algorithm)
                if algorithm == XPATH:
                    path = etree.SubElement(transform, ds("XPath"))
                    path.text = "not(ancestor-or-self::ds:Signature)"
                if algorithm == FILTER2:
                    kind, expression = self.filtered
                    path = etree.SubElement(transform, f"{{{FILTER2}}}XPath", nsmap={"f": FILTER2}, Filter=kind)
                    path.text = expression
        etree.SubElement(reference, ds("DigestMethod"), Algorithm=self.digest)
        content = canonical(target, self.c14n if transforms else C14N)
        etree.SubElement(reference, ds("DigestValue")).text = self._hash(content)

    def _hash(self, data: bytes) -> str:
        return b64encode(hashlib.new(DIGESTS[self.digest], data).digest()).decode()

    def _sign(self, data: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            digest, is_pss = RSA_METHODS[self._method]
            scheme = padding.PSS(padding.MGF1(digest), digest.digest_size) if is_pss else padding.PKCS1v15()
            return self.key.sign(data, scheme, digest)
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(ECDSA_METHODS[self._method])))
        size = (self.key.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def canonical(element: etree._Element, method: str, *, comments: bool = False) -> bytes:
    return etree.tostring(
        element,
        method="c14n",
        exclusive=method.startswith(EXCLUSIVE),
        with_comments=comments and method.endswith("#WithComments"),
    )
