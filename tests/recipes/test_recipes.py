"""Every recipe against the sandbox, with the packages that it is for: ``nox -s recipes``."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import anyio
import pytest
from blockbuster import BlockBuster
from clients import connected

from ksef_async import KsefClient, KsefToken
from ksef_async.protocol.numbers import KsefNumber
from ksef_async.sandbox import Clock, Sandbox, sample_invoice
from ksef_async.submissions import Submissions

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
NIP, SELLER = "5265877635", "7010002137"
ONLY = "only for nox -s recipes"


@pytest.fixture
async def environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster
) -> AsyncIterator[Sandbox]:
    """A sandbox, and the variables that name it."""
    # Recipes read their settings where they start, as programs do.
    no_blocking_calls.deactivate()
    async with Sandbox(nip=NIP, clock=Clock(), rate_limits=None) as sandbox:
        monkeypatch.setenv("KSEF_ENV", sandbox.environment.base_url)
        monkeypatch.setenv("KSEF_NIP", NIP)
        monkeypatch.setenv("KSEF_TOKEN", sandbox.token)
        monkeypatch.setenv("KSEF_JOURNAL", f"sqlite+aiosqlite:///{tmp_path / 'journal.db'}")
        yield sandbox


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, RECIPES / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


async def test_litestar(environment: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("litestar", reason=ONLY)
    from litestar.testing import AsyncTestClient

    app = load("litestar_service.py", monkeypatch).app

    async with AsyncTestClient(app) as http:
        posted = [(await http.post("/orders/7/invoice")).status_code for _ in range(2)]
        missing = await http.get("/orders/8/invoice")
        with anyio.fail_after(30):
            while not (number := (await http.get("/orders/7/invoice")).json()["ksef_number"]):
                await anyio.sleep(0.05)

    assert posted == [202, 202]
    assert missing.status_code == 404
    KsefNumber.parse(number)
    assert len(list(environment.world.invoices())) == 1


async def test_taskiq(environment: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("taskiq", reason=ONLY)
    module = load("taskiq_worker.py", monkeypatch)

    await module.broker.startup()
    try:
        for _ in range(2):
            task = await module.issue.kiq(7)
            result = await task.wait_result(timeout=10)
            assert not result.is_err, result.error
        with anyio.fail_after(30):
            while not (number := (await (await module.ksef_number.kiq(7)).wait_result(timeout=10)).return_value):
                await anyio.sleep(0.05)
    finally:
        await module.broker.shutdown()

    KsefNumber.parse(number)
    assert len(list(environment.world.invoices())) == 1


async def test_temporal(environment: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    # The activity is run, and the workflow is loaded as a worker loads it; a server of Temporal's is not at hand.
    pytest.importorskip("temporalio", reason=ONLY)
    from temporalio.exceptions import ApplicationError
    from temporalio.testing import ActivityEnvironment
    from temporalio.worker import Replayer

    module = load("temporal_worker.py", monkeypatch)
    Replayer(workflows=[module.IssueInvoice])

    async with connected(environment) as client, Submissions(module.JOURNAL, client=client) as submissions:
        activities, heartbeats = ActivityEnvironment(), []
        activities.on_heartbeat = lambda *details: heartbeats.append(details[0])
        async with submissions.running():
            with anyio.fail_after(30):
                number = await activities.run(module.Invoicing(submissions).issue, 7)
        await submissions.cancel((await submissions.submit(sample_invoice(NIP, "FV/8"), key="order 8")).id)
        with pytest.raises(ApplicationError) as refused:
            await ActivityEnvironment().run(module.Invoicing(submissions).issue, 8)

    KsefNumber.parse(number)
    assert heartbeats[0] in {"queued", "sending", "taken_in", "accepted"}
    assert refused.value.non_retryable


async def test_mcp(environment: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mcp", reason=ONLY)
    from mcp import Client

    module = load("mcp_server.py", monkeypatch)
    bought = sample_invoice(SELLER, "FV/9", buyer_nip=NIP)
    seller = KsefToken(nip=SELLER, token=environment.issue_token(SELLER))
    async with KsefClient(environment.environment, seller) as client:
        async with await client.sessions.open_online("FA (3)") as session:
            accepted = await (await session.send(bought)).outcome()
    # Lists find it a moment after it is stored.
    environment.clock.advance(60)

    async with Client(module.server) as assistant:
        names = {tool.name for tool in (await assistant.list_tools()).tools}
        checked = await assistant.call_tool("check_invoice", {"xml": "<Faktura/>"})
        summary = await assistant.call_tool("summarize_invoice", {"xml": bought.decode()})
        received = await assistant.call_tool("received_invoices", {"days": 7})

    assert names == {"check_invoice", "summarize_invoice", "received_invoices"}
    assert checked.structured_content is not None
    assert checked.structured_content["problems"]
    assert summary.structured_content is not None
    assert summary.structured_content["number"] == "FV/9"
    assert received.structured_content == {"result": [{"ksef_number": accepted.ksef_number, "number": "FV/9"}]}


async def test_django(environment: Sandbox, tmp_path: Path) -> None:
    # Django can be set up once in a process.
    pytest.importorskip("django", reason=ONLY)
    program = f"""
import django
from django.conf import settings

database = {{"ENGINE": "django.db.backends.sqlite3", "NAME": {str(tmp_path / "shop.db")!r}}}
settings.configure(INSTALLED_APPS=["django_shop"], DATABASES={{"default": database}}, USE_TZ=True)
django.setup()
from django.core.management import call_command
from django.db import transaction
from django_shop.models import Order
from ksef_async.sandbox import sample_invoice

call_command("migrate", run_syncdb=True, verbosity=0)
with transaction.atomic():
    Order.objects.create(invoice=sample_invoice({NIP!r}, "FV/1"))
    Order.objects.create(invoice=b"no invoice")
for _ in range(2):
    call_command("deliver_invoices", once=True)
good, bad = Order.objects.order_by("pk")
print(good.ksef_number, bad.ksef_number, bool(good.problem), bool(bad.problem))
"""
    paths = os.pathsep.join([str(RECIPES), *sys.path])
    process = await anyio.run_process(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.STDOUT, check=False
    )

    assert process.returncode == 0, process.stdout.decode()
    number, *rest = process.stdout.decode().split()
    KsefNumber.parse(number)
    assert rest == ["None", "False", "True"]
