"""Fixtures for the tests of programs that use KSeF: a sandbox, and a client of it.

pytest finds them by itself once this library is installed. `ksef_sandbox` runs in a thread of its own, so it serves
tests of every kind: synchronous ones, anyio's, and pytest-asyncio's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .client import KsefClient
    from .sandbox import Sandbox

__all__ = ["ksef_client", "ksef_client_options", "ksef_sandbox", "ksef_sandbox_options", "pytest_configure"]


@pytest.fixture
def ksef_sandbox_options() -> dict[str, Any]:
    """Arguments of `ksef_async.sandbox.Sandbox` with which the sandbox is started. Override it to change them.

    Without rate limits by default; ``{"clock": Clock(ticking=False)}`` lets time stand still until a test advances it,
    and ``{"strict": False}`` takes invoices of the wrong shape, which KSeF refuses.
    """
    return {"rate_limits": None}


@pytest.fixture
def ksef_sandbox(ksef_sandbox_options: dict[str, Any]) -> Iterator[Sandbox]:
    """A simulated KSeF for one test: ``.clock``, ``.faults``, ``.world``; ``.environment``, ``.nip`` and ``.token``."""
    # Only now: pytest loads this module for every run, also where nothing asks for a sandbox.
    from anyio.from_thread import start_blocking_portal

    from .sandbox import Sandbox

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Sandbox(**ksef_sandbox_options)) as sandbox,
    ):
        yield sandbox


@pytest.fixture
def ksef_client_options() -> dict[str, Any]:
    """Keyword arguments of `ksef_async.KsefClient` with which the client is made. Override it to change them.

    By default it does not pace its calls, as the sandbox does not count them.
    """
    from .protocol.pacing import Pacer

    return {"pacer": Pacer.unlimited()}


@pytest.fixture
def ksef_client(request: pytest.FixtureRequest) -> KsefClient:
    """A client of the sandbox's company, entered, for one asynchronous test.

    Its loop is the test's: anyio's where the test asks for that, else pytest-asyncio's.
    """
    if "anyio_backend" in request.fixturenames:
        name = "_ksef_client_of_anyio"
    elif request.config.pluginmanager.has_plugin("asyncio"):
        name = "_ksef_client_of_asyncio"
    else:
        pytest.fail("ksef_client is for asynchronous tests: mark the test with pytest.mark.anyio.", pytrace=False)
    client: KsefClient = request.getfixturevalue(name)
    return client


async def _connected(ksef_sandbox: Sandbox, ksef_client_options: dict[str, Any]) -> AsyncGenerator[KsefClient]:
    from .auth.credentials import KsefToken
    from .client import KsefClient

    credentials = KsefToken(nip=ksef_sandbox.nip, token=ksef_sandbox.token)
    async with KsefClient(ksef_sandbox.environment, credentials, **ksef_client_options) as client:
        yield client


_ksef_client_of_anyio = pytest.fixture(_connected, name="_ksef_client_of_anyio")


def pytest_configure(config: pytest.Config) -> None:
    """Add what pytest-asyncio wants marked as its own, where it is in use."""
    if config.pluginmanager.has_plugin("asyncio"):
        import pytest_asyncio

        # pytest looks for fixtures in modules.
        plugin = ModuleType("ksef_async_for_asyncio")
        plugin.__dict__["client"] = pytest_asyncio.fixture(_connected, name="_ksef_client_of_asyncio")
        config.pluginmanager.register(plugin, plugin.__name__)
