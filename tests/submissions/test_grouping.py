"""Many callers at once: each is told what it would have been told alone, and most of them in one transaction."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ksef_async import LocalProtocolError
from ksef_async.sandbox import sample_invoice
from ksef_async.submissions import IdentityTakenError, JournalError, Submission, Submissions, UnknownSubmissionError
from ksef_async.submissions.grouping import Grouped

NIP = "5265877635"
BUYERS = ("1111111111", "7010002137")

# --- the same as one after another ------------------------------------------------------------------------------


@attrs.frozen
class Call:
    """One of two documents with one of three numbers, under one of two keys or none."""

    number: int
    buyer: int
    key: int | None
    is_fit: bool

    async def submit(self, submissions: Submissions, name: str) -> Submission:
        document = sample_invoice(NIP, f"{name}/{self.number}", buyer_nip=BUYERS[self.buyer])
        key = None if self.key is None else f"{name} {self.key}"
        return await submissions.submit(document if self.is_fit else document[:-9], key=key)


calls = st.builds(
    Call,
    number=st.integers(0, 2),
    buyer=st.integers(0, 1),
    key=st.one_of(st.none(), st.integers(0, 1)),
    is_fit=st.integers(0, 9).map(bool),
)


def told(outcomes: Sequence[Submission | BaseException], name: str) -> list[tuple[object, ...]]:
    """What the callers were told, with ids counted in the order of their first mention."""
    seen: dict[int | None, int] = {}
    result: list[tuple[object, ...]] = []
    for outcome in outcomes:
        if isinstance(outcome, Submission):
            place = seen.setdefault(outcome.id, len(seen))
            result.append((place, outcome.identity.number.removeprefix(name), (outcome.key or "").removeprefix(name)))
        elif isinstance(outcome, IdentityTakenError):
            place = seen.setdefault(outcome.submission_id, len(seen))
            text = str(outcome).replace(name, "").replace(f"ubmission {outcome.submission_id}", "ubmission")
            result.append((IdentityTakenError, place, text))
        else:
            assert isinstance(outcome, LocalProtocolError)
            result.append((LocalProtocolError, str(outcome)))
    return result


async def attempt(call: Call, submissions: Submissions, name: str) -> Submission | BaseException:
    return (await asyncio.gather(call.submit(submissions, name), return_exceptions=True))[0]


def test_calls_at_once_are_told_the_same_as_one_after_another(journal_url: str) -> None:
    names = count()
    is_sqlite = journal_url.startswith("sqlite")

    async def compare(
        submissions: Submissions, earlier: Sequence[Call], taken_back: int, together: Sequence[Call]
    ) -> None:
        outcomes = {}
        for way in ("one after another", "at once"):
            name = f"N{next(names):06}"
            before = [await attempt(call, submissions, name) for call in earlier]
            for number in {one.id for one in before[:taken_back] if isinstance(one, Submission)}:
                await submissions.cancel(number)
            commits = submissions.commits
            if way == "at once":
                now = await asyncio.gather(
                    *(call.submit(submissions, name) for call in together), return_exceptions=True
                )
                assert submissions.commits - commits <= (1 if is_sqlite else 2)
            else:
                now = [await attempt(call, submissions, name) for call in together]
            listed = await submissions.list_page(after=0, limit=1_000_000)
            mine = [one for one in listed if one.identity.number.startswith(name)]
            outcomes[way] = told([*before, *now], name), told(mine, name), [one.state for one in mine]
        assert outcomes["at once"] == outcomes["one after another"]

    with asyncio.Runner() as runner:
        submissions = Submissions(journal_url)
        runner.run(submissions.__aenter__())

        @settings(deadline=None, max_examples=60 if is_sqlite else 25)
        @given(st.lists(calls, max_size=4), st.integers(0, 4), st.lists(calls, min_size=2, max_size=12))
        def check(earlier: list[Call], taken_back: int, together: list[Call]) -> None:
            runner.run(compare(submissions, earlier, taken_back, together))

        try:
            check()
        finally:
            runner.run(submissions.__aexit__(None, None, None))


async def test_calls_at_once_take_few_transactions(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        commits = submissions.commits
        submitted = await asyncio.gather(*(submissions.submit(sample_invoice(NIP, f"FV/{n}")) for n in range(100)))

        assert submissions.commits - commits <= 2
        assert [one.identity.number for one in submitted] == [f"FV/{n}" for n in range(100)]
        found = await asyncio.gather(*(submissions.get(one.id) for one in submitted))
        assert found == submitted


async def test_others_have_their_turn_while_many_documents_are_read(sqlite_url: str) -> None:
    rows = b"<FaWiersz><NrWierszaFa>1</NrWierszaFa></FaWiersz>" * 1_000
    documents = [sample_invoice(NIP, f"FV/{number}").replace(b"</Fa>", rows + b"</Fa>") for number in range(60)]
    gaps: list[float] = []

    async def beat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            gaps.append(time.perf_counter() - last)
            last += gaps[-1]

    async with Submissions(sqlite_url) as submissions:
        began = time.perf_counter()
        beating = asyncio.create_task(beat())
        commits = submissions.commits
        await asyncio.gather(*map(submissions.submit, documents))
        beating.cancel()

        assert submissions.commits - commits <= 2
        assert max(gaps) < (time.perf_counter() - began) / 4


async def test_processes_that_submit_the_same_at_once_agree(journal_url: str) -> None:
    documents = [sample_invoice(NIP, f"FV/{number}") for number in range(40)]
    async with Submissions(journal_url) as one, Submissions(journal_url) as other:
        # Each waits for what the other has inserted: PostgreSQL breaks one of the transactions off.
        first, second = await asyncio.gather(
            asyncio.gather(*map(one.submit, documents)),
            asyncio.gather(*map(other.submit, reversed(documents))),
        )

        assert first == second[::-1]
        assert len(await one.list_page()) == 40


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg"])
async def test_group_that_is_broken_off_for_a_deadlock_is_written_one_by_one(
    driver: str, postgres_database: URL
) -> None:
    url = postgres_database.set(drivername=driver).render_as_string(hide_password=False)
    first, second = (sample_invoice(NIP, f"FV/{number}") for number in (1, 2))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with Submissions(url) as watching, watching.begin() as connection:
        # The group looks once for a deadlock, after this: until then a busy machine has the time to bring it about.
        await connection.execute(text(f"ALTER DATABASE {postgres_database.database} SET deadlock_timeout = '5s'"))
    async with Submissions(url) as submissions, Submissions(url) as watching:

        async def is_waiting() -> bool:
            async with watching.begin() as connection:
                return bool((await connection.execute(text(waiting))).scalar_one())

        async with submissions.begin() as transaction:
            await transaction.execute(text("SET LOCAL deadlock_timeout = '1h'"))
            mine = await submissions.submit(second, tx=transaction)
            group = asyncio.gather(*map(submissions.submit, (first, second)))
            while not await is_waiting():
                pass
            # The group has inserted the first, and waits for the second. Whoever looks for the deadlock is broken off.
            assert (await submissions.submit(first, tx=transaction)).identity.number == "FV/1"

        assert (await group)[1] == mine
        assert len(await submissions.list_page()) == 2


async def test_reading_a_journal_in_memory_takes_nothing_back() -> None:
    async with Submissions("sqlite+aiosqlite://") as submissions:
        async with submissions.begin() as transaction:
            await submissions.submit(sample_invoice(NIP, "FV/1"), tx=transaction)
            reading = asyncio.create_task(submissions.list_page())
            await submissions.submit(sample_invoice(NIP, "FV/2"), tx=transaction)

        # There is one connection; what was read meanwhile would have ended with its transaction rolled back.
        assert len(await reading) == 2
        assert len(await submissions.list_page()) == 2


# --- one caller does not hurt the others --------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [0, 1, 4], ids=["the first", "another", "the last"])
@pytest.mark.parametrize("turns", range(6))
async def test_caller_that_is_cancelled_does_not_hurt_the_others(journal_url: str, chosen: int, turns: int) -> None:
    documents = [sample_invoice(NIP, f"FV/{number}") for number in range(5)]
    async with Submissions(journal_url) as submissions:
        await submissions.submit(sample_invoice(NIP, "FV/CONNECTED"))
        tasks = [asyncio.create_task(submissions.submit(document)) for document in documents]
        for _ in range(turns):
            await asyncio.sleep(0)
        tasks[chosen].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)

        assert isinstance(outcomes.pop(chosen), asyncio.CancelledError)
        for outcome in outcomes:
            assert isinstance(outcome, Submission)
            assert await submissions.get(outcome.id) == outcome
        # Whatever became of it, its caller can ask again.
        await submissions.submit(documents[chosen])
        assert len(await submissions.list_page()) == 6


async def test_block_that_ends_waits_for_what_was_begun(sqlite_url: str) -> None:
    async with Submissions(sqlite_url) as submissions:
        tasks = [asyncio.create_task(submissions.submit(sample_invoice(NIP, f"FV/{n}"))) for n in range(5)]
        for _ in range(8):
            await asyncio.sleep(0)
    assert not any(task.done() and task.exception() for task in tasks)

    async with Submissions(sqlite_url) as submissions:
        assert len(await submissions.list_page()) == 5
    await asyncio.gather(*tasks)


@pytest.mark.parametrize("driver", ["sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg"])
async def test_what_the_database_cannot_store_fails_alone(
    driver: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    # A rule that the database's owner has added.
    if driver.startswith("sqlite"):
        url = f"{driver}:///{tmp_path / 'journal.db'}"
        rule = (
            "CREATE TRIGGER no_sevens BEFORE INSERT ON ksef_submissions WHEN NEW.priority = 7 "
            "BEGIN SELECT RAISE(ABORT, 'no sevens'); END"
        )
    else:
        database = request.getfixturevalue("postgres_database")
        url = database.set(drivername=driver).render_as_string(hide_password=False)
        rule = "ALTER TABLE ksef_submissions ADD CONSTRAINT no_sevens CHECK (priority <> 7)"
    async with Submissions(url) as submissions:
        async with submissions.begin() as connection:
            await connection.exec_driver_sql(rule)
        every: list[dict[str, Any]] = [{}, {}, {"priority": 7}, {}]
        calls = [submissions.submit(sample_invoice(NIP, f"FV/{n}"), **each) for n, each in enumerate(every)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert [isinstance(outcome, Submission) for outcome in outcomes] == [True, True, False, True]
        assert isinstance(outcomes[2], IntegrityError)
        assert len(await submissions.list_page()) == 3


async def test_missing_submissions_are_missed_by_those_who_asked_for_them(submissions: Submissions) -> None:
    first = await submissions.submit(sample_invoice(NIP, "FV/1"), key="one")
    asked: list[dict[str, Any]] = [
        {"submission_id": first.id},
        {"submission_id": 99},
        {"submission_id": 2**70},
        {"submission_id": -1},
        {"key": "one"},
        {"key": "two"},
    ]
    outcomes = await asyncio.gather(*(submissions.get(**each) for each in asked), return_exceptions=True)

    assert outcomes[0] == outcomes[4] == first
    assert all(isinstance(outcomes[place], UnknownSubmissionError) for place in (1, 2, 3, 5))


# --- failures of the database -------------------------------------------------------------------------------------


async def test_database_that_cannot_be_reached_fails_every_caller(tmp_path: Path) -> None:
    folder = tmp_path / "journals"
    folder.mkdir()
    async with Submissions(f"sqlite+aiosqlite:///{folder / 'journal.db'}") as submissions:
        first = await submissions.submit(sample_invoice(NIP, "FV/0"))
        async with submissions.begin() as connection:
            engine = connection.engine
        await engine.dispose()
        shutil.move(folder, tmp_path / "elsewhere")

        writing = [submissions.submit(sample_invoice(NIP, f"FV/{number}")) for number in range(1, 5)]
        outcomes = await asyncio.gather(
            *writing, *(submissions.get(first.id) for _ in range(3)), return_exceptions=True
        )
        assert all(isinstance(outcome, JournalError) for outcome in outcomes), outcomes

        shutil.move(tmp_path / "elsewhere", folder)
        assert (await submissions.submit(sample_invoice(NIP, "FV/1"))).id == first.id + 1


async def test_statement_that_fails_fails_every_caller(journal_url: str) -> None:
    async with Submissions(journal_url) as submissions:
        async with submissions.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE ksef_submissions RENAME TO away")
        calls = [submissions.submit(sample_invoice(NIP, f"FV/{number}")) for number in range(4)]
        outcomes = await asyncio.gather(*calls, *(submissions.get(number) for number in (1, 2)), return_exceptions=True)
        assert all(isinstance(outcome, JournalError) for outcome in outcomes), outcomes

        async with submissions.begin() as connection:
            await connection.exec_driver_sql("ALTER TABLE away RENAME TO ksef_submissions")
        assert await submissions.list_page() == ()


# --- groups themselves --------------------------------------------------------------------------------------------


class Answers:
    """Doubles numbers, in transactions that can be held up, or refused."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began = 0
        self.is_closed = False
        self.go_on = asyncio.Event()
        self.go_on.set()

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[Any]:
        self.began += 1
        if self.is_closed:
            raise OSError("closed")
        yield None

    async def answer(self, _: AsyncConnection, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.groups.append([*numbers])
        await self.go_on.wait()
        if 13 in numbers:
            raise ArithmeticError("13")
        return [2 * number if number else LookupError("zero") for number in numbers]


async def test_nobody_joins_a_transaction_that_has_begun() -> None:
    answers = Answers()
    grouped = Grouped(answers.begin, answers.answer)
    answers.go_on.clear()
    first = asyncio.create_task(grouped.ask(1))
    while not answers.groups:
        await asyncio.sleep(0)
    later = [asyncio.create_task(grouped.ask(number)) for number in (2, 0, 3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert answers.groups == [[1]]

    answers.go_on.set()
    assert await first == 2
    assert [str(outcome) for outcome in await asyncio.gather(*later, return_exceptions=True)] == ["4", "zero", "6"]
    assert answers.groups == [[1], [2, 0, 3]]
    await grouped.aclose()


async def test_those_who_are_about_to_ask_are_waited_for() -> None:
    answers = Answers()
    grouped = Grouped(answers.begin, answers.answer)

    async def ask(number: int) -> int:
        for _ in range(2 * number):  # as requests come in: some turns of the loop apart
            await asyncio.sleep(0)
        return await grouped.ask(number)

    assert await asyncio.gather(*(ask(number) for number in (1, 2, 3))) == [2, 4, 6]
    assert answers.groups == [[1, 2, 3]]


async def test_error_of_one_is_found_by_asking_one_by_one() -> None:
    answers = Answers()
    grouped = Grouped(answers.begin, answers.answer)

    outcomes = await asyncio.gather(*(grouped.ask(number) for number in (1, 13, 2)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [int, ArithmeticError, int]
    assert answers.groups == [[1, 13, 2], [1], [13], [2]]


async def test_database_that_goes_away_is_not_asked_once_for_each() -> None:
    answers = Answers()
    grouped = Grouped(answers.begin, answers.answer)
    answers.go_on.clear()
    asking = [asyncio.create_task(grouped.ask(number)) for number in (13, 1, 2, 3)]
    while not answers.groups:
        await asyncio.sleep(0)
    answers.is_closed = True
    answers.go_on.set()

    outcomes = await asyncio.gather(*asking, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [OSError] * 4
    assert answers.began == 2


async def test_groups_are_no_larger_and_no_heavier_than_they_should() -> None:
    answers = Answers()
    grouped = Grouped(answers.begin, answers.answer, weigh=lambda number: 3_000_000 if number >= 1000 else 1)

    numbers = [*range(1, 13), *range(14, 400), 1000, 1, 1001, 1002]
    assert await asyncio.gather(*map(grouped.ask, numbers)) == [2 * number for number in numbers]

    assert [len(group) for group in answers.groups] == [256, 144, 1, 1]
    assert answers.groups[1][-2:] == [1000, 1]


async def test_those_who_have_asked_are_let_by() -> None:
    answers = Answers()
    grouped = Grouped(answers.begin, answers.answer)
    await grouped.wait_idle(math.inf)  # Nobody has asked.
    answers.go_on.clear()
    asking = asyncio.create_task(grouped.ask(1))
    while not answers.groups:
        await asyncio.sleep(0)

    await grouped.wait_idle(0.01)
    assert not asking.done()
    letting_by = asyncio.create_task(grouped.wait_idle(60))
    await asyncio.sleep(0)
    answers.go_on.set()
    await letting_by

    assert await asking == 2


async def test_loop_that_ends_leaves_nobody_waiting() -> None:
    answers = Answers()
    grouped = Grouped(answers.begin, answers.answer)
    answers.go_on.clear()
    before = asyncio.all_tasks()
    asking = [asyncio.create_task(grouped.ask(number)) for number in (1, 2)]
    while not answers.groups:
        await asyncio.sleep(0)
    asking.append(asyncio.create_task(grouped.ask(3)))
    await asyncio.sleep(0)
    (working,) = asyncio.all_tasks() - before - {*asking}
    working.cancel()

    assert [type(each) for each in await asyncio.gather(*asking, return_exceptions=True)] == [
        asyncio.CancelledError
    ] * 3
