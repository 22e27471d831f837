"""`keep_open` tells when an invoice that was sent as an online one, after its date, is Offline for KSeF."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from clients import connected

from ksef_async import FormCode
from ksef_async.calling.events import Event, InvoiceTurnedOffline
from ksef_async.protocol.polish_calendar import polish_day
from ksef_async.sandbox import Sandbox, sample_invoice


@pytest.mark.parametrize(("days", "offline", "told"), [(1, False, 1), (1, True, 0), (0, False, 0)])
async def test_what_turned_offline_is_told_once(sandbox: Sandbox, days: int, offline: bool, told: int) -> None:
    events: list[Event] = []
    invoice = sample_invoice(sandbox.nip, "FV/1", polish_day(datetime.now(UTC)) - timedelta(days=days))

    async with connected(sandbox, hook=events.append) as client:
        async with client.sessions.keep_open(FormCode.FA3) as sender:
            sent = await sender.send(invoice, offline=offline)
            accepted = await sent.outcome()
        assert [outcome.reference_number async for outcome in sender.outcomes()] == [sent.reference_number]
        await sent.outcome()

    found = [event for event in events if isinstance(event, InvoiceTurnedOffline)]
    assert len(found) == told
    assert all(event.ksef_number == accepted.ksef_number for event in found)
