"""Ask how to send a month's invoices: online or in batches, how long it takes, and what keeps it from being sooner."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from ksef_async.cli.demo import connect


async def main() -> None:
    async with connect() as (client, _):
        # What KSeF grants this company, in place of the usual.
        await client.pacing.adopt_limits()
        limits = await client.limits.get_context()
        for count, deadline in ((25, None), (150, timedelta(hours=1)), (2_000, timedelta(hours=8)), (25_000, None)):
            plan = client.sessions.plan(count, 10_000, deadline=deadline, limits=limits)
            way = f"in {plan.batches} batch(es)" if plan.batches else "online"
            late = "" if plan.meets_deadline is not False else f" (later than {deadline})"
            print(f"{count:6} invoices: {way:13} {str(plan.duration).partition('.')[0]:>8}{late}; {plan.bound_by}")


if __name__ == "__main__":
    asyncio.run(main())

#     25 invoices: online         0:00:02; invoiceSend: 10 a second
#    150 invoices: online         0:04:03; invoiceSend: 30 a minute
#   2000 invoices: in 1 batch(es)  0:04:20; processing: about 8 invoices a second in a batch
#  25000 invoices: in 3 batch(es)  0:22:15; processing: about 8 invoices a second in a batch
