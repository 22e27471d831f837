"""The addresses behind the sandbox's page: what they tell, and whom they obey."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import anyio
import pytest
from clients import ONCE, connected
from official import SAMPLES, needs
from readable import office_invoice

from ksef_async import FormCode, InvoiceRejectedError, KsefClient, ServerError
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.packing import pack
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sandbox.inbox.reading import amount, read_invoice, read_ubl

DAY = date(2026, 3, 2)


class Inbox:
    def __init__(self, sandbox: Sandbox, http: aiohttp.ClientSession) -> None:
        self.url = sandbox.environment.base_url.removesuffix("/v2")
        self._http = http

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        async with self._http.get(self.url + path, headers=headers) as response:
            return response.status, await response.json()

    async def token(self) -> str:
        async with self._http.get(self.url + "/") as response:
            match = re.search(r'name="inbox-token" content="([^"]+)"', await response.text())
            assert match is not None
            return match[1]

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, Any]:
        async with self._http.post(self.url + path, data=json.dumps(body), headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def inbox(sandbox: Sandbox) -> AsyncIterator[Inbox]:
    async with aiohttp.ClientSession() as http:
        yield Inbox(sandbox, http)


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    async with connected(sandbox, retry=ONCE) as client:
        yield client


async def test_session_and_its_invoices_are_told(sandbox: Sandbox, client: KsefClient, inbox: Inbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        accepted = await (await session.send(office_invoice(sandbox.nip, "FV/7", DAY))).outcome()
        with pytest.raises(InvoiceRejectedError):
            await (await session.send(office_invoice(sandbox.nip, "FV/7", DAY, seller="Inny"))).outcome()
    await session.upo()

    _, state = await inbox.get("/inbox/state")
    _, told = await inbox.get(f"/inbox/sessions/{session.reference_number}")
    first, second = reversed(told["invoices"])
    path = f"/inbox/sessions/{session.reference_number}/invoices/{first['referenceNumber']}"
    _, invoice = await inbox.get(path)

    assert [one["referenceNumber"] for one in state["sessions"]] == [session.reference_number]
    assert [moment["code"] for moment in told["timeline"]] == [100, 170, 200]
    assert (first["ksefNumber"], first["state"]["mood"]) == (accepted.ksef_number, "success")
    assert (second["ksefNumber"], second["state"]["code"], second["state"]["mood"]) == (None, 440, "failure")
    assert [moment["code"] for moment in invoice["timeline"]] == [100, 150, 200]
    assert invoice["document"]["read"]["total"] == "8\N{NO-BREAK SPACE}394,86"
    assert accepted.ksef_number in invoice["upo"]
    assert invoice["document"]["xml"].encode() == office_invoice(sandbox.nip, "FV/7", DAY)


async def test_state_before_the_verdict_tells_nothing_of_it(still_sandbox: Sandbox) -> None:
    async with connected(still_sandbox) as client, aiohttp.ClientSession() as http:
        inbox = Inbox(still_sandbox, http)
        session = await client.sessions.open_online(FormCode.FA3)
        async with session:
            await session.send(sample_invoice(still_sandbox.nip))

            _, told = await inbox.get(f"/inbox/sessions/{session.reference_number}")
            (row,) = told["invoices"]
            _, invoice = await inbox.get(
                f"/inbox/sessions/{session.reference_number}/invoices/{row['referenceNumber']}"
            )

    assert (row["state"]["code"], row["number"], row["ksefNumber"]) == (100, None, None)
    assert invoice["upo"] is None


async def test_requests_and_faults_are_told(sandbox: Sandbox, client: KsefClient, inbox: Inbox) -> None:
    token = await inbox.token()
    plan = {"fault": "server_error", "operation": "get_rate_limits", "times": 2}

    status, _ = await inbox.post("/inbox/faults", plan, **{"X-Inbox-Token": token})
    with pytest.raises(ServerError):
        await client.call(GET_RATE_LIMITS)

    assert status == 200
    _, state = await inbox.get("/inbox/state")
    assert state["requests"][0]["operation"] == "get_rate_limits"
    assert (state["requests"][0]["status"], state["requests"][0]["fault"]) == (500, "crash")
    assert state["faults"]["planned"] == [{"operation": "get_rate_limits", "kind": "crash", "times": 1, "chance": 1.0}]
    await inbox.post("/inbox/faults/clear", {}, **{"X-Inbox-Token": token})
    assert sandbox.faults.planned == ()


async def test_every_fault_offered_can_be_planned(sandbox: Sandbox, inbox: Inbox) -> None:
    token = await inbox.token()
    _, state = await inbox.get("/inbox/state")

    for preset in state["faults"]["presets"]:
        plan = {"fault": preset["id"], "operation": ""}
        assert (await inbox.post("/inbox/faults", plan, **{"X-Inbox-Token": token}))[0] == 200

    assert len(sandbox.faults.planned) == len(state["faults"]["presets"]) > 10


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/inbox/faults", {"fault": "fire"}, id="unknown fault"),
        pytest.param("/inbox/faults", {"fault": "stuck", "operation": "fly"}, id="unknown operation"),
        pytest.param("/inbox/faults", {"fault": "stuck", "times": 0}, id="no time"),
        pytest.param("/inbox/faults", [], id="no object"),
        pytest.param("/inbox/clock", {"seconds": -1}, id="backwards"),
        pytest.param("/inbox/clock", {"seconds": "soon"}, id="no number"),
        pytest.param("/inbox/clock", {}, id="nothing"),
    ],
)
async def test_nonsense_is_refused(inbox: Inbox, path: str, body: object) -> None:
    status, answer = await inbox.post(path, body, **{"X-Inbox-Token": await inbox.token()})

    assert status == 400
    assert answer["error"]


@pytest.mark.parametrize("path", ["/inbox/clock", "/inbox/faults", "/inbox/faults/clear"])
async def test_only_the_page_itself_is_obeyed(sandbox: Sandbox, inbox: Inbox, path: str) -> None:
    token, before = await inbox.token(), sandbox.clock.now()
    body = {"seconds": 3600, "fault": "stuck"}

    for headers in ({}, {"X-Inbox-Token": "guess"}, {"X-Inbox-Token": token, "Origin": "http://evil.example"}):
        status, _ = await inbox.post(path, body, **headers)
        assert status == 403

    assert (sandbox.clock.now() - before).total_seconds() < 60
    assert sandbox.faults.planned == ()
    assert (await inbox.post(path, body, **{"X-Inbox-Token": token, "Origin": inbox.url}))[0] == 200


async def test_foreign_name_of_this_machine_is_not_answered(inbox: Inbox) -> None:
    # A web page whose name is made to lead to 127.0.0.1 (DNS rebinding) would be of the same origin.
    async with aiohttp.ClientSession() as http:
        for path in ("/", "/inbox/state", "/inbox/inbox.js"):
            async with http.get(inbox.url + path, headers={"Host": "evil.example"}) as response:
                assert (response.status, await response.read()) == (404, b"")


#: What stands in ``Host``, and how the page answers: it is there under names of this machine only.
HOSTS: dict[str, tuple[bytes | None, int]] = {
    "none": (None, 200),
    "loopback": (b"127.0.0.1:1", 200),
    "loopback of IPv6": (b"[::1]:8000", 200),
    "localhost": (b"LocalHost", 200),
    "empty": (b"", 404),
    "another name": (b"evil.example", 404),
    "another name that begins alike": (b"127.0.0.1.evil.example", 404),
    "user before it": (b"127.0.0.1@evil.example", 404),
    "broken brackets": (b"[", 404),
    "brackets without an address": (b"[localhost]", 404),
    "no port": (b"localhost:port", 200),
    "a script": (b"<script>alert(1)</script>", 404),
    "long": (b"a" * 4000, 404),
    "Unicode": ("łódź.example".encode(), 404),
    "Unicode that changes when it is normalized": ("evil．example℀".encode(), 404),
    "not UTF-8": (b"\xff\xfe", 404),
}


def called_by(host: bytes | None) -> bytes:
    """What follows the path; only HTTP/1.0 may leave the host out."""
    return b"HTTP/1.0\r\n" if host is None else b"HTTP/1.1\r\nHost: " + host + b"\r\n"


async def over_socket(url: str, head: bytes) -> tuple[int, bytes]:
    """An answer to a request that no library would send."""
    address = urlsplit(url)
    async with await anyio.connect_tcp(address.hostname or "", address.port or 0) as stream:
        await stream.send(head + b"Connection: close\r\n\r\n")
        answer = b""
        with contextlib.suppress(anyio.EndOfStream):
            while True:
                answer += await stream.receive()
    return int(answer.split(b" ")[1]), answer


@pytest.mark.parametrize("path", ["/", "/inbox/state", "/inbox/sessions/none"])
async def test_page_survives_any_host(inbox: Inbox, path: str) -> None:
    statuses: dict[str, int] = {}
    repeated: list[str] = []
    for name, (host, _) in HOSTS.items():
        statuses[name], answer = await over_socket(inbox.url, f"GET {path} ".encode() + called_by(host))
        if path == "/inbox/state" and statuses[name] == 200:
            # Links are right whatever the page was called by.
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["baseUrl"] == f"{inbox.url}/v2"
        if host and len(host) >= 12 and host in answer:
            repeated.append(name)

    missing = path == "/inbox/sessions/none"
    assert statuses == {name: 404 if missing else expected for name, (_, expected) in HOSTS.items()}
    assert repeated == []


@pytest.mark.parametrize("path", ["/v2/auth/challenge", "/v2/nothing", "/nothing", "/storage/nothing"])
async def test_api_answers_whatever_the_host_is(inbox: Inbox, path: str) -> None:
    statuses: dict[str, int] = {}
    for name, (host, _) in HOSTS.items():
        head = f"POST {path} ".encode() + called_by(host) + b"Content-Length: 0\r\n"
        statuses[name], _ = await over_socket(inbox.url, head)

    expected = (200,) if path == "/v2/auth/challenge" else (404, 405)
    assert {name: status for name, status in statuses.items() if status not in expected} == {}


async def test_page_behind_a_public_url_is_answered_under_its_name() -> None:
    async with Sandbox(public_url="https://ksef.example:8443") as sandbox, aiohttp.ClientSession() as http:
        own = sandbox.environment.base_url.removesuffix("/v2")
        host = {"Host": "ksef.example:8443"}
        async with http.get(f"{own}/", headers=host) as page:
            found = re.search(r'name="inbox-token" content="([^"]+)"', await page.text())
        assert found is not None
        async with http.get(f"{own}/inbox/state", headers=host) as state:
            told = await state.json()
        answers = {}
        for origin in ("https://ksef.example:8443", "https://ksef.example", "https://evil.example"):
            headers = {**host, "X-Inbox-Token": found[1], "Origin": origin}
            async with http.post(f"{own}/inbox/clock", json={"seconds": 1}, headers=headers) as moved:
                answers[origin] = moved.status

    assert told["baseUrl"] == "https://ksef.example:8443/v2"
    assert answers == {
        "https://ksef.example:8443": 200,
        "https://ksef.example": 403,
        "https://evil.example": 403,
    }


async def test_token_of_bytes_that_are_no_text_is_refused(inbox: Inbox) -> None:
    head = b"POST /inbox/clock HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nX-Inbox-Token: \xff\xfe\r\n"

    status, _ = await over_socket(inbox.url, head)

    assert status == 403


@pytest.mark.parametrize("path", ["/", "/inbox/inbox.css", "/inbox/inbox.js", "/inbox/state", "/inbox/sessions/none"])
async def test_answers_can_be_used_by_the_page_only(inbox: Inbox, path: str) -> None:
    async with aiohttp.ClientSession() as http, http.get(inbox.url + path) as response:
        policy = response.headers["Content-Security-Policy"]
        text = await response.text()

    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "").replace(inbox.url, "")


async def test_nothing_secret_is_told(sandbox: Sandbox, client: KsefClient, inbox: Inbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(sample_invoice(sandbox.nip))
        await sent.outcome()
        await sent.upo()
    await session.upo()

    _, state = await inbox.get("/inbox/state")
    _, told = await inbox.get(f"/inbox/sessions/{session.reference_number}")
    text = json.dumps([state, told])

    assert any(one["operation"] == "storage" for one in state["requests"])
    assert sandbox.token not in text
    assert not re.search(r"eyJ[\w-]{10,}\.|sig=|\|nip-", text)


async def test_what_is_not_there_is_not_found(sandbox: Sandbox, client: KsefClient, inbox: Inbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        status, answer = await inbox.get(f"/inbox/sessions/{session.reference_number}/invoices/none")

    assert (status, answer) == (404, {"error": "There is no such invoice."})


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("1230", "1 230,00"),
        ("-1234567.5", "−1 234 567,50"),
        ("0.12345", "0,12345"),
        ("about ten", "about ten"),
        ("NaN", "NaN"),
        ("1e999999", "1e999999"),
        ("", ""),
    ],
)
def test_amounts_are_written_as_in_poland(text: str, written: str) -> None:
    assert amount(text).replace("\N{NO-BREAK SPACE}", " ") == written


def test_peppol_document_is_read() -> None:
    ubl = b"""<Invoice xmlns="urn:i" xmlns:c="urn:c"><c:ID>PEF/1</c:ID><c:IssueDate>2026-03-02</c:IssueDate>
      <c:DocumentCurrencyCode>EUR</c:DocumentCurrencyCode><c:AccountingSupplierParty><c:Party>
      <c:PartyLegalEntity><c:RegistrationName>Huta</c:RegistrationName></c:PartyLegalEntity></c:Party>
      </c:AccountingSupplierParty><c:LegalMonetaryTotal><c:PayableAmount>12.5</c:PayableAmount></c:LegalMonetaryTotal>
      <c:InvoiceLine><c:ID>1</c:ID><c:InvoicedQuantity unitCode="KGM">2.5</c:InvoicedQuantity>
      <c:LineExtensionAmount>10</c:LineExtensionAmount><c:Item><c:Name>Blacha</c:Name></c:Item></c:InvoiceLine></Invoice>"""

    read = read_ubl(ubl)

    assert read is not None
    assert (read.number, read.parties[0].name, read.total, read.currency) == ("PEF/1", "Huta", "12,50", "EUR")
    assert (read.lines[0].name, read.lines[0].quantity, read.lines[0].unit) == ("Blacha", "2,5", "KGM")
    assert read_invoice(ubl) is None


@needs(SAMPLES)
@pytest.mark.parametrize("file", sorted(SAMPLES.glob("*.xml")), ids=lambda file: file.stem)
def test_official_samples_are_read(file: Path) -> None:
    read = read_invoice(file.read_bytes())

    assert read is not None
    assert read.number
    assert read.total
    assert {"Sprzedawca", "Nabywca"} <= {party.role for party in read.parties}
    assert all(line.name for line in read.lines)


async def test_batch_session_is_told(sandbox: Sandbox, client: KsefClient, inbox: Inbox, tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_bytes(office_invoice(sandbox.nip, "FV/8", DAY))
    async with pack(tmp_path) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        await session.upo()

    _, told = await inbox.get(f"/inbox/sessions/{session.reference_number}")
    (row,) = told["invoices"]
    _, invoice = await inbox.get(f"/inbox/sessions/{session.reference_number}/invoices/{row['referenceNumber']}")

    assert told["kind"] == "Batch"
    assert [moment["code"] for moment in told["timeline"]] == [100, 150, 200]
    assert invoice["document"]["read"]["number"] == "FV/8"
