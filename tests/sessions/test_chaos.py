"""Everything that can go wrong, at once: each invoice has exactly one effect, and its fate is known.

In virtual time over real sockets; `nox -s chaos` runs it with 10,000 invoices and a seed of its own.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from clients import Traffic, connected
from virtual_time import VirtualTimeLoop, mind_threads

from ksef_async import AcceptedInvoice, FormCode, KsefClient
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.sandbox import Clock, Fault, Sandbox, Timings, sample_invoice
from ksef_async.sessions.keep_open import SessionKeeper

INVOICES = int(os.environ.get("CHAOS_INVOICES", "600"))
SEED = int(os.environ.get("CHAOS_SEED", "20261124"))
TASKS = 16
STUBBORN = RetryPolicy(attempts=12, patience=float("inf"), deadline=float("inf"))


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def plan_trouble(sandbox: Sandbox) -> None:
    """What may happen to any call at any time."""
    for fault, probability in (
        (Fault.drop_after(), 0.05),
        (Fault.drop_before(), 0.05),
        (Fault.server_error(), 0.02),
        (Fault.server_error(after_effect=True), 0.01),
        (Fault.html(502), 0.01),
        (Fault.html(200, after_effect=True), 0.01),
        (Fault.html(403), 0.01),
        (Fault.html(403, after_effect=True), 0.005),
        (Fault.too_many_requests(3), 0.01),
    ):
        sandbox.faults.add(None, fault, probability=probability)
    for fault, probability in (
        (Fault.answer_becomes(200), 0.05),
        (Fault.answer_becomes(202, body=b"{}"), 0.02),
        (Fault.answer_becomes(201, body=b"OK"), 0.01),
        (Fault.invoice_ends(435), 0.01),
        (Fault.invoice_ends(500), 0.01),
        (Fault.invoice_ends(550), 0.01),
    ):
        sandbox.faults.add("send_invoice", fault, probability=probability)


def plan_death(sandbox: Sandbox) -> None:
    """The session is replaced by one that dies a little later, as its key cannot be decrypted."""
    sandbox.faults.add("open_online_session", Fault.wrong_key(), times=1)
    sandbox.faults.add("send_invoice", Fault.refuse(21184), times=1)


async def send_all(sandbox: Sandbox, sender: SessionKeeper, chance: random.Random) -> Counter[bytes]:
    """Send from many tasks, some documents twice by mistake, while keys, token and session fail; hashes sent."""
    numbers = [*range(INVOICES), *chance.sample(range(INVOICES), INVOICES // 20)]
    chance.shuffle(numbers)
    milestones: dict[int, Callable[[], Awaitable[None] | None]] = {
        len(numbers) // 4: lambda: sandbox.faults.add("send_invoice", Fault.refuse(21184), times=1),
        # The next session dies after it has taken invoices in.
        len(numbers) // 3: lambda: plan_death(sandbox),
        len(numbers) // 2: sandbox.rotate_keys,
        len(numbers) * 3 // 4: lambda: sandbox.clock.advance(20 * 60),
    }
    sent: Counter[bytes] = Counter()
    queue = iter(enumerate(numbers))

    async def work() -> None:
        for place, number in queue:
            if (event := milestones.get(place)) is not None and (pending := event()) is not None:
                await pending
            invoice = sample_invoice(sandbox.nip, f"FV/{number}")
            sent[(await sender.send(invoice)).invoice_hash] += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(TASKS):
            tasks.create_task(work())
    return sent


def chaotic_client(sandbox: Sandbox, traffic: Traffic) -> KsefClient:
    return connected(sandbox, pacer=Pacer.unlimited(), retry=STUBBORN, hook=traffic, answer_timeout=1e6)


@pytest.mark.timeout(600)
async def test_no_invoice_is_lost_or_sent_twice(capsys: pytest.CaptureFixture[str]) -> None:
    await mind_threads()
    chance, traffic = random.Random(SEED), Traffic()
    with capsys.disabled():
        print(f"\nchaos: {INVOICES} invoices, {TASKS} tasks, seed {SEED}")
    clock = Clock(monotonic=asyncio.get_running_loop().time)
    # Sessions that fill up are replaced, too.
    async with Sandbox(clock=clock, timings=Timings(), rate_limits=None, max_invoices=INVOICES // 3) as sandbox:
        sandbox.faults.seed(SEED)
        async with chaotic_client(sandbox, traffic) as client:
            plan_trouble(sandbox)
            async with client.sessions.keep_open(FormCode.FA3) as sender:
                sent = await send_all(sandbox, sender, chance)
            outcomes = [outcome async for outcome in sender.outcomes()]
            receipts = await sender.upos()
        now = sandbox.clock.now()
        ends = Counter(int(invoice.verdict.code) for invoice in sandbox.world.invoices())
        issued = Counter(invoice.invoice_hash for invoice in sandbox.world.invoices() if invoice.is_accepted)
        left_open = [s for s in sender.sessions if sandbox.world.sessions[s.reference_number].code_at(now) == 100]

    with capsys.disabled():
        print(
            f"chaos: {sum(sandbox.faults.happened.values())} faults in {sum(traffic.answers.values())} answers, "
            f"{len(sender.sessions)} sessions, {ends.total() - ends[200] - ends[440]} failed by KSeF, "
            f"{ends[440]} sent twice, {len(sent.keys() - issued.keys())} lost, {len(left_open)} sessions left open"
        )
    assert len(sent) == INVOICES
    assert issued == dict.fromkeys(sent, 1)
    # KSeF would call what was sent twice a duplicate.
    assert ends[440] == 0
    assert left_open == []
    accepted = [outcome for outcome in outcomes if isinstance(outcome, AcceptedInvoice)]
    assert len(outcomes) == len(accepted) == INVOICES
    confirmed = {entry.invoice_hash: entry.ksef_number for receipt in receipts for entry in receipt.entries}
    assert confirmed == {outcome.invoice_hash: outcome.ksef_number for outcome in accepted}
    assert confirmed.keys() == sent.keys()
