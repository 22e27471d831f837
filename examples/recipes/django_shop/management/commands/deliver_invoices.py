"""``manage.py deliver_invoices``: hands the invoices of new orders to the journal, and writes down what became of them.

It can be killed at any moment. An order that is handed over twice is the same submission, by its key; a result is
acknowledged only once the order has it.
"""

from __future__ import annotations

import asyncio
import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ksef_async import KsefClient, LocalProtocolError
from ksef_async.submissions import Submissions, SubmissionState

from ...models import Order

JOURNAL = os.environ.get("KSEF_JOURNAL", "sqlite+aiosqlite:///invoices.db")


async def hand_over(submissions: Submissions) -> None:
    async for order in Order.objects.filter(ksef_number=None, problem=""):
        try:
            await submissions.submit(bytes(order.invoice), key=f"order {order.pk}")
        except LocalProtocolError as error:  # what KSeF would refuse is found here
            order.problem = str(error)
            await order.asave(update_fields=["problem"])


async def write_down(submissions: Submissions) -> None:
    async for result in submissions.results():
        order = await Order.objects.aget(pk=(result.key or "").removeprefix("order "))
        if result.state is SubmissionState.ACCEPTED:
            order.ksef_number = result.ksef_number
        else:
            order.problem = result.reason.text if result.reason else result.state
        await order.asave(update_fields=["ksef_number", "problem"])
        await submissions.acknowledge(result.id)


async def deliver(*, once: bool) -> None:
    async with (
        KsefClient.from_env() as client,
        Submissions(JOURNAL, client=client) as submissions,
        submissions.running(),
    ):
        writing = asyncio.create_task(write_down(submissions))
        try:
            while True:
                await hand_over(submissions)
                if once and not await Order.objects.filter(ksef_number=None, problem="").aexists():
                    return
                await asyncio.sleep(1)
        finally:
            writing.cancel()


class Command(BaseCommand):
    help = "Deliver the invoices of orders to KSeF, until interrupted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="end when every order has its answer")

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(deliver(once=options["once"]))
