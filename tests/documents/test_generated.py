"""What the package knows of the forms is what the Ministry's schemas say."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from official import SCHEMAS, needs

ROOT = Path(__file__).parents[2]


@needs(SCHEMAS / "rr")
def test_shapes_and_stubs_are_what_the_schemas_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    generate = runpy.run_path(str(ROOT / "tools" / "documents.py"))["generate"]

    files = list(generate(SCHEMAS))

    assert len(files) == 6
    for file, text in files:
        assert file.read_text("utf-8") == text, f"run tools/documents.py: {file.name} is out of date"


def test_schemas_are_asked_for(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "documents.py", tmp_path], capture_output=True, text=True, check=False
    )

    assert "no schema of FA(3)" in result.stderr
