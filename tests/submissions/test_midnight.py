"""Midnight in Poland: what is dated today stays Online, and what is late is told. In virtual time, within the limits.

``nox -s midnight`` sends 2,000 invoices.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest
from clients import Traffic, connected
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import InvoicingMode, KsefClient
from ksef_async.calling.events import Event, InvoicesLate, InvoiceTurnedOffline
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.sandbox import Clock, Fault, Sandbox, sample_invoice
from ksef_async.sandbox.sessions import BatchSession
from ksef_async.submissions import Late, Priority, Settings, Submissions, SubmissionState

INVOICES = int(os.environ.get("MIDNIGHT_INVOICES", "250"))
#: One by one as long as that is over within a day, so that the limits alone decide how many go before midnight.
SETTINGS = Settings(linger=1.0, poll_interval=5.0, lease_duration=600.0, online_within=86_400.0)
WITHOUT_GUARD = Settings(
    linger=1.0, poll_interval=5.0, lease_duration=600.0, online_within=86_400.0, guards_midnight=False
)
PATIENT = RetryPolicy(patience=float("inf"), deadline=float("inf"))
WARSAW = ZoneInfo("Europe/Warsaw")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Night:
    """An evening in the sandbox, a client that keeps to production's limits, and a journal."""

    def __init__(self, sandbox: Sandbox, client: KsefClient, traffic: Traffic, events: list[Event]) -> None:
        self.sandbox = sandbox
        self.client = client
        self.traffic = traffic
        self.events = events

    def modes(self) -> Counter[InvoicingMode | None]:
        """How many of the accepted invoices are Online, and how many Offline."""
        return Counter(invoice.verdict.mode for invoice in self.sandbox.world.invoices() if invoice.is_accepted)

    def kinds(self) -> Counter[str]:
        """How many accepted invoices went online (SO), and how many in batches (SB)."""
        accepted = [invoice for invoice in self.sandbox.world.invoices() if invoice.is_accepted]
        return Counter(
            number.split("-")[1]
            for number, session in self.sandbox.world.sessions.items()
            for invoice in session.invoices.values()
            if invoice in accepted
        )


@asynccontextmanager
async def night(local: str) -> AsyncIterator[Night]:
    """Begin at a local time in Poland."""
    loop = asyncio.get_running_loop()
    await mind_threads()
    traffic, events = Traffic(), list[Event]()

    def hear(event: Event) -> None:
        traffic(event)
        if isinstance(event, InvoicesLate | InvoiceTurnedOffline):
            events.append(event)

    start = datetime.fromisoformat(local).replace(tzinfo=WARSAW)
    async with (
        Sandbox(clock=Clock(start, monotonic=loop.time)) as sandbox,
        connected(sandbox, pacer=Pacer(), retry=PATIENT, hook=hear, answer_timeout=1e6) as client,
    ):
        yield Night(sandbox, client, traffic, events)


async def submit(
    submissions: Submissions, sandbox: Sandbox, numbers: Iterable[int], day: str, *, priority: int = 0
) -> None:
    async with submissions.begin() as transaction:
        for number in numbers:
            invoice = sample_invoice(sandbox.nip, f"FV/{number}", date.fromisoformat(day))
            await submissions.submit(invoice, tx=transaction, priority=priority)


async def deliver_all(evening: Night, url: str, settings: Settings, day: str, count: int) -> None:
    async with Submissions(url, client=evening.client, settings=settings) as submissions:
        await submit(submissions, evening.sandbox, range(count), day)
        async with submissions.running():
            await submissions.wait_until_settled()
        assert (await submissions.count())[SubmissionState.ACCEPTED] == count
    assert evening.traffic.refused == 0


#: When 180 an hour, 30 of them in a minute, leave no time for all one by one.
EVENING = "22:30" if INVOICES > 360 else "23:30"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "day",
    [
        pytest.param("2026-03-03", id="any night"),
        pytest.param("2026-03-28", id="before the clock goes forward"),
        pytest.param("2026-03-29", id="after it went forward"),
        pytest.param("2026-10-24", id="before the clock goes back"),
        pytest.param("2026-10-25", id="after it went back"),
    ],
)
async def test_everything_dated_today_is_online(sqlite_url: str, day: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with night(f"{day} {EVENING}") as evening:
        await deliver_all(evening, sqlite_url, SETTINGS, day, INVOICES)

        with capsys.disabled():
            print(f"\n{INVOICES:,} invoices of {day} at {EVENING}: {_numbers(evening)}")
        assert evening.modes() == {InvoicingMode.ONLINE: INVOICES}
        assert evening.events == []


@pytest.mark.timeout(900)
async def test_without_the_guard_most_are_offline(sqlite_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with night(f"2026-03-03 {EVENING}") as evening:
        await deliver_all(evening, sqlite_url, WITHOUT_GUARD, "2026-03-03", INVOICES)

        with capsys.disabled():
            print(f"\n{INVOICES:,} invoices of 2026-03-03 at {EVENING} without the guard: {_numbers(evening)}")
        online = 360 if INVOICES > 360 else 180
        assert evening.modes() == {InvoicingMode.ONLINE: online, InvoicingMode.OFFLINE: INVOICES - online}
        turned = [event for event in evening.events if isinstance(event, InvoiceTurnedOffline)]
        assert len(turned) == len({event.ksef_number for event in turned}) == INVOICES - online


def _numbers(evening: Night) -> str:
    modes, kinds = evening.modes(), evening.kinds()
    return (
        f"{modes[InvoicingMode.ONLINE]:,} Online, {modes[InvoicingMode.OFFLINE]:,} Offline "
        f"({kinds['SO']:,} one by one, {kinds['SB']:,} in a batch)"
    )


# --- when something is in the way -----------------------------------------------------------------------------

DAY = "2026-03-03"
HOLDING = Settings(linger=1.0, poll_interval=1.0, lease_duration=600.0, late=Late.HOLD)


async def test_what_is_urgent_goes_in_a_batch_rather_than_late(sqlite_url: str) -> None:
    async with (
        night(f"{DAY} 23:45") as evening,
        Submissions(sqlite_url, client=evening.client, settings=SETTINGS) as submissions,
    ):
        await submit(submissions, evening.sandbox, range(200), DAY, priority=Priority.URGENT)
        async with submissions.running():
            await submissions.wait_until_settled()

        assert evening.modes() == {InvoicingMode.ONLINE: 200}
        assert evening.kinds() == {"SO": 180, "SB": 20}


@pytest.mark.timeout(300)
async def test_invoices_that_come_until_the_last_minute_are_online(sqlite_url: str) -> None:
    loop = asyncio.get_running_loop()
    async with (
        night(f"{DAY} 23:40") as evening,
        Submissions(sqlite_url, client=evening.client, settings=SETTINGS) as submissions,
    ):
        # The hour's budget is spent before.
        await submit(submissions, evening.sandbox, range(180), DAY)
        midnight = loop.time() + 20 * 60
        async with submissions.running():
            number = 180
            await anyio.sleep(400)
            while loop.time() < midnight - 40:
                await submit(submissions, evening.sandbox, [number], DAY)
                number += 1
                await anyio.sleep(10)
            await submissions.wait_until_settled()

        assert evening.modes() == {InvoicingMode.ONLINE: number}
        assert evening.events == []
        assert evening.traffic.refused == 0
    # There are 60 openings in an hour: enough are left until the end, though invoices come all the time.
    batches = [number for number in evening.sandbox.world.sessions if "-SB-" in number]
    assert 1 < len(batches) < 30


async def test_what_gets_stuck_one_by_one_goes_in_a_batch(sqlite_url: str) -> None:
    async with (
        night(f"{DAY} 23:51") as evening,
        Submissions(sqlite_url, client=evening.client, settings=SETTINGS) as submissions,
    ):
        # The limits would allow all of them to go online.
        evening.sandbox.faults.add("send_invoice", Fault.html(503), times=10_000)
        await submit(submissions, evening.sandbox, range(60), DAY)
        async with submissions.running():
            await anyio.sleep(20 * 60)
            evening.sandbox.faults.clear()
            await submissions.wait_until_settled()

        modes = evening.modes()
        # Of those that were being sent KSeF may have had any, so they could not go another way before midnight.
        assert modes[InvoicingMode.ONLINE] >= 60 - SETTINGS.concurrency
        (late,) = evening.events
        assert isinstance(late, InvoicesLate)
        assert (late.count, late.are_held) == (modes[InvoicingMode.OFFLINE], False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("operation", "count"),
    [
        pytest.param("open_online_session", 10, id="no session to send in"),
        pytest.param("send_invoice", 10, id="no sending"),
        pytest.param("open_batch_session", 300, id="no batch"),
    ],
)
async def test_nothing_that_midnight_overtakes_goes_out_while_it_is_to_be_held(
    sqlite_url: str, operation: str, count: int
) -> None:
    async with (
        night(f"{DAY} 23:59:30") as evening,
        Submissions(sqlite_url, client=evening.client, settings=HOLDING) as submissions,
    ):
        evening.sandbox.faults.add(operation, Fault.html(503), times=10_000)
        evening.sandbox.faults.add("open_batch_session", Fault.html(503), times=10_000)
        await submit(submissions, evening.sandbox, range(count), DAY)
        async with submissions.running():
            await anyio.sleep(10 * 60)
            evening.sandbox.faults.clear()
            await submissions.wait_until_settled()

        counts = await submissions.count()
        assert counts[SubmissionState.HELD] + counts[SubmissionState.ACCEPTED] == count
        assert counts[SubmissionState.HELD] >= 10
        assert evening.modes()[InvoicingMode.OFFLINE] == 0
        assert (
            sum(event.count for event in evening.events if isinstance(event, InvoicesLate) and event.are_held)
            == (counts[SubmissionState.HELD])
        )
        assert "held until it is decided" in (await submissions.troubles())[evening.sandbox.nip]


async def test_many_that_are_late_go_in_a_batch_of_offline_invoices(sqlite_url: str) -> None:
    settings = Settings(linger=1.0, poll_interval=5.0, lease_duration=600.0)
    async with (
        night("2026-03-04 09:00") as evening,
        Submissions(sqlite_url, client=evening.client, settings=settings) as submissions,
    ):
        await submit(submissions, evening.sandbox, range(300), DAY)
        await submit(submissions, evening.sandbox, range(300, 500), "2026-03-04")
        async with submissions.running():
            await submissions.wait_until_settled()

        assert evening.modes() == {InvoicingMode.OFFLINE: 300, InvoicingMode.ONLINE: 200}
        batches = [each for each in evening.sandbox.world.sessions.values() if isinstance(each, BatchSession)]
        assert {session.offline_mode: len(session.invoices) for session in batches} == {False: 200, True: 300}
        (late,) = evening.events
        assert late == InvoicesLate(
            nip=evening.sandbox.nip, issued_on=date.fromisoformat(DAY), count=300, are_held=False
        )
