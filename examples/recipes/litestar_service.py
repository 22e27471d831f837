"""Litestar: an order becomes an invoice; the service delivers it, and a restart loses nothing.

``pip install 'ksef_async[xades,durable]' litestar uvicorn``, the variables KSEF_ENV, KSEF_NIP, KSEF_PKCS12_FILE and
KSEF_KEY_PASSWORD, then ``uvicorn litestar_service:app``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from ksef_async import KsefClient
from ksef_async.sandbox import sample_invoice
from ksef_async.submissions import Submissions, UnknownSubmissionError

JOURNAL = os.environ.get("KSEF_JOURNAL", "sqlite+aiosqlite:///invoices.db")


@asynccontextmanager
async def deliver(app: Litestar) -> AsyncGenerator[None]:
    async with (
        KsefClient.from_env() as client,
        Submissions(JOURNAL, client=client) as submissions,
        submissions.running(),
    ):
        app.state.submissions = submissions
        yield


@post("/orders/{order:int}/invoice", status_code=202)
async def issue(order: FromPath[int], state: State) -> dict[str, str]:
    # Of your own: the XML of this order, and tx= with the transaction that stores the order.
    invoice = sample_invoice(os.environ["KSEF_NIP"], f"FV/{order}")
    submitted = await state.submissions.submit(invoice, key=f"order {order}")
    return {"state": submitted.state}


@get("/orders/{order:int}/invoice")
async def show(order: FromPath[int], state: State) -> dict[str, str | None]:
    try:
        found = await state.submissions.get(key=f"order {order}")
    except UnknownSubmissionError:
        raise NotFoundException("This order has no invoice.") from None
    return {"state": found.state, "ksef_number": found.ksef_number}


app = Litestar([issue, show], lifespan=[deliver])
