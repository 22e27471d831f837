"""Every example, as it stands: with a sandbox of its own, and again and again where the environment leads."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import anyio.to_thread
import httpx
import pytest
from blockbuster import BlockBuster
from fastapi import FastAPI
from receiving import BUYER, feed_samples, settle
from shell import Shell, variables

from ksef_async import CertificateCredentials, CertificateType, KsefClient
from ksef_async.protocol.numbers import KsefNumber
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

EXAMPLES = Path(__file__).parents[1] / "examples"
NIP = "5265877635"


@pytest.fixture
def shell(shell: Shell, sandbox: Sandbox) -> Shell:
    """A shell without a variable of KSeF: an example has a sandbox of its own there."""
    shell.set(**dict.fromkeys(variables(sandbox)))
    return shell


@pytest.fixture
async def told(shell: Shell, sandbox: Sandbox) -> Shell:
    """A shell whose variables lead to ``sandbox``, by certificate."""
    file = shell.folder / "login" / "company.pem"
    file.parent.mkdir()
    await (await CertificateCredentials.self_signed(sandbox.nip)).save(file)
    shell.set(**{**variables(sandbox), "KSEF_CERTIFICATE_FILE": str(file)})
    shell.set(KSEF_TOKEN=None)
    return shell


def path_of(name: str) -> Path:
    return EXAMPLES / f"{name}.py"


async def lines_of(shell: Shell, name: str, *arguments: object) -> list[str]:
    result = await shell.run_file(path_of(name), *arguments)
    assert result.code == 0
    return result.out.splitlines()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_says_what_to_install(path: Path) -> None:
    assert re.search(r"`pip install ('ksef_async\[[a-z,]+\]'|ksef_async)", path.read_text("utf-8"))


# --- what each prints ---------------------------------------------------------------------------------------------


def send_one_invoice(lines: list[str]) -> None:
    number = lines[0].removeprefix("accepted as ")
    KsefNumber.parse(number)
    assert lines[1].endswith(f"confirms ['{number}']")


def build_invoice(lines: list[str]) -> None:
    KsefNumber.parse(lines[0].removeprefix("230.34 PLN accepted as "))
    assert lines[1].startswith("a page of ")


def change_received_invoice(lines: list[str]) -> None:
    counts, *changes = lines
    assert re.fullmatch(r"(\d+) elements received, \1 written", counts)
    assert changes == ["P_7: 'Usługa przykładowa' is now 'Usługa przykładowa, poprawiony opis'"]


def check_folder(lines: list[str]) -> None:
    assert [line for line in lines if not line.startswith(" ")] == [
        "a good one.xml: FA (3), good",
        "comma.xml: FA (3), would be refused",
        "number.xml: FA (3), would be refused",
        "total.xml: FA (3), good",
    ]
    output = "\n".join(lines)
    assert 'P_15 is "1230,00"; write the number with a point' in output
    assert "P_15 is 1231.00, but the sums above it give 1230.00." in output


def receive_folder(lines: list[str]) -> None:
    first, second = lines
    assert re.fullmatch(r"7010002137-\d{8}-\w{12}-\w\w\.xml: FV/1, 1230\.00", first)
    assert re.fullmatch(r"7010002137-\d{8}-\w{12}-\w\w\.xml: FV/2, 1230\.00", second)


def certificate(lines: list[str]) -> None:
    assert lines == [
        "300 applications left",
        "Faktury: Active, of Nip 5265877635",
        "company.pem is the new one, company.pem.old the one before",
    ]


def watch_session(lines: list[str]) -> None:
    assert lines[0].startswith("--- -> 100 ")
    # Whether 170 is seen depends on the moment; the end is.
    assert lines[-1].endswith("-> 200 Sesja interaktywna przetworzona pomyślnie: 3 invoices, 3 accepted")


def plan_volume(lines: list[str]) -> None:
    assert [line.partition(":")[2].split()[0] for line in lines] == ["online", "online", "in", "in"]
    assert lines[1].endswith("invoiceSend: 30 a minute")


def metrics(lines: list[str]) -> None:
    assert 'ksef_request_seconds_count{operation="send_invoice",status="202"} 5.0' in lines
    assert any(line.startswith('ksef_calls_remaining{client="",group="invoiceSend",window="hour"}') for line in lines)


def send_batch(lines: list[str]) -> None:
    assert lines[-1] == "199 of 200 accepted"
    assert lines[-2].startswith("broken.xml: KSeF rejected invoice ")
    for stage in ("packing", "uploading", "processing"):
        assert any(line.strip().startswith(stage) and "100%" in line for line in lines), stage


def verification_codes(lines: list[str]) -> None:
    before, certificate, after = lines
    # Longer ports of the sandbox's address make longer links.
    assert re.fullmatch("OFFLINE, QR code of version [56]: False", before)
    assert re.fullmatch("CERTYFIKAT, QR code of version (9|10): True", certificate)
    number, _, rest = after.partition(",")
    KsefNumber.parse(number)
    assert rest.endswith(": True")


def till(lines: list[str]) -> None:
    assert len(lines) == 4
    assert re.fullmatch(r"FV/1: ([0-9A-F-]+|OFFLINE and CERTYFIKAT), in time: True", lines[0])
    assert lines[1] == "FV/2: OFFLINE and CERTYFIKAT, in time: True"
    assert re.fullmatch("FV/1: accepted, (Online|Offline) at KSeF", lines[2])
    assert lines[3] == "FV/2: accepted, Offline at KSeF"


def outage_night(lines: list[str]) -> None:
    due, waits, moved, *delivered = lines
    assert re.fullmatch(r"14:00  FV/1: due by [0-9-]{10}", due)
    assert waits == "14:00  FV/1: waits for the end"
    assert re.fullmatch(r"08:00  FV/1: due by [0-9-]{10}", moved)
    assert moved[-10:] > due[-10:]
    assert len(delivered) == 5
    for line in delivered:
        number, mode = line.partition(": ")[2].split(", ")
        KsefNumber.parse(number)
        assert mode == "Offline"


def worker(lines: list[str]) -> None:
    assert lines[0] == "1 new in ."
    assert lines[1].startswith("sample.xml: {'ksef_number'")


# By the name of the example: what it prints.
PRINTS: dict[str, Callable[[list[str]], None]] = {
    check.__name__: check
    for check in (
        send_one_invoice, build_invoice, change_received_invoice, check_folder, certificate, watch_session, plan_volume,
        metrics, receive_folder, send_batch, verification_codes, till, outage_night, worker,
    )
}  # fmt: skip
# They make KSeF fail, or move its time, or ask nobody: where KSEF_ENV leads is nothing to them.
ALONE = {"till", "outage_night", "check_folder"}
# What they print depends on the environment: each has tests of its own below.
VARIED = {"certificate", "plan_volume", "receive_folder", "worker"}
SERVICES = {"fastapi_service", "fastapi_orders"}  # below
TESTS = {"test_with_sandbox"}  # run by test_pytest_plugin.py


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*PRINTS} | SERVICES | TESTS


@pytest.mark.parametrize("name", sorted({*PRINTS} - ALONE))
async def test_example_runs_as_it_stands(shell: Shell, name: str) -> None:
    PRINTS[name](await lines_of(shell, name))


async def test_example_runs_as_a_program() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, path_of("send_one_invoice")),
        env={name: value for name, value in os.environ.items() if not name.startswith("KSEF_")},
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()

    assert process.returncode == 0
    send_one_invoice(out.decode().splitlines())


@pytest.mark.parametrize("name", sorted({*PRINTS} - ALONE - VARIED))
async def test_example_runs_again_where_the_environment_leads(told: Shell, sandbox: Sandbox, name: str) -> None:
    for _ in range(2):
        PRINTS[name](await lines_of(told, name))

    assert sandbox.world.logins
    # None is a duplicate of an earlier run, which KSeF would not take on another day.
    refused = [invoice for invoice in sandbox.world.invoices() if not invoice.is_accepted]
    assert len(refused) == (2 if name == "send_batch" else 0)


@pytest.mark.parametrize("name", sorted(ALONE))
async def test_example_that_needs_no_ksef_leaves_it_alone(told: Shell, sandbox: Sandbox, name: str) -> None:
    before = {*told.folder.rglob("*")}
    PRINTS[name](await lines_of(told, name))

    assert {*told.folder.rglob("*")} == before
    assert not sandbox.world.logins
    assert re.search("a sandbox of its own, whatever KSEF_ENV says|no network", path_of(name).read_text("utf-8"))


async def test_folder_that_can_be_sent_is_no_failure(shell: Shell) -> None:
    shell.invoices(NIP, 1)

    assert await lines_of(shell, "check_folder", shell.folder) == ["invoice-001.xml: FA (3), good"]


async def test_plan_is_made_by_the_limits_of_the_environment(told: Shell) -> None:
    lines = await lines_of(told, "plan_volume")

    assert [line.partition(":")[2].split()[0] for line in lines[:3]] == ["online"] * 3


async def test_certificate_is_kept_in_the_file_that_is_named(told: Shell) -> None:
    unnamed = await told.run_file(path_of("certificate"))
    file = told.folder / "kept.pem"
    first, second = [await lines_of(told, "certificate", file) for _ in range(2)]

    assert (unnamed.code, unnamed.out) == ("Name the file to keep the new key and certificate in.", "")
    assert [len(lines) for lines in (first, second)] == [3, 5]
    assert (first[0], second[0]) == ("300 applications left", "298 applications left")
    told.set(KSEF_CERTIFICATE_FILE=str(file))
    assert (await lines_of(told, "send_one_invoice"))[0].startswith("accepted as ")


async def test_codes_are_signed_with_the_certificate_that_is_named(told: Shell, sandbox: Sandbox) -> None:
    own, file = await CertificateCredentials.self_signed(sandbox.nip), told.folder / "offline.pem"
    async with KsefClient(sandbox.environment, own) as client:
        await client.certificates.renew(file, certificate_type=CertificateType.OFFLINE)

    verification_codes(await lines_of(told, "verification_codes", file))

    assert len(sandbox.world.authority.issued) == 1


async def test_receive_folder_goes_on_where_it_was_killed_and_then_fetches_only_what_is_new(
    shell: Shell, sandbox: Sandbox
) -> None:
    fed = feed_samples(sandbox, 20)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 3
    sandbox.faults.add("export_invoices", Fault.wait(0.3), probability=0.999999)
    settings = {"KSEF_ENV": sandbox.environment.base_url, "KSEF_NIP": BUYER, "KSEF_TOKEN": sandbox.issue_token(BUYER)}
    folder = shell.folder / "received"
    shell.set(**settings)

    process = await asyncio.create_subprocess_exec(sys.executable, path_of("receive_folder"), folder)
    try:
        while process.returncode is None and len(saved_in(folder)) < 8:
            await asyncio.sleep(0.005)
    finally:
        process.kill()
        await process.wait()
    before = saved_in(folder)
    sandbox.faults.clear()
    second = await lines_of(shell, "receive_folder", folder)
    after_second = saved_in(folder)
    nothing = await lines_of(shell, "receive_folder", folder)
    new = feed_samples(sandbox, 2, start=20)
    settle(sandbox)
    last = await lines_of(shell, "receive_folder", folder)

    assert 8 <= len(before) < 20
    # Of what was written, at most the last second was not noted.
    assert [line[:35] for line in second] == fed[20 - len(second) :]
    assert 20 - len(before) <= len(second) < 20
    assert after_second == set(fed)
    assert nothing == []
    assert [line[:35] for line in last] == new
    documents = {invoice.verdict.ksef_number: invoice.stored for invoice in sandbox.world.invoices()}
    for number in (*fed, *new):
        stored = documents[number]
        assert stored is not None
        assert (folder / f"{number}.xml").read_bytes() == await asyncio.to_thread(stored.read)


def saved_in(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.xml")}


async def test_worker(shell: Shell) -> None:
    # The sandbox of each run makes up its company, so only an invoice of the worker's own can be accepted.
    folder = shell.folder
    (folder / "broken.xml").write_bytes(b"no invoice")
    (folder / "stranger.xml").write_bytes(sample_invoice(NIP))
    await lines_of(shell, "worker", folder)
    assert json.loads((folder / "broken.ksef.json").read_text())["rejected"]
    assert "410" in json.loads((folder / "stranger.ksef.json").read_text())["rejected"]

    await lines_of(shell, "worker", folder)
    result = json.loads((folder / "sample.ksef.json").read_text())
    KsefNumber.parse(result["ksef_number"])
    upo = ET.parse(folder / "sample.upo.xml")
    assert upo.findtext("{*}Dokument/{*}NumerKSeFDokumentu") == result["ksef_number"]

    changed = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
    assert await lines_of(shell, "worker", folder) == [f"0 new in {folder}"]
    (folder / "late.xml").write_bytes(b"")
    assert (await lines_of(shell, "worker", folder))[1].startswith("late.xml: {'rejected'")
    assert all(path.stat().st_mtime_ns == time for path, time in changed.items())


async def test_worker_delivers_where_the_environment_leads(told: Shell, sandbox: Sandbox) -> None:
    told.invoices(sandbox.nip, 2)

    first, second = [await lines_of(told, "worker") for _ in range(2)]

    assert [line.partition(":")[0] for line in first] == ["2 new in .", "invoice-001.xml", "invoice-002.xml"]
    assert second == ["0 new in ."]
    assert [invoice.is_accepted for invoice in sandbox.world.invoices()] == [True, True]


# --- services -----------------------------------------------------------------------------------------------------


async def load_app(
    name: str, journal: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster
) -> FastAPI:
    no_blocking_calls.functions["os.path.abspath"].can_block_in(
        "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
    )
    monkeypatch.delenv("KSEF_ENV", raising=False)
    monkeypatch.setenv("KSEF_JOURNAL", f"sqlite+aiosqlite:///{journal}")
    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # FastAPI looks up the annotations of a function in its module.
    monkeypatch.setitem(sys.modules, spec.name, module)
    # In a thread, for a program loads its modules before its loop runs.
    await anyio.to_thread.run_sync(spec.loader.exec_module, module)
    app: FastAPI = module.app
    return app


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


async def test_fastapi_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_blocking_calls: BlockBuster) -> None:
    app = await load_app("fastapi_service.py", tmp_path / "invoices.db", monkeypatch, no_blocking_calls)

    async with serve(app) as http:
        nip = (await http.get("/company")).json()["nip"]
        orders = [(await http.post(f"/orders/{order}/invoice")).json()["id"] for order in (1, 1, 2)]
        posted = await http.post(f"/ksef/{nip}/invoices", content=sample_invoice(nip, "FV/3"))
        stream = await http.get(posted.headers["Location"] + "/events", timeout=30)
        status = (await http.get(posted.headers["Location"])).json()
        upo = await http.get(posted.headers["Location"] + "/upo")

    # Once more, with another sandbox: what is in the journal is known, and other documents under its keys are refused.
    app = await load_app("fastapi_service.py", tmp_path / "invoices.db", monkeypatch, no_blocking_calls)
    async with serve(app) as http:
        again = [(await http.post(f"/orders/{order}/invoice")).json()["id"] for order in (1, 2)]
        posted_again = await http.post(f"/ksef/{nip}/invoices", content=sample_invoice(nip, "FV/3"))
        key = {"Idempotency-Key": "order 9"}
        await http.post(f"/ksef/{nip}/invoices", content=sample_invoice(nip, "FV/8"), headers=key)
        taken = await http.post("/orders/9/invoice")

    assert again == [orders[0], orders[2]]
    assert posted_again.json()["id"] == posted.json()["id"]
    assert taken.status_code == 409
    assert orders[0] == orders[1] != orders[2]
    KsefNumber.parse(status["ksef_number"])
    assert status["ksef_number"] in stream.text
    assert status["ksef_number"] in upo.text


ORDER: dict[str, Any] = {
    "number": "17",
    "buyer": {"name": "Łąka i Synowie S.A.", "address": "ul. Źródlana 3, 30-002 Kraków", "nip": "1111111111"},
    "rows": [{"name": "Konfitura z żurawiny", "quantity": 12, "price": "15.90", "rate": "5"}],
}


async def test_fastapi_orders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_blocking_calls: BlockBuster) -> None:
    journal = tmp_path / "orders.db"
    app = await load_app("fastapi_orders.py", journal, monkeypatch, no_blocking_calls)
    async with serve(app) as http:
        answers = [await http.post("/orders", json=ORDER) for _ in range(2)]
        refused = await http.post("/orders", json={**ORDER, "number": "18", "buyer": {**ORDER["buyer"], "nip": "12"}})
        absent = await http.get("/orders/18")
        async with asyncio.timeout(30):
            while (taken := (await http.get("/orders/17")).json())["invoice"]["state"] != "accepted":
                await asyncio.sleep(0.1)

    # Once more, with another sandbox: the order is known, and is not invoiced again.
    app = await load_app("fastapi_orders.py", journal, monkeypatch, no_blocking_calls)
    async with serve(app) as http:
        again = (await http.post("/orders", json=ORDER)).json()
        other = await http.post("/orders", json={**ORDER, "number": "19"})

    assert [answer.status_code for answer in answers] == [202, 202]
    assert {answer.json()["invoice"]["id"] for answer in answers} == {taken["invoice"]["id"]}
    assert taken["total"] == "200.34"
    KsefNumber.parse(taken["invoice"]["ksef_number"])
    assert (refused.status_code, absent.status_code) == (422, 404)
    assert "NIP" in refused.json()["detail"][0]
    assert again == taken
    assert other.json()["invoice"]["id"] != taken["invoice"]["id"]
