"""The addresses behind the sandbox's page: what they tell, and whom they obey."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
import anyio
import pytest
from clients import ONCE, RecordingTransport, connected
from readable import office_invoice

from ksef_async import FormCode, InvoiceRejectedError, KsefClient, ServerError, SessionType
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.api.sessions import CLOSE_ONLINE_SESSION, InvoicingMode
from ksef_async.packing import pack
from ksef_async.protocol import json as protocol_json
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.faults import DOWNLOAD_UPO
from ksef_async.sandbox.inbox.packaged import packaged, read_language, words_in
from ksef_async.sandbox.inbox.presets import PRESETS
from ksef_async.sandbox.inbox.search import InvoiceSearch
from ksef_async.sandbox.inbox.state import CODES, describe_session, describe_world
from ksef_async.sandbox.redacting import HIDDEN

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
    assert invoice["document"]["isDrawn"]
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
        plan = {"fault": preset, "operation": ""}
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


async def test_what_is_not_there_is_not_found(sandbox: Sandbox, client: KsefClient, inbox: Inbox) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        status, answer = await inbox.get(f"/inbox/sessions/{session.reference_number}/invoices/none")

    assert (status, answer) == (404, {"error": "There is no such invoice."})


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
    assert told["waits"] is None
    assert [moment["code"] for moment in told["timeline"]] == [100, 150, 200]
    assert invoice["document"]["isDrawn"]


# --- documents -------------------------------------------------------------------------------------------------------


async def first_invoice(sandbox: Sandbox, client: KsefClient, xml: bytes) -> str:
    """The address of the only invoice of a new session."""
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(xml, check=False)
        sandbox.clock.advance(60)
        return f"/inbox/sessions/{session.reference_number}/invoices/{sent.reference_number}"


@pytest.mark.parametrize(("language", "word"), [("pl", "Nabywca"), ("en", "Buyer")])
async def test_document_is_a_page_without_scripts(
    sandbox: Sandbox, client: KsefClient, inbox: Inbox, language: str, word: str
) -> None:
    path = await first_invoice(sandbox, client, office_invoice(sandbox.nip, "FV/1", DAY))

    async with aiohttp.ClientSession() as http, http.get(f"{inbox.url}{path}/page?language={language}") as response:
        page, policy = await response.text(), response.headers["Content-Security-Policy"]

    assert f'<html lang="{language}">' in page
    assert word in page
    assert "<script" not in page
    style = page.split("<style>")[1].split("</style>")[0]
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'; sandbox allow-same-origin"
    )


@pytest.mark.parametrize(
    "xml",
    [b"<Faktura><never-closed></Faktura>", b'<Invoice xmlns="urn:i"><ID>1</ID></Invoice>', b" "],
    ids=["not well-formed", "another form", "blank"],
)
async def test_document_of_no_known_form_is_shown_as_text_only(
    sandbox: Sandbox, client: KsefClient, inbox: Inbox, xml: bytes
) -> None:
    path = await first_invoice(sandbox, client, xml)

    _, invoice = await inbox.get(path)
    status, answer = await inbox.get(f"{path}/page")

    assert invoice["document"] == {"xml": xml.decode("utf-8", "replace"), "isCut": False, "isDrawn": False}
    assert (status, answer) == (404, {"error": "This document is not drawn."})


# --- search ----------------------------------------------------------------------------------------------------------


async def test_search_finds_by_number_nip_and_state_with_paging(
    sandbox: Sandbox, client: KsefClient, inbox: Inbox
) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        for number in range(1, 61):
            buyer = "5260250995" if number % 20 == 0 else "1111111111"
            await session.send(sample_invoice(sandbox.nip, f"FV/{number:03}", buyer_nip=buyer))
        await session.send(sample_invoice(sandbox.nip, "FV/001", buyer_nip="5260250995"))  # a duplicate
        sandbox.clock.advance(60)
        path = f"/inbox/sessions/{session.reference_number}"
        _, first = await inbox.get(path)

        async def numbers(**asked: str) -> list[str]:
            _, told = await inbox.get(f"{path}?{urlencode(asked)}")
            return [one["number"] for one in told["invoices"]]

        assert len(await numbers()) == 50
        assert (await numbers(page="2"))[-1] == "FV/001"
        assert await numbers(page="99") == await numbers(page="2")
        assert await numbers(query="fv/007") == ["FV/007"]
        assert await numbers(query=first["invoices"][3]["ksefNumber"].lower()) == ["FV/058"]
        assert await numbers(query="5260250995") == ["FV/060", "FV/040", "FV/020"]
        assert await numbers(query="5260250995 fv/04") == ["FV/040"]
        assert await numbers(query="440 Duplikat") == await numbers(mood="failure") == ["FV/001"]
        assert await numbers(query="nobody") == await numbers(mood="progress") == []
        assert (await inbox.get(path))[1]["found"] == {"count": 61, "page": 1, "pages": 2, "first": 1}


async def test_search_finds_nothing_by_what_is_not_decided_yet(still_sandbox: Sandbox) -> None:
    async with connected(still_sandbox) as client, aiohttp.ClientSession() as http:
        inbox = Inbox(still_sandbox, http)
        async with await client.sessions.open_online(FormCode.FA3) as session:
            await session.send(sample_invoice(still_sandbox.nip, "FV/1"))

            _, told = await inbox.get(f"/inbox/sessions/{session.reference_number}?query=FV")
            _, waiting = await inbox.get(f"/inbox/sessions/{session.reference_number}?mood=progress")

    assert told["found"]["count"] == 0
    assert waiting["found"]["count"] == 1


async def test_verdicts_are_counted_and_found_as_they_show(still_sandbox: Sandbox) -> None:
    sandbox = still_sandbox
    async with connected(sandbox) as client:
        session = await client.sessions.open_online(FormCode.FA3)
        held, search = sandbox.world.sessions[session.reference_number], InvoiceSearch()

        def told(query: str = "", mood: str = "") -> tuple[Any, ...]:
            described = describe_session(sandbox.world, held, search, query=query, mood=mood)
            counts = tuple(described[f"{name}Count"] for name in ("invoice", "accepted", "rejected"))
            return *counts, [one["ordinal"] for one in described["invoices"]]

        async with session:
            await session.send(sample_invoice(sandbox.nip, "FV/1"))
            await session.send(sample_invoice(sandbox.nip, "FV/1", buyer_nip="5260250995"))  # a duplicate
            before = [told(), told(mood="success"), told(mood="progress")]
            sandbox.clock.advance(60)
            decided = [told(), told(mood="success"), told(mood="success"), told(mood="failure"), told(query="FV/1")]
            await session.send(sample_invoice(sandbox.nip, "FV/2"))
            third = [told(query="FV/"), told(mood="success"), told(mood="progress")]
            sandbox.world.cancel_invoices(held, sandbox.clock.now())
            cancelled = [told(mood="success"), told(mood="failure"), told()]

    assert before == [(2, 0, 0, [2, 1]), (2, 0, 0, []), (2, 0, 0, [2, 1])]
    assert decided == [(2, 1, 1, [2, 1]), (2, 1, 1, [1]), (2, 1, 1, [1]), (2, 1, 1, [2]), (2, 1, 1, [2, 1])]
    assert third == [(3, 1, 1, [2, 1]), (3, 1, 1, [1]), (3, 1, 1, [3])]
    assert cancelled == [(3, 1, 2, [1]), (3, 1, 2, [3, 2]), (3, 1, 2, [3, 2, 1])]


@pytest.mark.parametrize("asked", ["mood=angry", "page=0", "page=-1", "page=two", "page=" + "9" * 40])
async def test_page_that_cannot_be_is_refused(client: KsefClient, inbox: Inbox, asked: str) -> None:
    session = await client.sessions.open_online(FormCode.FA3)

    status, answer = await inbox.get(f"/inbox/sessions/{session.reference_number}?{asked}")

    assert (status, answer) == (400, {"error": "There is no such page of invoices."})


# --- waiting ---------------------------------------------------------------------------------------------------------


async def test_session_tells_what_it_waits_for(still_sandbox: Sandbox) -> None:
    sandbox = still_sandbox
    async with connected(sandbox) as client, aiohttp.ClientSession() as http:
        inbox = Inbox(sandbox, http)

        async def waits() -> Any:
            _, state = await inbox.get("/inbox/state")
            told = state["sessions"][0]["waits"]
            return told and (told["for"], told["count"], told["until"] is not None)

        session = await client.sessions.open_online(FormCode.FA3)
        await session.send(sample_invoice(sandbox.nip))
        assert await waits() == ("invoices", 1, True)
        await client.call(CLOSE_ONLINE_SESSION, path={"reference_number": session.reference_number})
        assert await waits() == ("verdicts", 1, True)
        sandbox.clock.advance(600)
        assert await waits() is None

        sandbox.faults.add("open_online_session", Fault.stuck())
        session = await client.sessions.open_online(FormCode.FA3)
        await session.send(sample_invoice(sandbox.nip, "FV/2"))
        await client.call(CLOSE_ONLINE_SESSION, path={"reference_number": session.reference_number})
        assert await waits() == ("nothing", 0, False)


async def test_batch_session_tells_what_it_waits_for(still_sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox = still_sandbox
    (tmp_path / "one.xml").write_bytes(sample_invoice(sandbox.nip))

    def waits() -> Any:
        (told,) = describe_world(sandbox.world, sandbox.faults, "")["sessions"]
        return told["waits"] and (told["waits"]["for"], told["waits"]["count"], told["waits"]["until"] is not None)

    async with connected(sandbox) as client, pack(tmp_path) as package:
        session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
        assert waits() == ("parts", 1, True)
        async with session:
            assert waits() == ("close", 0, True)
        assert waits()[:2] == ("package", 0)
        held = sandbox.world.sessions[session.reference_number]
        with anyio.fail_after(20):
            while waits() == ("package", 0, False):  # until it is known when the package is done
                await anyio.sleep(0.01)
        sandbox.clock.advance((held.timeline.last.at - sandbox.clock.now()).total_seconds())
    assert waits() is None


# --- requests --------------------------------------------------------------------------------------------------------


async def test_only_new_requests_are_told_to_a_page_that_has_the_others(client: KsefClient, inbox: Inbox) -> None:
    await client.call(GET_RATE_LIMITS)
    _, first = await inbox.get("/inbox/state")
    await client.call(GET_RATE_LIMITS)

    _, second = await inbox.get(f"/inbox/state?after={first['seen']}")
    _, third = await inbox.get(f"/inbox/state?after={second['seen']}")

    assert (first["isWhole"], second["isWhole"], third["isWhole"]) == (True, False, False)
    assert [one["number"] for one in second["requests"]] == [first["requests"][0]["number"] + 1]
    assert third["requests"] == []
    assert third["requestCount"] == first["requestCount"] + 1


@pytest.mark.parametrize("after", ["", "1", "another.1", "{run}.", "{run}.-1", "{run}.1e3", "{run}.{number}.1"])
async def test_page_of_another_sandbox_is_told_everything(client: KsefClient, inbox: Inbox, after: str) -> None:
    await client.call(GET_RATE_LIMITS)
    _, first = await inbox.get("/inbox/state")
    run, _, number = first["seen"].partition(".")

    _, told = await inbox.get(f"/inbox/state?after={after.format(run=run, number=number)}")

    assert (told["isWhole"], told["requests"]) == (True, first["requests"])


async def test_request_is_told_with_its_bodies(sandbox: Sandbox, client: KsefClient, inbox: Inbox) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    await session.send(sample_invoice(sandbox.nip))
    _, state = await inbox.get("/inbox/state")
    number = next(one["number"] for one in state["requests"] if one["operation"] == "send_invoice")

    _, told = await inbox.get(f"/inbox/requests/{number}")

    asked, answered = json.loads(told["asked"]["text"]), json.loads(told["answered"]["text"])
    assert asked["encryptedInvoiceContent"].startswith(HIDDEN)
    assert len(asked["invoiceHash"]) == 44
    assert answered["referenceNumber"] in sandbox.world.sessions[session.reference_number].invoices
    assert (told["method"], told["status"], told["asked"]["kind"]) == ("POST", 202, "json")
    assert "asked" not in state["requests"][0]


async def test_download_is_told_with_what_came_of_it(sandbox: Sandbox, inbox: Inbox) -> None:
    async with connected(sandbox) as client:
        async with await client.sessions.open_online(FormCode.FA3) as session:
            await (await session.send(sample_invoice(sandbox.nip))).outcome()
        sandbox.faults.add(DOWNLOAD_UPO, Fault.drop_before())
        await session.upo()  # tries again by itself

    _, state = await inbox.get("/inbox/state")
    told, lost = [one for one in state["requests"] if one["operation"] == "storage"]
    _, request = await inbox.get(f"/inbox/requests/{told['number']}")

    assert "<Potwierdzenie" in request["answered"]["text"]
    assert (told["status"], told["fault"]) == (200, None)
    assert (lost["status"], lost["fault"]) == (0, "drop")


async def test_request_that_is_forgotten_is_not_found(inbox: Inbox) -> None:
    assert await inbox.get("/inbox/requests/7") == (404, {"error": "This request is not remembered."})


async def test_nothing_secret_is_told(sandbox: Sandbox, inbox: Inbox) -> None:
    async with (
        aclosing(RecordingTransport()) as transport,
        connected(sandbox, transport=transport, retry=ONCE) as client,
    ):
        async with await client.sessions.open_online(FormCode.FA3) as session:
            sent = await session.send(sample_invoice(sandbox.nip))
            await sent.outcome()
            await sent.upo()
        await session.upo()
        await client.auth_sessions.revoke_current()

    _, state = await inbox.get("/inbox/state")
    _, told = await inbox.get(f"/inbox/sessions/{session.reference_number}")
    details = [(await inbox.get(f"/inbox/requests/{one['number']}"))[1] for one in state["requests"]]
    text = json.dumps([state, told, details])

    assert any(one["operation"] == "storage" for one in state["requests"])
    secrets = {sandbox.token}
    for request, response in transport.exchanges:
        secrets |= {request.headers.get("Authorization", "").removeprefix("Bearer ")}
        for body in (request.body, response.body):
            if isinstance(body, bytes) and body.startswith(b"{"):
                secrets |= {one.decode() for one in re.findall(rb'"([^"]{46,})"', body)}
    secrets.discard("")
    assert len(secrets) > 8
    assert [one for one in secrets if one in text] == []
    assert not re.search(r"eyJ[\w-]{10,}\.|sig=|\|nip-|BEGIN ", text)


# --- words -----------------------------------------------------------------------------------------------------------


def test_words_are_there_in_both_languages_with_the_same_places() -> None:
    english, polish = words_in("en"), words_in("pl")

    assert all(english.values())
    assert all(polish.values())
    places = {key: set(re.findall(r"\{\w+\}", text)) for key, text in english.items()}
    assert {key: set(re.findall(r"\{\w+\}", text)) for key, text in polish.items()} == places
    assert {key for key, text in polish.items() if key.startswith("n.") and text.count("|") != 2} == set()
    assert {key for key, text in english.items() if key.startswith("n.") and text.count("|") != 1} == set()


def test_every_word_is_used_and_every_word_used_is_there() -> None:
    words, script = words_in("en"), packaged("inbox.js")
    used = {
        key
        for key in re.findall(r"\{\{([\w.]+)\}\}", packaged("inbox.html"))
        if not re.match(r"page\.(?!newer|older|which)", key)
    }
    used |= set(re.findall(r't\("([\w.]+)"', script)) | set(
        re.findall(r'"((?!inbox)[a-z]+\.[a-z][\w.]*)"', script, re.IGNORECASE)
    )
    used |= {f"n.{key}" for key in re.findall(r'count\([^"]*?"(\w+)"', script)} | {"n.parts"}
    used |= {f"fault.{name}" for name in PRESETS}
    used |= {f"code.{kind}.{state['code']}" for kind, states in CODES.items() for state in states}
    used |= {f"{kind}.{name}" for kind in ("waits", "short") for name in WAITS}
    used |= {f"column.{name}" for name in ("ordinal", "number", "state", "ksef", "time")}
    used |= {f"codes.{kind}" for kind in CODES} | {"tab.invoice", "tab.upo", "tab.xml"}
    used |= {f"kind.{kind.value}" for kind in SessionType} | {f"mode.{mode.value}" for mode in InvoicingMode}
    used |= {key for key in words if re.fullmatch(r"http\.\d+", key)}

    assert used - words.keys() == set()
    assert words.keys() - used == set()


WAITS = ("invoices", "verdicts", "end", "parts", "close", "package", "nothing")


@pytest.mark.parametrize(
    ("chosen", "kept", "accepted", "expected"),
    [
        ("pl", "en", "en", "pl"),
        (None, "pl", "en", "pl"),
        (None, None, "pl-PL,pl;q=0.9,en;q=0.8", "pl"),
        (None, None, "de, en;q=0.5, pl;q=0.4", "en"),
        (None, None, "plain", "en"),
        ("<script>", "..", None, "en"),
        (None, None, None, "en"),
    ],
)
def test_language_is_the_chosen_then_the_kept_then_the_accepted(
    chosen: str | None, kept: str | None, accepted: str | None, expected: str
) -> None:
    assert read_language(chosen, kept, accepted) == expected


async def test_page_is_told_the_same_without_orjson(sandbox: Sandbox, client: KsefClient) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await session.send(sample_invoice(sandbox.nip))
    told = describe_session(sandbox.world, sandbox.world.sessions[session.reference_number])

    assert protocol_json.dumps_by_standard_library(told, default=datetime.isoformat) == protocol_json.dumps(told)
