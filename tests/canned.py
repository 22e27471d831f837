"""A server that answers what it is told: for answers that neither KSeF nor the sandbox would give."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from ksef_async import Environment

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[Environment]:
    """An environment whose every request is answered by ``answer``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Environment(f"http://127.0.0.1:{runner.addresses[0][1]}/v2")
    finally:
        await runner.cleanup()
