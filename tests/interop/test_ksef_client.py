"""`ksef-client` from PyPI, as its users install it, against the sandbox: login, session, invoice, UPO."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any
from xml.etree import ElementTree as ET

import anyio
import pytest

from ksef_async.sandbox import Sandbox, sample_invoice

pytest.importorskip("ksef_client", reason="ksef-client is installed by `nox -s interop`")


async def until(look: Callable[[], Awaitable[Any]], done: Callable[[Any], bool]) -> Any:
    with anyio.fail_after(10):
        while not done(seen := await look()):
            await anyio.sleep(0.05)
        return seen


async def test_ksef_client_sends_an_invoice_and_gets_its_upo(capsys: pytest.CaptureFixture[str]) -> None:
    from ksef_client import AsyncKsefClient, KsefClientOptions, models
    from ksef_client.services.workflows import AsyncAuthCoordinator, AsyncOnlineSessionWorkflow

    steps: list[str] = []
    async with Sandbox() as sandbox:
        invoice = sample_invoice(sandbox.nip)
        base_url = sandbox.environment.base_url.removesuffix("/v2")
        async with AsyncKsefClient(KsefClientOptions(base_url=base_url)) as client:
            token_key = await client.security.get_public_key_certificate("KsefTokenEncryption")
            session_key = await client.security.get_public_key_certificate("SymmetricKeyEncryption")
            steps.append("public keys")
            auth = await AsyncAuthCoordinator(client.auth).authenticate_with_ksef_token(
                token=sandbox.token,
                public_certificate=token_key.certificate,
                public_key_id=token_key.public_key_id,
                context_identifier_type="nip",
                context_identifier_value=sandbox.nip,
            )
            steps.append("token login")
            session = await AsyncOnlineSessionWorkflow(client.sessions).open_session(
                form_code=models.FormCode(system_code="FA (3)", schema_version="1-0E", value="FA"),
                public_certificate=session_key.certificate,
                public_key_id=session_key.public_key_id,
                access_token=auth.access_token,
            )
            steps.append(f"session {session.reference_number}")
            sent = await session.send_invoice(invoice)
            status = await until(
                lambda: session.get_invoice_status(sent.reference_number), lambda seen: seen.status.code >= 200
            )
            assert status.status.code == 200
            steps.append(f"accepted as {status.ksef_number}")
            await session.close()
            closed = await until(session.get_status, lambda seen: seen.status.code >= 200)
            assert closed.status.code == 200
            steps.append("closed, processed")
            upo = await session.get_upo(closed.upo.pages[0].reference_number)
            steps.append(f"UPO of {len(upo)} bytes")

    confirmed = [element.text for element in ET.fromstring(upo).iterfind(".//{*}SkrotDokumentu")]
    assert confirmed == [base64.b64encode(hashlib.sha256(invoice).digest()).decode()]
    with capsys.disabled():
        print(*(f"\nksef-client {version('ksef-client')}: {step}: ok" for step in steps), sep="")
