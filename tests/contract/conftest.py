"""The Ministry's specification (OpenAPI 2.9.0), which is not part of this repository."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest
from contract.recording import HOST
from official import SPECIFICATION, need
from openapi_core import Config, OpenAPI

from ksef_async.api.operation import Operation
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.wire import camel


@pytest.fixture(scope="session")
def spec() -> dict[str, Any]:
    need(SPECIFICATION)
    loaded: dict[str, Any] = json.loads(SPECIFICATION.read_text("utf-8"))
    return loaded


Endpoint = tuple[Operation[Any, Any], dict[str, Any]]


@pytest.fixture(scope="session")
def endpoints(spec: dict[str, Any]) -> list[Endpoint]:
    """Each row of the table, and what the specification says about it."""
    return [(row, endpoint_of(spec, row)) for row in OPERATIONS]


def endpoint_of(spec: dict[str, Any], operation: Operation[Any, Any]) -> dict[str, Any]:
    """What a specification says about a row; ``{}`` where it does not have it."""
    path = re.sub(r"{(\w+)}", lambda name: "{" + camel(name[1]) + "}", operation.path)
    found: dict[str, Any] = spec["paths"].get(path, {}).get(operation.method.lower(), {})
    return found


def name_of(case: Endpoint) -> str:
    return case[0].name


@pytest.fixture(scope="session")
def openapi(spec: dict[str, Any]) -> OpenAPI:
    # To the specification an XML document is a string; problem details are JSON.
    config = Config(
        extra_media_type_deserializers={
            "application/xml": lambda body, **_: body.decode(),
            "application/problem+json": lambda body, **_: orjson.loads(body),
        }
    )
    return OpenAPI.from_dict(spec | {"servers": [{"url": f"{HOST}/v2"}]}, config=config)
