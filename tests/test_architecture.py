"""The map of the house, held to the code: who may import whom, and what every room owes its readers."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from every import check_every
from mutation import __main__ as mutated

import ksef_async

#: A room imports rooms on lines above it, and itself; rooms on one line do not import each other.
LAYERS = (
    ("errors",),
    ("api", "crypto"),
    ("protocol",),
    ("documents",),
    ("calling",),
    ("sandbox",),
    ("auth", "resources"),
    ("packing",),
    ("sessions", "downloads"),
    ("client",),
    ("submissions",),
)
#: What stands outside of the house: the public names, the commands, and what extras are for.
OUTSIDE = (("",), ("pytest_plugin",), ("fastapi", "cli", "telemetry"), ("__main__",))
LEVELS = {room: level for level, rooms in enumerate(LAYERS + OUTSIDE) for room in rooms}
#: The sandbox stands beside the client's rooms: both meet only in the table, the models and the rules, and in how what
#: is cancelled is finished.
SHARED = {"sandbox": {"calling": {"calling.finishing"}}}

ROOT = Path(ksef_async.__file__).parent


def dotted(path: Path) -> str:
    """The module's name below the package: ``sessions.online``; of a package itself: ``sessions``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted(ROOT.rglob("*.py"))}


def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def imports(module: str) -> Iterator[str]:
    """Every module of ours that ``module`` imports, those under TYPE_CHECKING and inside functions included."""
    package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]
    package = [part for part in package if part]
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            assert not any(name.name.partition(".")[0] == "ksef_async" for name in node.names), "relative imports only"
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] != "ksef_async", "relative imports only"
            if node.level:
                base = package[: len(package) - node.level + 1] + ([node.module] if node.module else [])
                for name in node.names:
                    full = ".".join([*base, name.name])
                    yield full if full in MODULES else ".".join(base)


def test_every_room_is_on_the_map() -> None:
    assert {module.partition(".")[0] for module in MODULES} == set(LEVELS)


def test_map_in_the_docstring_is_the_map_above() -> None:
    drawn = (ksef_async.__doc__ or "").partition("lines above it:\n\n")[2].partition("\n\n")[0]
    lines = [line.strip() for line in drawn.splitlines()]

    assert [tuple(line.split("   ")[0].split()) for line in lines] == [tuple(rooms) for rooms in LAYERS]


def test_room_imports_only_rooms_above_it() -> None:
    check_every(MODULES, check_imports)


def check_imports(module: str) -> None:
    room = module.partition(".")[0]

    for imported in imports(module):
        other = imported.partition(".")[0]
        assert other == room or LEVELS[other] < LEVELS[room], f"{module or 'ksef_async'} imports {imported}"
        assert imported in SHARED.get(room, {}).get(other, {imported}), f"{module} imports {imported}"


def test_no_module_imports_itself_in_a_circle() -> None:
    # A package's modules load the package first; that is Python's doing, not an import of ours.
    TopologicalSorter({module: set(imports(module)) - {module} for module in MODULES}).prepare()


def test_module_is_small_and_says_what_it_is() -> None:
    check_every(MODULES, check_module)


def check_module(module: str) -> None:
    source = MODULES[module].read_text("utf-8")

    assert len(source.splitlines()) <= 600
    assert ast.get_docstring(tree(module))


def test_modules_that_are_mutated_are_there() -> None:
    # `nox -s mutants` names them by their files, which move.
    assert [name for name in mutated.MODULES if not (ROOT / name).is_file()] == []


def test_public_names_are_in_all() -> None:
    check_every(MODULES, check_public_names)


def check_public_names(module: str) -> None:
    body = tree(module).body[1:]
    if not body:
        return  # a package that is nothing but its docstring
    public = {
        node.name
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    loaded = importlib.import_module(f"ksef_async.{module}".rstrip("."))

    assert public <= set(loaded.__all__)
    assert all(hasattr(loaded, name) for name in loaded.__all__)
    assert len(loaded.__all__) == len(set(loaded.__all__))


def test_public_names_of_the_library_are_sorted_and_documented() -> None:
    # Ruff's order: constants, classes, functions; each in alphabetical order.
    names = ksef_async.__all__

    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    assert all(inspect.getdoc(getattr(ksef_async, name)) for name in names)


def test_names_that_are_loaded_later_have_their_types() -> None:
    (block,) = (node for node in tree("").body if isinstance(node, ast.If))
    (later,) = (node.value for node in tree("").body if isinstance(node, ast.AnnAssign))
    typed = {name.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}

    assert later is not None
    assert typed == ast.literal_eval(later)
    assert typed.keys() <= set(ksef_async.__all__) & set(dir(ksef_async))


def test_import_loads_nothing_but_names() -> None:
    program = "import sys; before = {*sys.modules}; import ksef_async; print(*sorted({*sys.modules} - before))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )

    ours = [name for name in result.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names]
    assert ours == ["ksef_async"]


def test_client_is_light_and_leaves_logging_alone() -> None:
    program = """
import logging, sys
import aiohttp, anyio, attrs, cryptography, orjson
before, theirs = (logging.root.level, list(logging.root.handlers)), set(sys.modules)
from ksef_async import FormCode, KsefClient, KsefError, KsefToken
assert before == (logging.root.level, logging.root.handlers), "the root logger was touched"
ours = ("sandbox", "documents", "resources", "downloads", "submissions", "cli")
seldom = ("api.certificates", "api.invoices", "api.limits", "api.permissions", "api.tokens")
rare = ("auth.signing", "protocol.planning", "sessions.batch", "sessions.keep_open", "sessions.keeper")
others = ("aiohttp.web", "cryptography.fernet", "lxml", "pytest", "fastapi", "rich", "sqlalchemy", "zoneinfo")
heavy = (*(f"ksef_async.{room}" for room in (*ours, *rare, *seldom)), *others)
print(*(name for name in heavy if name in sys.modules and name not in theirs))
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent
    )

    assert result.stdout.strip() == ""
    assert result.stderr == ""
