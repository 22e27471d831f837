"""Latency of the example's service while it delivers, against an empty handler in a process of its own.

``python tests/benchmarks/bench_service.py --invoices 1000 --at-once 200`` runs four processes on one machine: the
sandbox, the example's service, a FastAPI application that does nothing, and this one. Rounds of requests go to both
applications in turn, so that both meet the machine as it is; the service's count only while invoices are under way.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import quantiles

import aiohttp
import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from service_process import EXAMPLES, serving

from ksef_async.sandbox import sample_invoice

__all__ = ["Figures", "measure"]

HERE = Path(__file__).parent


@attrs.define
class Figures:
    """Seconds that requests took, by what they asked for."""

    latencies: dict[str, list[float]] = attrs.field(factory=dict)
    seconds: float = 0.0
    accepted: int = 0

    def p99(self, what: str) -> float:
        return quantiles(self.latencies[what], n=100)[98]


@asynccontextmanager
async def sandbox() -> AsyncIterator[dict[str, str]]:
    """In a process of its own: what a client needs to know."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", "sandbox", "--no-rate-limits"), stdout=asyncio.subprocess.PIPE
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


async def measure(invoices: int, at_once: int) -> Figures:
    """Hand invoices over, and ask while they are delivered."""
    figures = Figures()
    with tempfile.TemporaryDirectory() as folder:
        connector = aiohttp.TCPConnector(limit=at_once)
        async with sandbox() as variables, aiohttp.ClientSession(connector=connector) as http:
            variables["JOURNAL"] = f"sqlite+aiosqlite:///{folder}/journal.db"
            async with (
                serving("service_unpaced:app", variables, folders=(HERE, EXAMPLES)) as service,
                serving("service_unpaced:empty", variables, folders=(HERE, EXAMPLES)) as empty,
            ):
                await _run(http, service.url, empty.url, variables["KSEF_NIP"], invoices, at_once, figures)
    return figures


async def _run(
    http: aiohttp.ClientSession, url: str, empty: str, nip: str, invoices: int, at_once: int, figures: Figures
) -> None:
    async def round_of(what: str, method: str, address: str, bodies: Sequence[bytes | None]) -> None:
        taken = await asyncio.gather(*(_ask(http, method, address, body) for body in bodies))
        figures.latencies.setdefault(what, []).extend(taken)

    base = f"{url}/ksef/{nip}/invoices"
    nothing = [None] * at_once
    for address in (f"{empty}/empty", f"{url}/empty"):
        await asyncio.gather(*(_ask(http, "GET", address) for _ in nothing))  # connections, and code loaded
    started = time.perf_counter()
    documents = [sample_invoice(nip, f"FV/{number}") for number in range(invoices)]
    for start in range(0, invoices, at_once):
        await round_of("submit", "POST", base, documents[start : start + at_once])
    while True:
        async with http.get(base, params={"after": 0, "limit": 1000, "state": "accepted"}) as response:
            figures.accepted = len(await response.json())
        if figures.accepted >= min(invoices, 1000):
            break
        await round_of("empty handler, alone", "GET", f"{empty}/empty", nothing)
        await round_of("empty handler in the service", "GET", f"{url}/empty", nothing)
        await round_of("empty handler, alone", "GET", f"{empty}/empty", nothing)
        await round_of("status", "GET", f"{base}/1", nothing)
    figures.seconds = time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1000, help="at most 1000")
    parser.add_argument("--at-once", type=int, default=200)
    options = parser.parse_args()
    figures = asyncio.run(measure(options.invoices, options.at_once))
    print(f"{figures.accepted} invoices accepted in {figures.seconds:.1f} s; {options.at_once} requests at once")
    alone = figures.p99("empty handler, alone")
    for what, taken in figures.latencies.items():
        cuts = quantiles(taken, n=100)
        more = "" if what.endswith("alone") else f"  (p99 {1e3 * (cuts[98] - alone):+.0f} ms)"
        print(f"{what:<30} {len(taken):>6} requests  p50 {1e3 * cuts[49]:6.0f} ms  p99 {1e3 * cuts[98]:6.0f} ms{more}")


if __name__ == "__main__":
    main()
