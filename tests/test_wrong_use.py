"""A client or a journal used where it cannot be: each call ends with a sentence that says what to do instead."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
from blockbuster import BlockBuster
from clients import connected

from ksef_async import (
    Context,
    ContextType,
    Event,
    FormCode,
    InvoiceSubject,
    KsefClient,
    KsefToken,
    LocalProtocolError,
    OnlineSession,
    SessionFilter,
    SessionType,
    StatusCode,
)
from ksef_async.api.keys import LIST_PUBLIC_KEYS
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submission, Submissions

REFERENCE = "20260701-SO-2C3E6C8000-B675CF5D68-07"
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


async def first(items: Any) -> Any:
    """What comes next; None where nothing does."""
    return await anext(items.__aiter__(), None)


CALLS: dict[str, Callable[[KsefClient], Awaitable[Any]]] = {
    "log_in": lambda client: client.log_in(),
    "refresh": lambda client: client.refresh(),
    "call": lambda client: client.call(LIST_PUBLIC_KEYS),
    "availability": lambda client: client.availability(),
    "open_online": lambda client: client.sessions.open_online(FormCode.FA3),
    "list sessions": lambda client: first(client.sessions.list(SessionFilter(session_type=SessionType.ONLINE))),
    "tokens": lambda client: first(client.tokens.list()),
    "certificates": lambda client: client.certificates.get_limits(),
    "invoice": lambda client: client.invoices.get("5265877635-20250826-0100001AF629-AF"),
    "latarnia": lambda client: client.latarnia.status(fresh=True),
    "sync": lambda client: first(client.downloads.sync(SINCE, [InvoiceSubject.BUYER])),
    "limits": lambda client: client.limits.get_rates(),
    "pacing": lambda client: client.pacing.adopt_limits(),
}
calls = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@calls
async def test_client_that_was_not_entered(sandbox: Sandbox, call: Callable[[KsefClient], Awaitable[Any]]) -> None:
    events: list[Event] = []
    client = connected(sandbox, hook=events.append)

    with pytest.raises(LocalProtocolError, match=r"not open: use it inside of `async with \.\.\. as client:`"):
        await call(client)

    assert not events


@calls
async def test_client_that_was_left(sandbox: Sandbox, call: Callable[[KsefClient], Awaitable[Any]]) -> None:
    events: list[Event] = []
    async with connected(sandbox, hook=events.append) as client:
        await client.log_in()
    before = len(events)

    with pytest.raises(LocalProtocolError, match="closed, for its block has ended; make a new one"):
        await call(client)

    assert len(events) == before


@calls
async def test_client_of_another_event_loop(sandbox: Sandbox, call: Callable[[KsefClient], Awaitable[Any]]) -> None:
    async def elsewhere() -> None:
        with pytest.raises(LocalProtocolError, match="entered in another event loop; make one for each loop"):
            await call(client)

    async with connected(sandbox) as client:
        await client.log_in()
        await anyio.to_thread.run_sync(lambda: asyncio.run(elsewhere()))


async def test_session_of_a_client_that_was_left(sandbox: Sandbox) -> None:
    async with connected(sandbox) as client:
        session = await client.sessions.open_online(FormCode.FA3)

    for use in (session.status, session.terminate, lambda: first(session.transitions()), session.upo):
        with pytest.raises(LocalProtocolError, match="its block has ended"):
            await use()


def without_asyncio(enter: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run until it waits for something, as another library's loop would."""
    coroutine = enter()
    try:
        coroutine.send(None)
    finally:
        coroutine.close()


async def test_trio(sandbox: Sandbox, url: str) -> None:
    journal = Submissions(url)

    for one in (connected(sandbox), journal):
        with pytest.raises(LocalProtocolError, match="runs on asyncio only, not on trio"):
            await anyio.to_thread.run_sync(without_asyncio, one.__aenter__)


async def test_client_that_is_collected_without_being_left(sandbox: Sandbox) -> None:
    client = connected(sandbox)
    await client.__aenter__()
    await client.log_in()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()

    assert any("was never left: use `async with`" in str(warning.message) for warning in caught)


async def test_client_that_was_never_used_is_collected_in_silence() -> None:
    client = KsefClient("TEST", KsefToken(context=Context(ContextType.NIP, "5265877635"), token="T"))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del client
        gc.collect()


# --- the journal ------------------------------------------------------------------------------------------

JOURNAL_CALLS: dict[str, Callable[[Submissions], Awaitable[Any]]] = {
    "submit": lambda journal: journal.submit(sample_invoice("5265877635")),
    "get": lambda journal: journal.get(1),
    "list": lambda journal: first(journal.list()),
    "list_page": lambda journal: journal.list_page(),
    "find": lambda journal: journal.find(["FV/1"]),
    "count": lambda journal: journal.count(),
    "document": lambda journal: journal.document(1),
    "upo": lambda journal: journal.upo(1),
    "watch": lambda journal: first(journal.watch(1)),
    "results": lambda journal: first(journal.results()),
    "acknowledge": lambda journal: journal.acknowledge(1),
    "retry": lambda journal: journal.retry(1),
    "cancel": lambda journal: journal.cancel(1),
    "wait_until_settled": lambda journal: journal.wait_until_settled(),
    "begin": lambda journal: journal.begin().__aenter__(),
    "running": lambda journal: journal.running().__aenter__(),
}
journal_calls = pytest.mark.parametrize("call", JOURNAL_CALLS.values(), ids=JOURNAL_CALLS)


@pytest.fixture
def url(tmp_path: Path, no_blocking_calls: BlockBuster) -> str:
    # SQLAlchemy looks at the path of the file as it connects.
    no_blocking_calls.functions["os.path.abspath"].can_block_in(
        "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
    )
    return f"sqlite+aiosqlite:///{tmp_path / 'journal.db'}"


@journal_calls
async def test_journal_that_was_not_entered(url: str, call: Callable[[Submissions], Awaitable[Any]]) -> None:
    with pytest.raises(LocalProtocolError, match=r"not open: use it inside of `async with \.\.\. as submissions:`"):
        await call(Submissions(url))


@journal_calls
async def test_journal_that_was_left(url: str, call: Callable[[Submissions], Awaitable[Any]]) -> None:
    async with Submissions(url) as journal:
        pass

    with pytest.raises(LocalProtocolError, match="closed, for its block has ended; make a new one"):
        await call(journal)


@journal_calls
async def test_journal_of_another_event_loop(url: str, call: Callable[[Submissions], Awaitable[Any]]) -> None:
    async def elsewhere() -> None:
        with pytest.raises(LocalProtocolError, match="entered in another event loop"):
            await call(journal)

    async with Submissions(url) as journal:
        await anyio.to_thread.run_sync(lambda: asyncio.run(elsewhere()))


@pytest.mark.parametrize("as_mapping", [False, True])
async def test_journal_delivers_with_open_clients_only(sandbox: Sandbox, url: str, as_mapping: bool) -> None:
    client = connected(sandbox)

    async with Submissions(url, client={sandbox.nip: client} if as_mapping else client) as journal:
        with pytest.raises(LocalProtocolError, match="enter it before `running"):
            async with journal.running():
                pass


@pytest.mark.parametrize("nip", [5265877635, "526-587-76-35", "x" * 33], ids=repr)
async def test_nips_of_the_journal_are_nips(sandbox: Sandbox, url: str, nip: Any) -> None:
    with pytest.raises(LocalProtocolError, match="NIP"):
        Submissions(url, client={nip: connected(sandbox)})
    async with Submissions(url) as journal:
        with pytest.raises(LocalProtocolError, match="NIP"):
            await journal.submit(sample_invoice("5265877635"), nip=nip)


async def test_everything_fits_a_fixture_whose_ends_run_in_different_tasks(sandbox: Sandbox, url: str) -> None:
    # As fixtures of pytest-asyncio do, each part of which has a task of its own.
    async def fixture() -> AsyncIterator[Submissions]:
        async with (
            connected(sandbox) as client,
            Submissions(url, client=client, settings=Settings(linger=0.1, poll_interval=0.05)) as submissions,
            submissions.running(),
        ):
            yield submissions

    async def use(journal: Submissions) -> Submission:
        submitted = await journal.submit(sample_invoice(sandbox.nip))
        await journal.wait_until_settled()
        return await journal.get(submitted.id)

    parts = fixture()
    journal = await asyncio.create_task(first(parts))
    result = await asyncio.create_task(use(journal))
    assert await asyncio.create_task(first(parts)) is None

    assert result.has_upo
    assert len([*sandbox.world.invoices()]) == 1
    with pytest.raises(LocalProtocolError, match="its block has ended"):
        await journal.count()


async def test_session_fits_such_a_fixture(sandbox: Sandbox) -> None:
    async def fixture() -> AsyncIterator[OnlineSession]:
        async with connected(sandbox) as client, await client.sessions.open_online(FormCode.FA3) as session:
            yield session

    parts = fixture()
    session = await asyncio.create_task(first(parts))
    sent = await asyncio.create_task(session.send(sample_invoice(sandbox.nip)))
    await asyncio.create_task(sent.outcome())
    assert await asyncio.create_task(first(parts)) is None

    (closed,) = sandbox.world.sessions.values()
    assert closed.code_at(sandbox.clock.now()) != StatusCode.OPENED
