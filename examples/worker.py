"""A worker: takes every XML file from a folder, delivers it, and keeps its KSeF number and UPO beside it.

``pip install 'ksef_async[xades,durable]'``

``python worker.py FOLDER`` leaves ``invoice.ksef.json`` and ``invoice.upo.xml`` beside ``invoice.xml``. What was sent
is in ``journal.db``: a worker that dies at any moment goes on where it was when it is started again, and no invoice
is issued twice. What KSeF rejected has the reason in its JSON instead of a number.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from ksef_async import KsefClient, LocalProtocolError
from ksef_async.cli.demo import company, new_number
from ksef_async.sandbox import sample_invoice
from ksef_async.submissions import Settings, Submissions


def waiting(folder: Path) -> list[Path]:
    files = (file for file in sorted(folder.glob("*.xml")) if not file.name.endswith(".upo.xml"))
    return [file for file in files if not file.with_suffix(".ksef.json").exists()]


def keep(file: Path, result: dict[str, str | None]) -> None:
    file.with_suffix(".ksef.json").write_text(json.dumps(result))
    print(f"{file.name}: {result}")


async def main(folder: Path) -> None:
    journal = f"sqlite+aiosqlite:///{folder / 'journal.db'}"
    async with company() as (environment, credentials), KsefClient(environment, credentials) as client:
        if not (waiting(folder) or (folder / "sample.xml").exists() or os.environ.get("KSEF_ENV")):
            (folder / "sample.xml").write_bytes(sample_invoice(credentials.context.value, new_number()))
        print(f"{len(waiting(folder))} new in {folder}")
        files: dict[int, Path] = {}
        async with Submissions(journal, client=client, settings=Settings(linger=0.2)) as submissions:
            for file in waiting(folder):
                try:
                    files[(await submissions.submit(file.read_bytes())).id] = file
                except LocalProtocolError as error:
                    keep(file, {"rejected": str(error)})
            async with submissions.running():
                await submissions.wait_until_settled()
            for number, file in files.items():
                result = await submissions.get(number)
                if result.has_upo:
                    file.with_suffix(".upo.xml").write_bytes(await submissions.upo(number))
                reason = result.reason.text if result.reason else result.state
                keep(file, {"ksef_number": result.ksef_number} if result.ksef_number else {"rejected": reason})


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))

# 1 new in .
# sample.xml: {'ksef_number': '5265877635-20261124-0100001AF629-2C'}
