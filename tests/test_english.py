"""Public docstrings and names are plain English, as far as that can be held by a rule."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "ksef_async"

# Words that had to be deciphered, each of which has a better one.
UNPLAIN = {"told", "unheard", "let_by", "give_way", "Tell", "is_so", "persist"}


def public(node: ast.AST, path: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """The public functions and classes of a module, those of its classes included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            name = f"{path}:{child.name}"
            yield name, child
            if isinstance(child, ast.ClassDef):
                yield from public(child, name)


MODULES = sorted(ROOT.rglob("*.py"))
PUBLIC = [
    (name, node)
    for module in MODULES
    for name, node in public(ast.parse(module.read_text("utf-8")), str(module.relative_to(ROOT)))
]


def raised(docstring: str) -> Iterator[str]:
    """The entries of a "Raises" section, each the first line of one."""
    section = re.search(r"^Raises:\n((?:[ \t]+.*\n?|\n(?=[ \t]))*)", docstring, re.MULTILINE)
    for line in section[1].splitlines() if section else ():
        if re.match(r" {4}\S", line):
            yield line.strip()


@pytest.mark.parametrize("word", ["What", "How", "Whether"])
def test_no_summary_is_a_riddle(word: str) -> None:
    found = [name for name, node in PUBLIC if re.match(rf"{word}\b", ast.get_docstring(node) or "")]

    assert found == []


def test_each_entry_of_raises_names_one_exception() -> None:
    found = [
        (name, entry)
        for name, node in PUBLIC
        for entry in raised(ast.get_docstring(node) or "")
        if not re.match(r"[\w.]+: \S", entry)
    ]

    assert found == []


def test_raises_has_no_heading_of_its_own() -> None:
    assert [
        name for name, node in PUBLIC if re.search(r"^Raises \(", ast.get_docstring(node) or "", re.MULTILINE)
    ] == []


def test_names_are_plain() -> None:
    assert [name for name, node in PUBLIC if node.name in UNPLAIN] == []


def test_rule_for_raises_reads_entries() -> None:
    text = "Do it.\n\nRaises:\n    ValueError: No.\n        And more.\n    A, B: Both.\n\nSource: x."

    assert list(raised(text)) == ["ValueError: No.", "A, B: Both."]
