"""A FastAPI service: an invoice is handed over, followed, and its UPO downloaded; a restart loses nothing.

Run it with ``uvicorn fastapi_service:app`` (``uvicorn[standard]`` answers sooner), ask ``/company`` for the NIP, then
``curl --data-binary @invoice.xml localhost:8000/ksef/NIP/invoices``; all addresses are at ``/docs``.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ksef_async.cli.demo import company
from ksef_async.fastapi import KsefClientDep, KsefService, SubmissionsDep, SubmissionView, router
from ksef_async.sandbox import sample_invoice

JOURNAL = os.environ.get("JOURNAL", "sqlite+aiosqlite:///invoices.db")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    # The embedded sandbox, unless KSEF_ENV says otherwise. Of your own: service = KsefService.from_env(), or
    # KsefService.from_env("FIRST_", "SECOND_") for several companies.
    async with company() as (environment, credentials):
        app.state.nip = credentials.context.value
        service = KsefService(environment, {app.state.nip: credentials}, journal=JOURNAL)
        async with service.lifespan(app):
            # What is loaded by now stays: Python need not look through all of it for garbage, 0.1 s at a time, nor
            # look as often as it does for programs that make less of it.
            gc.freeze()
            gc.set_threshold(100_000)
            # SQLite works in threads of its own: they are not to wait for 5 ms each time they have an answer.
            sys.setswitchinterval(0.0005)
            yield


app = FastAPI(lifespan=lifespan)
# Whoever may call these addresses may issue invoices: give dependencies=[Depends(...)] that know your users.
app.include_router(router, prefix="/ksef")


@app.get("/company")
async def show_company(client: KsefClientDep) -> dict[str, str]:
    return {"nip": app.state.nip, "ksef": client.environment.base_url}


@app.post("/orders/{order}/invoice", status_code=202)
async def issue(order: str, submissions: SubmissionsDep) -> SubmissionView:
    # Asked twice for one order, by a caller that lost our answer, it is issued once. With tx=, in your transaction.
    invoice = sample_invoice(app.state.nip, f"FV/{order}")
    return SubmissionView.of(await submissions.submit(invoice, key=f"order {order}"))


# {"id":1,"key":"order 7","nip":"5265877635","number":"FV/7","kind":"VAT","state":"queued","ksef_number":null,...}
