"""``ksef-async export``: invoices from KSeF into a folder, each once; run again, it fetches what is new."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from ..api.invoices import InvoiceSubject
from ..downloads.checkpoint_file import CheckpointFile
from .access import Access
from .arguments import Command, Parser, day_or_time, number
from .output import Exit, json_list

__all__ = ["COMMAND", "export"]

# Where the last run stopped, for each environment and company; holds no secrets.
_CHECKPOINT: Final = ".ksef-export-{environment}-{nip}.json"
# As what the company is named on the invoices.
_PARTS: Final = {
    "buyer": InvoiceSubject.BUYER,
    "seller": InvoiceSubject.SELLER,
    "third": InvoiceSubject.THIRD_SUBJECT,
    "authorized": InvoiceSubject.AUTHORIZED,
}


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to save them, as KSEF-NUMBER.xml")
    parser.add_argument(
        "--since",
        type=day_or_time,
        required=True,
        metavar="TIME",
        help="from this day or time on (UTC where no zone is given); when run again, it goes on instead",
    )
    parser.add_argument(
        "--part", choices=_PARTS, default="buyer", help="as what the company is named on them; buyer by default"
    )
    parser.add_argument(
        "--overlap",
        type=partial(number, most=2_160),
        default=0.0,
        metavar="HOURS",
        help="how far to look back below where it stopped, for invoices that KSeF lists late",
    )


async def export(folder: Path, *, since: datetime, part: str, overlap: float, access: Access) -> int:
    """Fetch every invoice that KSeF has stored since a day, each once.

    Where it stopped is kept in FOLDER, so run again it fetches only what is new. KSeF grants 20 packages an hour;
    beyond that it waits.
    """
    settled = await access.settle()
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    file = folder / _CHECKPOINT.format(environment=settled.environment_word, nip=settled.nip)
    count, subjects, told = 0, (_PARTS[part],), dict[str, object]()
    with json_list({"folder": str(folder)}, "saved", shown=access.json, tail=told) as add:
        async with settled.client() as client, CheckpointFile(file) as kept:
            sync = client.downloads.sync(since, subjects, checkpoint=kept.checkpoint, overlap=overlap * 3600)
            async for invoice in sync:
                # The document first: what is noted as fetched is there.
                await invoice.save(folder)
                add(invoice.metadata.ksef_number)
                await kept.move_to(invoice.checkpoint)
                count += 1
            await kept.move_to(sync.checkpoint)
            complete_until = sync.complete_until
            told["completeUntil"] = complete_until and complete_until.text
    if not access.json:
        print(f"{count:,} new invoices saved in {folder}.")
        if complete_until is None:
            reach = "has not reached that time yet"
        else:
            reach = f"is complete until {complete_until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        print(f"KSeF's list {reach}; what it stores later comes with the next run.")
    return Exit.OK


COMMAND: Final = Command(
    run=export,
    add_arguments=_add_arguments,
    examples=("export received/ --since 2026-11-01", "export received/ --since 2026-11-01 --overlap 6 --json"),
)
