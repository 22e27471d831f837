"""The diagrams in the documentation, compared with the tables they are drawn from."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ksef_async.protocol.resource_lifecycles import LIFECYCLES, AnyLifecycle
from ksef_async.submissions.models import TRANSITIONS

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "en" / "lifecycle.md").read_text("utf-8")


def test_document_is_what_the_tool_draws_from_the_tables() -> None:
    command = [sys.executable, "tools/lifecycle_diagrams.py", "--check"]

    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("lifecycle", [pytest.param(each, id=each.name) for each in LIFECYCLES])
def test_diagram_has_every_transition_and_no_other(lifecycle: AnyLifecycle) -> None:
    drawn = edges_of(lifecycle.name)

    between = {(str(code), str(each)) for code, state in lifecycle.states.items() for each in state.next}
    assert {(old, new) for old, new in drawn if "[*]" not in (old, new)} == between
    assert len([old for old, _ in drawn if old == "[*]"]) == len(lifecycle.starts)


def test_journal_has_a_diagram_too() -> None:
    between = {(old.value, new.value) for old, following in TRANSITIONS.items() for new in following}

    assert {(old, new) for old, new in edges_of("submission") if "[*]" not in (old, new)} == between


def edges_of(name: str) -> list[tuple[str, str]]:
    """The arrows of a diagram, between codes."""
    (section,) = re.findall(
        rf"^## {re.escape(name)}$(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL | re.IGNORECASE
    )
    (diagram,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)\n```", section, re.DOTALL)
    arrows = re.findall(r"^ +(\S+) --> (\S+)$", diagram, re.MULTILINE)
    return [(re.sub(r"^s(?=\d)", "", old), re.sub(r"^s(?=\d)", "", new)) for old, new in arrows]
