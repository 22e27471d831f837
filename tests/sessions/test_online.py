from __future__ import annotations

import asyncio
import hashlib
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from clients import connected

import ksef_async
from ksef_async import (
    BadRequestError,
    Cadence,
    CryptoError,
    EncryptionInfo,
    FormCode,
    InvoiceRejectedError,
    KsefClient,
    LocalProtocolError,
    OnlineSession,
    SessionFailedError,
    StatusCode,
    WaitTimeoutError,
)
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

AT_ONCE = Cadence(interval=0, deadline=5)


async def status_at_sandbox(client: KsefClient, session: OnlineSession) -> int:
    return (await client.sessions.status(session.reference_number)).status.code


def broken_key() -> EncryptionInfo:
    """A session key the Ministry cannot decrypt."""
    return EncryptionInfo(encrypted_symmetric_key=b"x" * 256, initialization_vector=b"i" * 16, symmetric_key=b"k" * 32)


async def test_invoice_goes_from_opening_to_upo(client: KsefClient, sandbox: Sandbox) -> None:
    invoice = sample_invoice(sandbox.nip)

    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(invoice)
        accepted = await sent.outcome()
    upo = await session.upo()

    assert accepted.ksef_number.startswith(sandbox.nip)
    assert accepted.invoice_number == "FV/1"
    (entry,) = upo.entries
    assert entry.ksef_number == accepted.ksef_number
    assert entry.invoice_hash == accepted.invoice_hash == hashlib.sha256(invoice).digest()


async def test_session_offers_what_the_reference_api_names(client: KsefClient) -> None:
    session = await client.sessions.open_online("FA (3)")

    assert session.form_code is FormCode.FA3
    assert len(session.reference_number) == 36
    assert session.valid_until is not None
    assert (len(session.aes_key or b""), len(session.iv or b"")) == (32, 16)
    assert session.access_token
    assert (await session.status()).status.code == StatusCode.OPENED
    assert (await session.terminate()).status.code == StatusCode.CANCELLED


async def test_unknown_form_code_is_refused_before_any_network(client: KsefClient) -> None:
    with pytest.raises(LocalProtocolError, match=r"FA \(3\)"):
        await client.sessions.open_online("FA(4)")


async def test_wrong_key_length_is_refused_before_any_network(client: KsefClient) -> None:
    encryption = EncryptionInfo(encrypted_symmetric_key=b"x", initialization_vector=b"i" * 16, symmetric_key=b"k")

    with pytest.raises(CryptoError, match="32 bytes, not 1"):
        await client.sessions.open_online(FormCode.FA3, encryption=encryption)


async def test_session_refuses_a_second_entry(client: KsefClient) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    async with session:
        pass

    with pytest.raises(LocalProtocolError, match="entered before"):
        async with session:
            pass


# --- however the block ends, the session is closed --------------------------------------------------------


Body = Callable[[], Coroutine[Any, Any, None]]


async def cancelled_by_scope(body: Body, entered: asyncio.Event) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(body)
            await entered.wait()
            scope.cancel()


async def cancelled_by_task(body: Body, entered: asyncio.Event) -> None:
    task = asyncio.ensure_future(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancelled_by_timeout(body: Body, entered: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await body()


async def cancelled_by_sibling(body: Body, entered: asyncio.Event) -> None:
    async def fail() -> None:
        await entered.wait()
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(body())
            tasks.create_task(fail())


@pytest.mark.parametrize("cancel", [cancelled_by_scope, cancelled_by_task, cancelled_by_timeout, cancelled_by_sibling])
async def test_cancelled_block_still_closes_the_session(
    client: KsefClient, cancel: Callable[[Body, asyncio.Event], Awaitable[None]]
) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    entered = asyncio.Event()

    async def body() -> None:
        async with session:
            entered.set()
            await anyio.sleep_forever()

    await cancel(body, entered)

    assert entered.is_set()
    assert await status_at_sandbox(client, session) == StatusCode.CANCELLED


async def test_failing_block_closes_the_session_and_its_error_wins(client: KsefClient) -> None:
    session = await client.sessions.open_online(FormCode.FA3)

    with pytest.raises(ZeroDivisionError):
        async with session:
            raise ZeroDivisionError

    assert await status_at_sandbox(client, session) == StatusCode.CANCELLED


async def test_failed_close_is_attached_to_the_error_of_the_block() -> None:
    async with (
        Sandbox() as sandbox,
        connected(sandbox) as client,
    ):
        session = await client.sessions.open_online(FormCode.FA3)
        with pytest.raises(ZeroDivisionError) as caught:
            async with session:
                await sandbox.aclose()
                raise ZeroDivisionError

    assert any(session.reference_number in note for note in caught.value.__notes__)


# --- sessions that fail -----------------------------------------------------------------------------------


async def test_undecryptable_key_fails_the_activation(still_sandbox: Sandbox) -> None:
    sandbox = still_sandbox
    async with connected(sandbox) as client:
        session = await client.sessions.open_online(FormCode.FA3, encryption=broken_key())
        sandbox.clock.advance(1)

        with pytest.raises(SessionFailedError) as caught:
            async with session:
                pytest.fail("entered a session that has failed")

    assert caught.value.code == StatusCode.DECRYPTION_ERROR
    assert caught.value.reference_number == session.reference_number


async def test_session_that_dies_while_sending_is_an_error_everywhere(still_sandbox: Sandbox) -> None:
    sandbox = still_sandbox
    async with connected(sandbox) as client:
        session = await client.sessions.open_online(FormCode.FA3, encryption=broken_key())

        with pytest.raises(SessionFailedError) as on_exit:
            async with session:
                sent = await session.send(sample_invoice(sandbox.nip))
                sandbox.clock.advance(1)
                with pytest.raises(SessionFailedError) as on_send:
                    await session.send(sample_invoice(sandbox.nip, "FV/2"))
                with pytest.raises(InvoiceRejectedError) as on_outcome:
                    await sent.outcome()
        with pytest.raises(SessionFailedError) as on_upo:
            await session.upo()

    assert on_send.value.code == on_exit.value.code == on_upo.value.code == StatusCode.DECRYPTION_ERROR
    assert on_outcome.value.code == 405


@pytest.mark.parametrize("sends", [0, 1])
async def test_closed_session_cannot_be_entered(client: KsefClient, sandbox: Sandbox, sends: int) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    for number in range(sends):
        await session.send(sample_invoice(sandbox.nip, f"FV/{number}"))
    await session.terminate()

    with pytest.raises((SessionFailedError, LocalProtocolError)) as caught:
        async with await client.sessions.attach(session.reference_number):
            pytest.fail("entered a closed session")

    assert isinstance(caught.value, LocalProtocolError if sends else SessionFailedError)


# --- closing ----------------------------------------------------------------------------------------------


async def test_terminating_twice_is_success(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(sample_invoice(sandbox.nip))

        first = await session.terminate()
        second = await session.terminate()

    assert first.status.code in (StatusCode.CLOSED, StatusCode.PROCESSED_OK)
    assert second.status.code >= first.status.code


async def test_terminating_what_another_has_closed_is_success(client: KsefClient, sandbox: Sandbox) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    other = connected(sandbox)
    async with session, other:
        await session.send(sample_invoice(sandbox.nip))
        await (await other.sessions.attach(session.reference_number)).terminate()

    assert (await session.upo()).documents


async def test_sending_in_a_session_another_has_closed_is_refused_by_ksef(client: KsefClient, sandbox: Sandbox) -> None:
    other = connected(sandbox)
    async with await client.sessions.open_online(FormCode.FA3) as session, other:
        await session.send(sample_invoice(sandbox.nip))
        await (await other.sessions.attach(session.reference_number)).terminate()

        with pytest.raises(BadRequestError) as caught:
            await session.send(sample_invoice(sandbox.nip, "FV/2"))

    assert caught.value.code == 21180


async def test_sending_after_terminate_is_refused_locally(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.terminate()

        with pytest.raises(LocalProtocolError, match="open a new session"):
            await session.send(sample_invoice(sandbox.nip))


async def test_upo_of_an_open_session_is_refused_rather_than_waited_for(client: KsefClient) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(LocalProtocolError, match="terminate"):
            await session.upo()


async def test_upo_of_a_session_outside_of_a_block_is_waited_for_until_somebody_closes_it(
    client: KsefClient, sandbox: Sandbox
) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    sent = await session.send(sample_invoice(sandbox.nip))
    await session.status()

    waiting = asyncio.create_task(session.upo())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    async with connected(sandbox) as other:
        await (await other.sessions.attach(session.reference_number)).terminate()

    assert [entry.invoice_hash for entry in (await waiting).entries] == [sent.invoice_hash]


async def test_upo_of_an_empty_session_does_not_exist(client: KsefClient) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        pass

    with pytest.raises(SessionFailedError, match="Nie przesłano faktur"):
        await session.upo()


async def test_session_left_open_is_closed_by_ksef_after_twelve_hours(still_sandbox: Sandbox) -> None:
    sandbox = still_sandbox
    async with connected(sandbox) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            sent = await session.send(sample_invoice(sandbox.nip))
            sandbox.clock.advance(13 * 3600)

        upo = await session.upo()

    assert [entry.invoice_hash for entry in upo.entries] == [sent.invoice_hash]


# --- sending ----------------------------------------------------------------------------------------------

GOOD = b"<Faktura/>"


@pytest.mark.parametrize(
    ("invoice", "message"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"\xef\xbb\xbf<Faktura/>", "byte order mark", id="bom"),
        pytest.param("<Faktura>ż</Faktura>".encode("iso-8859-2"), "not UTF-8", id="iso-8859-2"),
        pytest.param(b"<Faktura>" + b"a" * 1_000_001, "1,000,010 bytes", id="too large"),
        pytest.param("<Faktura/>", "as bytes, not str", id="text"),
    ],
)
async def test_unfit_file_is_refused_before_any_network(client: KsefClient, invoice: bytes, message: str) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(LocalProtocolError, match=message):
            await session.send(invoice)

        assert (await session.status()).invoice_count == 0


@pytest.mark.parametrize(("offline", "corrects"), [(False, b"h" * 32), (True, b"h" * 31)])
async def test_unfit_correction_is_refused_before_any_network(
    client: KsefClient, offline: bool, corrects: bytes
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(LocalProtocolError):
            await session.send(GOOD, offline=offline, corrects=corrects)


async def test_many_tasks_may_send_in_one_session(client: KsefClient, sandbox: Sandbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await asyncio.gather(
            *(session.send(sample_invoice(sandbox.nip, f"FV/{number}")) for number in range(30))
        )
        accepted = await asyncio.gather(*(invoice.outcome() for invoice in sent))
    upo = await session.upo()

    assert {entry.ksef_number for entry in upo.entries} == {invoice.ksef_number for invoice in accepted}
    assert len({invoice.ksef_number for invoice in accepted}) == 30


async def test_large_invoice_goes_through(client: KsefClient, sandbox: Sandbox) -> None:
    padding = b"<!--" + b"x" * 900_000 + b"-->"
    invoice = sample_invoice(sandbox.nip) + padding

    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(invoice)
        await sent.outcome()


async def test_session_attached_with_its_key_can_send(client: KsefClient, sandbox: Sandbox) -> None:
    keys = await client.sessions.new_encryption()
    opened = await client.sessions.open_online(FormCode.FA3, encryption=keys)

    async with await client.sessions.attach(opened.reference_number, encryption=keys) as session:
        accepted = await (await session.send(sample_invoice(sandbox.nip))).outcome()

    assert accepted.session_reference_number == opened.reference_number


async def test_session_attached_without_its_key_cannot_send(client: KsefClient) -> None:
    opened = await client.sessions.open_online(FormCode.FA3)

    async with await client.sessions.attach(opened.reference_number) as session:
        assert isinstance(session, OnlineSession)
        with pytest.raises(LocalProtocolError, match="without its key"):
            await session.send(GOOD)


async def test_unknown_session_is_refused_by_ksef(client: KsefClient) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.sessions.attach("20250625-SO-2C3E6C8000-B675CF5D68-07")

    assert caught.value.code == 21173


async def test_waiting_for_an_outcome_ends_with_the_last_status_seen(still_sandbox: Sandbox) -> None:
    sandbox = still_sandbox
    async with connected(sandbox) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            sent = await session.send(sample_invoice(sandbox.nip))

            with pytest.raises(WaitTimeoutError) as caught:
                await sent.outcome(Cadence(interval=0.01, deadline=0.1))

    assert caught.value.last_status is not None
    assert caught.value.last_status.code == 100


async def test_repr_shows_the_state_and_no_secret(client: KsefClient, sandbox: Sandbox) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    seen = [repr(session)]
    async with session:
        sent = await session.send(sample_invoice(sandbox.nip))
        seen += [repr(session), repr(sent), repr(client)]
    seen += [repr(session), repr(await session.status())]

    assert "OPENING, 0 sent" in seen[0]
    assert "OPENED, 1 sent" in seen[1]
    assert "CLOSING, 1 sent" in seen[4]
    secrets = [sandbox.token, session.access_token, repr(session.aes_key), repr(session.iv)]
    assert not [secret for secret in secrets if secret and any(secret in text for text in seen)]


@pytest.mark.parametrize(("code", "is_told"), [(21155, True), (21184, True), (21405, False)])
async def test_refusal_by_the_session_says_that_another_may_take_the_invoice(
    client: KsefClient, sandbox: Sandbox, code: int, is_told: bool
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sandbox.faults.add("send_invoice", Fault.refuse(code))
        with pytest.raises(BadRequestError) as caught:
            await session.send(sample_invoice(sandbox.nip))

    notes = getattr(caught.value, "__notes__", [])
    assert any("does not take it, but another may" in note for note in notes) is is_told


# --- the path of a send -----------------------------------------------------------------------------------


class Watching(aiohttp.TCPConnector):
    """Notes through which functions of the library a request comes to its connection."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: dict[str, list[str]] = {}

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        root = Path(ksef_async.__file__).parent
        frames = [(Path(frame.filename), frame.name) for frame in traceback.extract_stack()]
        self.paths[f"{req.method} {req.url.path.rpartition('/')[2]}"] = [
            f"{path.relative_to(root)}: {name}" for path, name in frames if path.is_relative_to(root)
        ]
        return await super().connect(req, traces, timeout)


async def test_send_takes_a_short_path(sandbox: Sandbox) -> None:
    connector = Watching()
    async with aiohttp.ClientSession(connector=connector) as http, connected(sandbox, http_session=http) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            await session.send(sample_invoice(sandbox.nip))

    path = connector.paths["POST invoices"]
    assert len(path) <= 8, path
    assert len({each.partition(":")[0] for each in path}) <= 5, path
