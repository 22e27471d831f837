"""``ksef-async export``: invoices from KSeF into a folder, each once; run again, it fetches what is new."""

from __future__ import annotations

import math
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, Self

import anyio

from ..api.invoices import InvoiceSubject
from ..calling.finishing import finish
from ..downloads.checkpoint import Checkpoint
from ..protocol.numbers import file_name
from .access import Access
from .arguments import Command, Parser, day_or_time, number
from .output import Exit, json_list

__all__ = ["COMMAND", "CheckpointFile", "export"]

# Seconds.
_WRITE_EVERY: Final = 1.0


class CheckpointFile:
    """A checkpoint in a file, written once a second at most and at the end of the block, however that comes.

    With an overlap it may have some 500 kB, too many to be written after each invoice. A process that is killed loses
    its last second: the next one fetches those invoices again, and writes the same files.

    Args:
        path: Of the file.
    """

    def __init__(self, path: anyio.Path) -> None:
        self._path = path
        self._checkpoint = self._written = Checkpoint()
        self._written_at = -math.inf

    async def read(self) -> Checkpoint:
        """Return what the file holds; an empty checkpoint where there is no file.

        Raises:
            LocalProtocolError: It holds no checkpoint, or one of a later version of this library.
            OSError: It cannot be read.
        """
        if await self._path.exists():
            self._checkpoint = self._written = Checkpoint.from_json(await self._path.read_text())
        return self._checkpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._write()

    async def move_to(self, checkpoint: Checkpoint) -> None:
        """Note that all up to ``checkpoint`` is saved.

        Raises:
            OSError: The file cannot be written.
        """
        self._checkpoint = checkpoint
        if anyio.current_time() - self._written_at >= _WRITE_EVERY:
            await self._write()

    async def _write(self) -> None:
        if self._written is not self._checkpoint:
            # To its end: a thread that goes on writing would meet the next one in the same file.
            await finish(self._replace(self._checkpoint), math.inf)

    async def _replace(self, checkpoint: Checkpoint) -> None:
        """Write the file whole or not at all."""
        beside = self._path.with_suffix(".new")
        await beside.write_text(checkpoint.to_json())
        await beside.replace(self._path)
        self._written, self._written_at = checkpoint, anyio.current_time()


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
    target = anyio.Path(folder)
    await target.mkdir(parents=True, exist_ok=True)
    kept = CheckpointFile(target / _CHECKPOINT.format(environment=settled.environment_word, nip=settled.nip))
    checkpoint = await kept.read()
    count, subjects = 0, (_PARTS[part],)
    with json_list({"folder": str(folder)}, "saved", shown=access.json) as add:
        async with settled.client() as client, kept:
            sync = client.downloads.sync(since, subjects, checkpoint=checkpoint, overlap=overlap * 3600)
            async for invoice in sync:
                # The document first: what is noted as fetched is there.
                await (target / f"{file_name(invoice.metadata.ksef_number)}.xml").write_bytes(invoice.xml)
                add(invoice.metadata.ksef_number)
                await kept.move_to(invoice.checkpoint)
                count += 1
            await kept.move_to(sync.checkpoint)
    if not access.json:
        print(f"{count:,} new invoices saved in {folder}.")
    return Exit.OK


COMMAND: Final = Command(
    run=export,
    add_arguments=_add_arguments,
    examples=("export received/ --since 2026-11-01", "export received/ --since 2026-11-01 --overlap 6 --json"),
)
