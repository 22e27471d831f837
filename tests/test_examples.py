"""Every example, as it stands, against its own sandbox."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from blockbuster import BlockBuster
from fastapi import FastAPI
from receiving import BUYER, feed_samples, settle

from ksef_async.protocol.numbers import KsefNumber
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

EXAMPLES = Path(__file__).parents[1] / "examples"
NIP = "5265877635"


async def started(name: str, *arguments: object, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / name), *map(str, arguments)),
        env={name: value for name, value in os.environ.items() if not name.startswith("KSEF_")} | variables,
        stdout=asyncio.subprocess.PIPE,
    )


async def run(name: str, *arguments: object, **variables: str) -> str:
    process = await started(name, *arguments, **variables)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_says_what_to_install(path: Path) -> None:
    assert re.search(r"`pip install ('ksef_async\[[a-z,]+\]'|ksef_async)", path.read_text("utf-8"))


def test_every_example_is_run_here() -> None:
    # "test_with_sandbox.py" is run by test_pytest_plugin.py.
    text = Path(__file__).read_text("utf-8")
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in text] == []


async def test_send_one_invoice() -> None:
    lines = (await run("send_one_invoice.py")).splitlines()

    number = lines[0].removeprefix("accepted as ")
    KsefNumber.parse(number)
    assert lines[1].endswith(f"confirms ['{number}']")


async def test_build_invoice() -> None:
    lines = (await run("build_invoice.py")).splitlines()

    KsefNumber.parse(lines[0].removeprefix("230.34 PLN accepted as "))
    assert lines[1].startswith("a page of ")


@pytest.mark.parametrize("time", ["first", "second"])
async def test_change_received_invoice(time: str) -> None:
    counts, *changes = (await run("change_received_invoice.py")).splitlines()

    assert re.fullmatch(r"(\d+) elements received, \1 written", counts)
    assert changes == ["P_7: 'Usługa przykładowa' is now 'Usługa przykładowa, poprawiony opis'"]


async def test_check_folder(tmp_path: Path) -> None:
    outputs = {await run("check_folder.py") for _ in range(2)}

    (output,) = outputs
    said = [line for line in output.splitlines() if not line.startswith(" ")]
    assert said == [
        "a good one.xml: FA (3), good",
        "comma.xml: FA (3), would be refused",
        "number.xml: FA (3), would be refused",
        "total.xml: FA (3), good",
    ]
    assert 'P_15 is "1230,00"; write the number with a point' in output
    assert "P_15 is 1231.00, but the sums above it give 1230.00." in output
    (tmp_path / "good.xml").write_bytes(sample_invoice(NIP))
    assert await run("check_folder.py", tmp_path) == "good.xml: FA (3), good\n"


async def test_receive_folder_as_it_stands() -> None:
    first, second = (await run("receive_folder.py")).splitlines()

    assert re.fullmatch(r"7010002137-\d{8}-\w{12}-\w\w\.xml: FV/1, 1230\.00", first)
    assert re.fullmatch(r"7010002137-\d{8}-\w{12}-\w\w\.xml: FV/2, 1230\.00", second)


async def test_receive_folder_goes_on_where_it_was_killed_and_then_fetches_only_what_is_new(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    fed = feed_samples(sandbox, 20)
    settle(sandbox)
    sandbox.world.exports.limits.max_invoices = 3
    sandbox.faults.add("export_invoices", Fault.wait(0.3), probability=0.999999)
    settings = {"KSEF_ENV": sandbox.environment.base_url, "KSEF_NIP": BUYER, "KSEF_TOKEN": sandbox.issue_token(BUYER)}
    folder = tmp_path / "received"

    process = await started("receive_folder.py", folder, **settings)
    try:
        while process.returncode is None and len(saved_in(folder)) < 8:
            await asyncio.sleep(0.005)
    finally:
        process.kill()
        await process.wait()
    before = saved_in(folder)
    sandbox.faults.clear()
    second = (await run("receive_folder.py", folder, **settings)).splitlines()
    after_second = saved_in(folder)
    nothing = await run("receive_folder.py", folder, **settings)
    new = feed_samples(sandbox, 2, start=20)
    settle(sandbox)
    last = (await run("receive_folder.py", folder, **settings)).splitlines()

    assert 8 <= len(before) < 20
    # Of what was written, at most the last second was not noted.
    assert [line[:35] for line in second] == fed[20 - len(second) :]
    assert 20 - len(before) <= len(second) < 20
    assert after_second == set(fed)
    assert nothing == ""
    assert [line[:35] for line in last] == new
    documents = {invoice.verdict.ksef_number: invoice.stored for invoice in sandbox.world.invoices()}
    for number in (*fed, *new):
        stored = documents[number]
        assert stored is not None
        assert (folder / f"{number}.xml").read_bytes() == await asyncio.to_thread(stored.read)


def saved_in(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.xml")}


async def test_certificate() -> None:
    assert (await run("certificate.py")).splitlines() == [
        "300 applications left",
        "Faktury: Active, of Nip 5265877635",
        "company.pem is the new one, company.pem.old the one before",
    ]


async def test_watch_session() -> None:
    lines = (await run("watch_session.py")).splitlines()

    assert lines[0].startswith("--- -> 100 ")
    # Whether 170 is seen depends on the moment; the end is.
    assert lines[-1].endswith("-> 200 Sesja interaktywna przetworzona pomyślnie: 3 invoices, 3 accepted")


async def test_plan_volume() -> None:
    lines = (await run("plan_volume.py")).splitlines()

    assert [line.partition(":")[2].split()[0] for line in lines] == ["online", "online", "in", "in"]
    assert lines[1].endswith("invoiceSend: 30 a minute")


async def test_metrics() -> None:
    lines = (await run("metrics.py")).splitlines()

    assert 'ksef_request_seconds_count{operation="send_invoice",status="202"} 5.0' in lines
    assert any(line.startswith('ksef_calls_remaining{client="",group="invoiceSend",window="hour"}') for line in lines)


async def test_send_batch() -> None:
    lines = (await run("send_batch.py")).splitlines()

    assert lines[-1] == "199 of 200 accepted"
    assert lines[-2].startswith("broken.xml: KSeF rejected invoice ")
    for stage in ("packing", "uploading", "processing"):
        assert any(line.strip().startswith(stage) and "100%" in line for line in lines), stage


async def test_verification_codes() -> None:
    before, certificate, after = (await run("verification_codes.py")).splitlines()

    # Longer ports of the sandbox's address make longer links.
    assert re.fullmatch("OFFLINE, QR code of version [56]: False", before)
    assert re.fullmatch("CERTYFIKAT, QR code of version (9|10): True", certificate)
    number, _, rest = after.partition(",")
    KsefNumber.parse(number)
    assert rest.endswith(": True")


@pytest.mark.parametrize("time", ["first", "second"])
async def test_till(time: str) -> None:
    lines = (await run("till.py")).splitlines()

    assert len(lines) == 4, time
    assert re.fullmatch(r"FV/1: ([0-9A-F-]+|OFFLINE and CERTYFIKAT), in time: True", lines[0])
    assert lines[1] == "FV/2: OFFLINE and CERTYFIKAT, in time: True"
    assert re.fullmatch("FV/1: accepted, (Online|Offline) at KSeF", lines[2])
    assert lines[3] == "FV/2: accepted, Offline at KSeF"


@pytest.mark.parametrize("time", ["first", "second"])
async def test_outage_night(time: str) -> None:
    due, waits, moved, *delivered = (await run("outage_night.py")).splitlines()

    assert re.fullmatch(r"14:00  FV/1: due by [0-9-]{10}", due), time
    assert waits == "14:00  FV/1: waits for the end"
    assert re.fullmatch(r"08:00  FV/1: due by [0-9-]{10}", moved)
    assert moved[-10:] > due[-10:]
    assert len(delivered) == 5
    for line in delivered:
        number, mode = line.partition(": ")[2].split(", ")
        KsefNumber.parse(number)
        assert mode == "Offline"


async def test_worker(tmp_path: Path) -> None:
    # The sandbox of each run makes up its company, so only an invoice of the worker's own can be accepted.
    (tmp_path / "broken.xml").write_bytes(b"no invoice")
    (tmp_path / "stranger.xml").write_bytes(sample_invoice(NIP))
    await run("worker.py", tmp_path)
    assert json.loads((tmp_path / "broken.ksef.json").read_text())["rejected"]
    assert "410" in json.loads((tmp_path / "stranger.ksef.json").read_text())["rejected"]

    await run("worker.py", tmp_path)
    result = json.loads((tmp_path / "sample.ksef.json").read_text())
    KsefNumber.parse(result["ksef_number"])
    upo = ET.parse(tmp_path / "sample.upo.xml")
    assert upo.findtext("{*}Dokument/{*}NumerKSeFDokumentu") == result["ksef_number"]

    changed = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    (tmp_path / "late.xml").write_bytes(b"")
    assert (await run("worker.py", tmp_path)).startswith("late.xml: {'rejected'")
    assert all(path.stat().st_mtime_ns == time for path, time in changed.items())


def load_app(name: str, journal: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster) -> FastAPI:
    no_blocking_calls.functions["os.path.abspath"].can_block_in(
        "sqlalchemy/dialects/sqlite/pysqlite.py", "create_connect_args"
    )
    monkeypatch.delenv("KSEF_ENV", raising=False)
    monkeypatch.setenv("JOURNAL", f"sqlite+aiosqlite:///{journal}")
    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # FastAPI looks up the annotations of a function in its module.
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    app: FastAPI = module.app
    return app


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        yield http


async def test_fastapi_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_blocking_calls: BlockBuster) -> None:
    app = load_app("fastapi_service.py", tmp_path / "invoices.db", monkeypatch, no_blocking_calls)

    async with serve(app) as http:
        nip = (await http.get("/company")).json()["nip"]
        orders = [(await http.post(f"/orders/{order}/invoice")).json()["id"] for order in (1, 1, 2)]
        posted = await http.post(f"/ksef/{nip}/invoices", content=sample_invoice(nip, "FV/3"))
        stream = await http.get(posted.headers["Location"] + "/events", timeout=30)
        status = (await http.get(posted.headers["Location"])).json()
        upo = await http.get(posted.headers["Location"] + "/upo")

    # Once more, with another sandbox: what is in the journal is known, and other documents under its keys are refused.
    app = load_app("fastapi_service.py", tmp_path / "invoices.db", monkeypatch, no_blocking_calls)
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
    app = load_app("fastapi_orders.py", journal, monkeypatch, no_blocking_calls)
    async with serve(app) as http:
        answers = [await http.post("/orders", json=ORDER) for _ in range(2)]
        refused = await http.post("/orders", json={**ORDER, "number": "18", "buyer": {**ORDER["buyer"], "nip": "12"}})
        absent = await http.get("/orders/18")
        async with asyncio.timeout(30):
            while (taken := (await http.get("/orders/17")).json())["invoice"]["state"] != "accepted":
                await asyncio.sleep(0.1)

    # Once more, with another sandbox: the order is known, and is not invoiced again.
    app = load_app("fastapi_orders.py", journal, monkeypatch, no_blocking_calls)
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
