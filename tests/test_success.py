"""Success is any 2xx that fits: what the caller gets of each variant of each answer, and what KSeF has afterwards.

KSeF acts on every one of these calls; its answer then changes on the way, once. What is asked for again may be asked
for again, what is settled otherwise is settled, and where only the caller can look, the error says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import attrs
import pytest
from certificates import EC_KEY, NIP
from clients import QUICK, Traffic, connected
from packages import samples
from parties import OFFICE, SOON
from secrets_watch import leaks_in, told_by
from virtual_time import VirtualTimeLoop

from ksef_async import (
    AcceptedInvoice,
    CertificateCredentials,
    FormCode,
    KsefClient,
    KsefError,
    RemoteProtocolError,
    ServerError,
)
from ksef_async.api.certificates import CertificateStatus
from ksef_async.api.table import OPERATIONS
from ksef_async.api.tokens import TokenStatus
from ksef_async.crypto.issuing import new_private_key, self_signed_seal
from ksef_async.packing import pack
from ksef_async.protocol.pacing import Pacer
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.faults import UPLOAD_PART


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


Body = Literal["right", "empty", "html", "other", "truncated"]

STATUSES = (200, 201, 202, 204, 299)
BODIES: tuple[Body, ...] = ("right", "empty", "html", "other", "truncated")
HTML = b"<!DOCTYPE html><html><body>Request blocked</body></html>"
SEAL = self_signed_seal(NIP, EC_KEY, name="Firma Kowalski Sp. z o.o.")
#: Those that answer without a document.
BARE = {operation.name for operation in OPERATIONS if operation.response is None}


def variant(status: int, body: Body) -> Fault:
    """KSeF's answer with another number, and with its own or another body."""
    if body == "right":
        return Fault.answer_becomes(status)
    content_type = "text/html" if body == "html" else "application/json"
    if body == "truncated":
        return Fault.answer_becomes(
            status, body=lambda own: own[: len(own) // 2] if own else b'{"cut": ', content_type=content_type
        )
    made = {"empty": b"", "html": HTML, "other": b'{"unexpected": [1, {"status": null}]}'}[body]
    return Fault.answer_becomes(status, body=made, content_type=content_type)


def fits(name: str, status: int, body: Body) -> bool:
    """Whether the answer is a success that can be read; a 204 has no body, whatever its sender thinks."""
    if name in BARE:
        return status == 204 or body in ("right", "empty", "other")
    return status != 204 and body == "right"


def expected_error(name: str, status: int, body: Body) -> type[KsefError] | None:
    """What a caller is told who alone can look what KSeF has done."""
    if fits(name, status, body):
        return None
    return ServerError if body == "html" and status != 204 else RemoteProtocolError


@attrs.define
class Trial:
    """One operation, whose next answer is changed."""

    sandbox: Sandbox
    client: KsefClient
    traffic: Traffic
    status: int
    body: Body

    def change(self, name: str) -> type[KsefError] | None:
        """Change the next answer to ``name``; gives the error where nothing but the caller can settle it."""
        self.sandbox.faults.add(name, variant(self.status, self.body))
        return expected_error(name, self.status, self.body)

    def invoice(self, what: str) -> bytes:
        return sample_invoice(self.sandbox.nip, f"{what}/{self.status}/{self.body}")

    def taken_in(self, invoice: bytes) -> int:
        digest = hashlib.sha256(invoice).digest()
        return sum(each.invoice_hash == digest for each in self.sandbox.world.invoices())


async def told(call: Awaitable[Any], error: type[KsefError] | None) -> Any:
    """What ``call`` gives; None where it ends with ``error``, as it then has to, in doubt and without secrets."""
    if error is None:
        return await call
    with pytest.raises(error) as caught:
        await call
    assert caught.value.maybe_delivered
    assert leaks_in(told_by(caught.value)) == []
    return None


Scenario = Callable[[Trial], Awaitable[None]]


async def opening_online(trial: Trial) -> None:
    trial.change("open_online_session")
    async with await trial.client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(trial.invoice("opening"))
    assert isinstance(await sent.outcome(), AcceptedInvoice)
    assert trial.taken_in(trial.invoice("opening")) == 1


async def sending(trial: Trial) -> None:
    invoice = trial.invoice("sending")
    async with await trial.client.sessions.open_online(FormCode.FA3) as session:
        trial.change("send_invoice")
        sent = await session.send(invoice)
    assert sent.reference_number in trial.sandbox.world.sessions[session.reference_number].invoices
    assert isinstance(await sent.outcome(), AcceptedInvoice)
    assert trial.taken_in(invoice) == 1


async def closing_online(trial: Trial) -> None:
    async with await trial.client.sessions.open_online(FormCode.FA3) as session:
        await session.send(trial.invoice("closing"))
        trial.change("close_online_session")
    assert len((await session.upo()).entries) == 1


async def opening_batch(trial: Trial) -> None:
    await batch(trial, "open_batch_session")


async def uploading(trial: Trial) -> None:
    await batch(trial, UPLOAD_PART)


async def closing_batch(trial: Trial) -> None:
    await batch(trial, "close_batch_session")


async def batch(trial: Trial, name: str) -> None:
    invoices = samples(trial.sandbox, 3, f"{name}-{trial.status}-{trial.body}")
    async with pack(invoices, part_size=800) as package:
        trial.change(name)
        session = await trial.client.sessions.open_batch(package, form_code=FormCode.FA3)
        async with session:
            pass
        outcomes = [outcome async for outcome in session.outcomes()]
    assert len(outcomes) == 3
    for one in outcomes:
        assert isinstance(one.outcome, AcceptedInvoice)
        assert not one.outcome.is_duplicate


def logging_in(name: str) -> Scenario:
    async def scenario(trial: Trial) -> None:
        trial.change(name)
        async with connected(trial.sandbox) as other:
            await other.log_in()
            await other.limits.get_rates()

    return scenario


async def refreshing(trial: Trial) -> None:
    await trial.client.limits.get_rates()
    trial.change("refresh_access_token")
    # Longer than an access token lives, shorter than the refresh token does.
    trial.sandbox.clock.advance(20 * 60)
    await trial.client.limits.get_rates()


async def granting(trial: Trial) -> None:
    error = trial.change("grant_to_entity")
    handle = await told(
        trial.client.permissions.grant_to_entity(OFFICE, ["InvoiceRead"], "Bookkeeping", "Biuro sp. z o.o."), error
    )
    if handle is not None:
        await handle.wait(SOON)
    trial.sandbox.clock.advance(60)
    assert trial.traffic.of("grant_to_entity") == 1
    *_, row = [row async for row in trial.client.permissions.list_of_persons()]
    await (await trial.client.permissions.revoke(row.id)).wait(SOON)


async def revoking_a_grant(trial: Trial) -> None:
    handle = await trial.client.permissions.grant_to_entity(OFFICE, ["InvoiceRead"], "Bookkeeping", "Biuro sp. z o.o.")
    await handle.wait(SOON)
    *_, row = [row async for row in trial.client.permissions.list_of_persons()]
    error = trial.change("revoke_permission")
    revoked = await told(trial.client.permissions.revoke(row.id), error)
    if revoked is not None:
        await revoked.wait(SOON)
    trial.sandbox.clock.advance(60)
    assert trial.traffic.of("revoke_permission") == 1
    assert row.id not in {each.id async for each in trial.client.permissions.list_of_persons()}


async def generating_a_token(trial: Trial) -> None:
    before = {token.reference_number async for token in trial.client.tokens.list()}
    error = trial.change("generate_token")
    generated = await told(trial.client.tokens.generate(["InvoiceRead"], "For reading"), error)
    (new,) = {token.reference_number async for token in trial.client.tokens.list()} - before
    if generated is not None:
        assert generated.reference_number == new
    await trial.client.tokens.revoke(new)


async def revoking_a_token(trial: Trial) -> None:
    generated = await trial.client.tokens.generate(["InvoiceRead"], "For reading")
    await generated.wait(SOON)
    trial.change("revoke_token")
    await trial.client.tokens.revoke(generated.reference_number)
    assert (await trial.client.tokens.get(generated.reference_number)).status in (
        TokenStatus.REVOKING,
        TokenStatus.REVOKED,
    )


async def enrolling(trial: Trial) -> None:
    before = {row.certificate_serial_number async for row in trial.client.certificates.list()}
    error = trial.change("enroll_certificate")
    name = f"Certyfikat {trial.status} {trial.body}"
    handle = await told(trial.client.certificates.enroll(name, new_private_key()), error)
    if handle is not None:
        await handle.wait(SOON)
    trial.sandbox.clock.advance(60)
    after = {row.certificate_serial_number async for row in trial.client.certificates.list()}
    (number,) = after - before
    await trial.client.certificates.revoke(number)


async def revoking_a_certificate(trial: Trial) -> None:
    handle = await trial.client.certificates.enroll(f"Certyfikat {trial.status}", new_private_key())
    number = (await handle.wait(SOON)).certificate_serial_number
    assert number is not None
    trial.change("revoke_certificate")
    await trial.client.certificates.revoke(number)
    rows = {row.certificate_serial_number: row.status async for row in trial.client.certificates.list()}
    assert rows[number] in (CertificateStatus.BLOCKED, CertificateStatus.REVOKED)


async def looking(trial: Trial) -> None:
    invoice = trial.invoice("looking")
    async with await trial.client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(invoice)
    trial.change("get_session_status")
    assert (await session.status()).invoice_count == 1
    trial.change("list_session_invoices")
    (row,) = [row async for row in session.invoices()]
    assert row.reference_number == sent.reference_number
    trial.change("get_session_invoice")
    assert isinstance(await sent.outcome(), AcceptedInvoice)
    trial.change("get_invoice_upo")
    assert len([*(await sent.upo()).entries]) == 1
    trial.sandbox.faults.clear()


ONE_TOKEN: dict[str, Scenario] = {
    "open_online_session": opening_online,
    "send_invoice": sending,
    "close_online_session": closing_online,
    "open_batch_session": opening_batch,
    "upload_part": uploading,
    "close_batch_session": closing_batch,
    **{
        name: logging_in(name)
        for name in ("list_public_keys", "get_challenge", "log_in_with_token", "get_login_status", "redeem_tokens")
    },
    "refresh_access_token": refreshing,
    "grant_to_entity": granting,
    "revoke_permission": revoking_a_grant,
    "generate_token": generating_a_token,
    "revoke_token": revoking_a_token,
    "status, lists, receipts": looking,
}
ONE_CERTIFICATE: dict[str, Scenario] = {
    "enroll_certificate": enrolling,
    "revoke_certificate": revoking_a_certificate,
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("scenario", [pytest.param(each, id=name) for name, each in ONE_TOKEN.items()])
async def test_nothing_is_lost_done_twice_or_left_open(sandbox: Sandbox, scenario: Scenario, body: Body) -> None:
    sandbox.world.tokens_generate_tokens = True
    for status in STATUSES:
        traffic = Traffic()
        async with connected(sandbox, hook=traffic) as client:
            await scenario(Trial(sandbox, client, traffic, status, body))
        assert traffic.refused == 0
    check_sessions(sandbox, body)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("scenario", [pytest.param(each, id=name) for name, each in ONE_CERTIFICATE.items()])
async def test_no_certificate_is_lost_or_enrolled_twice(sandbox: Sandbox, scenario: Scenario, body: Body) -> None:
    credentials = CertificateCredentials(certificate=SEAL, key=EC_KEY, nip=NIP)
    for status in STATUSES:
        traffic = Traffic()
        async with KsefClient(
            sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK, hook=traffic
        ) as client:
            await scenario(Trial(sandbox, client, traffic, status, body))


def check_sessions(sandbox: Sandbox, body: Body) -> None:
    """None is open, but those that nobody can know: their opening was answered by something unreadable."""
    now = sandbox.clock.now()
    still_open = [each for each in sandbox.world.sessions.values() if each.closed_since(now) is None]
    unheard_of = sandbox.faults.happened.get("open_online_session", 0) + sandbox.faults.happened.get(
        "open_batch_session", 0
    )
    readable = len(STATUSES) - 1 if body == "right" else 0
    assert len(still_open) == max(unheard_of - readable, 0)
    # They take no invoices, and expire by themselves.
    assert [each.invoices for each in still_open] == [{}] * len(still_open)
    hashes = [invoice.invoice_hash for invoice in sandbox.world.invoices()]
    assert len(hashes) == len(set(hashes))
