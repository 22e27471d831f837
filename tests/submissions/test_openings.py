"""What the journal has opened at KSeF it closes, whatever happens between the opening and the first invoice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import attrs
import pytest
from clients import ONCE, connected

from ksef_async import KsefClient
from ksef_async.api.sessions import StatusCode
from ksef_async.calling.events import Event, RequestSent
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Submissions, SubmissionState

from .conftest import QUICK_SETTINGS

SETTINGS = attrs.evolve(QUICK_SETTINGS, longest_pause=0.2)


class Calls(list[str]):
    """The operations that were called."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestSent):
            self.append(event.operation)


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
async def client(sandbox: Sandbox, calls: Calls) -> AsyncIterator[KsefClient]:
    """A client that tries nothing again by itself: the journal has to."""
    async with connected(sandbox, retry=ONCE, hook=calls) as client:
        yield client


@pytest.fixture
async def submissions(sqlite_url: str, client: KsefClient) -> AsyncIterator[Submissions]:
    async with Submissions(sqlite_url, client=client, settings=SETTINGS) as submissions:
        yield submissions


def left_open(sandbox: Sandbox) -> list[str]:
    now = sandbox.clock.now()
    return [number for number, one in sandbox.world.sessions.items() if one.status_at(now).code == StatusCode.OPENED]


async def deliver(submissions: Submissions, sandbox: Sandbox, count: int = 1) -> None:
    async with submissions.running():
        with anyio.fail_after(20):
            await submissions.wait_until_settled()
    assert (await submissions.count())[SubmissionState.ACCEPTED] == count
    assert sum(invoice.is_accepted for invoice in sandbox.world.invoices()) == count
    assert left_open(sandbox) == []


async def test_session_whose_activation_cannot_be_read_is_waited_for_and_not_replaced(
    submissions: Submissions, sandbox: Sandbox
) -> None:
    sandbox.faults.add("get_session_status", Fault.html(502), times=10)
    await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    await deliver(submissions, sandbox)

    assert len(sandbox.world.sessions) == 1


@pytest.mark.parametrize("fault", [Fault.html(502), Fault.server_error(), Fault.html(403), Fault.drop_before()])
async def test_opening_that_got_no_answer_is_made_again(
    submissions: Submissions, sandbox: Sandbox, fault: Fault
) -> None:
    sandbox.faults.add("open_online_session", fault, times=3)
    await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    await deliver(submissions, sandbox)

    assert len(sandbox.world.sessions) == 1


@pytest.mark.parametrize("code", [21184, 21155, 21405])
async def test_opening_that_is_refused_for_now_is_made_again(
    submissions: Submissions, sandbox: Sandbox, code: int
) -> None:
    sandbox.faults.add("open_online_session", Fault.refuse(code), times=3)
    await submissions.submit(sample_invoice(sandbox.nip))

    await deliver(submissions, sandbox)

    assert sandbox.faults.happened["open_online_session"] == 3


async def test_session_that_dies_before_it_is_active_is_replaced_and_the_keys_are_fetched_anew(
    submissions: Submissions, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add("open_online_session", Fault.wrong_key(), times=2)
    # Nobody looks before the session has died of it.
    sandbox.faults.add("open_online_session", Fault.wait(0.2))
    await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    await deliver(submissions, sandbox)

    assert len(sandbox.world.sessions) == 3
    assert calls.count("list_public_keys") == 3


async def test_session_that_cannot_be_noted_is_closed(submissions: Submissions, sandbox: Sandbox) -> None:
    await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))
    # As on a disk that is full: what is read, and what takes no room, goes on.
    async with submissions.begin() as connection:
        await connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON ksef_sessions BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    async with submissions.running():
        with anyio.fail_after(20):
            while len(sandbox.world.sessions) < 4:
                await anyio.sleep(0.01)
    assert left_open(sandbox) == []
    assert "disk is full" in (await submissions.troubles())[sandbox.nip]
    async with submissions.begin() as connection:
        await connection.exec_driver_sql("DROP TRIGGER full")

    await deliver(submissions, sandbox)

    assert len(sandbox.world.sessions) in (5, 4)
    assert await submissions.troubles() == {}


async def test_session_that_ksef_forgets_at_once_is_given_up(submissions: Submissions, sandbox: Sandbox) -> None:
    sandbox.faults.add("get_session_status", Fault.refuse(21173, "Brak sesji"), times=1)
    await submissions.submit(sample_invoice(sandbox.nip, "FV/1"))

    async with submissions.running():
        with anyio.fail_after(20):
            await submissions.wait_until_settled()

    assert (await submissions.count())[SubmissionState.ACCEPTED] == 1


async def test_key_that_turns_out_wrong_while_sending_is_fetched_anew(
    submissions: Submissions, sandbox: Sandbox, calls: Calls
) -> None:
    sandbox.faults.add("open_online_session", Fault.wrong_key())
    for number in range(20):
        await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))

    await deliver(submissions, sandbox, 20)

    assert len(sandbox.world.sessions) == 2
    assert calls.count("list_public_keys") == 2
