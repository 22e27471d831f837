"""Commands of ``ksef-async`` as processes of their own, which can be interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
from shell import variables

from ksef_async.sandbox import Sandbox


@attrs.define
class Process:
    process: asyncio.subprocess.Process
    out: str = ""
    err: str = ""

    async def printed(self, word: str) -> None:
        assert self.process.stdout is not None
        while word not in self.out:
            line = await asyncio.wait_for(self.process.stdout.readline(), 20)
            assert line, self.out
            self.out += line.decode()

    async def says(self, word: str) -> None:
        assert self.process.stderr is not None
        while word not in self.err:
            line = await asyncio.wait_for(self.process.stderr.readline(), 20)
            assert line, self.err
            self.err += line.decode()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self) -> int:
        out, err = await asyncio.wait_for(self.process.communicate(), 20)
        self.out += out.decode()
        self.err += err.decode()
        assert "Traceback" not in self.err, self.err
        assert self.process.returncode is not None
        return self.process.returncode


def _default_signals() -> None:
    # The background jobs of a shell ignore Ctrl-C, those of nohup SIGHUP, and so would what a test run in one starts.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def ignored_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@asynccontextmanager
async def running(
    sandbox: Sandbox, *arguments: str, preexec: Callable[[], None] = _default_signals
) -> AsyncIterator[Process]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KSEF_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", *arguments),
        env={**kept, **variables(sandbox), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=preexec,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def open_sessions(sandbox: Sandbox) -> list[str]:
    now = sandbox.clock.now()
    return [name for name, session in sandbox.world.sessions.items() if session.closed_since(now) is None]
