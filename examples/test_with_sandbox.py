"""Tests of a program that sends invoices, with the fixtures this library brings: ``pytest test_with_sandbox.py``.

``pip install ksef_async pytest anyio``
"""

from __future__ import annotations

import pytest

from ksef_async import FormCode, KsefClient
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

# anyio comes with this library; with pytest-asyncio the mark is pytest.mark.asyncio.
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def send(client: KsefClient, invoice: bytes) -> str:
    """The program under test."""
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(invoice)
        return (await sent.outcome()).ksef_number


async def test_invoice_gets_a_ksef_number(ksef_sandbox: Sandbox, ksef_client: KsefClient) -> None:
    number = await send(ksef_client, sample_invoice(ksef_sandbox.nip))

    assert number.startswith(ksef_sandbox.nip)


async def test_gateway_failing_twice_does_no_harm(ksef_sandbox: Sandbox, ksef_client: KsefClient) -> None:
    ksef_sandbox.faults.add("get_session_status", Fault.html(502), times=2)

    await send(ksef_client, sample_invoice(ksef_sandbox.nip))

    assert ksef_sandbox.faults.happened == {"get_session_status": 2}
    assert [invoice.is_accepted for invoice in ksef_sandbox.world.invoices()] == [True]


async def test_invoice_sent_again_the_next_day_is_in_ksef_once(ksef_sandbox: Sandbox, ksef_client: KsefClient) -> None:
    invoice = sample_invoice(ksef_sandbox.nip)
    number = await send(ksef_client, invoice)
    ksef_sandbox.clock.advance(24 * 60 * 60)

    assert await send(ksef_client, invoice) == number


# 3 passed
