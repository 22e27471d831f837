"""What a call does with answers of 429: it waits, and so do the others of its group, but never for years."""

from __future__ import annotations

import asyncio
import math
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import attrs
import orjson
import pytest
from aiohttp import web
from canned import serving
from virtual_time import VirtualTimeLoop

from ksef_async import (
    BadRequestError,
    ConnectError,
    Environment,
    KsefError,
    LocalProtocolError,
    RateLimitedError,
    RemoteProtocolError,
    ServerError,
    TransportError,
)
from ksef_async.api.auth import GET_CHALLENGE
from ksef_async.api.rates import RateLimit
from ksef_async.calling.caller import Caller
from ksef_async.calling.events import Event, RequestPaced, RequestSent
from ksef_async.calling.transport import AiohttpTransport
from ksef_async.protocol.pacing import UNLIMITED_RATES, AddressBudget, Pacer
from ksef_async.protocol.retry import RetryPolicy

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


def answering(response: Callable[[], web.Response]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return response()

    return answer


@pytest.mark.parametrize(
    ("headers", "least"),
    [pytest.param({}, 0.5, id="no time told"), pytest.param({"Retry-After": "30"}, 30.0, id="half a minute")],
)
async def test_lockout_holds_up_the_whole_group(headers: dict[str, str], least: float) -> None:
    answers = [web.Response(status=429, headers=headers), good(), good()]
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
    assert times[0] + least <= min(times[1:]) <= times[0] + least + 1.1


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


async def test_turn_that_comes_within_the_patience_is_waited_for_and_told() -> None:
    events: list[Event] = []
    async with serving(answering(good)) as environment:
        transport = AiohttpTransport(answer_timeout=1e6)
        caller = Caller(environment, transport, retry=RetryPolicy(patience=2.0), hook=events.append)
        began = asyncio.get_running_loop().time()

        await asyncio.gather(*(caller.call(GET_CHALLENGE) for _ in range(61)))

        assert asyncio.get_running_loop().time() - began >= 1.25
        await transport.aclose()

    assert [round(event.delay, 1) for event in events if isinstance(event, RequestPaced)] == [1.2]


async def test_waiting_for_what_the_address_is_granted_is_told_too() -> None:
    events: list[Event] = []
    few = attrs.evolve(UNLIMITED_RATES, overall=RateLimit(1, -1, -1))
    pacer = Pacer(UNLIMITED_RATES, address=AddressBudget(few, margin=0.0))
    async with serving(answering(good)) as environment:
        transport = AiohttpTransport(answer_timeout=1e6)
        caller = Caller(environment, transport, pacer=pacer, hook=events.append)

        await asyncio.gather(*(caller.call(GET_CHALLENGE) for _ in range(3)))

        await transport.aclose()

    assert [round(event.delay) for event in events if isinstance(event, RequestPaced)] == [1, 2]


async def test_turn_that_comes_later_than_the_patience_is_given_back_at_once() -> None:
    events: list[Event] = []
    async with serving(answering(good)) as environment:
        transport, pacer = AiohttpTransport(answer_timeout=1e6), Pacer()
        caller = Caller(environment, transport, pacer=pacer, retry=RetryPolicy(patience=1.0), hook=events.append)
        now = asyncio.get_running_loop().time()
        for _ in range(60):
            pacer.reserve(GET_CHALLENGE, now)

        for _ in range(3):
            with pytest.raises(RateLimitedError, match=r"longer than the patience of 1 s; nothing was sent") as caught:
                await caller.call(GET_CHALLENGE)

        assert caught.value.http_status == 429
        assert caught.value.retry_after == pytest.approx(1.25, abs=0.05)
        assert pacer.remaining(GET_CHALLENGE.rate_group, now).per_second == 0
        await transport.aclose()

    assert [event for event in events if isinstance(event, RequestSent)] == []


async def test_last_attempt_is_the_policys_and_pauses_lie_between() -> None:
    times = []

    async def answer(_: web.Request) -> web.Response:
        times.append(asyncio.get_running_loop().time())
        return web.Response(status=502)

    async with serving(answer) as environment:
        transport = AiohttpTransport(answer_timeout=1e6)
        policy = RetryPolicy(attempts=4, first_pause=1000, longest_pause=1000, deadline=math.inf)
        with pytest.raises(ServerError):
            await Caller(environment, transport, retry=policy).call(GET_CHALLENGE)
        await transport.aclose()

    assert len(times) == 4
    # Three pauses at random, of up to a thousand seconds each.
    assert 1.0 < times[-1] - times[0] < 3001.0


async def test_document_behind_a_link_is_fetched_again() -> None:
    document = b"<Upo/>"
    declared = b64encode(sha256(document).digest()).decode()
    answers = [web.Response(status=503), web.Response(body=document, headers={"x-ms-meta-hash": declared})]

    async def answer(_: web.Request) -> web.Response:
        return answers.pop(0)

    async with serving(answer) as environment:
        transport = AiohttpTransport(answer_timeout=1e6)
        link = f"{environment.base_url}/storage/upo?sig=x"
        assert await Caller(environment, transport).download("UPO", link) == document
        await transport.aclose()

    assert answers == []


@pytest.mark.parametrize(
    ("failures", "flows"),
    [
        pytest.param([TransportError("lost", maybe_delivered=True)], 2, id="answer lost"),
        pytest.param([ServerError("502", operation="x", http_status=502)], 2, id="gateway"),
        pytest.param([RemoteProtocolError("success that cannot be read", maybe_delivered=True)], 2, id="unreadable"),
        pytest.param([ConnectError("no way there", maybe_delivered=False)], 2, id="no connection"),
        pytest.param([BadRequestError("no", operation="x", http_status=400)], 1, id="refusal"),
        pytest.param([LocalProtocolError("wrong")], 1, id="our own refusal"),
        pytest.param([ServerError("502", operation="x", http_status=502)] * 9, 5, id="again and again"),
    ],
)
async def test_flow_is_begun_anew_where_an_answer_was_lost_only(failures: list[KsefError], flows: int) -> None:
    begun = 0

    async def flow() -> str:
        nonlocal begun
        begun += 1
        if begun <= len(failures):
            raise failures[begun - 1]
        return "done"

    transport = AiohttpTransport()
    caller = Caller(Environment("http://127.0.0.1:9/v2"), transport)
    began = asyncio.get_running_loop().time()
    try:
        assert await caller.begin_anew(flow) == "done"
    except KsefError as error:
        assert error is failures[begun - 1]  # noqa: PT017  # which of them it is matters
    await transport.aclose()

    assert begun == flows
    assert (asyncio.get_running_loop().time() > began + 1e-4) == (flows > 1)
