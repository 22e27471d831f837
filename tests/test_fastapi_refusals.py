"""Whatever anybody writes into an address, a header, a query or a body of the router: 2xx or 4xx, never 500."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from blockbuster import BlockBuster
from fastapi import Depends, FastAPI
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from test_fastapi import OTHER_NIP, service_for, serving

from ksef_async.fastapi import router
from ksef_async.fastapi.refusals import Finding, Refusal, Report
from ksef_async.sandbox import Sandbox, sample_invoice

#: What people try: numbers no row can have, other scripts' digits, other languages' syntax.
ODD = (
    "0", "-1", "+1", "1e3", "1.0", " 1", "1 ", "1_000", "0x1", "true", "null", "NaN", "inf", "", "²", "١", "1\u0661",
    f"{2**31}", f"{2**63 - 1}", f"{2**63}", f"{-(2**63)}", f"{2**64}", "9" * 30, "9" * 5000, "1;--", "1' OR '1'='1",
    "%00", "a\0b", "../1", "..%2f1", "1/../2", "'", '"', "\ud7ff", "\U0001f600", "%", "%s", "{0}", "*",
)  # fmt: skip
TEXTS = st.sampled_from(ODD) | st.text(max_size=40) | st.integers().map(str) | st.floats().map(str)
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
async def http(sandbox: Sandbox, tmp_path: Path, no_blocking_calls: BlockBuster) -> AsyncIterator[httpx.AsyncClient]:
    """A service that delivers nothing, with one submission of either company."""
    no_blocking_calls.functions["os.path.abspath"].can_block_in(
        "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
    )
    # An error of the service is the test's, not an answer.
    async with serving(service_for(sandbox, tmp_path / "journal.db", deliver=False, stream_lifetime=0.01)) as http:
        for nip in (sandbox.nip, OTHER_NIP):
            await http.post(f"/ksef/{nip}/invoices", content=sample_invoice(nip))
        yield http


def quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))


@given(nip=TEXTS, number=TEXTS, end=st.sampled_from(["", "/upo", "/events"]), last=st.none() | st.sampled_from(ODD))
@MANY
async def test_address_of_any_kind_is_refused(
    sandbox: Sandbox, http: httpx.AsyncClient, nip: str, number: str, end: str, last: str | None
) -> None:
    headers = {} if last is None else {"Last-Event-ID": quoted(last)}
    for company in (sandbox.nip, quoted(nip)):
        answer = await http.get(f"/ksef/{company}/invoices/{quoted(number)}{end}", headers=headers)

        # 307: an empty id is the list's address with a slash too many.
        assert answer.status_code in (200, 204, 307, 404)


@given(after=TEXTS, limit=TEXTS, state=TEXTS)
@MANY
async def test_cursor_of_any_kind_is_refused(
    sandbox: Sandbox, http: httpx.AsyncClient, after: str, limit: str, state: str
) -> None:
    for query in ({"after": after}, {"limit": limit}, {"state": state}, {"after": after, "limit": limit}):
        query_string = "&".join(f"{name}={quoted(text)}" for name, text in query.items())
        answer = await http.get(f"/ksef/{sandbox.nip}/invoices?{query_string}")

        assert answer.status_code in (200, 422)
        if answer.status_code == 200:
            assert {one["nip"] for one in answer.json()} <= {sandbox.nip}


@given(
    key=st.none()
    | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=300),
    query=st.dictionaries(st.sampled_from(["priority", "offline", "corrects", "key", "nip"]), TEXTS, max_size=4),
    number=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<&>"), max_size=600),
)
@example(key=None, query={}, number="9" * 600)
@example(key="x" * 201, query={}, number="1")
@MANY
async def test_options_of_any_kind_are_refused(
    sandbox: Sandbox, http: httpx.AsyncClient, key: str | None, query: dict[str, str], number: str
) -> None:
    headers = [] if key is None else [(b"Idempotency-Key", key.encode("latin-1"))]
    query_string = "&".join(f"{name}={quoted(text)}" for name, text in query.items())
    answer = await http.post(
        f"/ksef/{sandbox.nip}/invoices?{query_string}",
        content=sample_invoice(sandbox.nip, "NUMBER").replace(b"NUMBER", number.encode()),
        headers=headers,
    )

    assert answer.status_code in (202, 400, 409, 422)


@given(body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"<Faktura>{text}</Faktura>".encode()))
@example(body=b'<?xml version="1.0" encoding="klingon"?><Faktura/>')
@example(body=b'<?xml version="1.0" encoding="utf-7"?><Faktura/>')
@example(body=b'<?xml version="1.0" encoding="utf-16"?><Faktura/>')
@example(body=b"<a>" * 50_000)
@MANY
async def test_body_of_any_kind_is_refused(sandbox: Sandbox, http: httpx.AsyncClient, body: bytes) -> None:
    answer = await http.post(f"/ksef/{sandbox.nip}/invoices", content=body)

    assert answer.status_code in (400, 422)


async def test_number_and_key_of_one_company_are_free_for_another(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "order 7"}
    document = sample_invoice(sandbox.nip, "FV/77", buyer_nip=OTHER_NIP)

    # Another company hands my invoice in first, under my key.
    theirs = await http.post(f"/ksef/{OTHER_NIP}/invoices", content=document, headers=headers)
    mine = await http.post(f"/ksef/{sandbox.nip}/invoices", content=document, headers=headers)
    other = await http.post(
        f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip, "FV/78"), headers=headers
    )

    assert [theirs.status_code, mine.status_code, other.status_code] == [202, 202, 409]
    assert theirs.json()["id"] != mine.json()["id"]
    assert mine.json()["nip"] == sandbox.nip
    assert f"{mine.json()['id']}" in other.json()["detail"]
    assert f"{theirs.json()['id']}" not in other.json()["detail"]
    for end in ("", "/upo", "/events"):
        answer = await http.get(f"/ksef/{sandbox.nip}/invoices/{theirs.json()['id']}{end}")
        missing = await http.get(f"/ksef/{sandbox.nip}/invoices/99999{end}")
        assert (answer.status_code, answer.content) == (missing.status_code, missing.content) == (404, missing.content)


async def test_addresses_are_those_that_were_published() -> None:
    app = FastAPI()
    app.include_router(router)

    assert {*app.openapi()["paths"]} == {
        "/{nip}/invoices",
        "/{nip}/invoices/{submission_id}",
        "/{nip}/invoices/{submission_id}/upo",
        "/{nip}/invoices/{submission_id}/events",
        "/{nip}/invoices/{submission_id}/correction",
        "/{nip}/invoices/{submission_id}/release",
        "/{nip}/issued",
        "/{nip}/received",
        "/{nip}/received/{ksef_number}",
    }


def who_may(nip: str, login: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> None:
    """The login of the page on FastAPI."""


@pytest.mark.parametrize(
    "dependencies",
    [
        pytest.param([], id="without a login"),
        pytest.param([Depends(who_may)], id="with the login of the page"),
    ],
)
async def test_openapi_is_valid_and_has_each_parameter_once(dependencies: list[Any]) -> None:
    app = FastAPI()
    app.include_router(router, prefix="/ksef", dependencies=dependencies)

    validate(app.openapi())
    for path, methods in app.openapi()["paths"].items():
        for operation in methods.values():
            named = [(one["in"], one["name"]) for one in operation["parameters"]]
            assert len(named) == len(set(named)), path
            assert {f"{{{name}}}" for place, name in named if place == "path"} == {*re.findall(r"\{\w+\}", path)}


async def test_document_that_ksef_would_refuse_is_answered_with_the_report(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    broken = sample_invoice(sandbox.nip, "FV/9").replace(b"<P_15>1230.00", b"<P_15>1,23")

    answer = await http.post(f"/ksef/{sandbox.nip}/invoices", content=broken)

    assert answer.status_code == 422
    report = answer.json()["report"]
    (problem,) = report["problems"]
    # OpenAPI tells all of it.
    assert report.keys() == Report.model_fields.keys()
    assert problem.keys() == Finding.model_fields.keys()
    Refusal.model_validate(answer.json())
    assert (problem["code"], problem["path"], problem["line"]) == ("number_comma", "/Faktura/Fa/P_15", 2)
    assert problem["message_pl"] in str(problem)
    assert "1234.56" in answer.json()["detail"]
