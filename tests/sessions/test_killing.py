from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path

import anyio
import pytest
from cryptography.fernet import Fernet

from ksef_async.sandbox import Sandbox

CHILD = Path(__file__).with_name("sending_process.py")
#: `nox -s durable` kills more often.
INVOICES = int(os.environ.get("KILLING_INVOICES", "200"))
KILLS = int(os.environ.get("KILLING_KILLS", "3"))
SEED = 20261124


async def start(sandbox: Sandbox, key: str, file: Path) -> asyncio.subprocess.Process:
    arguments = [sandbox.environment.base_url, sandbox.nip, sandbox.token, key, file, INVOICES]
    return await asyncio.create_subprocess_exec(sys.executable, CHILD, *map(str, arguments))


@pytest.mark.timeout(120)
async def test_process_killed_again_and_again_sends_each_invoice_once(sandbox: Sandbox, tmp_path: Path) -> None:
    key, file = Fernet.generate_key().decode(), tmp_path / "snapshot"

    # Each of the killed processes gets some way further than the one before.
    for moment in sorted(random.Random(SEED).sample(range(1, INVOICES), KILLS)):
        process = await start(sandbox, key, file)
        while len([*sandbox.world.invoices()]) < moment:
            await anyio.sleep(0.001)
            assert process.returncode is None
        process.kill()
        await process.wait()
    last = await start(sandbox, key, file)

    assert await last.wait() == 0
    assert len(sandbox.world.sessions) == 1
    taken_in = Counter(invoice.invoice_hash for invoice in sandbox.world.invoices())
    assert len(taken_in) == INVOICES
    assert set(taken_in.values()) == {1}
    assert all(invoice.is_accepted for invoice in sandbox.world.invoices())
