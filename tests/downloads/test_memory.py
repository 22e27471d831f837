"""A large package needs little memory: the process that fetches it is measured from outside.

Its size is read from KSEF_EXPORT_INVOICES: 300 invoices of 100 kB by default, packed to half of that.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread
import pytest
from receiving import BUYER, feed, settle

from ksef_async.sandbox import Sandbox, sample_invoice

CHILD = Path(__file__).with_name("fetching_process.py")
INVOICES = int(os.environ.get("KSEF_EXPORT_INVOICES", "300"))
#: What cannot be packed well: hexadecimal noise.
NOISE = 50_000


def documents(seller: str) -> Iterator[bytes]:
    return (
        sample_invoice(seller, f"FV/{number}", buyer_nip=BUYER).replace(
            b"</Faktura>", f"<!--{secrets.token_hex(NOISE)}--></Faktura>".encode()
        )
        for number in range(INVOICES)
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.timeout(300)
async def test_large_package_is_received_in_little_memory(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    since = sandbox.clock.now()
    await anyio.to_thread.run_sync(lambda: feed(sandbox, documents(sandbox.nip)))
    settle(sandbox)
    # Parts are held in memory as they are fetched, two at a time; smaller ones show what else is held.
    sandbox.world.exports.limits.max_part_size = 1_000_000
    arguments = [sandbox.environment.base_url, BUYER, sandbox.issue_token(BUYER), since.isoformat()]

    process = await asyncio.create_subprocess_exec(sys.executable, CHILD, *arguments, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()

    assert process.returncode == 0
    count, size, before, after = map(int, output.split())
    with capsys.disabled():
        print(f"\n{count:,} invoices, {size / 1e6:.0f} MB of XML: {before / 1e3:.0f} -> {after / 1e3:.0f} MB of memory")
    assert count == INVOICES
    assert size > INVOICES * 2 * NOISE
    # All of it at once would need more, packed or not.
    assert after - before < 25_000
