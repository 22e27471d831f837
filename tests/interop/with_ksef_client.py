"""The full path of `ksef-client` through the sandbox."""

from __future__ import annotations

from interop.ksef_client_defects import show_defects
from interop.ksef_client_invoices import export, list_sessions, receive, send_batch, send_online
from interop.ksef_client_logins import Walker
from interop.ksef_client_rights import read_limits, use_certificates, use_permissions, use_tokens
from interop.steps import Steps
from ksef_client import AsyncKsefClient, KsefClientOptions

from ksef_async.sandbox import Sandbox


async def walk(sandbox: Sandbox, url: str, steps: Steps) -> None:
    # The sandbox speaks HTTP only.
    options = KsefClientOptions(base_url=url, strict_presigned_url_validation=False)
    async with AsyncKsefClient(options) as client:
        with steps.step("public keys"):
            token_key = await client.security.get_public_key_certificate("KsefTokenEncryption")
            session_key = await client.security.get_public_key_certificate("SymmetricKeyEncryption")
        walker = Walker(sandbox, steps, client, token_key, session_key)
        await walker.log_in()
        access = await walker.log_in_with_certificates()
        await send_online(walker, access)
        for compression in ("Zip", "TarGz"):
            await send_batch(walker, access, compression)
        await list_sessions(walker, access)
        await receive(walker, access)
        for compression in ("Zip", "TarGz"):
            await export(walker, access, compression)
        await use_tokens(walker, access)
        await use_permissions(walker, access)
        await use_certificates(walker, access)
        await read_limits(walker, access)
        await walker.log_out()
        await show_defects(walker, access)
