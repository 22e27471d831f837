"""Build an invoice from an order, check it, send it, and write its page for people.

``pip install 'ksef_async[xades]'``
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ksef_async import FormCode
from ksef_async.cli.demo import connect, new_number
from ksef_async.documents import building, check, fa3, html
from ksef_async.protocol.polish_calendar import polish_day

ORDER = """{
  "buyer": {"name": "Łąka i Synowie S.A.", "address": "ul. Źródlana 3, 30-002 Kraków", "nip": "1111111111"},
  "rows": [
    {"name": "Konfitura z żurawiny", "quantity": 12, "price": 15.90, "rate": "5"},
    {"name": "Dostawa", "quantity": 1, "price": 24.39, "rate": "23"}
  ]
}"""


def build(order: dict[str, Any], number: str, seller_nip: str, day: date) -> fa3.Faktura:
    """Return the invoice of an order."""
    return building.invoice(
        seller=building.seller(seller_nip, "Spiżarnia sp. z o.o.", "ul. Łąkowa 1, 00-001 Warszawa"),
        buyer=building.buyer(**order["buyer"]),
        rows=[building.row(**row) for row in order["rows"]],
        number=number,
        issued_on=day,
        payment=building.payment(due=day + timedelta(days=14), form="transfer"),
    )


async def main() -> None:
    # Without this, prices would be floats, which are refused.
    order = json.loads(ORDER, parse_float=Decimal)
    async with connect() as (client, nip):
        xml = fa3.write(build(order, new_number(), nip, polish_day(datetime.now(UTC))))
        check(xml, context_nip=nip).raise_for_problems()
        async with await client.sessions.open_online(FormCode.FA3) as session:
            accepted = await (await session.send(xml)).outcome()
        print(f"{fa3.read(xml).fa.p_15} PLN accepted as {accepted.ksef_number}")
        print(f"a page of {len(html(xml, ksef_number=accepted.ksef_number)) // 1000} kB")


if __name__ == "__main__":
    asyncio.run(main())

# 230.34 PLN accepted as 5265877635-20261128-0100001AF629-2C
# a page of 8 kB
