"""What the journal knows of a context's batches: what is in each, which parts of it KSeF has, and how far it is."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

from sqlalchemy import func, select, update

from ..api.sessions import FormCode
from .fenced import MAY_BE_IN_BATCH, FencedJournal, largest_lot
from .schema import CLAIM_ORDER, SESSIONS, SUBMISSIONS
from .states import SubmissionState

__all__ = ["BATCH", "BatchJournal"]

_T = SUBMISSIONS.c
_S = SubmissionState

BATCH: Final = "batch "
"""What the name of a batch starts with that has no session yet."""

_PAGE: Final = 200


class BatchJournal(FencedJournal):
    """The batches of one context; an `UploadLedger` for their parts."""

    async def claim(self, form_code: FormCode, batch: str, limit: int) -> int:
        """Commit the intent to pack the next ``limit`` submissions as ``batch``; how many they are.

        Those that have lost as many batches go together, the fewest first.
        """
        fit = self._queued_as(form_code) & MAY_BE_IN_BATCH
        least = select(func.min(_T.lost_batches)).where(fit)
        values = {"state": _S.SENDING.value, "owner": self._lease.owner, "session": batch, "updated_at": time.time()}
        values["attempt"] = _T.attempt + 1
        queued = _T.state == _S.QUEUED.value
        async with self._write() as connection:
            if (lost := (await connection.execute(least)).scalar()) is None:
                return 0
            chosen = select(_T.id).where(fit, _T.lost_batches == lost).order_by(*CLAIM_ORDER)
            chosen = chosen.limit(min(limit, largest_lot(lost)))
            result = await connection.execute(
                update(SUBMISSIONS).where(_T.id.in_(chosen.scalar_subquery()), queued).values(values)
            )
        return int(result.rowcount)

    async def size(self, batch: str) -> int:
        """How many bytes the documents of ``batch`` have in all, as they are stored."""
        counted = select(func.coalesce(func.sum(func.length(_T.document)), 0))
        async with self._read() as connection:
            found = await connection.execute(counted.where(self._mine(_S.SENDING), _T.session == batch))
            return int(found.scalar_one())

    async def documents(self, batch: str) -> AsyncIterator[tuple[bytes, bytes]]:
        """SHA-256 and document of all that is in ``batch``, always in the same order."""
        last = 0
        while True:
            page = select(_T.id, _T.sha256, _T.document).where(
                self._mine(_S.SENDING), _T.session == batch, _T.id > last
            )
            async with self._read() as connection:
                rows = (await connection.execute(page.order_by(_T.id).limit(_PAGE))).all()
            if not rows:
                return
            for number, digest, document in rows:
                last = number
                yield bytes(digest), await self.vault.unlock(bytes(document))

    # --- which parts are in -------------------------------------------------------------------------------

    async def parts_in(self, session: str) -> set[int]:
        """See `UploadLedger.parts_in`."""
        found = select(SESSIONS.c.uploaded).where(SESSIONS.c.reference_number == session)
        async with self._read() as connection:
            return _numbers((await connection.execute(found)).scalar())

    async def note_part(self, session: str, number: int) -> None:
        """See `UploadLedger.note_part`."""
        await self._change_parts(session, lambda parts: parts | {number})

    async def forget_parts(self, session: str, numbers: Collection[int]) -> None:
        """See `UploadLedger.forget_parts`."""
        await self._change_parts(session, lambda parts: parts.difference(numbers))

    async def _change_parts(self, session: str, change: Callable[[set[int]], set[int]]) -> None:
        this = SESSIONS.c.reference_number == session
        # What is read cannot change before it is written: the fence holds the context's row.
        async with self._write() as connection:
            known = _numbers((await connection.execute(select(SESSIONS.c.uploaded).where(this))).scalar())
            uploaded = " ".join(map(str, sorted(change(known))))
            await connection.execute(update(SESSIONS).where(this).values(uploaded=uploaded))

    async def begin_close(self, session: str) -> None:
        """Commit the intent to close a session: from now on its documents are not taken back while KSeF may close it.

        Raises:
            LeaseLostError: Another worker has taken the context over.
        """
        async with self._write() as connection:
            this = SESSIONS.c.reference_number == session
            await connection.execute(update(SESSIONS).where(this).values(is_closing=True))


def _numbers(uploaded: str | None) -> set[int]:
    return {int(number) for number in (uploaded or "").split()}
