"""A KSeF of an older version, over raw HTTP: what was not there yet is not there."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Any

import pytest
from packages import zipped
from sandbox.test_batch import BLOB, Batch, opened
from sandbox.wire import PUBLIC_KEYS, START, Wire, connected

from ksef_async.api.rates import PRODUCTION_LIMITS
from ksef_async.sandbox.versions import VERSIONS

EVERY = pytest.mark.parametrize("version", VERSIONS)
CLOSES = {"onlineSessionClose", "batchSessionClose"}


def at_least(version: str, since: str) -> bool:
    return [*map(int, version.split("."))] >= [*map(int, since.split("."))]


@EVERY
async def test_limits_have_the_groups_of_their_version(version: str) -> None:
    async with connected(api_version=version, rate_limits=PRODUCTION_LIMITS) as wire:
        access = (await wire.tokens()).access

        rates = (await wire.call("GET", "/rate-limits", access)).json
        context = (await wire.call("GET", "/limits/context", access)).json

    newer = CLOSES | {"collectiveIdentifier", "anonymous", "global"}
    assert set(rates) & newer == (newer if version == "2.9.0" else set())
    assert len(rates) == (17 if version == "2.9.0" else 12)
    assert ("collectiveIdentifier" in context) == (version == "2.9.0")


@EVERY
async def test_keys_have_identifiers_since_2_5(version: str) -> None:
    async with connected(api_version=version) as wire:
        (row, _) = (await wire.call("GET", PUBLIC_KEYS)).json
        challenge = (await wire.call("POST", "/auth/challenge")).json

    assert {"publicKeyId", "certificateId"} <= set(row) or not at_least(version, "2.5.0")
    assert ("publicKeyId" in row) == ("certificateId" in row) == at_least(version, "2.5.0")
    assert ("clientIp" in challenge) == at_least(version, "2.2.0")


@pytest.mark.parametrize("path", ["/collective-identifiers", "/collective-identifiers/query"])
async def test_newer_operation_is_not_there(path: str) -> None:
    async with connected(api_version="2.6") as wire:
        tokens = await wire.tokens()

        answer = await wire.call("POST", path, tokens.access, json={})

        assert (answer.status, answer.body) == (404, b"")


async def test_newer_permission_is_not_there() -> None:
    async with connected(api_version="2.6") as wire:
        tokens = await wire.tokens()
        subject = {"type": "Nip", "value": "5265877635"}
        details = {"subjectDetailsType": "PersonByIdentifier", "personById": {"firstName": "A", "lastName": "B"}}
        request = {
            "subjectIdentifier": subject,
            "permissions": ["collectiveidentifiermanage"],
            "description": "For the office",
            "subjectDetails": details,
        }

        answer = await wire.call("POST", "/permissions/persons/grants", tokens.access, json=request)

    assert answer.error == (400, 21405)
    assert answer.details == ["'permissions' has a range of values which does not include it."]
    claims = json.loads(urlsafe_b64decode(tokens.access.split(".")[1] + "=="))
    assert claims["per"] == '["Owner"]'


@pytest.mark.parametrize(("version", "suffix"), [("2.5.0", ".zip.enc"), ("2.6.0", ".tar.gz.enc")])
async def test_newer_field_of_a_request_is_ignored(version: str, suffix: str) -> None:
    """Before 2.6 every package is a Zip, whatever a request says."""
    async with connected(api_version=version) as wire:
        batch = await opened(wire, await wire.tokens(), b"a package", batchFile={"compressionType": "TarGz"})

    assert suffix in batch.requests[0]["url"]


async def test_limits_are_overridden_without_what_is_newer() -> None:
    session = {"maxInvoiceSizeInMB": 1, "maxInvoiceWithAttachmentSizeInMB": 3, "maxInvoices": 7}
    limits = {"onlineSession": session, "batchSession": session}
    async with connected(api_version="2.6", rate_limits=PRODUCTION_LIMITS) as wire:
        access = (await wire.tokens()).access
        rates = (await wire.call("GET", "/rate-limits", access)).json
        groups = {name: {**limit, "perHour": limit["perHour"] + 1} for name, limit in rates.items()}

        answers = [
            await wire.call("POST", "/testdata/limits/context/session", access, json=limits),
            await wire.call("POST", "/testdata/rate-limits", access, json={"rateLimits": groups}),
        ]

        assert [answer.status for answer in answers] == [200, 200]
        assert (await wire.call("GET", "/limits/context", access)).json == limits
        assert (await wire.call("GET", "/rate-limits", access)).json == groups


@pytest.mark.parametrize(("version", "status"), [("2.6", 429), ("2.9", 201)])
async def test_closing_counted_as_opening_does_before_2_9(version: str, status: int) -> None:
    async with connected(api_version=version, rate_limits=PRODUCTION_LIMITS) as wire:
        access = (await wire.tokens()).access
        for _ in range(PRODUCTION_LIMITS.online_session.per_minute // 2):
            wire.advance(1)
            session = await wire.open(access)
            assert (await session.close()).status == 204

        request = await wire.open_request(b"k" * 32, b"i" * 16)
        answer = await wire.call("POST", "/sessions/online", access, json=request)

    assert answer.status == status


@pytest.mark.parametrize(
    ("version", "content_type"),
    [("2.2.1", "application/json"), ("2.4.0", "application/problem+json")],
)
async def test_problem_details_are_there_since_2_4(version: str, content_type: str) -> None:
    async with connected(api_version=version) as wire:
        answer = await wire.call("POST", "/auth/ksef-token", json={}, headers={"X-Error-Format": "problem-details"})

    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (400, content_type)


@pytest.mark.parametrize(("version", "code"), [("2.6", 21405), ("2.9", 21001)])
async def test_unreadable_body_has_a_code_of_its_own_since_2_9(version: str, code: int) -> None:
    async with connected(api_version=version) as wire:
        headers = {"Content-Type": "application/json"}

        assert (await wire.call("POST", "/auth/ksef-token", data=b"{", headers=headers)).error == (400, code)


async def exported(wire: Wire, access: str) -> Any:
    request = await wire.open_request(b"k" * 32, b"i" * 16)
    dates = {"dateType": "PermanentStorage", "from": START.isoformat()}
    wanted = {
        "encryption": request["encryption"],
        "filters": {"subjectType": "Subject1", "dateRange": dates},
        "compressionType": "TarGz",
    }
    started = await wire.call("POST", "/invoices/exports", access, json=wanted)
    assert started.status == 201, started.body
    wire.advance(1)
    return (await wire.call("GET", f"/invoices/exports/{started.json['referenceNumber']}", access)).json


async def sent_in_a_batch(wire: Wire) -> Batch:
    batch = await opened(wire, await wire.tokens(), zipped([("a.xml", wire.invoice("B/1"))]))
    for number, request in enumerate(batch.requests, 1):
        assert request["headers"] == BLOB
        assert (await batch.put(number)).status == 201
    assert (await batch.close()).status == 204
    await batch.processed()
    wire.advance(5)
    return batch


@EVERY
async def test_everything_goes_on_as_ever(version: str) -> None:
    async with connected(api_version=version) as wire:
        tokens = await wire.tokens()
        session = await wire.open(tokens.access)
        outcome = await session.outcome(wire.invoice("O/1"))
        assert (await session.close()).status == 204
        batch = await sent_in_a_batch(wire)
        export = await exported(wire, tokens.access)

        assert outcome["status"]["code"] == 200
        assert (await batch.status())[0] == 200
        assert (export["status"]["code"], export["package"]["invoiceCount"]) == (200, 2)
        assert ("compressionType" in export["package"]) == (version == "2.9.0")
        name = export["package"]["parts"][0]["partName"]
        assert (".tar.gz." in name) == at_least(version, "2.6.0")
