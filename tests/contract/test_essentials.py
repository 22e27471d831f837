"""A KSeF of yesterday, of today and of tomorrow is read: only the essentials of an answer have to be there."""

from __future__ import annotations

import copy
import json
import types
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import pytest
from contract.conftest import endpoint_of
from contract.essentials import ESSENTIALS
from contract.test_models import filled_in
from every import check_every
from official import SPECIFICATION

from ksef_async.api import common as checked
from ksef_async.api import limits, rates
from ksef_async.api.common import OpenStrEnum, ServerTime
from ksef_async.api.operation import Operation
from ksef_async.api.sessions import FormCode
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.reading import field_name, form_code_as_json, is_essential
from ksef_async.protocol.wire import WIRE, Unread, WireError

ANSWERS = [row for row in OPERATIONS if row.response not in (None, bytes)]
#: Examples of answers, by version.
EXAMPLES = {"2.1.1": 55, "2.1.2": 55, "2.2.0": 56, "2.2.1": 56, "2.4.0": 56, "2.5.0": 56, "2.6.0": 56, "2.9.0": 60}

VALUES: dict[Any, Any] = {
    str: "text",
    int: 7,
    bool: True,
    bytes: "aGFzaA==",
    Decimal: 1.25,
    date: "2026-07-01",
    datetime: "2026-07-01T12:00:00+00:00",
    ServerTime: "2026-07-01T12:00:00.1234567+00:00",
    FormCode: form_code_as_json(FormCode.FA3),
    checked.Identifier: "20260701-SO-2C1A0F9000-9F1D2E3C4B-5A",
    checked.Jwt: "eyJ.eyJ.c2ln",
    checked.Cursor: "W3sidG9rZW4iOg==",
    checked.ChallengeText: "20260701-CR-2C1A0F9000-9F1D2E3C4B-5A",
    checked.Method: "PUT",
    checked.SignedLink: "https://ksef.mf.gov.pl/storage/x?sig=s",
    checked.UploadHeaders: {"x-ms-blob-type": "BlockBlob"},
    rates.Calls: 7,
    limits.Limit: 7,
}


def full(annotation: Any) -> Any:
    """An answer with every field there is, and two of everything that there may be several of."""
    if annotation in VALUES:
        return copy.deepcopy(VALUES[annotation])
    inner = plain(annotation)
    if attrs.has(inner):
        return {field_name(field): full(field.type) for field in fields_of(inner)}
    if get_origin(inner) is tuple:
        return [full(get_args(inner)[0]) for _ in range(2)]
    if get_origin(inner) is dict:
        return {"a": "b"}
    if inner in VALUES:
        return copy.deepcopy(VALUES[inner])
    assert issubclass(inner, OpenStrEnum)
    return next(iter(inner)).value


def plain(annotation: Any) -> Any:
    """The annotation without None and without what is said of it, unless it is checked."""
    if get_origin(annotation) in (types.UnionType, Union):
        (annotation,) = (each for each in get_args(annotation) if each is not types.NoneType)
    if annotation not in VALUES and get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def fields_of(cls: Any) -> list[attrs.Attribute[Any]]:
    return [field for field in attrs.fields(attrs.resolve_types(cls)) if not field.metadata.get("local")]


Place = tuple[dict[str, Any], Any, str]


def objects(value: Any, annotation: Any, path: str = "$") -> Iterator[Place]:
    """Every object in an answer, with its model and its path."""
    inner = plain(annotation)
    if attrs.has(inner) and isinstance(value, dict):
        yield value, inner, path
        for field in fields_of(inner):
            if field_name(field) in value:
                yield from objects(value[field_name(field)], field.type, f"{path}.{field_name(field)}")
    elif get_origin(inner) is tuple and isinstance(value, list):
        for index, item in enumerate(value):
            yield from objects(item, get_args(inner)[0], f"{path}[{index}]")


def read(answer: Any, model: Any) -> tuple[Any, list[str]]:
    notes: list[Unread] = []
    found = WIRE.from_json(json.dumps(answer).encode(), model, notes)
    return found, [note.path for note in notes]


def told(answer: Any, model: Any) -> list[str]:
    """Paths of what was wrong, whether or not it sank the answer."""
    try:
        return read(answer, model)[1]
    except WireError as error:
        return [problem.path for problem in error.problems]


def test_table_of_essentials_is_that_of_the_models() -> None:
    listed = [name for names in ESSENTIALS.values() for name in names.split()]
    models: set[Any] = set()
    pending = [row.response for row in ANSWERS]
    while pending:
        annotation: Any = pending.pop()
        if get_origin(annotation) is not None:
            pending += [each for each in get_args(annotation) if isinstance(each, type) or get_origin(each)]
        elif attrs.has(annotation) and annotation not in models:
            models.add(annotation)
            pending += [field.type for field in fields_of(annotation)]
    essential = {f"{cls.__name__}.{field.name}" for cls in models for field in fields_of(cls) if is_essential(field)}

    assert set(listed) == essential
    assert len(listed) == len(set(listed))


def test_answer_of_tomorrow_is_read() -> None:
    check_every(ANSWERS, check_tomorrow, named=lambda row: row.name)


def check_tomorrow(row: Operation[Any, Any]) -> None:
    model = row.response
    whole, unread = read(full(model), model)
    assert unread == []
    dropped = 0
    for number, (_, cls, path) in enumerate(objects(full(model), model)):
        for field in fields_of(cls):
            for value in (..., None):
                answer = full(model)
                place = [*objects(answer, model)][number][0]
                if value is ...:
                    del place[field_name(field)]
                else:
                    place[field_name(field)] = None
                wrong = f"{path}.{field_name(field)}"
                if is_essential(field):
                    assert wrong in told(answer, model)
                else:
                    assert read(answer, model)[1] == ([wrong] if "assumed" in field.metadata else [])
                dropped += 1
        answer = full(model)
        [*objects(answer, model)][number][0]["novelty"] = {"a": [1, None]}
        assert read(answer, model) == (whole, [])
    assert dropped >= 2 * len([*objects(full(model), model)]) or not dropped


def test_value_of_another_kind_sinks_only_what_cannot_do_without() -> None:
    check_every(ANSWERS, check_values, named=lambda row: row.name)


def check_values(row: Operation[Any, Any]) -> None:
    model = row.response
    for number, (_, cls, path) in enumerate(objects(full(model), model)):
        for field in fields_of(cls):
            inner = plain(field.type)
            wrong = f"{path}.{field_name(field)}"
            answer = full(model)
            place = [*objects(answer, model)][number][0]
            if isinstance(inner, type) and issubclass(inner, OpenStrEnum):
                place[field_name(field)] = "Novelty"
                assert read(answer, model)[1] == []
            # No field of KSeF is an array of arrays.
            place[field_name(field)] = [["?"]]
            paths = told(answer, model)
            assert [each for each in paths if each.startswith(wrong)]
            if not is_essential(field) and "never_left_out" not in field.metadata:
                read(answer, model)


def examples(spec: dict[str, Any], operation: Operation[Any, Any]) -> Iterator[Any]:
    """The examples of an operation's answer; none where the version does not have it."""
    for status, response in endpoint_of(spec, operation).get("responses", {}).items():
        content = response.get("content", {}).get("application/json", {})
        if status.startswith("2"):
            yield from [content["example"]] if "example" in content else []
            yield from (each["value"] for each in content.get("examples", {}).values())


def versions() -> list[Path]:
    return [*sorted(SPECIFICATION.parent.glob("history/openapi-*.json")), SPECIFICATION]


@pytest.mark.parametrize("file", versions(), ids=lambda file: file.stem)
def test_every_example_of_every_published_version_is_read(file: Path, spec: dict[str, Any]) -> None:
    published = json.loads(file.read_text("utf-8"))
    count: Counter[str] = Counter()
    for row in OPERATIONS:
        if row.response in (None, bytes):
            continue
        for example in examples(published, row):
            _, unread = read(filled_in(example), row.response)
            assert [path for path in unread if not is_known(row.name, path, example)] == []
            count["examples"] += 1
            count["left out"] += len(unread)

    print(file.stem, dict(count))
    assert count["examples"] == EXAMPLES[file.stem.removeprefix("openapi-")]


def is_known(operation: str, path: str, example: Any) -> bool:
    """Whether what is left out is a group of limits that the version does not have, or the year 1 for no date."""
    if operation in ("get_rate_limits", "get_context_limits"):
        return path.removeprefix("$.") not in example
    return (operation, path) == ("get_login_status", "$.startDate")
