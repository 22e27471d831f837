"""Get a KSeF certificate with another login, log in with it, and renew it in time.

``pip install 'ksef_async[xades]'``

``python certificate.py company.pem`` keeps the new key and certificate in that file. Without a file they are thrown
away, which only the embedded sandbox is for. The first login is that of the environment variables, such as a qualified
seal; on TEST it may sign itself: `CertificateCredentials.self_signed`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from ksef_async import CertificateCredentials, KsefClient
from ksef_async.cli.demo import company


async def main(file: Path) -> None:
    async with company(nip="5265877635") as (environment, own):
        async with KsefClient(environment, own) as client:
            print(f"{(await client.certificates.get_limits()).enrollment.remaining} applications left")
            await client.certificates.renew(file, name="Faktury")  # key and certificate, readable for the owner only
        # In a service: KsefClient.from_env(), with KSEF_CERTIFICATE_FILE naming the file.
        nip = own.context.value
        ksef = await CertificateCredentials.from_files(file, nip=nip, verify_certificate_chain=True)
        async with KsefClient(environment, ksef) as client:
            async for row in client.certificates.list():
                print(f"{row.name}: {row.status}, of {row.subject}")
            # Once client.credentials_ending says so: whatever dies in between, neither old nor new is lost.
            await client.certificates.renew(file, name="Faktury 2028")
        print(f"{file.name} is the new one, {file.name}.old the one before")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(main(Path(sys.argv[1])))
    elif os.environ.get("KSEF_ENV"):
        sys.exit("Name the file to keep the new key and certificate in.")
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(Path(folder, "company.pem")))

# 300 applications left
# Faktury: Active, of Nip 5265877635
# company.pem is the new one, company.pem.old the one before
