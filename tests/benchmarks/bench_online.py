"""Sending in an online session, against a hand-written loop on bare aiohttp that does the same cryptography.

Both talk to one sandbox in a process of its own, turn by turn, and the medians of the rounds are compared: only the
ratios mean anything. `--invoices`, `--rounds` and `--size` change the load.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
import hashlib
import itertools
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator

import aiohttp
import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ksef_async import Environment, FormCode, KsefClient, KsefToken, OnlineSession, Pacer
from ksef_async.sandbox import sample_invoice

NIP, TOKEN = "5265877635", "bench"
Send = Callable[[bytes], Awaitable[object]]


def start_sandbox() -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "ksef_async", "sandbox", "--nip", NIP, "--token", TOKEN, "--no-rate-limits"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip().partition("=")[2]


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
            await asyncio.sleep(0.001)
            stalls.append(time.perf_counter() - before - 0.001)

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
        print(f"{options.invoices} invoices of {options.size} bytes, median of {options.rounds} rounds")
        for concurrency in (1, 16):
            results: dict[str, list[tuple[float, float, float]]] = {"bare aiohttp": [], "session.send": []}
            for _ in range(options.rounds):
                async with await client.sessions.open_online(FormCode.FA3) as session:
                    senders = {"bare aiohttp": bare_sender(http, base_url, session), "session.send": session.send}
                    for name, send in senders.items():
                        batch = list(itertools.islice(source, options.invoices))
                        results[name].append(await measure(send, batch, concurrency))
            medians = {
                name: [statistics.median(column) for column in zip(*rows, strict=True)]
                for name, rows in results.items()
            }
            for name, (rate, cpu, stall) in medians.items():
                print(f"c={concurrency:<3} {name:<13} {rate:8.0f}/s  {cpu:.3f} CPU ms  longest stall {stall:5.1f} ms")
            ratio = medians["session.send"][0] / medians["bare aiohttp"][0]
            print(f"c={concurrency:<3} ratio {ratio:.2f}")
        await check_memory(client, source)


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
    """What importing costs over importing what it stands on; medians of interleaved runs."""
    floor = "import aiohttp, anyio, attrs, cryptography"
    times: dict[str, list[float]] = {floor: [], "import ksef_async": []}
    for _ in range(9):
        for statement, results in times.items():
            code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
            results.append(float(subprocess.check_output([sys.executable, "-c", code])) * 1000)
    low, high = (statistics.median(results) for results in times.values())
    print(f"{floor}: {low:.0f} ms; import ksef_async: {high:.0f} ms; difference {high - low:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--invoices", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=8000)
    options = parser.parse_args()
    measure_imports()
    process, base_url = start_sandbox()
    try:
        asyncio.run(compare(base_url, options))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
