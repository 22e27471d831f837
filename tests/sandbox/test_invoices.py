"""Receiving at the sandbox, with JSON written by hand."""

from __future__ import annotations

import io
import json
import secrets
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from official import SAMPLES, needs
from sandbox.wire import OAEP, SECOND_BY_SECOND, OpenedSession, Tokens, Wire, base64, connected, sha256

from ksef_async.protocol.xml import parse_xml
from ksef_async.sandbox import Clock

BUYER = "5265877635"
QUERY = "/invoices/query/metadata"
EXPORTS = "/invoices/exports"
#: Until an invoice that was accepted is stored, and the high-water mark has passed it.
STORED = 2


def query(subject: str = "Subject2", date_type: str = "PermanentStorage", **changes: Any) -> dict[str, Any]:
    dates = {"dateType": date_type, "from": "2026-07-01T00:00:00Z", **changes.pop("dates", {})}
    return {"subjectType": subject, "dateRange": dates, **changes}


async def export_request(wire: Wire, **changes: Any) -> tuple[dict[str, Any], bytes, bytes]:
    key, iv = secrets.token_bytes(32), secrets.token_bytes(16)
    public_key, key_id = await wire.public_key("SymmetricKeyEncryption")
    encryption = {
        "encryptedSymmetricKey": base64(public_key.encrypt(key, OAEP)),
        "initializationVector": base64(iv),
        "publicKeyId": key_id,
    }
    return {"encryption": encryption, "filters": query(), **changes}, key, iv


def decrypt(ciphertext: bytes, key: bytes, iv: bytes) -> bytes:
    padded = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor().update(ciphertext)
    return padded[: -padded[-1]]


@pytest.fixture
async def buyer(wire: Wire) -> Tokens:
    return await wire.tokens(nip=BUYER, token=wire.sandbox.issue_token(BUYER))


async def test_invoice_passes_from_unknown_to_accepted_to_stored(
    wire: Wire, session: OpenedSession, buyer: Tokens
) -> None:
    document = wire.invoice(buyer_nip=BUYER)
    accepted = await session.outcome(document)
    path = f"/invoices/ksef/{accepted['ksefNumber']}"

    assert (await wire.call("GET", path, buyer.access)).error == (400, 21165)
    assert (await wire.call("POST", QUERY, buyer.access, json=query())).json["invoices"] == []
    wire.advance(STORED)

    answer = await wire.call("GET", path, buyer.access)
    assert (answer.status, answer.body) == (200, document)
    assert answer.headers["x-ms-meta-hash"] == sha256(document)
    (row,) = (await wire.call("POST", QUERY, buyer.access, json=query())).json["invoices"]
    shown = (await session.get(f"/invoices/{accepted['referenceNumber']}")).json
    assert row["permanentStorageDate"] == shown["permanentStorageDate"]
    assert row == {
        "ksefNumber": accepted["ksefNumber"],
        "invoiceNumber": "FV/1",
        "issueDate": "2026-07-01",
        "invoicingDate": accepted["invoicingDate"],
        "acquisitionDate": accepted["acquisitionDate"],
        "permanentStorageDate": row["permanentStorageDate"],
        "seller": {"nip": wire.sandbox.nip, "name": "Sprzedawca sp. z o.o."},
        "buyer": {"identifier": {"type": "Nip", "value": BUYER}, "name": "Nabywca S.A."},
        "netAmount": 1000.0,
        "grossAmount": 1230.0,
        "vatAmount": 230.0,
        "currency": "PLN",
        "invoicingMode": "Online",
        "invoiceType": "Vat",
        "formCode": {"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"},
        "isSelfInvoicing": False,
        "hasAttachment": False,
        "invoiceHash": sha256(document),
    }


async def test_stranger_learns_nothing(wire: Wire, session: OpenedSession, buyer: Tokens) -> None:
    accepted = await session.outcome(wire.invoice(buyer_nip="1111111111"))
    wire.advance(STORED)

    assert (await wire.call("GET", f"/invoices/ksef/{accepted['ksefNumber']}", buyer.access)).error == (400, 21164)
    for subject in ("Subject1", "Subject2", "Subject3", "SubjectAuthorized"):
        assert (await wire.call("POST", QUERY, buyer.access, json=query(subject))).json["invoices"] == []


PARTY = (
    "<{0}><DaneIdentyfikacyjne><NIP>5265877635</NIP><Nazwa>Trzeci</Nazwa></DaneIdentyfikacyjne>"
    "<Adres><KodKraju>PL</KodKraju><AdresL1>ul. Trzecia 3</AdresL1></Adres><{1}>{2}</{1}></{0}>"
)


@pytest.mark.parametrize(
    ("element", "role", "subject", "field", "told"),
    [
        ("Podmiot3", "Rola", "Subject3", "thirdSubjects",
         [{"identifier": {"type": "Nip", "value": BUYER}, "name": "Trzeci", "role": 2}]),
        ("PodmiotUpowazniony", "RolaPU", "SubjectAuthorized", "authorizedSubject",
         {"nip": BUYER, "name": "Trzeci", "role": 2}),
    ],
)  # fmt: skip
async def test_other_parties_see_an_invoice_too(
    wire: Wire, session: OpenedSession, buyer: Tokens, element: str, role: str, subject: str, field: str, told: object
) -> None:
    party = PARTY.format(element, role, 2).encode()
    await session.outcome(wire.invoice(buyer_nip="1111111111").replace(b"<Fa>", party + b"<Fa>"))
    wire.advance(STORED)

    (row,) = (await wire.call("POST", QUERY, buyer.access, json=query(subject))).json["invoices"]

    assert row[field] == told
    assert (await wire.call("POST", QUERY, buyer.access, json=query("Subject2"))).json["invoices"] == []


async def test_query_is_read_tolerantly(wire: Wire, session: OpenedSession, buyer: Tokens) -> None:
    await session.outcome(wire.invoice(buyer_nip=BUYER))
    wire.advance(STORED)
    loose = {
        "SUBJECTTYPE": "subject2",
        "dateRange": {"DateType": "permanentstorage", "From": "2026-07-01T00:00:00Z", "to": None},
        "ksefNumber": None,
        "somethingNew": 1,
    }

    answer = await wire.call("POST", f"{QUERY}?SortOrder=desc&pagesize=10", buyer.access, json=loose)

    assert len(answer.json["invoices"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"subjectType": "Subject4"}, id="subject"),
        pytest.param({"dateRange": {"dateType": "PermanentStorage"}}, id="no beginning"),
        pytest.param({"dateRange": {"dateType": "Birthday", "from": "2026-07-01T00:00:00Z"}}, id="date type"),
        pytest.param({"dateRange": {"dateType": "Issue", "from": "2026-01-01T00:00:00Z"}}, id="181 days"),
        pytest.param(
            {"dateRange": {"dateType": "Issue", "from": "2026-06-02T00:00:00Z", "to": "2026-06-01T00:00:00Z"}},
            id="backwards",
        ),
        pytest.param({"ksefNumber": "1"}, id="number"),
        pytest.param({"sellerNip": "123"}, id="seller"),
        pytest.param({"invoiceNumber": "x" * 257}, id="invoice number"),
        pytest.param({"currencyCodes": ["XYZ"]}, id="currency"),
        pytest.param({"amount": {"type": "Netto", "from": "1"}}, id="amount"),
        pytest.param({"invoiceTypes": ["Kwit"]}, id="type"),
    ],
)
async def test_query_that_makes_no_sense_is_refused(wire: Wire, buyer: Tokens, change: dict[str, Any]) -> None:
    answer = await wire.call("POST", QUERY, buyer.access, json=query() | change)

    assert answer.error == (400, 21405)
    assert answer.details


@pytest.mark.parametrize("parameters", ["sortOrder=Up", "pageSize=9", "pageSize=251", "pageOffset=-1"])
async def test_parameter_that_makes_no_sense_is_refused(wire: Wire, buyer: Tokens, parameters: str) -> None:
    assert (await wire.call("POST", f"{QUERY}?{parameters}", buyer.access, json=query())).error == (400, 21405)


async def test_export_brings_a_real_package(wire: Wire, session: OpenedSession, buyer: Tokens) -> None:
    document = wire.invoice(buyer_nip=BUYER)
    accepted = await session.outcome(document)
    wire.advance(STORED)
    request, key, iv = await export_request(wire)

    started = await wire.call("POST", EXPORTS, buyer.access, json=request)
    path = f"{EXPORTS}/{started.json['referenceNumber']}"
    early = await wire.call("GET", path, buyer.access)
    wire.advance(1)
    ready = (await wire.call("GET", path, buyer.access)).json

    assert (started.status, list(started.json)) == (201, ["referenceNumber"])
    assert early.json == {"status": {"code": 100, "description": "Eksport faktur w toku"}}
    assert ready["status"]["code"] == 200
    assert ready["packageExpirationDate"] > ready["completedDate"]
    package = ready["package"]
    (part,) = package["parts"]
    assert part["partName"] == f"{started.json['referenceNumber']}-001.zip.aes"
    fetched = await wire.call("GET", part["url"])
    assert (len(fetched.body), sha256(fetched.body)) == (part["encryptedPartSize"], part["encryptedPartHash"])
    assert fetched.headers["x-ms-meta-hash"] == sha256(fetched.body)
    archive = decrypt(fetched.body, key, iv)
    assert (len(archive), sha256(archive)) == (part["partSize"], part["partHash"])
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        assert set(packed.namelist()) == {f"{accepted['ksefNumber']}.xml", "_metadata.json"}
        assert packed.read(f"{accepted['ksefNumber']}.xml") == document
        told = json.loads(packed.read("_metadata.json"))
    assert told["invoices"] == (await wire.call("POST", QUERY, buyer.access, json=query())).json["invoices"]


async def test_links_to_a_package_end_and_take_no_token(wire: Wire, session: OpenedSession, buyer: Tokens) -> None:
    await session.outcome(wire.invoice(buyer_nip=BUYER))
    wire.advance(STORED)
    request, _, _ = await export_request(wire)
    reference = (await wire.call("POST", EXPORTS, buyer.access, json=request)).json["referenceNumber"]
    wire.advance(1)
    ready = (await wire.call("GET", f"{EXPORTS}/{reference}", buyer.access)).json
    url = ready["package"]["parts"][0]["url"]

    assert (await wire.call("GET", url, buyer.access)).status == 400
    assert (await wire.call("GET", url.replace("-001.", "-002."))).status == 403
    wire.advance(3600 + 1)
    assert (await wire.call("GET", url)).status == 403
    again = (await wire.call("GET", f"{EXPORTS}/{reference}", (await wire.stranger()).access)).json
    assert (await wire.call("GET", again["package"]["parts"][0]["url"])).status == 200


async def test_export_is_its_owner_s_and_ages(buyer: Tokens, wire: Wire, tokens: Tokens) -> None:
    request, _, _ = await export_request(wire)
    reference = (await wire.call("POST", EXPORTS, buyer.access, json=request)).json["referenceNumber"]
    path = f"{EXPORTS}/{reference}"

    assert (await wire.call("GET", path, tokens.access)).status == 403
    unknown = f"{EXPORTS}/20250625-EH-2C3E6C8000-B675CF5D68-07"
    assert (await wire.call("GET", unknown, buyer.access)).error == (400, 21175)


@pytest.mark.parametrize(("age", "expected"), [(86400, 200), (3 * 86400, 210)], ids=["young", "expired"])
async def test_package_expires(age: float, expected: int) -> None:
    timings = attrs.evolve(SECOND_BY_SECOND, package_lifetime=2 * 86400, access_token_lifetime=20 * 86400)
    async with connected(timings=timings) as wire:
        access = (await wire.tokens()).access
        request, _, _ = await export_request(wire)
        reference = (await wire.call("POST", EXPORTS, access, json=request)).json["referenceNumber"]
        wire.advance(age)

        assert (await wire.call("GET", f"{EXPORTS}/{reference}", access)).json["status"]["code"] == expected
        wire.advance(8 * 86400)
        assert (await wire.call("GET", f"{EXPORTS}/{reference}", access)).status == 410


def with_short_iv(request: dict[str, Any]) -> None:
    request["encryption"]["initializationVector"] = base64(bytes(12))


def with_unknown_key(request: dict[str, Any]) -> None:
    request["encryption"]["publicKeyId"] = base64(bytes(32))


def with_other_compression(request: dict[str, Any]) -> None:
    request["compressionType"] = "Rar"


@pytest.mark.parametrize(
    ("change", "code"), [(with_short_iv, 21405), (with_unknown_key, 21470), (with_other_compression, 21405)]
)
async def test_export_that_cannot_be_made_is_refused(
    wire: Wire, buyer: Tokens, change: Callable[[dict[str, Any]], None], code: int
) -> None:
    request, _, _ = await export_request(wire)
    change(request)

    assert (await wire.call("POST", EXPORTS, buyer.access, json=request)).error == (400, code)


async def test_range_beyond_the_high_water_mark_shows_later_in_an_export(wire: Wire, buyer: Tokens) -> None:
    start = (wire.sandbox.clock.now() - timedelta(milliseconds=100)).isoformat()
    beyond = {"from": start, "restrictToPermanentStorageHwmDate": True}
    request, _, _ = await export_request(wire, filters=query(dates=beyond))

    assert (await wire.call("POST", QUERY, buyer.access, json=query(dates=beyond))).error == (400, 21183)
    reference = (await wire.call("POST", EXPORTS, buyer.access, json=request)).json["referenceNumber"]
    wire.advance(1)
    status = (await wire.call("GET", f"{EXPORTS}/{reference}", buyer.access)).json["status"]

    assert status["code"] == 420
    assert status["details"]


@needs(SAMPLES)
@pytest.mark.parametrize("number", range(1, 13))
async def test_official_sample_is_told_of_as_it_is(number: int) -> None:
    document = (SAMPLES / f"fa3-example-{number}.xml").read_bytes()
    root = parse_xml(document)
    nip = root.findtext("{*}Podmiot1/{*}DaneIdentyfikacyjne/{*}NIP") or ""

    # After all of them were issued.
    async with connected(nip=nip, clock=Clock(datetime(2026, 12, 1, tzinfo=UTC), ticking=False)) as wire:
        session = await wire.open((await wire.tokens()).access)
        await session.outcome(document)
        wire.advance(STORED)
        wanted = query("Subject1", dates={"from": "2026-11-30T00:00:00Z"})
        (row,) = (await wire.call("POST", QUERY, session.access, json=wanted)).json["invoices"]

    assert row["invoiceNumber"] == root.findtext("{*}Fa/{*}P_2")
    assert row["grossAmount"] == float(root.findtext("{*}Fa/{*}P_15") or "0")
    assert row["currency"] == root.findtext("{*}Fa/{*}KodWaluty")
    assert row["seller"]["nip"] == nip
    assert len(row.get("thirdSubjects", [])) == len(root.findall("{*}Podmiot3"))
    kind = root.findtext("{*}Fa/{*}RodzajFaktury")
    assert row["invoiceType"] == {"KOR_ZAL": "KorZal", "KOR_ROZ": "KorRoz"}.get(kind or "", (kind or "").capitalize())
