"""A night without KSeF: every customer has an invoice in hand, and all are delivered in time, once each.

The invoices of one day are issued while the sandbox's clock runs through it; KSeF is dead from 14:00 to 09:00, a
failure is announced and ended, and the process that delivers is killed five times, by SIGKILL. ``nox -s outage`` runs
it in full size: 1,000 invoices.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import anyio
import attrs
import pytest
from certificates import EC_KEY, NIP, pem
from cryptography.fernet import Fernet
from killing import Worker, check, start

from ksef_async import InvoicingMode, OfflineMode, OfflineSigner
from ksef_async.api.certificates import CertificateType, EnrollmentData
from ksef_async.api.table import OPERATIONS
from ksef_async.protocol.polish_calendar import WARSAW
from ksef_async.sandbox import Clock, Fault, Sandbox, sample_invoice
from ksef_async.sandbox.authority import Authority
from ksef_async.submissions import IssuedInvoice, Settings, Submissions

INVOICES: Final = int(os.environ.get("OUTAGE_INVOICES", "120"))
SEED: Final = int(os.environ.get("OUTAGE_SEED", "20260303"))
TILLS: Final = 8
# Real seconds that a customer waits, and what the machine may take on top for the paper.
WITHIN: Final = 0.6
GRACE: Final = 2.0
FOREVER: Final = 10**9

DAY: Final = date(2026, 3, 3)
OPENS, DIES, ANNOUNCED, CLOSES = (datetime(2026, 3, 3, hour, tzinfo=WARSAW) for hour in (8, 14, 16, 20))
ENDED, BACK = (datetime(2026, 3, 4, hour, tzinfo=WARSAW) for hour in (8, 9))
# The end of Wednesday, of Thursday, and of the seventh working day after the failure.
DUE: Final = datetime(2026, 3, 5, tzinfo=WARSAW)
NEXT: Final = datetime(2026, 3, 6, tzinfo=WARSAW)
MOVED: Final = datetime(2026, 3, 14, tzinfo=WARSAW)


def signer() -> OfflineSigner:
    authority = Authority(OPENS - timedelta(days=30))
    subject = EnrollmentData(common_name="Firma", country_name="PL", organization_identifier=f"VATPL-{NIP}")
    certificate = authority.issue(subject, EC_KEY.public_key(), OPENS - timedelta(days=1), CertificateType.OFFLINE)[1]
    return OfflineSigner.from_key(pem(certificate), EC_KEY)


@attrs.define
class Handed:
    """What a customer has in hand, and how long that took."""

    issued: IssuedInvoice
    seconds: float


class Shop:
    """The tills, the process that delivers for them, and KSeF."""

    def __init__(self, sandbox: Sandbox, submissions: Submissions, told: dict[str, Any]) -> None:
        self.sandbox = sandbox
        self.submissions = submissions
        self._told = told
        self._worker: Worker | None = None
        self._signer = signer()
        self.kills = 0
        self.handed: dict[bytes, Handed] = {}

    async def open(self) -> None:
        self._worker = await start(self._told)
        with anyio.fail_after(60):
            while not self._worker.told["commits"]:
                await anyio.sleep(0.05)

    async def kill_worker(self) -> None:
        assert self._worker is not None
        await self._worker.kill()
        self.kills += 1
        self._worker = await start(self._told)

    async def aclose(self) -> None:
        assert self._worker is not None
        await self._worker.kill()

    def until(self, moment: datetime) -> None:
        """Let the sandbox's clock show ``moment``."""
        self.sandbox.clock.advance(max(0.0, (moment - self.sandbox.clock.now()).total_seconds()))

    async def sell(self, document: bytes) -> None:
        began = anyio.current_time()
        issued = await self.submissions.issue(document, within=WITHIN, signer=self._signer)
        self.handed[document] = Handed(issued, anyio.current_time() - began)

    async def serve(self, documents: Sequence[bytes], *, kill: bool = False) -> None:
        """Serve a customer at each till at once."""
        async with anyio.create_task_group() as tasks:
            for document in documents:
                tasks.start_soon(self.sell, document)
            if kill:
                await anyio.sleep(WITHIN / 3)
                await self.kill_worker()

    def die(self) -> None:
        """From now on KSeF answers nobody; what it took in last, it does not tell any more."""
        self.sandbox.faults.add("send_invoice", Fault.drop_after(), times=3)
        for operation in OPERATIONS:
            self.sandbox.faults.add(operation, Fault.html(503), times=FOREVER)


def check_hands(shop: Shop) -> None:
    for handed in shop.handed.values():
        issued = handed.issued
        assert handed.seconds < WITHIN + GRACE
        assert issued.verification_link
        if issued.is_offline:
            assert issued.certificate_link
            assert issued.due_by == DUE
            assert len(issued.codes) == 2
        else:
            assert len(issued.codes) == 1


async def outage(url: str, say: list[str]) -> None:
    chance = random.Random(SEED)
    async with Sandbox(nip=NIP, rate_limits=None, clock=Clock(OPENS)) as sandbox:
        told: dict[str, Any] = {
            "base_url": sandbox.environment.base_url, "companies": {NIP: sandbox.token}, "url": url, "engine": False,
            "keys": [Fernet.generate_key().decode()], "batches": False,
            "settings": {"deadline_interval": 0.2, "longest_pause": 0.5, "lease_duration": 1.0, "linger": 0.2},
        }  # fmt: skip
        settings = Settings(poll_interval=0.1)
        async with Submissions(
            url, keys=told["keys"], settings=settings, environment=sandbox.environment
        ) as submissions:
            shop = Shop(sandbox, submissions, told)
            await shop.open()
            try:
                await day_and_night(shop, chance, say)
            finally:
                await shop.aclose()


async def day_and_night(shop: Shop, chance: random.Random, say: list[str]) -> None:
    sandbox, submissions = shop.sandbox, shop.submissions
    documents = [sample_invoice(NIP, f"FV/{number}", DAY) for number in range(INVOICES)]
    lots = [documents[start : start + TILLS] for start in range(0, INVOICES, TILLS)]
    step = (CLOSES - OPENS) / len(lots)
    event = 0
    kills = {*chance.sample(range(1, len(lots)), 3)}
    for number, lot in enumerate(lots):
        before, now = OPENS + step * (number - 1), OPENS + step * number
        if before < DIES <= now:
            shop.until(DIES)
            shop.die()
        if before < ANNOUNCED <= now:
            event = sandbox.latarnia.announce("FAILURE")
        shop.until(now)
        await shop.serve(lot, kill=number in kills)
    check_hands(shop)
    assert not all(handed.issued.is_offline for handed in shop.handed.values())

    # Of the next morning, whose deadline the failure does not move: handed in last, and due first.
    shop.until(ENDED)
    sandbox.latarnia.end(event)
    sooner = [sample_invoice(NIP, f"FV/M/{number}", BACK.date()) for number in range(INVOICES // 10)]
    for document in sooner:
        await submissions.submit(document, offline=OfflineMode.OFFLINE24)
    waiting = {one.id for one in await submissions.list_page(limit=10_000) if one.ksef_number is None}
    await moved(submissions, waiting)
    claimed = {one.id for one in await submissions.list_page(limit=10_000) if one.attempt}
    arrived = sum(1 for _ in sandbox.world.invoices())

    shop.until(BACK)
    sandbox.faults.clear()
    total = len(documents) + len(sooner)
    for share in (1 / 3, 2 / 3):
        while sum(1 for _ in sandbox.world.invoices()) < arrived + (total - arrived) * share:
            await anyio.sleep(0.005)
        await shop.kill_worker()
    with anyio.fail_after(300):
        await submissions.wait_until_settled()

    assert shop.kills == 5
    await check(sandbox, submissions, [*documents, *sooner])
    delivered = await submissions.list_page(limit=10_000)
    assert all(one.due_by is None or (one.acquisition_date or MOVED) < one.due_by for one in delivered)
    check_order(sandbox, {one.invoice_hash: one for one in delivered if one.id in waiting - claimed})
    tell(shop, delivered, arrived, say)


async def moved(submissions: Submissions, waiting: set[int]) -> None:
    """Wait until the end of the failure has moved every deadline that it moves."""
    with anyio.fail_after(60):
        while True:
            found = [one for one in await submissions.list_page(limit=10_000) if one.id in waiting]
            outstanding = [one for one in found if one.state in ("queued", "sending")]
            wanted = {DAY: MOVED, BACK.date(): NEXT}
            if all(one.issued_on is not None and one.due_by == wanted[one.issued_on] for one in outstanding):
                return
            await anyio.sleep(0.1)


def check_order(sandbox: Sandbox, expected: dict[bytes, Any]) -> None:
    """What is due sooner has come first; sixteen are under way at once."""
    came = sorted(
        (invoice for invoice in sandbox.world.invoices() if invoice.invoice_hash in expected),
        key=lambda invoice: invoice.received_at,
    )
    first_tries = [one for invoice in came if (one := expected[invoice.invoice_hash]).attempt == 1]
    due = [one.due_by for one in first_tries]
    soonest = due.count(min(due))
    assert all(moment == min(due) for moment in due[: max(0, soonest - 16)])
    assert all(moment > min(due) for moment in due[soonest + 16 :])


def tell(shop: Shop, delivered: Sequence[Any], arrived: int, say: list[str]) -> None:
    offline = [handed for handed in shop.handed.values() if handed.issued.is_offline]
    modes = Counter(one.invoicing_mode for one in delivered if one.offline is not None)
    slowest = max(handed.seconds for handed in shop.handed.values())
    say += [
        f"{len(shop.handed)} invoices of one day, {shop.kills} kills: lost 0, twice 0, late 0",
        f"with a KSeF number at the till {len(shop.handed) - len(offline)}, offline with both codes {len(offline)}",
        f"slowest {slowest:.2f} s, of {WITHIN:g} s that customers wait",
        f"issued offline, and for KSeF: Offline {modes[InvoicingMode.OFFLINE]}, Online {modes[InvoicingMode.ONLINE]}",
        f"at KSeF before it was back: {arrived}",
    ]


@pytest.mark.timeout(900)
# One driver of PostgreSQL is enough for a night.
@pytest.mark.parametrize("journal_url", ["sqlite+aiosqlite", "postgresql+asyncpg"], indirect=True)
async def test_night_without_ksef(journal_url: str) -> None:
    say: list[str] = []

    await outage(journal_url, say)

    print("", *say, sep="\n")
