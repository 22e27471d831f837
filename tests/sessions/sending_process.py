"""A process that sends invoices and may be killed at any moment: run again, it goes on. Used by test_killing.py."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ksef_async import Environment, FormCode, KsefClient, KsefToken
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import sample_invoice


async def main(base_url: str, nip: str, token: str, key: str, file: Path, count: int) -> None:
    credentials = KsefToken(nip=nip, token=token)
    async with KsefClient(Environment(base_url), credentials, pacer=Pacer.unlimited()) as client:
        if file.exists():
            session = await client.sessions.resume(file.read_bytes(), key)
        else:
            session = await client.sessions.open_online(FormCode.FA3)
            new = file.with_suffix(".new")
            new.write_bytes(session.snapshot(key))
            new.rename(file)
        # Not entered: whoever leaves the block of a session closes it, and this process may go on another time.
        await session.wait_until_active()
        invoices = (sample_invoice(nip, f"FV/{number}") for number in range(count))
        async for _ in session.send_many(invoices, concurrency=8):
            pass
        await session.terminate()


if __name__ == "__main__":
    base_url, nip, token, key, file, count = sys.argv[1:]
    asyncio.run(main(base_url, nip, token, key, Path(file), int(count)))
