"""What users do, each from its beginning to its end, for answers to be changed under; with what is right afterwards."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import anyio
import attrs
from packages import samples
from parties import OFFICE

from ksef_async import AcceptedInvoice, Cadence, FormCode, KsefClient, KsefToken, Pacer
from ksef_async.api.invoices import DateRange, DateType, InvoiceFilters, InvoiceSubject
from ksef_async.api.sessions import SessionFilter, SessionType
from ksef_async.packing import pack
from ksef_async.protocol.pacing import UNLIMITED_RATES
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.submissions import Settings, Submissions, SubmissionState

__all__ = ["FLOWS", "USUAL_WEIGHT", "WEIGHTS", "Bench"]

#: Nobody else works on it, so it need not look around: hours of lock-outs pass in few steps.
JOURNAL = Settings(linger=0.5, poll_interval=300.0, lease_duration=3600.0)
SHORT = Cadence(interval=0.2, factor=2.0, longest=30.0, deadline=300.0)


@attrs.define
class Bench:
    """What a flow works with."""

    sandbox: Sandbox
    #: Of the company that sends, and of the one that receives.
    client: KsefClient
    buyer: KsefClient
    #: Of both.
    pacer: Pacer
    chance: random.Random
    #: Of the flow; what it makes is named by it.
    number: int
    #: What was in the sandbox for the buyer before, by KSeF number.
    received: dict[str, bytes]
    #: For files.
    folder: Path
    #: Whether what comes back can be told from the truth.
    is_honest: bool = True
    #: SHA-256 of what was sent twice because somebody lied.
    twice: set[bytes] = attrs.field(factory=set)

    def right(self, what: object, said: str) -> None:
        """Where nobody lied, what came without an error is the truth."""
        assert not self.is_honest or what, said

    def taken_in(self, invoice: bytes) -> list[str | None]:
        digest = hashlib.sha256(invoice).digest()
        return [each.verdict.ksef_number for each in self.sandbox.world.invoices() if each.invoice_hash == digest]


async def online(bench: Bench) -> None:
    invoices = [sample_invoice(bench.sandbox.nip, f"O/{bench.number}/{n}") for n in range(bench.chance.choice((1, 3)))]
    async with await bench.client.sessions.open_online(FormCode.FA3) as session:
        sent = [await session.send(invoice) for invoice in invoices]
    for one, invoice in zip(sent, invoices, strict=True):
        bench.right(len(bench.taken_in(invoice)) == 1, "an invoice that was sent is in KSeF once")
        outcome = await one.outcome(SHORT)
        if isinstance(outcome, AcceptedInvoice):
            bench.right([outcome.ksef_number] == bench.taken_in(invoice), "its number is the one KSeF gave")
    upo = await session.upo(SHORT)
    bench.right(len([*upo.entries]) == len(invoices), "the receipt lists every invoice")


async def batch(bench: Bench) -> None:
    files = samples(bench.sandbox, 3, f"B-{bench.number}")
    async with pack(files, part_size=800) as package:
        session = await bench.client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        outcomes = [outcome async for outcome in session.outcomes(SHORT)]
        bench.right(len(outcomes) == len(files), "each invoice of the package has its outcome")
        for outcome in outcomes:
            content = next((content for name, content, _ in files if name == outcome.file_name), b"")
            numbers = bench.taken_in(content)
            bench.right(len(numbers) == 1, "an invoice of a package is in KSeF once")
            if isinstance(outcome.outcome, AcceptedInvoice):
                bench.right([outcome.outcome.ksef_number] == numbers, "its number is the one KSeF gave")


async def following(bench: Bench) -> None:
    """Others' eyes: a session found again by its number."""
    async with await bench.client.sessions.open_online(FormCode.FA3) as session:
        await session.send(sample_invoice(bench.sandbox.nip, f"F/{bench.number}"))
    async for transition in session.transitions(SHORT):
        if transition.is_terminal:
            break
    status = await session.status()
    bench.right(status.invoice_count == 1, "the session has one invoice")
    rows = [row async for row in session.invoices()]
    bench.right(len(rows) == 1, "the list has it")


async def exporting(bench: Bench) -> None:
    export = await bench.buyer.downloads.export(_received_lately(bench))
    async with export.package(SHORT) as package:
        got = {invoice.metadata.ksef_number: invoice.xml async for invoice in package}
    bench.right(got == bench.received, "the package holds what was received")


async def syncing(bench: Bench) -> None:
    since = bench.sandbox.clock.now() - timedelta(days=30)
    sync = bench.buyer.downloads.sync(since)
    got = {invoice.metadata.ksef_number: invoice.xml async for invoice in sync}
    bench.right(got == bench.received, "nothing is missed, nothing told twice")


async def querying(bench: Bench) -> None:
    rows = [row async for row in bench.buyer.invoices.list(_received_lately(bench), page_size=10)]
    bench.right({row.ksef_number for row in rows} == bench.received.keys(), "the query lists what was received")
    number, xml = next(iter(bench.received.items()))
    bench.right(await bench.buyer.invoices.get(number) == xml, "an invoice comes as it was sent")


async def permitting(bench: Bench) -> None:
    handle = await bench.client.permissions.grant_to_entity(OFFICE, ["InvoiceRead"], "Bookkeeping", "Biuro sp. z o.o.")
    await handle.wait(SHORT)
    rows = [row async for row in bench.client.permissions.list_of_persons()]
    await bench.client.permissions.list_own_page()
    for row in rows[:1]:
        await (await bench.client.permissions.revoke(row.id)).wait(SHORT)


async def tokens(bench: Bench) -> None:
    generated = await bench.client.tokens.generate(["InvoiceRead"], f"For reading {bench.number}")
    await generated.wait(SHORT)
    async for page in bench.client.tokens.list().pages():
        if len(page) < 10:
            break
    await bench.client.tokens.revoke(generated.reference_number)


async def limits(bench: Bench) -> None:
    await bench.client.limits.get_context()
    await bench.client.limits.get_subject()
    await bench.client.limits.get_rates()
    await bench.client.pacing.adopt_limits()
    bench.pacer.adopt(UNLIMITED_RATES)


async def looking_around(bench: Bench) -> None:
    async for _ in bench.client.auth_sessions.list():
        break
    async for _ in bench.client.sessions.list(SessionFilter(session_type=SessionType.ONLINE)):
        break
    async for _ in bench.client.certificates.list():
        break
    async for _ in bench.client.peppol.list_providers():
        break
    await bench.client.certificates.get_limits()
    await bench.client.permissions.get_attachment_status()


async def logging_in(bench: Bench) -> None:
    environment = bench.client.environment
    credentials = KsefToken(nip=bench.sandbox.nip, token=bench.sandbox.token)
    async with KsefClient(
        environment, credentials, pacer=Pacer.unlimited(), answer_timeout=1e6, revoke_on_exit=True
    ) as other:
        await other.log_in()
        await other.limits.get_context()
        await other.refresh()
        await other.limits.get_rates()


async def journalling(bench: Bench) -> None:
    invoices = [sample_invoice(bench.sandbox.nip, f"J/{bench.number}/{n}") for n in range(2)]
    url = f"sqlite+aiosqlite:///{bench.folder / f'journal-{bench.number}.db'}"
    async with Submissions(url, client=bench.client, settings=JOURNAL) as submissions:
        written = [await submissions.submit(invoice) for invoice in invoices]
        # Told a wrong number or hash of what it sent, it waits for more to be said, and makes up no end.
        patience = None if bench.is_honest else 6 * 3600.0
        async with submissions.running():
            with anyio.move_on_after(patience):
                await submissions.wait_until_settled()
        for one, invoice in zip(written, invoices, strict=True):
            end = await submissions.get(one.id)
            if end.state is SubmissionState.ACCEPTED:
                bench.right([end.ksef_number] == bench.taken_in(invoice), "its number is the one KSeF gave")
            else:
                # 413: a gateway takes no body of this size; it has not passed the invoice on, and never will.
                refused = end.reason is not None and end.reason.text.startswith(
                    ("send_invoice: HTTP 400", "send_invoice: HTTP 413")
                )
                bench.right(refused, f"an invoice that KSeF did not refuse was {end.state} ({end.reason})")


def _received_lately(bench: Bench) -> InvoiceFilters:
    since = bench.sandbox.clock.now() - timedelta(days=30)
    return InvoiceFilters(subject_type=InvoiceSubject.BUYER, date_range=DateRange(DateType.PERMANENT_STORAGE, since))


#: How often each comes, against the others; that of the journal takes the longest.
WEIGHTS = {"journalling": 1}
USUAL_WEIGHT = 3

FLOWS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "online": online,
    "batch": batch,
    "following": following,
    "exporting": exporting,
    "syncing": syncing,
    "querying": querying,
    "permitting": permitting,
    "tokens": tokens,
    "limits": limits,
    "looking around": looking_around,
    "logging in": logging_in,
    "journalling": journalling,
}
