"""Send a folder of invoices in one batch session, with progress bars.

``pip install 'ksef_async[xades]' rich``

Run it as it stands, with invoices that it makes up, or with a folder: ``python send_batch.py FOLDER``
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from ksef_async import (
    AcceptedInvoice,
    CompressionType,
    FormCode,
    KsefClient,
    PackageProgress,
    PackageStage,
    pack,
)
from ksef_async.cli.demo import connect, new_number
from ksef_async.sandbox import sample_invoice


async def send(client: KsefClient, invoices: Path | list[tuple[str, bytes]]) -> None:
    with Progress(TextColumn("{task.description:>10}"), BarColumn(), TaskProgressColumn()) as display:
        bars: dict[PackageStage, TaskID] = {}

        def show(progress: PackageProgress) -> None:
            if progress.stage not in bars:
                bars[progress.stage] = display.add_task(progress.stage.value)
            display.update(bars[progress.stage], completed=progress.done, total=progress.total)

        async with pack(invoices, compression=CompressionType.TAR_GZ, progress=show) as package:
            session = await client.sessions.open_batch(package, form_code=FormCode.FA3, progress=show)
            async with session:  # enter: uploads; exit: closes
                pass
            outcomes = [outcome async for outcome in session.outcomes()]
    for each in outcomes:
        if not isinstance(each.outcome, AcceptedInvoice):
            print(f"{each.key}: {each.outcome}")
    print(f"{sum(isinstance(each.outcome, AcceptedInvoice) for each in outcomes)} of {len(outcomes)} accepted")


async def main() -> None:
    async with connect() as (client, nip):
        if len(sys.argv) > 1:
            await send(client, Path(sys.argv[1]))
            return
        invoices = [(f"{n}.xml", sample_invoice(nip, new_number())) for n in range(1, 200)]
        await send(client, [*invoices, ("broken.xml", b"no invoice")])


if __name__ == "__main__":
    asyncio.run(main())

# broken.xml: KSeF rejected invoice 20261124-EE-...: 450 Błąd weryfikacji semantyki dokumentu faktury (...)
# 199 of 200 accepted
