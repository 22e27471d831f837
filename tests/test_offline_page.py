"""docs/offline.md: every block of Python in it runs as it stands, in its order."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, cast

import anyio.to_thread
from blockbuster import BlockBuster
from certificates import EC_KEY, NIP
from clients import QUICK
from codes import decode_png, decode_svg
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ksef_async import CertificateCredentials, KsefClient, Pacer, verification_link
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.sandbox import Sandbox, sample_invoice

PAGE = Path(__file__).parents[1] / "docs" / "offline.md"


async def run(block: str, names: dict[str, Any]) -> None:
    """Run a block that may await, and keep what it names."""
    code = compile(block, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = cast("Callable[[], Awaitable[None] | None]", FunctionType(code, names))()
    if result is not None:
        await result


async def test_every_block_runs(sandbox: Sandbox, no_blocking_calls: BlockBuster) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    # What is imported for the first time is read from files.
    no_blocking_calls.deactivate()
    names: dict[str, Any] = {"asyncio": asyncio, "sandbox": sandbox, "xml": sample_invoice(NIP), "nip": NIP}

    async def sign_elsewhere(data: bytes, algorithm: str) -> bytes:
        assert algorithm == "ecdsa-sha256"
        return await anyio.to_thread.run_sync(lambda: names["key"].sign(data, ec.ECDSA(hashes.SHA256())))

    names["hsm"] = SimpleNamespace(sign=sign_elsewhere)
    credentials = CertificateCredentials(certificate=self_signed_seal(NIP, EC_KEY), key=EC_KEY, nip=NIP)
    async with KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK) as client:
        names["client"] = client
        for block in blocks:
            await run(block, names)
        assert await names["signer"].sign(b"text")

    assert len(blocks) >= 9
    assert decode_png(names["png"]) == decode_svg(names["svg"]) == [names["code"].link]
    assert names["code"].link == verification_link(names["xml"], type(sandbox.environment).TEST)
    assert decode_png(names["picture"]) == [names["link"]]
    assert names["chosen"].route == "both"
    assert names["known"].state == "up"
