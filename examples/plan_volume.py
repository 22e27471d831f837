"""Ask how to send a month's invoices: online or in batches, how long it takes, and what keeps it from being sooner.

``pip install 'ksef_async[xades]'``
"""

from __future__ import annotations

import asyncio

from ksef_async.cli.demo import connect


async def main() -> None:
    async with connect() as (client, _):
        # What KSeF grants this company, in place of the usual.
        await client.pacing.adopt_limits()
        limits = await client.limits.get_context()
        for count, deadline in ((25, None), (150, 3600), (2_000, 8 * 3600), (25_000, None)):
            plan = client.sessions.plan(count, 10_000, deadline=deadline, limits=limits)
            way = f"in {plan.batches} batch(es)" if plan.batches else "online"
            late = "" if plan.meets_deadline is not False else f" (later than {deadline} s)"
            print(f"{count:6} invoices: {way:13} {plan.seconds:5.0f} s{late}; {plan.bound_by}")


if __name__ == "__main__":
    asyncio.run(main())

#     25 invoices: online             2 s; invoiceSend: 10 a second
#    150 invoices: online           244 s; invoiceSend: 30 a minute
#   2000 invoices: in 1 batch(es)   260 s; processing: about 8 invoices a second in a batch
#  25000 invoices: in 3 batch(es)  1335 s; processing: about 8 invoices a second in a batch
