"""A PostgreSQL for tests: the one named in KSEF_TEST_POSTGRES, or a throwaway one on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

__all__ = ["NO_SERVER", "find_binaries", "postgres_server"]

NO_SERVER = "no PostgreSQL: set KSEF_TEST_POSTGRES to a URL, or install its server (Debian: postgresql)"


def find_binaries() -> Path | None:
    """Where ``initdb`` and ``postgres`` are; the newest of several."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in installed), key=lambda path: int(path.parent.name), default=None)


@contextmanager
def postgres_server() -> Iterator[str | None]:
    """The URL of a server on which databases can be made (``postgresql://...``); None where there is none."""
    if url := os.environ.get("KSEF_TEST_POSTGRES"):
        yield url
        return
    binaries = find_binaries()
    if binaries is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="ksef-postgres-"))
    # PostgreSQL refuses to run as root; Debian's package brings a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user, user)
    data, port = folder / "data", _unused_port()
    server = None
    try:
        initdb = [binaries / "initdb", "-D", data, "-U", "ksef", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([*map(str, initdb)], user=user, cwd=folder, check=True, capture_output=True)
        arguments = [binaries / "postgres", "-D", data, "-h", "127.0.0.1", "-p", port, "-k", folder]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([*map(str, arguments)], user=user, cwd=folder, stdout=log, stderr=log)
        url = f"postgresql://ksef@127.0.0.1:{port}/postgres"
        _wait_for(url, server)
        yield url
    finally:
        if server is not None:
            # At once: SIGTERM waits for every client, also for one that was cancelled while it connected.
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
        shutil.rmtree(folder)


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start: {server.poll()}")


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
