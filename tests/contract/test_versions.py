"""Since when there is what: the tables of the sandbox, derived anew from every published specification."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from contract.conftest import endpoint_of
from official import HISTORY, SPECIFICATION, need

from ksef_async.api.operation import RateGroup
from ksef_async.api.table import OPERATIONS
from ksef_async.sandbox import versions
from ksef_async.sandbox.versions import VERSIONS, ApiVersion

#: A value that was taken back, and has another name since.
RENAMED = {"RR"}


@pytest.fixture(scope="module")
def specs() -> dict[str, dict[str, Any]]:
    need(HISTORY)
    older = {version: HISTORY / f"openapi-{version}.json" for version in VERSIONS[:-1]}
    files = {**older, VERSIONS[-1]: SPECIFICATION}
    return {version: json.loads(file.read_text("utf-8")) for version, file in files.items()}


def test_every_published_version_is_known(specs: dict[str, Any]) -> None:
    published = {file.stem.removeprefix("openapi-") for file in SPECIFICATION.parent.rglob("openapi-*.json")}

    assert set(VERSIONS) == published
    assert list(VERSIONS) == sorted(VERSIONS)


def body(found: dict[str, Any], part: str) -> dict[str, Any]:
    """The schema of an operation's request or answer."""
    (answer,) = [response for status, response in found["responses"].items() if status.startswith("2")]
    content = (found.get("requestBody", {}) if part == "request" else answer).get("content", {})
    schema: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return schema


def walk(spec: dict[str, Any], schema: dict[str, Any], path: str = "", seen: tuple[str, ...] = ()) -> Any:
    """Each field of a schema, as its path and None, and each value of an enum, as the path of its field and itself."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        if name not in seen:
            yield from walk(spec, spec["components"]["schemas"][name], path, (*seen, name))
        return
    for each in schema.get("allOf", []):
        yield from walk(spec, each, path, seen)
    yield from ((path, value) for value in schema.get("enum", []))
    for name, inner in schema.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield below, None
        yield from walk(spec, inner, below, seen)
    if "items" in schema:
        yield from walk(spec, schema["items"], f"{path}[]", seen)


def news(specs: dict[str, Any], part: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What came into the requests (or answers) of operations that were there before: fields, and values of others."""
    fields: dict[str, dict[str, str]] = {}
    values: dict[str, dict[str, dict[str, str]]] = {}
    for operation in OPERATIONS:
        for older, newer in pairwise(VERSIONS):
            before, after = endpoint_of(specs[older], operation), endpoint_of(specs[newer], operation)
            if not before or not after:
                continue
            known = set(walk(specs[older], body(before, part)))
            now = set(walk(specs[newer], body(after, part)))
            assert {value for _, value in known - now} <= RENAMED
            new_fields = {path for path, value in now - known if value is None}
            for path, value in now - known:
                if any(path.startswith(f"{new}.") or (value and path.startswith(new)) for new in new_fields):
                    continue  # within a new field
                if value is None:
                    fields.setdefault(operation.name, {})[path] = newer
                else:
                    values.setdefault(operation.name, {}).setdefault(path, {})[value] = newer
    return fields, values


def test_new_operations(specs: dict[str, Any]) -> None:
    since = {
        operation.name: next(version for version in VERSIONS if endpoint_of(specs[version], operation))
        for operation in OPERATIONS
    }

    assert {name: version for name, version in since.items() if version != VERSIONS[0]} == versions.OPERATIONS_SINCE


def test_new_fields_and_values_of_answers(specs: dict[str, Any]) -> None:
    assert news(specs, "answer") == (versions.ANSWER_FIELDS, versions.ANSWER_VALUES)


def test_new_fields_and_values_of_requests(specs: dict[str, Any]) -> None:
    assert news(specs, "request") == (versions.REQUEST_FIELDS, versions.REQUEST_VALUES)


@pytest.mark.parametrize("version", VERSIONS)
def test_calls_are_counted_in_the_groups_of_the_version(specs: dict[str, Any], version: str) -> None:
    told, played = {}, {}
    for operation in OPERATIONS:
        if found := endpoint_of(specs[version], operation):
            told[operation.name] = found["responses"]["429"]["description"].strip().rpartition("|")[2].strip()
            group = ApiVersion.parse(version).rate_group(operation.rate_group)
            played[operation.name] = "-" if group in (RateGroup.ANONYMOUS, None) else group.value

    assert played == told


@pytest.mark.parametrize("text", ["2", "2.7", "2.6.1", "3.0", "latest", ""])
def test_version_that_was_never_published_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"2\.1\.1, 2\.1\.2"):
        ApiVersion.parse(text)


def test_version_may_be_written_short() -> None:
    assert ApiVersion.parse("2.6") == ApiVersion.parse("2.6.0") < ApiVersion.parse("2.9")
    assert str(ApiVersion.parse("2.9")) == "2.9.0"
