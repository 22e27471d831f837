"""Change one field of a received invoice, and see that nothing else has changed.

``pip install 'ksef_async[xades]'``
"""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ET

from ksef_async import FormCode
from ksef_async.cli.demo import connect, new_number
from ksef_async.documents import check, fa3
from ksef_async.sandbox import sample_invoice


def values(xml: bytes) -> list[tuple[str, str, dict[str, str]]]:
    """Return every element in order: its name, text and attributes."""
    elements = ET.fromstring(xml).iter()
    return [(one.tag.rpartition("}")[2], (one.text or "").strip(), dict(one.attrib)) for one in elements]


async def main() -> None:
    async with connect() as (client, nip):
        # Somebody has to issue the invoice that is received.
        async with await client.sessions.open_online(FormCode.FA3) as session:
            accepted = await (await session.send(sample_invoice(nip, new_number()))).outcome()
        received = await client.invoices.get(accepted.ksef_number)

    invoice = fa3.read(received)
    invoice.fa.fa_wiersz[0].p_7 = "Usługa przykładowa, poprawiony opis"
    changed = fa3.write(invoice)

    check(changed, context_nip=nip).raise_for_problems()
    before, after = values(received), values(changed)
    print(f"{len(before)} elements received, {len(after)} written")
    for old, new in zip(before, after, strict=True):
        if old != new:
            print(f"{old[0]}: {old[1]!r} is now {new[1]!r}")


if __name__ == "__main__":
    asyncio.run(main())

# 50 elements received, 50 written
# P_7: 'Usługa przykładowa' is now 'Usługa przykładowa, poprawiony opis'
