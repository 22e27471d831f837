"""Sending in an online session, against a hand-written loop on bare aiohttp that does the same cryptography.

Both talk to one `quick_ksef`, turn by turn, in one process: the ratio of each turn is taken, and the median of those is
told, with the middle half of them in brackets. Only the ratios mean anything, and on a busy machine only those of the
CPU time. ``--invoices`` (a turn), ``--rounds`` and ``--size`` change the load.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import hashlib
import itertools
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.quick_ksef import NIP, TOKEN, quick_ksef

from ksef_async import Environment, FormCode, KsefClient, KsefToken, OnlineSession, Pacer
from ksef_async.sandbox import sample_invoice

Send = Callable[[bytes], Awaitable[object]]

#: Seconds between two looks at the event loop.
BEAT = 0.005
LIMIT, OURS = "bare aiohttp", "session.send"
#: By how many are sent at once: at least so much of the limit's rate, and at most so much of its CPU.
AIMS: dict[int, tuple[float, float | None]] = {1: (0.85, None), 16: (0.80, 1.25)}


def invoices(size: int) -> Iterator[bytes]:
    for number in itertools.count():
        invoice = sample_invoice(NIP, f"B/{number}")
        yield invoice + b"<!--" + b"x" * max(0, size - len(invoice) - 7) + b"-->"


def bare_sender(http: aiohttp.ClientSession, base_url: str, session: OnlineSession) -> Send:
    """The least correct work: one AES pass, two SHA-256, one Base64, one POST, one JSON answer."""
    url = f"{base_url}/sessions/online/{session.reference_number}/invoices"
    headers = {"Authorization": f"Bearer {session.access_token}", "Content-Type": "application/json"}
    cipher = Cipher(algorithms.AES(session.aes_key or b""), modes.CBC(session.iv or b""))

    async def send(invoice: bytes) -> object:
        padding = 16 - len(invoice) % 16
        encryptor = cipher.encryptor()
        content = encryptor.update(invoice + bytes([padding]) * padding)
        body = {
            "invoiceHash": base64.b64encode(hashlib.sha256(invoice).digest()).decode(),
            "invoiceSize": len(invoice),
            "encryptedInvoiceHash": base64.b64encode(hashlib.sha256(content).digest()).decode(),
            "encryptedInvoiceSize": len(content),
            "encryptedInvoiceContent": base64.b64encode(content).decode(),
        }
        async with http.post(url, data=orjson.dumps(body), headers=headers) as response:
            assert response.status == 202, await response.text()
            return orjson.loads(await response.read())

    return send


async def measure(send: Send, batch: list[bytes], concurrency: int) -> tuple[float, float, float]:
    """Invoices a second, CPU milliseconds an invoice, and the longest stall of the event loop in milliseconds."""
    stalls = [0.0]
    queue = iter(batch)

    async def worker() -> None:
        for invoice in queue:
            await send(invoice)

    async def heartbeat() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT)
            stalls.append(time.perf_counter() - before - BEAT)

    gc.collect()
    heart = asyncio.create_task(heartbeat())
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    heart.cancel()
    return len(batch) / wall, cpu / len(batch) * 1000, max(stalls) * 1000


async def compare(base_url: str, options: argparse.Namespace) -> None:
    source = invoices(options.size)
    credentials = KsefToken(nip=NIP, token=TOKEN)
    async with (
        KsefClient(Environment(base_url), credentials, pacer=Pacer.unlimited()) as client,
        aiohttp.ClientSession() as http,
    ):
        print(f"{options.rounds} rounds of {options.invoices} invoices of {options.size} bytes")
        for concurrency in AIMS:
            results: dict[str, list[tuple[float, float, float]]] = {LIMIT: [], OURS: []}
            async with await client.sessions.open_online(FormCode.FA3) as session:
                senders = {LIMIT: bare_sender(http, base_url, session), OURS: session.send}
                for send in senders.values():
                    await measure(send, list(itertools.islice(source, 100)), concurrency)
                for number in range(options.rounds):
                    # Each is the first of a round as often as the other.
                    for name in (LIMIT, OURS) if number % 2 else (OURS, LIMIT):
                        batch = list(itertools.islice(source, options.invoices))
                        results[name].append(await measure(senders[name], batch, concurrency))
            report(concurrency, results)
        await check_memory(client, source)


def report(concurrency: int, results: dict[str, list[tuple[float, float, float]]]) -> None:
    for name, rows in results.items():
        rate, cpu, stall = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"c={concurrency:<3} {name:<13} {rate:8.0f}/s  {cpu:.3f} CPU ms  longest stall {stall:5.1f} ms")
    pairs = [*zip(results[OURS], results[LIMIT], strict=True)]
    rates = [ours[0] / limit[0] for ours, limit in pairs]
    cpus = [ours[1] / limit[1] for ours, limit in pairs]
    least, most = AIMS[concurrency]
    print(f"c={concurrency:<3} rate {spread(rates)} of the limit's (aim: at least {least:.2f})")
    print(f"c={concurrency:<3} CPU  {spread(cpus)} of the limit's" + (f" (aim: at most {most:.2f})" if most else ""))


def spread(ratios: list[float]) -> str:
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} [{low:.2f} to {high:.2f}]"


async def check_memory(client: KsefClient, source: Iterator[bytes]) -> None:
    """Peak memory after 1,000 and after 5,000 more invoices that nobody keeps."""
    peaks = []
    async with await client.sessions.open_online(FormCode.FA3) as session:
        for count in (1000, 5000):
            for invoice in itertools.islice(source, count):
                await session.send(invoice)
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"peak RSS after 1,000 invoices {peaks[0]:.1f} MB, after 5,000 more {peaks[1]:.1f} MB")


def measure_imports() -> None:
    """What importing the client costs over importing what it stands on; medians of interleaved runs."""
    floor, ours = "import aiohttp, anyio, attrs, cryptography", "from ksef_async import KsefClient"
    times: dict[str, list[float]] = {floor: [], ours: []}
    for _ in range(9):
        for statement, results in times.items():
            code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
            results.append(float(subprocess.check_output([sys.executable, "-c", code])) * 1000)
    low, high = (statistics.median(results) for results in times.values())
    print(f"{floor}: {low:.0f} ms; {ours}: {high:.0f} ms; difference {high - low:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--size", type=int, default=8000)
    options = parser.parse_args()
    measure_imports()
    # On a core of its own each, so that the one that answers is never in the way of the one that is measured.
    client_cpu, *others = sorted(os.sched_getaffinity(0), reverse=True)
    with quick_ksef(others[-1] if others else None) as base_url:
        if others:
            os.sched_setaffinity(0, {client_cpu})
        asyncio.run(compare(base_url, options))


if __name__ == "__main__":
    main()
