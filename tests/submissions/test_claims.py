"""What a claim reads: as much as it takes, however much is waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event

from ksef_async.api.sessions import FormCode
from ksef_async.sandbox import sample_invoice
from ksef_async.submissions import Submissions
from ksef_async.submissions.context_store import ContextStore
from ksef_async.submissions.database import Database
from ksef_async.submissions.leases import Leases
from ksef_async.submissions.vault import Vault

NIP = "5265877635"


@asynccontextmanager
async def waiting(url: str, priorities: list[int]) -> AsyncIterator[tuple[Database, ContextStore]]:
    """The journal of a context in which submissions with ``priorities`` wait."""
    async with Submissions(url) as submissions:
        for number, priority in enumerate(priorities):
            await submissions.submit(sample_invoice(NIP, f"FV/{number}"), priority=priority)
    database = Database(url)
    try:
        lease = await Leases(database, "worker", 60.0).take(NIP)
        assert lease is not None
        yield database, ContextStore(database, Vault(()), lease)
    finally:
        await database.aclose()


async def test_urgent_comes_first_and_what_failed_before_last(journal_url: str) -> None:
    async with waiting(journal_url, [0, 100, 0, 100, 0]) as (_, journal):
        first = await journal.claim(FormCode.FA3, "session", 1)
        await journal.session_given_up("session", "it fails")
        rest = [claim.id for _ in range(3) for claim in await journal.claim(FormCode.FA3, "session", 2)]

    assert [claim.id for claim in first] == [2]
    assert rest == [4, 2, 1, 3, 5]


async def test_claim_sorts_nothing(sqlite_url: str) -> None:
    asked: list[tuple[str, Any]] = []
    async with waiting(sqlite_url, [0] * 5) as (database, journal):
        engine = database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3])))
        await journal.claim(FormCode.FA3, "session", 2)
        about = [(statement, given) for statement, given in asked if "ksef_submissions" in statement]
        async with database.read() as connection:
            plans = [await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given) for text, given in about]
            steps = [row[-1] for plan in plans for row in plan]

    # And writes to no more rows than it has found.
    assert steps == [
        "SEARCH ksef_submissions USING INDEX ksef_submissions_deadlines (state=? AND context=? AND form_code=?)",
        "SEARCH ksef_submissions USING INTEGER PRIMARY KEY (rowid=?)",
    ]
