from __future__ import annotations

import re
from typing import Any

import attrs
from contract.conftest import Endpoint, name_of
from every import check_every

from ksef_async.api.operation import Bearer, RateGroup
from ksef_async.api.rates import PRODUCTION_LIMITS, RateLimit
from ksef_async.api.sessions import LIST_SESSIONS, SessionFilter
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.pacing import limits_by_group
from ksef_async.protocol.wire import camel
from ksef_async.sandbox.validation import BOOLEANS, LISTS, SMALLEST_PAGE

#: What production grants, by group (limity-api.md): calls per second, minute and hour.
LIMITS: dict[str, dict[str, int]] = {
    "onlineSession": {"perSecond": 10, "perMinute": 30, "perHour": 120},
    "onlineSessionClose": {"perSecond": 20, "perMinute": 60, "perHour": 240},
    "batchSession": {"perSecond": 10, "perMinute": 20, "perHour": 60},
    "batchSessionClose": {"perSecond": 20, "perMinute": 40, "perHour": 120},
    "invoiceSend": {"perSecond": 10, "perMinute": 30, "perHour": 180},
    "invoiceStatus": {"perSecond": 30, "perMinute": 120, "perHour": 1200},
    "sessionList": {"perSecond": 5, "perMinute": 10, "perHour": 60},
    "sessionInvoiceList": {"perSecond": 10, "perMinute": 20, "perHour": 200},
    "sessionMisc": {"perSecond": 10, "perMinute": 120, "perHour": 1200},
    "invoiceMetadata": {"perSecond": 8, "perMinute": 16, "perHour": 20},
    "invoiceExport": {"perSecond": 8, "perMinute": 16, "perHour": 20},
    "invoiceExportStatus": {"perSecond": 10, "perMinute": 60, "perHour": 600},
    "invoiceDownload": {"perSecond": 8, "perMinute": 16, "perHour": 64},
    "collectiveIdentifier": {"perSecond": 20, "perMinute": 120, "perHour": 240},
    "other": {"perSecond": 10, "perMinute": 30, "perHour": 120},
    "anonymous": {"perSecond": 60},
    "global": {"perSecond": 75},
}


def media_type(content: dict[str, Any]) -> str | None:
    assert len(content) <= 1
    return next(iter(content), None)


def test_row_agrees_with_the_specification(endpoints: list[Endpoint]) -> None:
    check_every(endpoints, check_row, named=name_of)


def check_row(case: Endpoint) -> None:
    operation, endpoint = case
    parameters: dict[str, list[str]] = {"path": [], "query": [], "header": []}
    for parameter in endpoint.get("parameters", []):
        parameters[parameter["in"]].append(parameter["name"])
    successes = [status for status in endpoint["responses"] if status.startswith("2")]
    answer = endpoint["responses"][successes[0]].get("content", {})
    group = endpoint["responses"]["429"]["description"].strip().rpartition("|")[2].strip()

    assert {
        "success": [str(operation.success)],
        "query": sorted(camel(name) for name in operation.query),
        "path": sorted(camel(name) for name in re.findall(r"{(\w+)}", operation.path)),
        "header": ["x-continuation-token"] * operation.continued,
        "permissions": list(operation.permissions),
        "limits": LIMITS[operation.rate_group],
        "group": "-" if operation.rate_group is RateGroup.ANONYMOUS else operation.rate_group,
        "security": [] if operation.bearer is Bearer.NONE else [{"Bearer": []}],
        "request": {None: None, bytes: "application/xml"}.get(operation.request, "application/json"),
        "response": {None: None, bytes: "application/xml"}.get(operation.response, "application/json"),
    } == {
        "success": successes,
        "query": sorted(parameters["query"]),
        "path": sorted(parameters["path"]),
        "header": parameters["header"],
        "permissions": endpoint.get("x-required-permissions", []),
        "limits": endpoint["x-rate-limits"],
        "group": group,
        "security": endpoint.get("security", []),
        "request": media_type(endpoint.get("requestBody", {}).get("content", {})),
        "response": media_type(answer),
    }


def test_query_is_read_as_the_specification_types_it(endpoints: list[Endpoint]) -> None:
    check_every(endpoints, check_query, named=name_of)


def check_query(case: Endpoint) -> None:
    operation, endpoint = case
    kinds = {
        parameter["name"]: parameter["schema"]
        for parameter in endpoint.get("parameters", [])
        if parameter["in"] == "query"
    }
    by_type = {
        kind: {name for name, schema in kinds.items() if schema.get("type") == kind}
        for kind in ("array", "boolean", "integer")
    }

    assert by_type["array"] == {camel(name) for name in LISTS & set(operation.query)}
    assert by_type["boolean"] == {camel(name) for name in BOOLEANS & set(operation.query)}
    assert by_type["integer"] == set(kinds) & {"pageSize", "pageOffset"}
    if "pageSize" in kinds:
        size = kinds["pageSize"]
        assert (size["minimum"], size["maximum"]) == (SMALLEST_PAGE, operation.largest_page)
        assert size["default"] == SMALLEST_PAGE
    if "pageOffset" in kinds:
        assert (kinds["pageOffset"]["minimum"], kinds["pageOffset"]["default"]) == (0, 0)


def test_pacing_starts_from_the_published_limits() -> None:
    published = {
        RateGroup(group): RateLimit(*(limits.get(window, -1) for window in ("perSecond", "perMinute", "perHour")))
        for group, limits in LIMITS.items()
    }

    assert limits_by_group(PRODUCTION_LIMITS) == published


def test_every_row_has_a_name_and_a_path_of_its_own() -> None:
    assert (
        len({row.name for row in OPERATIONS}) == len({(row.method, row.path) for row in OPERATIONS}) == len(OPERATIONS)
    )


def test_session_filter_has_the_query_parameters_of_its_list() -> None:
    assert {field.name for field in attrs.fields(SessionFilter)} == set(LIST_SESSIONS.query) - {"page_size"}
