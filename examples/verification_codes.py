"""Issue an invoice while KSeF is down: two codes for the customer, and where they lead before it is sent and after.

``pip install 'ksef_async[xades]'``
"""

from __future__ import annotations

import asyncio

import aiohttp

from ksef_async import (
    CertificateCredentials,
    CertificateType,
    Context,
    ContextType,
    FormCode,
    KsefClient,
    OfflineSigner,
    VerificationCode,
    certificate_link,
)
from ksef_async.crypto.issuing import new_private_key
from ksef_async.sandbox import Sandbox, sample_invoice

NIP = "5265877635"


async def look(code: VerificationCode) -> None:
    async with aiohttp.ClientSession() as http, http.get(code.link, headers={"Accept": "application/json"}) as page:
        told = await page.json()
    print(f"{code.label}, QR code of version {code.version}: {told.get('found', told.get('valid'))}")


async def main() -> None:
    # At KSeF: Environment.TEST in place of sandbox.environment.
    async with Sandbox() as sandbox:
        own = await CertificateCredentials.self_signed(NIP)
        async with KsefClient(sandbox.environment, own) as client:
            # Once, while KSeF answers: a certificate for what is issued offline.
            key = await asyncio.to_thread(new_private_key)
            applied = await client.certificates.enroll("Faktury", key, certificate_type=CertificateType.OFFLINE)
            number = (await applied.wait()).certificate_serial_number or ""
            (found,) = await client.certificates.get([number])
            signer = OfflineSigner.from_key(found.certificate, key)

            # Without KSeF: what the customer gets, as pictures by code.svg() or code.png().
            invoice = sample_invoice(NIP)
            link = await certificate_link(invoice, signer, Context(ContextType.NIP, NIP), client.environment)
            await look(VerificationCode.of_invoice(invoice, client.environment))
            await look(VerificationCode.of_certificate(link))

            # KSeF is back; until when it has to be there, `offline_deadline` tells.
            async with await client.sessions.open_online(FormCode.FA3) as session:
                accepted = await (await session.send(invoice, offline=True)).outcome()
            await look(VerificationCode.of_invoice(invoice, client.environment, ksef_number=accepted.ksef_number))


if __name__ == "__main__":
    asyncio.run(main())

# OFFLINE, QR code of version 6: False
# CERTYFIKAT, QR code of version 10: True
# 5265877635-20260701-0100001AF629-AF, QR code of version 6: True
