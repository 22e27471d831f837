"""Every method of the plain resources: what it sends and gets, held to the specification by openapi-core."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import attrs
import pytest
from contract.recording import Recorder, SpecRequest, SpecResponse
from openapi_core import OpenAPI

from ksef_async import Caller, FormCode, KsefToken, Pacer, SessionManager
from ksef_async.api.collective_identifiers import CollectiveIdentifierFilter, InvoicePayment, InvoiceToGroup
from ksef_async.api.peppol import PeppolProvider
from ksef_async.api.permission_grants import Permission
from ksef_async.api.rates import PRODUCTION_LIMITS
from ksef_async.api.tokens import TokenFilter, TokenStatus
from ksef_async.auth.access import AccessTokens
from ksef_async.calling.keys import PublicKeys
from ksef_async.resources.auth_sessions import AuthSessions
from ksef_async.resources.collective_identifiers import CollectiveIdentifiers
from ksef_async.resources.limits import Limits
from ksef_async.resources.peppol import Peppol
from ksef_async.resources.tokens import Tokens
from ksef_async.sandbox import Sandbox, sample_invoice


async def manage_tokens(api: Caller) -> None:
    tokens = Tokens(api)
    generated = await tokens.generate([Permission.INVOICE_READ, "InvoiceWrite"], "For the warehouse")
    await generated.wait()
    await tokens.get(generated.reference_number)
    wanted = TokenFilter(status=(TokenStatus.ACTIVE, TokenStatus.PENDING), description="ware")
    assert [token.description async for token in tokens.list(wanted)] == ["For the warehouse"]
    assert [token async for token in tokens.list()]
    await tokens.revoke(generated.reference_number)


async def manage_logins(api: Caller) -> None:
    sessions = AuthSessions(api)
    listed = [session async for session in sessions.list()]
    assert listed[-1].is_current
    await sessions.revoke(listed[-1].reference_number)
    await sessions.revoke_current()


async def manage_limits(api: Caller) -> None:
    limits = Limits(api)
    await limits.override_context(await limits.get_context())
    await limits.restore_context()
    await limits.get_subject()
    await limits.override_subject(enrollments=1, certificates=0)
    await limits.override_subject(certificates=3)
    await limits.restore_subject()
    await limits.get_rates()
    await limits.override_rates(PRODUCTION_LIMITS)
    await limits.use_production_rates()
    await limits.restore_rates()


async def find_providers(api: Caller) -> None:
    assert [provider.id async for provider in Peppol(api).list_providers()] == ["PPL000001"]


async def group_invoices(api: Caller, nip: str) -> None:
    session = await SessionManager(api).open_online(FormCode.FA3)
    async with session:
        sent = [await session.send(sample_invoice(nip, f"FV/{number}")) for number in range(2)]
        numbers = [(await each.outcome()).ksef_number for each in sent]
    groups = CollectiveIdentifiers(api)
    payment = InvoicePayment(Decimal("123.45"), "PLN")
    group = await groups.create([InvoiceToGroup(numbers[0], payment, "Rent"), numbers[1]])
    now = api.now()
    wanted = CollectiveIdentifierFilter(date_created_from=now - timedelta(days=1), date_created_to=now + timedelta(1))
    assert [each.collective_identifier_number async for each in groups.list(wanted)] == [group]
    assert {each.ksef_number: each.payment async for each in groups.list_invoices(group)} == {
        numbers[0]: payment,
        numbers[1]: None,
    }
    assert [each.collective_identifier_number async for each in groups.list_of_invoice(numbers[0])] == [group]


OPERATIONS = {
    "tokens": {"generate_token", "get_token", "list_tokens", "revoke_token"},
    "logins": {"list_auth_sessions", "revoke_auth_session", "revoke_current_login"},
    "limits": {
        "get_context_limits",
        "override_context_limits",
        "restore_context_limits",
        "get_subject_limits",
        "override_subject_limits",
        "restore_subject_limits",
        "get_rate_limits",
        "override_rate_limits",
        "restore_rate_limits",
        "use_production_rate_limits",
    },
    "peppol": {"list_peppol_providers"},
    "collective identifiers": {
        "create_collective_identifier",
        "list_collective_identifiers",
        "list_collective_identifier_invoices",
        "list_collective_identifiers_of_invoice",
    },
}


@pytest.mark.parametrize("resource", OPERATIONS)
async def test_every_exchange_of_a_resource_fits_the_specification(
    sandbox: Sandbox, openapi: OpenAPI, resource: str
) -> None:
    sandbox.world.tokens_generate_tokens = True
    provider = PeppolProvider(id="PPL000001", name="Provider", date_created=sandbox.clock.now())
    sandbox.world.peppol_providers[provider.id] = provider
    recorder = Recorder()
    caller = Caller(sandbox.environment, recorder, pacer=Pacer.unlimited())
    keys = PublicKeys(caller)
    api = caller.with_bearer(AccessTokens(caller, keys, KsefToken(nip=sandbox.nip, token=sandbox.token)))

    match resource:
        case "tokens":
            await manage_tokens(api)
        case "logins":
            await manage_logins(api)
        case "limits":
            await manage_limits(api)
        case "peppol":
            await find_providers(api)
        case _:
            await group_invoices(api, sandbox.nip)
    await recorder.aclose()

    seen = {request.operation for request, _ in recorder.exchanges}
    assert seen >= OPERATIONS[resource]
    for raw_request, raw_response in recorder.exchanges:
        assert raw_response.status < 300, raw_response
        request = SpecRequest(raw_request)
        openapi.validate_request(request)
        # An answer without a body has no type, though aiohttp names one.
        response = raw_response if raw_response.body else attrs.evolve(raw_response, body=b"")
        openapi.validate_response(request, SpecResponse(response))
