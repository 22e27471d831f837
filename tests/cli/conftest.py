"""A shell for the commands, set up for the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from blockbuster import BlockBuster
from shell import Shell, shell_for

from ksef_async.sandbox import Sandbox


@pytest.fixture
def shell(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_blocking_calls: BlockBuster,
) -> Shell:
    return shell_for(sandbox, tmp_path, monkeypatch, capsys, no_blocking_calls)
