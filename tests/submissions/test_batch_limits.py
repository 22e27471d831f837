"""How many invoices a batch takes is for KSeF to say, for each context. In virtual time: a backlog takes minutes."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import attrs
import pytest
from clients import QUICK, connected
from virtual_time import VirtualTimeLoop

from ksef_async.api.common import Context, ContextType
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submissions, SubmissionState

BACKLOG = 100
#: A backlog in batches is over sooner than one by one.
SETTINGS = Settings(linger=1.0, poll_interval=1.0, online_within=1.0)


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


async def sizes_of_batches(sandbox: Sandbox, url: str) -> list[int]:
    """Deliver a backlog; how many invoices each batch had."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with (
        connected(sandbox, pacer=Pacer(), retry=QUICK) as client,
        Submissions(url, client=client, settings=SETTINGS) as submissions,
    ):
        async with submissions.begin() as transaction:
            for number in range(BACKLOG):
                await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"), tx=transaction)
        async with submissions.running():
            with anyio.fail_after(3600):
                await submissions.wait_until_settled()

        assert (await submissions.count())[SubmissionState.ACCEPTED] == BACKLOG
    return [len(session.invoices) for number, session in sandbox.world.sessions.items() if "-SB-" in number]


def grant(sandbox: Sandbox, max_invoices: int) -> None:
    context = Context(ContextType.NIP, sandbox.nip)
    limits = sandbox.world.granted.context(context)
    batch = attrs.evolve(limits.batch_session, max_invoices=max_invoices)
    sandbox.world.granted.override_context(context, attrs.evolve(limits, batch_session=batch))


@pytest.mark.parametrize(
    ("granted", "sizes"),
    [
        pytest.param(10_000, [100], id="all in one"),
        # The last twenty are sooner there one by one.
        pytest.param(40, [40, 40], id="in two and a rest"),
        pytest.param(0, [], id="no batches"),
    ],
)
async def test_batches_are_as_large_as_the_context_is_granted(
    sandbox: Sandbox, sqlite_url: str, granted: int, sizes: list[int]
) -> None:
    grant(sandbox, granted)

    assert await sizes_of_batches(sandbox, sqlite_url) == sizes


async def test_batches_are_as_large_as_any_contexts_while_the_limit_is_not_known(
    sandbox: Sandbox, sqlite_url: str
) -> None:
    sandbox.faults.add("get_context_limits", Fault.html(503), times=10_000)

    assert await sizes_of_batches(sandbox, sqlite_url) == [100]


async def test_batch_that_turns_out_too_large_goes_in_smaller_ones(sandbox: Sandbox, sqlite_url: str) -> None:
    grant(sandbox, 40)
    sandbox.faults.add("get_context_limits", Fault.html(503), times=10_000)
    sandbox.faults.add("open_batch_session", Fault.session_ends(420), times=2)

    sizes = await sizes_of_batches(sandbox, sqlite_url)

    # Until so few go together that they are sooner there one by one.
    assert sizes[:2] == [0, 0]
