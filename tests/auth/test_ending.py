"""A certificate or a token that is near its end is told before it is over."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificates import EC_KEY, key_bytes, pem
from shell import Shell

from ksef_async import CertificateCredentials, CredentialsEnding, Environment, Event, KsefClient, KsefToken
from ksef_async.auth.ending import EXPIRY_NOTICE, TOKENS_END, ending_of
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Sandbox
from ksef_async.submissions import Submissions

NIP = "5265877635"
DAY = 86_400.0
TOKEN = KsefToken(nip=NIP, token="T")


def certificate(nip: str, now: datetime, days: float) -> CertificateCredentials:
    """One that ends so many days from now."""
    start = now - timedelta(days=300)
    seal = self_signed_seal(nip, EC_KEY, valid_from=start, lifetime=(300 + days) * DAY)
    return CertificateCredentials(certificate=seal, key=EC_KEY, nip=nip)


@pytest.mark.parametrize(
    ("days", "notice", "is_told"),
    [(31, EXPIRY_NOTICE, False), (29, EXPIRY_NOTICE, True), (-1, EXPIRY_NOTICE, True), (29, 0.0, False)],
)
def test_certificate(days: float, notice: float, is_told: bool) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    ending = ending_of(certificate(NIP, now, days), Environment.TEST, now, notice)

    assert (ending is not None) is is_told
    assert ending is None or ending.valid_until == now + timedelta(days=days)


@pytest.mark.parametrize(
    ("environment", "before_end", "is_told"),
    [
        (Environment.PRODUCTION, 31 * DAY, False),
        (Environment.PRODUCTION, 29 * DAY, True),
        (Environment.TEST, 29 * DAY, True),
        (Environment("http://127.0.0.1:8080/v2"), 29 * DAY, False),
        # Where KSeF still takes them then, the regulation has changed.
        (Environment.PRODUCTION, -1.0, False),
    ],
)
def test_token(environment: Environment, before_end: float, is_told: bool) -> None:
    ending = ending_of(TOKEN, environment, TOKENS_END - timedelta(seconds=before_end), EXPIRY_NOTICE)

    assert (ending is not None) is is_told
    assert ending is None or "serve as a login until 2026-12-31 23:00 UTC" in str(ending)


async def test_end_is_told_once_a_day(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []
    credentials = certificate(sandbox.nip, sandbox.clock.now(), 10)

    with caplog.at_level(logging.WARNING, "ksef_async"):
        async with KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), hook=events.append) as client:
            for _ in range(3):
                await client.refresh()
            sandbox.clock.advance(DAY)
            await client.refresh()
            await client.refresh()

    told = [event for event in events if isinstance(event, CredentialsEnding)]
    assert [(event.kind, event.nip) for event in told] == [("certificate", sandbox.nip)] * 2
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "client.certificates.renew(...) gets the next one" in caplog.records[0].getMessage()


async def test_journal_tells_of_it_among_its_troubles(sandbox: Sandbox, tmp_path: Path) -> None:
    now = sandbox.clock.now()
    async with (
        KsefClient(sandbox.environment, certificate(sandbox.nip, now, 10), pacer=Pacer.unlimited()) as client,
        KsefClient(sandbox.environment, certificate(NIP, now, 100), pacer=Pacer.unlimited()) as other,
        Submissions("sqlite://", client={sandbox.nip: client, NIP: other}) as submissions,
    ):
        troubles = await submissions.troubles()

    assert troubles.keys() == {sandbox.nip}
    assert troubles[sandbox.nip].startswith(f"The certificate of {sandbox.nip} ends on ")


async def test_command_tells_of_it(sandbox: Sandbox, shell: Shell) -> None:
    shell.invoices(sandbox.nip, 1)
    file = shell.folder / "company.pem"
    ending = certificate(sandbox.nip, sandbox.clock.now(), 10)
    file.write_bytes(key_bytes(EC_KEY) + pem(ending.certificate))
    file.chmod(0o600)
    shell.set(KSEF_TOKEN=None, KSEF_CERTIFICATE_FILE=str(file))

    result = await shell.run("send", shell.folder, "--json")

    assert result.code == 0
    assert result.err.startswith(f"The certificate of {sandbox.nip} ends on ")
    assert len(result.err.splitlines()) == 1
