"""A night without KSeF, on the sandbox's clock: a failure is announced, moves the deadlines, and ends.

It has a sandbox of its own, whatever KSEF_ENV says: only there an outage can be made, and time be moved.

``pip install 'ksef_async[xades,durable]'``
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from tempfile import TemporaryDirectory

from ksef_async import CertificateCredentials, CertificateType, KsefClient, OfflineSigner
from ksef_async.api.table import OPERATIONS
from ksef_async.crypto.issuing import new_private_key
from ksef_async.protocol.polish_calendar import WARSAW, polish_day
from ksef_async.sandbox import Clock, Fault, Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submissions

NIP = "5265877635"
SECOND = timedelta(seconds=1)
# Without the check of documents, which asks this machine what day it is: here it is tomorrow.
QUICK = Settings(linger=0.2, deadline_interval=0.2, first_pause=0.1, longest_pause=0.5, check=False)


async def tell(journal: Submissions, clock: Clock, *, has_deadline: bool) -> None:
    """Tell the deadline, once what Latarnia announces was heard."""
    async for one in journal.watch(1):
        if (one.due_by is not None) is has_deadline:
            day = "waits for the end" if one.due_by is None else f"due by {polish_day(one.due_by - SECOND)}"
            print(f"{clock.now().astimezone(WARSAW):%H:%M}  {one.identity.number}: {day}")
            return


async def main(day: date) -> None:
    clock = Clock(datetime.combine(day, time(14), WARSAW))
    with TemporaryDirectory() as folder:
        async with Sandbox(nip=NIP, clock=clock) as sandbox:
            own = await CertificateCredentials.self_signed(NIP)
            async with (
                KsefClient(sandbox.environment, own) as client,
                Submissions(f"sqlite:///{folder}/night.db", client=client, settings=QUICK) as journal,
                journal.running(),
            ):
                key = await asyncio.to_thread(new_private_key)
                applied = await client.certificates.enroll("Night", key, certificate_type=CertificateType.OFFLINE)
                (found,) = await client.certificates.get([(await applied.wait()).certificate_serial_number or ""])
                signer = OfflineSigner.from_key(found.certificate, key)
                for operation in OPERATIONS:  # Latarnia goes on
                    sandbox.faults.add(operation, Fault.html(503), times=1_000_000)
                for number in range(1, 6):
                    await journal.issue(sample_invoice(NIP, f"FV/{number}", day), within=0.2, signer=signer)
                await tell(journal, clock, has_deadline=True)
                event = sandbox.latarnia.announce("FAILURE")
                await tell(journal, clock, has_deadline=False)
                clock.advance(timedelta(hours=18).total_seconds())
                sandbox.latarnia.end(event)
                await tell(journal, clock, has_deadline=True)
                clock.advance(3600)
                sandbox.faults.clear()
                await journal.wait_until_settled()
                async for one in journal.list():
                    print(f"{one.identity.number}: {one.ksef_number}, {one.invoicing_mode}")


if __name__ == "__main__":
    # A day ahead, so that the certificates of today are valid.
    asyncio.run(main(polish_day(datetime.now(UTC)) + timedelta(days=1)))

# 14:00  FV/1: due by 2026-07-02
# 14:00  FV/1: waits for the end
# 08:00  FV/1: due by 2026-07-13
# FV/1: 5265877635-20260702-0100001AF629-AF, Offline
# ...
