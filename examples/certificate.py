"""Log in with a certificate of one's own (TEST only), get a KSeF certificate with it, and renew that one in time.

`pip install 'ksef_async[xades]'`
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from ksef_async import CertificateCredentials, KsefClient
from ksef_async.sandbox import Sandbox

NIP = "5265877635"


async def main(file: Path) -> None:
    # At KSeF: "TEST" in place of sandbox.environment.
    async with Sandbox() as sandbox:
        own = await CertificateCredentials.self_signed(NIP)
        async with KsefClient(sandbox.environment, own) as client:
            print(f"{(await client.certificates.get_limits()).enrollment.remaining} applications left")
            await client.certificates.renew(file, name="Faktury")  # key and certificate, readable for the owner only
        # In a service: KsefClient.from_env(), with KSEF_CERTIFICATE_FILE naming the file.
        ksef = await CertificateCredentials.from_files(file, nip=NIP, verify_certificate_chain=True)
        async with KsefClient(sandbox.environment, ksef) as client:
            async for row in client.certificates.list():
                print(f"{row.name}: {row.status}, of {row.subject}")
            # Once client.credentials_ending says so: whatever dies in between, neither old nor new is lost.
            await client.certificates.renew(file, name="Faktury 2028")
        print(f"{file.name} is the new one, {file.name}.old the one before")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder, "company.pem")))

# 300 applications left
# Faktury: Active, of Nip 5265877635
# company.pem is the new one, company.pem.old the one before
