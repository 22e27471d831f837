"""Logins by certificate that KSeF refuses at once: tampered, wrapped, badly signed, badly written."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import signing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, utils
from lxml import etree
from official import AUTH_SCHEMAS, need
from sandbox.signed_login import (
    DATES,
    EC_KEY,
    NIP,
    OTHER,
    V21,
    challenge,
    document,
    log_in,
    policy,
    seal,
    send,
    signer,
)
from sandbox.wire import START, Wire, connected
from signing import Signer, ds, xades

from ksef_async.crypto.issuing import self_signed


def edited(change: Callable[[etree._Element], None]) -> Callable[[bytes], bytes]:
    """Changes what is already signed."""

    def edit(body: bytes) -> bytes:
        root = etree.fromstring(body)
        change(root)
        return etree.tostring(root)

    return edit


def _rename_context(root: etree._Element) -> None:
    for element in root.iter(f"{{{V21}}}Nip"):
        element.text = OTHER


def _change_time(root: etree._Element) -> None:
    for element in root.iter(xades("SigningTime")):
        element.text = "2030-01-01T00:00:00Z"


def _change_digest(root: etree._Element) -> None:
    for element in root.iter(ds("DigestValue")):
        element.text = b64encode(bytes(32)).decode()


def _change_certificate(root: etree._Element) -> None:
    for element in root.iter(ds("X509Certificate")):
        element.text = b64encode(seal(ec.generate_private_key(ec.SECP256R1()))).decode()


def _wrap(root: etree._Element) -> None:
    """The document that was signed, hidden in another that asks for something else."""
    inner = etree.fromstring(etree.tostring(root))
    signature = inner.find(ds("Signature"))
    assert signature is not None
    for child in list(root):
        root.remove(child)
    outer = etree.fromstring(document("20260701-CR-0000000000-0000000000-00", context=f"<Nip>{OTHER}</Nip>"))
    root.extend(list(outer))
    inner.remove(signature)
    root.append(signature)
    etree.SubElement(signature, ds("Object")).append(inner)


def _double_ids(root: etree._Element) -> None:
    etree.SubElement(root, f"{{{V21}}}Extra", Id="P")


def _second_signature(root: etree._Element) -> None:
    signature = root.find(ds("Signature"))
    assert signature is not None
    root.append(etree.fromstring(etree.tostring(signature)))


def _nest(root: etree._Element) -> None:
    signature = root.find(ds("Signature"))
    assert signature is not None
    root[1].append(signature)


def _remove_key_info(root: etree._Element) -> None:
    for element in list(root.iter(ds("X509Data"))):
        element.getparent().remove(element)  # type: ignore[union-attr]


TAMPERED = {
    "another context": edited(_rename_context),
    "another time": edited(_change_time),
    "another digest": edited(_change_digest),
    "another certificate": edited(_change_certificate),
    "wrapped": edited(_wrap),
    "two elements of one name": edited(_double_ids),
    "signature elsewhere": edited(_nest),
    "no certificate": edited(_remove_key_info),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
async def test_document_that_was_changed_is_refused(wire: Wire, change: Callable[[bytes], bytes]) -> None:
    body = change(signer().sign(document(await challenge(wire))))

    assert (await send(wire, body)).error == (400, 9105)


def _external(signature: etree._Element) -> None:
    for reference in signature.iter(ds("Reference")):
        reference.set("URI", "https://example.com/document.xml")


def _unknown_transform(signature: etree._Element) -> None:
    for transform in signature.iter(ds("Transform")):
        transform.set("Algorithm", "http://www.w3.org/TR/1999/REC-xslt-19991116")


def _no_transform(signature: etree._Element) -> None:
    for transforms in list(signature.iter(ds("Transforms"))):
        transforms.getparent().remove(transforms)  # type: ignore[union-attr]


def _unknown_digest(signature: etree._Element) -> None:
    for method in signature.iter(ds("DigestMethod")):
        method.set("Algorithm", "http://www.w3.org/2001/04/xmldsig-more#md5")


def _unknown_method(signature: etree._Element) -> None:
    for method in signature.iter(ds("SignatureMethod")):
        method.set("Algorithm", "http://www.w3.org/2000/09/xmldsig#hmac-sha1")


def _unknown_c14n(signature: etree._Element) -> None:
    for method in signature.iter(ds("CanonicalizationMethod")):
        method.set("Algorithm", "http://www.w3.org/2010/xml-c14n2")


def _der(value: bytes) -> bytes:
    r, s = int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big")
    return utils.encode_dss_signature(r, s)


BADLY_SIGNED: dict[str, dict[str, Any]] = {
    "document not signed": {"signs_document": False},
    "document not signed, KeyInfo is": {"signs_document": False, "signs_key_info": True},
    "enveloping, document not signed": {"signs_document": False, "form": "enveloping"},
    "properties not signed": {"signs_properties": False},
    "properties by another type": {"properties_type": "http://example.com"},
    "properties of another signature": {"target": "#T"},
    "no signing certificate": {"certificate_version": 0},
    "external reference": {"prepare": _external},
    "unknown transform": {"prepare": _unknown_transform},
    "signature not taken out": {"prepare": _no_transform},
    "unknown digest": {"prepare": _unknown_digest},
    "unknown method": {"prepare": _unknown_method},
    "unknown canonicalization": {"prepare": _unknown_c14n},
    "ECDSA as DER": {"value": _der},
    "no value": {"value": lambda _: b""},
    "value of another key": {"value": lambda value: value[::-1]},
    "filter that keeps the signature": {"form": "filter2", "filtered": ("intersect", "/descendant::ds:Signature")},
    "filter that leaves out more": {"form": "filter2", "filtered": ("subtract", "/descendant::*")},
    "filter of another prefix": {"form": "filter2", "filtered": ("subtract", "/descendant::f:Signature")},
}


@pytest.mark.parametrize("options", BADLY_SIGNED.values(), ids=BADLY_SIGNED)
async def test_bad_signature_is_refused(wire: Wire, options: dict[str, Any]) -> None:
    assert (await log_in(wire, signer(**options))).error == (400, 9105)


def _missing_element(signature: etree._Element) -> None:
    for reference in signature.iter(ds("Reference")):
        reference.set("URI", "#gone")


DETAILS: dict[str, tuple[dict[str, Any], str]] = {
    "digest": (
        {"prepare": _unknown_digest},
        "Podpis złożony z użyciem niewspieranego algorytmu kryptograficznego.",
    ),
    "method": (
        {"prepare": _unknown_method},
        "Podpis złożony z użyciem niewspieranego algorytmu kryptograficznego.",
    ),
    "missing element": (
        {"prepare": _missing_element},
        "Element wskazywany przez referencję '#gone' nie został odnaleziony.",
    ),
    "canonicalization": (
        {"prepare": _unknown_c14n},
        "Format podpisu niezgodny z akceptowanymi profilami XAdES.",
    ),
    "value": ({"value": lambda value: value[::-1]}, "Podpis zweryfikowany negatywnie."),
}


@pytest.mark.parametrize(("options", "detail"), DETAILS.values(), ids=DETAILS)
async def test_bad_signature_is_refused_with_its_reason(wire: Wire, options: dict[str, Any], detail: str) -> None:
    answer = await log_in(wire, signer(**options))

    assert (answer.error, answer.details) == ((400, 9105), [detail])


@pytest.mark.parametrize("tag", ["SignedInfo", "DigestValue"])
async def test_signature_against_its_schema_is_refused_with_its_reason(wire: Wire, tag: str) -> None:
    def damage(root: etree._Element) -> None:
        element = next(root.iter(ds(tag)))
        if tag == "SignedInfo":
            element.getparent().remove(element)  # type: ignore[union-attr]
        else:
            element.text = "no Base64!"

    answer = await send(wire, edited(damage)(signer().sign(document(await challenge(wire)))))

    assert answer.error == (400, 9105)
    assert answer.details[0].startswith("Błąd walidacji XSD: The ")


async def test_method_of_another_kind_of_key_is_refused(wire: Wire) -> None:
    def claim_rsa(signature: etree._Element) -> None:
        for method in signature.iter(ds("SignatureMethod")):
            method.set("Algorithm", signing.RSA_SHA256)

    assert (await log_in(wire, signer(prepare=claim_rsa))).error == (400, 9105)


EMPTY = f'<ds:Signature xmlns:ds="{signing.DS}"/>'


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", 21001, id="nothing"),
        pytest.param(b"<AuthTokenRequest", 21001, id="not well-formed"),
        pytest.param(b"{}", 21001, id="JSON"),
        pytest.param("<ą/>".encode("iso-8859-2"), 21217, id="not UTF-8"),
        pytest.param(b'<?xml version="1.0" encoding="iso-8859-2"?><a/>', 21217, id="said not to be UTF-8"),
        pytest.param(b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", 9101, id="DTD"),
        pytest.param(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', 9101, id="external DTD"),
        pytest.param(b"<a><?pi?></a>", 9101, id="processing instruction"),
        pytest.param(b"<?pi?><a/>", 9101, id="processing instruction before the document"),
        pytest.param(b"<a/><?pi?>", 9101, id="... after it"),
        pytest.param(document("20260701-CR-0000000000-0000000000-00"), 9102, id="not signed"),
        pytest.param(f"<a>{EMPTY}</a>".encode(), 9101, id="another document"),
        pytest.param(EMPTY.encode(), 9101, id="nothing but a signature"),
        pytest.param(f"<AuthTokenRequest>{EMPTY}</AuthTokenRequest>".encode(), 9105, id="empty signature"),
    ],
)
async def test_what_is_no_signed_document_is_refused(wire: Wire, body: bytes, code: int) -> None:
    assert (await send(wire, body)).error == (400, code)


async def test_signed_document_inside_another_is_refused(wire: Wire) -> None:
    """Every digest is right: what is signed was only moved to where nobody looks for it."""
    root = etree.fromstring(signer(document_id="D").sign(document(await challenge(wire))))
    signature = root.find(ds("Signature"))
    assert signature is not None
    outer = etree.fromstring(document(await challenge(wire), context=f"<Nip>{OTHER}</Nip>"))
    outer.append(signature)
    etree.SubElement(signature, ds("Object")).append(root)

    answer = await send(wire, etree.tostring(outer))

    assert (answer.error, answer.details) == ((400, 9105), ["Podpis zweryfikowany negatywnie."])


async def test_comment_does_not_cut_a_value_short(wire: Wire) -> None:
    """Comments are not signed, so anybody may put one into a document that others have signed."""
    context = f"<NipVatUe>{NIP}-DE123456789</NipVatUe>"
    body = signer().sign(document(await challenge(wire), context=context))

    answer = await send(wire, body.replace(b"-DE1234", b"-DE1234<!-- -->"))

    login = wire.sandbox.world.logins[answer.json["referenceNumber"]]
    assert login.context.value == f"{NIP}-DE123456789"


async def test_two_signatures_are_refused(wire: Wire) -> None:
    body = edited(_second_signature)(signer().sign(document(await challenge(wire))))

    assert (await send(wire, body)).error == (400, 9103)


async def test_detached_signature_is_refused(wire: Wire) -> None:
    root = etree.fromstring(signer().sign(document(await challenge(wire))))
    signature = root.find(ds("Signature"))
    assert signature is not None
    both = etree.Element("Both")
    both.extend([root, signature])

    assert (await send(wire, etree.tostring(both))).error == (400, 9101)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"namespace": "http://ksef.mf.gov.pl/auth/token/3.0"}, id="namespace"),
        pytest.param({"context": "<Nip>123</Nip>"}, id="NIP"),
        pytest.param({"context": ""}, id="no context"),
        pytest.param({"context": f"<Nip>{NIP}</Nip><Nip>{NIP}</Nip>"}, id="two contexts"),
        pytest.param({"context": "<Pesel>44051401458</Pesel>"}, id="kind of context"),
        pytest.param({"subject": "certificate"}, id="kind of subject"),
        pytest.param({"context": f"<Nip>{NIP}<More/></Nip>"}, id="element in a value"),
        pytest.param({"more": "<More/>"}, id="more than it should have"),
        pytest.param({"more": "<AuthorizationPolicy/>"}, id="empty policy"),
        pytest.param({"more": policy("<Ip4Address>1.2.3.400</Ip4Address>")}, id="address"),
        pytest.param({"more": policy("<Ip4Address>1.2.3.4</Ip4Address>" * 11)}, id="eleven addresses"),
        pytest.param({"more": policy("<Ip4Mask>1.2.3.0/8</Ip4Mask><Ip4Address>1.2.3.4</Ip4Address>")}, id="order"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("with_schema", [False, True], ids=["by hand", "by the Ministry's schema"])
async def test_document_against_its_schema_is_refused(fields: dict[str, Any], with_schema: bool) -> None:
    if with_schema:
        need(AUTH_SCHEMAS)
    async with connected(**({"schema_folder": AUTH_SCHEMAS.parent} if with_schema else {})) as wire:
        answer = await log_in(wire, signer(), **fields)

    assert answer.error == (400, 21401)
    assert answer.details


async def test_challenge_is_good_once_and_for_ten_minutes(wire: Wire) -> None:
    body = signer().sign(document(await challenge(wire)))
    assert (await send(wire, body)).status == 202
    late = signer().sign(document(await challenge(wire)))
    wire.advance(10 * 60 + 1)
    unknown = signer().sign(document("20260701-CR-0000000000-0000000000-00"))

    for refused in (body, late, unknown):
        assert (await send(wire, refused)).error == (400, 21111)


async def test_bad_signature_leaves_the_challenge_as_it_was(wire: Wire) -> None:
    body = signer().sign(document(await challenge(wire)))
    assert (await send(wire, edited(_rename_context)(body))).error == (400, 9105)

    assert (await send(wire, body)).status == 202


def _weak() -> tuple[signing.Key, bytes]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return key, _certificate(key)


def _small_curve() -> tuple[signing.Key, bytes]:
    key = ec.generate_private_key(ec.SECP192R1())
    return key, _certificate(key)


def _certificate(key: Any) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, START, START + timedelta(1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _nobody() -> tuple[signing.Key, bytes]:
    return EC_KEY, self_signed({"common_name": "Nobody", "country_name": "PL"}, EC_KEY, **DATES).der


def _no_certificate() -> tuple[signing.Key, bytes]:
    return EC_KEY, b"not a certificate"


def _of_another_kind() -> tuple[signing.Key, bytes]:
    return EC_KEY, _certificate(dsa.generate_private_key(2048))


@pytest.mark.parametrize("made", [_weak, _small_curve, _nobody, _no_certificate, _of_another_kind])
async def test_certificate_that_cannot_be_used_is_refused(
    wire: Wire, made: Callable[[], tuple[signing.Key, bytes]]
) -> None:
    key, certificate = made()

    assert (await log_in(wire, Signer(key=key, certificate=certificate))).error == (400, 21115)


async def test_seal_that_is_also_a_persons_is_refused(wire: Wire) -> None:
    subject = {"organization_identifier": f"VATPL-{NIP}", "given_name": "Jan", "surname": "Test", "common_name": "x"}
    by = signer(certificate=self_signed(subject, EC_KEY, **DATES).der)

    assert (await log_in(wire, by)).error == (400, 21406)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/octet-stream"])
async def test_other_media_types_are_refused(wire: Wire, content_type: str) -> None:
    body = signer().sign(document(await challenge(wire)))

    assert (await send(wire, body, content_type=content_type)).status == 415


async def test_query_that_is_no_boolean_is_refused(wire: Wire) -> None:
    assert (await log_in(wire, signer(), query="?verifyCertificateChain=perhaps")).error == (400, 21405)
