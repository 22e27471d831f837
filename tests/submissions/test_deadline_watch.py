"""Deadlines of invoices issued offline: moved by what Latarnia announces, told before they are near and once passed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any

import anyio
import attrs
import pytest
from clients import ONCE, connected
from sqlalchemy import event
from sqlalchemy.engine import URL

from ksef_async import DeadlineNear, DeadlinePassed, KsefClient, LocalProtocolError, OfflineMode, OutageKind
from ksef_async.calling.events import Event, RequestAnswered
from ksef_async.protocol.offline import Outage
from ksef_async.sandbox import Clock, Fault, Sandbox, Timings, sample_invoice
from ksef_async.submissions import Settings, Submission, Submissions, SubmissionState
from ksef_async.submissions.database import Database
from ksef_async.submissions.deadline_watch import DeadlineWatch, _Group, _moved
from ksef_async.submissions.deadlines import deadline_in
from ksef_async.submissions.schema import NEVER
from ksef_async.submissions.worker import journal_outage

from .conftest import QUICK_SETTINGS

NIP = "5265877635"
OFFLINE24 = OfflineMode.OFFLINE24
TUESDAY = date(2026, 3, 3)
NOON = datetime(2026, 3, 3, 11, tzinfo=UTC)
# The end of Wednesday in Poland.
DUE = datetime(2026, 3, 4, 23, tzinfo=UTC)
HOUR = 3_600.0
FOREVER = 10**9
SETTINGS = attrs.evolve(QUICK_SETTINGS, deadline_interval=0.02)


@attrs.frozen
class Scene:
    """A journal that delivers nothing, because KSeF opens no session, while its clock is moved by hand."""

    sandbox: Sandbox
    submissions: Submissions
    events: list[Event]
    client: KsefClient

    async def submit(self, number: int = 1, mode: OfflineMode = OFFLINE24) -> Submission:
        return await self.submissions.submit(sample_invoice(NIP, f"FV/{number}", TUESDAY), offline=mode)

    def told(self) -> list[DeadlineNear | DeadlinePassed]:
        return [event for event in self.events if isinstance(event, DeadlineNear | DeadlinePassed)]

    async def until(self, is_so: Callable[[], object]) -> None:
        with anyio.fail_after(20):
            while not is_so():
                await anyio.sleep(0.01)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and let the client see it, where nothing else asks KSeF for anything."""
        self.sandbox.clock.advance(seconds)
        await self.client.limits.get_rates()

    async def accepted(self, number: int) -> None:
        with anyio.fail_after(20):
            while (await self.submissions.get(number)).state is not SubmissionState.ACCEPTED:
                self.sandbox.clock.advance(1)
                await anyio.sleep(0.05)

    async def settled(self) -> None:
        """Let the clock run until nothing is under way."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tick)
            with anyio.fail_after(20):
                await self.submissions.wait_until_settled()
            tasks.cancel_scope.cancel()

    async def _tick(self) -> None:
        while True:
            self.sandbox.clock.advance(1)
            await anyio.sleep(0.05)

    async def due_by(self, number: int, wanted: datetime | None) -> None:
        with anyio.fail_after(20):
            while (await self.submissions.get(number)).due_by != wanted:
                await anyio.sleep(0.01)


@asynccontextmanager
async def scene(url: str, settings: Settings = SETTINGS) -> AsyncIterator[Scene]:
    events: list[Event] = []
    async with (
        Sandbox(nip=NIP, rate_limits=None, clock=Clock(NOON, ticking=False), timings=Timings(login_delay=0)) as sandbox,
        connected(sandbox, retry=ONCE, hook=events.append) as client,
        Submissions(url, client=client, settings=settings) as submissions,
    ):
        await client.log_in()  # from now on it knows KSeF's time
        sandbox.faults.add("open_online_session", Fault.html(503), times=FOREVER)
        yield Scene(sandbox, submissions, events, client)


async def test_what_is_told_is_what_is_written(postgres_database: URL) -> None:
    url = postgres_database.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    async with scene(url) as here, here.submissions.running():
        first, second = [await here.submit(number) for number in (1, 2)]
        async with here.submissions.begin() as connection:
            # Its deadline is moved while the watch is about to tell of it.
            await connection.exec_driver_sql(
                f"UPDATE ksef_submissions SET due_by = due_by + 864000 WHERE id = {first.id}"
            )
            here.sandbox.clock.advance(29 * HOUR)
            with anyio.fail_after(20):
                while not (await connection.exec_driver_sql(blocked)).scalar():
                    await anyio.sleep(0.01)
        await here.until(here.told)

    assert here.told() == [DeadlineNear(nip=NIP, due_by=DUE, count=1, numbers=(second.identity.number,))]


async def test_deadline_is_told_when_it_is_near_and_when_it_has_passed_once_each(journal_url: str) -> None:
    async with scene(journal_url) as here:
        await here.submit(1)
        await here.submit(2)
        async with here.submissions.running():
            await here.until(lambda: any(getattr(e, "operation", "") == "open_online_session" for e in here.events))
            here.sandbox.clock.advance((DUE - NOON).total_seconds() - 9 * HOUR)
            await anyio.sleep(0.3)
            assert here.told() == []
            assert "deadline" not in str(await here.submissions.troubles())

            here.sandbox.clock.advance(2 * HOUR)
            await here.until(here.told)
            assert "2 invoices issued offline, due by the end of 2026-03-04" in (await here.submissions.troubles())[NIP]
            here.sandbox.clock.advance(7 * HOUR)
            await here.until(lambda: len(here.told()) > 1)
            assert "had to be with KSeF by the end of 2026-03-04" in (await here.submissions.troubles())[NIP]

        # Another process, too, tells nothing twice; and what is late is delivered all the same.
        async with here.submissions.running():
            await anyio.sleep(0.2)
            here.sandbox.faults.clear()
            with anyio.fail_after(20):
                while not all(one.ksef_number for one in await here.submissions.list_page()):
                    here.sandbox.clock.advance(1)
                    await anyio.sleep(0.05)
            assert await here.submissions.troubles() == {}

    numbers = ("FV/1", "FV/2")
    assert here.told() == [
        DeadlineNear(nip=NIP, due_by=DUE, count=2, numbers=numbers),
        DeadlinePassed(nip=NIP, due_by=DUE, count=2, numbers=numbers),
    ]


async def test_failure_that_is_announced_moves_the_deadline_and_its_end_sets_it(journal_url: str) -> None:
    async with scene(journal_url) as here:
        await here.submit(1)
        await here.submit(2, OfflineMode.EMERGENCY)
        online = await here.submissions.submit(sample_invoice(NIP, "FV/3", TUESDAY))
        async with here.submissions.running():
            event = here.sandbox.latarnia.announce("FAILURE")
            await here.due_by(1, None)
            await here.due_by(2, None)
            here.sandbox.clock.advance(20 * HOUR)
            here.sandbox.latarnia.end(event)
            # Seven working days from Wednesday.
            for number in (1, 2):
                await here.due_by(number, datetime(2026, 3, 13, 23, tzinfo=UTC))
            assert (await here.submissions.get(online.id)).due_by is None
            assert here.told() == []


async def test_total_failure_lifts_the_deadline(sqlite_url: str) -> None:
    async with scene(sqlite_url) as here:
        await here.submit(1)
        async with here.submissions.running():
            here.sandbox.latarnia.announce("TOTAL_FAILURE")
            await here.due_by(1, None)


async def test_latarnia_that_is_down_changes_nothing(sqlite_url: str) -> None:
    async with scene(sqlite_url) as here:
        here.sandbox.latarnia.announce("FAILURE")
        here.sandbox.faults.add("get_latarnia_messages", Fault.html(503), times=FOREVER)
        await here.submit(1)
        here.sandbox.clock.advance((DUE - NOON).total_seconds() - HOUR)
        async with here.submissions.running():
            await here.until(here.told)
            assert (await here.submissions.get(1)).due_by == DUE


async def test_what_is_delivered_is_told_of_no_more(sqlite_url: str) -> None:
    async with scene(sqlite_url) as here:
        here.sandbox.faults.clear()
        await here.submit(1)
        async with here.submissions.running():
            await here.accepted(1)
            here.sandbox.clock.advance(100 * HOUR)
            await anyio.sleep(0.2)

    assert here.told() == []


# --- where nothing is delivered ------------------------------------------------------------------------------


async def test_deadline_of_a_rejected_invoice_is_told_although_nothing_is_left_to_deliver(journal_url: str) -> None:
    async with scene(journal_url) as here:
        await rejected(here)
        async with here.submissions.running():
            await here.advance((DUE - NOON).total_seconds() - HOUR)
            await here.until(here.told)
            assert "1 invoice issued offline, due by the end of 2026-03-04" in (await here.submissions.troubles())[NIP]
            await here.advance(2 * HOUR)
            await here.until(lambda: len(here.told()) > 1)
            await anyio.sleep(0.2)
            # Whoever has heard of the rejection knows what there is to do.
            await here.submissions.acknowledge(1)
            assert await here.submissions.troubles() == {}

    assert here.told() == [
        DeadlineNear(nip=NIP, due_by=DUE, count=1, numbers=("FV/1",)),
        DeadlinePassed(nip=NIP, due_by=DUE, count=1, numbers=("FV/1",)),
    ]


async def test_rejected_invoice_that_another_document_took_the_place_of_is_told_of_no_more(sqlite_url: str) -> None:
    async with scene(sqlite_url) as here:
        await rejected(here)
        correction = await here.submissions.correct(1, sample_invoice(NIP, "FV/1", TUESDAY, buyer_nip="7010002137"))
        async with here.submissions.running():
            await here.accepted(correction.id)
            await here.advance(100 * HOUR)
            await anyio.sleep(0.2)

    assert here.told() == []


async def rejected(here: Scene) -> None:
    """Deliver an offline invoice that KSeF refuses."""
    here.sandbox.faults.clear()
    here.sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    submission = await here.submit()
    async with here.submissions.running():
        await here.settled()
    assert (await here.submissions.get(submission.id)).state is SubmissionState.REJECTED


async def test_deadline_is_told_while_the_context_waits_for_its_place(sqlite_url: str) -> None:
    settings = attrs.evolve(SETTINGS, max_contexts=0)
    async with scene(sqlite_url, settings) as here:
        await here.submit()
        await here.advance((DUE - NOON).total_seconds() - HOUR)
        async with here.submissions.running():
            await here.until(here.told)

    assert here.told() == [DeadlineNear(nip=NIP, due_by=DUE, count=1, numbers=("FV/1",))]


async def test_process_that_delivers_nothing_tells_of_deadlines_and_moves_them(journal_url: str) -> None:
    async with scene(journal_url) as here:
        await here.submit(1)
        async with here.submissions.watching_deadlines():
            event = here.sandbox.latarnia.announce("FAILURE")
            await here.due_by(1, None)
            await here.advance(20 * HOUR)
            here.sandbox.latarnia.end(event)
            moved = datetime(2026, 3, 13, 23, tzinfo=UTC)
            await here.due_by(1, moved)
            await here.advance(10 * 24 * HOUR)
            await here.until(here.told)
            await anyio.sleep(0.2)

        assert not here.sandbox.world.sessions
        # Nor does the one that delivers tell it once more.
        async with here.submissions.running():
            await anyio.sleep(0.2)

    assert here.told() == [DeadlinePassed(nip=NIP, due_by=moved, count=1, numbers=("FV/1",))]


async def test_two_processes_tell_each_step_once(journal_url: str) -> None:
    async with scene(journal_url) as here:
        for number in range(20):
            await here.submit(number)
        async with Submissions(journal_url, client=here.client, settings=SETTINGS) as other:
            await here.advance((DUE - NOON).total_seconds() - HOUR)
            async with here.submissions.watching_deadlines(), other.watching_deadlines():
                await here.until(here.told)
                await anyio.sleep(0.3)

    assert sum(event.count for event in here.told()) == 20


async def test_context_without_a_client_here_is_left_to_others(sqlite_url: str) -> None:
    async with scene(sqlite_url) as here:
        await here.submit()
        await here.advance((DUE - NOON).total_seconds() - HOUR)
        async with Submissions(sqlite_url, client={}, settings=SETTINGS) as other, other.watching_deadlines():
            await anyio.sleep(0.2)
        assert here.told() == []
        async with here.submissions.watching_deadlines():
            await here.until(here.told)


async def test_client_that_cannot_be_made_stops_neither_the_others_nor_the_journal(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = "1111111111"

    def client_of(nip: str) -> KsefClient:
        if nip == sealed:
            raise RuntimeError("the safe is sealed")
        return here.client

    async with scene(sqlite_url) as here:
        await here.submissions.submit(sample_invoice(sealed, "FV/1", TUESDAY), offline=OFFLINE24)
        await here.submit()
        await here.advance((DUE - NOON).total_seconds() - HOUR)
        async with Submissions(sqlite_url, client=client_of, settings=SETTINGS) as other, other.watching_deadlines():
            await here.until(here.told)
            await anyio.sleep(0.2)

    assert here.told() == [DeadlineNear(nip=NIP, due_by=DUE, count=1, numbers=("FV/1",))]
    logged = [record.getMessage() for record in caplog.records if "sealed" in record.getMessage()]
    assert logged == [f"the deadlines of {sealed} are not watched for now: RuntimeError: the safe is sealed"]


async def test_process_without_any_client_cannot_watch(sqlite_url: str) -> None:
    async with Submissions(sqlite_url) as submissions:
        with pytest.raises(LocalProtocolError, match="no client"):
            async with submissions.watching_deadlines():
                pass


# --- what a look takes ---------------------------------------------------------------------------------------


async def test_look_reads_nothing_of_a_context_but_what_was_issued_offline(sqlite_url: str) -> None:
    async with scene(sqlite_url) as here, watched(sqlite_url, here.client) as (watch, database):
        await here.submit()
        here.sandbox.latarnia.announce("FAILURE")
        asked: list[tuple[str, Any]] = []
        event.listen(
            database.engine.sync_engine, "before_cursor_execute", lambda *call: asked.append((call[2], call[3]))
        )
        await watch.look()
        about = [(statement, given) for statement, given in asked if "ksef_submissions.context = " in statement]
        async with database.read() as connection:
            plans = [await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given) for text, given in about]
            steps = [row[-1] for plan in plans for row in plan if "SEARCH ksef_submissions" in row[-1]]

    by_index = "SEARCH ksef_submissions USING INDEX ksef_submissions_due (state=? AND context=? AND due_by"
    assert len(steps) == len(about) == 3  # it is moved, and neither passed nor near
    assert all(step.startswith(by_index) for step in steps)


async def test_look_asks_latarnia_once_for_all_companies(sqlite_url: str) -> None:
    async with scene(sqlite_url) as here, watched(sqlite_url, here.client) as (watch, _):
        for nip in (NIP, "7010002137"):
            await here.submissions.submit(sample_invoice(nip, "FV/1", TUESDAY), offline=OFFLINE24)
        here.sandbox.latarnia.announce("FAILURE")
        await watch.look()
        moved = await here.submissions.list_page()

    assert [one.due_by for one in moved] == [None] * 2
    assert [one.operation for one in here.events if isinstance(one, RequestAnswered)].count(
        "get_latarnia_messages"
    ) == 1


@asynccontextmanager
async def watched(url: str, client: KsefClient) -> AsyncIterator[tuple[DeadlineWatch, Database]]:
    """A watch that looks when it is told to, with a database of its own."""
    database = Database(url)
    try:
        yield DeadlineWatch(database, lambda _: client, SETTINGS, journal_outage(database, SETTINGS)), database
    finally:
        await database.aclose()


MONDAY_BEFORE = datetime(2026, 2, 23, 11, tzinfo=UTC)
EARLY = Outage(kind=OutageKind.FAILURE, start=MONDAY_BEFORE, end=datetime(2026, 2, 24, 11, tzinfo=UTC))
DURING = Outage(kind=OutageKind.FAILURE, start=NOON, end=datetime(2026, 3, 4, 7, tzinfo=UTC))
LATER = datetime(2026, 3, 20, 23, tzinfo=UTC).timestamp()
MOVED = datetime(2026, 3, 13, 23, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("due_by", "outages", "expected"),
    [
        pytest.param(DUE.timestamp(), [EARLY], None, id="nothing new"),
        pytest.param(DUE.timestamp(), [DURING], (MOVED, MOVED), id="moved"),
        pytest.param(LATER, [DURING], (MOVED, MOVED), id="the end was set right"),
        pytest.param(LATER, [EARLY], None, id="not taken away by what is not told any more"),
        pytest.param(None, [EARLY], (DUE.timestamp(), DUE.timestamp()), id="counts again"),
        pytest.param(
            DUE.timestamp(), [Outage(kind=OutageKind.FAILURE, start=NOON)], (None, DUE.timestamp()), id="waits"
        ),
        pytest.param(DUE.timestamp(), [Outage(kind=OutageKind.TOTAL_FAILURE, start=NOON)], (None, NEVER), id="lifted"),
    ],
)
def test_deadline_moves_by_what_is_announced(
    due_by: float | None, outages: list[Outage], expected: tuple[float | None, float] | None
) -> None:
    assert _moved(_Group(OFFLINE24, TUESDAY, due_by), outages) == expected


@pytest.mark.parametrize(
    ("mode", "outages", "day"),
    [
        pytest.param(OfflineMode.UNAVAILABILITY, [], date(2026, 3, 4), id="nothing is announced"),
        pytest.param(OfflineMode.UNAVAILABILITY, [DURING], date(2026, 3, 13), id="a failure is"),
        pytest.param(OfflineMode.EMERGENCY, [EARLY], date(2026, 3, 12), id="another failure was"),
        pytest.param(OfflineMode.UNAVAILABILITY, [Outage(kind=OutageKind.FAILURE, start=NOON)], None, id="it lasts"),
    ],
)
def test_mode_whose_outage_is_not_announced_has_a_deadline(
    mode: OfflineMode, outages: list[Outage], day: date | None
) -> None:
    assert deadline_in(mode, TUESDAY, outages).day == day
