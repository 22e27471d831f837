from __future__ import annotations

from datetime import timedelta

import pytest
from clients import Traffic, connected
from parties import ADAM, OFFICE, OTHER, PESEL, client_of, company, done, owner_of, person

from ksef_async import BadRequestError, Context, ContextType, ForbiddenError, FormCode, KsefClient, LoginFailedError
from ksef_async.api.permissions import AuthorIdentifier, AuthorType
from ksef_async.api.testdata import CompanyKind, Subunit
from ksef_async.errors import InvalidFieldError
from ksef_async.sandbox import Sandbox
from ksef_async.sandbox.subjects import Subject

ACCESS_TOKEN_ENDS = 16 * 60


async def test_person_owns_the_company_it_is_linked_to(sandbox: Sandbox, client: KsefClient) -> None:
    me = Subject("Pesel", PESEL)
    async with client_of(sandbox, me, OTHER) as stranger:
        with pytest.raises(LoginFailedError):
            await stranger.log_in()

    await client.testdata.create_person(OTHER, PESEL, "Sole trader", is_bailiff=True)

    async with client_of(sandbox, me, OTHER) as owner:
        page = await owner.permissions.list_own_page()
        assert "EnforcementOperations" in page.owner_permissions
        assert [row.role async for row in owner.permissions.list_roles()] == ["CourtBailiff"]
        await done(await owner.permissions.grant_to_person(company(OFFICE), ["EnforcementOperations"], "Clerk", ADAM))

        await client.testdata.remove_person(OTHER)
        sandbox.clock.advance(ACCESS_TOKEN_ENDS)
        with pytest.raises(ForbiddenError):
            await owner.permissions.get_attachment_status()


async def test_dead_cannot_log_in(sandbox: Sandbox, client: KsefClient) -> None:
    await client.testdata.create_person(OTHER, PESEL, "Sole trader", is_deceased=True)

    async with owner_of(sandbox, OTHER) as owner:
        with pytest.raises(LoginFailedError) as refused:
            await owner.log_in()

    assert refused.value.code == 470


async def test_those_who_die_get_no_other_token(sandbox: Sandbox, client: KsefClient) -> None:
    async with owner_of(sandbox, OTHER) as owner:
        await owner.log_in()
        await client.testdata.create_person(OTHER, PESEL, "Sole trader", is_deceased=True)
        sandbox.clock.advance(ACCESS_TOKEN_ENDS)

        # The refresh is refused (21308), and so is the login that is tried in its place.
        with pytest.raises(LoginFailedError) as refused:
            await owner.permissions.get_attachment_status()

    assert refused.value.code == 470


async def test_logins_in_a_blocked_context_end_with_480(sandbox: Sandbox, client: KsefClient) -> None:
    context = Context(ContextType.NIP, OTHER)
    await client.testdata.block_context(context)
    async with owner_of(sandbox, OTHER) as owner:
        with pytest.raises(LoginFailedError) as refused:
            await owner.log_in()
        await client.testdata.unblock_context(context)
        await owner.log_in()

    assert refused.value.code == 480


async def test_permissions_are_granted_and_revoked_at_once(sandbox: Sandbox, client: KsefClient) -> None:
    me = Subject("Pesel", PESEL)
    await client.testdata.grant_permissions(sandbox.nip, person(), ["InvoiceWrite", "InvoiceRead"], "By the ministry")
    async with client_of(sandbox, me, sandbox.nip) as clerk:
        async with await clerk.sessions.open_online(FormCode.FA3):
            pass
        rows = [row async for row in client.permissions.list_of_persons()]
        await client.testdata.revoke_permissions(sandbox.nip, PESEL)
        sandbox.clock.advance(ACCESS_TOKEN_ENDS)
        with pytest.raises(ForbiddenError):
            await clerk.sessions.open_online(FormCode.FA3)

    assert {row.author_identifier for row in rows} == {AuthorIdentifier(AuthorType.SYSTEM)}


async def test_members_of_a_vat_group_are_below_it(sandbox: Sandbox, client: KsefClient) -> None:
    members = [Subunit(OFFICE, "First member"), Subunit(OTHER, "Second member")]
    await client.testdata.create_subject(sandbox.nip, CompanyKind.VAT_GROUP, "The group", subunits=members)

    assert [row.role async for row in client.permissions.list_roles()] == ["VatGroupUnit"]
    assert {row.subordinate_entity_identifier.value async for row in client.permissions.list_subordinates()} == {
        OFFICE,
        OTHER,
    }
    (row,) = [row async for row in client.permissions.list_subordinates(OTHER)]
    assert (row.role, row.description) == ("VatGroupSubUnit", "Second member")
    async with owner_of(sandbox, OTHER) as member:
        (own,) = [row async for row in member.permissions.list_roles()]
    assert own.parent_entity_identifier is not None
    assert own.parent_entity_identifier.value == sandbox.nip

    with pytest.raises(BadRequestError) as exists:
        await client.testdata.create_subject(OTHER, "EnforcementAuthority", "Again")
    assert exists.value.code == 30001
    await client.testdata.remove_subject(sandbox.nip)
    assert [row async for row in client.permissions.list_subordinates()] == []


async def test_consent_to_attachments_is_given_and_withdrawn(sandbox: Sandbox, client: KsefClient) -> None:
    await client.testdata.allow_attachments(sandbox.nip)
    given = await client.permissions.get_attachment_status()
    later = (sandbox.clock.now() + timedelta(days=2)).date()
    await client.testdata.disallow_attachments(sandbox.nip, from_date=later)
    ending = await client.permissions.get_attachment_status()
    await client.testdata.disallow_attachments(sandbox.nip)
    withdrawn = await client.permissions.get_attachment_status()

    assert (given.is_attachment_allowed, given.revoked_date) == (True, None)
    assert ending.is_attachment_allowed
    assert ending.revoked_date is not None
    assert not withdrawn.is_attachment_allowed
    context = Context(ContextType.NIP, sandbox.nip)
    assert not sandbox.world.grants.has_attachment_consent(context, sandbox.clock.now())


@pytest.mark.parametrize("days", [0, 1, 30])
async def test_consent_ends_on_the_day_that_was_given_in_utc(still_sandbox: Sandbox, days: int) -> None:
    day = (still_sandbox.clock.now() + timedelta(days=days)).date()

    async with connected(still_sandbox) as client:
        await client.testdata.allow_attachments(still_sandbox.nip)
        await client.testdata.disallow_attachments(still_sandbox.nip, from_date=day)
        ends = (await client.permissions.get_attachment_status()).revoked_date

    assert ends is not None
    assert (ends.utcoffset(), ends.date()) == (timedelta(), day)


@pytest.mark.parametrize(
    ("nip", "pesel", "description", "field"),
    [
        pytest.param("0123456789", PESEL, "Sole trader", "nip", id="NIP"),
        pytest.param(OTHER, "15992788702", "Sole trader", "pesel", id="PESEL"),
        pytest.param(OTHER, PESEL, "Sole", "description", id="description"),
    ],
)
async def test_malformed_values_are_refused_before_they_are_sent(
    sandbox: Sandbox, nip: str, pesel: str, description: str, field: str
) -> None:
    traffic = Traffic()

    async with connected(sandbox, hook=traffic) as client:
        with pytest.raises(InvalidFieldError) as refused:
            await client.testdata.create_person(nip, pesel, description)

    assert refused.value.field == field
    assert not traffic.answers


async def test_data_created_again_must_be_younger(sandbox: Sandbox, client: KsefClient) -> None:
    day = sandbox.clock.now() - timedelta(days=1)
    await client.testdata.create_person(OTHER, PESEL, "Sole trader", created_date=day)
    with pytest.raises(BadRequestError) as exists:
        await client.testdata.create_person(OTHER, PESEL, "Sole trader")
    await client.testdata.remove_person(OTHER)

    with pytest.raises(BadRequestError) as too_old:
        await client.testdata.create_person(OTHER, PESEL, "Sole trader", created_date=day)
    await client.testdata.create_person(OTHER, PESEL, "Sole trader", created_date=day + timedelta(seconds=1))

    assert (exists.value.code, too_old.value.code) == (30001, 21405)
