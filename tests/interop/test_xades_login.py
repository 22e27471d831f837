"""Logins by certificate, signed by independent clients from PyPI, verified by the sandbox."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from ksef_async.crypto.certificates import Certificate, PrivateKey
from ksef_async.crypto.issuing import KeyKind, new_private_key, self_signed_person, self_signed_seal
from ksef_async.sandbox import Sandbox

NIP = "5265877635"

both_keys = pytest.mark.parametrize("kind", ["rsa", "ec"])


def needs(package: str) -> pytest.MarkDecorator:
    reason = f"{package} is installed by `nox -s interop`"
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=reason)


def pem(certificate: Certificate, key: PrivateKey) -> tuple[str, str]:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.readable.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@needs("ksef_client")
@both_keys
async def test_ksef_client_logs_in_by_certificate(kind: KeyKind, capsys: pytest.CaptureFixture[str]) -> None:
    from ksef_client import AsyncKsefClient, KsefClientOptions
    from ksef_client.services.workflows import AsyncAuthCoordinator

    key = new_private_key(kind)
    certificate, private = pem(self_signed_seal(NIP, key), key)
    steps: list[str] = []
    async with Sandbox() as sandbox:
        base_url = sandbox.environment.base_url.removesuffix("/v2")
        async with AsyncKsefClient(KsefClientOptions(base_url=base_url)) as client:
            for schema in ("2.0", "2.1"):
                auth = await AsyncAuthCoordinator(client.auth).authenticate_with_xades(
                    context_identifier_type="nip",
                    context_identifier_value=NIP,
                    subject_identifier_type="certificateSubject",
                    certificate_pem=certificate,
                    private_key_pem=private,
                    auth_request_schema_version=schema,
                    poll_interval_seconds=0.1,
                )
                login = sandbox.world.logins[auth.reference_number]
                assert login.is_redeemed
                assert (login.subject, login.method.name) != (None, "Token")
                steps.append(f"XAdES login, {kind}, schema {schema}")

    with capsys.disabled():
        print(*(f"\nksef-client {version('ksef-client')}: {step}: ok" for step in steps), sep="")


@needs("ksef2")
@both_keys
async def test_ksef2_logs_in_by_certificate(kind: KeyKind, capsys: pytest.CaptureFixture[str]) -> None:
    import httpx
    from ksef2 import AsyncClient, Environment
    from ksef2.xades import XAdESCredentials

    key = new_private_key(kind)
    steps: list[str] = []
    async with Sandbox() as sandbox:

        class ToTheSandbox(httpx.AsyncHTTPTransport):
            """ksef2 knows the Ministry's addresses only."""

            async def handle_async_request(self, request: Any) -> Any:
                url = httpx.URL(sandbox.environment.base_url)
                request.url = request.url.copy_with(scheme=url.scheme, host=url.host, port=url.port)
                return await super().handle_async_request(request)

        async with httpx.AsyncClient(transport=ToTheSandbox()) as http:
            async with AsyncClient(Environment.TEST, http_client=http) as client:
                for name, certificate in (
                    ("seal", self_signed_seal(NIP, key)),
                    ("person with a NIP", self_signed_person(key, nip=NIP)),
                ):
                    signed_by = [part.encode() for part in pem(certificate, key)]
                    credentials = XAdESCredentials.from_pem(*signed_by)
                    await client.authentication.with_xades(nip=NIP, credentials=credentials, poll_interval=0.1)
                    login = next(reversed(sandbox.world.logins.values()))
                    assert login.is_redeemed
                    assert login.signature is not None
                    steps.append(f"XAdES login, {kind}, {name}")

    with capsys.disabled():
        print(*(f"\nksef2 {version('ksef2')}: {step}: ok" for step in steps), sep="")
