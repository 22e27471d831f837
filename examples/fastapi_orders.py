"""A FastAPI service: the JSON of an order becomes an accepted invoice, in one transaction with the order.

``pip install 'ksef_async[xades,fastapi]' uvicorn``

There is no order without its invoice, and no invoice without its order, whatever dies and when. Run it with
``uvicorn fastapi_orders:app``, then post what is at the end of this file to ``localhost:8000/orders``.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from ksef_async.cli.demo import company
from ksef_async.documents import DocumentError, building, fa3
from ksef_async.fastapi import KsefService, SubmissionsDep, SubmissionView
from ksef_async.protocol.polish_calendar import polish_day

JOURNAL = os.environ.get("KSEF_JOURNAL", "sqlite+aiosqlite:///orders.db")
TABLES = MetaData()
ORDERS = Table(
    "orders", TABLES,
    Column("number", String, primary_key=True), Column("total", String), Column("submission", Integer),
)  # fmt: skip


class Buyer(BaseModel):
    name: str
    address: str
    nip: str


class Row(BaseModel):
    name: str
    quantity: Decimal
    price: Decimal
    rate: Literal["23", "8", "5"] = "23"


class Order(BaseModel):
    number: str
    buyer: Buyer
    rows: list[Row]


class OrderView(BaseModel):
    number: str
    total: str
    invoice: SubmissionView


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    async with company(nip="5265877635") as (environment, credentials):
        app.state.nip = credentials.context.value
        service = KsefService(environment, {app.state.nip: credentials}, journal=JOURNAL)
        async with service.lifespan(app):
            async with service.submissions.begin() as tx:
                await tx.run_sync(TABLES.create_all)
            yield


app = FastAPI(lifespan=lifespan)


def build(order: Order, seller_nip: str) -> fa3.Faktura:
    """Return the invoice of an order, dated today in Poland."""
    today = polish_day(datetime.now(UTC))
    return building.invoice(
        seller=building.seller(seller_nip, "Spiżarnia sp. z o.o.", "ul. Łąkowa 1, 00-001 Warszawa"),
        buyer=building.buyer(order.buyer.name, order.buyer.address, nip=order.buyer.nip),
        rows=[building.row(row.name, row.quantity, row.price, rate=row.rate) for row in order.rows],
        number=f"FV/{order.number}",
        issued_on=today,
        payment=building.payment(due=today + timedelta(days=14), form="transfer"),
    )


@app.post("/orders", status_code=202)
async def take_order(order: Order, submissions: SubmissionsDep) -> OrderView:
    async with submissions.begin() as tx:
        known = await tx.execute(select(ORDERS.c.number).where(ORDERS.c.number == order.number))
        # Asked twice, by a caller that lost our answer, it is taken once.
        if known.first() is None:
            invoice = build(order, app.state.nip)
            try:
                submission = await submissions.submit(fa3.write(invoice), key=f"order {order.number}", tx=tx)
            except DocumentError as error:  # the transaction is rolled back: the order is not taken either
                raise HTTPException(422, [str(problem) for problem in error.problems]) from error
            values = {"number": order.number, "total": str(invoice.fa.p_15), "submission": submission.id}
            await tx.execute(insert(ORDERS).values(values))
    return await get_order(order.number, submissions)


@app.get("/orders/{number}")
async def get_order(number: str, submissions: SubmissionsDep) -> OrderView:
    async with submissions.begin() as tx:
        order = (await tx.execute(select(ORDERS).where(ORDERS.c.number == number))).first()
    if order is None:
        raise HTTPException(404, "There is no such order.")
    invoice = SubmissionView.of(await submissions.get(order.submission))
    return OrderView(number=order.number, total=order.total, invoice=invoice)


# {"number": "17", "buyer": {"name": "Łąka i Synowie S.A.", "address": "ul. Źródlana 3, 30-002 Kraków",
#  "nip": "1111111111"}, "rows": [{"name": "Konfitura z żurawiny", "quantity": 12, "price": "15.90", "rate": "5"}]}
#
# {"number":"17","total":"200.34","invoice":{"id":1,"key":"order 17","nip":"5265877635","number":"FV/17","kind":"VAT",
#  "state":"queued","ksef_number":null,...}}
