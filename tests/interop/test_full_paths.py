"""Independent clients, as their users install them from PyPI, walk through the whole sandbox; each prints its table."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from interop.steps import Steps

from ksef_async.sandbox import Sandbox

#: `ksef-client` follows no link to a loopback address nor to "localhost", so the sandbox gets another name for itself.
HOST = "ksef.test"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `HOST` be this machine."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if host in (HOST, HOST.encode()) else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def printed(steps: Steps, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Show the table, wherever the walk ends."""
    try:
        yield
    finally:
        with capsys.disabled():
            print(steps)


@pytest.mark.usefixtures("named")
async def test_ksef_client_walks_the_full_path(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ksef_client", reason="ksef-client is installed by `nox -s interop`")
    from interop.with_ksef_client import walk

    steps = Steps("ksef-client")
    port = unused_port()
    url = f"http://{HOST}:{port}"
    async with Sandbox(port=port, public_url=url, rate_limits=None) as sandbox:
        with printed(steps, capsys):
            await walk(sandbox, url, steps)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ksef2 needs Python 3.12")
async def test_ksef2_walks_the_full_path(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ksef2", reason="ksef2 is installed by `nox -s interop`")
    from interop.with_ksef2 import walk

    steps = Steps("ksef2")
    async with Sandbox(rate_limits=None) as sandbox:
        with printed(steps, capsys):
            await walk(sandbox, steps)
