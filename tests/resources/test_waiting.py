"""Waiting for many grants under production's limits, in virtual time: KSeF counts how often one looks."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from clients import Traffic, connected
from parties import ADAM
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import Pacer
from ksef_async.calling.events import Event, RequestPaced
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.sandbox import Clock, Sandbox, Timings

GRANTS = 35


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class Paced(Traffic):
    """Counts the looks too that had to wait for longer than a second."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, RequestPaced) and event.operation == "get_permission_operation" and event.delay > 1:
            self.pauses.append(event.delay)


async def test_each_of_many_grants_is_looked_at_once_and_the_pause_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    await mind_threads()
    loop, traffic = asyncio.get_running_loop(), Paced()
    timings = Timings(permission_delay=0.4)
    patient = RetryPolicy(patience=float("inf"), deadline=float("inf"))
    async with Sandbox(clock=Clock(monotonic=loop.time), timings=timings) as sandbox:
        async with connected(sandbox, pacer=Pacer(), retry=patient, hook=traffic, answer_timeout=1e6) as client:
            await client.log_in()
            started = loop.time()

            async def give(number: int) -> None:
                pesel = f"{number:02}010112345"
                handle = await client.permissions.grant_to_person(pesel, ["InvoiceRead"], f"Grant {number}", ADAM)
                await handle.wait()

            async with anyio.create_task_group() as tasks:
                for number in range(GRANTS):
                    tasks.start_soon(give, number)
            seconds = loop.time() - started

    with capsys.disabled():
        print(
            f"\n{GRANTS} grants at once: {seconds:.1f} s, {traffic.of('get_permission_operation')} looks, "
            f"{len(traffic.pauses)} of them paced, {sum(traffic.pauses):.0f} s in all, {traffic.refused} answers of 429"
        )
    assert traffic.refused == 0
    assert traffic.of("get_permission_operation") == GRANTS
    # 30 grants a minute are all that KSeF takes in; the rest wait for their own turn, and no longer for their looks.
    assert seconds < 62
