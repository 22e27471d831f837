"""Uploading the parts of a package: CPU, memory and stalls for a gigabyte; and side by side against one by one.

The sandbox runs in a process of its own. CPU is compared with a hand-written loop of PUTs on bare aiohttp, turn by
turn. `--megabytes` and `--rounds` change the load.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from cryptography.fernet import Fernet

from ksef_async import Environment, FormCode, KsefClient, KsefToken, Pacer
from ksef_async.api.packages import CompressionType
from ksef_async.crypto.envelope import new_key
from ksef_async.packing import Package, PackedPart
from ksef_async.sandbox import Fault, Sandbox
from ksef_async.sandbox.faults import UPLOAD_PART
from ksef_async.sessions.batch import BatchSession
from ksef_async.sessions.snapshot import BATCH_SNAPSHOT

NIP, TOKEN = "5265877635", "bench"
KEY = Fernet.generate_key()
LATENCY = 0.2


async def serve(latency: float) -> None:
    async with Sandbox(nip=NIP, token=TOKEN, rate_limits=None) as sandbox:
        if latency:
            sandbox.faults.add(UPLOAD_PART, Fault.wait(latency), times=10**9)
        print(sandbox.environment.base_url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def start_sandbox(latency: float) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(latency)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def make_package(folder: Path, parts: int, size: int) -> Package:
    """Parts of arbitrary bytes: the storage does not look into them."""
    made = []
    for number in range(1, parts + 1):
        path, piece, digest = folder / f"{number}", os.urandom(100_000), hashlib.sha256()
        with path.open("wb") as file:
            for _ in range(size // len(piece)):
                file.write(piece)
                digest.update(piece)
        made.append(PackedPart(ordinal_number=number, path=path, size=path.stat().st_size, sha256=digest.digest()))
    key, vector = new_key()
    return Package(
        compression=CompressionType.ZIP, size=parts * size, sha256=bytes(32), parts=tuple(made), invoices=(),
        symmetric_key=key, initialization_vector=vector, folder=folder,
    )  # fmt: skip


async def bare(session: BatchSession) -> None:
    """The least work: a PUT of each part, eight at a time, each read by threads."""
    waiting = iter(BATCH_SNAPSHOT.decrypt(session.snapshot(KEY), KEY).part_upload_requests)

    async def read(path: Path) -> object:
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, 2**20):
                yield piece

    async def work(http: aiohttp.ClientSession) -> None:
        for request in waiting:
            part = session.package.parts[request.ordinal_number - 1]
            headers = {name: value or "" for name, value in request.headers.items()}
            headers["Content-Length"] = str(part.size)
            async with http.request(request.method, request.url, data=read(part.path), headers=headers) as response:
                assert response.status == 201

    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(work(http))


async def longest_stall(work: Awaitable[None]) -> float:
    longest = 0.0

    async def probe() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            longest = max(longest, time.perf_counter() - before - 0.005)

    task = asyncio.create_task(probe())
    await work
    task.cancel()
    return longest


async def measure(
    client: KsefClient, package: Package, upload: Callable[[BatchSession], Awaitable[None]], **options: int
) -> tuple[float, float, float]:
    """Seconds, CPU seconds, longest stall."""
    for file in package.folder.glob("uploaded-*"):
        file.unlink()
    session = await client.sessions.open_batch(package, form_code=FormCode.FA3, concurrency=options.get("at_once", 8))
    started, cpu = time.perf_counter(), time.process_time()
    stall = await longest_stall(upload(session))
    return time.perf_counter() - started, time.process_time() - cpu, stall


async def compare(base_url: str, package: Package, rounds: int) -> None:
    results: dict[str, list[tuple[float, float, float]]] = {"ksef_async": [], "bare aiohttp": []}
    gigabytes = package.encrypted_size / 10**9
    async with KsefClient(Environment(base_url), KsefToken(nip=NIP, token=TOKEN), pacer=Pacer.unlimited()) as client:
        await client.log_in()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        for _ in range(rounds):
            results["ksef_async"].append(await measure(client, package, BatchSession.upload))
            results["bare aiohttp"].append(await measure(client, package, bare))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"{gigabytes:.2f} GB in {len(package.parts)} parts, {rounds} rounds, medians")
    for name, runs in results.items():
        seconds, cpu, stall = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"  {name:13} {seconds:6.2f} s  {cpu / gigabytes:5.2f} s CPU/GB  longest stall {stall * 1000:4.0f} ms")
    print(f"  peak RSS {before:.0f} -> {after:.0f} MB")


async def race(base_url: str, package: Package) -> None:
    async with KsefClient(Environment(base_url), KsefToken(nip=NIP, token=TOKEN), pacer=Pacer.unlimited()) as client:
        await client.log_in()
        one, _, _ = await measure(client, package, BatchSession.upload, at_once=1)
        eight, _, _ = await measure(client, package, BatchSession.upload)
    print(f"{len(package.parts)} parts with {LATENCY * 1000:.0f} ms latency: one by one {one:.2f} s, ", end="")
    print(f"side by side (8, the default) {eight:.2f} s: {one / eight:.1f} times faster")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve))
        return
    with tempfile.TemporaryDirectory() as folder:
        parts = max(2, options.megabytes // 50)
        package = make_package(Path(folder), parts, options.megabytes * 10**6 // parts)
        for latency in (0.0, LATENCY):
            process, base_url = start_sandbox(latency)
            try:
                if latency:
                    (Path(folder) / "small").mkdir()
                    asyncio.run(race(base_url, make_package(Path(folder) / "small", 20, 100_000)))
                else:
                    asyncio.run(compare(base_url, package, options.rounds))
            finally:
                process.communicate()


if __name__ == "__main__":
    main()
