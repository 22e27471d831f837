"""A till that never keeps a customer waiting for more than two seconds, whether KSeF answers or not.

It has a sandbox of its own, whatever KSEF_ENV says: in the middle of the day it makes KSeF fail.

``pip install 'ksef_async[xades,durable]'``
"""

from __future__ import annotations

import asyncio
import time
from tempfile import TemporaryDirectory

from ksef_async import CertificateCredentials, CertificateType, KsefClient, OfflineSigner
from ksef_async.crypto.issuing import new_private_key
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submissions

NIP = "5265877635"


async def offline_signer(client: KsefClient) -> OfflineSigner:
    # Once, while KSeF answers; keep the key where you keep secrets.
    key = await asyncio.to_thread(new_private_key)
    applied = await client.certificates.enroll("Till 1", key, certificate_type=CertificateType.OFFLINE)
    (found,) = await client.certificates.get([(await applied.wait()).certificate_serial_number or ""])
    return OfflineSigner.from_key(found.certificate, key)


async def sell(journal: Submissions, signer: OfflineSigner, number: str) -> None:
    began = time.monotonic()
    issued = await journal.issue(sample_invoice(NIP, number), within=1.0, signer=signer)
    took = time.monotonic() - began
    # What is printed: code.svg() or code.png() of each.
    print(f"{number}: {' and '.join(code.label for code in issued.codes)}, in time: {took < 2}")


async def main() -> None:
    # At KSeF: KsefClient.from_env(), a journal that stays, and no settings; here the session closes soon.
    quick = Settings(linger=0.2, first_pause=0.2)
    with TemporaryDirectory() as folder:
        async with Sandbox(nip=NIP) as sandbox:
            own = await CertificateCredentials.self_signed(NIP)
            async with (
                KsefClient(sandbox.environment, own) as client,
                Submissions(f"sqlite:///{folder}/till.db", client=client, settings=quick) as journal,
                journal.running(),
            ):
                signer = await offline_signer(client)
                await sell(journal, signer, "FV/1")
                sandbox.faults.add(None, Fault.html(503), times=1_000_000)
                await sell(journal, signer, "FV/2")
                sandbox.faults.clear()
                await journal.wait_until_settled()
                async for one in journal.list():
                    print(f"{one.identity.number}: {one.state}, {one.invoicing_mode} at KSeF")


if __name__ == "__main__":
    asyncio.run(main())

# FV/1: 5265877635-20260701-0100001AF629-AF, in time: True
# FV/2: OFFLINE and CERTYFIKAT, in time: True
# FV/1: accepted, Online at KSeF
# FV/2: accepted, Offline at KSeF
