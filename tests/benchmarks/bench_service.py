"""Latency of the example's service while it delivers, against an empty handler in a process of its own.

``python tests/benchmarks/bench_service.py --invoices 1000 --at-once 200 --runs 3`` runs four processes on one machine:
the sandbox, the example's service, a FastAPI application that does nothing, and this one. Rounds of requests, all at
once, go to both applications in turn, so that both meet the machine as it is: the empty handler before and after each
round of the service's. Machines have slow moments, which decide the p99 of a whole run, so the difference is told of
the median turn, too. The sandbox, which stands for a machine elsewhere, gives way to the others. A latency is the time
from giving a whole round to aiohttp until the one answer is read, so it has this process's own work in it, for both
alike. Rounds count while invoices are under way; one request of each kind goes ahead of them, for it loads code.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles

import aiohttp
import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from service_process import EXAMPLES, serving

from ksef_async.sandbox import sample_invoice

__all__ = ["Figures", "measure", "p99"]

HERE = Path(__file__).parent

ALONE = "empty handler, alone"
UNDER_WAY = ("queued", "sending", "taken_in")


@attrs.define
class Figures:
    """Seconds that requests took, by what they asked for."""

    latencies: dict[str, list[float]] = attrs.field(factory=dict)
    #: By how much their p99 was over that of an empty handler alone, in each turn.
    over: dict[str, list[float]] = attrs.field(factory=dict)
    seconds: float = 0.0
    accepted: int = 0

    def add(self, latencies: dict[str, list[float]]) -> None:
        for what, taken in latencies.items():
            self.latencies.setdefault(what, []).extend(taken)
            self.over.setdefault(what, []).append(p99(taken) - p99(latencies[ALONE]))


def p99(latencies: Sequence[float]) -> float:
    return quantiles(latencies, n=100)[98]


@asynccontextmanager
async def sandbox() -> AsyncIterator[dict[str, str]]:
    """In a process of its own: what a client needs to know."""
    process = await asyncio.create_subprocess_exec(
        *("nice", "-n", "19", sys.executable, "-m", "ksef_async", "sandbox", "--no-rate-limits"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        lines = [(await process.stdout.readline()).decode() for _ in range(3)]
        yield dict(re.findall(r"^(KSEF_\w+)=(.+)$", "".join(lines), re.MULTILINE))
    finally:
        process.terminate()
        await process.wait()


async def _ask(http: aiohttp.ClientSession, method: str, url: str, body: bytes | None = None) -> float:
    started = time.perf_counter()
    async with http.request(method, url, data=body) as response:
        await response.read()
        assert response.status in (200, 202), (response.status, url)
    return time.perf_counter() - started


async def measure(invoices: int, at_once: int, figures: Figures) -> None:
    """Hand invoices over, and ask while they are delivered."""
    with tempfile.TemporaryDirectory() as folder:
        connector = aiohttp.TCPConnector(limit=at_once)
        async with sandbox() as variables, aiohttp.ClientSession(connector=connector) as http:
            variables["JOURNAL"] = f"sqlite+aiosqlite:///{folder}/journal.db"
            async with (
                serving("service_unpaced:app", variables, folders=(HERE, EXAMPLES)) as service,
                serving("service_unpaced:empty", variables, folders=(HERE, EXAMPLES)) as empty,
            ):
                await _run(http, service.url, empty.url, variables["KSEF_NIP"], invoices, at_once, figures)


async def _run(
    http: aiohttp.ClientSession, url: str, empty: str, nip: str, invoices: int, at_once: int, figures: Figures
) -> None:
    base = f"{url}/ksef/{nip}/invoices"
    handlers = {ALONE: f"{empty}/empty", "empty handler in the service": f"{url}/empty"}
    for address in handlers.values():
        await asyncio.gather(*(_ask(http, "GET", address) for _ in range(at_once)))  # connections are made
    await _ask(http, "POST", base, sample_invoice(nip, "FV/FIRST"))
    await _ask(http, "GET", f"{base}/1")
    documents = [sample_invoice(nip, f"FV/{number}") for number in range(invoices)]
    submitted = 1
    started = time.perf_counter()
    while True:
        taken: dict[str, list[float]] = {}

        async def round_of(what: str, calls: Sequence[tuple[str, str, bytes | None]]) -> None:
            latencies = await asyncio.gather(*(_ask(http, *call) for call in calls))
            taken.setdefault(what, []).extend(latencies)  # noqa: B023

        async def empty_round(what: str = ALONE) -> None:
            await round_of(what, [("GET", handlers[what], None)] * at_once)

        lot, documents = documents[:at_once], documents[at_once:]
        if lot:
            await empty_round()
            await round_of("submit", [("POST", base, document) for document in lot])
            submitted += len(lot)
        await empty_round()
        numbers = [max(1, submitted - number) for number in range(at_once)]
        await round_of("status", [("GET", f"{base}/{number}", None) for number in numbers])
        await empty_round()
        await empty_round("empty handler in the service")
        if not await _listed(http, base, UNDER_WAY, 1):
            break
        figures.add(taken)
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
    print(f"{figures.accepted} invoices accepted in {figures.seconds:.1f} s; {options.at_once} requests at once")
    alone = p99(figures.latencies[ALONE])
    for what, taken in sorted(figures.latencies.items()):
        over = (
            f"p99 {1e3 * (p99(taken) - alone):+.0f} ms, in the median turn {1e3 * median(figures.over[what]):+.0f} ms"
        )
        times = f"p50 {1e3 * median(taken):4.0f} ms  p99 {1e3 * p99(taken):4.0f} ms"
        print(f"{what:<30} {len(taken):>6} requests  {times}{'' if what == ALONE else f'  ({over})'}")


if __name__ == "__main__":
    main()
