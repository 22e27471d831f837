"""A worker: takes every XML file from a folder, sends it, and keeps its KSeF number and UPO beside it.

``python worker.py FOLDER`` leaves ``invoice.ksef.json`` and ``invoice.upo.xml`` beside ``invoice.xml``; a file that
has its JSON is not sent again. What KSeF rejected has the reason in its JSON instead of a number.
A worker that dies between sending and writing sends the file once more when it is started again: KSeF calls it a
duplicate, and as it is the same document, its outcome and its UPO are those of the first.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from anyio import Path as AsyncPath

from ksef_async import FormCode, InvoiceRejectedError, LocalProtocolError, OnlineSession
from ksef_async.demo import connect
from ksef_async.sandbox import sample_invoice


async def deliver(session: OnlineSession, file: AsyncPath) -> None:
    try:
        sent = await session.send(await file.read_bytes())
        invoice = await sent.outcome()
    except (InvoiceRejectedError, LocalProtocolError) as error:
        result = {"rejected": str(error)}
    else:
        upo = await sent.upo()
        await file.with_suffix(".upo.xml").write_bytes(upo.xml)
        result = {"ksef_number": invoice.ksef_number, "session": invoice.session_reference_number}
    await file.with_suffix(".ksef.json").write_text(json.dumps(result))
    print(f"{file.name}: {result}")


def waiting(folder: Path) -> list[Path]:
    files = (file for file in sorted(folder.glob("*.xml")) if not file.name.endswith(".upo.xml"))
    return [file for file in files if not file.with_suffix(".ksef.json").exists()]


async def main(folder: Path) -> None:
    async with connect() as (client, nip):
        if "KSEF_ENV" not in os.environ and not waiting(folder):
            (folder / "sample.xml").write_bytes(sample_invoice(nip))
        async with await client.sessions.open_online(FormCode.FA3) as session:
            for file in waiting(folder):
                await deliver(session, AsyncPath(file))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))

# sample.xml: {'ksef_number': '5265877635-20261124-0100001AF629-2C', 'session': '20261124-SO-2C3E6C8000-B675CF5D68-07'}
