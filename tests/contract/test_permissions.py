"""Every method of permissions and test data: what it sends and gets, held to the specification by openapi-core."""

from __future__ import annotations

from contract.recording import Recorder, SpecRequest, SpecResponse
from openapi_core import OpenAPI
from parties import ADAM, EVE, FINGERPRINT, OFFICE, OTHER, PESEL, company, done, person, token_of

from ksef_async import Caller, Context, ContextType, KsefToken, Pacer
from ksef_async.api.permission_grants import Authorization, EntityPermission, InvoicePermission, Permission
from ksef_async.api.permissions import (
    AuthorIdentifier,
    AuthorizationFilter,
    AuthorType,
    Direction,
    EuPermission,
    EuPermissionFilter,
    HeldPermission,
    PermissionState,
    PersonalPermissionFilter,
    PersonPermissionFilter,
    Scope,
)
from ksef_async.api.subjects import (
    EntityIdentifier,
    EntityType,
    ForeignEntityDetails,
    TargetIdentifier,
    TargetType,
    UnitIdentifier,
    UnitType,
)
from ksef_async.api.table import OPERATIONS
from ksef_async.api.testdata import Subunit
from ksef_async.auth.access import AccessTokens
from ksef_async.calling.keys import PublicKeys
from ksef_async.protocol.numbers import has_valid_internal_id
from ksef_async.resources.permissions import Permissions
from ksef_async.resources.testdata import TestData
from ksef_async.sandbox import Sandbox
from ksef_async.sandbox.subjects import Subject

ENTITY = ForeignEntityDetails("Firma G.m.b.H.", "Berlin")


async def grant_and_revoke(permissions: Permissions, nip: str) -> None:
    unit = next(f"{nip}-{n:05}" for n in range(10) if has_valid_internal_id(f"{nip}-{n:05}"))
    delegable = EntityPermission(InvoicePermission.INVOICE_READ, can_delegate=True)
    everybody = TargetIdentifier(TargetType.ALL_PARTNERS)
    provider = EntityIdentifier(EntityType.PEPPOL_ID, "PPL000001")
    for handle in (
        await permissions.grant_to_person(person(), ["CredentialsRead"], "Reading", ADAM),
        await permissions.grant_to_entity(OFFICE, [delegable, "InvoiceWrite"], "Bookkeeping", "Biuro sp. z o.o."),
        await permissions.grant_authorization(OFFICE, "SelfInvoicing", "Self-invoicing", "Biuro sp. z o.o."),
        await permissions.grant_authorization(provider, "PefInvoicing", "Peppol invoices", "Dostawca S.A."),
        await permissions.grant_indirectly(person(), ["InvoiceRead"], "Everybody", ADAM, target=everybody),
        await permissions.grant_to_subunit(person(), unit, "Department", ADAM, unit_name="Oddział 1"),
        await permissions.grant_eu_administration(FINGERPRINT, f"{nip}-DE123456789", "EU entity", ENTITY, ENTITY),
    ):
        await done(handle)
    rows = [row async for row in permissions.list_of_persons()]
    await done(await permissions.revoke(rows[0].id))
    authorizations = [row async for row in permissions.list_authorizations()]
    await done(await permissions.revoke_authorization(authorizations[0].id))


async def list_all(permissions: Permissions, nip: str) -> None:
    unit = UnitIdentifier(UnitType.NIP, nip)
    personal = PersonalPermissionFilter(
        context_identifier=unit,
        target_identifier=TargetIdentifier(TargetType.NIP, OTHER),
        permission_types=tuple(HeldPermission),
        permission_state=PermissionState.ACTIVE,
    )
    assert (await permissions.list_own_page()).owner_permissions
    assert [row async for row in permissions.list_own(personal)] == []
    persons = PersonPermissionFilter(
        author_identifier=AuthorIdentifier(AuthorType.SYSTEM),
        authorized_identifier=company(OFFICE),
        context_identifier=unit,
        target_identifier=TargetIdentifier(TargetType.ALL_PARTNERS),
        permission_types=tuple(Permission),
        permission_state=PermissionState.INACTIVE,
        scope=Scope.GRANTED,
    )
    assert [row async for row in permissions.list_of_persons(persons)] == []
    assert [row async for row in permissions.list_of_persons()]
    assert [row async for row in permissions.list_of_subunit_administrators()]
    assert [row async for row in permissions.list_of_subunit_administrators(nip)] == []
    assert [row async for row in permissions.list_roles()]
    assert [row async for row in permissions.list_subordinates()]
    assert [row async for row in permissions.list_subordinates(OTHER)]
    received = AuthorizationFilter(direction=Direction.RECEIVED, permission_types=tuple(Authorization))
    assert [row async for row in permissions.list_authorizations(received)] == []
    assert [row async for row in permissions.list_authorizations()]
    eu = EuPermissionFilter(vat_ue_identifier="DE123456789", permission_types=tuple(EuPermission))
    assert [row async for row in permissions.list_of_eu_entities(eu)]


async def test_every_exchange_about_permissions_fits_the_specification(sandbox: Sandbox, openapi: OpenAPI) -> None:
    recorder = Recorder()
    caller = Caller(sandbox.environment, recorder, pacer=Pacer.unlimited())
    keys = PublicKeys(caller)

    def api_of(credentials: KsefToken) -> Caller:
        return caller.with_bearer(AccessTokens(caller, keys, credentials))

    owner = api_of(KsefToken(nip=sandbox.nip, token=sandbox.token))
    testdata, permissions = TestData(owner), Permissions(owner)
    context = Context(ContextType.NIP, OFFICE)

    await testdata.create_subject(sandbox.nip, "JST", "A town", subunits=[Subunit(OTHER, "Its school")])
    await testdata.create_person(OTHER, PESEL, "Sole trader", created_date=sandbox.clock.now())
    await testdata.grant_permissions(sandbox.nip, person(), ["InvoiceRead"], "By the ministry")
    await testdata.allow_attachments(sandbox.nip)
    assert (await permissions.get_attachment_status()).is_attachment_allowed
    await testdata.disallow_attachments(sandbox.nip, from_date=sandbox.clock.now().date())
    await testdata.block_context(context)
    await testdata.unblock_context(context)
    await grant_and_revoke(permissions, sandbox.nip)
    await list_all(permissions, sandbox.nip)
    entity = Context(ContextType.NIP_VAT_UE, f"{sandbox.nip}-DE123456789")
    administrator = Subject("Fingerprint", FINGERPRINT)
    there = Permissions(api_of(KsefToken(context=entity, token=token_of(sandbox, administrator, entity))))
    await done(await there.grant_eu_representative("B" * 64, ["InvoiceRead"], "Reading", EVE))
    assert [row async for row in there.list_of_eu_entities()]
    here = Permissions(api_of(KsefToken(nip=OFFICE, token=sandbox.issue_token(OFFICE))))
    assert [row async for row in here.list_received()]
    assert [row async for row in here.list_received(sandbox.nip)]
    await testdata.revoke_permissions(sandbox.nip, person())
    await testdata.remove_person(OTHER)
    await testdata.remove_subject(sandbox.nip)
    await recorder.aclose()

    seen = {request.operation for request, _ in recorder.exchanges}
    ours = {row.name for row in OPERATIONS if row.path.startswith("/permissions") or row.name.find("_test_") > 0}
    assert len(ours) == 29
    assert ours <= seen
    for raw_request, raw_response in recorder.exchanges:
        assert raw_response.status < 300, raw_response
        request = SpecRequest(raw_request)
        openapi.validate_request(request)
        openapi.validate_response(request, SpecResponse(raw_response))
