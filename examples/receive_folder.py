"""Receive into a folder: every invoice that KSeF has for the company, each once; to be run every night.

``pip install 'ksef_async[xades]'``

``python receive_folder.py FOLDER`` takes ``KSEF_ENV``, ``KSEF_NIP`` and a certificate or token from the environment,
and writes each new invoice as ``KSEF-NUMBER.xml``. Where it stopped is in ``.checkpoint.json`` beside them: run again,
also after it was killed, it goes on there. Without a folder it shows two nights of a sandbox.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ksef_async import CheckpointFile, FormCode, KsefClient, KsefToken
from ksef_async.sandbox import Sandbox, sample_invoice


async def receive(client: KsefClient, folder: Path) -> None:
    since = datetime.now(UTC) - timedelta(days=30)  # the first time; then the checkpoint says where to go on
    async with CheckpointFile(folder / ".checkpoint.json") as kept:
        sync = client.downloads.sync(since, checkpoint=kept.checkpoint)
        async for invoice in sync:
            path = await invoice.save(folder)  # the document first: what the checkpoint has passed is on the disk
            await kept.move_to(invoice.checkpoint)
            print(f"{path.name}: {invoice.metadata.invoice_number}, {invoice.metadata.gross_amount}")
        await kept.move_to(sync.checkpoint)


async def nightly(folder: Path) -> None:
    client = await asyncio.to_thread(KsefClient.from_env)  # reads files
    async with client:
        await receive(client, folder)


async def two_nights(folder: Path, seller: str = "7010002137") -> None:
    async with Sandbox() as sandbox:
        buyer = KsefToken(nip=sandbox.nip, token=sandbox.token)
        other = KsefToken(nip=seller, token=sandbox.issue_token(seller))
        async with KsefClient(sandbox.environment, buyer) as client, KsefClient(sandbox.environment, other) as sender:
            for number in ("FV/1", "FV/2"):
                async with await sender.sessions.open_online(FormCode.FA3) as session:
                    sent = await session.send(sample_invoice(seller, number, buyer_nip=sandbox.nip))
                    await sent.outcome()
                # KSeF lists an invoice some time after it has accepted it: once it is stored for good.
                sandbox.clock.advance(24 * 3600)
                await receive(client, folder)


if __name__ == "__main__":
    # At INFO, each download tells how many came, and until when KSeF's list is complete.
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("ksef_async.calling").setLevel(logging.WARNING)
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        asyncio.run(nightly(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(two_nights(Path(made)))

# 7010002137-20261124-0100001AF629-2C.xml: FV/1, 1230.00
# New invoices as Subject2: 1. KSeF's list is complete until 2026-11-25T09:00:00+00:00; what it stores ...
# 7010002137-20261125-0100001AF630-9E.xml: FV/2, 1230.00
# New invoices as Subject2: 1. KSeF's list is complete until 2026-11-26T09:00:00+00:00; what it stores ...
