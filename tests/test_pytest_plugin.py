"""The fixtures for users' tests, in runs of pytest of their own."""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "test_with_sandbox.py"

BODY = """
async def test_client_is_logged_in_by_the_first_call(ksef_sandbox, ksef_client):
    limits = await ksef_client.limits.get_context()
    assert limits.online_session.max_invoices == 10_000
    assert len(ksef_sandbox.world.logins) == 1

async def test_every_test_has_a_sandbox_of_its_own(ksef_sandbox):
    assert not ksef_sandbox.world.logins
"""
OPTIONS = """
from ksef_async.sandbox import Clock

@pytest.fixture
def ksef_sandbox_options():
    return {"clock": Clock(ticking=False), "nip": "5265877635", "max_invoices": 7}

async def test_options_reach_the_sandbox(ksef_sandbox, ksef_client):
    before = ksef_sandbox.clock.now()
    ksef_sandbox.clock.advance(60)
    assert (ksef_sandbox.clock.now() - before).total_seconds() == 60
    assert ksef_sandbox.nip == "5265877635"
    assert ksef_sandbox.world.granted.context(ksef_client._credentials.context).online_session.max_invoices == 7
"""
SYNCHRONOUS = """
import urllib.request

def test_sandbox_serves_synchronous_code(ksef_sandbox):
    with urllib.request.urlopen(f"{ksef_sandbox.environment.base_url}/security/public-key-certificates") as answer:
        assert answer.status == 200
"""


MARKED = "import pytest\npytestmark = pytest.mark.{}\n"
ON_ASYNCIO = "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
WITHOUT = ["-p", "no:asyncio"]
ASYNCIO = ["-o", "asyncio_default_fixture_loop_scope=function"]


async def run_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "ksef_async",
            *arguments,
        ),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


def test_pytest_finds_the_plugin() -> None:
    assert [entry.value for entry in entry_points(group="pytest11", name="ksef_async")] == ["ksef_async.pytest_plugin"]


@pytest.mark.parametrize(
    ("head", "arguments"),
    [
        pytest.param(MARKED.format("anyio") + ON_ASYNCIO, WITHOUT, id="anyio"),
        pytest.param(MARKED.format("asyncio"), ASYNCIO, id="pytest-asyncio, strict"),
        pytest.param(MARKED.format("anyio") + ON_ASYNCIO, ASYNCIO, id="anyio beside pytest-asyncio"),
        pytest.param("import pytest\n", [*ASYNCIO, "-o", "asyncio_mode=auto"], id="pytest-asyncio, auto"),
    ],
)
async def test_fixtures_work_with_every_runner(tmp_path: Path, head: str, arguments: list[str]) -> None:
    (tmp_path / "test_body.py").write_text(head + BODY, "utf-8")
    (tmp_path / "test_options.py").write_text(head + OPTIONS, "utf-8")

    code, output = await run_pytest(tmp_path, *arguments)

    assert (code, output.splitlines()[-1].split(" in ")[0]) == (0, "3 passed"), output


async def test_sandbox_serves_synchronous_tests_and_the_client_tells_whom_it_is_for(tmp_path: Path) -> None:
    (tmp_path / "test_sync.py").write_text(SYNCHRONOUS + "\ndef test_client(ksef_client):\n    pass\n", "utf-8")

    code, output = await run_pytest(tmp_path, *WITHOUT)

    assert code == 1
    assert "ksef_client is for asynchronous tests: mark the test with pytest.mark.anyio." in output
    assert "1 passed, 1 error" in output.splitlines()[-1]


async def test_example_of_a_users_test(tmp_path: Path) -> None:
    code, output = await run_pytest(tmp_path, *WITHOUT, str(EXAMPLE))

    assert (code, output.splitlines()[-1].split(" in ")[0]) == (0, "3 passed"), output
    assert EXAMPLE.read_text("utf-8").rstrip().endswith("# 3 passed")


async def test_plugin_loads_no_sandbox_where_none_is_asked_for(tmp_path: Path) -> None:
    program = "import sys\ndef test():\n    assert 'ksef_async.pytest_plugin' in sys.modules\n"
    program += "    assert 'ksef_async.sandbox' not in sys.modules\n    assert 'aiohttp.web' not in sys.modules\n"
    (tmp_path / "test_light.py").write_text(program, "utf-8")

    code, output = await run_pytest(tmp_path, *WITHOUT)

    assert code == 0, output
