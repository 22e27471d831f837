"""The pages that verification codes lead to, followed as a customer does who knows nothing but the code."""

from __future__ import annotations

import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from certificates import EC_KEY, NIP, RSA_KEY
from clients import QUICK
from codes import decode_png
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from parties import SOON
from yarl import URL

from ksef_async import (
    CertificateCredentials,
    Context,
    ContextType,
    FormCode,
    InvoiceRejectedError,
    KsefClient,
    OfflineSigner,
    Pacer,
    VerificationCode,
    certificate_link,
    verification_link,
)
from ksef_async.api.certificates import CertificateType, RevocationReason
from ksef_async.crypto.certificates import PrivateKey
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.protocol.polish_calendar import polish_day
from ksef_async.protocol.verification_links import certificate_link_to_sign, signed_certificate_link
from ksef_async.sandbox import Sandbox, sample_invoice

SEAL = self_signed_seal(NIP, EC_KEY, name="Firma Kowalski Sp. z o.o.")
CONTEXT = Context(ContextType.NIP, NIP)
OTHER_NIP = "3568707925"


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    credentials = CertificateCredentials(certificate=SEAL, key=EC_KEY, nip=NIP)
    async with KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK) as client:
        yield client


async def enrolled(
    client: KsefClient, key: PrivateKey, kind: CertificateType = CertificateType.OFFLINE
) -> tuple[str, bytes]:
    """Serial number and certificate of a key."""
    handle = await client.certificates.enroll("Offline 1", key, certificate_type=kind)
    number = (await handle.wait(SOON)).certificate_serial_number
    assert number is not None
    (found,) = await client.certificates.get([number])
    return number, found.certificate


async def visit(link: str) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as http, http.get(link, headers={"Accept": "application/json"}) as response:
        return response.status, await response.json()


async def look(link: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as http, http.get(link) as response:
        assert response.content_type == "text/html"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        return response.status, await response.text()


async def test_code_of_an_invoice_leads_to_it_once_ksef_has_it(client: KsefClient, sandbox: Sandbox) -> None:
    invoice = sample_invoice(NIP, "FV/<1>")
    code = VerificationCode.of_invoice(invoice, sandbox.environment)
    (link,) = decode_png(code.png(3))
    assert await visit(link) == (404, {"found": False})
    assert "Nie ma takiej faktury" in (await look(link))[1]

    async with await client.sessions.open_online(FormCode.FA3) as session:
        accepted = await (await session.send(invoice)).outcome()

    status, told = await visit(link)
    assert (status, told["ksefNumber"], told["invoiceNumber"]) == (200, accepted.ksef_number, "FV/<1>")
    assert (told["invoicingMode"], told["technicallyCorrected"]) == ("Online", False)
    assert "FV/&lt;1&gt;" in (await look(link))[1]


async def test_code_of_a_refused_invoice_leads_to_its_technical_correction(
    client: KsefClient, sandbox: Sandbox
) -> None:
    refused, corrected = (
        sample_invoice(NIP).replace(b'kodSystemowy="FA (3)"', b'kodSystemowy="FA (9)"'),
        sample_invoice(NIP),
    )
    # What the customer was given.
    link = verification_link(refused, sandbox.environment)
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(InvoiceRejectedError) as caught:
            await (await session.send(refused, offline=True)).outcome()
        assert (await visit(link))[0] == 404

        sent = await session.send(corrected, offline=True, corrects=caught.value.invoice_hash)
        accepted = await sent.outcome()

    status, told = await visit(link)
    assert (status, told["ksefNumber"], told["technicallyCorrected"]) == (200, accepted.ksef_number, True)
    assert "po korekcie technicznej" in (await look(link))[1]
    status, told = await visit(verification_link(corrected, sandbox.environment))
    assert (status, told["technicallyCorrected"], told["invoicingMode"]) == (200, False, "Offline")


async def test_link_of_another_date_seller_or_file_leads_to_nothing(client: KsefClient, sandbox: Sandbox) -> None:
    invoice = sample_invoice(NIP)
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(invoice)).outcome()
    link = verification_link(invoice, sandbox.environment)
    day = f"{polish_day(sandbox.clock.now()):%d-%m-%Y}"

    assert (await visit(link))[0] == 200
    assert (await visit(link.replace(day, "01-01-2026")))[0] == 404
    assert (await visit(link.replace(NIP, OTHER_NIP)))[0] == 404
    assert (await visit(verification_link(invoice + b" ", sandbox.environment)))[0] == 404
    for wrong in (link[:-1], link.replace(day, "31-02-2026"), link + "/x", link.replace(NIP, "1"), link + "%20"):
        assert await visit(wrong) == (400, {"found": False})


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY], ids=["P-256", "RSA"])
async def test_code_of_a_certificate_vouches_for_who_issued(
    client: KsefClient, sandbox: Sandbox, key: PrivateKey
) -> None:
    invoice = sample_invoice(NIP)
    number, certificate = await enrolled(client, key)
    signer = OfflineSigner.from_key(certificate, key)
    assert signer.serial_number == number
    now = sandbox.clock.now()
    link = await certificate_link(invoice, signer, CONTEXT, sandbox.environment, now=now)

    (link,) = decode_png(VerificationCode.of_certificate(link).png(3))

    expected = {"valid": True, "problems": [], "owner": f"Nip {NIP}", "invoiceFound": False}
    assert await visit(link) == (200, expected)
    assert "Certyfikat potwierdza" in (await look(link))[1]
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(invoice, offline=True)).outcome()
    assert await visit(link) == (200, {**expected, "invoiceFound": True})


async def test_der_signature_is_taken_too(client: KsefClient, sandbox: Sandbox) -> None:
    number, _ = await enrolled(client, EC_KEY)
    text = certificate_link_to_sign(sample_invoice(NIP), CONTEXT, number, sandbox.environment)
    der = EC_KEY.sign(text.encode(), ec.ECDSA(hashes.SHA256()))

    status, told = await visit(signed_certificate_link(text, der, sandbox.environment))

    assert (status, told["valid"]) == (200, True)


async def problems(link: str) -> list[str]:
    status, told = await visit(link)
    assert (status, told["valid"], told["owner"]) == (200, False, None)
    return list(told["problems"])


async def test_link_that_was_changed_does_not_verify(client: KsefClient, sandbox: Sandbox) -> None:
    _, certificate = await enrolled(client, EC_KEY)
    signer, now = OfflineSigner.from_key(certificate, EC_KEY), sandbox.clock.now()
    link = await certificate_link(sample_invoice(NIP), signer, CONTEXT, sandbox.environment, now=now)
    head, _, signature = link.rpartition("/")
    raw = urlsafe_b64decode(signature + "==")
    flipped = urlsafe_b64encode(bytes([raw[0] ^ 1]) + raw[1:]).decode().rstrip("=")

    assert await problems(f"{head}/{flipped}") == ["wrong-signature"]
    assert await problems(f"{head}/AAAA") == ["wrong-signature"]
    assert await problems(link.replace(f"/Nip/{NIP}/{NIP}/", f"/Nip/{NIP}/{OTHER_NIP}/")) == ["wrong-signature"]
    other_context = link.replace(f"/Nip/{NIP}/{NIP}/", f"/Nip/{OTHER_NIP}/{NIP}/")
    assert await problems(other_context) == ["wrong-signature", "no-permission"]
    assert await problems(link.replace(signer.serial_number, "0123456789ABCDEF")) == ["unknown-certificate"]
    assert (await visit(link.replace("/Nip/", "/Pesel/")))[0] == 400
    assert (await visit(head))[0] == 400


async def test_certificate_that_is_of_no_use_is_told(client: KsefClient, sandbox: Sandbox) -> None:
    number, certificate = await enrolled(client, EC_KEY)
    signer, now = OfflineSigner.from_key(certificate, EC_KEY), sandbox.clock.now()
    link = await certificate_link(sample_invoice(NIP), signer, CONTEXT, sandbox.environment, now=now)
    other, _ = await enrolled(client, RSA_KEY, CertificateType.AUTHENTICATION)
    text = certificate_link_to_sign(sample_invoice(NIP), CONTEXT, other, sandbox.environment)

    login = signed_certificate_link(text, bytes(256), sandbox.environment)
    assert await problems(login) == ["not-of-type-offline", "wrong-signature"]
    await client.certificates.revoke(number, RevocationReason.KEY_COMPROMISE)
    assert (await problems(link))[0] in ("blocked", "revoked")
    sandbox.clock.advance(1)
    assert await problems(link) == ["revoked"]


async def test_expired_certificate_is_told(client: KsefClient, sandbox: Sandbox) -> None:
    _, certificate = await enrolled(client, EC_KEY)
    signer, now = OfflineSigner.from_key(certificate, EC_KEY), sandbox.clock.now()
    link = await certificate_link(sample_invoice(NIP), signer, CONTEXT, sandbox.environment, now=now)

    sandbox.clock.advance(731 * 86400)

    assert await problems(link) == ["expired"]


async def test_link_by_the_public_address_verifies_there(client: KsefClient, sandbox: Sandbox) -> None:
    # As a proxy before the sandbox would call it.
    sandbox.world.public_url = "https://ksef.example/sandbox"
    number, _ = await enrolled(client, EC_KEY)
    environment = type(sandbox.environment)("https://ksef.example/sandbox/v2")
    text = certificate_link_to_sign(sample_invoice(NIP), CONTEXT, number, environment)
    signature = EC_KEY.sign(text.encode(), ec.ECDSA(hashes.SHA256()))

    link = signed_certificate_link(text, signature, environment)
    own = sandbox.environment.qr_url
    status, told = await visit(link.replace("https://ksef.example/sandbox", own))

    assert (status, told["problems"]) == (200, [])


#: What links are made of, and what they are not.
PARTS = (
    *("Nip", "InternalId", NIP, "01-02-2026", "31-02-2026", "A" * 43, "A" * 86, "-_" * 30, "01F20A5D352AE590"),
    *("%00", "%c5%bc", "%2e%2e", "%27%3cscript%3e", ""),
)


async def test_any_address_gets_an_answer(sandbox: Sandbox) -> None:
    rng = random.Random(0)
    async with aiohttp.ClientSession() as http:
        for kind in ("invoice", "certificate"):
            for _ in range(150):
                count = rng.randint(0, 8)
                path = "/".join([kind, *(rng.choice(PARTS) for _ in range(count))])
                async with http.get(URL(f"{sandbox.environment.qr_url}/{path}", encoded=True)) as response:
                    assert response.status in (200, 400, 404), path
                    assert "Traceback" not in await response.text()
