"""A FastAPI service: the lifespan owns the client and keeps a session open, an endpoint awaits a send.

Run it with ``uvicorn fastapi_service:app``, then: ``curl --data-binary @invoice.xml localhost:8000/invoices``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, HTTPException, Request

from ksef_async import FormCode, InvoiceRejectedError, LocalProtocolError, SessionKeeper
from ksef_async.demo import connect


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with connect() as (client, nip), client.sessions.keep_open(FormCode.FA3) as sender:
        app.state.sender, app.state.nip = sender, nip
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/company")
async def company(request: Request) -> dict[str, str]:
    return {"nip": request.app.state.nip}


@app.post("/invoices")
async def send_invoice(
    request: Request, invoice: Annotated[bytes, Body(media_type="application/xml")]
) -> dict[str, str]:
    sender: SessionKeeper = request.app.state.sender
    try:
        # The same document posted twice, by a caller that lost our answer, is issued once.
        sent = await sender.send(invoice)
        accepted = await sent.outcome()
    except LocalProtocolError as error:
        raise HTTPException(400, str(error)) from error
    except InvoiceRejectedError as error:
        raise HTTPException(422, str(error)) from error
    return {"ksef_number": accepted.ksef_number, "session": accepted.session_reference_number}


# {"ksef_number":"5265877635-20261124-0100001AF629-2C","session":"20261124-SO-2C3E6C8000-B675CF5D68-07"}
