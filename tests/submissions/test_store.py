"""A submission changes its state by one statement, which asks the table of transitions."""

from __future__ import annotations

import ast
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

import ksef_async.submissions
from ksef_async import KsefClient
from ksef_async.api.sessions import FormCode
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Priority, Submissions, SubmissionState
from ksef_async.submissions.context_store import ContextStore, DocumentVerdict
from ksef_async.submissions.database import Database
from ksef_async.submissions.leases import Leases
from ksef_async.submissions.models import NEW, TRANSITIONS
from ksef_async.submissions.store import transition
from ksef_async.submissions.vault import Vault

from .conftest import QUICK_SETTINGS, deliver

NIP = "5265877635"
S = SubmissionState


@asynccontextmanager
async def context_store(url: str) -> AsyncIterator[ContextStore]:
    """The journal of a context as its worker writes it."""
    database = Database(url)
    try:
        lease = await Leases(database, "worker", 60.0).take(NIP)
        assert lease is not None
        yield ContextStore(database, Vault(()), lease)
    finally:
        await database.aclose()


@pytest.mark.parametrize("state", SubmissionState)
def test_transition_that_is_not_in_the_table_cannot_be_asked_for(state: SubmissionState) -> None:
    for source in SubmissionState:
        if state in TRANSITIONS[source]:
            transition(state, {source})
        else:
            with pytest.raises(ValueError, match=f"from {source} to {state}"):
                transition(state, {source})


@pytest.mark.parametrize("source", SubmissionState)
@pytest.mark.parametrize("target", SubmissionState)
async def test_row_follows_the_table(sqlite_url: str, source: SubmissionState, target: SubmissionState) -> None:
    async with Submissions(sqlite_url) as submissions:
        one = await submissions.submit(sample_invoice(NIP))
        async with submissions.begin() as connection:
            await connection.exec_driver_sql(f"UPDATE ksef_submissions SET state = '{source.value}'")
            moved = (await connection.execute(transition(target))).rowcount
        now = (await submissions.get(one.id)).state

    assert moved == (target in TRANSITIONS[source])
    assert now == (target if moved else source)


async def test_verdict_that_skips_a_state_is_not_written(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        one = await submissions.submit(sample_invoice(NIP))
        async with context_store(journal_url) as store:
            (claim,) = await store.claim(FormCode.FA3, "session", 1)
            verdict = DocumentVerdict(
                session_reference_number="session", invoice_hash=one.invoice_hash, state=S.ACCEPTED, ksef_number="K"
            )
            # KSeF is not known to have it: no reference number.
            await store.record([verdict])
            before = await submissions.get(claim.id)
            await store.record([attrs.evolve(verdict, reference_number="R")])
            after = await submissions.get(claim.id)

    assert (before.state, before.ksef_number) == (S.SENDING, None)
    assert (after.state, after.reference_number, after.ksef_number) == (S.ACCEPTED, "R", "K")


async def test_delivery_moves_along_the_table_only(sqlite_url: str, sandbox: Sandbox, client: KsefClient) -> None:
    """Accepted, rejected, sent again, by batch, cancelled, retried: a trigger refuses what is not in the table."""
    allowed = " OR ".join(
        f"(OLD.state = '{source.value}' AND NEW.state = '{target.value}')"
        for source, targets in TRANSITIONS.items()
        for target in targets
    )
    settings = attrs.evolve(QUICK_SETTINGS, online_within=0.001)
    async with Submissions(sqlite_url, client=client, settings=settings) as submissions:
        async with submissions.begin() as connection:
            await connection.exec_driver_sql(
                "CREATE TRIGGER by_the_table BEFORE UPDATE OF state ON ksef_submissions "
                f"WHEN NOT ({allowed}) BEGIN SELECT RAISE(ABORT, 'not in the table'); END"
            )
            await connection.exec_driver_sql(
                "CREATE TRIGGER from_the_start BEFORE INSERT ON ksef_submissions "
                f"WHEN NEW.state <> '{NEW.value}' BEGIN SELECT RAISE(ABORT, 'not the first state'); END"
            )
        with pytest.raises(Exception, match="not in the table"):
            async with submissions.begin() as connection:
                await submissions.submit(sample_invoice(sandbox.nip, "FV/0"), tx=connection)
                await connection.exec_driver_sql("UPDATE ksef_submissions SET state = 'accepted'")
        cancelled = await submissions.submit(sample_invoice(sandbox.nip, "FV/cancelled"))
        await submissions.cancel(cancelled.id)
        for number in range(30):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
        sandbox.faults.add("send_invoice", Fault.refuse(21405, "nie"), times=1)
        for number in range(3):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/U/{number}"), priority=Priority.URGENT)
        await submissions.submit(sample_invoice("1111111111", "FV/foreign", buyer_nip=sandbox.nip), nip=sandbox.nip)
        await deliver(submissions)
        count = await submissions.count()
        await submissions.retry(cancelled.id)
        await deliver(submissions)
        troubles = await submissions.troubles()

    assert troubles == {}
    assert (count[S.ACCEPTED], count[S.REJECTED], count[S.CANCELLED]) == (32, 2, 1)


def test_statements_are_in_the_stores_only() -> None:
    folder = Path(ksef_async.submissions.__file__).parent
    with_tables = {
        path.stem
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module == "schema"
    }

    # `database` makes the tables, and the others have no statements of their own.
    others = {"database", "claims", "deadlines"}
    assert with_tables - others == {"store", "context_store", "leases", "deadline_watch"}
