"""Worker processes that deliver from a journal and may be killed, and what must hold afterwards."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ksef_async.sandbox import Sandbox
from ksef_async.sessions.upo import parse_upo
from ksef_async.submissions import Submissions, SubmissionState

CHILD = Path(__file__).with_name("submissions") / "working_process.py"


class Worker:
    """A process that delivers, and what it has told so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.told: dict[str, Any] = {"commits": 0, "late_ms": 0.0}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.told = json.loads(line)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()
        await self._reading


async def start(told: dict[str, Any]) -> Worker:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, CHILD, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode() + b"\n")
    await process.stdin.drain()
    return Worker(process)


async def check(sandbox: Sandbox, submissions: Submissions, documents: list[bytes]) -> None:
    """Nothing lost, nothing doubled, every UPO stored and matched."""
    taken_in = Counter(invoice.invoice_hash for invoice in sandbox.world.invoices())
    numbers = {invoice.invoice_hash: invoice.verdict.ksef_number for invoice in sandbox.world.invoices()}
    assert len(taken_in) == len(documents)  # lost
    assert set(taken_in.values()) == {1}  # doubled
    assert all(invoice.is_accepted for invoice in sandbox.world.invoices())
    counts = await submissions.count()
    assert {state for state, count in counts.items() if count} == {SubmissionState.ACCEPTED}
    stored = await submissions.list_page(limit=len(documents) + 1)
    assert [submission.ksef_number for submission in stored] == [numbers[s.invoice_hash] for s in stored]
    confirmed: set[tuple[str, bytes]] = set()
    sessions = {submission.session_reference_number: submission.id for submission in stored}
    for submission_id in sessions.values():
        upo = parse_upo(await submissions.upo(submission_id))
        confirmed |= {(entry.ksef_number, entry.invoice_hash) for entry in upo.entries}
    assert all(submission.has_upo for submission in stored)
    assert {(submission.ksef_number, submission.invoice_hash) for submission in stored} == confirmed
