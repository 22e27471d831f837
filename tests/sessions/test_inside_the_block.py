"""What can only end after the block, asked for inside of it; and sessions of nothing but duplicates."""

from __future__ import annotations

import anyio
import pytest

from ksef_async import Cadence, FormCode, KsefClient, LocalProtocolError, SessionFailedError, WaitTimeoutError
from ksef_async.sandbox import Sandbox, sample_invoice


async def test_transitions_in_the_block_that_holds_the_session_open_say_what_to_do(client: KsefClient) -> None:
    seen: list[int] = []
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with anyio.fail_after(5), pytest.raises(LocalProtocolError, match="iterate after the block"):
            async for transition in session.transitions():
                seen.append(transition.current)  # noqa: PERF401  # what came before the error counts

    assert seen == [100]


async def test_transitions_in_another_task_go_on(client: KsefClient, sandbox: Sandbox) -> None:
    seen: list[int] = []

    async def listen() -> None:
        async for transition in session.transitions(Cadence(interval=0.01)):
            seen.append(transition.current)  # noqa: PERF401  # the list is looked at meanwhile

    async with anyio.create_task_group() as tasks:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            tasks.start_soon(listen)
            await session.send(sample_invoice(sandbox.nip))
            await anyio.sleep(0.05)

    assert (seen[0], seen[-1]) == (100, 200)


async def test_transitions_with_a_deadline_end_by_themselves(client: KsefClient) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(WaitTimeoutError):
            async for _ in session.transitions(Cadence(interval=0.01, deadline=0.1)):
                pass


async def test_transitions_after_terminate_in_the_block_end(client: KsefClient) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.terminate()
        codes = [transition.current async for transition in session.transitions()]

    assert codes[-1] == 440


async def test_upo_of_a_session_of_duplicates_says_where_the_receipts_are(client: KsefClient, sandbox: Sandbox) -> None:
    invoice = sample_invoice(sandbox.nip)
    async with await client.sessions.open_online(FormCode.FA3) as first:
        await (await first.send(invoice)).outcome()
    async with await client.sessions.open_online(FormCode.FA3) as second:
        sent = await second.send(invoice)
        outcome = await sent.outcome()

    with pytest.raises(SessionFailedError, match="445") as caught:
        await second.upo()

    assert "upo() of what send() or find_sent() returned fetches the original's receipt" in str(caught.value)
    (entry,) = (await sent.upo()).entries
    found = second.find_sent(sent.invoice_hash)
    assert found is not None
    assert entry.ksef_number == outcome.ksef_number == next(iter((await found.upo()).entries)).ksef_number
