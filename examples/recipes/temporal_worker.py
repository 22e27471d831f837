"""Temporal: a workflow waits until an order's invoice has its KSeF number, for days if need be.

``pip install 'ksef_async[xades,postgres]' temporalio``, the variables KSEF_ENV, KSEF_NIP, KSEF_PKCS12_FILE and
KSEF_KEY_PASSWORD, then ``python temporal_worker.py`` beside a Temporal server.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from ksef_async import KsefClient
    from ksef_async.sandbox import sample_invoice
    from ksef_async.submissions import Submissions, SubmissionState

JOURNAL = os.environ.get("KSEF_JOURNAL", "sqlite+aiosqlite:///invoices.db")


class Invoicing:
    """The activities of a worker; its journal delivers beside them."""

    def __init__(self, submissions: Submissions) -> None:
        self.submissions = submissions

    @activity.defn
    async def issue(self, order: int) -> str:
        # An activity may run twice; with the same key, the same document is the same submission.
        invoice = sample_invoice(os.environ["KSEF_NIP"], f"FV/{order}")
        submitted = await self.submissions.submit(invoice, key=f"order {order}")
        async for change in self.submissions.watch(submitted.id):
            activity.heartbeat(change.state)
            if change.state is SubmissionState.ACCEPTED:
                return change.ksef_number or ""
            if change.state.is_terminal:
                reason = change.reason.text if change.reason else change.state
                # The document has to change: trying again does not help.
                raise ApplicationError(reason, non_retryable=True)
        raise ApplicationError("The journal was closed.")


@workflow.defn
class IssueInvoice:
    @workflow.run
    async def run(self, order: int) -> str:
        return await workflow.execute_activity_method(
            Invoicing.issue, order, start_to_close_timeout=timedelta(days=7), heartbeat_timeout=timedelta(hours=12)
        )


async def main() -> None:
    server = await Client.connect(os.environ.get("TEMPORAL_ADDRESS", "127.0.0.1:7233"))
    async with (
        KsefClient.from_env() as client,
        Submissions(JOURNAL, client=client) as submissions,
        submissions.running(),
    ):
        invoicing = Invoicing(submissions)
        await Worker(server, task_queue="ksef", workflows=[IssueInvoice], activities=[invoicing.issue]).run()


if __name__ == "__main__":
    asyncio.run(main())
