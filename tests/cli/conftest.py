"""A shell for the commands, set up for the sandbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from blockbuster import BlockBuster
from shell import Shell, variables

from ksef_async.sandbox import Sandbox


@pytest.fixture
def shell(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_blocking_calls: BlockBuster,
) -> Shell:
    # A command has its event loop for itself: loading its modules there keeps nobody waiting.
    no_blocking_calls.deactivate()
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("KSEF_")]:
        monkeypatch.delenv(name)
    shell = Shell(tmp_path, monkeypatch, capsys)
    shell.set(**variables(sandbox))
    return shell
