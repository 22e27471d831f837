"""``ksef-async export``: what others have sent, into a folder, each once."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from clients import connected
from receiving import BUYER, feed, feed_samples, settle
from shell import Shell

from ksef_async import FormCode
from ksef_async.sandbox import Fault, Sandbox, sample_invoice


@pytest.fixture
def buyer(sandbox: Sandbox, shell: Shell) -> Shell:
    """A shell of the company that the samples are for."""
    shell.set(KSEF_NIP=BUYER, KSEF_TOKEN=sandbox.issue_token(BUYER))
    return shell


def start_of(sandbox: Sandbox) -> str:
    return sandbox.clock.now().isoformat()


def numbers_in(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.xml"))


async def test_new_invoices_are_saved_each_once(sandbox: Sandbox, shell: Shell) -> None:
    folder = shell.folder / "in"
    saved = []
    async with connected(sandbox) as client:
        for number in (1, 2):
            invoice = sample_invoice(sandbox.nip, f"FV/{number}")
            async with await client.sessions.open_online(FormCode.FA3) as session:
                accepted = await (await session.send(invoice)).outcome()
            sandbox.clock.advance(3600)

            result = await shell.run("export", folder, "--since", "2026-01-01", "--part", "seller", "--json")

            assert (result.code, result.json["folder"]) == (0, str(folder))
            assert result.json["saved"] == [accepted.ksef_number]
            assert (folder / f"{accepted.ksef_number}.xml").read_bytes() == invoice
            saved.append(accepted.ksef_number)
    assert numbers_in(folder) == sorted(saved)


async def test_several_packages_are_fetched_one_after_another(sandbox: Sandbox, buyer: Shell) -> None:
    since = start_of(sandbox)
    fed = feed_samples(sandbox, 10)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 3

    result = await buyer.run("export", "in", "--since", since, "--json")

    assert (result.code, result.json["saved"]) == (0, fed)
    assert len(sandbox.world.exports.by_reference) >= 4
    assert numbers_in(buyer.folder / "in") == sorted(fed)


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=-5))], ids=["without a zone", "with a zone"])
async def test_what_was_stored_before_is_left_out(sandbox: Sandbox, buyer: Shell, zone: timezone | None) -> None:
    feed_samples(sandbox, 2)
    sandbox.clock.advance(3600)
    moment: datetime = sandbox.clock.now()
    later = feed_samples(sandbox, 2, start=2)
    settle(sandbox)
    # Where no zone is given it is that of KSeF's own times, UTC.
    since = moment.astimezone(zone) if zone else moment.replace(tzinfo=None)

    result = await buyer.run("export", "in", "--since", since.isoformat(), "--json")

    assert (result.code, result.json["saved"]) == (0, later)


async def test_nothing_new_is_no_failure(sandbox: Sandbox, buyer: Shell) -> None:
    since = start_of(sandbox)
    settle(sandbox)

    for_programs = await buyer.run("export", "in", "--since", since, "--json")
    for_people = await buyer.run("export", "in", "--since", since)

    assert (for_programs.code, for_programs.json["saved"]) == (0, [])
    assert (for_people.code, for_people.out.splitlines()[0]) == (0, "0 new invoices saved in in.")


async def test_time_until_which_the_list_is_complete_is_told(sandbox: Sandbox, buyer: Shell) -> None:
    # An invoice that KSeF has accepted, above its high-water mark: whoever looks now has to know why it is not there.
    since = start_of(sandbox)
    object.__setattr__(sandbox.world.timings, "hwm_lag", 300.0)
    sandbox.clock.advance(600)
    mark = sandbox.world.queries.hwm(sandbox.clock.now())
    feed_samples(sandbox, 1)
    too_late = start_of(sandbox)

    for_programs = await buyer.run("export", "in", "--since", since, "--json")
    for_people = await buyer.run("export", "in", "--since", since)
    beyond = await buyer.run("export", "other", "--since", too_late)
    beyond_for_programs = await buyer.run("export", "other", "--since", too_late, "--json")

    told = datetime.fromisoformat(for_programs.json["completeUntil"])
    assert for_programs.json["saved"] == []
    # Our clock is set by KSeF's answers, which tell whole seconds.
    assert mark - timedelta(seconds=1) < told <= sandbox.world.queries.hwm(sandbox.clock.now())
    assert re.fullmatch(
        r"0 new invoices saved in in\.\n"
        rf"KSeF's list is complete until {told:%Y-%m-%d} \d\d:\d\d:\d\d UTC; "
        r"what it stores later comes with the next run\.\n",
        for_people.out,
    )
    assert "KSeF's list has not reached that time yet" in beyond.out
    assert beyond_for_programs.json == {"folder": "other", "saved": [], "completeUntil": None}


async def test_each_part_is_exported_for_itself(sandbox: Sandbox, buyer: Shell) -> None:
    since = start_of(sandbox)
    bought = feed_samples(sandbox, 2)
    sold = feed(sandbox, [sample_invoice(BUYER, "S/1", buyer_nip=sandbox.nip)], nip=BUYER)
    settle(sandbox)

    saved = {
        part: (await buyer.run("export", "in", "--since", since, "--part", part, "--json")).json["saved"]
        for part in ("buyer", "seller", "third", "authorized")
    }

    assert saved == {"buyer": bought, "seller": sold, "third": [], "authorized": []}


async def test_companies_that_share_a_folder_do_not_hide_each_other_s_invoices(sandbox: Sandbox, buyer: Shell) -> None:
    other = "3568707925"
    since = start_of(sandbox)
    for_other = feed_samples(sandbox, 1, start=5, buyer=other)
    mine = feed_samples(sandbox, 1)
    settle(sandbox)
    first = await buyer.run("export", "in", "--since", since, "--json")
    buyer.set(KSEF_NIP=other, KSEF_TOKEN=sandbox.issue_token(other))

    second = await buyer.run("export", "in", "--since", since, "--json")

    assert (first.json["saved"], second.json["saved"]) == (mine, for_other)


async def test_interrupted_export_goes_on(sandbox: Sandbox, buyer: Shell) -> None:
    since = start_of(sandbox)
    fed = feed_samples(sandbox, 20)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 3
    sandbox.faults.add("export_invoices", Fault.wait(0.3), probability=0.999999)
    folder = buyer.folder / "in"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", "export", "in", "--since", since),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        # The background jobs of a shell ignore Ctrl-C, and so would whatever a test run in one starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while process.returncode is None and len(numbers_in(folder)) < 5:
            await asyncio.sleep(0.005)
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
    before = numbers_in(folder)
    sandbox.faults.clear()

    result = await buyer.run("export", "in", "--since", since, "--json")

    assert (process.returncode, "Traceback" in err.decode()) == (130, False)
    assert 5 <= len(before) < 20
    assert result.code == 0
    # All that was noted is not fetched again: of what was written, at most the last document is not.
    assert result.json["saved"] in (fed[len(before) :], fed[len(before) - 1 :])
    assert numbers_in(folder) == sorted(fed)
    assert all((folder / f"{number}.xml").read_bytes().startswith(b"<?xml") for number in fed)


async def test_export_that_was_killed_goes_on_and_misses_nothing(sandbox: Sandbox, buyer: Shell) -> None:
    since = start_of(sandbox)
    fed = feed_samples(sandbox, 20)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 3
    sandbox.faults.add("export_invoices", Fault.wait(0.3), probability=0.999999)
    folder = buyer.folder / "in"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", "export", "in", "--since", since),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        while process.returncode is None and len(numbers_in(folder)) < 8:
            await asyncio.sleep(0.005)
    finally:
        process.kill()
    await process.wait()
    before = len(numbers_in(folder))
    sandbox.faults.clear()

    result = await buyer.run("export", "in", "--since", since, "--json")

    assert 8 <= before < 20
    # What was noted is not fetched again; what was not, is.
    assert result.json["saved"] == fed[20 - len(result.json["saved"]) :]
    assert 20 - before <= len(result.json["saved"]) < 20
    assert numbers_in(folder) == sorted(fed)


async def test_failure_on_the_way_is_told_beside_what_was_saved(sandbox: Sandbox, buyer: Shell) -> None:
    since = start_of(sandbox)
    fed = feed_samples(sandbox, 4)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 2
    sandbox.faults.add("export_invoices", Fault.wait(0))
    # Not a damaged package: that is ordered anew, after a pause.
    sandbox.faults.add("export_invoices", Fault.refuse(21181))

    failed = await buyer.run("export", "in", "--since", since, "--json")
    sandbox.faults.clear()
    again = await buyer.run("export", "in", "--since", since, "--json")

    assert (failed.code, failed.json["saved"], failed.json["error"]["type"]) == (1, fed[:2], "BadRequestError")
    assert (again.code, again.json["saved"]) == (0, fed[2:])


async def test_wrong_part_is_refused(buyer: Shell) -> None:
    result = await buyer.run("export", "in", "--since", "2026-01-01", "--part", "witness")

    assert result.code == 2
    assert not (buyer.folder / "in").exists()


async def test_invoices_that_are_listed_late_are_found_by_looking_back(sandbox: Sandbox, buyer: Shell) -> None:
    since = start_of(sandbox)
    first = feed_samples(sandbox, 1)
    object.__setattr__(sandbox.world.timings, "index_lag", 300.0)
    late = feed_samples(sandbox, 1, start=1)
    settle(sandbox)
    command = ("export", "in", "--since", since, "--overlap", "0.5", "--json")

    before = await buyer.run(*command)
    sandbox.clock.advance(5 * 60)
    after = await buyer.run(*command)

    assert (before.json["saved"], after.json["saved"]) == (first, late)


@pytest.mark.parametrize("overlap", ["-1", "2161", "nan"])
async def test_overlap_out_of_its_bounds_is_refused(buyer: Shell, overlap: str) -> None:
    result = await buyer.run("export", "in", "--since", "2026-01-01", "--overlap", overlap)

    assert result.code == 2
