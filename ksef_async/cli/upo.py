"""``ksef-async upo``: the receipts in the journal, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from ..errors import CryptoError
from ..protocol.numbers import file_name
from .access import JOURNAL_NEEDS, Access
from .arguments import LOCAL, Command, Parser
from .lookup import chosen
from .output import Exit, UsageError, describe, json_list

if TYPE_CHECKING:
    from ..submissions import Submission, Submissions

__all__ = ["COMMAND", "save_upo", "upo"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "invoices",
        nargs="*",
        metavar="INVOICE",
        help="files, invoice numbers, KSeF numbers or ids; all by default",
    )
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where to save them, as KSEF-NUMBER.upo.xml; by default here"
    )


async def upo(invoices: Sequence[str], *, folder: Path, access: Access) -> int:
    """Save the UPO of invoices, from the journal.

    Needs no login. The exit code is 4 where an invoice that was named has no UPO yet.
    """
    settled = await access.settle()
    count, missing = 0, []
    async with settled.submissions(must_exist=True) as submissions:
        with json_list({"folder": str(folder)}, "invoices", shown=access.json) as add:
            async for submission in chosen(submissions, invoices, has_upo=True):
                path = await save_upo(submissions, submission, folder) if submission.has_upo else None
                add({**describe(submission), "upo": None if path is None else str(path)})
                if path is None:
                    missing.append(submission.identity.number)
                else:
                    count += 1
    if not access.json:
        print(f"{count:,} UPO saved in {folder}.")
        for number in missing:
            print(f"{number} has no UPO yet: it comes once its session is closed.")
    return Exit.UNFINISHED if missing else Exit.OK


COMMAND: Final = Command(
    run=upo,
    add_arguments=_add_arguments,
    examples=("upo --folder receipts/", "upo invoice.xml"),
    access=(*LOCAL, "--journal"),
    needs=JOURNAL_NEEDS,
)


async def save_upo(submissions: Submissions, submission: Submission, folder: Path) -> Path:
    """Save the UPO of a submission that has one.

    Returns:
        Its file.

    Raises:
        UsageError: The journal is encrypted, and its key is not given.
    """
    path = folder / f"{file_name(submission.ksef_number or str(submission.id))}.upo.xml"
    try:
        content = await submissions.upo(submission.id)
    except CryptoError as error:
        raise UsageError(f"{error} Name the keys it was written with by KSEF_JOURNAL_KEY.") from error
    await anyio.to_thread.run_sync(_write, path, content)
    return path


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
