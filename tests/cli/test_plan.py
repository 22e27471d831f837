"""``ksef-async plan``: how, and how long."""

from __future__ import annotations

import attrs
import pytest
from clients import connected
from shell import Shell

from ksef_async.api.rates import PRODUCTION_LIMITS, RateLimit
from ksef_async.sandbox import Sandbox


@pytest.fixture
def offline(shell: Shell) -> Shell:
    """A shell without credentials."""
    shell.set(KSEF_ENV=None, KSEF_NIP=None, KSEF_TOKEN=None)
    return shell


async def test_few_invoices_go_online_and_many_in_batches(offline: Shell) -> None:
    few, many = [(await offline.run("plan", "--count", count, "--json")).json for count in (10, 30_000)]

    assert (few["route"], few["batches"]) == ("online", 0)
    assert (many["route"], many["batches"]) == ("batch", 3)
    assert many["seconds"] < many["seconds_online"]


async def test_what_cannot_be_in_time_is_told(offline: Shell) -> None:
    result = await offline.run("plan", "--count", 100_000, "--within", 1)

    assert result.code == 4
    assert "No way meets the time given." in result.out


async def test_files_are_measured(sandbox: Sandbox, offline: Shell) -> None:
    files = offline.invoices(sandbox.nip, 3)

    result = await offline.run("plan", offline.folder, "--json")

    assert (result.code, result.json["invoices"]) == (0, 3)
    assert result.json["bytes"] == sum(file.stat().st_size for file in files)


async def test_limits_are_asked_of_ksef_where_somebody_can_log_in(sandbox: Sandbox, shell: Shell) -> None:
    async with connected(sandbox) as client:
        # What `plan` goes by: ten times as many invoices an hour, and a tenth of them in a batch.
        await client.limits.override_rates(attrs.evolve(PRODUCTION_LIMITS, invoice_send=RateLimit(100, 300, 1800)))
        granted = await client.limits.get_context()
        smaller = attrs.evolve(granted, batch_session=attrs.evolve(granted.batch_session, max_invoices=1_000))
        await client.limits.override_context(smaller)

    asked = await shell.run("plan", "--count", 10_000, "--json")
    told = await shell.run("plan", "--count", 10_000)
    not_asked = await shell.run("plan", "--count", 10_000, "--json", "--offline")
    told_not_asked = await shell.run("plan", "--count", 10_000, "--offline")

    assert [result.code for result in (asked, told, not_asked, told_not_asked)] == [0, 0, 0, 0]
    assert (asked.json["limits"], not_asked.json["limits"]) == (sandbox.nip, "production")
    assert (asked.json["batches"], not_asked.json["batches"]) == (10, 1)
    assert asked.json["seconds_online"] * 9 < not_asked.json["seconds_online"]
    assert f"By what KSeF grants {sandbox.nip}." in told.out
    assert "By what production grants; KSeF was not asked." in told_not_asked.out


async def test_without_credentials_nobody_is_asked(sandbox: Sandbox, shell: Shell) -> None:
    shell.set(KSEF_TOKEN=None)

    result = await shell.run("plan", "--count", 10, "--json")

    assert (result.code, result.json["limits"]) == (0, "production")
    assert not sandbox.world.challenges


async def test_credentials_that_cannot_be_used_are_no_reason_to_guess(shell: Shell) -> None:
    shell.set(KSEF_NIP=None)

    result = await shell.run("plan", "--count", 10)

    assert result.code == 2
    assert result.err.startswith("KSEF_NIP is not set")


@pytest.mark.parametrize("arguments", [[], [".", "--count", "3"], ["."]], ids=["nothing", "both", "no file"])
async def test_nothing_to_plan_is_refused(shell: Shell, arguments: list[str]) -> None:
    assert (await shell.run("plan", *arguments)).code == 2
