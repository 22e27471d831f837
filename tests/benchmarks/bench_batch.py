"""Packing against the least work there is, in one run; each row in a process of its own. Run by ``nox -s bench``.

The least work is a chain written by hand: one thread for each core, each taking every other lot and doing everything
to it (SHA-256 and CRC-32 of the plain invoices, deflate, SHA-256 of that, AES, SHA-256 of that, a file), with neither
an archive around it nor anything handed over; the event loop beside it does nothing, so its stalls are the machine's.
`pack` does the same, and makes an archive in order of it. Where ksef-client and ksef2 are installed, they pack the same
invoices, with the zlib that they know.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import product
from pathlib import Path
from tarfile import TarInfo
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ksef_async.packing import pack
from ksef_async.packing.deflate import find_deflate

LOT = 2**20
BUFFER = 2**18
KEY, VECTOR = bytes(32), bytes(16)


class Invoices:
    """Made while they are taken, so that they cost neither disk nor memory: slices of two megabytes of text."""

    def __init__(self, count: int, size: int, *, compressible: bool) -> None:
        self._count = count
        self._size = size
        chance = random.Random(1)
        if compressible:
            rows = (
                f"<FaWiersz><NrWierszaFa>{row}</NrWierszaFa><P_7>Towar {chance.randrange(500)}</P_7><P_8A>szt.</P_8A>"
                f"<P_8B>{chance.randrange(100)}</P_8B><P_9A>{chance.randrange(10**6) / 100:.2f}</P_9A>"
                f"<P_11>{chance.randrange(10**8) / 100:.2f}</P_11><P_12>23</P_12></FaWiersz>\n"
                for row in range(13_000)
            )
            self._text = "".join(rows).encode()
        else:
            self._text = base64.b64encode(chance.randbytes(1_600_000))

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        chance = random.Random(2)
        for number in range(self._count):
            start = chance.randrange(len(self._text) - self._size)
            head = b"<Faktura nr='%08d'>" % number
            yield f"faktura-{number:06}.xml", head + self._text[start : start + self._size - len(head)]

    def lots(self) -> Iterator[list[tuple[str, bytes]]]:
        lot: list[tuple[str, bytes]] = []
        size = 0
        for item in self:
            lot.append(item)
            size += len(item[1])
            if size >= LOT:
                yield lot
                lot, size = [], 0
        if lot:
            yield lot


def run_chain(invoices: Invoices, row: dict[str, Any]) -> int:
    deflate = find_deflate(row["deflate"])
    encrypted_size = 0

    def work(lot: list[tuple[str, bytes]]) -> None:
        nonlocal encrypted_size
        for _, data in lot:
            sha256(data).digest()
            deflate.crc32(data)
        if row["format"] == "Zip":
            chunks = [chunk for _, data in lot for chunk in deflate.stream([data])]
        else:
            pieces = []
            for name, data in lot:
                info = TarInfo(name)
                info.size = len(data)
                pieces += [info.tobuf(), data]
            chunks = deflate.stream(pieces)
        encryptor = Cipher(algorithms.AES(KEY), modes.CBC(VECTOR)).encryptor()
        archive, part = sha256(), sha256()
        with tempfile.TemporaryFile(dir=row["folder"]) as file:
            for chunk in chunks:
                archive.update(chunk)
                for start in range(0, len(chunk), BUFFER):
                    piece = memoryview(chunk)[start : start + BUFFER]
                    out = bytearray(len(piece) + 16)
                    size = encryptor.update_into(piece, out)
                    part.update(memoryview(out)[:size])
                    file.write(memoryview(out)[:size])
                    encrypted_size += size

    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as threads:
        pending: list[Any] = []
        for lot in invoices.lots():
            pending.append(threads.submit(work, lot))
            if len(pending) > cores + 4:
                pending.pop(0).result()
        for job in pending:
            job.result()
    return encrypted_size


async def run_pack(invoices: Invoices, row: dict[str, Any]) -> tuple[int, float]:
    start = time.perf_counter()
    async with pack(
        iter(invoices), compression=row["format"], deflate=row["deflate"], folder=Path(row["folder"])
    ) as package:
        seconds = time.perf_counter() - start
        size = package.encrypted_size
    return size, seconds


async def run_chain_in_thread(invoices: Invoices, row: dict[str, Any]) -> tuple[int, float]:
    start = time.perf_counter()
    size = await asyncio.to_thread(run_chain, invoices, row)
    return size, time.perf_counter() - start


async def watched(work: Awaitable[tuple[int, float]]) -> tuple[int, float, float]:
    """What ``work`` returns, and the event loop's longest stall meanwhile in milliseconds."""
    stalls = [0.0]

    async def heartbeat() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            stalls.append(time.perf_counter() - before - 0.005)

    heart = asyncio.create_task(heartbeat())
    size, seconds = await work
    heart.cancel()
    return size, seconds, max(stalls) * 1000


def run_ksef_client(invoices: Invoices, row: dict[str, Any]) -> int:
    from ksef_client.services.batch import encrypt_batch_parts
    from ksef_client.utils.zip_utils import build_tar_gz, build_zip

    files = dict(invoices)
    archive = build_zip(files) if row["format"] == "Zip" else build_tar_gz(files)
    parts, _ = encrypt_batch_parts(archive, KEY, VECTOR)
    return sum(map(len, parts))


def run_ksef2(invoices: Invoices, row: dict[str, Any]) -> int:
    from ksef2._domain.models.batch import BatchInvoice
    from ksef2._services.batch_preparation import prepare_batch_package

    assert row["format"] == "Zip", "the only one it knows"
    package = prepare_batch_package(
        invoices=[BatchInvoice(file_name=name, content=data) for name, data in invoices],
        aes_key=KEY,
        iv=VECTOR,
        encrypted_key=bytes(256),
    )
    return sum(part.file_size for part in package.parts)


#: What is measured beside it where it is installed, by the name of its package.
PEERS: dict[str, Callable[[Invoices, dict[str, Any]], int]] = {"ksef_client": run_ksef_client, "ksef2": run_ksef2}


def peak_memory() -> float:
    """Megabytes. Not ru_maxrss, which starts at that of the process this one was started from."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def run_row(row: dict[str, Any]) -> None:
    """In the row's own process."""
    invoices = Invoices(row["count"], row["size"], compressible=row["compressible"])
    cpu, start, stall = time.process_time(), time.perf_counter(), None
    if row["way"] in PEERS:
        size = PEERS[row["way"]](invoices, row)
        seconds = time.perf_counter() - start
    else:
        work = run_chain_in_thread(invoices, row) if row["way"] == "chain" else run_pack(invoices, row)
        size, seconds, stall = asyncio.run(watched(work))
    cpu = time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "size": size, "stall": stall, "memory": peak_memory()}))


def measure(row: dict[str, Any], rounds: int) -> list[dict[str, dict[str, float]]]:
    """The chain and `pack` in turns; and its peers, where they are installed."""
    ways = ["chain", "pack"]
    # They hold everything in memory, several times over: no 5 GB for them.
    if row["count"] * row["size"] <= 10**9:
        ways += [peer for peer in PEERS if importlib.util.find_spec(peer) and can_pack(peer, row)]
    results = []
    for _ in range(rounds):
        result = {}
        for way in ways:
            command = [sys.executable, __file__, "--row", json.dumps({**row, "way": way})]
            result[way] = json.loads(subprocess.check_output(command))
        results.append(result)
    return results


def can_pack(peer: str, row: dict[str, Any]) -> bool:
    return peer != "ksef2" or row["format"] == "Zip"


def report(row: dict[str, Any], results: list[dict[str, dict[str, float]]]) -> None:
    best = min(results, key=lambda result: result["pack"]["seconds"])["pack"]
    ratio = sorted(result["pack"]["seconds"] / result["chain"]["seconds"] for result in results)[len(results) // 2]
    chain = min((result["chain"] for result in results), key=lambda result: result["seconds"])
    kind = "text" if row["compressible"] else "noise"
    print(
        f"{row['count']:6} x {row['size'] / 1000:3.0f} kB {kind:5} {row['format']:5} {row['deflate']:7} "
        f"chain {chain['seconds']:6.2f} s (CPU {chain['cpu']:6.2f})  "
        f"pack {best['seconds']:6.2f} s (CPU {best['cpu']:6.2f})  ratio {ratio:.2f}  "
        f"{best['size'] / 1e6:7.1f} MB  peak {max(r['pack']['memory'] for r in results):5.1f} MB  "
        f"longest stall {min(r['pack']['stall'] for r in results):5.1f} ms "
        f"(chain's {min(r['chain']['stall'] for r in results):5.1f})",
        flush=True,
    )
    for peer in PEERS:
        if peer in results[0]:
            taken = min((result[peer] for result in results), key=lambda result: result["seconds"])
            times = sorted(result[peer]["seconds"] / result["pack"]["seconds"] for result in results)[len(results) // 2]
            print(f"    {peer}: {taken['seconds']:.2f} s, {times:.1f} times as long; peak {taken['memory']:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", help="for the benchmark itself: run one row and print it as JSON")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--kinds", nargs="*", default=["text", "noise"])
    parser.add_argument("--formats", nargs="*", default=["Zip", "TarGz"])
    parser.add_argument("--deflate", nargs="*", default=["zlib", "isal"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--large", action="store_true", help="5 GB of invoices that hardly compress, and nothing else")
    options = parser.parse_args()
    if options.row:
        run_row(json.loads(options.row))
        return
    if options.large:
        options.sizes, options.kinds, options.formats, options.deflate = [500_000], ["noise"], ["Zip"], ["isal"]
    with tempfile.TemporaryDirectory() as folder:
        for size, kind, archive, deflate in product(options.sizes, options.kinds, options.formats, options.deflate):
            row = {
                "count": options.count,
                "size": size,
                "compressible": kind == "text",
                "format": archive,
                "deflate": deflate,
                "folder": folder,
            }
            report(row, measure(row, options.rounds))


if __name__ == "__main__":
    main()
