from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from clients import Traffic, connected
from parties import ADAM, EVE, FINGERPRINT, OFFICE, OTHER, PESEL, SOON, client_of, company, done, owner_of, person

from ksef_async import (
    Cadence,
    Context,
    ContextType,
    ForbiddenError,
    FormCode,
    GoneError,
    InvoiceRejectedError,
    KsefClient,
    LoginFailedError,
    WaitTimeoutError,
)
from ksef_async.api.common import SubjectIdentifier, SubjectType
from ksef_async.api.permission_grants import EntityPermission, InvoicePermission, Permission
from ksef_async.api.permissions import EuPermissionFilter, PermissionState, PersonPermissionFilter, Scope
from ksef_async.api.subjects import ForeignEntityDetails, TargetIdentifier, TargetType, UnitIdentifier, UnitType
from ksef_async.errors import InvalidFieldError, OperationFailedError
from ksef_async.protocol.numbers import has_valid_internal_id
from ksef_async.sandbox import Clock, Sandbox, Timings, sample_invoice
from ksef_async.sandbox.subjects import Subject

ACCESS_TOKEN_ENDS = 16 * 60


async def send(client: KsefClient, invoice: bytes) -> str:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        return (await (await session.send(invoice)).outcome()).ksef_number


# --- what a permission lets one do -----------------------------------------------------------------------


async def test_office_sends_for_a_company_until_its_permission_is_revoked(sandbox: Sandbox, client: KsefClient) -> None:
    office = Subject("Nip", OFFICE)
    async with client_of(sandbox, office, sandbox.nip) as stranger:
        with pytest.raises(LoginFailedError, match="Brak przypisanych uprawnień") as refused:
            await stranger.log_in()
    assert refused.value.code == 415

    await done(await client.permissions.grant_to_entity(OFFICE, ["InvoiceWrite"], "Bookkeeping", "Biuro sp. z o.o."))
    async with client_of(sandbox, office, sandbox.nip) as bookkeeper:
        assert (await send(bookkeeper, sample_invoice(sandbox.nip, "FV/1"))).startswith(sandbox.nip)
        with pytest.raises(ForbiddenError) as lacking:
            await bookkeeper.permissions.get_attachment_status()
        (row,) = [row async for row in client.permissions.list_of_persons()]
        assert (row.authorized_identifier, row.permission_scope) == (company(OFFICE), "InvoiceWrite")

        await done(await client.permissions.revoke(row.id))
        # Issued tokens live on; with the next the permission is gone.
        assert await send(bookkeeper, sample_invoice(sandbox.nip, "FV/2"))
        sandbox.clock.advance(ACCESS_TOKEN_ENDS)
        with pytest.raises(ForbiddenError) as forbidden:
            await bookkeeper.sessions.open_online(FormCode.FA3)

    assert lacking.value.security["presentPermissions"] == ["InvoiceWrite"]
    assert forbidden.value.reason == "missing-permissions"
    assert forbidden.value.security == {
        "requiredAnyOfPermissions": ["InvoiceWrite", "PefInvoiceWrite", "EnforcementOperations"],
        "presentPermissions": [],
    }
    assert [row async for row in client.permissions.list_of_persons()] == []


async def test_person_may_do_what_was_granted_and_nothing_else(sandbox: Sandbox, client: KsefClient) -> None:
    await done(await client.permissions.grant_to_person(PESEL, ["InvoiceRead", "CredentialsRead"], "Reading", ADAM))

    async with client_of(sandbox, Subject("Pesel", PESEL), sandbox.nip) as reader:
        assert {row.permission_scope async for row in reader.permissions.list_own()} == {
            "InvoiceRead",
            "CredentialsRead",
        }
        assert not (await reader.permissions.get_attachment_status()).is_attachment_allowed
        with pytest.raises(ForbiddenError):
            await reader.permissions.grant_to_person(person(), ["InvoiceWrite"], "For myself", ADAM)
        with pytest.raises(ForbiddenError):
            await reader.sessions.open_online(FormCode.FA3)


async def test_employee_of_an_office_acts_while_its_client_lets_the_office_pass_permissions_on(
    sandbox: Sandbox, client: KsefClient
) -> None:
    employee = Subject("Pesel", PESEL)
    delegable = EntityPermission(InvoicePermission.INVOICE_WRITE, can_delegate=True)
    await done(await client.permissions.grant_to_entity(OFFICE, [delegable], "Bookkeeping", "Biuro sp. z o.o."))
    async with owner_of(sandbox, OFFICE) as office:
        target = TargetIdentifier(TargetType.NIP, sandbox.nip)
        grant = await office.permissions.grant_indirectly(person(), ["InvoiceWrite"], "One client", ADAM, target=target)
        await done(grant)
        async with client_of(sandbox, employee, sandbox.nip) as bookkeeper:
            assert await send(bookkeeper, sample_invoice(sandbox.nip))
            (received,) = [row async for row in office.permissions.list_received()]
            assert received.context_identifier == UnitIdentifier(UnitType.NIP, sandbox.nip)
            assert received.can_delegate

            (granted,) = [row async for row in client.permissions.list_of_persons()]
            await done(await client.permissions.revoke(granted.id))
            sandbox.clock.advance(ACCESS_TOKEN_ENDS)
            with pytest.raises(ForbiddenError):
                await bookkeeper.sessions.open_online(FormCode.FA3)
        (passed_on,) = [row async for row in office.permissions.list_of_persons()]

    assert passed_on.permission_state is PermissionState.INACTIVE
    assert passed_on.target_identifier == target


async def test_buyer_issues_invoices_for_the_seller_that_authorized_it(sandbox: Sandbox, client: KsefClient) -> None:
    async with owner_of(sandbox, OTHER) as buyer:
        invoice = sample_invoice(sandbox.nip, buyer_nip=OTHER).replace(b"<P_17>2</P_17>", b"<P_17>1</P_17>")
        with pytest.raises(InvoiceRejectedError) as rejected:
            await send(buyer, invoice)
        grant = await client.permissions.grant_authorization(OTHER, "SelfInvoicing", "Self-invoicing", "Nabywca S.A.")
        await done(grant)

        assert (await send(buyer, invoice)).startswith(sandbox.nip)

        (row,) = [row async for row in client.permissions.list_authorizations()]
        await done(await client.permissions.revoke_authorization(row.id))
        with pytest.raises(InvoiceRejectedError):
            await send(buyer, invoice.replace(b"FV/1", b"FV/2"))

    assert rejected.value.code == 410


async def test_administrator_of_a_unit_manages_it_but_not_the_company(sandbox: Sandbox, client: KsefClient) -> None:
    unit = next(f"{sandbox.nip}-{n:05}" for n in range(10) if has_valid_internal_id(f"{sandbox.nip}-{n:05}"))
    await done(await client.permissions.grant_to_subunit(person(), unit, "Department", ADAM, unit_name="Oddział 1"))

    context = Context(ContextType.INTERNAL_ID, unit)
    async with client_of(sandbox, Subject("Pesel", PESEL), context) as administrator:
        await done(await administrator.permissions.grant_to_person(company(OTHER), ["InvoiceRead"], "Reading", ADAM))
        assert [row.authorized_identifier async for row in administrator.permissions.list_of_persons()] == [
            company(OTHER),
            person(),
        ]
    async with client_of(sandbox, Subject("Pesel", PESEL), sandbox.nip) as administrator:
        with pytest.raises(LoginFailedError):
            await administrator.log_in()
    (row,) = [row async for row in client.permissions.list_of_subunit_administrators(unit)]
    assert (row.subunit_name, row.subunit_identifier, row.permission_scope) == (
        "Oddział 1",
        UnitIdentifier(UnitType.INTERNAL_ID, unit),
        "CredentialsManage",
    )


async def test_eu_entity_has_an_administrator_who_appoints_representatives(
    sandbox: Sandbox, client: KsefClient
) -> None:
    entity = ForeignEntityDetails("Firma G.m.b.H.", "Berlin, Unter den Linden 1")
    nip_vat_ue = f"{sandbox.nip}-DE123456789"
    await done(
        await client.permissions.grant_eu_administration(FINGERPRINT, nip_vat_ue, "Self-invoicing", entity, entity)
    )
    context = Context(ContextType.NIP_VAT_UE, nip_vat_ue)
    async with client_of(sandbox, Subject("Fingerprint", FINGERPRINT), context) as administrator:
        other = "A" * 64
        await done(await administrator.permissions.grant_eu_representative(other, ["InvoiceRead"], "Reading", EVE))
        rows = [row async for row in administrator.permissions.list_of_eu_entities()]
        wanted = EuPermissionFilter(authorized_fingerprint_identifier="aaaa", vat_ue_identifier="DE123456789")
        (representative,) = [row async for row in administrator.permissions.list_of_eu_entities(wanted)]
        with pytest.raises(ForbiddenError):
            await administrator.permissions.grant_to_entity(OTHER, ["InvoiceRead"], "Reading", "Inna S.A.")

    assert len(rows) == 5
    assert (representative.permission_scope, representative.eu_entity_details) == ("InvoiceRead", entity)
    # In the company's own context only the administrators show.
    assert {row.permission_scope async for row in client.permissions.list_of_eu_entities()} == {
        "VatUeManage",
        "InvoiceWrite",
        "InvoiceRead",
        "Introspection",
    }


@pytest.mark.parametrize(
    ("entity", "options", "listed"),
    [
        pytest.param(("Firma", "B" * 512), {}, f"Firma, {'B' * 249}", id="longest address"),
        pytest.param(("F" * 100, "B" * 512), {}, f"{'F' * 100}, {'B' * 154}", id="longest of both"),
        pytest.param(("F" * 100, f"{'B' * 153} {'C' * 99}"), {}, f"{'F' * 100}, {'B' * 153}", id="cut at a blank"),
        pytest.param(("F", "B"), {"entity_name": "F, Berlin"}, "F, Berlin", id="name of the caller's own"),
    ],
)
async def test_eu_entity_is_told_in_full_however_long_its_address_is(
    sandbox: Sandbox, client: KsefClient, entity: tuple[str, str], options: dict[str, str], listed: str
) -> None:
    details = ForeignEntityDetails(*entity)
    context = f"{sandbox.nip}-DE123456789"

    await done(
        await client.permissions.grant_eu_administration(
            FINGERPRINT, context, "Self-invoicing", details, details, **options
        )
    )

    row, *_ = [row async for row in client.permissions.list_of_eu_entities()]
    assert (row.eu_entity_name, row.eu_entity_details) == (listed, details)


# --- the handle ------------------------------------------------------------------------------------------


async def test_grant_still_in_progress_is_found_again_by_its_reference_number() -> None:
    timings = Timings(login_delay=0, permission_delay=3600)
    async with Sandbox(clock=Clock(ticking=False), timings=timings) as sandbox, connected(sandbox) as client:
        handle = await client.permissions.grant_to_entity(OFFICE, ["InvoiceRead"], "Bookkeeping", "Biuro sp. z o.o.")
        with pytest.raises(WaitTimeoutError) as late:
            await handle.wait(Cadence(interval=0.01, deadline=0.05))
        assert [row async for row in client.permissions.list_of_persons()] == []

        sandbox.clock.advance(3600)
        found = client.permissions.operation(handle.reference_number)

        assert (await found.wait()).status.code == 200
        assert "200 Operacja zakończona sukcesem" in repr(found)
        assert len([row async for row in client.permissions.list_of_persons()]) == 1
    assert late.value.last_status is not None
    assert late.value.last_status.code == 100


async def test_failed_grant_raises_with_code_and_reference_number(client: KsefClient) -> None:
    target = TargetIdentifier(TargetType.NIP, OTHER)
    handle = await client.permissions.grant_indirectly(person(), ["InvoiceRead"], "No client", ADAM, target=target)

    with pytest.raises(OperationFailedError, match="niewłaściwej relacji") as failed:
        await handle.wait(SOON)

    assert (failed.value.code, failed.value.reference_number) == (410, handle.reference_number)


async def test_operation_is_gone_after_thirty_days(still_sandbox: Sandbox) -> None:
    async with connected(still_sandbox) as client:
        handle = await client.permissions.grant_to_entity(OFFICE, ["InvoiceRead"], "Bookkeeping", "Biuro sp. z o.o.")
        still_sandbox.clock.advance(30 * 86400)
        assert (await handle.status()).status.code == 200
        still_sandbox.clock.advance(1)

        with pytest.raises(GoneError):
            await handle.status()


# --- lists -----------------------------------------------------------------------------------------------


async def test_lists_are_read_page_by_page_newest_first(sandbox: Sandbox, client: KsefClient) -> None:
    people = [person(f"150627887{number:02}") for number in range(12)]
    for one in people:
        await done(await client.permissions.grant_to_person(one, ["InvoiceRead"], "Reading", ADAM))

    pages = [page async for page in client.permissions.list_of_persons(page_size=10).pages()]

    assert [len(page) for page in pages] == [10, 2]
    assert [row.authorized_identifier for page in pages for row in page] == people[::-1]


async def test_owner_sees_what_it_owns_without_having_been_granted_it(client: KsefClient) -> None:
    page = await client.permissions.list_own_page()

    assert page.permissions == ()
    assert Permission.CREDENTIALS_MANAGE in page.owner_permissions
    assert Permission.ENFORCEMENT_OPERATIONS not in page.owner_permissions


async def test_granted_are_those_of_the_caller_itself(sandbox: Sandbox, client: KsefClient) -> None:
    await done(await client.permissions.grant_to_person(person(), ["CredentialsManage"], "Administrator", ADAM))
    async with client_of(sandbox, Subject("Pesel", PESEL), sandbox.nip) as administrator:
        await done(await administrator.permissions.grant_to_person(company(OTHER), ["InvoiceRead"], "Reading", ADAM))
        wanted = PersonPermissionFilter(scope=Scope.GRANTED)
        granted = [row async for row in administrator.permissions.list_of_persons(wanted)]

    assert [row.authorized_identifier for row in granted] == [company(OTHER)]
    assert len([row async for row in client.permissions.list_of_persons()]) == 2


# --- what is refused before it is sent -------------------------------------------------------------------

Attempt = Callable[[KsefClient], Awaitable[object]]

#: Each attempt, and the field its error names.
REFUSED: dict[str, tuple[Attempt, str]] = {
    "short description": (
        lambda c: c.permissions.grant_to_person(person(), ["InvoiceRead"], "abcd", ADAM),
        "description",
    ),
    "long description": (
        lambda c: c.permissions.grant_to_person(person(), ["InvoiceRead"], "x" * 257, ADAM),
        "description",
    ),
    "no permissions": (lambda c: c.permissions.grant_to_person(person(), [], "Reading", ADAM), "permissions"),
    "permission twice": (
        lambda c: c.permissions.grant_to_person(person(), ["InvoiceRead"] * 2, "Reading", ADAM),
        "permissions",
    ),
    "unknown permission": (
        lambda c: c.permissions.grant_to_person(person(), ["Everything"], "Reading", ADAM),
        "permissions[0]",
    ),
    "PESEL": (
        lambda c: c.permissions.grant_to_person(person("15992788702"), ["InvoiceRead"], "Reading", ADAM),
        "subjectIdentifier.value",
    ),
    "fingerprint": (
        lambda c: c.permissions.grant_to_person(
            SubjectIdentifier(SubjectType.FINGERPRINT, "AB"), ["InvoiceRead"], "Reading", EVE
        ),
        "subjectIdentifier.value",
    ),
    "NIP": (
        lambda c: c.permissions.grant_to_entity("123", ["InvoiceRead"], "Reading", "Biuro sp. z o.o."),
        "subjectIdentifier.value",
    ),
    "not for entities": (
        lambda c: c.permissions.grant_to_entity(OFFICE, ["Introspection"], "Reading", "Biuro sp. z o.o."),
        "permissions[0].type",
    ),
    "short name": (lambda c: c.permissions.grant_to_entity(OFFICE, ["InvoiceRead"], "Reading", "Biur"), "full_name"),
    "target without value": (
        lambda c: c.permissions.grant_indirectly(
            person(), ["InvoiceRead"], "Reading", ADAM, target=TargetIdentifier(TargetType.NIP)
        ),
        "targetIdentifier.value",
    ),
    "all partners with a value": (
        lambda c: c.permissions.grant_indirectly(
            person(), ["InvoiceRead"], "Reading", ADAM, target=TargetIdentifier(TargetType.ALL_PARTNERS, OTHER)
        ),
        "targetIdentifier.value",
    ),
    "unit without a name": (
        lambda c: c.permissions.grant_to_subunit(person(), "6824515772-12343", "Department", ADAM),
        "subunitName",
    ),
    "unit with a wrong check digit": (
        lambda c: c.permissions.grant_to_subunit(
            person(), "6824515772-12344", "Department", ADAM, unit_name="Oddział 1"
        ),
        "contextIdentifier.value",
    ),
    "EU context": (
        lambda c: c.permissions.grant_eu_administration(
            FINGERPRINT, "DE123456789", "EU entity", ForeignEntityDetails("Firma G.m.b.H.", "Berlin"), EVE
        ),
        "contextIdentifier.value",
    ),
    "permission identifier": (lambda c: c.permissions.revoke("abc"), "permissionId"),
    "EU VAT number": (lambda c: _first(c, EuPermissionFilter(vat_ue_identifier="DE12")), "vatUeIdentifier"),
    "small page": (lambda c: c.permissions.list_own_page(page_size=9), "pageSize"),
    "large page": (lambda c: c.permissions.list_own_page(page_size=101), "pageSize"),
    "page before the first": (lambda c: c.permissions.list_own_page(page_offset=-1), "pageOffset"),
}


async def _first(client: KsefClient, wanted: EuPermissionFilter) -> None:
    async for _ in client.permissions.list_of_eu_entities(wanted):
        break


@pytest.mark.parametrize("name", REFUSED)
async def test_what_ksef_would_refuse_is_refused_here(sandbox: Sandbox, name: str) -> None:
    attempt, field = REFUSED[name]
    traffic = Traffic()

    async with connected(sandbox, hook=traffic) as client:
        with pytest.raises(InvalidFieldError) as refused:
            await attempt(client)

    assert refused.value.field == field
    assert not traffic.answers
