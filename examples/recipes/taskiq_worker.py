"""Taskiq: a task hands an invoice over, and the worker that runs it delivers it.

``pip install 'ksef_async[xades,postgres]' taskiq`` and a broker such as ``taskiq-redis``, the variables KSEF_ENV,
KSEF_NIP, KSEF_PKCS12_FILE and KSEF_KEY_PASSWORD, then ``taskiq worker taskiq_worker:broker``.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack

from taskiq import InMemoryBroker, TaskiqEvents, TaskiqState

from ksef_async import KsefClient
from ksef_async.sandbox import sample_invoice
from ksef_async.submissions import Submissions

JOURNAL = os.environ.get("KSEF_JOURNAL", "sqlite+aiosqlite:///invoices.db")

# Of your own: one that other processes reach.
broker = InMemoryBroker()


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(state: TaskiqState) -> None:
    state.stack = AsyncExitStack()
    client = await state.stack.enter_async_context(KsefClient.from_env())
    state.submissions = await state.stack.enter_async_context(Submissions(JOURNAL, client=client))
    await state.stack.enter_async_context(state.submissions.running())


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(state: TaskiqState) -> None:
    # What is under way is in the journal, and the next start goes on with it.
    await state.stack.aclose()


@broker.task
async def issue(order: int) -> str:
    # A task may run twice; with the same key, the same document is the same submission.
    invoice = sample_invoice(os.environ["KSEF_NIP"], f"FV/{order}")
    submissions: Submissions = broker.state.submissions
    return (await submissions.submit(invoice, key=f"order {order}")).state


@broker.task
async def ksef_number(order: int) -> str | None:
    submissions: Submissions = broker.state.submissions
    return (await submissions.get(key=f"order {order}")).ksef_number
