"""``examples/fastapi_service.py`` under uvicorn, in a process of its own, as its users run it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

__all__ = ["EXAMPLES", "Service", "serving"]

EXAMPLES = Path(__file__).parents[1] / "examples"


class Service:
    """A service that is up."""

    def __init__(self, url: str, process: asyncio.subprocess.Process) -> None:
        self.url = url
        self._process = process

    async def stop(self, within: float = 30.0) -> None:
        """SIGTERM, as a supervisor sends it."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self._process.wait(), within)
        # uvicorn raises the signal again once it has shut everything down.
        assert self._process.returncode in (0, -signal.SIGTERM)


@asynccontextmanager
async def serving(
    application: str, variables: Mapping[str, str], *, folders: tuple[Path, ...] = (EXAMPLES,)
) -> AsyncIterator[Service]:
    """Run ``module:app`` of one of the folders on a free port of 127.0.0.1, until the block ends."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KSEF_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", application, "--port", str(port), "--log-level", "error"),
        # A connection that the service closes just as it is used again would look like a failure of the service.
        *("--app-dir", str(folders[0]), "--timeout-keep-alive", "120"),
        env={**kept, **variables, "PYTHONPATH": os.pathsep.join(map(str, folders))},
    )
    try:
        await _up(f"http://127.0.0.1:{port}/openapi.json", process)
        service = Service(f"http://127.0.0.1:{port}", process)
        yield service
        await service.stop()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _up(url: str, process: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as http:
        while process.returncode is None:
            try:
                async with http.get(url):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
    raise RuntimeError(f"the service ended with {process.returncode}")
