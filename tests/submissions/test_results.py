"""Results are told page by page, each once."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from ksef_async.sandbox import sample_invoice
from ksef_async.submissions import Submissions, SubmissionState
from ksef_async.submissions.database import Database
from ksef_async.submissions.faults import Guarded
from ksef_async.submissions.schema import SUBMISSIONS
from ksef_async.submissions.store import Position, Store

NIP = "5265877635"


@pytest.mark.parametrize("moment", [1_795_000_000.0000004, 1_795_000_000.0000007], ids=["rounded down", "rounded up"])
async def test_results_of_one_moment_are_told_each_once(journal_url: str, moment: float) -> None:
    async with Submissions(journal_url) as submissions:
        ids = [(await submissions.submit(sample_invoice(NIP, f"FV/{number}"))).id for number in range(5)]
        async with submissions.begin() as transaction:
            values = {"state": SubmissionState.REJECTED.value, "updated_at": moment}
            await transaction.execute(update(SUBMISSIONS).values(values))
    database = Database(journal_url)
    told: list[int] = []
    position: Position | None = None

    for _ in range(3):
        found, position = await Store(Guarded(database, lambda: None)).unacknowledged(None, position, 2)
        told += [submission.id for submission in found]

    await database.aclose()
    assert told == ids
    assert position is None
