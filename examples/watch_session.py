"""Watch a session from its opening to its UPO while another task sends invoices in it.

``pip install 'ksef_async[xades]'``
"""

from __future__ import annotations

import asyncio

from ksef_async import FormCode, KsefClient
from ksef_async.cli.demo import connect, new_number
from ksef_async.sandbox import sample_invoice


async def watch(client: KsefClient, reference_number: str) -> None:
    # Any task, or another process, can follow a session by its reference number alone.
    async for transition in client.sessions.transitions(reference_number):
        status = transition.status
        print(f"{transition}: {status.invoice_count} invoices, {status.successful_invoice_count} accepted")


async def main() -> None:
    async with connect() as (client, nip):
        session = await client.sessions.open_online(FormCode.FA3)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch(client, session.reference_number))
            async with session:
                for _ in range(3):
                    sent = await session.send(sample_invoice(nip, new_number()))
                    await sent.outcome()


if __name__ == "__main__":
    asyncio.run(main())

# --- -> 100 Sesja interaktywna otwarta: 0 invoices, 0 accepted
# 100 -> 170 Sesja interaktywna zamknięta: 3 invoices, 3 accepted
# 170 -> 200 Sesja interaktywna przetworzona pomyślnie: 3 invoices, 3 accepted
