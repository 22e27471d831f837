"""``ksef-async export``: invoices from KSeF into a folder, each once; run again, it fetches what is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import anyio
from cyclopts import Parameter, validators

from ..protocol.file_names import file_name
from .access import Access
from .exits import Exit
from .output import console, json_list

__all__ = ["Part", "export"]

#: Where the last run stopped, for each environment and company; holds no secrets.
_CHECKPOINT: Final = ".ksef-export-{environment}-{nip}.json"


class Part(StrEnum):
    """As what the company is named on the invoices."""

    BUYER = "buyer"
    SELLER = "seller"
    THIRD = "third"
    AUTHORIZED = "authorized"


async def export(
    folder: Annotated[Path, Parameter(help="Where to save them, as KSEF-NUMBER.xml.")],
    *,
    since: Annotated[
        datetime,
        Parameter(help="From this day or time on (UTC where no zone is given); when run again, it goes on instead."),
    ],
    part: Annotated[Part, Parameter(help="As what the company is named on them.")] = Part.BUYER,
    overlap: Annotated[
        float,
        Parameter(
            validator=validators.Number(gte=0, lte=2_160),
            help="Look back so many hours below where it stopped, for invoices that KSeF lists late.",
        ),
    ] = 0.0,
    access: Access | None = None,
) -> int:
    """Fetch every invoice that KSeF has stored since a day, each once.

    Where it stopped is kept in FOLDER, so run again it fetches only what is new. KSeF grants 20 packages an hour;
    beyond that it waits.
    """
    from ..models.invoices import InvoiceSubject
    from .checkpoints import CheckpointFile

    access = access or Access()
    settled = await access.settle()
    subject = {
        Part.BUYER: InvoiceSubject.BUYER,
        Part.SELLER: InvoiceSubject.SELLER,
        Part.THIRD: InvoiceSubject.THIRD_SUBJECT,
        Part.AUTHORIZED: InvoiceSubject.AUTHORIZED,
    }[part]
    start = since if since.tzinfo is not None else since.replace(tzinfo=UTC)
    target = anyio.Path(folder)
    await target.mkdir(parents=True, exist_ok=True)
    kept = CheckpointFile(target / _CHECKPOINT.format(environment=settled.environment_word, nip=settled.nip))
    checkpoint = await kept.read()
    count = 0
    with json_list({"folder": str(folder)}, "saved", shown=access.json) as add:
        async with settled.client() as client, kept:
            sync = client.downloads.sync(start, (subject,), checkpoint=checkpoint, overlap=timedelta(hours=overlap))
            async for invoice in sync:
                # The document first: what is noted as fetched is there.
                await (target / f"{file_name(invoice.metadata.ksef_number)}.xml").write_bytes(invoice.xml)
                add(invoice.metadata.ksef_number)
                await kept.move_to(invoice.checkpoint)
                count += 1
            await kept.move_to(sync.checkpoint)
    if not access.json:
        console().print(f"{count:,} new invoices saved in {folder}.", markup=False)
    return Exit.OK
