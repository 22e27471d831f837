from __future__ import annotations

import shutil
import subprocess
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from certificates import EC_KEY, NIP, RSA_KEY, pem, with_null_parameters
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from official import AUTH_SCHEMA, needs
from signing import DS, ds, xades

from ksef_async import AllowedIps, AuthorizationPolicy, Context, ContextType, CryptoError, SubjectBy
from ksef_async.crypto.certificates import Certificate, PrivateKey, load_certificate
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.crypto.verification import SignatureError, verify_signed_document
from ksef_async.crypto.xades import prepare, sign_with_key
from ksef_async.protocol.xml import NAMESPACE, auth_token_request

CHALLENGE = "20260701-CR-226FB7B000-3ACF9BE4C0-10"
NOON = datetime(2026, 7, 1, 12, 30, 15, 999_999, UTC)
XMLSEC = shutil.which("xmlsec1")
POLICY = AuthorizationPolicy(
    AllowedIps(ip4_addresses=("10.0.0.1", "10.0.0.2"), ip4_ranges=("10.0.1.1-10.0.1.9",), ip4_masks=("10.1.0.0/16",))
)

KEYS = {
    "rsa": RSA_KEY,
    "P-256": EC_KEY,
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
}
every_key = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)


def request(context: Context | None = None, policy: AuthorizationPolicy | None = POLICY) -> etree._Element:
    return auth_token_request(
        CHALLENGE, context or Context(ContextType.NIP, NIP), SubjectBy.CERTIFICATE_SUBJECT, policy
    )


def signed(key: PrivateKey, certificate: Certificate | None = None, **options: Any) -> bytes:
    unsigned = prepare(request(**options), certificate or self_signed_seal(NIP, key), NOON)
    return unsigned.complete(sign_with_key(key, unsigned))


@pytest.mark.skipif(XMLSEC is None, reason="the xmlsec1 command is not here (Debian: apt-get install xmlsec1)")
@every_key
def test_xmlsec1_verifies_what_is_signed(key: PrivateKey, tmp_path: Path) -> None:
    assert XMLSEC is not None
    certificate = self_signed_seal(NIP, key)
    (document := tmp_path / "signed.xml").write_bytes(signed(key, certificate))
    (trusted := tmp_path / "certificate.pem").write_bytes(pem(certificate))
    names = [("--id-attr:Id", name.strip("{").replace("}", ":")) for name in (xades("SignedProperties"), ds("KeyInfo"))]
    command = [XMLSEC, "--verify", "--trusted-pem", str(trusted), *(word for pair in names for word in pair)]

    good = subprocess.run([*command, str(document)], capture_output=True, text=True)
    document.write_bytes(document.read_bytes().replace(NIP.encode(), b"1111111111"))
    tampered = subprocess.run([*command, str(document)], capture_output=True, text=True)

    assert (good.returncode, "SignedInfo References (ok/all): 3/3" in good.stderr) == (0, True), good.stderr
    assert tampered.returncode != 0


@needs(AUTH_SCHEMA)
@pytest.mark.parametrize(
    "context",
    [
        Context(ContextType.NIP, NIP),
        Context(ContextType.INTERNAL_ID, "6824515772-12343"),
        Context(ContextType.NIP_VAT_UE, f"{NIP}-DE123456789"),
        Context(ContextType.PEPPOL_ID, "PPL123456"),
    ],
    ids=lambda context: context.type,
)
@pytest.mark.parametrize("policy", [None, POLICY, AuthorizationPolicy(AllowedIps())], ids=["none", "all", "empty"])
def test_signed_request_fits_the_schema_of_the_ministry(context: Context, policy: AuthorizationPolicy | None) -> None:
    parsed = etree.parse(AUTH_SCHEMA)
    # Anchors are no part of XSD's patterns; .NET, which KSeF runs on, takes them as such all the same.
    for pattern in parsed.iter("{http://www.w3.org/2001/XMLSchema}pattern"):
        pattern.set("value", pattern.get("value", "").removeprefix("^").removesuffix("$"))
    schema = etree.XMLSchema(parsed)
    root = etree.fromstring(signed(EC_KEY, context=context, policy=policy))
    signature = root.find(ds("Signature"))
    assert signature is not None
    root.remove(signature)

    schema.assertValid(root)

    assert root.findtext(f"{{{NAMESPACE}}}ContextIdentifier/{{{NAMESPACE}}}{context.type}") == context.value


@every_key
def test_signature_has_the_form_that_ksef_documents(key: PrivateKey) -> None:
    certificate = self_signed_seal(NIP, key)
    root = etree.fromstring(signed(key, certificate))

    (signature,) = root.iter(ds("Signature"))
    assert signature.getparent() is root
    methods = {
        method.get("Algorithm") for name in ("CanonicalizationMethod", "Transform") for method in root.iter(ds(name))
    }
    assert methods == {"http://www.w3.org/2006/12/xml-c14n11", f"{DS}enveloped-signature"}
    assert {method.get("Algorithm") for method in root.iter(ds("DigestMethod"))} == {
        "http://www.w3.org/2001/04/xmlenc#sha256"
    }
    assert [each.text for each in root.iter(xades("SigningTime"))] == ["2026-07-01T12:30:15Z"]
    assert [b64decode(each.text or "") for each in root.iter(ds("X509Certificate"))] == [certificate.der]
    assert list(root.iter(ds("KeyValue"))) == []
    (value,) = (b64decode(each.text or "") for each in root.iter(ds("SignatureValue")))
    sizes = {"rsa": 256, "P-256": 64, "P-384": 96, "P-521": 132}
    assert len(value) == next(sizes[name] for name, each in KEYS.items() if each is key)


@every_key
def test_own_verifier_agrees(key: PrivateKey) -> None:
    certificate = self_signed_seal(NIP, key)

    verified = verify_signed_document(signed(key, certificate), "AuthTokenRequest")

    assert verified.certificate.der == certificate.der
    assert verified.root.findtext(f"{{{NAMESPACE}}}Challenge") == CHALLENGE


def test_certificate_that_ksef_wrote_wrong_signs_as_it_is() -> None:
    broken = load_certificate(with_null_parameters(self_signed_seal(NIP, EC_KEY), EC_KEY))

    verified = verify_signed_document(signed(EC_KEY, broken), "AuthTokenRequest")

    assert verified.certificate.der == broken.der


def test_signature_is_taken_in_both_forms_of_ecdsa() -> None:
    certificate = self_signed_seal(NIP, EC_KEY)
    unsigned = prepare(request(), certificate, NOON)
    der = EC_KEY.sign(unsigned.to_sign, ec.ECDSA(hashes.SHA256()))
    r, s = utils.decode_dss_signature(der)

    assert unsigned.complete(der) == unsigned.complete(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


@every_key
def test_signature_of_another_key_is_refused(key: PrivateKey) -> None:
    unsigned = prepare(request(), self_signed_seal(NIP, key), NOON)
    other = prepare(request(), self_signed_seal(NIP, key), NOON + timedelta(seconds=1))

    for signature in (b"", b"x" * 64, bytes(256), sign_with_key(key, other)):
        with pytest.raises(CryptoError, match="does not fit the certificate"):
            unsigned.complete(signature)


def test_curve_that_ksef_does_not_take_is_refused() -> None:
    key = ec.generate_private_key(ec.BrainpoolP512R1())

    with pytest.raises(CryptoError, match="by P-256, P-384 and P-521, not by brainpoolP512r1"):
        prepare(request(), self_signed_seal(NIP, key), NOON)


def test_secrets_and_documents_do_not_show() -> None:
    unsigned = prepare(request(), self_signed_seal(NIP, EC_KEY), NOON)

    assert repr(unsigned) == "UnsignedDocument(algorithm='ecdsa-sha256')"


SIGNED = signed(EC_KEY)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_no_change_of_a_signed_document_goes_unnoticed(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SIGNED) - 1))
    changed = SIGNED[:at] + data.draw(st.binary(max_size=2)) + SIGNED[at + 1 :]

    try:
        verified = verify_signed_document(changed, "AuthTokenRequest")
    except SignatureError:
        return
    # What may change: blanks in Base64 and tags, quotes, the XML declaration; never what was signed.
    original = etree.fromstring(SIGNED)
    signature = verified.root.find(ds("Signature"))
    assert signature is not None
    for root in (original, verified.root):
        found = root.find(ds("Signature"))
        assert found is not None
        root.remove(found)
    assert etree.tostring(verified.root, method="c14n") == etree.tostring(original, method="c14n")
