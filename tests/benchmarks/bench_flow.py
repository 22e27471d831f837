"""A package of gigabytes through the whole flow: seconds, memory and stalls of the event loop, stage by stage.

10,000 invoices of noise, which hardly compresses, so that the package really gets as large as is asked for; the sandbox
runs in a process of its own, with everything it checks switched on but the schemas. ``--gigabytes 5`` makes the largest
package that KSeF takes; it needs some 20 GB of disk.

Memory is resident, as Linux counts it, and each peak that of its stage. Where the machine is busy with other things,
everything has to wait for a core: CPU seconds are then worth more than seconds, and ``idle`` is the longest stall of a
process beside it that does nothing but to look.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
from cryptography.fernet import Fernet

from ksef_async import Cadence, Environment, FormCode, KsefClient, KsefToken, Pacer, pack
from ksef_async.protocol.planning import MAX_INVOICES, MAX_PACKAGE_SIZE

NIP, TOKEN = "5265877635", "bench"
MARK = "@@@@@@"
#: What deflate makes of Base64.
NOISE_RATIO = 0.757
#: Seconds between two looks at an event loop.
BEAT = 0.005
#: At least so many figures for the curve of memory.
CURVE = 40


# --- the other processes -------------------------------------------------------------------------------------


async def serve(noise: Path) -> None:
    """The sandbox. Each line it reads asks for its longest stall since the one before.

    Args:
        noise: Where to write some Base64.
    """
    # Not at the top: the client is to be measured without it.
    from ksef_async.sandbox import Sandbox, sample_invoice

    await asyncio.to_thread(noise.write_bytes, base64.b64encode(os.urandom(1_500_000)))
    async with Sandbox(nip=NIP, token=TOKEN, rate_limits=None) as sandbox:
        hello = {"url": sandbox.environment.base_url, "invoice": sample_invoice(NIP, MARK).decode()}
        await answer_stalls(json.dumps(hello))


async def answer_stalls(hello: str) -> None:
    print(hello, flush=True)
    heart = Heart()
    async with heart.beating():
        while await asyncio.to_thread(sys.stdin.readline):
            print(heart.longest_stall(), flush=True)


class Heart:
    """Tells how long an event loop was not free."""

    def __init__(self) -> None:
        self._longest = 0.0

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        async def beat() -> None:
            while True:
                before = time.perf_counter()
                await asyncio.sleep(BEAT)
                self._longest = max(self._longest, time.perf_counter() - before - BEAT)

        task = asyncio.create_task(beat())
        try:
            yield
        finally:
            task.cancel()

    def longest_stall(self) -> float:
        """Milliseconds, since it was asked before."""
        longest, self._longest = self._longest, 0.0
        return longest * 1000


@attrs.frozen
class Helper:
    """A process beside the client's."""

    process: asyncio.subprocess.Process
    hello: str

    @classmethod
    @asynccontextmanager
    async def started(cls, *role: str) -> AsyncIterator[Helper]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--role", *role, stdin=pipe, stdout=pipe, limit=2**20
        )
        assert process.stdout is not None
        try:
            yield cls(process, (await process.stdout.readline()).decode())
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    async def longest_stall(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        return float(await self.process.stdout.readline())


# --- memory --------------------------------------------------------------------------------------------------


def memory(pid: int, field: str) -> int:
    """Megabytes: ``VmRSS`` now, ``VmHWM`` at most since `forget_peak`."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 // 10**6 for line in lines if line.startswith(field))


def cpu(pid: int) -> float:
    """Seconds that a process has had of a core."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@attrs.define
class Stage:
    """What is known of one stage."""

    name: str
    seconds: float = 0.0
    #: Seconds of the client and the sandbox.
    cpu: tuple[float, ...] = (0.0, 0.0)
    #: Megabytes of both, and when.
    curve: list[tuple[float, int, int]] = attrs.field(factory=list)
    peaks: tuple[int, ...] = (0, 0)
    #: Milliseconds: of the client, the sandbox, the idle process.
    stalls: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Watch:
    """Follows client and sandbox from stage to stage."""

    def __init__(self, sandbox: Helper, idle: Helper, heart: Heart) -> None:
        self._sandbox = sandbox
        self._idle = idle
        self._heart = heart
        self._pids = (os.getpid(), sandbox.process.pid)
        self._started = time.perf_counter()
        self.stages: list[Stage] = []

    @asynccontextmanager
    async def stage(self, name: str) -> AsyncIterator[None]:
        stage = Stage(name)
        self.stages.append(stage)
        await self._stalls()
        for pid in self._pids:
            forget_peak(pid)
        start, used = time.perf_counter(), [cpu(pid) for pid in self._pids]
        look = asyncio.create_task(self._look(stage))
        try:
            yield
        finally:
            stage.seconds = time.perf_counter() - start
            look.cancel()
            stage.stalls = await self._stalls()
            stage.cpu = tuple(cpu(pid) - before for pid, before in zip(self._pids, used, strict=True))
            stage.peaks = tuple(memory(pid, "VmHWM") for pid in self._pids)
            print(self.row(stage), flush=True)

    async def _stalls(self) -> tuple[float, float, float]:
        own = self._heart.longest_stall()
        return own, await self._sandbox.longest_stall(), await self._idle.longest_stall()

    async def _look(self, stage: Stage) -> None:
        while True:
            client, sandbox = (memory(pid, "VmRSS") for pid in self._pids)
            stage.curve.append((time.perf_counter() - self._started, client, sandbox))
            await asyncio.sleep(0.25)

    HEAD = (
        f"{'':12}{'seconds':>9}{'CPU seconds':>18}{'peak RSS, MB':>18}{'longest stall, ms':>27}\n"
        f"{'':21}{'client':>9}{'sandbox':>9}{'client':>9}{'sandbox':>9}{'client':>9}{'sandbox':>9}{'idle':>9}"
    )

    @staticmethod
    def row(stage: Stage) -> str:
        return "".join(
            [
                f"{stage.name:12}{stage.seconds:9.2f}",
                *(f"{each:9.2f}" for each in stage.cpu),
                *(f"{each:9}" for each in stage.peaks),
                *(f"{each:9.1f}" for each in stage.stalls),
            ]
        )

    def print_curve(self) -> None:
        print("RSS in MB, client/sandbox, at seconds:")
        for stage in self.stages:
            step = max(1, len(stage.curve) * len(self.stages) // CURVE)
            points = stage.curve[::step]
            print(f"  {stage.name:11}", *(f"{at:.0f}s {client}/{sandbox}" for at, client, sandbox in points), sep="  ")


# --- the client ----------------------------------------------------------------------------------------------


class Invoices:
    """Made while they are packed: a sample with a comment of noise in it, each with another piece of that."""

    def __init__(self, sample: str, noise: Path, count: int, size: int) -> None:
        self._sample = sample
        self._noise = noise
        self._count = count
        self._size = size

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        chance = random.Random(1)
        # Not in memory: that of the client is to be measured, and not that of the benchmark.
        with self._noise.open("rb", buffering=0) as noise:
            size = noise.seek(0, os.SEEK_END)
            for number in range(self._count):
                head = self._sample.replace(MARK, f"BENCH/{number}").encode() + b"<!--"
                length = self._size - len(head) - 3
                noise.seek(chance.randrange(size - length))
                yield f"{number}.xml", b"%b%b-->" % (head, noise.read(length))


async def run(gigabytes: float, deflate: str | None) -> None:
    size = int(min(gigabytes * 10**9, MAX_PACKAGE_SIZE * 0.99) / NOISE_RATIO / MAX_INVOICES)
    heart = Heart()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noise = folder / "noise"
        async with Helper.started("sandbox", str(noise)) as sandbox, Helper.started("idle") as idle, heart.beating():
            hello = json.loads(sandbox.hello)
            watch = Watch(sandbox, idle, heart)
            print(f"{MAX_INVOICES:,} invoices of {size:,} bytes", watch.HEAD, sep="\n")
            invoices = Invoices(hello["invoice"], noise, MAX_INVOICES, size)
            await flow(watch, Environment(hello["url"]), invoices, folder, deflate)
        watch.print_curve()
        print(f"client's peak RSS {max(stage.peaks[0] for stage in watch.stages)} MB, ", end="")
        print(f"sandbox's {max(stage.peaks[1] for stage in watch.stages)} MB")


async def flow(watch: Watch, environment: Environment, invoices: Invoices, folder: Path, deflate: str | None) -> None:
    key = Fernet.generate_key()
    cadence = Cadence(interval=0.25, longest=1.0, deadline=1800)
    credentials = KsefToken(nip=NIP, token=TOKEN)
    async with KsefClient(environment, credentials, pacer=Pacer.unlimited()) as client:
        packing = pack(iter(invoices), folder=folder, deflate=deflate)
        async with watch.stage("pack"):
            package = await packing.__aenter__()
        print(f"  {package.size:,} bytes in {len(package.parts)} parts")
        async with watch.stage("manifest"):
            await package.write_manifest(key)
        async with watch.stage("open"):
            session = await client.sessions.open_batch(package, form_code=FormCode.FA3)
            session.snapshot(key)
        async with watch.stage("upload"):
            await session.upload()
        async with watch.stage("close"):
            await session.terminate()
        async with watch.stage("processing"):
            async for transition in session.transitions(cadence):
                last = transition
        print(f"  {last}")
        async with watch.stage("outcomes"):
            outcomes = Counter([type(one.outcome).__name__ async for one in session.outcomes(cadence)])
        print(f"  {dict(outcomes)}")
        async with watch.stage("UPO"):
            upo = await session.upo(cadence)
            entries = sum(1 for _ in upo.entries)
        print(f"  {entries:,} entries")
        async with watch.stage("removal"):
            await packing.__aexit__(None, None, None)
    assert outcomes["AcceptedInvoice"] == entries == MAX_INVOICES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of the package; 5 at most")
    parser.add_argument("--deflate", help="the library to compress with; by default the fastest that is installed")
    parser.add_argument("--role", nargs="*", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args()
    match options.role:
        case ["sandbox", noise]:
            asyncio.run(serve(Path(noise)))
        case ["idle"]:
            asyncio.run(answer_stalls("idle"))
        case _:
            asyncio.run(run(options.gigabytes, options.deflate))


if __name__ == "__main__":
    main()
