"""A process that sends a package and may be killed at any moment: run again, it goes on (test_batch_killing.py)."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from ksef_async import AcceptedInvoice, Environment, FormCode, KsefClient, KsefToken
from ksef_async.packing import Package, pack
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import sample_invoice


def save(file: Path, data: bytes) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(data)
    new.rename(file)


async def prepare(folder: Path, key: str, nip: str, count: int) -> Package:
    pointer = folder / "pointer"
    if pointer.exists():
        return await Package.reopen(Path(pointer.read_text()), key)
    shutil.rmtree(folder / "spool", ignore_errors=True)
    (folder / "spool").mkdir()
    invoices = ((f"{n}.xml", sample_invoice(nip, f"FV/{n}"), n) for n in range(count))
    async with pack(invoices, folder=folder / "spool", part_size=10_000, keep=True) as package:
        await package.write_manifest(key)
        save(pointer, str(package.folder).encode())
    return package


async def main(base_url: str, nip: str, token: str, key: str, folder: Path, count: int, concurrency: int) -> None:
    package = await prepare(folder, key, nip, count)
    file = folder / "snapshot"
    async with KsefClient(Environment(base_url), KsefToken(nip=nip, token=token), pacer=Pacer.unlimited()) as client:
        if file.exists():
            session = await client.sessions.resume(file.read_bytes(), key, package=package, concurrency=concurrency)
        else:
            session = await client.sessions.open_batch(package, form_code=FormCode.FA3, concurrency=concurrency)
            save(file, session.snapshot(key))
        async with session:
            pass
        keys = {outcome.key async for outcome in session.outcomes() if isinstance(outcome.outcome, AcceptedInvoice)}
        assert keys == set(range(count))
        assert len([*(await session.upo()).entries]) == count
    await package.remove()


if __name__ == "__main__":
    base_url, nip, token, key, folder, count, concurrency = sys.argv[1:]
    asyncio.run(main(base_url, nip, token, key, Path(folder), int(count), int(concurrency)))
