"""Sessions that check documents before they send them."""

from __future__ import annotations

import pytest

from ksef_async import FormCode, KsefClient
from ksef_async.documents import DocumentError
from ksef_async.sandbox import Sandbox, sample_invoice

BROKEN = (b"<P_15>1230.00", b"<P_15>1,23")


@pytest.fixture
def broken(sandbox: Sandbox) -> bytes:
    return sample_invoice(sandbox.nip).replace(*BROKEN)


async def test_session_sends_no_document_with_a_problem_when_asked_to_check(
    client: KsefClient, sandbox: Sandbox, broken: bytes
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(DocumentError, match=r"1234\.56") as caught:
            await session.send(broken, check=True)
        sent = await session.send(sample_invoice(sandbox.nip), check=True)
        accepted = await sent.outcome()

    assert [problem.path for problem in caught.value.problems] == ["/Faktura/Fa/P_15"]
    assert [invoice.verdict.ksef_number for invoice in sandbox.world.invoices()] == [accepted.ksef_number]


async def test_session_sends_whatever_it_is_given_unless_asked(client: KsefClient, broken: bytes) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(broken)


async def test_kept_open_session_is_not_opened_for_a_document_with_a_problem(
    client: KsefClient, sandbox: Sandbox, broken: bytes
) -> None:
    async with client.sessions.keep_open(FormCode.FA3) as keeper:
        with pytest.raises(DocumentError):
            await keeper.send(broken, check=True)
        with pytest.raises(DocumentError):
            async for _ in keeper.send_many([broken], check=True):
                pass

    assert not sandbox.world.sessions
