"""A batch that was not closed: gone on with where that is possible, and sent in a new one where it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from clients import QUICK, connected
from cryptography.fernet import Fernet
from sqlalchemy.engine import URL

from ksef_async import KsefClient
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Fault, Sandbox
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.sandbox.sessions import BatchSession
from ksef_async.submissions import Settings, Submissions

from .conftest import QUICK_SETTINGS, deliver, run_until
from .test_batches import BACKLOG, check_delivered, submit_backlog

KEY = Fernet.generate_key()
SETTINGS = attrs.evolve(QUICK_SETTINGS, part_size=10_000)

Journal = Callable[..., AbstractAsyncContextManager[Submissions]]


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    """A client that keeps to production's limits: 180 sends an hour."""
    async with connected(sandbox, pacer=Pacer(), retry=QUICK) as client:
        yield client


@pytest.fixture
def journal(sqlite_url: str, client: KsefClient) -> Journal:
    """The journal, each time as if by another process."""

    def opened(
        keys: Sequence[bytes] = (KEY,), settings: Settings = SETTINGS
    ) -> AbstractAsyncContextManager[Submissions]:
        return Submissions(sqlite_url, client=client, keys=keys, settings=settings)

    return opened


def batches(sandbox: Sandbox) -> list[BatchSession]:
    return [session for session in sandbox.world.sessions.values() if isinstance(session, BatchSession)]


def uploads(batch: BatchSession) -> list[int]:
    return [part.uploads for part in batch.parts.values()]


async def value(submissions: Submissions, column: str) -> Any:
    """Of the one session."""
    async with submissions.begin() as connection:
        return (await connection.exec_driver_sql(f"SELECT {column} FROM ksef_sessions")).scalar()


async def stop_between_parts(journal: Journal, sandbox: Sandbox) -> set[int]:
    """Submit a backlog, and stop while it is uploaded; the parts that are known to be in."""
    sandbox.faults.add(UPLOAD_PART, Fault.wait(0.2), times=10_000)
    async with journal() as submissions:
        await submit_backlog(submissions, sandbox)
        await run_until(submissions, lambda: value(submissions, "uploaded"))
        uploaded = await value(submissions, "uploaded")
    sandbox.faults.clear()
    (batch,) = batches(sandbox)
    assert batch.closed_at is None
    return {int(number) for number in uploaded.split()}


async def test_stopped_upload_is_gone_on_with(journal: Journal, sandbox: Sandbox) -> None:
    known = await stop_between_parts(journal, sandbox)
    (batch,) = batches(sandbox)
    assert 0 < len(known) < len(batch.parts)

    async with journal(keys=[Fernet.generate_key(), KEY]) as submissions:
        await deliver(submissions, 40)

        await check_delivered(submissions, sandbox)
    assert len(sandbox.world.sessions) == 1
    assert {number: batch.parts[number].uploads for number in known} == dict.fromkeys(known, 1)


@pytest.mark.parametrize("keys", [[KEY], []], ids=["with a key", "without a key"])
async def test_links_to_upload_to_stand_in_the_journal_encrypted_or_not_at_all(
    sqlite_url: str, tmp_path: Path, client: KsefClient, sandbox: Sandbox, keys: list[bytes]
) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.wait(0.2), times=10_000)
    async with Submissions(sqlite_url, client=client, keys=keys, settings=SETTINGS) as submissions:
        await submit_backlog(submissions, sandbox)
        await run_until(submissions, lambda: value(submissions, "uploaded"))
        snapshot = await value(submissions, "snapshot")
    (batch,) = batches(sandbox)

    assert (snapshot is not None) is bool(keys)
    written = b"".join([await path.read_bytes() async for path in anyio.Path(tmp_path).glob("journal.db*")])
    assert batch.reference_number.encode() in written
    # As it stands in the links.
    assert batch.reference_number.lower().encode() not in written
    assert b"sig=" not in written


async def test_batch_that_comes_out_in_other_parts_goes_in_another_session(journal: Journal, sandbox: Sandbox) -> None:
    await stop_between_parts(journal, sandbox)

    async with journal(settings=attrs.evolve(SETTINGS, part_size=30_000)) as submissions:
        await deliver(submissions, 40)

        await check_delivered(submissions, sandbox)
    assert [batch.closed_at is not None for batch in batches(sandbox)] == [False, True]
    assert len(sandbox.world.sessions) == 2


async def test_batch_whose_time_to_upload_is_over_goes_in_another_session(journal: Journal, sandbox: Sandbox) -> None:
    await stop_between_parts(journal, sandbox)
    (first,) = batches(sandbox)
    sandbox.clock.advance(20 * 60 * len(first.parts) + 1)
    before = uploads(first)

    async with journal() as submissions:
        await deliver(submissions, 40)

        await check_delivered(submissions, sandbox)
    assert uploads(first) == before
    assert [batch.closed_at is not None for batch in batches(sandbox)] == [False, True]


async def test_batch_that_expired_meanwhile_goes_in_another_session(journal: Journal, sandbox: Sandbox) -> None:
    await stop_between_parts(journal, sandbox)
    sandbox.clock.advance(13 * 3600)

    async with journal() as submissions:
        await deliver(submissions, 40)

        await check_delivered(submissions, sandbox)
    assert [len(batch.invoices) for batch in batches(sandbox)] == [0, BACKLOG]
    assert len(sandbox.world.sessions) == 2


@pytest.mark.parametrize("keys", [[KEY], []], ids=["with a key", "without a key"])
async def test_batch_that_was_about_to_be_closed_is_closed_and_not_packed_again(
    sqlite_url: str, client: KsefClient, sandbox: Sandbox, keys: list[bytes]
) -> None:
    sandbox.faults.add("close_batch_session", Fault.html(503), times=10_000)
    async with Submissions(sqlite_url, client=client, keys=keys, settings=SETTINGS) as submissions:
        await submit_backlog(submissions, sandbox)
        await run_until(submissions, lambda: value(submissions, "is_closing"))
        sandbox.faults.clear()
        # Nothing could be packed here.
        nowhere = attrs.evolve(SETTINGS, spool=Path("/nowhere"))
    async with Submissions(sqlite_url, client=client, keys=keys, settings=nowhere) as submissions:
        await deliver(submissions, 40)

        await check_delivered(submissions, sandbox)
    (batch,) = batches(sandbox)
    assert {*uploads(batch)} == {1}


async def test_part_that_ksef_turns_out_not_to_have_is_uploaded_by_whoever_goes_on(
    journal: Journal, sandbox: Sandbox
) -> None:
    sandbox.faults.add(UPLOAD_PART, Fault.part_lost())
    sandbox.faults.add("close_batch_session", Fault.html(503), times=10_000)
    async with journal() as submissions:
        await submit_backlog(submissions, sandbox)
        await run_until(submissions, lambda: value(submissions, "is_closing"))
    sandbox.faults.clear()
    (batch,) = batches(sandbox)
    assert sorted(uploads(batch))[:2] == [0, 1]

    async with journal() as submissions:
        await deliver(submissions, 40)

        await check_delivered(submissions, sandbox)
    assert {*uploads(batch)} == {1}
    assert len(sandbox.world.sessions) == 1


# More often than a call is tried again by itself; the opening, which may have had its effect, is not at all.
@pytest.mark.parametrize(
    ("operation", "times"), [("open_batch_session", 4), (UPLOAD_PART, 30), ("close_batch_session", 30)]
)
async def test_ksef_that_fails_for_a_while_is_waited_for(
    journal: Journal, sandbox: Sandbox, operation: str, times: int
) -> None:
    sandbox.faults.add(operation, Fault.html(503), times=times)
    async with journal() as submissions:
        await submit_backlog(submissions, sandbox)

        await deliver(submissions, 40)

        await check_delivered(submissions, sandbox)
        assert await submissions.troubles() == {}
    assert len(sandbox.world.sessions) == 1
    (batch,) = batches(sandbox)
    # When one part fails the others are broken off, and may be in all the same.
    assert max(uploads(batch)) <= (2 if operation == UPLOAD_PART else 1)


async def test_spool_that_cannot_be_written_is_a_trouble_that_passes(
    journal: Journal, sandbox: Sandbox, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    async with journal(settings=attrs.evolve(SETTINGS, spool=spool)) as submissions:
        await submit_backlog(submissions, sandbox)
        async with submissions.running():
            with anyio.fail_after(20):
                while not (troubles := await submissions.troubles()):
                    await anyio.sleep(0.01)
            spool.mkdir()
            with anyio.fail_after(40):
                await submissions.wait_until_settled()

        await check_delivered(submissions, sandbox)
    assert "FileNotFoundError" in troubles[sandbox.nip]
    assert len(sandbox.world.sessions) == 1


async def test_batch_of_a_worker_that_lost_its_lease_is_taken_over_and_closed_once(
    postgres_database: URL, client: KsefClient, sandbox: Sandbox
) -> None:
    url = postgres_database.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    settings = attrs.evolve(SETTINGS, lease_duration=0.6)
    sandbox.faults.add(UPLOAD_PART, Fault.wait(0.2), times=10_000)
    async with (
        Submissions(url, client=client, keys=[KEY], settings=settings) as first,
        Submissions(url, client=client, keys=[KEY], settings=settings) as second,
    ):
        await submit_backlog(first, sandbox)
        async with first.running(), second.running():
            with anyio.fail_after(20):
                while not (known := await value(second, "uploaded")):
                    await anyio.sleep(0.001)
            # As if the one that uploads had been frozen for longer than its lease.
            async with second.begin() as connection:
                await connection.exec_driver_sql("UPDATE ksef_contexts SET owner = 'somebody', expires_at = 0")
            with anyio.fail_after(40):
                await second.wait_until_settled()

        await check_delivered(second, sandbox)
    (batch,) = batches(sandbox)
    assert {batch.parts[int(number)].uploads for number in known.split()} == {1}
    assert max(uploads(batch)) <= 2
    assert len(sandbox.world.sessions) == 1
