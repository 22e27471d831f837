"""How commands end: interrupted at any moment, or with nobody to read what they print."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from processes import ignored_signals, open_sessions, running
from shell import Shell, variables

from ksef_async.api.common import StatusInfo
from ksef_async.cli.running import exit_code, leaves
from ksef_async.errors import (
    ApiError,
    BadRequestError,
    ConnectError,
    ForbiddenError,
    LocalProtocolError,
    LoginFailedError,
    UnauthorizedError,
    WaitTimeoutError,
)
from ksef_async.sandbox import Fault, Sandbox

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


MOMENTS = [
    pytest.param("KSeF ", "get_challenge", Fault.wait(1.0), id="logging in"),
    pytest.param("login ", "open_online_session", Fault.wait(1.0), id="opening"),
    pytest.param("open ", "open_online_session", Fault.stuck(), id="waiting for activation"),
    pytest.param("open ", "send_invoice", Fault.wait(1.0), id="sending"),
    pytest.param("sent ", "send_invoice", Fault.stuck(), id="waiting for the outcome"),
    pytest.param("accepted ", "close_online_session", Fault.wait(1.0), id="closing"),
]


@pytest.mark.parametrize(("printed", "operation", "fault"), MOMENTS)
async def test_interrupted_command_closes_its_session(
    sandbox: Sandbox, printed: str, operation: str, fault: Fault
) -> None:
    sandbox.faults.add(operation, fault)
    async with running(sandbox, "demo") as process:
        await process.printed(printed)
        await asyncio.sleep(0.1)  # so that the next call is on its way
        process.send(signal.SIGINT)

        assert await process.end() == 130

    assert "Interrupted" in process.err
    assert not open_sessions(sandbox)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_other_signals_end_it_the_same_way(sandbox: Sandbox, number: signal.Signals, code: int) -> None:
    sandbox.faults.add("send_invoice", Fault.stuck())
    async with running(sandbox, "demo") as process:
        await process.printed("sent ")
        process.send(number)

        assert await process.end() == code

    assert not open_sessions(sandbox)


async def test_session_that_could_not_be_closed_is_told(sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.stuck())
    sandbox.faults.add("close_online_session", Fault.refuse(21405), times=10)
    async with running(sandbox, "demo") as process:
        await process.printed("sent ")
        process.send(signal.SIGINT)

        assert await process.end() == 130

    (reference_number,) = sandbox.world.sessions
    assert f"Closing session {reference_number} failed" in process.err


async def test_second_signal_leaves_at_once(sandbox: Sandbox) -> None:
    sandbox.faults.add("close_online_session", Fault.wait(20.0))
    async with running(sandbox, "demo") as process:
        await process.printed("accepted ")
        process.send(signal.SIGINT)
        await process.says("Once more")
        process.send(signal.SIGINT)

        assert await process.end() == 130

    assert "ends by itself after 12 hours" in process.err


async def test_ignored_signal_is_left_ignored(sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.wait(1.0))
    async with running(sandbox, "demo", preexec=ignored_signals) as process:
        await process.printed("open ")
        process.send(signal.SIGINT)

        assert await process.end() == 0


async def test_check_of_many_files_can_be_interrupted(sandbox: Sandbox, shell: Shell) -> None:
    (file,) = shell.invoices(sandbox.nip, 1)
    for number in range(5_000):
        (shell.folder / f"copy-{number}.xml").hardlink_to(file)
    (shell.folder / "notes.txt").touch()
    async with running(sandbox, "check", str(shell.folder)) as process:
        await process.says("Left out")
        process.send(signal.SIGINT)

        assert await process.end() == 130


@pytest.mark.parametrize("arguments", [("--help",), ("help", "credentials"), ("demo",)], ids=" ".join)
async def test_reader_that_has_gone_is_no_traceback(sandbox: Sandbox, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KSEF_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", *arguments),
        env={**kept, **variables(sandbox)},
        stdout=writing,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    _, err = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, err) == (141, b"")
    assert not open_sessions(sandbox)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_that_cannot_be_written_is_a_failure() -> None:
    with Path("/dev/full").open("wb") as full:
        arguments = [sys.executable, "-m", "ksef_async", "--help"]
        result = subprocess.run(arguments, stdout=full, stderr=subprocess.PIPE, check=False)

    err = result.stderr
    assert result.returncode == 1
    assert err.startswith(b"The output cannot be written: ")
    assert b"Traceback" not in err
    assert b"Exception" not in err


async def test_letters_that_the_terminal_lacks_are_shown_as_codes(sandbox: Sandbox, shell: Shell) -> None:
    file = shell.folder / "Zażółć.xml"
    file.write_bytes(b"no invoice")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", "check", str(file), "--json"),
        env=dict(os.environ) | {"PYTHONIOENCODING": "ascii"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, err) == (3, b"")
    assert rb"Za\u017c" in out


def login_failed(code: int) -> LoginFailedError:
    return LoginFailedError("no", status=StatusInfo(code=code, description="d", details=()))


def refused(cls: type[ApiError], status: int, operation: str = "open_online_session") -> ApiError:
    return cls("no", operation=operation, http_status=status)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(login_failed(450), 2, id="wrong token"),
        pytest.param(login_failed(460), 2, id="wrong certificate"),
        pytest.param(login_failed(415), 2, id="no permissions"),
        pytest.param(login_failed(500), 1, id="login that KSeF failed on"),
        pytest.param(login_failed(550), 1, id="login that KSeF cancelled"),
        pytest.param(refused(BadRequestError, 400, "log_in_with_signature"), 2, id="signature refused"),
        pytest.param(refused(BadRequestError, 400), 1, id="call refused"),
        pytest.param(refused(UnauthorizedError, 401), 2, id="401"),
        pytest.param(refused(ForbiddenError, 403), 2, id="403"),
        pytest.param(LocalProtocolError("no"), 2, id="forbidden by KSeF's rules"),
        pytest.param(ConnectError("no", maybe_delivered=False), 1, id="no connection"),
        pytest.param(WaitTimeoutError("no"), 4, id="time up"),
        pytest.param(PermissionError(), 1, id="disk"),
        pytest.param(ZeroDivisionError(), None, id="fault of the program"),
    ],
)
def test_errors_have_true_codes(error: Exception, code: int | None) -> None:
    assert exit_code(error) == code
    assert [*leaves(ExceptionGroup("", [ExceptionGroup("", [error])]))] == [error]


async def test_interrupted_before_anything_is_loaded(tmp_path: Path) -> None:
    # An import that tells when it runs, and takes its time: everything after the very start of Python.
    (tmp_path / "argparse.py").write_text("import time; print('loading', flush=True); time.sleep(20)")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", "--help"),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 20) == b"loading\n"

    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 20)

    assert (process.returncode, err) == (130, b"Interrupted.\n")


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        pytest.param("get_challenge", Fault.wait(1.0), id="logging in"),
        pytest.param("open_online_session", Fault.wait(1.0), id="opening"),
        pytest.param("open_online_session", Fault.stuck(), id="waiting for activation"),
        pytest.param("send_invoice", Fault.wait(1.0), id="sending"),
        pytest.param("send_invoice", Fault.stuck(), id="waiting for the outcome"),
        pytest.param("close_online_session", Fault.wait(1.0), id="closing"),
    ],
)
async def test_interrupted_send_goes_on_from_any_moment(
    sandbox: Sandbox, shell: Shell, operation: str, fault: Fault
) -> None:
    pytest.importorskip("sqlalchemy", reason="the extra durable is not installed")
    shell.invoices(sandbox.nip, 2)
    sandbox.faults.add(operation, fault)
    async with running(sandbox, "send", ".", "--upo", "upo") as process:
        with anyio.fail_after(30):
            while sandbox.faults.planned:  # until the call has come
                await asyncio.sleep(0.02)
        process.send(signal.SIGINT)

        assert await process.end() == 130

    assert "Run it again to go on" in process.err
    # The journal keeps its session for the next run.
    assert not open_sessions(sandbox) or "A session may be open at KSeF: the next run goes on in it" in process.err
    sandbox.faults.clear()
    if fault != Fault.stuck():
        again = await shell.run("send", ".", "--json")
        assert (again.code, again.states) == (0, {"accepted": 2})
        assert len([*sandbox.world.invoices()]) == 2
