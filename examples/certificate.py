"""Log in with a certificate of one's own (TEST only), apply for a KSeF certificate, and log in with that."""

from __future__ import annotations

import asyncio

from ksef_async import CertificateCredentials, KsefClient
from ksef_async.crypto.issuing import new_private_key
from ksef_async.sandbox import Sandbox

NIP = "5265877635"


async def main() -> None:
    # At KSeF: Environment.TEST in place of sandbox.environment.
    async with Sandbox() as sandbox:
        own = await CertificateCredentials.self_signed(NIP)
        async with KsefClient(sandbox.environment, own) as client:
            print(f"{(await client.certificates.get_limits()).enrollment.remaining} applications left")
            key = await asyncio.to_thread(new_private_key)  # keep it where you keep secrets
            applied = await client.certificates.enroll("Faktury", key)
            issued = await applied.wait()
            (certificate,) = await client.certificates.get([issued.certificate_serial_number or ""])
        ksef = CertificateCredentials.from_key(certificate.certificate, key, nip=NIP, verify_certificate_chain=True)
        async with KsefClient(sandbox.environment, ksef) as client:
            async for row in client.certificates.list():
                print(f"{row.name}: {row.status}, of {row.subject}")


if __name__ == "__main__":
    asyncio.run(main())

# 300 applications left
# Faktury: Active, of Nip 5265877635
