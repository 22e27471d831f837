"""What all tests share: asyncio as the backend, a loop that must not be blocked, a sandbox, a client and a shell."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path

import official
import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from clients import connected
from hypothesis import settings
from secrets_watch import Listener, listening
from shell import Shell, shell_for
from skips import Skips
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import KsefClient
from ksef_async.sandbox import Clock, Sandbox, Timings

# The test line says the same of the same code each time; `nox -s properties` looks for what nobody thought of.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """Fetch the Ministry's files, once for all workers."""
    config.pluginmanager.register(Skips(), "skips")
    if not hasattr(config, "workerinput"):
        try:
            official.fetch()
        except subprocess.CalledProcessError as error:
            # Tests that need them are skipped, which .ci/run does not allow.
            print(f"The Ministry's files could not be fetched: {error}")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True, scope="session")
def state_of_commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what commands remember between runs out of the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """Fail a test whose event loop is blocked by a call of this library."""
    with blockbuster_ctx("ksef_async") as blockbuster:
        for acquire in ("threading.Lock.acquire", "threading.Lock.acquire_lock"):
            # Coverage measures worker threads too; its lock is held for a moment, and is none of ours.
            blockbuster.functions[acquire].can_block_in("coverage/collector.py", {"lock_data"})
        yield blockbuster


@pytest.fixture(autouse=True)
def nothing_secret(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Fail a test in which a log record or an error of this library tells a secret."""
    with listening(monkeypatch) as listener:
        yield listener
    if request.node.get_closest_marker("tells_secrets") is None:
        assert listener.leaks == []


@pytest.fixture
def start() -> datetime | None:
    """The sandbox's time when a test begins; None for now."""
    return None


@pytest.fixture
async def sandbox(start: datetime | None) -> AsyncIterator[Sandbox]:
    """A sandbox in the time of the event loop, without rate limits."""
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualTimeLoop):
        await mind_threads()
    async with Sandbox(clock=Clock(start, monotonic=loop.time), rate_limits=None) as sandbox:
        yield sandbox


@pytest.fixture
async def still_sandbox() -> AsyncIterator[Sandbox]:
    """A sandbox without rate limits whose clock stands still until a test advances it."""
    timings = Timings(login_delay=0)
    async with Sandbox(clock=Clock(ticking=False), timings=timings, rate_limits=None) as sandbox:
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[KsefClient]:
    """At the sandbox, for its first company."""
    async with connected(sandbox) as client:
        yield client


@pytest.fixture
def shell_at(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_blocking_calls: BlockBuster,
) -> Callable[[Sandbox], Shell]:
    """Makes the test's shell for the commands, set up for a sandbox."""
    return lambda sandbox: shell_for(sandbox, tmp_path, monkeypatch, capsys, no_blocking_calls)


@pytest.fixture
def shell(sandbox: Sandbox, shell_at: Callable[[Sandbox], Shell]) -> Shell:
    """A shell for the commands, set up for the sandbox."""
    return shell_at(sandbox)


@pytest.fixture
def unused_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
