"""What a call does with answers of 429: it waits, and so do the others of its group, but never for years."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest
from aiohttp import web
from canned import serving
from virtual_time import VirtualTimeLoop

from ksef_async import RateLimitedError, RemoteProtocolError, ServerError
from ksef_async.caller import Caller
from ksef_async.operations.auth import GET_CHALLENGE
from ksef_async.protocol.pacing import Pacer
from ksef_async.transport import AiohttpTransport

CHALLENGE = {
    "challenge": "20250711-CR-20F5EE4000-DA48AE4124-46",
    "timestamp": "2025-07-11T12:23:56.0154302+00:00",
    "timestampMs": 1752236636015,
    "clientIp": "127.0.0.1",
}


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def good() -> web.Response:
    return web.Response(body=orjson.dumps(CHALLENGE), content_type="application/json")


async def test_lockout_that_does_not_say_how_long_holds_up_the_whole_group() -> None:
    answers = [web.Response(status=429), good(), good()]
    times = []

    async def answer(_: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        return answers.pop(0)

    async with serving(answer) as environment:
        transport, pacer = AiohttpTransport(answer_timeout=1e6), Pacer.unlimited()
        caller = Caller(environment, transport, pacer=pacer)

        first = asyncio.ensure_future(caller.call(GET_CHALLENGE))
        while pacer.blocked_until(GET_CHALLENGE) < 0:
            await asyncio.sleep(0)
        second = await caller.call(GET_CHALLENGE)
        assert await first == second
        await transport.aclose()

    assert len(times) == 3
    assert min(times[1:]) >= times[0] + 0.5


@pytest.mark.parametrize("retry_after", ["99999999", "9" * 300, "Fri, 27 Nov 2099 20:00:00 GMT"])
async def test_nobody_is_locked_out_for_longer_than_an_hour(retry_after: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Retry-After": retry_after, "Date": "Fri, 27 Nov 2026 20:00:00 GMT"}
        return web.Response(status=429, headers=headers) if not was_limited else good()

    was_limited: list[bool] = []
    async with serving(answer) as environment:
        transport, pacer = AiohttpTransport(answer_timeout=1e6), Pacer.unlimited()
        caller = Caller(environment, transport, pacer=pacer)
        with pytest.raises(RateLimitedError) as caught:
            await caller.call(GET_CHALLENGE)
        was_limited.append(True)

        assert caught.value.retry_after == 3600.0
        assert pacer.blocked_until(GET_CHALLENGE) <= asyncio.get_running_loop().time() + 3600.0
        await asyncio.sleep(3600.0)
        assert (await caller.call(GET_CHALLENGE)).timestamp_ms == CHALLENGE["timestampMs"]
        await transport.aclose()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        ({"body": b"{}", "content_type": "application/json"}, RemoteProtocolError),
        ({"body": b"<html>", "content_type": "text/html"}, ServerError),
        ({"status": 307, "headers": {"Location": "/elsewhere"}}, ServerError),
    ],
)
async def test_what_settles_nothing_is_asked_for_again_and_not_for_ever(
    response: dict[str, Any], error: type[Exception]
) -> None:
    asked = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(**response)

    async with serving(answer) as environment:
        transport = AiohttpTransport(answer_timeout=1e6)
        with pytest.raises(error):
            await Caller(environment, transport).call(GET_CHALLENGE)
        await transport.aclose()

    assert asked == ["/v2/auth/challenge"] * 5
