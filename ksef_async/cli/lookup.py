"""Finding submissions in the journal by what a person has at hand: its file, its number, its KSeF number."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from ..errors import quote
from .files import unreadable
from .output import UsageError

if TYPE_CHECKING:
    from ..submissions import Submission, Submissions

__all__ = ["PAGE", "chosen", "every", "named"]

PAGE: Final = 500
"""How many submissions are read at once."""


async def every(submissions: Submissions, *, has_upo: bool | None = None, after: int = 0) -> AsyncIterator[Submission]:
    """Return every submission (with or without its UPO, if given), by its id; a page at a time."""
    while page := await submissions.find(has_upo=has_upo, after=after, limit=PAGE):
        for submission in page:
            yield submission
        after = page[-1].id


async def chosen(
    submissions: Submissions, names: Sequence[str], *, has_upo: bool | None = None
) -> AsyncIterator[Submission]:
    """Return the submissions that are named (see `named`); where none is, every one, with or without its UPO."""
    if names:
        for submission in await named(submissions, names):
            yield submission
    else:
        async for submission in every(submissions, has_upo=has_upo):
            yield submission


async def named(submissions: Submissions, names: Sequence[str]) -> list[Submission]:
    """Return the submissions that files, ids, invoice numbers or KSeF numbers name, by their ids.

    Raises:
        UsageError: A name is nobody's, or that of a file which cannot be read.
    """
    by_id: dict[int, Submission] = {}
    for start in range(0, len(names), PAGE):
        by_id |= await _named(submissions, names[start : start + PAGE])
    return [by_id[number] for number in sorted(by_id)]


async def _named(submissions: Submissions, names: Sequence[str]) -> dict[int, Submission]:
    wanted = {name: await anyio.to_thread.run_sync(_hash_of_file, name) for name in names}
    hashes = {sha256 for sha256 in wanted.values() if sha256 is not None}
    by_id: dict[int, Submission] = {}
    after = 0
    while page := await submissions.find(wanted, hashes=hashes, after=after, limit=PAGE):
        by_id |= {one.id: one for one in page}
        after = page[-1].id
    known: set[str | bytes | None] = set()
    for one in by_id.values():
        known |= {f"{one.id}", one.identity.number, one.ksef_number, one.invoice_hash}
    for name, sha256 in wanted.items():
        if name not in known and (sha256 is None or sha256 not in known):
            raise UsageError(f"{quote(name)} is not in the journal.")
    return by_id


def _hash_of_file(name: str) -> bytes | None:
    path = Path(name)
    try:
        return hashlib.sha256(path.read_bytes()).digest() if path.is_file() else None
    except OSError as error:
        raise UsageError(unreadable(name, error)) from error
