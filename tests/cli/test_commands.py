"""The commands of ``ksef-async``, run as a program runs them, against a sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import anyio
import pytest
from shell import Shell, variables

from ksef_async import KsefClient, KsefToken
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

pytest.importorskip("sqlalchemy", reason="the extra durable is not installed")


async def test_folder_is_sent_and_every_upo_kept(sandbox: Sandbox, shell: Shell) -> None:
    files = shell.invoices(sandbox.nip, 3)

    result = await shell.run("send", shell.folder, "--json", "--upo", shell.folder / "upo")

    assert (result.code, result.states) == (0, {"accepted": 3})
    assert [invoice["file"] for invoice in result.json["invoices"]] == [str(file) for file in files]
    assert sorted(one.verdict.ksef_number or "" for one in sandbox.world.invoices()) == sorted(
        invoice["ksef_number"] for invoice in result.json["invoices"]
    )
    for invoice in result.json["invoices"]:
        upo = ET.parse(invoice["upo"])
        assert invoice["ksef_number"] in [number.text for number in upo.iterfind("{*}Dokument/{*}NumerKSeFDokumentu")]


async def test_sending_again_sends_nothing(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 2)
    await shell.run("send", shell.folder)
    shell.invoices(sandbox.nip, 1, start=3)

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.states) == (0, {"accepted": 3})
    assert len([*sandbox.world.invoices()]) == 3


async def test_people_read_a_table(sandbox: Sandbox, shell: Shell) -> None:
    (file,) = shell.invoices(sandbox.nip, 1)

    result = await shell.run("send", file)

    assert result.code == 0
    (invoice,) = sandbox.world.invoices()
    assert invoice.verdict.ksef_number is not None
    assert invoice.verdict.ksef_number in result.out
    assert "1 accepted. Journal: ksef-127-0-0-1" in result.out
    assert "With UPO" in result.err


async def test_what_is_not_taken_is_told_with_its_reason(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    (shell.folder / "broken.xml").write_bytes(b"no invoice")
    (shell.folder / "foreign.xml").write_bytes(sample_invoice("5265877635", "FV/8"))
    # Sold to the company, so that only KSeF knows that it must not issue it.
    (shell.folder / "stranger.xml").write_bytes(sample_invoice("5265877635", "FV/9", buyer_nip=sandbox.nip))

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.states) == (3, {"accepted": 1, "refused": 2, "rejected": 1})
    by_file = {Path(invoice["file"]).name: invoice for invoice in result.json["invoices"]}
    assert by_file["broken.xml"]["reason"]["text"]
    assert "none of the parties" in by_file["foreign.xml"]["reason"]["text"]
    assert by_file["stranger.xml"]["reason"]["code"] == 410


async def test_rejected_invoice_is_sent_again_when_told_to(sandbox: Sandbox, shell: Shell) -> None:
    (file,) = shell.invoices(sandbox.nip, 1)
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    first = await shell.run("send", file, "--json")
    again = await shell.run("send", file, "--json")

    retried = await shell.run("send", file, "--json", "--retry")

    assert [one.code for one in (first, again, retried)] == [3, 3, 0]
    assert len([*sandbox.world.invoices()]) == 2


async def test_time_is_up(sandbox: Sandbox, shell: Shell) -> None:
    (file,) = shell.invoices(sandbox.nip, 1)
    sandbox.faults.add("send_invoice", Fault.stuck())

    result = await shell.run("send", file, "--json", "--timeout", "4")

    assert (result.code, result.states) == (4, {"taken_in": 1})


@pytest.mark.parametrize("arguments", [(), ("--offline", "offline24")], ids=["online", "offline"])
async def test_ksef_that_is_away_finds_the_invoices_in_the_journal(
    sandbox: Sandbox, shell: Shell, arguments: tuple[str, ...]
) -> None:
    shell.invoices(sandbox.nip, 2)
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        # The journal's name has the environment in it.
        shell.set(KSEF_ENV=f"http://127.0.0.1:{taken.getsockname()[1]}/v2", KSEF_JOURNAL="ksef.db")
        began = time.monotonic()
        away = await shell.run("send", ".", "--json", "--timeout", "1", *arguments)
        took = time.monotonic() - began
    shell.set(KSEF_ENV=sandbox.environment.base_url)
    back = await shell.run("send", ".", "--json", *arguments)

    assert (away.code, away.states) == (4, {"queued": 2})
    assert took < 12, "a login alone would take 15 s and more"
    assert "wait for KSeF. (ConnectError" in away.err
    assert (back.code, back.states) == (0, {"accepted": 2})


async def test_queued_invoices_are_named_when_the_time_is_up(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 2)
    sandbox.faults.add(None, Fault.html(503), times=10**9)

    result = await shell.run("send", ".", "--timeout", "0.5")

    assert result.code == 4
    assert [line.split() for line in result.out.splitlines()[1:3]] == [
        ["invoice-001.xml", "queued"],
        ["invoice-002.xml", "queued"],
    ]


async def test_login_is_tried_until_ksef_is_back(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    # More than one login tries by itself.
    sandbox.faults.add("get_challenge", Fault.html(503), times=7)

    result = await shell.run("send", ".", "--json")

    assert (result.code, result.states) == (0, {"accepted": 1})
    assert "wait for KSeF. (ServerError" in result.err


async def test_ksef_that_dies_meanwhile_is_no_failure_of_the_command(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    for operation in ("open_online_session", "revoke_current_login"):
        sandbox.faults.add(operation, Fault.html(503), times=10**9)

    result = await shell.run("send", ".", "--json", "--timeout", "1")

    assert (result.code, result.states) == (4, {"queued": 1})
    assert "The login could not be ended" in result.err


async def test_refused_login_leaves_the_invoices_in_the_journal(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_TOKEN="wrong")

    refused = await shell.run("send", ".", "--json")
    shell.set(KSEF_TOKEN=sandbox.token)
    taken = await shell.run("send", ".", "--json")

    assert (refused.code, refused.json["error"]["type"]) == (2, "LoginFailedError")
    assert (taken.code, taken.states) == (0, {"accepted": 1})


async def test_status_and_upo_need_no_login(sandbox: Sandbox, shell: Shell) -> None:
    first, second = shell.invoices(sandbox.nip, 2)
    await shell.run("send", first)
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    await shell.run("send", second)
    shell.set(KSEF_TOKEN=None)

    every = await shell.run("status", "--json")
    one = await shell.run("status", "FV/1", "--json")
    number = one.json["invoices"][0]["ksef_number"]
    upo = await shell.run("upo", first, "--json", "--folder", shell.folder / "receipts")
    all_there_are = await shell.run("upo", "--json", "--folder", shell.folder / "all")
    none = await shell.run("upo", second, number)
    unknown = await shell.run("status", "FV/3")

    assert (every.code, every.json["counts"]) == (3, {"accepted": 1, "rejected": 1})
    assert [invoice["number"] for invoice in every.json["invoices"]] == ["FV/2"]
    assert (one.code, one.json["invoices"][0]["sha256"]) == (0, hashlib.sha256(first.read_bytes()).hexdigest())
    (receipt,) = upo.json["invoices"]
    assert (upo.code, receipt["number"]) == (0, "FV/1")
    assert number.encode() in Path(receipt["upo"]).read_bytes()
    assert [Path(invoice["upo"]).name for invoice in all_there_are.json["invoices"]] == [f"{number}.upo.xml"]
    assert (none.code, "FV/2 has no UPO" in none.out) == (4, True)
    assert (unknown.code, unknown.err) == (2, "FV/3 is not in the journal.\n")


async def test_second_journal_of_a_company_within_the_hour_is_told(
    sandbox: Sandbox, shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    (file,) = shell.invoices(sandbox.nip, 1)

    runs = [await shell.run("send", file, "--json", "--journal", name) for name in ("a.db", "a.db", "b.db", "b.db")]
    (note,) = (state / "ksef_async" / "journals").iterdir()
    os.utime(note, (time.time() - 3700,) * 2)
    later = await shell.run("send", file, "--json", "--journal", "a.db")

    assert [run.code for run in (*runs, later)] == [0] * 5
    told = f"{(shell.folder / 'a.db').resolve()} has delivered for {sandbox.nip} within the last hour."
    assert [told in run.err for run in runs] == [False, False, True, False]
    assert "within the last hour" not in later.err


async def test_home_that_cannot_be_written_costs_no_command(
    sandbox: Sandbox, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = shell.invoices(sandbox.nip, 1)
    monkeypatch.setenv("XDG_STATE_HOME", str(file))  # no folder

    result = await shell.run("send", file)

    assert result.code == 0


async def test_second_program_on_a_journal_is_told_to_wait(sandbox: Sandbox, shell: Shell) -> None:
    from ksef_async.submissions import Submissions

    (file,) = shell.invoices(sandbox.nip, 1)
    token = KsefToken(nip=sandbox.nip, token=sandbox.token)
    async with (
        KsefClient(sandbox.environment, token) as client,
        Submissions(f"sqlite:///{shell.folder / 'own.db'}", client=client) as submissions,
        submissions.running(),
    ):
        busy = await shell.run("send", file, "--journal", "own.db")
        with anyio.fail_after(20):
            await submissions.wait_until_settled()
        (delivered,) = await submissions.list_page()

    assert (busy.code, busy.err.splitlines()[-1].startswith("Another program delivers from the journal own.db")) == (
        1,
        True,
    )
    assert "KsefService" not in busy.err
    assert delivered.state == "accepted"


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+aiosqlite"])
async def test_journal_of_a_service_in_a_file_is_one_of_the_commands(
    sandbox: Sandbox, shell: Shell, scheme: str
) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_JOURNAL=f"{scheme}:///{shell.folder / 'own.db'}")

    result = await shell.run("send", ".", "--json")

    assert (result.code, result.json["journal"]) == (0, str(shell.folder / "own.db"))


async def test_nothing_to_send_asks_nothing_of_ksef_and_shows_no_bar(sandbox: Sandbox, shell: Shell) -> None:
    (shell.folder / "bad.xml").write_bytes(b"no invoice")

    result = await shell.run("send", "bad.xml")

    assert (result.code, result.err.strip()) == (3, "")
    assert not sandbox.world.challenges


async def test_connection_that_fails_leads_to_the_doctor(sandbox: Sandbox, shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        shell.set(KSEF_ENV=f"http://127.0.0.1:{taken.getsockname()[1]}/v2")

        result = await shell.run("latarnia")

    assert (result.code, "`ksef-async doctor`" in result.err) == (1, True), result.err


async def test_port_of_the_sandbox_that_is_in_use_is_a_wrong_argument(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = await shell.run("sandbox", "--port", port)

    assert (result.code, result.err) == (
        2,
        f"Port {port} of 127.0.0.1 is in use: name another one, or leave --port out.\n",
    )


async def test_journal_is_private(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)

    await shell.run("send", shell.folder, "--journal", shell.folder / "own.db")

    for file in {*shell.folder.glob("own.db*")} - {shell.folder / "own.db.lock"}:  # the lock holds a process id only
        assert file.stat().st_mode & 0o077 == 0, file


async def test_credentials_come_from_a_private_file(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    file = shell.folder / "ksef.env"
    file.write_text("# the sandbox\n" + "".join(f"{name}={value}\n" for name, value in variables(sandbox).items()))
    shell.set(KSEF_ENV=None, KSEF_NIP=None, KSEF_TOKEN=None)
    file.chmod(0o640)

    refused = await shell.run("send", shell.folder, "--credentials", file)
    file.chmod(0o600)
    accepted = await shell.run("send", shell.folder, "--credentials", file)

    assert (refused.code, refused.err) == (2, f"{file} can be read by others: chmod 600 {file}\n")
    assert accepted.code == 0
    assert sandbox.token not in accepted.out + accepted.err + refused.err


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("KSEF_ENV", "KSEF_ENV"),
        ("KSEF_NIP", "KSEF_NIP"),
        ("KSEF_TOKEN", "KSEF_CERTIFICATE_FILE or KSEF_PKCS12_FILE or KSEF_TOKEN"),
    ],
)
async def test_what_is_missing_is_named(sandbox: Sandbox, shell: Shell, missing: str, named: str) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(**{missing: None})

    result = await shell.run("send", shell.folder)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"{named} is not set")


async def test_address_of_a_journal_is_refused_and_not_repeated(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_JOURNAL="postgresql+asyncpg://user:PASSWORD@127.0.0.1/journal")

    sent, looked = await shell.run("send", shell.folder), await shell.run("doctor", "--json")

    assert (sent.code, looked.code) == (2, 2)
    assert "keep their journal in a file" in sent.err
    assert "PASSWORD" not in sent.out + sent.err + looked.out + looked.err


async def test_wrong_token_sends_nothing_and_is_not_repeated(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    shell.set(KSEF_TOKEN="SECRET")

    result = await shell.run("send", shell.folder, "--json")

    assert (result.code, result.json["error"]["type"]) == (2, "LoginFailedError")
    assert "SECRET" not in result.out + result.err
    assert not (shell.folder / "ksef-test.db").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(["fly"], "invalid choice", id="unknown command"),
        pytest.param(["send"], "There are no files to send", id="no file"),
        pytest.param(["send", "nowhere.xml"], "There is no file nowhere.xml", id="no such file"),
        pytest.param(["send", ".", "--timeout", "soon"], "--timeout", id="no number"),
        pytest.param(["send", ".", "--token", "SECRET"], "--token", id="a token as an argument"),
        pytest.param(["status"], "There is no journal", id="no journal"),
        pytest.param(["send", ".", "--credentials", "none"], "cannot be read", id="no such credentials"),
        pytest.param(["sandbox", "--nip", "123"], "is not a NIP", id="NIP"),
        pytest.param(["sandbox", "--port", "65536"], "--port", id="port"),
    ],
)
async def test_wrong_arguments_are_refused(shell: Shell, arguments: list[str], error: str) -> None:
    result = await shell.run(*arguments)

    assert result.code == 2
    assert error in result.err + result.out


async def test_files_stand_before_and_after_options(sandbox: Sandbox, shell: Shell) -> None:
    first, second = shell.invoices(sandbox.nip, 2)

    result = await shell.run("send", first, "--json", second)

    assert (result.code, result.states) == (0, {"accepted": 2})


async def test_value_of_an_unknown_option_is_not_repeated(shell: Shell) -> None:
    for arguments in (["--token", "SECRET"], ["--token=SECRET"]):
        result = await shell.run("status", *arguments)

        assert result.code == 2
        assert "SECRET" not in result.out + result.err


async def test_interrupted_send_goes_on_and_sends_nothing_twice(sandbox: Sandbox, shell: Shell) -> None:
    count = int(os.environ.get("CLI_INVOICES", "40"))
    shell.invoices(sandbox.nip, count)
    sandbox.faults.add("send_invoice", Fault.wait(0.1), probability=0.5)
    interruptions = 0

    for share in (0.1, 0.6):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ksef_async", "send", "."),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # The background jobs of a shell ignore Ctrl-C, and so would whatever a test run in one starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            while process.returncode is None and len([*sandbox.world.invoices()]) < count * share:
                await asyncio.sleep(0.005)
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            _, err = await asyncio.wait_for(process.communicate(), 20)
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode == 130:
            interruptions += 1
            assert "Run it again to go on" in err.decode()
            assert "Traceback" not in err.decode()
    result = await shell.run("send", ".", "--json")

    assert interruptions == 2
    assert (result.code, result.states) == (0, {"accepted": count})
    assert all(invoice["has_upo"] for invoice in result.json["invoices"])
    sent = Counter(invoice.invoice_hash for invoice in sandbox.world.invoices())
    assert len(sent) == count
    assert set(sent.values()) == {1}
