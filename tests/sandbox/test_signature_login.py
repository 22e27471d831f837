"""Logins by certificate, signed by hand in every way KSeF takes."""

from __future__ import annotations

import json
import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import signing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from official import AUTH_SCHEMAS, needs
from sandbox.signed_login import (
    DATES,
    EC_KEY,
    NIP,
    OTHER,
    RSA_KEY,
    V20,
    V21,
    challenge,
    document,
    log_in,
    outcome,
    refusal,
    seal,
    send,
    signer,
)
from sandbox.wire import START, Tokens, Wire, connected
from signing import C14N, C14N_11, DIGESTS, ECDSA_METHODS, EXCLUSIVE, RSA_METHODS

from ksef_async.api.common import Context, ContextType
from ksef_async.crypto.certificates import Certificate
from ksef_async.crypto.issuing import self_signed, self_signed_person, self_signed_seal

PESEL = "44051401458"

VARIANTS = {
    "schema 2.0": (EC_KEY, {}, {"namespace": V20}),
    "enveloping": (EC_KEY, {"form": "enveloping"}, {}),
    "enveloping, encoded": (EC_KEY, {"form": "base64"}, {}),
    "enveloped by XPath": (EC_KEY, {"form": "xpath"}, {}),
    "enveloped by XPath Filter 2.0": (EC_KEY, {"form": "filter2"}, {}),
    "... anywhere": (EC_KEY, {"form": "filter2", "filtered": ("subtract", "//ds:Signature")}, {}),
    "... around it": (EC_KEY, {"form": "filter2", "filtered": ("subtract", " here()/ancestor::ds:Signature[1] ")}, {}),
    "c14n 1.0": (RSA_KEY, {"c14n": C14N}, {}),
    "c14n 1.0 with comments": (RSA_KEY, {"c14n": f"{C14N}#WithComments"}, {}),
    "c14n 1.1": (RSA_KEY, {"c14n": C14N_11}, {}),
    "c14n 1.1 with comments": (RSA_KEY, {"c14n": f"{C14N_11}#WithComments"}, {}),
    "exclusive": (EC_KEY, {"c14n": EXCLUSIVE, "properties_transforms": True}, {}),
    "exclusive with comments": (EC_KEY, {"c14n": f"{EXCLUSIVE}WithComments", "properties_transforms": True}, {}),
    "exclusive, enveloping": (EC_KEY, {"c14n": EXCLUSIVE, "form": "enveloping"}, {}),
    "properties without transforms": (EC_KEY, {"properties_transforms": False}, {}),
    "properties with transforms": (EC_KEY, {"properties_transforms": True}, {}),
    "KeyInfo signed too": (EC_KEY, {"signs_key_info": True}, {}),
    "SigningCertificate": (EC_KEY, {"certificate_version": 1, "issuer_serial": True}, {}),
    "SigningCertificateV2": (RSA_KEY, {"certificate_version": 2}, {}),
    "a comment in the document": (EC_KEY, {}, {"more": "<!-- comment -->"}),
    **{method.rpartition("#")[2]: (RSA_KEY, {"method": method}, {}) for method in RSA_METHODS},
    **{method.rpartition("#")[2]: (EC_KEY, {"method": method}, {}) for method in ECDSA_METHODS},
    **{f"digest {name}": (EC_KEY, {"digest": uri}, {}) for uri, name in DIGESTS.items()},
}


@pytest.mark.parametrize(("key", "options", "fields"), VARIANTS.values(), ids=VARIANTS)
async def test_signature_is_taken(
    wire: Wire, key: signing.Key, options: dict[str, Any], fields: dict[str, Any]
) -> None:
    login = await outcome(wire, await log_in(wire, signer(key, **options), **fields))

    assert login["status"]["code"] == 200


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
async def test_larger_curves_are_taken(wire: Wire, curve: ec.EllipticCurve) -> None:
    login = await outcome(wire, await log_in(wire, signer(ec.generate_private_key(curve))))

    assert login["status"]["code"] == 200


@pytest.mark.parametrize(
    ("made", "context", "method"),
    [
        pytest.param(lambda: self_signed_seal(NIP, EC_KEY, **DATES), NIP, "QualifiedSeal", id="seal"),
        pytest.param(lambda: self_signed_person(EC_KEY, nip=NIP, **DATES), NIP, "QualifiedSignature", id="person"),
    ],
)
async def test_login_tells_how_it_was_proved(wire: Wire, made: Callable[[], Any], context: str, method: str) -> None:
    login = await outcome(wire, await log_in(wire, signer(certificate=made().der), context=f"<Nip>{context}</Nip>"))

    assert login["authenticationMethod"] == method
    assert login["authenticationMethodInfo"]["category"] == "XadesSignature"


async def test_owner_alone_may_log_in(wire: Wire) -> None:
    stranger = await log_in(wire, signer(certificate=seal(EC_KEY, OTHER)))
    by_fingerprint = await log_in(wire, signer(), subject="certificateFingerprint")
    pesel = signer(certificate=self_signed_person(EC_KEY, pesel=PESEL, **DATES).der)

    assert await refusal(wire, stranger) == (415, ["Brak przypisanych uprawnień"])
    assert await refusal(wire, by_fingerprint) == (415, ["Brak przypisanych uprawnień"])
    assert await refusal(wire, await log_in(wire, pesel)) == (415, ["Brak przypisanych uprawnień"])


async def test_person_owns_the_company_that_is_linked_to_its_pesel_while_it_lives(wire: Wire) -> None:
    by = signer(certificate=self_signed_person(EC_KEY, pesel=PESEL, **DATES).der)
    person = {"nip": NIP, "pesel": PESEL, "isBailiff": False, "description": "A person with a company"}
    assert (await wire.call("POST", "/testdata/person", json=person)).status == 200
    wire.advance(1)

    alive = await log_in(wire, by)

    assert await refusal(wire, alive) == (200, [])
    assert (await wire.call("POST", "/testdata/person/remove", json={"nip": NIP})).status == 200
    wire.advance(1)
    await wire.call("POST", "/testdata/person", json=person | {"isDeceased": True})
    wire.advance(1)
    assert (await refusal(wire, await log_in(wire, by)))[0] == 470


async def test_blocked_context_cannot_be_logged_in_to(wire: Wire) -> None:
    wire.sandbox.world.grants.registry.blocked.add(Context(ContextType.NIP, NIP))

    assert (await refusal(wire, await log_in(wire, signer())))[0] == 480


@pytest.mark.parametrize(
    ("dates", "query", "detail"),
    [
        pytest.param(
            {"valid_from": START - timedelta(9), "lifetime": 8 * 86400}, "", "Nieważny certyfikat", id="expired"
        ),
        pytest.param({"valid_from": START + timedelta(1)}, "", "Nieważny certyfikat", id="not valid yet"),
        pytest.param({}, "?verifyCertificateChain=true", "Niezaufany łańcuch certyfikatów", id="unknown issuer"),
    ],
)
async def test_certificate_is_refused_in_the_status(wire: Wire, dates: dict[str, Any], query: str, detail: str) -> None:
    answer = await log_in(wire, signer(certificate=seal(EC_KEY, **dates)), query=query)

    assert await refusal(wire, answer) == (460, [detail])


async def test_forged_certificate_of_the_authority_is_refused(wire: Wire) -> None:
    authority = wire.sandbox.world.authority.certificate.readable
    forged = (
        x509.CertificateBuilder(
            authority.subject, authority.subject, EC_KEY.public_key(), 7, START, START + timedelta(1)
        )
        .sign(EC_KEY, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    by = signer(certificate=forged)

    assert await refusal(wire, await log_in(wire, by, subject="certificateFingerprint")) == (
        460,
        ["Błąd weryfikacji łańcucha certyfikatów"],
    )


@needs(AUTH_SCHEMAS)
@pytest.mark.parametrize("namespace", [V20, V21])
@pytest.mark.parametrize("form", ["enveloped", "enveloping"])
async def test_good_document_fits_the_schema(namespace: str, form: str) -> None:
    policy = (
        "<AuthorizationPolicy><AllowedIps><Ip4Address>127.0.0.1</Ip4Address><Ip4Range>10.0.0.1-10.0.0.9</Ip4Range>"
        "<Ip4Mask>10.0.0.0/8</Ip4Mask></AllowedIps></AuthorizationPolicy>"
    )
    async with connected(schema_folder=AUTH_SCHEMAS.parent) as wire:
        login = await outcome(wire, await log_in(wire, signer(form=form), namespace=namespace, more=policy))

    assert login["status"]["code"] == 200


async def test_peppol_provider_logs_in_to_its_own_context_only(wire: Wire) -> None:
    provider = {"organization_name": "Provider", "common_name": "PPL123456", "country_name": "PL"}
    by = signer(certificate=self_signed(provider, EC_KEY, **DATES).der)

    login = await outcome(wire, await log_in(wire, by, context="<PeppolId>PPL123456</PeppolId>"))

    assert login["status"]["code"] == 200
    assert login["authenticationMethod"] == "PeppolSignature"
    assert (await log_in(wire, by, context="<PeppolId>PPL654321</PeppolId>")).error == (400, 21117)
    assert (await log_in(wire, by)).error == (400, 21115)


async def test_peppol_provider_registers_itself_by_its_first_login(wire: Wire, tokens: Tokens) -> None:
    provider = {"organization_name": "Provider", "common_name": "PPL123456", "country_name": "PL"}
    by = signer(certificate=self_signed(provider, EC_KEY, **DATES).der)
    assert (await wire.call("GET", "/peppol/query", tokens.access)).json["peppolProviders"] == []

    for _ in range(2):
        await outcome(wire, await log_in(wire, by, context="<PeppolId>PPL123456</PeppolId>"))

    (row,) = (await wire.call("GET", "/peppol/query", tokens.access)).json["peppolProviders"]
    assert (row["id"], row["name"]) == ("PPL123456", "Provider")
    assert row["dateCreated"].startswith("2026-07-01T10:00:0")


@pytest.mark.parametrize(
    ("certificate", "details"),
    [
        pytest.param(
            self_signed_person(EC_KEY, nip=NIP, given_name="Łucja", surname="Żak", **DATES),
            {
                "subjectIdentifier": {"type": "Nip", "value": NIP},
                "givenNames": ["Łucja"],
                "surname": "Żak",
                "serialNumber": f"TINPL-{NIP}",
                "commonName": "Łucja Żak",
                "countryName": "PL",
            },
            id="person",
        ),
        pytest.param(
            self_signed_seal(NIP, EC_KEY, name="Firma", **DATES),
            {"subjectIdentifier": {"type": "Nip", "value": NIP}, "commonName": "Firma", "countryName": "PL"},
            id="seal",
        ),
    ],
)
async def test_access_token_of_an_owner_says_who_logged_in(
    wire: Wire, certificate: Certificate, details: dict[str, Any]
) -> None:
    started = await log_in(wire, signer(certificate=certificate.der))
    await outcome(wire, started)
    pair = (await wire.call("POST", "/auth/token/redeem", started.json["authenticationToken"]["token"])).json

    payload = pair["accessToken"]["token"].split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    assert json.loads(claims["sud"]) == details
    assert claims["per"] == '["Owner"]'
    assert [claims[name] for name in ("pec", "rol", "pep", "iop")] == ["[]"] * 4


async def test_tokens_of_the_login_keep_to_its_addresses(wire: Wire) -> None:
    policy = "<AuthorizationPolicy><AllowedIps><Ip4Address>10.1.2.3</Ip4Address></AllowedIps></AuthorizationPolicy>"
    started = await log_in(wire, signer(), more=policy)

    token = started.json["authenticationToken"]["token"]
    answer = await wire.call("GET", f"/auth/{started.json['referenceNumber']}", token)

    assert (answer.status, answer.json["reasonCode"]) == (403, "ip-not-allowed")


async def test_clock_of_the_sandbox_decides(wire: Wire) -> None:
    by = signer(certificate=seal(EC_KEY, lifetime=259200.0))
    assert (await outcome(wire, await log_in(wire, by)))["status"]["code"] == 200
    wire.advance(3 * 86400)

    assert await refusal(wire, await log_in(wire, by)) == (460, ["Nieważny certyfikat"])


@pytest.mark.parametrize("missing", ["lxml", "signxml.algorithms"])
async def test_sandbox_without_the_extra_says_so(
    wire: Wire, missing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    body = signer().sign(document(await challenge(wire)))
    monkeypatch.setitem(sys.modules, missing, None)
    for module in ("crypto.xades", "crypto.verification", "sandbox.auth_documents"):
        monkeypatch.delitem(sys.modules, f"ksef_async.{module}", raising=False)

    answer = await send(wire, body)

    assert answer.error == (400, 21405)
    assert "z dodatkiem 'xades'" in answer.details[0]
    assert "install ksef_async with the extra 'xades'" in caplog.text
