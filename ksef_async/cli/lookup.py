"""Finding submissions in the journal by what a person has at hand: its file, its number, its KSeF number."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from .exits import UsageError

if TYPE_CHECKING:
    from ..submissions import Submission, Submissions, SubmissionState

__all__ = ["every", "find_files", "named"]

_PAGE: Final = 500


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The files given, and the ``*.xml`` of the folders given, without UPO; in order, each once.

    Raises:
        UsageError: There is no such file.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(one for one in sorted(path.glob("*.xml")) if not one.name.endswith(".upo.xml"))
        elif path.exists():
            found[path] = None
        else:
            raise UsageError(f"There is no file {path}.")
    return list(found)


async def every(
    submissions: Submissions, states: Collection[SubmissionState] = (), *, after: int = 0
) -> AsyncIterator[Submission]:
    """Every submission in these states (all by default), by its id."""
    while page := await submissions.list(states=states, after=after, limit=_PAGE):
        for submission in page:
            yield submission
        after = page[-1].id


async def named(submissions: Submissions, names: Sequence[str]) -> list[Submission]:
    """The submissions that files, ids, invoice numbers or KSeF numbers name.

    Raises:
        UsageError: A name is nobody's.
    """
    wanted = {name: await anyio.to_thread.run_sync(_hash_of_file, name) for name in names}
    hashes = {sha256 for sha256 in wanted.values() if sha256 is not None}
    found: list[Submission] = []
    matched: set[str | bytes] = set()
    async for one in every(submissions):
        by = {f"{one.id}", one.identity.number, one.ksef_number} & wanted.keys()
        if by or one.invoice_hash in hashes:
            found.append(one)
            matched |= {*by, one.invoice_hash} - {None}  # type: ignore[arg-type]
    for name, sha256 in wanted.items():
        if name not in matched and sha256 not in matched:
            raise UsageError(f"{name} is not in the journal.")
    return found


def _hash_of_file(name: str) -> bytes | None:
    path = Path(name)
    return hashlib.sha256(path.read_bytes()).digest() if path.is_file() else None
