"""``ksef-async export``: what others have sent, into a folder, each once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio.to_thread
import pytest
from blockbuster import BlockBuster
from clients import connected

from ksef_async import FormCode
from ksef_async.cli import main
from ksef_async.sandbox import Sandbox, sample_invoice


async def test_new_invoices_are_saved_each_once(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_blocking_calls: BlockBuster,
) -> None:
    no_blocking_calls.deactivate()  # a command has its event loop for itself
    for name in [name for name in os.environ if name.startswith("KSEF_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KSEF_ENV", sandbox.environment.base_url)
    monkeypatch.setenv("KSEF_NIP", sandbox.nip)
    monkeypatch.setenv("KSEF_TOKEN", sandbox.token)
    arguments = ["export", str(tmp_path / "in"), "--since", "2026-01-01", "--part", "seller", "--json"]
    saved = []

    async with connected(sandbox) as client:
        for number in (1, 2):
            async with await client.sessions.open_online(FormCode.FA3) as session:
                accepted = await (await session.send(sample_invoice(sandbox.nip, f"FV/{number}"))).outcome()
            sandbox.clock.advance(3600)
            assert await anyio.to_thread.run_sync(main, arguments) == 0
            saved.append(json.loads(capsys.readouterr().out)["saved"])
            assert saved[-1] == [accepted.ksef_number]
            assert (tmp_path / "in" / f"{accepted.ksef_number}.xml").read_bytes() == sample_invoice(
                sandbox.nip, f"FV/{number}"
            )
