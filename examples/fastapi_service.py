"""A FastAPI service: an invoice is handed over, followed, and its UPO downloaded; a restart loses nothing.

``pip install 'ksef_async[xades,fastapi]' uvicorn``, then ``uvicorn fastapi_service:app``. Ask ``/company`` for the NIP,
then ``curl --data-binary @invoice.xml localhost:8000/ksef/NIP/invoices``; all addresses are at ``/docs``.

A journal in SQLite is delivered by one process. For several, ``DELIVER=no uvicorn --workers 2 fastapi_service:app``
takes invoices in, and one more process without ``DELIVER=no``, on another ``--port``, delivers them. Set KSEF_ENV, as
every process without it has a sandbox of its own. With PostgreSQL as ``KSEF_JOURNAL`` all of them may deliver.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ksef_async.cli.demo import company
from ksef_async.fastapi import FaultRoute, KsefClientDep, KsefService, SubmissionsDep, SubmissionView, router
from ksef_async.sandbox import sample_invoice

JOURNAL = os.environ.get("KSEF_JOURNAL", "sqlite+aiosqlite:///invoices.db")
DELIVER = os.environ.get("DELIVER") != "no"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    # The embedded sandbox, unless KSEF_ENV says otherwise. Of your own: service = KsefService.from_env(), or
    # KsefService.from_env("FIRST_", "SECOND_") for several companies.
    async with company(nip="5265877635") as (environment, credentials):
        app.state.nip = credentials.context.value
        service = KsefService(environment, {app.state.nip: credentials}, journal=JOURNAL, deliver=DELIVER)
        async with service.lifespan(app):
            yield


app = FastAPI(lifespan=lifespan)
# What the library refuses in the handlers below is 404, 409, 422, 502 or 503 with a sentence, and not 500.
app.router.route_class = FaultRoute
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
