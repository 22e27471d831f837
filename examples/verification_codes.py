"""Issue an invoice while KSeF is down: two codes for the customer, and where they lead before it is sent and after.

``pip install 'ksef_async[xades]'``

``python verification_codes.py offline.pem`` signs with your certificate of the type Offline (PEM with its key, or
PKCS#12). Without one it applies for a new one each time, and KSeF grants a company only so many.
"""

from __future__ import annotations

import asyncio
import os
import sys

import aiohttp

from ksef_async import (
    CertificateType,
    Context,
    ContextType,
    FormCode,
    KsefClient,
    OfflineSigner,
    VerificationCode,
    certificate_link,
)
from ksef_async.cli.demo import connect, new_number
from ksef_async.crypto.issuing import new_private_key
from ksef_async.sandbox import sample_invoice


async def offline_signer(client: KsefClient) -> OfflineSigner:
    """Return who signs what is issued offline; got once, while KSeF answers."""
    if len(sys.argv) > 1:
        return await OfflineSigner.from_files(sys.argv[1], password=os.environ.get("KSEF_OFFLINE_KEY_PASSWORD"))
    key = await asyncio.to_thread(new_private_key)
    applied = await client.certificates.enroll("Faktury", key, certificate_type=CertificateType.OFFLINE)
    (found,) = await client.certificates.get([(await applied.wait()).certificate_serial_number or ""])
    return OfflineSigner.from_key(found.certificate, key)


async def look(code: VerificationCode) -> None:
    async with aiohttp.ClientSession() as http, http.get(code.link, headers={"Accept": "application/json"}) as page:
        # The Ministry's page is for people.
        told = await page.json() if page.content_type == "application/json" else {"found": f"see {code.link}"}
    print(f"{code.label}, QR code of version {code.version}: {told.get('found', told.get('valid'))}")


async def main() -> None:
    async with connect() as (client, nip):
        signer = await offline_signer(client)

        # Without KSeF: what the customer gets, as pictures by code.svg() or code.png().
        invoice = sample_invoice(nip, new_number())
        link = await certificate_link(invoice, signer, Context(ContextType.NIP, nip), client.environment)
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
