"""What public reports say of KSeF, and its documents do not; over raw HTTP."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from parties import token_of
from sandbox.signed_login import log_in, refusal, signer
from sandbox.wire import SECOND_BY_SECOND, START, OpenedSession, Tokens, Wire, connected

from ksef_async import Context, ContextType
from ksef_async.protocol.numbers import KsefNumber, is_reference_number
from ksef_async.sandbox import Clock, sample_invoice
from ksef_async.sandbox.subjects import Subject
from ksef_async.sandbox.world import new_reference_number

QUERY = "/invoices/query/metadata"
STORED = 5
PROVIDER = "PPL123456"
PEF = {"systemCode": "PEF (3)", "schemaVersion": "2-1", "value": "PEF"}
UNKNOWN_FORM = ["Wskazany kod formularza nie jest wspierany."]
CHECKED = "subject-identifier-validation"


def query(dates: dict[str, Any], subject: str = "Subject1") -> dict[str, Any]:
    return {"subjectType": subject, "dateRange": {"dateType": "PermanentStorage", **dates}}


# --- numbers ----------------------------------------------------------------------------------------------------


def test_reference_number_tells_its_time() -> None:
    moment = datetime(2026, 7, 2, 1, 30, 0, 250_000, timezone(timedelta(hours=2)))

    number = new_reference_number("SO", moment)

    assert is_reference_number(number)
    day, kind, first, _, _ = number.split("-")
    assert (day, kind) == ("20260701", "SO")
    assert int(first, 16) == ((23 * 60 + 30) * 60_000 + 250) * 4096


def test_invoices_of_a_batch_are_numbered_within_a_millisecond() -> None:
    numbers = [new_reference_number("EE", START, running) for running in (1, 2)]

    first, second = (int(number.split("-")[2], 16) for number in numbers)
    assert second - first == 1


async def test_ksef_numbers_begin_in_any_way(wire: Wire, session: OpenedSession) -> None:
    numbers = [(await session.outcome(wire.invoice(f"FV/{each}")))["ksefNumber"] for each in range(40)]

    assert all(KsefNumber.parse(number) for number in numbers)
    assert {number.split("-")[2][:2] for number in numbers} - {"01", "02"}


# --- forms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [PEF, PEF | {"systemCode": "PEF_KOR (3)"}, {**PEF, "systemCode": "XY (1)"}])
async def test_company_opens_no_session_for_pef(wire: Wire, tokens: Tokens, form: dict[str, str]) -> None:
    request = (await wire.open_request(b"k" * 32, b"i" * 16)) | {"formCode": form}

    answer = await wire.call("POST", "/sessions/online", tokens.access, json=request)

    assert (answer.error, answer.details) == ((400, 21405), UNKNOWN_FORM)


async def test_peppol_provider_opens_a_session_for_pef(wire: Wire) -> None:
    context = Context(ContextType.PEPPOL_ID, PROVIDER)
    secret = token_of(wire.sandbox, Subject("PeppolId", PROVIDER), context)
    started = await wire.log_in(token=secret, contextIdentifier={"type": "PeppolId", "value": PROVIDER})
    wire.advance(1)
    operation = started.json["authenticationToken"]["token"]
    access = (await wire.call("POST", "/auth/token/redeem", operation)).json["accessToken"]["token"]
    request = (await wire.open_request(b"k" * 32, b"i" * 16)) | {"formCode": PEF}

    assert (await wire.call("POST", "/sessions/online", access, json=request)).status == 201


# --- date ranges ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dates", "detail"),
    [
        pytest.param(
            {"from": "2026-07-01T10:00:02Z"},
            "'dateRange.to' must be greater than or equal to 'dateRange.from'.",
            id="from in the future",
        ),
        pytest.param(
            {"from": "2026-06-02T00:00:00Z", "to": "2026-06-01T00:00:00Z"},
            "'dateRange.to' must be greater than or equal to 'dateRange.from'.",
            id="backwards",
        ),
        pytest.param({"from": "2026-03-01T00:00:00Z"}, "'dateRange' must not exceed 3 months.", id="too long"),
        pytest.param({}, "'dateRange.from' must not be empty.", id="no beginning"),
        pytest.param(
            {"from": "yesterday"}, "The JSON value could not be converted. Path: $.dateRange.from", id="no date"
        ),
    ],
)
async def test_range_is_refused_in_words_of_ksef(
    wire: Wire, tokens: Tokens, dates: dict[str, str], detail: str
) -> None:
    answer = await wire.call("POST", QUERY, tokens.access, json=query(dates))

    assert (answer.error, answer.details) == ((400, 21405), [detail])


async def test_date_without_an_offset_is_utc(wire: Wire, session: OpenedSession) -> None:
    await session.outcome(wire.invoice())
    wire.advance(STORED)

    found = []
    for start in ("10:00:00", "10:00:06", "12:00:00+02:00"):
        answer = await wire.call("POST", QUERY, session.access, json=query({"from": f"2026-07-01T{start}"}))
        found.append(len(answer.json["invoices"]))

    assert found == [1, 0, 1]


@pytest.mark.parametrize(
    ("start", "found"),
    [
        pytest.param("2026-07-01T21:59:00Z", 1, id="that day in Poland"),
        pytest.param("2026-07-01T22:01:00Z", 0, id="the next day in Poland"),
        pytest.param("2026-07-02T00:30:00+02:00", 0, id="with an offset"),
    ],
)
async def test_day_of_issue_is_a_day_in_poland(start: str, found: int) -> None:
    async with connected(clock=Clock(datetime(2026, 7, 3, tzinfo=UTC), ticking=False)) as wire:
        session = await wire.open((await wire.tokens()).access)
        await session.outcome(sample_invoice(wire.sandbox.nip, issued_on=date(2026, 7, 1)))
        wire.advance(STORED)

        answer = await wire.call("POST", QUERY, session.access, json=query({"dateType": "Issue", "from": start}))

    assert len(answer.json["invoices"]) == found


# --- invoices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["FV 7", " FV 7 ", "FV\t7", "FV  7"])
async def test_numbers_that_differ_in_blanks_are_one(wire: Wire, session: OpenedSession, number: str) -> None:
    first = await session.outcome(wire.invoice("FV 7"))

    again = await session.outcome(wire.invoice("other").replace(b"<P_2>other", f"<P_2>{number}".encode()))

    assert (again["status"]["code"], again["invoiceNumber"]) == (440, "FV 7")
    assert again["status"]["extensions"]["originalKsefNumber"] == first["ksefNumber"]


async def test_wrong_internal_identifier_is_named(wire: Wire, tokens: Tokens) -> None:
    session = await wire.open(tokens.access, feature=CHECKED)
    third = (
        b"<Podmiot3><DaneIdentyfikacyjne><IDWew>5265877635-12340</IDWew><Nazwa>O</Nazwa></DaneIdentyfikacyjne>"
        b"<Rola>2</Rola></Podmiot3><Fa>"
    )

    outcome = await session.outcome(wire.invoice().replace(b"<Fa>", third, 1))

    assert outcome["status"]["code"] == 450
    detail = "Identyfikator wewnętrzny podmiotu trzeciego: '5265877635-12340' jest nieprawidłowy."
    assert outcome["status"]["details"] == [detail]


DISCOURAGED = [
    pytest.param((b"przyk", "przy\x85\ufdd0k".encode()), id="Unicode"),
    pytest.param((b"<Faktura", b"<?xml-stylesheet href='x'?><Faktura"), id="processing instruction"),
]


@pytest.mark.parametrize("change", DISCOURAGED)
async def test_discouraged_xml_is_refused_on_test(
    wire: Wire, session: OpenedSession, change: tuple[bytes, bytes]
) -> None:
    sent = await session.send(wire.invoice().replace(*change, 1))
    wire.advance(2)

    status = (await session.get(f"/invoices/{sent.json['referenceNumber']}")).json["status"]
    assert (status["code"], "X-System-Warning" in sent.headers) == (450, False)


@pytest.mark.parametrize("change", DISCOURAGED)
async def test_discouraged_xml_is_taken_with_a_warning_on_production(change: tuple[bytes, bytes]) -> None:
    async with connected(production=True) as wire:
        session = await wire.open((await wire.tokens()).access)

        plain = await session.send(wire.invoice("FV/1"))
        sent = await session.send(wire.invoice("FV/2").replace(*change, 1))
        wire.advance(2)

        status = (await session.get(f"/invoices/{sent.json['referenceNumber']}")).json["status"]
    assert status["code"] == 200
    assert re.match(r"\[xml-002\]: [\x20-\x7e]+", sent.headers["X-System-Warning"])
    assert "X-System-Warning" not in plain.headers


async def test_production_takes_only_forms_that_are_in_force() -> None:
    form = {"systemCode": "FA (2)", "schemaVersion": "1-0E", "value": "FA"}
    async with connected(production=True) as wire:
        request = (await wire.open_request(b"k" * 32, b"i" * 16)) | {"formCode": form}
        answer = await wire.call("POST", "/sessions/online", (await wire.tokens()).access, json=request)

    assert (answer.error, answer.details) == ((400, 21405), UNKNOWN_FORM)


async def test_production_trusts_no_certificate_that_signs_itself() -> None:
    async with connected(production=True) as wire:
        assert await refusal(wire, await log_in(wire, signer())) == (460, ["Niezaufany łańcuch certyfikatów"])


async def test_production_makes_up_no_test_data() -> None:
    async with connected(production=True) as wire:
        answer = await wire.call("POST", "/testdata/subject", json={})

        assert (answer.status, answer.body) == (404, b"")


async def test_storage_may_come_before_acquisition() -> None:
    timings = attrs.evolve(SECOND_BY_SECOND, storage_lag=-1)
    async with connected(timings=timings) as wire:
        session = await wire.open((await wire.tokens()).access)
        await session.send(wire.invoice())
        wanted = query({"from": START.isoformat()})

        early = (await wire.call("POST", QUERY, session.access, json=wanted)).json["invoices"]
        wire.advance(STORED)
        (row,) = (await wire.call("POST", QUERY, session.access, json=wanted)).json["invoices"]

    assert early == []
    stored, acquired = (datetime.fromisoformat(row[name]) for name in ("permanentStorageDate", "acquisitionDate"))
    assert stored < acquired


# --- bodies of other types --------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["application/pdf", "application/json", "application/xml;q=0", "text/html, image/*"])
async def test_answer_the_caller_does_not_take_is_406(wire: Wire, session: OpenedSession, accept: str) -> None:
    accepted = await session.outcome(wire.invoice())
    wire.advance(STORED)
    path = f"/invoices/ksef/{accepted['ksefNumber']}"

    answer = await wire.call("GET", path, session.access, headers={"Accept": accept})

    assert (answer.status, answer.body) == (406, b"")


@pytest.mark.parametrize("accept", ["*/*", "application/*", "application/xml", "text/html, application/XML ; q=1"])
async def test_answer_the_caller_takes_is_given(wire: Wire, session: OpenedSession, accept: str) -> None:
    accepted = await session.outcome(wire.invoice())
    wire.advance(STORED)
    path = f"/invoices/ksef/{accepted['ksefNumber']}"

    answer = await wire.call("GET", path, session.access, headers={"Accept": accept})

    assert (answer.status, answer.body) == (200, wire.invoice())


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_wrong_method_is_405(wire: Wire, method: str) -> None:
    answer = await wire.call(method, "/auth/token/redeem")

    assert (answer.status, answer.body, answer.headers["Allow"]) == (405, b"", "POST")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("application/octet-stream", 415),
        ("application/xml", 415),
        ("application/json", 400),
        ("application/json; charset=utf-8", 400),
        ("text/json", 400),
        ("application/merge-patch+json", 400),
    ],
)
async def test_json_is_taken_as_json_only(wire: Wire, tokens: Tokens, content_type: str, status: int) -> None:
    answer = await wire.call("POST", QUERY, tokens.access, data=b"{}", headers={"Content-Type": content_type})

    assert answer.status == status
