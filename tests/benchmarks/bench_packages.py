"""A batch from files to its close, against the least chain written by hand; each in a process of its own, by turns.

The chain does what a correct client has to do and nothing else: files are read and deflated by a thread a core, one
thread writes the archive, hashes, encrypts and spools it, and the parts go up side by side. It neither checks an
invoice nor hashes it, keeps nothing of it, and knows no errors. Both send to a `quick_ksef`. Only ratios mean anything;
on a busy machine only those of the CPU time, and the memory. The files take 1.1 GB of disk unless told otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.quick_ksef import NIP, TOKEN, quick_ksef

from ksef_async import Environment, FormCode, KsefClient, KsefToken, Pacer, pack
from ksef_async.packing.deflate import Deflate, find_deflate
from ksef_async.sandbox import sample_invoice

PART = 100_000_000
AT_ONCE = 16
BEAT = 0.005
#: Size of each of 10,000 invoices, and library: the most of the chain's wall time.
AIMS = {(10_000, "zlib"): 1.15, (10_000, "isal"): 1.15, (100_000, "zlib"): 1.05, (100_000, "isal"): 1.25}
MOST_MEMORY, LONGEST_STALL = 80, 10


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


# --- the least chain -----------------------------------------------------------------------------------------


class Spool:
    """Cuts, hashes and encrypts an archive while it grows."""

    def __init__(self, folder: Path, key: bytes, vector: bytes) -> None:
        self._folder = folder
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(vector))
        self._buffer = memoryview(bytearray(2**20 + 32))
        self.size = 0
        self.digest = sha256()
        self.parts: list[tuple[Path, int, str]] = []
        self._begin()

    def _begin(self) -> None:
        self._path = self._folder / str(len(self.parts))
        self._file = self._path.open("wb", buffering=0)
        self._encryptor, self._hash, self._plain = self._cipher.encryptor(), sha256(), 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.digest.update(data)
        view = memoryview(data)
        while view:
            if self._plain == PART:
                self.finish()
                self._begin()
            piece = view[: min(2**20, PART - self._plain)]
            self._plain += len(piece)
            self._put(piece)
            view = view[len(piece) :]

    def _put(self, piece: bytes | memoryview) -> None:
        done = self._buffer[: self._encryptor.update_into(piece, self._buffer)]
        self._hash.update(done)
        self._file.write(done)

    def finish(self) -> None:
        missing = 16 - self._plain % 16
        self._put(bytes([missing]) * missing)
        self._file.close()
        self.parts.append((self._path, self._path.stat().st_size, base64_of(self._hash.digest())))


def deflate_some(paths: Sequence[Path], deflate: Deflate) -> list[tuple[bytes, int, int, bytes]]:
    made = []
    for path in paths:
        data = path.read_bytes()
        compressor = deflate.module.compressobj(deflate.level, zlib.DEFLATED, -zlib.MAX_WBITS)
        made.append((path.name.encode(), zlib.crc32(data), len(data), compressor.compress(data) + compressor.flush()))
    return made


def pack_least(paths: Sequence[Path], deflate: Deflate, spool: Spool) -> None:
    directory, waiting = [], iter(paths)
    cores = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(cores) as threads:
        pending: deque[Future[list[tuple[bytes, int, int, bytes]]]] = deque()
        while True:
            while len(pending) < 3 * cores and (lot := list(islice(waiting, AT_ONCE))):
                pending.append(threads.submit(deflate_some, lot, deflate))
            if not pending:
                break
            archive, start = bytearray(), spool.size
            for name, checksum, size, body in pending.popleft().result():
                known = (20, 0, 8, 0, 33, checksum, len(body), size, len(name), 0)
                directory.append(
                    struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *known, 0, 0, 0, 0, start + len(archive)) + name
                )
                archive += struct.pack("<4s5H3L2H", b"PK\3\4", *known) + name + body
            spool.write(bytes(archive))
    rows, start = b"".join(directory), spool.size
    spool.write(rows + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(paths), len(paths), len(rows), start, 0))
    spool.finish()


async def send_least(base_url: str, folder: Path, deflate: Deflate) -> None:
    paths = sorted(folder.glob("*.xml"))
    key, vector = os.urandom(32), os.urandom(16)
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{base_url}/security/public-key-certificates") as response:
            certificate = base64.b64decode((await response.json())[0]["certificate"])
        public = x509.load_der_x509_certificate(certificate).public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        wrapped = public.encrypt(key, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None))
        with tempfile.TemporaryDirectory() as place:
            spool = Spool(Path(place), key, vector)
            await asyncio.to_thread(pack_least, paths, deflate, spool)
            opening = {
                "formCode": {"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"},
                "encryption": {"encryptedSymmetricKey": base64_of(wrapped), "initializationVector": base64_of(vector)},
                "batchFile": {
                    "fileSize": spool.size,
                    "fileHash": base64_of(spool.digest.digest()),
                    "fileParts": [
                        {"ordinalNumber": number, "fileSize": size, "fileHash": digest}
                        for number, (_, size, digest) in enumerate(spool.parts, 1)
                    ],
                },
            }
            async with http.post(f"{base_url}/sessions/batch", json=opening) as response:
                opened = await response.json()

            async def upload(link: dict[str, Any]) -> None:
                path, size, _ = spool.parts[link["ordinalNumber"] - 1]
                headers = {**link["headers"], "Content-Length": str(size)}
                async with http.put(link["url"], data=pieces(path), headers=headers) as response:
                    assert response.status == 201

            await asyncio.gather(*map(upload, opened["partUploadRequests"]))
        async with http.post(f"{base_url}/sessions/batch/{opened['referenceNumber']}/close") as response:
            assert response.status == 204


async def pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := await asyncio.to_thread(file.read, 2**18):
            yield piece


# --- the library, and the comparison -------------------------------------------------------------------------


async def send_by_library(base_url: str, folder: Path, deflate: Deflate) -> None:
    credentials = KsefToken(nip=NIP, token=TOKEN)
    async with (
        KsefClient(Environment(base_url), credentials, pacer=Pacer.unlimited()) as client,
        pack(folder, deflate=deflate.name) as package,
        await client.sessions.open_batch(package, form_code=FormCode.FA3),
    ):
        pass


async def measure(way: str, base_url: str, folder: Path, deflate: Deflate) -> dict[str, float]:
    stalls = [0.0]

    async def heartbeat() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT)
            stalls.append(time.perf_counter() - before - BEAT)

    heart = asyncio.create_task(heartbeat())
    wall, cpu = time.perf_counter(), time.process_time()
    await (send_least if way == "least" else send_by_library)(base_url, folder, deflate)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    heart.cancel()
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    peak = next(int(line.split()[1]) * 1024 / 10**6 for line in lines if line.startswith("VmHWM"))
    return {"wall": wall, "cpu": cpu, "stall": max(stalls) * 1000, "peak": peak}


def make_files(folder: Path, count: int, size: int) -> None:
    """Write sample invoices filled up with rows, a hundred different ones in turn."""
    rows = [
        f"<FaWiersz><NrWierszaFa>{n}</NrWierszaFa><P_7>Usługa {n * 7919 % 10007}</P_7>"
        f"<P_11>{n * 104729 % 99991}.00</P_11></FaWiersz>\n"
        for n in range(2000)
    ]
    kinds = []
    for number in range(100):
        text = "".join(rows[(number * 17 + row) % len(rows)] for row in range(size // 60)).encode()
        invoice = sample_invoice(NIP, f"B/{number}")
        kinds.append(invoice + b"<!--" + text[: size - len(invoice) - 7].decode("utf-8", "ignore").encode() + b"-->")
    for number in range(count):
        (folder / f"faktura-{number:06}.xml").write_bytes(kinds[number % len(kinds)])


def report(size: int, deflate: str, results: dict[str, list[dict[str, float]]]) -> None:
    for way, runs in results.items():
        figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        print(
            f"{size / 1000:4.0f} kB {deflate:5} {way:7} {figures['wall']:6.2f} s  CPU {figures['cpu']:6.2f} s  "
            f"longest stall {figures['stall']:5.1f} ms (aim: {LONGEST_STALL})  "
            f"peak {figures['peak']:5.1f} MB (aim: {MOST_MEMORY})"
        )
    pairs = [*zip(results["library"], results["least"], strict=True)]
    wall, cpu = (statistics.median(ours[name] / least[name] for ours, least in pairs) for name in ("wall", "cpu"))
    aim = AIMS.get((size, deflate))
    print(f"{size / 1000:4.0f} kB {deflate:5} wall {wall:.2f} of the chain's (aim: {aim}), CPU {cpu:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--row", nargs=4, metavar=("WAY", "URL", "FOLDER", "DEFLATE"), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--deflate", nargs="*", default=["zlib", "isal"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.row:
        way, base_url, folder, deflate = options.row
        print(json.dumps(asyncio.run(measure(way, base_url, Path(folder), find_deflate(deflate)))))
        return
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder, quick_ksef() as base_url:
            make_files(Path(folder), options.count, size)
            for deflate in options.deflate:
                results: dict[str, list[dict[str, float]]] = {"least": [], "library": []}
                for number in range(options.rounds):
                    for way in ("least", "library") if number % 2 else ("library", "least"):
                        command = [sys.executable, __file__, "--row", way, base_url, folder, deflate]
                        results[way].append(json.loads(subprocess.check_output(command)))
                report(size, deflate, results)


if __name__ == "__main__":
    main()
