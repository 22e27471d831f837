"""A permission granted while a client is logged in: the call that lacks it is made again with a new token, once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from clients import QUICK, Traffic
from parties import ADAM, PESEL, SOON, client_of, grant, owner_of, token_of

from ksef_async import Context, ContextType, ForbiddenError, FormCode, KsefClient, KsefToken, Pacer
from ksef_async.api.permissions import GET_ATTACHMENT_CONSENT
from ksef_async.auth.login import log_in
from ksef_async.calling.caller import Caller, FixedToken
from ksef_async.calling.keys import PublicKeys
from ksef_async.calling.transport import AiohttpTransport
from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.sandbox.grants import GrantKind
from ksef_async.sandbox.subjects import Subject

PERSON = Subject("Pesel", PESEL)


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
async def employee(sandbox: Sandbox, traffic: Traffic) -> AsyncIterator[KsefClient]:
    """Of a person who may read the company's invoices and is logged in."""
    grant(sandbox, GrantKind.PERSON, Context(ContextType.NIP, sandbox.nip), PERSON, "InvoiceRead")
    async with client_of(sandbox, PERSON, sandbox.nip, hook=traffic) as employee:
        await employee.log_in()
        yield employee


async def give(owner: KsefClient, *permissions: str) -> None:
    handle = await owner.permissions.grant_to_person(PESEL, permissions, "For a test", ADAM)
    await handle.wait(SOON)


async def test_permission_granted_after_the_login_is_used_by_the_next_call(
    sandbox: Sandbox, employee: KsefClient, client: KsefClient, traffic: Traffic
) -> None:
    await give(client, "InvoiceWrite")

    async with await employee.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(sample_invoice(sandbox.nip))

    assert (await sent.outcome()).reference_number == sent.reference_number
    assert traffic.answers["open_online_session", 403] == 1
    assert traffic.of("refresh_access_token") == 1
    assert len(sandbox.world.sessions) == 1


async def test_permission_that_is_still_missing_is_told_after_one_refresh(
    employee: KsefClient, traffic: Traffic
) -> None:
    with pytest.raises(ForbiddenError) as refused:
        await employee.permissions.get_attachment_status()

    assert refused.value.reason == "missing-permissions"
    assert traffic.answers["get_attachment_consent", 403] == 2
    assert traffic.of("refresh_access_token") == 1


async def test_twenty_calls_at_once_share_one_refresh(
    employee: KsefClient, client: KsefClient, traffic: Traffic
) -> None:
    await give(client, "CredentialsRead")

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(employee.permissions.get_attachment_status)

    assert traffic.answers["get_attachment_consent", 200] == 20
    assert traffic.of("refresh_access_token") == 1


async def test_what_is_refused_for_another_reason_is_not_repeated(
    sandbox: Sandbox, client: KsefClient, traffic: Traffic
) -> None:
    other = sandbox.issue_token("5265877635")
    (issued,) = [token for secret, token in sandbox.world.tokens.items() if secret == other]
    async with owner_of(sandbox, sandbox.nip, hook=traffic) as owner:
        with pytest.raises(ForbiddenError) as refused:
            await owner.tokens.get(issued.reference_number)

    assert refused.value.reason == "insufficient-resource-access"
    assert traffic.of("get_token") == 1
    assert traffic.of("refresh_access_token") == 0


async def test_refusal_without_a_reason_may_be_for_want_of_a_permission(
    sandbox: Sandbox, client: KsefClient, employee: KsefClient, traffic: Traffic
) -> None:
    await give(client, "CredentialsRead")
    sandbox.faults.add("get_attachment_consent", Fault.forbidden())

    await employee.permissions.get_attachment_status()

    assert traffic.answers["get_attachment_consent", 403] == 1
    assert traffic.of("refresh_access_token") == 1


async def test_token_of_the_callers_own_is_not_replaced(sandbox: Sandbox, traffic: Traffic) -> None:
    company = Context(ContextType.NIP, sandbox.nip)
    grant(sandbox, GrantKind.PERSON, company, PERSON, "InvoiceRead")
    transport = AiohttpTransport()
    caller = Caller(sandbox.environment, transport, retry=QUICK, pacer=Pacer.unlimited(), hook=traffic)
    credentials = KsefToken(context=company, token=token_of(sandbox, PERSON, company))
    tokens = await log_in(caller, PublicKeys(caller), credentials)
    api = caller.with_bearer(FixedToken(tokens.access_token.token))

    try:
        with pytest.raises(ForbiddenError):
            await api.call(GET_ATTACHMENT_CONSENT)
    finally:
        await transport.aclose()

    assert traffic.of("get_attachment_consent") == 1
    assert traffic.of("refresh_access_token") == 0


async def test_refresh_makes_new_permissions_count_at_once(
    employee: KsefClient, client: KsefClient, traffic: Traffic
) -> None:
    await give(client, "CredentialsRead")

    await employee.refresh()
    await employee.permissions.get_attachment_status()

    assert traffic.of("refresh_access_token") == 1
    assert traffic.answers["get_attachment_consent", 403] == 0


async def test_refreshes_asked_for_together_are_one(employee: KsefClient, traffic: Traffic) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(employee.refresh)

    assert traffic.of("refresh_access_token") == 1


async def test_refresh_of_a_client_that_is_not_logged_in_logs_in(client: KsefClient) -> None:
    await client.refresh()

    assert (await client.limits.get_rates()).other.per_second == -1
