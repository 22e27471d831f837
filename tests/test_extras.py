"""Every extra works alone: what a module imports is of Python, of the core, or of the extra that the module is for."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata

import pytest
from every import check_every
from packaging.requirements import Requirement
from test_architecture import MODULES, tree

#: The extra that a module, or a room with all its modules, is for; every other one is of the core.
FOR_EXTRAS = {
    "crypto.verification": "xades",
    "crypto.xades": "xades",
    "fastapi": "fastapi",
    "sandbox.auth_documents": "xades",
    "submissions": "durable",
    "submissions.procrastinate": "procrastinate",
    "telemetry.opentelemetry": "otel",
    "telemetry.prometheus": "prometheus",
}
#: What is imported only once it is asked for, by functions of modules that do without.
WHEN_ASKED = {
    "cli.output": "cli",
    "cli.send": "cli",
    "documents.pdf_page": "pdf",
    "protocol.verification_codes": "qr",
    "protocol.xml": "xades",
    "sandbox.schemas": "xsd",
    "sandbox.upo": "xades",
    "submissions.database": "postgres",
}
#: pytest brings the plugin to life, and pytest-asyncio is asked for only where it is installed.
OF_PYTEST = {"pytest_plugin": {"pytest", "pytest_asyncio"}}


def extra_of(module: str) -> str | None:
    rooms = [module.rsplit(".", cut)[0] for cut in range(module.count(".") + 1)]
    return next((FOR_EXTRAS[room] for room in rooms if room in FOR_EXTRAS), None)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def top_modules() -> dict[str, set[str]]:
    """The distributions that bring each top module."""
    return {top: set(map(normal, names)) for top, names in metadata.packages_distributions().items()}


@cache
def modules_with(extra: str | None) -> frozenset[str]:
    """The top modules that are there where the library was installed with this extra only."""
    found, waiting = set[tuple[str, str]](), [("ksef-async", extra or "")]
    while waiting:
        distribution, of = one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        try:
            lines = metadata.requires(distribution) or ()
        except metadata.PackageNotFoundError:
            continue  # for another Python, or another system
        for requirement in map(Requirement, lines):
            if requirement.marker is None or requirement.marker.evaluate({"extra": of}):
                waiting += [(normal(requirement.name), each) for each in ("", *requirement.extras)]
    names = {name for name, _ in found}
    return frozenset(top for top, distributions in top_modules().items() if distributions & names)


def imports_of(module: str) -> Iterator[tuple[str, bool]]:
    """Each import of a module, ours with a dot before its name, and whether it is done as the module is loaded."""
    package = module.split(".") if MODULES[module].name == "__init__.py" else module.split(".")[:-1]

    def walk(nodes: Iterable[ast.AST], *, at_once: bool) -> Iterator[tuple[str, bool]]:
        for node in nodes:
            match node:
                case ast.Import():
                    yield from ((name.name.partition(".")[0], at_once) for name in node.names)
                case ast.ImportFrom(level=0, module=str(name)):
                    yield name.partition(".")[0], at_once
                case ast.ImportFrom():
                    base = [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
                    for each in node.names:
                        full = ".".join([*base, each.name])
                        yield "." + (full if full in MODULES else ".".join(base)), at_once
                case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                    pass
                case _:
                    is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                    yield from walk(ast.iter_child_nodes(node), at_once=at_once and not is_function)

    return walk(tree(module).body, at_once=True)


def check_extra(module: str) -> None:
    there = modules_with(extra_of(module)) | OF_PYTEST.get(module, set())

    for name, at_once in imports_of(module):
        if name.startswith("."):
            needed = modules_with(extra_of(name[1:])) if at_once else frozenset()
            assert needed <= there, f"{module} imports {name[1:]}, which needs the extra {extra_of(name[1:])}"
        elif name not in sys.stdlib_module_names:
            known = there if at_once else there | modules_with(WHEN_ASKED.get(module))
            assert name in known, f"{module} imports {name}, which is neither of the core nor of its extra"


def test_module_imports_only_what_its_extra_brings() -> None:
    check_every(MODULES, check_extra)


def test_extras_of_modules_are_extras() -> None:
    extras = set(metadata.metadata("ksef_async").get_all("Provides-Extra") or ())

    assert {*FOR_EXTRAS.values(), *WHEN_ASKED.values()} <= extras
    assert {*FOR_EXTRAS, *WHEN_ASKED, *OF_PYTEST} <= MODULES.keys()


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("submissions", "sqlalchemy", "durable"),
        ("submissions.models", "sqlalchemy", "durable"),
        ("submissions.procrastinate", "procrastinate", "procrastinate"),
        ("fastapi", "fastapi", "fastapi"),
        ("telemetry.prometheus", "prometheus_client", "prometheus"),
        ("telemetry.opentelemetry", "opentelemetry", "otel"),
    ],
)
def test_import_says_which_extra_is_missing(module: str, package: str, extra: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; import ksef_async.{module}"

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    told = result.stderr.splitlines()[-1]
    assert told.startswith("ModuleNotFoundError: ksef_async.")
    assert told.endswith(f"needs {package}: pip install 'ksef_async[{extra}]'")
