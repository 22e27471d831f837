"""The full path of `ksef2` through the sandbox."""

from __future__ import annotations

import httpx
from interop.ksef2_defects import show_defects
from interop.ksef2_invoices import export, list_sessions, receive, send_batch, send_online
from interop.ksef2_logins import Walker
from interop.ksef2_rights import read_limits, use_certificates, use_permissions, use_tokens
from interop.steps import Steps
from ksef2 import AsyncClient, Environment

from ksef_async.sandbox import Sandbox


class ToTheSandbox(httpx.AsyncHTTPTransport):
    """`ksef2` knows the Ministry's addresses only; this is the one of its public settings that leads elsewhere."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.url = httpx.URL(sandbox.environment.base_url)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(scheme=self.url.scheme, host=self.url.host, port=self.url.port)
        return await super().handle_async_request(request)


async def walk(sandbox: Sandbox, steps: Steps) -> None:
    async with httpx.AsyncClient(transport=ToTheSandbox(sandbox)) as http:
        async with AsyncClient(Environment.TEST, http_client=http) as client:
            walker = Walker(sandbox, steps, client)
            await walker.log_in()
            auth = await walker.log_in_with_certificates()
            await send_online(walker, auth)
            await send_batch(walker, auth)
            await list_sessions(walker, auth)
            await receive(walker, auth)
            for compression in ("zip", "tar_gz"):
                await export(walker, auth, compression)
            await use_tokens(walker, auth)
            await use_permissions(walker, auth)
            await use_certificates(walker, auth)
            await read_limits(walker, auth)
            await walker.log_out()
            await show_defects(walker, auth)
