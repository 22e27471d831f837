"""A process that receives invoices and may be killed at any moment: run again, it goes on. Used by test_killing.py.

Each invoice and the checkpoint after it are kept in one transaction.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from datetime import datetime

from ksef_async import Environment, KsefClient, KsefToken, Pacer
from ksef_async.api.invoices import InvoiceSubject
from ksef_async.downloads.checkpoint import Checkpoint


async def main(base_url: str, nip: str, token: str, since: str, file: str) -> None:
    kept = sqlite3.connect(file, isolation_level=None)
    row = kept.execute("SELECT json FROM checkpoint").fetchone()
    checkpoint = Checkpoint.from_json(row[0]) if row else None
    credentials = KsefToken(nip=nip, token=token)
    async with KsefClient(Environment(base_url), credentials, pacer=Pacer.unlimited()) as client:
        sync = client.downloads.sync(datetime.fromisoformat(since), [InvoiceSubject.BUYER], checkpoint=checkpoint)
        async for invoice in sync:
            kept.execute("BEGIN")
            kept.execute("INSERT INTO invoice VALUES (?, ?)", (invoice.metadata.ksef_number, invoice.xml))
            kept.execute("DELETE FROM checkpoint")
            kept.execute("INSERT INTO checkpoint VALUES (?)", (invoice.checkpoint.to_json(),))
            kept.execute("COMMIT")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
