"""`ksef-client` and `ksef2` from PyPI, as their users install them, each send a batch to the sandbox."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
import sys
import zipfile
from importlib.metadata import version
from typing import Any
from xml.etree import ElementTree as ET

import anyio
import pytest

from ksef_async.sandbox import Sandbox, sample_invoice

#: `ksef-client` uploads to no loopback address and to no "localhost", so the sandbox gets another name for itself.
HOST = "ksef.test"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `HOST` be this machine."""
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        return look_up("127.0.0.1" if host in (HOST, HOST.encode()) else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def samples(nip: str, count: int = 20) -> list[bytes]:
    return [sample_invoice(nip, f"FV/{number}") for number in range(count)]


def confirmed(upo: bytes) -> set[str | None]:
    return {element.text for element in ET.fromstring(upo).iterfind(".//{*}SkrotDokumentu")}


def hashes(invoices: list[bytes]) -> set[str]:
    return {base64.b64encode(hashlib.sha256(invoice).digest()).decode() for invoice in invoices}


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("compression", ["Zip", "TarGz"])
async def test_ksef_client_sends_a_batch(compression: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ksef_client", reason="ksef-client is installed by `nox -s interop`")
    from ksef_client import AsyncKsefClient, KsefClientOptions, models
    from ksef_client.services.workflows import AsyncAuthCoordinator, AsyncBatchSessionWorkflow

    port = unused_port()
    async with Sandbox(port=port, public_url=f"http://{HOST}:{port}") as sandbox:
        invoices = samples(sandbox.nip)
        options = KsefClientOptions(base_url=f"http://{HOST}:{port}", strict_presigned_url_validation=False)
        async with AsyncKsefClient(options) as client:
            token_key = await client.security.get_public_key_certificate("KsefTokenEncryption")
            session_key = await client.security.get_public_key_certificate("SymmetricKeyEncryption")
            auth = await AsyncAuthCoordinator(client.auth).authenticate_with_ksef_token(
                token=sandbox.token,
                public_certificate=token_key.certificate,
                public_key_id=token_key.public_key_id,
                context_identifier_type="nip",
                context_identifier_value=sandbox.nip,
            )
            session = await AsyncBatchSessionWorkflow(client.sessions, client.http_client).open_session(
                form_code=models.FormCode(system_code="FA (3)", schema_version="1-0E", value="FA"),
                archive_bytes=zipped(invoices) if compression == "Zip" else tarred(invoices),
                compression_type=compression,
                public_certificate=session_key.certificate,
                public_key_id=session_key.public_key_id,
                access_token=auth.access_token,
            )
            await session.upload_parts()
            await session.close()
            with anyio.fail_after(10):
                while (status := await session.get_status()).status.code < 200:
                    await anyio.sleep(0.05)
            assert status.status.code == 200
            assert (status.invoice_count, status.successful_invoice_count) == (20, 20)
            upo = await session.get_upo(status.upo.pages[0].reference_number)

    assert confirmed(upo) == hashes(invoices)
    with capsys.disabled():
        print(f"\nksef-client {version('ksef-client')}: a {compression} of 20 invoices, processed, UPO fetched: ok")


def zipped(invoices: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, invoice in enumerate(invoices):
            archive.writestr(f"{number}.xml", invoice)
    return buffer.getvalue()


def tarred(invoices: list[bytes]) -> bytes:
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for number, invoice in enumerate(invoices):
            member = tarfile.TarInfo(f"{number}.xml")
            member.size = len(invoice)
            archive.addfile(member, io.BytesIO(invoice))
    return buffer.getvalue()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="ksef2 needs Python 3.12")
async def test_ksef2_sends_a_batch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ksef2", reason="ksef2 is installed by `nox -s interop`")
    from ksef2 import AsyncClient, Environment

    async with Sandbox() as sandbox:
        invoices = samples(sandbox.nip)
        # It knows the Ministry's environments only.
        monkeypatch.setattr(Environment.TEST, "_value_", sandbox.environment.base_url)
        async with AsyncClient(Environment.TEST) as client:
            auth = await client.authentication.with_token(ksef_token=sandbox.token, nip=sandbox.nip)
            session = await auth.batch.submit(await auth.batch.prepare(invoices))
            status = await session.wait(timeout=10, poll_interval=0.05)
            assert status.status.code == 200
            assert (status.invoice_count, status.successful_invoice_count) == (20, 20)
            (upo,) = await session.download_upo()

    assert confirmed(upo) == hashes(invoices)
    with capsys.disabled():
        print(f"\nksef2 {version('ksef2')}: a Zip of 20 invoices, processed, UPO fetched: ok")
