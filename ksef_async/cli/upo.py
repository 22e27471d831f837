"""``ksef-async upo``: the receipts in the journal, as files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Parameter

from .access import Access
from .exits import Exit
from .lookup import every, named
from .output import console, print_json

if TYPE_CHECKING:
    from ..submissions import Submission, Submissions

__all__ = ["save_upo", "upo"]


async def upo(
    *invoices: Annotated[str, Parameter(help="Files, invoice numbers, KSeF numbers or ids; all by default.")],
    folder: Annotated[Path, Parameter(help="Where to save them, as KSEF-NUMBER.upo.xml.")] = Path(),
    access: Access | None = None,
) -> int:
    """Save the UPO of invoices, from the journal. Needs no login.

    The exit code is 4 where an invoice that was named has no UPO yet.
    """
    access = access or Access()
    settled = await access.settle()
    async with settled.submissions(must_exist=True) as submissions:
        chosen = await named(submissions, invoices) if invoices else [one async for one in every(submissions)]
        saved = await save_upo(submissions, chosen, folder)
    missing = [one.identity.number for one in chosen if one.id not in saved] if invoices else []
    if access.json:
        print_json(
            {
                "saved": {one.identity.number: str(saved[one.id]) for one in chosen if one.id in saved},
                "missing": missing,
            }
        )
    else:
        console().print(f"{len(saved):,} UPO saved in {folder}.", markup=False)
        for number in missing:
            console().print(f"{number} has no UPO yet: it comes once its session is closed.", markup=False)
    return Exit.UNFINISHED if missing else Exit.OK


async def save_upo(submissions: Submissions, chosen: Iterable[Submission], folder: Path) -> Mapping[int, Path]:
    """Save the UPO that there are.

    Returns:
        Their files, by the ids of the submissions.
    """
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    saved = {}
    for submission in chosen:
        if submission.has_upo and submission.ksef_number:
            path = folder / f"{submission.ksef_number}.upo.xml"
            await anyio.Path(path).write_bytes(await submissions.upo(submission.id))
            saved[submission.id] = path
    return saved
