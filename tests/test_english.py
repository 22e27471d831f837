"""Public docstrings and names are plain English, as far as that can be held by a rule."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "ksef_async"

# Words that had to be deciphered, each of which has a better one.
UNPLAIN = {"told", "unheard", "let_by", "give_way", "Tell", "is_so", "persist"}

# The same for prose: what is logged, reported, called, returned, or in a field is said so.
UNPLAIN_IN_PROSE = re.compile(
    r"\b(told|tells?|telling|(un)?heard|hears?|speaks?|stands? on|of old|gives? way|let by)\b", re.IGNORECASE
)
ROOMS = ("sessions", "submissions", "calling", "protocol", "downloads")


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


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """The comments and docstrings of a module, those of attributes included, each with its line."""
    begins_statement = True
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and begins_statement):
                yield token.start[0], token.string
            if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
                begins_statement = token.type in (tokenize.NEWLINE, tokenize.ENCODING)


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


@pytest.mark.parametrize("room", ROOMS)
def test_comments_and_docstrings_are_plain(room: str) -> None:
    found = [
        (f"{path.relative_to(ROOT)}:{line}", word[0])
        for path in sorted((ROOT / room).glob("*.py"))
        for line, text in prose(path)
        for word in UNPLAIN_IN_PROSE.finditer(text)
    ]

    assert found == []


def test_rule_for_prose_reads_comments_and_docstrings_but_no_code(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""A."""\nx = "b"  # C.\n"""D."""\ndef tell():\n    """E."""\n    f("g")\n    # H.\n', "utf-8")

    assert [text for _, text in prose(module)] == ['"""A."""', "# C.", '"""D."""', '"""E."""', "# H."]


def test_rule_for_raises_reads_entries() -> None:
    text = "Do it.\n\nRaises:\n    ValueError: No.\n        And more.\n    A, B: Both.\n\nSource: x."

    assert list(raised(text)) == ["ValueError: No.", "A, B: Both."]
