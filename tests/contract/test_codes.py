from __future__ import annotations

import re
from typing import Any

import pytest

from ksef_async.api.sessions import InvoiceStatusCode, StatusCode
from ksef_async.protocol.error_codes import DESCRIPTIONS, ErrorCode
from ksef_async.protocol.lifecycle import (
    BATCH_SESSION,
    ENROLLMENT,
    EXPORT,
    INVOICE,
    LOGIN,
    ONLINE_SESSION,
    PERMISSION_OPERATION,
    EnrollmentStatusCode,
    ExportStatusCode,
    LoginStatusCode,
    PermissionOperationCode,
)
from ksef_async.protocol.resource_lifecycles import AnyLifecycle

Row = tuple[int, str, str]


def rows(text: str) -> set[Row]:
    """Code, description and details of each line of a table; '' where there are no details."""
    found = re.findall(r"^\|\s*(\d+)\s*\|([^|]*)\|([^|]*)", text, re.MULTILINE)
    return {(int(code), description.strip(), details.strip().strip("-")) for code, description, details in found}


def status_table(spec: dict[str, Any], schema: str, heading: str = "") -> set[Row]:
    text: str = spec["components"]["schemas"][schema]["properties"]["status"]["description"]
    return rows(text.partition(heading)[2].partition("\n\n")[0] if heading else text)


def test_error_codes_are_described_as_in_the_specification(spec: dict[str, Any]) -> None:
    documented = {
        (number, description)
        for path in spec["paths"].values()
        for endpoint in path.values()
        for number, description, _ in rows(endpoint["responses"].get("400", {}).get("description", ""))
    }

    assert {(int(code), DESCRIPTIONS[code]) for code in ErrorCode} - documented == set()


@pytest.mark.parametrize(
    ("lifecycle", "schema", "heading"),
    [
        pytest.param(LOGIN, "AuthenticationOperationStatusResponse", "", id="login"),
        pytest.param(ENROLLMENT, "CertificateEnrollmentStatusResponse", "", id="enrollment"),
        pytest.param(ONLINE_SESSION, "SessionStatusResponse", "Sesja interaktywna:", id="online session"),
        pytest.param(BATCH_SESSION, "SessionStatusResponse", "Sesja wsadowa:", id="batch session"),
        pytest.param(INVOICE, "SessionInvoiceStatusResponse", "", id="invoice"),
        pytest.param(EXPORT, "InvoiceExportStatusResponse", "", id="export"),
        pytest.param(PERMISSION_OPERATION, "PermissionsOperationStatusResponse", "", id="permission"),
    ],
)
def test_states_are_those_of_the_specification(
    spec: dict[str, Any], lifecycle: AnyLifecycle, schema: str, heading: str
) -> None:
    table = status_table(spec, schema, heading)
    # The number that KSeF puts in is not part of the description.
    assert {(code, description.replace(" ({statusCode})", "")) for code, description, _ in table} == {
        (code, state.description) for code, state in lifecycle.states.items()
    }

    for code, state in lifecycle.states.items():
        documented = {details for number, _, details in table if number == code}
        # A state with several possible details has none of its own; for 415 the table has none, though KSeF gives one.
        if len(documented) == 1 and documented != {""}:
            assert state.details == tuple(documented), code


@pytest.mark.parametrize(
    ("codes", "schema"),
    [
        pytest.param(LoginStatusCode, "AuthenticationOperationStatusResponse", id="login"),
        pytest.param(EnrollmentStatusCode, "CertificateEnrollmentStatusResponse", id="enrollment"),
        pytest.param(StatusCode, "SessionStatusResponse", id="online and batch session"),
        pytest.param(InvoiceStatusCode, "SessionInvoiceStatusResponse", id="invoice"),
        pytest.param(ExportStatusCode, "InvoiceExportStatusResponse", id="export"),
        pytest.param(PermissionOperationCode, "PermissionsOperationStatusResponse", id="permission"),
    ],
)
def test_every_documented_status_code_has_a_name(spec: dict[str, Any], codes: Any, schema: str) -> None:
    assert {int(code) for code in codes} == {code for code, _, _ in status_table(spec, schema)}
