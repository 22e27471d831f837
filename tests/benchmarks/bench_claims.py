"""How long a claim of 16 takes, by how many submissions are waiting: ``python tests/benchmarks/bench_claims.py``.

In SQLite, and in PostgreSQL where a server can be started. Dates, modes and urgency of the submissions are mixed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import psycopg
from sqlalchemy import insert
from sqlalchemy.engine import make_url

sys.path.insert(0, str(Path(__file__).parents[1]))
from postgres_server import postgres_server

from ksef_async import OfflineMode
from ksef_async.api.sessions import FormCode
from ksef_async.submissions import Submissions
from ksef_async.submissions.context_store import ContextStore
from ksef_async.submissions.database import Database
from ksef_async.submissions.deadlines import first_deadline, send_by
from ksef_async.submissions.leases import Leases
from ksef_async.submissions.schema import SUBMISSIONS
from ksef_async.submissions.vault import Vault

NIP = "5265877635"
ROUNDS = 50
DAY = date(2026, 3, 3)


def row(number: int) -> dict[str, object]:
    issued_on = DAY + timedelta(days=number * 7 % 10)
    mode = OfflineMode.OFFLINE24 if number % 3 == 0 else None
    due_by = first_deadline(mode, issued_on).timestamp() if mode else None
    return {
        "context": NIP, "seller_nip": NIP, "kind": "VAT", "number": f"FV/{number}", "form_code": "FA (3)",
        "taken_identity": f"{NIP} VAT FV/{number}", "sha256": number.to_bytes(32, "big"), "document": b"x" * 3_000,
        "offline": mode is not None, "mode": mode and mode.value, "issued_on": issued_on.isoformat(), "due_by": due_by,
        "send_by": send_by(issued_on, due_by), "priority": 100 if number % 50 == 0 else 0, "state": "queued",
        "attempt": 0, "is_duplicate": False, "acknowledged": False, "submitted_at": 1.0, "updated_at": 1.0,
    }  # fmt: skip


async def measure(url: str, count: int) -> tuple[float, float]:
    async with Submissions(url):
        pass
    database = Database(url)
    try:
        for start in range(0, count, 2_000):
            async with database.write() as connection:
                await connection.execute(insert(SUBMISSIONS), [row(start + each) for each in range(2_000)])
        lease = await Leases(database, "worker", 600.0).take(NIP)
        assert lease is not None
        store, taken = ContextStore(database, Vault(()), lease), list[float]()
        for _ in range(ROUNDS):
            began = time.perf_counter()
            assert len(await store.claim(FormCode.FA3, "session", 16)) == 16
            taken.append(1_000 * (time.perf_counter() - began))
        return statistics.median(taken), max(taken)
    finally:
        await database.aclose()


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder, postgres_server() as server:
        for count in (2_000, 100_000):
            urls = [f"sqlite+aiosqlite:///{folder}/journal-{count}.db"]
            if server is not None:
                with psycopg.connect(server, autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE claims_{count}")
                url = make_url(server).set(database=f"claims_{count}", drivername="postgresql+asyncpg")
                urls.append(url.render_as_string(hide_password=False))
            for each in urls:
                median, slowest = await measure(each, count)
                print(f"{each.partition(':')[0]:<20} {count:>7,} queued: {median:6.1f} ms, slowest {slowest:6.1f} ms")


if __name__ == "__main__":
    asyncio.run(main())
