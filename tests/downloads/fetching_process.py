"""A process that receives a package and tells how much memory that took. Used by test_memory.py."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path

from ksef_async import Environment, KsefClient, KsefToken, Pacer
from ksef_async.api.invoices import DateRange, DateType, InvoiceFilters, InvoiceSubject


def peak() -> int:
    """The most memory so far, in kB."""
    # Not `ru_maxrss`, which begins with that of the process that started this one.
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


async def main(base_url: str, nip: str, token: str, since: str) -> None:
    dates = DateRange(DateType.PERMANENT_STORAGE, datetime.fromisoformat(since))
    async with KsefClient(Environment(base_url), KsefToken(nip=nip, token=token), pacer=Pacer.unlimited()) as client:
        filters = InvoiceFilters(subject_type=InvoiceSubject.BUYER, date_range=dates)
        export = await client.downloads.export(filters)
        await export.wait()
        before, count, size = peak(), 0, 0
        async for invoice in export.invoices():
            count += 1
            size += len(invoice.xml or b"")
    print(count, size, before, peak())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
