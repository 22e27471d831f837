"""Send one invoice, wait for its KSeF number, and fetch the session's UPO.

``pip install 'ksef_async[xades]'``
"""

from __future__ import annotations

import asyncio

from ksef_async import FormCode
from ksef_async.cli.demo import connect, new_number
from ksef_async.sandbox import sample_invoice


async def main() -> None:
    # KSEF_ENV names a real environment, with KSEF_NIP, and KSEF_CERTIFICATE_FILE and KSEF_KEY_FILE (or KSEF_TOKEN);
    # without it an embedded sandbox is started. Of your own: async with KsefClient.from_env() as client:
    async with connect() as (client, nip):
        session = await client.sessions.open_online(FormCode.FA3)
        async with session:
            sent = await session.send(sample_invoice(nip, new_number()))
            invoice = await sent.outcome()
            print(f"accepted as {invoice.ksef_number}")
        upo = await session.upo()
        print(f"UPO with {len(upo.documents[0].xml)} bytes confirms {[entry.ksef_number for entry in upo.entries]}")


if __name__ == "__main__":
    asyncio.run(main())

# accepted as 5265877635-20261124-0100001AF629-2C
# UPO with 1236 bytes confirms ['5265877635-20261124-0100001AF629-2C']
