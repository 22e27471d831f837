"""Handing in: what is refused, what is the same, and whose transaction it is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiosqlite
import asyncpg
import attrs
import psycopg
import psycopg.rows
import pytest
from cryptography.fernet import Fernet
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from ksef_async import CryptoError, FormCode, KsefClient, LocalProtocolError
from ksef_async.documents import DocumentError
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.submissions import IdentityTakenError, Submissions, SubmissionState, UnknownSubmissionError

from .conftest import QUICK_SETTINGS

NIP = "5265877635"


class RollbackError(Exception):
    pass


async def test_same_document_is_the_same_submission(submissions: Submissions) -> None:
    first = await submissions.submit(sample_invoice(NIP, "FV/1"))

    assert await submissions.submit(sample_invoice(NIP, "FV/1")) == first
    assert len(await submissions.list_page()) == 1


async def test_identity_is_read_from_the_document(submissions: Submissions) -> None:
    identity = (await submissions.submit(sample_invoice(NIP, "FV/1"))).identity

    assert (identity.seller_nip, identity.kind, identity.number) == (NIP, "VAT", "FV/1")
    assert identity.form_code is FormCode.FA3


async def test_another_document_with_the_same_number_is_refused_at_once(submissions: Submissions) -> None:
    first = await submissions.submit(sample_invoice(NIP, "FV/1"))

    with pytest.raises(IdentityTakenError, match="FV/1") as refused:
        await submissions.submit(sample_invoice(NIP, "FV/1", buyer_nip="7010002137"))

    assert refused.value.submission_id == first.id


async def test_another_document_under_the_same_key_is_refused(submissions: Submissions) -> None:
    first = await submissions.submit(sample_invoice(NIP, "FV/1"), key="order 1")

    assert await submissions.get(key="order 1") == first
    assert await submissions.submit(sample_invoice(NIP, "FV/1"), key="order 1") == first
    with pytest.raises(IdentityTakenError, match="order 1"):
        await submissions.submit(sample_invoice(NIP, "FV/2"), key="order 1")


async def test_number_of_what_was_taken_back_is_free_again(submissions: Submissions) -> None:
    first = await submissions.submit(sample_invoice(NIP, "FV/1"))
    cancelled = await submissions.cancel(first.id)

    second = await submissions.submit(sample_invoice(NIP, "FV/1", buyer_nip="7010002137"))

    assert cancelled.state is SubmissionState.CANCELLED
    assert second.id != first.id
    with pytest.raises(IdentityTakenError):
        await submissions.retry(first.id)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<Faktura", id="not XML"),
        pytest.param(b'<!DOCTYPE x [<!ENTITY a "b">]><Faktura/>', id="DTD"),
        pytest.param(b"<Faktura/>", id="no form"),
        pytest.param(sample_invoice(NIP).replace(b"FA (3)", b"FA (9)"), id="unknown form"),
        pytest.param(sample_invoice(NIP, "X").replace(b"P_2>", b"P_3>"), id="no number"),
    ],
)
async def test_what_cannot_be_an_invoice_is_refused(submissions: Submissions, document: bytes) -> None:
    with pytest.raises(LocalProtocolError):
        await submissions.submit(document)

    assert await submissions.list_page() == ()


async def test_what_is_not_there_is_said_to_be_missing(submissions: Submissions) -> None:
    for asking in (submissions.get(1), submissions.get(key="x"), submissions.document(1), submissions.upo(1)):
        with pytest.raises(UnknownSubmissionError):
            await asking


async def test_transaction_that_is_nothing_of_the_kind_is_refused(submissions: Submissions) -> None:
    with pytest.raises(LocalProtocolError, match="tx is a str"):
        await submissions.submit(sample_invoice(NIP), tx="postgresql://")


async def test_all_submissions_are_listed_beyond_a_page(submissions: Submissions) -> None:
    documents = [sample_invoice(NIP, f"FV/{number}") for number in range(501)]
    handed_in = await asyncio.gather(*map(submissions.submit, documents))

    assert [each async for each in submissions.list()] == sorted(handed_in, key=lambda each: each.id)
    assert [each async for each in submissions.list(states=[SubmissionState.ACCEPTED])] == []


# --- the caller's own transaction -------------------------------------------------------------------------


async def in_journal(submissions: Submissions) -> list[str]:
    return [submission.identity.number for submission in await submissions.list_page()]


async def delivered(submissions: Submissions, sandbox: Sandbox) -> list[str]:
    """Deliver, and tell what the sandbox has got."""
    async with submissions.running():
        await submissions.wait_until_settled()
    return sorted(i.verdict.invoice_number or "" for i in sandbox.world.invoices() if i.is_accepted)


async def test_sqlalchemy_transaction_counts_as_it_ends(journal_url: str, client: KsefClient, sandbox: Sandbox) -> None:
    engine = create_async_engine(journal_url)
    async with Submissions(journal_url, client=client, settings=QUICK_SETTINGS) as submissions:
        with pytest.raises(RollbackError):
            async with engine.begin() as connection:
                await submissions.submit(sample_invoice(sandbox.nip, "FV/1"), tx=connection)
                raise RollbackError
        assert await in_journal(submissions) == []

        async with AsyncSession(engine) as session, session.begin():
            await submissions.submit(sample_invoice(sandbox.nip, "FV/2"), tx=session)
        async with submissions.begin() as connection:
            await submissions.submit(sample_invoice(sandbox.nip, "FV/3"), tx=connection)

        assert await delivered(submissions, sandbox) == ["FV/2", "FV/3"]
    await engine.dispose()


async def test_aiosqlite_transaction_counts_as_it_ends(
    sqlite_url: str, tmp_path: Path, client: KsefClient, sandbox: Sandbox
) -> None:
    async with (
        Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions,
        aiosqlite.connect(tmp_path / "journal.db") as connection,
    ):
        await submissions.submit(sample_invoice(sandbox.nip, "FV/1"), tx=connection)
        await connection.rollback()
        assert await in_journal(submissions) == []

        await submissions.submit(sample_invoice(sandbox.nip, "FV/2"), tx=connection)
        await connection.commit()

        assert await delivered(submissions, sandbox) == ["FV/2"]


async def test_asyncpg_transaction_counts_as_it_ends(
    postgres_database: URL, client: KsefClient, sandbox: Sandbox
) -> None:
    url = postgres_database.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    connection: Any = await asyncpg.connect(postgres_database.render_as_string(hide_password=False))
    async with Submissions(url, client=client, settings=QUICK_SETTINGS) as submissions:
        with pytest.raises(RollbackError):
            async with connection.transaction():
                await submissions.submit(sample_invoice(sandbox.nip, "FV/1"), tx=connection)
                raise RollbackError
        assert await in_journal(submissions) == []

        async with connection.transaction():
            first = await submissions.submit(sample_invoice(sandbox.nip, "FV/2"), tx=connection, key="two")
            assert await submissions.submit(sample_invoice(sandbox.nip, "FV/2"), tx=connection) == first

        assert await delivered(submissions, sandbox) == ["FV/2"]
    await connection.close()


@pytest.mark.parametrize("rows", [psycopg.rows.tuple_row, psycopg.rows.dict_row], ids=["tuples", "dictionaries"])
async def test_psycopg_transaction_counts_as_it_ends(
    postgres_database: URL, client: KsefClient, sandbox: Sandbox, rows: Any
) -> None:
    url = postgres_database.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    address = postgres_database.render_as_string(hide_password=False)
    async with (
        Submissions(url, client=client, settings=QUICK_SETTINGS) as submissions,
        await psycopg.AsyncConnection.connect(address, row_factory=rows) as connection,
    ):
        await submissions.submit(sample_invoice(sandbox.nip, "FV/1"), tx=connection)
        await connection.rollback()
        assert await in_journal(submissions) == []

        await submissions.submit(sample_invoice(sandbox.nip, "FV/2"), tx=connection)
        await connection.commit()

        assert await delivered(submissions, sandbox) == ["FV/2"]


# --- at rest ----------------------------------------------------------------------------------------------


async def test_documents_and_upo_are_encrypted_at_rest(
    sqlite_url: str, tmp_path: Path, client: KsefClient, sandbox: Sandbox
) -> None:
    old, new = Fernet.generate_key(), Fernet.generate_key()
    invoice = sample_invoice(sandbox.nip, "FV/1")
    async with Submissions(sqlite_url, client=client, keys=[old], settings=QUICK_SETTINGS) as submissions:
        first = await submissions.submit(invoice)
        async with submissions.running():
            await submissions.wait_until_settled()

    stored = b"".join(file.read_bytes() for file in tmp_path.glob("journal.db*"))
    assert "Usługa przykładowa".encode() not in stored
    assert b"<Potwierdzenie" not in stored
    async with Submissions(sqlite_url, keys=[new, old]) as submissions:
        assert await submissions.document(first.id) == invoice
        assert b"Potwierdzenie" in await submissions.upo(first.id)
    for keys in ([new], []):
        async with Submissions(sqlite_url, keys=keys) as submissions:
            with pytest.raises(CryptoError):
                await submissions.document(first.id)


async def test_journal_of_a_later_version_is_left_alone(sqlite_url: str) -> None:
    async with Submissions(sqlite_url) as submissions, submissions.begin() as connection:
        await connection.exec_driver_sql("UPDATE ksef_schema SET version = 99")

    with pytest.raises(LocalProtocolError, match="version 99"):
        async with Submissions(sqlite_url):
            pass


async def test_other_databases_are_refused() -> None:
    with pytest.raises(LocalProtocolError, match="PostgreSQL"):
        Submissions("mysql+asyncmy://localhost/x")


async def test_submissions_are_found_by_what_people_have_at_hand(journal_url: str, sandbox: Sandbox) -> None:
    documents = [sample_invoice(sandbox.nip, f"FV/{number}") for number in range(5)]
    async with Submissions(journal_url) as submissions:
        made = [await submissions.submit(document) for document in documents]
        ids = [one.id for one in made]

        async def found(*names: str, **options: Any) -> list[int]:
            return [ids.index(one.id) for one in await submissions.find(names, **options)]

        assert await found() == [0, 1, 2, 3, 4]
        assert await found("FV/3", f"{ids[1]}", "9" * 40, "²") == [1, 3]
        assert await found("FV/3", hashes=[made[0].invoice_hash]) == [0, 3]
        assert await found(hashes=[made[4].invoice_hash]) == [4]
        assert await found("FV/5") == []
        assert await found(has_upo=False, after=ids[1], limit=2) == [2, 3]
        assert await found(has_upo=True) == []


# --- checking -------------------------------------------------------------------------------------------------


async def test_document_that_ksef_would_refuse_is_refused_in_the_callers_transaction(submissions: Submissions) -> None:
    broken = sample_invoice(NIP, "FV/1").replace(b"<P_15>1230.00", b"<P_15>1,23")

    with pytest.raises(DocumentError, match="write the number with a point") as refused:
        async with submissions.begin() as connection:
            await submissions.submit(sample_invoice(NIP, "FV/2"), tx=connection)
            await submissions.submit(broken, tx=connection)

    assert [problem.path for problem in refused.value.problems] == ["/Faktura/Fa/P_15"]
    assert await submissions.list_page() == ()


async def test_document_of_other_companies_is_refused(submissions: Submissions) -> None:
    with pytest.raises(DocumentError, match="none of the parties"):
        await submissions.submit(sample_invoice(NIP, "FV/1"), nip="7010002137")


async def test_warnings_refuse_nothing(submissions: Submissions) -> None:
    odd = sample_invoice(NIP, "FV/1").replace(b"<P_15>1230.00", b"<P_15>99.00")

    await submissions.submit(odd)


async def test_checking_can_be_switched_off(tmp_path: Path) -> None:
    broken = sample_invoice(NIP, "FV/1").replace(b"<P_15>1230.00", b"<P_15>1,23")
    settings = attrs.evolve(QUICK_SETTINGS, check=False)

    async with Submissions(f"sqlite+aiosqlite:///{tmp_path / 'journal.db'}", settings=settings) as submissions:
        await submissions.submit(broken)
        with pytest.raises(LocalProtocolError, match="DTD"):
            await submissions.submit(broken.replace(b"<Faktura", b"<!DOCTYPE a><Faktura"))
