"""The companies of one service call KSeF from one address."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import Event, KsefToken, RequestAnswered
from ksef_async.api.auth import GET_CHALLENGE
from ksef_async.fastapi import KsefService
from ksef_async.sandbox import Clock, Sandbox

NIPS = ("5265877635", "1111111111")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


async def test_companies_share_what_their_address_is_granted() -> None:
    await mind_threads()
    answers: list[int] = []

    def note(event: Event) -> None:
        if isinstance(event, RequestAnswered):
            answers.append(event.http_status)

    async with (
        Sandbox(clock=Clock(monotonic=asyncio.get_running_loop().time)) as sandbox,
        AsyncExitStack() as stack,
    ):
        service = KsefService(
            sandbox.environment,
            {nip: KsefToken(nip=nip, token=sandbox.token) for nip in NIPS},
            journal="sqlite+aiosqlite://",
            client_options={"hook": note},
        )
        for client in service.clients.values():
            await stack.enter_async_context(client)
        # KSeF answers an address 60 such calls a second, on whoever's behalf.
        await asyncio.gather(*(client.call(GET_CHALLENGE) for client in service.clients.values() for _ in range(40)))

    assert answers == [200] * 80
