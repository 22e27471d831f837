"""What ``ksef-async status`` and ``ksef-async upo`` find in the journal, and how they print it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from shell import Shell

from ksef_async.cli import lookup
from ksef_async.sandbox import Fault, Sandbox


async def test_journal_is_gone_through_page_by_page(
    sandbox: Sandbox, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.invoices(sandbox.nip, 5)
    await shell.run("send", shell.folder)
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450), times=5)
    refused = shell.invoices(sandbox.nip, 5, start=6)
    await shell.run("send", *refused)
    monkeypatch.setattr(lookup, "PAGE", 2)

    status = await shell.run("status", "--json")
    upo = await shell.run("upo", "--json", "--folder", "upo")
    names = [*(f"FV/{number}" for number in range(1, 6)), *refused]
    named = await shell.run("status", *names, "--json")

    assert (status.code, status.states) == (3, {"rejected": 5})
    assert [invoice["number"] for invoice in status.json["invoices"]] == [f"FV/{number}" for number in range(6, 11)]
    assert [invoice["number"] for invoice in upo.json["invoices"]] == [f"FV/{number}" for number in range(1, 6)]
    assert len([*(shell.folder / "upo").iterdir()]) == 5
    assert [invoice["number"] for invoice in named.json["invoices"]] == [f"FV/{number}" for number in range(1, 11)]


async def test_people_are_shown_the_first_and_told_of_the_rest(
    sandbox: Sandbox, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.invoices(sandbox.nip, 4)
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450), times=4)
    await shell.run("send", shell.folder)
    monkeypatch.setattr("ksef_async.cli.status.MOST_SHOWN", 3)

    result = await shell.run("status")

    assert result.code == 3
    assert ("FV/3" in result.out, "FV/4" in result.out) == (True, False)
    assert "(1 more are not shown)" in result.out


async def test_nothing_found_is_an_empty_list(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    await shell.run("send", shell.folder)

    result = await shell.run("status", "--json")

    assert (result.code, result.json["counts"], result.json["invoices"]) == (0, {"accepted": 1}, [])


async def test_one_number_of_two_invoices_names_both(sandbox: Sandbox, shell: Shell) -> None:
    (first,) = shell.invoices(sandbox.nip, 1)
    correction = shell.folder / "correction.xml"
    text = first.read_text()
    correction.write_text(text.replace("<RodzajFaktury>VAT<", "<RodzajFaktury>KOR<"))
    assert correction.read_text() != text
    await shell.run("send", first, correction)

    result = await shell.run("upo", "FV/1", "--json", "--folder", "upo")

    assert [invoice["kind"] for invoice in result.json["invoices"]] == ["VAT", "KOR"]
    assert all(Path(invoice["upo"]).exists() for invoice in result.json["invoices"])


async def test_failure_on_the_way_is_told_in_the_same_object(sandbox: Sandbox, shell: Shell) -> None:
    first, second = shell.invoices(sandbox.nip, 2)
    await shell.run("send", first)
    key = Fernet.generate_key().decode()
    shell.set(KSEF_JOURNAL_KEY=key)
    await shell.run("send", second)
    shell.set(KSEF_JOURNAL_KEY=Fernet.generate_key().decode())

    both = await shell.run("upo", "--json", "--folder", "upo")
    at_once = await shell.run("upo", second, "--json", "--folder", "upo")

    assert (both.code, [invoice["number"] for invoice in both.json["invoices"]]) == (2, ["FV/1"])
    assert both.json["error"]["type"] == "UsageError"
    assert (at_once.code, [*at_once.json]) == (2, ["error"])
    assert "KSEF_JOURNAL_KEY" in both.err
    assert key not in both.out + both.err
