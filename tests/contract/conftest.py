"""The Ministry's specification (OpenAPI 2.9.0), which is not part of this repository."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from contract.recording import HOST
from openapi_core import Config, OpenAPI

from ksef_async.operations import Operation
from ksef_async.operations.table import OPERATIONS
from ksef_async.protocol.wire import camel

SPECIFICATION = Path(__file__).parents[2] / ".." / "shared" / "ksef" / "spec" / "openapi-2.9.0.json"


@pytest.fixture(scope="session")
def spec() -> dict[str, Any]:
    if not SPECIFICATION.is_file():
        pytest.skip("the Ministry's specification is not here (../shared/ksef/spec/openapi-2.9.0.json)")
    loaded: dict[str, Any] = json.loads(SPECIFICATION.read_text("utf-8"))
    return loaded


@pytest.fixture(params=OPERATIONS, ids=lambda operation: operation.name)
def operation(request: pytest.FixtureRequest) -> Operation[Any, Any]:
    """Each row of the table."""
    row: Operation[Any, Any] = request.param
    return row


@pytest.fixture
def endpoint(spec: dict[str, Any], operation: Operation[Any, Any]) -> dict[str, Any]:
    """What the specification says about the row."""
    path = re.sub(r"{(\w+)}", lambda name: "{" + camel(name[1]) + "}", operation.path)
    assert path in spec["paths"]
    found: dict[str, Any] = spec["paths"][path][operation.method.lower()]
    return found


@pytest.fixture
def openapi(spec: dict[str, Any]) -> OpenAPI:
    # To the specification an XML document is a string; problem details are JSON.
    config = Config(
        extra_media_type_deserializers={
            "application/xml": lambda body, **_: body.decode(),
            "application/problem+json": lambda body, **_: orjson.loads(body),
        }
    )
    return OpenAPI.from_dict(spec | {"servers": [{"url": f"{HOST}/v2"}]}, config=config)
