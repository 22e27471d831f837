"""Finding submissions by what people have at hand: an invoice's number, its KSeF number, its document."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import or_, select

from .database import Database
from .models import Submission
from .rows import COLUMNS, submission_of
from .schema import SUBMISSIONS

__all__ = ["search"]

_T = SUBMISSIONS.c
_LARGEST_ID = 2**63 - 1
# Beyond 18 digits it is no id.
_DIGITS = 18


async def search(
    database: Database,
    *,
    names: Collection[str],
    hashes: Collection[bytes],
    has_upo: bool | None,
    after: int,
    limit: int,
) -> tuple[Submission, ...]:
    """See `Submissions.find`."""
    wanted = select(*COLUMNS).where(_T.id > max(0, min(after, _LARGEST_ID))).order_by(_T.id).limit(limit)
    if names or hashes:
        ids = [int(name) for name in names if name.isascii() and name.isdecimal() and len(name) <= _DIGITS]
        wanted = wanted.where(
            or_(_T.id.in_(ids), _T.number.in_([*names]), _T.ksef_number.in_([*names]), _T.sha256.in_([*hashes]))
        )
    if has_upo is not None:
        wanted = wanted.where(_T.upo_id.is_not(None) if has_upo else _T.upo_id.is_(None))
    async with database.read() as connection:
        return tuple(submission_of(row) for row in await connection.execute(wanted))
