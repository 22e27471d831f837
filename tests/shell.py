"""Commands of ``ksef-async`` for tests, run as a program runs them."""

from __future__ import annotations

import json
import logging
import os
import runpy
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread
import attrs
import pytest
from blockbuster import BlockBuster

from ksef_async.cli.app import main
from ksef_async.sandbox import Sandbox, sample_invoice


@attrs.frozen
class Result:
    code: Any
    """What the program ended with: a number, or a sentence."""
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def states(self) -> Counter[str]:
        return Counter(invoice["state"] for invoice in self.json["invoices"])


class Shell:
    """Runs commands in this process, in a folder and an environment of their own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def set(self, **variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                self._monkeypatch.delenv(name)
            else:
                self._monkeypatch.setenv(name, value)

    async def run(self, *arguments: object) -> Result:
        # In a thread, for a command has an event loop of its own.
        code = await anyio.to_thread.run_sync(main, [str(argument) for argument in arguments])
        return Result(code, *self._capsys.readouterr())

    async def run_file(self, program: Path, *arguments: object) -> Result:
        """Run a program in Python as ``python FILE`` does, without the start of another Python."""
        self._monkeypatch.setattr(sys, "argv", [str(program), *map(str, arguments)])
        code = await anyio.to_thread.run_sync(_run_file, program)
        return Result(code, *self._capsys.readouterr())

    def invoices(self, nip: str, count: int, start: int = 1) -> list[Path]:
        paths = []
        for number in range(start, start + count):
            paths.append(path := self.folder / f"invoice-{number:03}.xml")
            path.write_bytes(sample_invoice(nip, f"FV/{number}"))
        return paths


def _run_file(program: Path) -> Any:  # whatever sys.exit takes
    levels = {name: logger.level for name, logger in _loggers().items()}
    try:
        runpy.run_path(str(program), run_name="__main__")
    except SystemExit as end:
        return end.code or 0
    finally:
        # What a program sets for itself would hold for the tests after it.
        for name, logger in _loggers().items():
            logger.setLevel(levels.get(name, logging.NOTSET))
    return 0


def _loggers() -> dict[str, logging.Logger]:
    named = logging.root.manager.loggerDict.items()
    return {n: logger for n, logger in named if n.startswith("ksef_async") and isinstance(logger, logging.Logger)}


def shell_for(
    sandbox: Sandbox,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_blocking_calls: BlockBuster,
) -> Shell:
    """A shell in ``folder``, with nothing in its environment but what leads to the sandbox."""
    # A command has its event loop for itself: loading its modules there keeps nobody waiting.
    no_blocking_calls.deactivate()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("KSEF_")]:
        monkeypatch.delenv(name)
    shell = Shell(folder, monkeypatch, capsys)
    shell.set(**variables(sandbox))
    return shell


def variables(sandbox: Sandbox) -> Mapping[str, str]:
    """What a command needs to log in with the sandbox's first token."""
    return {"KSEF_ENV": sandbox.environment.base_url, "KSEF_NIP": sandbox.nip, "KSEF_TOKEN": sandbox.token}
