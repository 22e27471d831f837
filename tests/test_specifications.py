"""The tool that compares the Ministry's specifications."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from official import SPECIFICATION, needs

TOOL = Path(__file__).parents[1] / "tools" / "specifications.py"


def with_new_field(specification: dict[str, Any]) -> str:
    specification["components"]["schemas"]["SendInvoiceRequest"]["properties"]["description"] = {"type": "string"}
    return '+ /components/schemas/SendInvoiceRequest/properties/description/type: "string"'


def without_operation(specification: dict[str, Any]) -> str:
    del specification["paths"]["/auth/challenge"]
    return "- /paths//auth/challenge/post/"


def with_another_limit(specification: dict[str, Any]) -> str:
    specification["paths"]["/sessions"]["get"]["responses"]["429"]["description"] += "s"
    return "! /paths//sessions/get/responses/429/description: "


def with_a_longer_text(specification: dict[str, Any]) -> None:
    specification["paths"]["/sessions"]["get"]["summary"] += " i inne"


def with_another_order(specification: dict[str, Any]) -> None:
    specification["paths"]["/sessions"]["get"]["parameters"].reverse()
    specification["components"]["schemas"]["SendInvoiceRequest"]["required"].reverse()


@needs(SPECIFICATION)
@pytest.mark.parametrize(
    "change", [with_new_field, without_operation, with_another_limit, with_a_longer_text, with_another_order]
)
def test_difference_that_matters_is_told(change: Any, tmp_path: Path) -> None:
    changed = copy.deepcopy(json.loads(SPECIFICATION.read_bytes()))
    line = change(changed)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(changed))

    told = subprocess.run([sys.executable, str(TOOL), str(path)], capture_output=True, text=True, check=False)

    assert told.returncode == (0 if line is None else 1), told.stderr
    assert (line or "0 differences") in told.stdout
