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

__all__ = ["NO_SERVER", "PostgresServer", "postgres_server", "throwaway_server"]

NO_SERVER = "no PostgreSQL: set KSEF_TEST_POSTGRES to a URL, or install its server (Debian: postgresql)"


def find_binaries() -> Path | None:
    """Where ``initdb`` and ``postgres`` are; the newest of several."""
    if (found := shutil.which("initdb")) is not None:
        return Path(found).parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in installed), key=lambda path: int(path.parent.name), default=None)


class PostgresServer:
    """A throwaway server on loopback, which can be stopped and started again.

    Args:
        binaries: Where ``postgres`` is.
        folder: Of its own; made anew.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        # PostgreSQL refuses to run as root; Debian's package brings a user for it.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._port = _unused_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://ksef@127.0.0.1:{self._port}/postgres"
        if self._user is not None:
            shutil.chown(folder, self._user, self._user)
        options = ["-U", "ksef", "-A", "trust", "-E", "UTF8", "--no-sync"]
        initdb = [str(binaries / "initdb"), "-D", str(folder / "data"), *options]
        subprocess.run(initdb, user=self._user, cwd=folder, check=True, capture_output=True)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        where = ["-D", self._folder / "data", "-h", "127.0.0.1", "-p", self._port, "-k", self._folder]
        arguments = [str(self._binaries / "postgres"), *map(str, where)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(arguments, user=self._user, cwd=self._folder, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"PostgreSQL did not start: {self._process.poll()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends every connection first, SIGQUIT is as good as a crash, and ends what takes too long."""
        if self._process is not None:
            process, self._process = self._process, None
            process.send_signal(how)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait(timeout=30)


@contextmanager
def throwaway_server() -> Iterator[PostgresServer | None]:
    """A server of one's own, started; None where there are no binaries."""
    binaries = find_binaries()
    if binaries is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="ksef-postgres-"))
    try:
        server = PostgresServer(binaries, folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres_server() -> Iterator[str | None]:
    """The URL of a server on which databases can be made (``postgresql://...``); None where there is none."""
    if url := os.environ.get("KSEF_TEST_POSTGRES"):
        yield url
        return
    with throwaway_server() as server:
        yield None if server is None else server.url


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
