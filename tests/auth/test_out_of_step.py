"""Logging in where KSeF's parts do not agree yet, where answers are lost, and where tokens are refused."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import orjson
import pytest
from clients import RecordingTransport, Traffic, connected
from virtual_time import VirtualTimeLoop

from ksef_async import BadRequestError, UnauthorizedError
from ksef_async.sandbox import Fault, Sandbox


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        pytest.param("redeem_tokens", Fault.refuse(21301), id="redeem 21301"),
        pytest.param("redeem_tokens", Fault.empty(401), id="redeem 401"),
        pytest.param("get_login_status", Fault.refuse(21304), id="status 21304"),
        pytest.param("get_login_status", Fault.empty(401), id="status 401"),
    ],
)
@pytest.mark.parametrize("times", [1, 4])
async def test_login_that_ksef_does_not_know_everywhere_yet_is_waited_for(
    sandbox: Sandbox, operation: str, fault: Fault, times: int
) -> None:
    traffic = Traffic()
    sandbox.faults.add(operation, fault, times=times)

    async with connected(sandbox, hook=traffic) as client:
        await client.limits.get_context()

    assert traffic.of("get_challenge") == 1
    assert sandbox.faults.happened == {operation: times}


async def test_login_that_is_never_known_is_begun_anew_once(sandbox: Sandbox) -> None:
    traffic = Traffic()
    sandbox.faults.add("redeem_tokens", Fault.refuse(21301), times=6)
    async with connected(sandbox, hook=traffic) as client:
        await client.limits.get_context()
    assert traffic.of("get_challenge") == 2

    traffic = Traffic()
    sandbox.faults.add("redeem_tokens", Fault.refuse(21301), times=1000)
    async with connected(sandbox, hook=traffic) as client:
        with pytest.raises(BadRequestError) as caught:
            await client.limits.get_context()
    assert caught.value.code == 21301
    assert (traffic.of("get_challenge"), traffic.of("redeem_tokens")) == (2, 12)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault.drop_after(), id="answer lost"),
        pytest.param(Fault.html(502, after_effect=True), id="gateway"),
        pytest.param(Fault.html(403), id="firewall"),
        pytest.param(Fault.answer_becomes(200, body=b"{}"), id="200 that does not fit"),
    ],
)
async def test_login_whose_tokens_are_lost_is_begun_anew(sandbox: Sandbox, fault: Fault) -> None:
    traffic = Traffic()
    sandbox.faults.add("redeem_tokens", fault)

    async with connected(sandbox, hook=traffic) as client:
        await client.limits.get_context()

    assert traffic.of("get_challenge") == 2


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault.refuse(21301), id="21301"),
        pytest.param(Fault.refuse(21304), id="21304"),
        pytest.param(Fault.empty(401), id="401"),
        pytest.param(Fault.forbidden(), id="403"),
        pytest.param(Fault.answer_becomes(200, body=b"{}"), id="200 that does not fit"),
    ],
)
async def test_refused_refresh_leads_to_a_new_login(sandbox: Sandbox, fault: Fault) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client:
        await client.limits.get_context()
        sandbox.clock.advance(16 * 60)
        sandbox.faults.add("refresh_access_token", fault, times=5)

        await client.limits.get_context()

    assert traffic.of("get_challenge") == 2


async def test_refresh_to_the_very_token_that_is_refused_leads_to_one_new_login_for_all(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with (
        aclosing(RecordingTransport()) as transport,
        connected(sandbox, hook=traffic, transport=transport) as client,
    ):
        await client.limits.get_context()
        (asked,) = transport.requests("get_context_limits")
        same = asked.headers["Authorization"].removeprefix("Bearer ")

        def the_same(body: bytes) -> bytes:
            answer = orjson.loads(body)
            answer["accessToken"]["token"] = same
            return orjson.dumps(answer)

        sandbox.faults.add("refresh_access_token", Fault.answer_becomes(body=the_same), times=1000)
        sandbox.faults.add("get_context_limits", Fault.empty(401), times=20)
        await asyncio.gather(*(client.limits.get_context() for _ in range(20)))

    assert (traffic.of("refresh_access_token"), traffic.of("get_challenge")) == (1, 2)


async def test_calls_that_are_refused_for_good_end_after_one_refresh(sandbox: Sandbox) -> None:
    traffic = Traffic()
    async with connected(sandbox, hook=traffic) as client:
        await client.limits.get_context()
        sandbox.faults.add("get_context_limits", Fault.empty(401), times=1000)

        ends = await asyncio.gather(*(client.limits.get_context() for _ in range(20)), return_exceptions=True)

    assert {type(each) for each in ends} == {UnauthorizedError}
    assert traffic.of("refresh_access_token") == 1
