"""A worker that may be killed at any moment. Used by killing.py; what it needs to know comes by stdin.

Prints a line of JSON now and then: its commits, and the longest time its event loop was late.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs

from ksef_async import Environment, KsefClient, KsefToken
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.submissions import Settings, Submissions
from ksef_async.submissions.procrastinate import ProcrastinateEngine

QUICK = RetryPolicy(first_pause=0.02, longest_pause=0.1)


async def tell(submissions: Submissions) -> None:
    late = 0.0
    while True:
        for _ in range(10):
            before = time.perf_counter()
            await asyncio.sleep(0.02)
            late = max(late, time.perf_counter() - before - 0.02)
        print(json.dumps({"commits": submissions.commits, "late_ms": round(late * 1000, 1)}), flush=True)


async def main(told: dict[str, Any]) -> None:
    environment = Environment(told["base_url"])
    engine = None
    if told["engine"]:
        engine = ProcrastinateEngine(told["url"], heartbeat=0.5, stalled_after=2.0, polling_interval=0.2)
    # Within production's limits a backlog would take too long one by one, and goes in a batch.
    pacer = Pacer if told["batches"] else Pacer.unlimited
    async with AsyncExitStack() as stack:
        clients = {
            nip: await stack.enter_async_context(
                KsefClient(environment, KsefToken(nip=nip, token=token), pacer=pacer(), retry=QUICK)
            )
            for nip, token in told["companies"].items()
        }
        quick = Settings(linger=0.5, poll_interval=0.1, first_pause=0.05, lease_duration=4.0, online_within=1.0)
        parts = told["batches"] and {"part_size": told["part_size"], "spool": Path(told["spool"])}
        settings = attrs.evolve(quick, **(parts or {}), **told.get("settings", {}))
        submissions = await stack.enter_async_context(
            Submissions(told["url"], client=clients, keys=told["keys"], engine=engine, settings=settings)
        )
        async with submissions.running():
            await tell(submissions)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.readline())))
