"""Nothing is left out: every operation of KSeF has its row, its models, its client method and its handler."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from contract import test_codes
from contract.test_models import compare

import ksef_async
from ksef_async.api.operation import Operation
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.wire import camel
from ksef_async.sandbox.handlers import HANDLERS

ROOT = Path(ksef_async.__file__).parent
#: Rooms that may name a row without calling it.
NOT_CALLING = {"api", "sandbox"}

#: Schemas of bodies that no model reads, and why.
UNREAD: dict[str, str] = {}


def called() -> set[str]:
    """Names of the rows that the client's rooms use beyond importing them."""
    constants = {id(row): row.name for row in OPERATIONS}
    used: set[str] = set()
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] in NOT_CALLING:
            continue
        module = ast.parse(path.read_text("utf-8"))
        names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
        imported = {
            name.asname or name.name: (node.module or "", name.name)
            for node in ast.walk(module)
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "api"
            for name in node.names
        }
        for local, (source, name) in imported.items():
            row = getattr(getattr(ksef_async.api, source.rpartition(".")[2], None), name, None)
            # Latarnia's rows are none of KSeF's API.
            if local in names and isinstance(row, Operation) and id(row) in constants:
                used.add(constants[id(row)])
    return used


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for name, item in value.items():
            if name not in ("example", "examples"):
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_operation_has_a_row(spec: dict[str, Any]) -> None:
    specified = {(method.upper(), path) for path, endpoints in spec["paths"].items() for method in endpoints}
    rows = {
        (row.method.value, re.sub(r"{(\w+)}", lambda name: "{" + camel(name[1]) + "}", row.path)) for row in OPERATIONS
    }

    assert sorted(specified - rows) == []
    assert rows <= specified
    assert len(OPERATIONS) == 83


def test_every_schema_of_a_body_has_a_model(spec: dict[str, Any]) -> None:
    schemas = spec["components"]["schemas"]
    wanted: set[str] = set()
    for endpoints in spec["paths"].values():
        for endpoint in endpoints.values():
            wanted.update(references(endpoint.get("requestBody", {}).get("content", {}).get("application/json", {})))
            for status, answer in endpoint["responses"].items():
                if status.startswith("2"):
                    wanted.update(references(answer.get("content", {})))
    pending = list(wanted)
    while pending:
        inner = set(references(schemas[pending.pop()])) - wanted
        wanted |= inner
        pending += inner

    _, reached = compare(spec)

    assert sorted(wanted - reached - UNREAD.keys()) == []


def test_every_table_of_status_codes_is_one_of_states(spec: dict[str, Any]) -> None:
    (parametrized,) = test_codes.test_states_are_those_of_the_specification.pytestmark
    read = [test_codes.rows(status_text(spec, case.values[1])) for case in parametrized.args[1]]

    # Lists show the statuses of what can be asked about one by one.
    unread = [
        name
        for name in spec["components"]["schemas"]
        if (table := test_codes.rows(status_text(spec, name))) and not any(table <= other for other in read)
    ]

    assert unread == []


def status_text(spec: dict[str, Any], schema: str) -> str:
    text: str = spec["components"]["schemas"][schema].get("properties", {}).get("status", {}).get("description", "")
    return text


def test_every_row_is_called_by_the_client() -> None:
    assert sorted({row.name for row in OPERATIONS} - called()) == []


def test_every_row_has_a_handler() -> None:
    assert set(HANDLERS) == {row.name for row in OPERATIONS}
