"""A KSeF of every version that was published: logging in, sending, limits, receiving.

The journal and the command line are tried on the version that production was last seen at.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from blockbuster import BlockBuster
from certificates import EC_KEY, NIP
from clients import QUICK
from shell import Shell

from ksef_async import AcceptedInvoice, Cadence, CertificateCredentials, FormCode, KsefClient, KsefToken, pack
from ksef_async.api.invoices import DateRange, DateType, InvoiceFilters, InvoiceSubject
from ksef_async.api.rates import PRODUCTION_LIMITS
from ksef_async.api.sessions import SessionType
from ksef_async.calling.events import Event
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.sandbox import Sandbox, sample_invoice
from ksef_async.sandbox.versions import VERSIONS

pytest.importorskip("sqlalchemy", reason="the extra durable is not installed")

#: Production was last seen at it.
of_production = pytest.mark.parametrize("old", ["2.6.0"], indirect=True)

SEAL = self_signed_seal(NIP, EC_KEY, name="Firma Kowalski Sp. z o.o.")

AT_ONCE = Cadence(interval=0.02, factor=1.0, deadline=20)


@pytest.fixture(params=VERSIONS)
async def old(request: pytest.FixtureRequest) -> AsyncIterator[Sandbox]:
    """A KSeF of each version, with the limits of production."""
    async with Sandbox(api_version=request.param, rate_limits=PRODUCTION_LIMITS) as sandbox:
        yield sandbox


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def client(old: Sandbox, events: list[Event]) -> AsyncIterator[KsefClient]:
    credentials = KsefToken(nip=old.nip, token=old.token)
    async with KsefClient(old.environment, credentials, retry=QUICK, hook=events.append) as client:
        yield client


@pytest.fixture
def shell(old: Sandbox, shell_at: Callable[[Sandbox], Shell]) -> Shell:
    return shell_at(old)


def filters(sandbox: Sandbox) -> InvoiceFilters:
    dates = DateRange(DateType.PERMANENT_STORAGE, sandbox.clock.now() - timedelta(hours=2))
    return InvoiceFilters(subject_type=InvoiceSubject.SELLER, date_range=dates)


async def send_online(client: KsefClient, nip: str, number: str) -> str:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        outcome = await (await session.send(sample_invoice(nip, number))).outcome()
    upo = await session.upo()
    assert [entry.ksef_number for entry in upo.entries] == [outcome.ksef_number]
    return outcome.ksef_number


async def test_sent_online_in_a_batch_and_received(old: Sandbox, client: KsefClient) -> None:
    online = await send_online(client, old.nip, "FV/1")
    async with pack([("a.xml", sample_invoice(old.nip, "FV/2"))]) as package:
        async with await client.sessions.open_batch(package, form_code=FormCode.FA3) as session:
            pass
    (outcome,) = [each.outcome async for each in session.outcomes()]
    old.clock.advance(3600)

    listed = [each.ksef_number async for each in client.invoices.list(filters(old))]
    export = await client.downloads.export(filters(old))
    exported = [each.metadata.ksef_number async for each in export.invoices(AT_ONCE)]
    new = client.downloads.sync(old.clock.now() - timedelta(hours=2), [InvoiceSubject.SELLER])
    synced = [each.metadata.ksef_number async for each in new]

    assert isinstance(outcome, AcceptedInvoice)
    assert listed == exported == synced == [online, outcome.ksef_number]


async def test_certificate_logs_in_and_is_refreshed(old: Sandbox) -> None:
    credentials = CertificateCredentials(certificate=SEAL, key=EC_KEY, nip=NIP)
    async with KsefClient(old.environment, credentials, retry=QUICK) as client:
        ksef_number = await send_online(client, NIP, "FV/1")
        old.clock.advance(20 * 60)  # longer than an access token lives

        assert await client.limits.get_rates() == PRODUCTION_LIMITS
    assert ksef_number


async def test_limits_that_are_not_told_are_those_of_production(old: Sandbox, client: KsefClient) -> None:
    assert await client.limits.get_rates() == PRODUCTION_LIMITS
    context = await client.limits.get_context()
    await client.pacing.adopt_limits()

    assert context.online_session.max_invoices == 10_000
    await send_online(client, old.nip, "FV/1")


@of_production
@pytest.mark.parametrize(
    ("count", "online_within", "kind"),
    [
        pytest.param(4, 600.0, SessionType.ONLINE, id="one by one"),
        pytest.param(60, 1.0, SessionType.BATCH, id="in a batch"),
    ],
)
async def test_journal_delivers(
    old: Sandbox,
    client: KsefClient,
    tmp_path: Path,
    no_blocking_calls: BlockBuster,
    count: int,
    online_within: float,
    kind: SessionType,
) -> None:
    from ksef_async.submissions import Settings, Submissions, SubmissionState

    no_blocking_calls.deactivate()  # SQLAlchemy makes the path of an SQLite file absolute
    settings = Settings(linger=0.1, poll_interval=0.05, first_pause=0.05, online_within=online_within)
    url = f"sqlite+aiosqlite:///{tmp_path / 'journal.db'}"
    async with Submissions(url, client=client, settings=settings) as journal:
        submitted = [await journal.submit(sample_invoice(old.nip, f"FV/{number}")) for number in range(count)]
        async with journal.running():
            with anyio.fail_after(20):
                await journal.wait_until_settled()
        states = {(await journal.get(each.id)).state for each in submitted}

    assert states == {SubmissionState.ACCEPTED}
    assert len([*old.world.invoices()]) == count
    assert {session.kind for session in old.world.sessions.values()} == {kind}


@of_production
async def test_command_line_sends_and_saves(old: Sandbox, shell: Shell) -> None:
    shell.invoices(old.nip, 2)

    sent = await shell.run("send", shell.folder, "--json", "--upo", shell.folder / "upo")
    old.clock.advance(3600)
    saved = await shell.run("export", "in", "--since", "2026-01-01", "--part", "seller", "--json")
    planned = await shell.run("plan", "--count", "200", "--json")

    assert (sent.code, sent.states) == (0, {"accepted": 2})
    assert saved.code == 0
    assert len(saved.json["saved"]) == 2
    assert planned.code == 0
