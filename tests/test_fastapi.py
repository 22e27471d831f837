"""A service with KSeF in it, called over HTTP: what its users get, and what survives its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from blockbuster import BlockBuster
from certificates import EC_KEY, pem
from clients import QUICK
from fastapi import APIRouter, Depends, FastAPI, HTTPException

from ksef_async import DeadlinePassed, KsefToken, OfflineMode, OfflineSigner
from ksef_async.api.certificates import CertificateType, EnrollmentData
from ksef_async.calling.events import Event
from ksef_async.fastapi import KsefClientDep, KsefService, router
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.polish_calendar import polish_day
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.authority import Authority
from ksef_async.submissions import Late, Settings

OTHER_NIP = "5265877635"


def service_for(sandbox: Sandbox, journal: Path, **options: Any) -> KsefService:
    """Of two companies; it closes its sessions soon."""
    tokens = {sandbox.nip: sandbox.token, OTHER_NIP: sandbox.issue_token(OTHER_NIP)}
    return KsefService(
        sandbox.environment,
        {nip: KsefToken(nip=nip, token=token) for nip, token in tokens.items()},
        journal=f"sqlite+aiosqlite:///{journal}",
        **{
            "client_options": {"pacer": Pacer.unlimited(), "retry": QUICK},
            "settings": Settings(linger=0.1, poll_interval=0.05),
            **options,
        },
    )


@asynccontextmanager
async def serving(service: KsefService, dependencies: Sequence[Any] = ()) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI(lifespan=service.lifespan)
    app.include_router(router, prefix="/ksef", dependencies=dependencies)

    @app.get("/where")
    async def where(client: KsefClientDep) -> str:
        return repr(client)

    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http,
    ):
        yield http


@pytest.fixture
def journal(tmp_path: Path, no_blocking_calls: BlockBuster) -> Path:
    # SQLAlchemy looks at the path of the file as it connects.
    no_blocking_calls.functions["os.path.abspath"].can_block_in(
        "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
    )
    return tmp_path / "journal.db"


@pytest.fixture
async def http(sandbox: Sandbox, journal: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(service_for(sandbox, journal)) as http:
        yield http


async def events(http: httpx.AsyncClient, path: str, **headers: str) -> list[dict[str, Any]]:
    """Every event of a stream, to its end."""
    async with http.stream("GET", path, headers=headers, timeout=20) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in response.aiter_lines()]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


async def test_invoice_is_submitted_followed_and_its_upo_fetched(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    submitted = await http.post(f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip))
    path = submitted.headers["Location"]

    seen = await events(http, f"{path}/events")
    status = (await http.get(path)).json()
    upo = await http.get(f"{path}/upo")

    assert (submitted.status_code, submitted.json()["state"]) == (202, "queued")
    assert [one["state"] for one in seen][-1] == "accepted"
    assert seen[-1]["has_upo"]
    (invoice,) = sandbox.world.invoices()
    assert status["ksef_number"] == invoice.verdict.ksef_number
    assert upo.headers["content-type"] == "application/xml"
    assert upo.headers["content-disposition"] == f'attachment; filename="{status["ksef_number"]}.upo.xml"'
    assert status["ksef_number"].encode() in upo.content


async def test_stream_that_has_ended_is_not_opened_again(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    path = (await http.post(f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip))).headers["Location"]
    async with http.stream("GET", f"{path}/events", timeout=20) as response:
        ids = [line.removeprefix("id: ") async for line in response.aiter_lines() if line.startswith("id: ")]

    assert (await http.get(f"{path}/events", headers={"Last-Event-ID": ids[-1]})).status_code == 204
    assert len(await events(http, f"{path}/events", **{"Last-Event-ID": ids[0]})) == 1


async def test_process_that_delivers_nothing_reports_deadlines(sandbox: Sandbox, journal: Path) -> None:
    seen: list[Event] = []

    def told() -> list[DeadlinePassed]:
        return [event for event in seen if isinstance(event, DeadlinePassed)]

    options = {"pacer": Pacer.unlimited(), "retry": QUICK, "hook": seen.append}
    service = service_for(
        sandbox, journal, deliver=False, client_options=options, settings=Settings(deadline_interval=0.02)
    )
    document = sample_invoice(sandbox.nip, "FV/1", date(2026, 3, 3))
    async with serving(service) as http:
        answer = await http.post(f"/ksef/{sandbox.nip}/invoices", content=document, params={"offline": "offline24"})
        assert answer.status_code == 202
        with anyio.fail_after(10):
            while not told():
                await anyio.sleep(0.01)
        await anyio.sleep(0.1)

    (event,) = told()
    assert (event.nip, event.count, event.numbers) == (sandbox.nip, 1, ("FV/1",))


async def test_stream_ends_in_time_for_a_server_that_stops(sandbox: Sandbox, journal: Path) -> None:
    async with serving(service_for(sandbox, journal, deliver=False, stream_lifetime=0.2)) as http:
        path = (await http.post(f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip))).headers[
            "Location"
        ]

        assert [one["state"] for one in await events(http, f"{path}/events")] == ["queued"]


async def test_same_document_is_one_submission_and_another_is_refused(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    path, document = f"/ksef/{sandbox.nip}/invoices", sample_invoice(sandbox.nip)
    first = await http.post(path, content=document, headers={"Idempotency-Key": "order 7"})
    again = await http.post(path, content=document, headers={"Idempotency-Key": "order 7"})
    other = await http.post(path, content=sample_invoice(sandbox.nip, buyer_nip=OTHER_NIP))
    same_key = await http.post(
        path, content=sample_invoice(sandbox.nip, "FV/2"), headers={"Idempotency-Key": "order 7"}
    )

    assert first.json()["id"] == again.json()["id"]
    assert [first.status_code, again.status_code, other.status_code, same_key.status_code] == [202, 202, 409, 409]
    assert [one["id"] for one in (await http.get(path)).json()] == [first.json()["id"]]


@pytest.mark.parametrize(
    ("document", "status"),
    [
        pytest.param(b"", 400, id="empty"),
        pytest.param(b"\xef\xbb\xbf<Faktura/>", 400, id="byte order mark"),
        pytest.param(b"no invoice", 422, id="no XML"),
        pytest.param(b"<Zalacznik/>" + b" " * 3_000_000, 413, id="too large"),
    ],
)
async def test_what_is_no_invoice_is_refused(
    sandbox: Sandbox, http: httpx.AsyncClient, document: bytes, status: int
) -> None:
    answer = await http.post(f"/ksef/{sandbox.nip}/invoices", content=document)

    assert answer.status_code == status
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("options", "headers", "place"),
    [
        pytest.param({"priority": "101"}, {}, ["query", "priority"], id="too urgent"),
        pytest.param({"priority": "soon"}, {}, ["query", "priority"], id="no number"),
        pytest.param({"offline": "perhaps"}, {}, ["query", "offline"], id="no mode"),
        pytest.param({"offline": "total-failure"}, {}, ["query", "offline"], id="never delivered"),
        pytest.param({}, {"Idempotency-Key": "x" * 201}, ["header", "Idempotency-Key"], id="long key"),
    ],
)
async def test_options_that_are_none_are_refused_as_fastapi_does(
    sandbox: Sandbox, http: httpx.AsyncClient, options: dict[str, str], headers: dict[str, str], place: list[str]
) -> None:
    document = sample_invoice(sandbox.nip)
    answer = await http.post(f"/ksef/{sandbox.nip}/invoices", content=document, params=options, headers=headers)

    assert answer.status_code == 422
    assert [one["loc"] for one in answer.json()["detail"]] == [place]


async def test_options_are_heard(sandbox: Sandbox, journal: Path) -> None:
    service = service_for(sandbox, journal, deliver=False)
    async with serving(service) as http:
        path, headers = f"/ksef/{sandbox.nip}/invoices", {"Idempotency-Key": "order 7"}
        options = {"priority": "100", "offline": "offline24", "Idempotency-Key": "in the wrong place"}
        number = (await http.post(path, content=sample_invoice(sandbox.nip), params=options, headers=headers)).json()[
            "id"
        ]
        submission = await service.submissions.get(number)

    assert (submission.key, submission.priority, submission.offline) == ("order 7", 100, OfflineMode.OFFLINE24)


async def test_schema_tells_what_is_read_by_hand(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    submit = paths["/ksef/{nip}/invoices"]["post"]
    about_one = [paths[f"/ksef/{{nip}}/invoices/{{submission_id}}{end}"]["get"] for end in ("", "/upo", "/events")]

    assert {(one["in"], one["name"], one.get("required", False)) for one in submit["parameters"]} == {
        ("path", "nip", True),
        ("header", "Idempotency-Key", False),
        ("query", "priority", False),
        ("query", "offline", False),
        ("query", "corrects", False),
    }
    assert {*submit["responses"]} == {"202", "400", "404", "409", "413", "422", "503"}
    for path in paths.values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                if path is not paths["/where"] and status >= "400":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Refusal")
    for asked in about_one:
        assert {(one["in"], one["name"]) for one in asked["parameters"]} >= {("path", "nip"), ("path", "submission_id")}
    for told in (submit["responses"]["202"], about_one[0]["responses"]["200"]):
        assert told["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/SubmissionView"}


async def test_rejected_offline_invoice_is_replaced_by_its_technical_correction(
    sandbox: Sandbox, http: httpx.AsyncClient
) -> None:
    path = f"/ksef/{sandbox.nip}/invoices"
    sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
    answer = await http.post(path, content=sample_invoice(sandbox.nip), params={"offline": "offline24"})
    rejected = (await events(http, f"{answer.headers['Location']}/events"))[-1]

    answer = await http.post(
        path,
        content=sample_invoice(sandbox.nip, buyer_nip=OTHER_NIP),
        params={"offline": "offline24", "corrects": rejected["sha256"]},
    )
    accepted = (await events(http, f"{answer.headers['Location']}/events"))[-1]

    assert (rejected["state"], accepted["state"]) == ("rejected", "accepted")
    assert sandbox.world.corrected_hashes == {bytes.fromhex(rejected["sha256"])}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        pytest.param({"corrects": "ab" * 32}, "offline", id="online"),
        pytest.param({"corrects": "ab" * 31, "offline": "offline24"}, "32 bytes, not 31", id="too short"),
        pytest.param({"corrects": "q6ur" * 11, "offline": "offline24"}, "in hexadecimal", id="Base64"),
        pytest.param({"corrects": "", "offline": "offline24"}, "32 bytes, not 0", id="empty"),
    ],
)
async def test_what_is_no_technical_correction_is_refused(
    sandbox: Sandbox, http: httpx.AsyncClient, parameters: dict[str, Any], said: str
) -> None:
    path = f"/ksef/{sandbox.nip}/invoices"

    answer = await http.post(path, content=sample_invoice(sandbox.nip), params=parameters)

    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert (await http.get(path)).json() == []


async def test_companies_are_apart(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    mine = await http.post(f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip))
    number = mine.json()["id"]

    for path in (
        f"/ksef/{OTHER_NIP}/invoices/{number}",
        "/ksef/1111111111/invoices",
        f"/ksef/{sandbox.nip}/invoices/99",
        f"/ksef/{sandbox.nip}/invoices/{10**30}",
        f"/ksef/{sandbox.nip}/invoices/-1",
        f"/ksef/{sandbox.nip}/invoices/first",
    ):
        assert (await http.get(path)).status_code == 404, path
    assert (await http.get(f"/ksef/{OTHER_NIP}/invoices/{number}/events")).status_code == 404
    assert (await http.get(f"/ksef/{OTHER_NIP}/invoices")).json() == []
    assert OTHER_NIP in (await http.get("/where", params={"nip": OTHER_NIP})).text
    assert (await http.get("/where")).status_code == 404  # which of the two?


async def test_both_companies_are_delivered(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    posts = [http.post(f"/ksef/{nip}/invoices", content=sample_invoice(nip)) for nip in (sandbox.nip, OTHER_NIP)]
    paths = [answer.headers["Location"] for answer in await asyncio.gather(*posts)]

    assert [(await events(http, f"{path}/events"))[-1]["state"] for path in paths] == ["accepted", "accepted"]
    assert {session.context.value for session in sandbox.world.sessions.values()} == {sandbox.nip, OTHER_NIP}


async def test_callers_can_be_asked_who_they_are(sandbox: Sandbox, journal: Path) -> None:
    async def who_may(nip: str) -> None:
        if nip != OTHER_NIP:
            raise HTTPException(403)

    async with serving(service_for(sandbox, journal), [Depends(who_may)]) as http:
        refused = await http.post(f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip))
        allowed = await http.get(f"/ksef/{OTHER_NIP}/invoices")

    assert (refused.status_code, allowed.status_code) == (403, 200)
    assert not sandbox.world.sessions


@pytest.mark.parametrize("place", ["router", "router within another", "application"])
async def test_nobody_gets_past_the_dependencies_of_a_user(place: str) -> None:
    async def nobody() -> None:
        raise HTTPException(403)

    refusing = [Depends(nobody)]
    app = FastAPI(dependencies=refusing if place == "application" else ())
    if place == "router within another":
        outer = APIRouter()
        outer.include_router(router)
        app.include_router(outer, dependencies=refusing)
    else:
        app.include_router(router, dependencies=refusing if place == "router" else ())

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        base = f"/{OTHER_NIP}/invoices"
        answers = [await http.get(f"{base}{path}") for path in ("", "/1", "/1/upo", "/1/events")]
        answers.append(await http.post(base, content=b"<Faktura/>"))

    assert [answer.status_code for answer in answers] == [403] * 5


async def test_service_that_stops_while_sending_loses_nothing(sandbox: Sandbox, journal: Path) -> None:
    count = 30
    # So that it takes longer to send them all than to submit them all, however slow the machine.
    sandbox.faults.add("send_invoice", Fault.wait(1.0), times=1_000)
    async with serving(service_for(sandbox, journal)) as http:
        for number in range(count):
            document = sample_invoice(sandbox.nip, f"FV/{number}")
            assert (await http.post(f"/ksef/{sandbox.nip}/invoices", content=document)).status_code == 202
        while not [*sandbox.world.invoices()]:
            await anyio.sleep(0.005)
    sent = len([*sandbox.world.invoices()])
    sandbox.faults.clear()

    service = service_for(sandbox, journal)
    async with serving(service) as http:
        await service.submissions.wait_until_settled()
        submissions = (await http.get(f"/ksef/{sandbox.nip}/invoices")).json()

    assert sent < count
    assert [one["state"] for one in submissions] == ["accepted"] * count
    assert all(one["has_upo"] for one in submissions)
    assert len([*sandbox.world.invoices()]) == count  # none twice


async def test_process_that_only_submits_delivers_nothing(sandbox: Sandbox, journal: Path) -> None:
    async with serving(service_for(sandbox, journal, deliver=False)) as http:
        path = (await http.post(f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip))).headers[
            "Location"
        ]
        await anyio.sleep(0.3)
        assert (await http.get(path)).json()["state"] == "queued"
        assert (await http.get(f"{path}/upo")).status_code == 404

    assert not sandbox.world.sessions


async def test_dependencies_outside_the_lifespan_say_so() -> None:
    app = FastAPI()
    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        with pytest.raises(RuntimeError, match=r"does not run in KsefService\.lifespan"):
            await http.get(f"/{OTHER_NIP}/invoices")


# --- issued while the customer waits --------------------------------------------------------------------------


def signers(*nips: str) -> dict[str, OfflineSigner]:
    now = datetime.now(UTC)
    authority = Authority(now - timedelta(days=30))
    subject = EnrollmentData(common_name="Firma", country_name="PL")
    certificate = authority.issue(subject, EC_KEY.public_key(), now - timedelta(days=1), CertificateType.OFFLINE)[1]
    return dict.fromkeys(nips, OfflineSigner.from_key(pem(certificate), EC_KEY))


async def test_invoice_is_issued_online_or_offline_while_the_customer_waits(sandbox: Sandbox, journal: Path) -> None:
    service = service_for(sandbox, journal, signers=signers(sandbox.nip))
    path = f"/ksef/{sandbox.nip}/issued"
    async with serving(service) as http:
        online = await http.post(path, content=sample_invoice(sandbox.nip, "FV/1"), params={"within": 20}, timeout=30)
        sandbox.faults.add("open_online_session", Fault.html(503), times=10**9)
        sandbox.faults.add("send_invoice", Fault.html(503), times=10**9)
        sandbox.faults.add("list_session_invoices", Fault.html(503), times=10**9)
        offline = await http.post(path, content=sample_invoice(sandbox.nip, "FV/2"), params={"within": 0.3})
        sandbox.faults.clear()
        last = (await events(http, f"/ksef/{sandbox.nip}/invoices/{offline.json()['submission']['id']}/events"))[-1]

    assert (online.status_code, online.json()["is_offline"], online.json()["certificate_link"]) == (200, False, None)
    assert online.json()["ksef_number"]
    told = offline.json()
    assert (told["is_offline"], told["ksef_number"], told["submission"]["offline"]) == (True, None, "offline24")
    assert told["verification_link"].startswith(f"{sandbox.environment.qr_url}/invoice/{sandbox.nip}/")
    assert told["certificate_link"].startswith(f"{sandbox.environment.qr_url}/certificate/Nip/{sandbox.nip}/")
    assert told["due_by"]
    assert (last["state"], last["invoicing_mode"] is not None) == ("accepted", True)


async def test_what_cannot_be_issued_is_told(sandbox: Sandbox, journal: Path) -> None:
    service = service_for(sandbox, journal, signers=signers(sandbox.nip))
    path = f"/ksef/{sandbox.nip}/issued"
    async with serving(service) as http:
        nobody = await http.post(f"/ksef/{OTHER_NIP}/issued", content=sample_invoice(OTHER_NIP))
        too_long = await http.post(path, content=sample_invoice(sandbox.nip), params={"within": 61})
        nothing = await http.post(path, content=b"no invoice")
        sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
        refused = await http.post(path, content=sample_invoice(sandbox.nip), params={"within": 20}, timeout=30)

    assert (nobody.status_code, too_long.status_code, nothing.status_code) == (409, 422, 400)
    assert [one["loc"] for one in too_long.json()["detail"]] == [["query", "within"]]
    assert (refused.status_code, refused.json()["submission"]["state"]) == (422, "rejected")
    assert "450" in refused.json()["detail"]


async def test_held_invoice_is_released_as_an_offline_one(sandbox: Sandbox, journal: Path) -> None:
    settings = Settings(linger=0.1, poll_interval=0.05, late=Late.HOLD)
    service = service_for(sandbox, journal, signers=signers(sandbox.nip), settings=settings)
    yesterday = polish_day(datetime.now(UTC)) - timedelta(days=1)
    async with serving(service) as http:
        answer = await http.post(
            f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip, issued_on=yesterday)
        )
        where = answer.headers["Location"]
        held = (await events(http, f"{where}/events"))[-1]
        released = await http.post(f"{where}/release")
        accepted = (await events(http, f"{where}/events"))[-1]
        again = await http.post(f"{where}/release")

    assert (held["state"], held["is_late"], held["offline"]) == ("held", True, None)
    assert (released.status_code, released.headers["Location"]) == (202, where)
    assert (accepted["state"], accepted["invoicing_mode"], accepted["offline"]) == ("accepted", "Offline", "offline24")
    assert accepted["certificate_link"] is not None
    assert again.status_code == 400


async def test_rejected_offline_invoice_is_corrected(sandbox: Sandbox, journal: Path) -> None:
    service = service_for(sandbox, journal, signers=signers(sandbox.nip))
    path = f"/ksef/{sandbox.nip}/invoices"
    async with serving(service) as http:
        sandbox.faults.add("send_invoice", Fault.invoice_ends(450))
        answer = await http.post(path, content=sample_invoice(sandbox.nip), params={"offline": "offline24"})
        where = answer.headers["Location"]
        rejected = (await events(http, f"{where}/events"))[-1]
        corrected = sample_invoice(sandbox.nip, buyer_nip=OTHER_NIP)
        answer = await http.post(f"{where}/correction", content=corrected)
        accepted = (await events(http, f"{answer.headers['Location']}/events"))[-1]
        again = await http.post(f"{answer.headers['Location']}/correction", content=corrected)

    assert (rejected["state"], accepted["state"]) == ("rejected", "accepted")
    assert accepted["due_by"] == rejected["due_by"]
    assert accepted["certificate_link"] not in (None, rejected["certificate_link"])
    assert sandbox.world.corrected_hashes == {bytes.fromhex(rejected["sha256"])}
    assert again.status_code == 400
