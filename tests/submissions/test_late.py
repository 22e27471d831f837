"""What was not sent before the midnight of its date: sent as an offline invoice, or held, and told either way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, date, datetime, timedelta

import attrs
import pytest
from clients import RecordingTransport, connected

from ksef_async import CryptoError, InvoicingMode, KsefClient, OfflineMode
from ksef_async.calling.events import Event, InvoicesLate, InvoiceTurnedOffline
from ksef_async.errors import LocalProtocolError
from ksef_async.protocol.polish_calendar import end_of_day, polish_day, working_day_after
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.submissions import IdentityTakenError, Late, Settings, Submissions, SubmissionState

from .conftest import QUICK_SETTINGS, deliver
from .test_issuing import EXPIRED, SIGNER

OFFLINE = attrs.evolve(QUICK_SETTINGS, late=Late.OFFLINE)
HOLD = attrs.evolve(QUICK_SETTINGS, late=Late.HOLD)


def yesterday() -> date:
    return polish_day(datetime.now(UTC)) - timedelta(days=1)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def transport() -> AsyncIterator[RecordingTransport]:
    async with aclosing(RecordingTransport()) as transport:
        yield transport


@pytest.fixture
async def client(sandbox: Sandbox, transport: RecordingTransport, events: list[Event]) -> AsyncIterator[KsefClient]:
    async with connected(sandbox, transport=transport, hook=events.append) as client:
        yield client


def told(events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, InvoicesLate | InvoiceTurnedOffline)]


async def test_what_is_late_is_sent_as_an_offline_invoice(
    journal_url: str, sandbox: Sandbox, client: KsefClient, transport: RecordingTransport, events: list[Event]
) -> None:
    async with Submissions(journal_url, client=client, settings=OFFLINE) as submissions:
        late = await submissions.submit(sample_invoice(sandbox.nip, "FV/1", yesterday()))
        today = await submissions.submit(sample_invoice(sandbox.nip, "FV/2"))
        await deliver(submissions)
        late, today = await submissions.get(late.id), await submissions.get(today.id)
        troubles = await submissions.troubles()

    assert (late.state, late.is_late, late.offline) == (SubmissionState.ACCEPTED, True, OfflineMode.OFFLINE24)
    assert late.due_by == end_of_day(working_day_after(yesterday()))
    assert (today.state, today.is_late) == (SubmissionState.ACCEPTED, False)
    assert (late.invoicing_mode, today.invoicing_mode) == (InvoicingMode.OFFLINE, InvoicingMode.ONLINE)
    bodies = [request.body for request in transport.requests("send_invoice")]
    modes = [json.loads(body).get("offlineMode", False) for body in bodies if isinstance(body, bytes)]
    assert sorted(modes) == [False, True]
    assert told(events) == [InvoicesLate(nip=sandbox.nip, issued_on=yesterday(), count=1, are_held=False)]
    assert troubles == {}


async def test_what_is_held_waits_for_a_decision(
    journal_url: str, sandbox: Sandbox, client: KsefClient, events: list[Event]
) -> None:
    async with Submissions(journal_url, client=client, settings=HOLD) as submissions:
        ids = [(await submissions.submit(sample_invoice(sandbox.nip, f"FV/{n}", yesterday()))).id for n in range(3)]
        await deliver(submissions)
        held = [await submissions.get(number) for number in ids]
        troubles = await submissions.troubles()
        heard = []
        async for result in submissions.results():
            heard.append(result.id)
            await submissions.acknowledge(result.id)
            if len(heard) == len(ids):
                break

        assert [each.state for each in held] == [SubmissionState.HELD] * 3
        assert all(each.is_late and each.state.is_terminal and each.reason is not None for each in held)
        assert heard == ids
        assert "3 invoices that were not sent before" in troubles[sandbox.nip]
        assert not list(sandbox.world.invoices())
        assert told(events) == [InvoicesLate(nip=sandbox.nip, issued_on=yesterday(), count=3, are_held=True)]

        released = await submissions.release(ids[0])
        assert (released.state, released.is_late, released.is_acknowledged) == (SubmissionState.QUEUED, True, False)
        cancelled = await submissions.cancel(ids[1])
        assert cancelled.state is SubmissionState.CANCELLED
        again = await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
        await deliver(submissions)

        assert (await submissions.get(ids[0])).invoicing_mode is InvoicingMode.OFFLINE
        assert (await submissions.get(again.id)).invoicing_mode is InvoicingMode.ONLINE
        assert (await submissions.get(ids[2])).state is SubmissionState.HELD
        assert "1 invoice that was not sent before" in (await submissions.troubles())[sandbox.nip]


async def test_what_is_released_has_its_second_code(sqlite_url: str, sandbox: Sandbox, client: KsefClient) -> None:
    async with Submissions(sqlite_url, client=client, settings=HOLD) as submissions:
        held = await submissions.submit(sample_invoice(sandbox.nip, "FV/1", yesterday()))
        await deliver(submissions)

        with pytest.raises(CryptoError):
            await submissions.release(held.id, signer=EXPIRED)
        assert (await submissions.get(held.id)).state is SubmissionState.HELD
        released = await submissions.release(held.id, signer=SIGNER)

    assert released.offline is OfflineMode.OFFLINE24
    assert released.certificate_link is not None
    assert f"/{sandbox.nip}/" in released.certificate_link


async def test_decisions_are_asked_of_what_is_held_only(sqlite_url: str, sandbox: Sandbox, client: KsefClient) -> None:
    async with Submissions(sqlite_url, client=client, settings=HOLD) as submissions:
        held = await submissions.submit(sample_invoice(sandbox.nip, "FV/1", yesterday()))
        await deliver(submissions)
        queued = await submissions.submit(sample_invoice(sandbox.nip, "FV/2"))

        with pytest.raises(LocalProtocolError, match="is held and cannot be retried"):
            await submissions.retry(held.id)
        with pytest.raises(LocalProtocolError, match="is queued and cannot be released"):
            await submissions.release(queued.id)
        with pytest.raises(IdentityTakenError):
            await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))


async def test_what_is_held_stays_so_when_another_worker_comes(
    journal_url: str, sandbox: Sandbox, client: KsefClient
) -> None:
    async with Submissions(journal_url, client=client, settings=HOLD) as submissions:
        held = await submissions.submit(sample_invoice(sandbox.nip, "FV/1", yesterday()))
        await deliver(submissions)
    async with Submissions(journal_url, client=client, settings=OFFLINE) as submissions:
        await submissions.submit(sample_invoice(sandbox.nip, "FV/2"))
        await deliver(submissions)

        assert (await submissions.get(held.id)).state is SubmissionState.HELD


async def test_without_the_guard_what_turns_offline_is_told(
    journal_url: str, sandbox: Sandbox, client: KsefClient, events: list[Event]
) -> None:
    settings = attrs.evolve(QUICK_SETTINGS, guards_midnight=False, late=Late.HOLD)
    async with Submissions(journal_url, client=client, settings=settings) as submissions:
        late = await submissions.submit(sample_invoice(sandbox.nip, "FV/1", yesterday()))
        await deliver(submissions)
        late = await submissions.get(late.id)

    assert (late.state, late.is_late) == (SubmissionState.ACCEPTED, True)
    assert late.invoicing_mode is InvoicingMode.OFFLINE
    (event,) = told(events)
    assert isinstance(event, InvoiceTurnedOffline)
    assert (event.ksef_number, event.reference_number) == (late.ksef_number, late.reference_number)


@pytest.mark.parametrize("late", ["offline", "hold", Late.HOLD])
def test_settings_take_the_word(late: str) -> None:
    assert Settings(late=late).late is Late(late)


def test_another_word_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="late is 'offline' or 'hold', not 'never'"):
        Settings(late="never")
