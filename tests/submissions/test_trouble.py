"""A trouble is told once, however often it happens and whatever KSeF writes differently each time."""

from __future__ import annotations

import asyncio
import logging

import anyio
import attrs
import pytest
from clients import ONCE, connected
from virtual_time import VirtualTimeLoop

from ksef_async.errors import ConnectError, KsefError, RateLimitedError
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submissions
from ksef_async.submissions.trouble import Trouble, gist

from .conftest import QUICK_SETTINGS, run_until

TRACE = "open: HTTP 500 [trace d0ba0ed937a4423d44d79a61ff2725ed]"
NUMBER = "Session 20261127-SO-466EAA6000-C6AB029B07-41 died: 415"


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        pytest.param(TRACE, TRACE.replace("d0ba", "1234"), True, id="trace id"),
        pytest.param(NUMBER, NUMBER.replace("466E", "1111"), True, id="reference number"),
        pytest.param("try again after 17 s", "try again after 4.5 s", True, id="time"),
        pytest.param(NUMBER, NUMBER.replace("415", "500"), False, id="status"),
        pytest.param("HTTP 400, code 21184: a", "HTTP 400, code 21405: a", False, id="code"),
        pytest.param("12 invoices are left out", "13 invoices are left out", False, id="count"),
    ],
)
def test_gist_is_what_stays_the_same(one: str, other: str, are_one: bool) -> None:
    assert (gist(one) == gist(other)) is are_one


class Notes(list[str | None]):
    async def add(self, text: str | None) -> None:
        self.append(text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


def trouble(notes: Notes, told: str | None = None) -> Trouble:
    return Trouble("1111111111", Settings(first_pause=0.001, longest_pause=0.001), notes.add, told)


async def test_troubles_that_take_turns_are_told_once_each_until_all_is_well(notes: Notes) -> None:
    this = trouble(notes)
    for number in range(6):
        await this.wait_out(ConnectError(f"no {number % 2}", maybe_delivered=False), 1)
    this.is_over()
    await this.clear()
    await this.wait_out(ConnectError("no 0", maybe_delivered=False), 1)

    assert notes == ["ConnectError: no 0", "ConnectError: no 1", None, "ConnectError: no 0"]


async def beginning(notes: Notes) -> Trouble:
    return Trouble("1111111111", Settings(first_pause=1.0, longest_pause=60.0), notes.add, None)


@pytest.mark.parametrize(
    ("retry_after", "tries", "pause"),
    [(None, 3, 4.0), (7.0, 3, 7.0), (0.0, 3, 1.0)],
    ids=["not said", "said", "said to come at once"],
)
def test_pause_is_as_long_as_ksef_says_but_never_none(
    notes: Notes, retry_after: float | None, tries: int, pause: float
) -> None:
    error = RateLimitedError("429", operation="send_invoice", http_status=429, retry_after=retry_after)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        loop = runner.get_loop()
        this = runner.run(beginning(notes))
        before = loop.time()
        runner.run(this.wait_out(error, tries))
        paused = loop.time() - before

    assert paused == pytest.approx(pause, abs=0.1)


async def test_trouble_that_is_in_the_journal_already_is_not_noted_again(notes: Notes) -> None:
    await trouble(notes, "KsefError: HTTP 500 [trace 1]").wait_out(KsefError("HTTP 500 [trace 2]"), 1)

    assert notes == []


async def test_success_of_others_does_not_end_a_trouble_that_lasts(notes: Notes) -> None:
    this = trouble(notes)
    tries = 0

    async def call() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            this.is_over()
            await this.clear()
            raise KsefError("no")

    await this.retry(call)
    await this.clear()

    assert notes == ["KsefError: no", None]


async def test_ksef_that_fails_at_every_try_is_told_of_once(
    sqlite_url: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.add("open_online_session", Fault.server_error(), times=10_000)
    settings = attrs.evolve(QUICK_SETTINGS, first_pause=0.01, longest_pause=0.05)
    async with (
        connected(sandbox, retry=ONCE) as client,
        Submissions(sqlite_url, client=client, settings=settings) as submissions,
    ):
        await submissions.submit(sample_invoice(sandbox.nip))
        async with submissions.running():
            with anyio.fail_after(20):
                while sandbox.faults.happened.get("open_online_session", 0) < 8:
                    await anyio.sleep(0.01)

    assert sum("delivery for" in record.getMessage() for record in caplog.records) == 1


async def test_company_that_nobody_serves_is_one_sentence_in_the_log(
    sandbox: Sandbox, sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    other = "5265877635"

    async def errors() -> list[logging.LogRecord]:
        return [one for one in caplog.records if other in one.getMessage() and one.levelname == "ERROR"]

    async with (
        connected(sandbox) as client,
        Submissions(sqlite_url, client={sandbox.nip: client}, settings=QUICK_SETTINGS) as submissions,
    ):
        await submissions.submit(sample_invoice(other), nip=other)
        await run_until(submissions, errors)
        troubles = await submissions.troubles()

    assert f"There is no client for {other}" in troubles[other]
    (record,) = await errors()
    assert record.exc_info is None
