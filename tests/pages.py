"""The blocks of code in the documentation: found, told apart, and run. ``python tests/pages.py`` counts them.

A comment above a block says what is not plain: ``<!-- not run: reason -->``, or ``<!-- pytest -->`` for a file of
tests. Readers do not see it; GitHub hides comments, and the site's hook takes them out.
"""

from __future__ import annotations

import ast
import builtins
import re
import tomllib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, Final, cast

import anyio.to_thread
import attrs

ROOT: Final = Path(__file__).parents[1]
ENGLISH: Final = (*sorted((ROOT / "docs" / "en").glob("*.md")), ROOT / "README.md")

#: Languages of blocks that hold no code: output, pictures, and lists of settings, which are checked in another way.
NO_CODE: Final = {"text", "mermaid"}

_BLOCK: Final = re.compile(
    r"^(?:<!-- (?P<note>not run: [^>]+|pytest) -->\n)?```(?P<language>[\w-]*)(?P<options>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@attrs.frozen(kw_only=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def why_not_run(self) -> str | None:
        return self.note.removeprefix("not run: ") if self.note.startswith("not run: ") else None

    @property
    def included(self) -> Path | None:
        """The file that the block shows, if it does."""
        found = re.fullmatch(r'--8<-- "([^":]+)"\n', self.text)
        return ROOT / found[1] if found else None

    @property
    def kind(self) -> str:
        """How it is run: ``python``, ``pytest``, ``sh``, ``ini``, ``included``, ``not run`` or ``no code``."""
        if self.language in NO_CODE:
            return "no code"
        if self.why_not_run:
            return "not run"
        if self.included:
            return "included"
        return "pytest" if self.note == "pytest" else self.language

    @property
    def code(self) -> str:
        """What has to be the same in each language: the code without its comments."""
        if self.included or self.language != "python":
            return re.sub(r"[ \t]*#.*", "", self.text)
        return ast.unparse(parsed(self.text))


def parsed(text: str) -> ast.Module:
    return cast("ast.Module", compile(text, "block", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT))


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(page=page, line=line, language=found["language"], note=found["note"] or "", text=found["text"])


def polish(page: Path) -> Path:
    """The Polish page beside an English one."""
    return ROOT / "README.pl.md" if page.parent == ROOT else ROOT / "docs" / "pl" / page.name


class _AtTheSandbox(ast.NodeTransformer):
    """Put ``sandbox.environment`` where a client is made for one of the Ministry's environments."""

    CLIENTS: Final = {"KsefClient", "KsefService"}

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in self.CLIENTS:
            node.args = [ast.copy_location(self._moved(each), each) for each in node.args]
        return node

    @staticmethod
    def _moved(node: ast.expr) -> ast.expr:
        is_ministry = (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Environment"
        )
        return cast("ast.expr", parsed("sandbox.environment").body[0].value) if is_ministry else node  # type: ignore[attr-defined]


async def run(block: Block, names: dict[str, Any]) -> None:
    """Run a block of Python that may await, and keep what it names.

    What would reach the Ministry's servers reaches the sandbox in ``names`` instead.
    """
    tree = ast.fix_missing_locations(_AtTheSandbox().visit(parsed(block.text)))
    ast.increment_lineno(tree, block.line)
    code = compile(tree, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names.setdefault("__builtins__", builtins)
    call = cast("Callable[[], Awaitable[None] | None]", FunctionType(code, names))
    if "asyncio.run(" in block.text:
        # A program with a loop of its own.
        await anyio.to_thread.run_sync(call)
    elif (result := call()) is not None:
        await result


def extras() -> set[str]:
    """The extras that ``pip install 'ksef_async[...]'`` may name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {*project["optional-dependencies"]}


def main() -> None:
    every = [block for page in ENGLISH for block in blocks(page)]
    for kind, count in sorted(Counter(block.kind for block in every).items()):
        print(f"{count:4} {kind}")
    for block in every:
        if block.why_not_run:
            print(f"{block}: {block.why_not_run}")


if __name__ == "__main__":
    main()
