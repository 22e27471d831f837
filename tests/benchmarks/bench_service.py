"""Latency of the example's service while it delivers, against an empty handler in a process of its own.

``python tests/benchmarks/bench_service.py --invoices 1000 --at-once 200 --runs 3`` runs four processes on one machine:
the sandbox, the example's service, a FastAPI application that does nothing, and this one. Rounds of requests, all at
once, go to both applications in turn, so that both meet the machine as it is: before and after each round of the
service's the empty handler gets the same, invoices for invoices. Machines have slow moments, which decide the p99 of a
whole run, so the difference is told of the median turn, too. The sandbox, which stands for a machine elsewhere, has
what the others leave of this one (Linux). A latency is the time from giving a whole round to aiohttp until the one
answer is read, so it has this process's own work in it, for both alike. Rounds count while invoices are under way; one
request of each kind goes ahead of them, for it loads code.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import repeat
from pathlib import Path
from statistics import median, quantiles

import aiohttp
import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from service_process import EXAMPLES, serving

from ksef_async.sandbox import sample_invoice

__all__ = ["Figures", "measure", "p99"]

HERE = Path(__file__).parent

UNDER_WAY = ("queued", "sending", "taken_in")


@attrs.define
class Latencies:
    """Seconds that requests of one kind took."""

    service: list[float] = attrs.field(factory=list)
    #: The same requests to the empty handler alone.
    empty: list[float] = attrs.field(factory=list)

    @property
    def over(self) -> float:
        """By how much the service's p99 is over that of the empty handler."""
        return p99(self.service) - p99(self.empty)


@attrs.define
class Figures:
    """The turns of each kind of request."""

    turns: dict[str, list[Latencies]] = attrs.field(factory=dict)
    seconds: float = 0.0
    accepted: int = 0

    def __str__(self) -> str:
        lines = [f"{self.accepted} invoices accepted in {self.seconds:.1f} s"]
        for kind, turns in self.turns.items():
            whole = Latencies()
            for turn in turns:
                whole.service += turn.service
                whole.empty += turn.empty
            typical = median(turn.over for turn in turns)
            over = f"p99 {1e3 * whole.over:+.0f} ms, in the median turn {1e3 * typical:+.0f} ms"
            lines.append(f"{kind:<30} {_told(whole.service)}  ({over})")
            lines.append(f"{'  to the empty handler alone':<30} {_told(whole.empty)}")
        return "\n".join(lines)


def _told(latencies: Sequence[float]) -> str:
    p50, last = 1e3 * median(latencies), 1e3 * p99(latencies)
    return f"{len(latencies):>6} requests  p50 {p50:4.0f} ms  p99 {last:4.0f} ms"


def p99(latencies: Sequence[float]) -> float:
    return quantiles(latencies, n=100)[98]


@asynccontextmanager
async def sandbox() -> AsyncIterator[dict[str, str]]:
    """In a process of its own: what a client needs to know."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", "sandbox", "--no-rate-limits"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        lines = [(await process.stdout.readline()).decode() for _ in range(3)]
        yield dict(re.findall(r"^(KSEF_\w+)=(.+)$", "".join(lines), re.MULTILINE))
    finally:
        process.terminate()
        await process.wait()


@attrs.frozen
class _Load:
    http: aiohttp.ClientSession
    empty: str

    async def turn(self, addresses: Sequence[str], documents: Sequence[bytes] = ()) -> Latencies:
        """Ask the service at each address, or hand it a document; and the same of the empty handler, twice."""
        nowhere = [self.empty] * len(addresses)
        before = await self._round(nowhere, documents)
        service = await self._round(addresses, documents)
        return Latencies(service, before + await self._round(nowhere, documents))

    async def _round(self, addresses: Sequence[str], documents: Sequence[bytes]) -> list[float]:
        calls = zip(addresses, documents or repeat(None), strict=False)
        return await asyncio.gather(*(self._ask(address, document) for address, document in calls))

    async def _ask(self, address: str, document: bytes | None) -> float:
        started = time.perf_counter()
        async with self.http.request("GET" if document is None else "POST", address, data=document) as response:
            await response.read()
            assert response.status in (200, 202), (response.status, address)
        return time.perf_counter() - started


async def measure(invoices: int, at_once: int, figures: Figures) -> None:
    """Hand invoices over, and ask while they are delivered."""
    with tempfile.TemporaryDirectory() as folder:
        connector = aiohttp.TCPConnector(limit=at_once)
        async with sandbox() as variables, aiohttp.ClientSession(connector=connector) as http:
            variables["KSEF_JOURNAL"] = f"sqlite+aiosqlite:///{folder}/journal.db"
            async with (
                serving("service_unpaced:app", variables, folders=(HERE, EXAMPLES)) as service,
                serving("service_unpaced:empty", variables, folders=(HERE, EXAMPLES)) as empty,
            ):
                await _run(http, service.url, empty.url, variables["KSEF_NIP"], invoices, at_once, figures)


async def _run(
    http: aiohttp.ClientSession, url: str, empty: str, nip: str, invoices: int, at_once: int, figures: Figures
) -> None:
    base = f"{url}/ksef/{nip}/invoices"
    load = _Load(http, f"{empty}/empty")
    await load.turn([f"{url}/empty"] * at_once)  # connections are made
    await load.turn([base], [sample_invoice(nip, "FV/FIRST")])
    await load.turn([f"{base}/1"])
    documents = [sample_invoice(nip, f"FV/{number}") for number in range(invoices)]
    submitted = 1
    started = time.perf_counter()
    while True:
        turns: dict[str, Latencies] = {}
        lot, documents = documents[:at_once], documents[at_once:]
        if lot:
            turns["submit"] = await load.turn([base] * len(lot), lot)
            submitted += len(lot)
        turns["status"] = await load.turn([f"{base}/{max(1, submitted - number)}" for number in range(at_once)])
        turns["empty handler in the service"] = await load.turn([f"{url}/empty"] * at_once)
        if not await _listed(http, base, UNDER_WAY, 1):
            break
        for kind, turn in turns.items():
            figures.turns.setdefault(kind, []).append(turn)
    figures.seconds += time.perf_counter() - started
    figures.accepted += len(await _listed(http, base, ("accepted",), 1000))


async def _listed(http: aiohttp.ClientSession, base: str, states: Sequence[str], limit: int) -> list[object]:
    query = [("limit", str(limit)), *(("state", state) for state in states)]
    async with http.get(base, params=query) as response:
        found: list[object] = await response.json()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1000, help="at most 1000")
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--runs", type=int, default=1, help="each with new processes; their figures are put together")
    options = parser.parse_args()
    figures = Figures()
    gc.disable()  # Answers would wait for it, 60 ms at a time.
    for _ in range(options.runs):
        asyncio.run(measure(options.invoices, options.at_once, figures))
    print(f"{options.at_once} requests at once; {figures}")


if __name__ == "__main__":
    main()
