"""The lists of permissions: the newest first, and by identifier. Source: OpenAPI 2.9.0, /permissions/query."""

from __future__ import annotations

from collections.abc import Iterable

from ...api.common import ContextType, SubjectIdentifier, SubjectType
from ...api.permission_grants import Authorization, InvoicePermission, Permission
from ...api.permissions import (
    AdministratorPermission,
    AuthorIdentifier,
    AuthorizationFilter,
    AuthorizationPage,
    AuthorizationRow,
    AuthorType,
    Direction,
    EntityPermissionFilter,
    EntityPermissionPage,
    EntityPermissionRow,
    EntityRolePage,
    EntityRoleRow,
    EuPermission,
    EuPermissionFilter,
    EuPermissionPage,
    EuPermissionRow,
    HeldPermission,
    PermissionState,
    PersonalPermissionFilter,
    PersonalPermissionPage,
    PersonalPermissionRow,
    PersonPermissionFilter,
    PersonPermissionPage,
    PersonPermissionRow,
    Scope,
    SubordinateRole,
    SubordinateRoleFilter,
    SubordinateRolePage,
    SubordinateRoleRow,
    SubunitFilter,
    SubunitPermissionPage,
    SubunitPermissionRow,
)
from ...api.subjects import EntityIdentifier, EntityType, NipIdentifier, NipType, UnitIdentifier, UnitType
from ..grants import Grant, GrantKind
from ..handling import checked_body, is_callers, numbered_page_of
from ..router import Call
from ..subjects import Role, Subject, nip_of

__all__ = [
    "query_authorizations",
    "query_eu_permissions",
    "query_own_permissions",
    "query_person_permissions",
    "query_received_permissions",
    "query_roles",
    "query_subordinates",
    "query_subunit_administrators",
]


async def query_own_permissions(call: Call) -> PersonalPermissionPage:
    """POST /permissions/query/personal/grants."""
    wanted: PersonalPermissionFilter = checked_body(call)
    found = [
        grant
        for grant in _grants(call)
        if _is_own(call, grant)
        and wanted.context_identifier in (None, _unit(grant))
        and wanted.target_identifier in (None, grant.found_by(call.caller.context))
        and (not wanted.permission_types or grant.permission in wanted.permission_types)
        and wanted.permission_state in (None, _state(call, grant))
    ]
    rows, has_more = numbered_page_of(found, call)
    subject, context = call.caller.subject, call.caller.context
    owned = call.world.grants.owned(subject, context, call.now) if subject is not None else ()
    return PersonalPermissionPage(
        permissions=tuple(
            PersonalPermissionRow(
                id=grant.id,
                # Whoever lets the company handle its invoices.
                context_identifier=_unit(grant) if grant.kind is GrantKind.ENTITY else None,
                # Only where it is another than the caller's own, e.g. the NIP of a person who logged in by PESEL.
                authorized_identifier=_identifier(grant.subject) if grant.subject != subject else None,
                target_identifier=grant.target,
                permission_scope=HeldPermission(grant.permission),
                description=grant.description,
                subject_person_details=grant.person,
                subject_entity_details=grant.entity,
                permission_state=_state(call, grant),
                start_date=grant.since,
                can_delegate=grant.can_delegate,
            )
            for grant in rows
        ),
        owner_permissions=tuple(Permission(each) for each in owned if each in set(Permission)),
        has_more=has_more,
    )


def _is_own(call: Call, grant: Grant) -> bool:
    subject, context = call.caller.subject, call.caller.context
    if subject is None or grant.kind is GrantKind.AUTHORIZATION:
        return False
    is_mine = grant.subject in call.world.grants.registry.aliases(subject, call.now)
    if grant.kind is GrantKind.INDIRECT:
        return is_mine and (grant.grantor == context or grant.is_for(context))
    if grant.kind is GrantKind.ENTITY and grant.subject == Subject("Nip", context.value):
        return call.world.grants.is_owner(subject, context, call.now)
    return is_mine and grant.context == context


async def query_person_permissions(call: Call) -> PersonPermissionPage:
    """POST /permissions/query/persons/grants."""
    wanted: PersonPermissionFilter = checked_body(call)
    found = [
        grant
        for grant in _grants(call)
        if (_is_in_context(call, grant) if wanted.scope == Scope.IN_CONTEXT else _is_granted(call, grant))
        and wanted.author_identifier in (None, _author(grant.author))
        and wanted.authorized_identifier in (None, _identifier(grant.subject))
        and wanted.context_identifier in (None, _unit(grant))
        and wanted.target_identifier in (None, grant.found_by(call.caller.context))
        and (not wanted.permission_types or grant.permission in wanted.permission_types)
        and wanted.permission_state in (None, _state(call, grant))
    ]
    rows, has_more = numbered_page_of(found, call)
    return PersonPermissionPage(
        tuple(
            PersonPermissionRow(
                id=grant.id,
                authorized_identifier=_identifier(grant.subject),
                context_identifier=_unit(grant) if grant.kind is GrantKind.SUBUNIT else None,
                target_identifier=grant.target,
                author_identifier=_author(grant.author),
                permission_scope=Permission(grant.permission),
                description=grant.description,
                subject_person_details=grant.person,
                subject_entity_details=grant.entity,
                permission_state=_state(call, grant),
                start_date=grant.since,
                can_delegate=grant.can_delegate,
            )
            for grant in rows
        ),
        has_more,
    )


def _is_in_context(call: Call, grant: Grant) -> bool:
    """Return whether it lets somebody act in the context, or was passed on from it."""
    if grant.kind is GrantKind.INDIRECT:
        return grant.grantor == call.caller.context
    return (
        grant.kind in (GrantKind.PERSON, GrantKind.ENTITY, GrantKind.SUBUNIT) and grant.context == call.caller.context
    )


def _is_granted(call: Call, grant: Grant) -> bool:
    """Return whether the caller itself granted it from the context."""
    kinds = (GrantKind.PERSON, GrantKind.ENTITY, GrantKind.SUBUNIT, GrantKind.INDIRECT)
    return (
        grant.kind in kinds
        and grant.grantor == call.caller.context
        and grant.author is not None
        and is_callers(call, grant.author)
    )


async def query_subunit_administrators(call: Call) -> SubunitPermissionPage:
    """POST /permissions/query/subunits/grants."""
    wanted: SubunitFilter = checked_body(call)
    found = [
        grant
        for grant in _grants(call)
        if grant.kind is GrantKind.SUBUNIT
        and grant.grantor == call.caller.context
        and wanted.subunit_identifier in (None, _unit(grant))
    ]
    rows, has_more = numbered_page_of(found, call)
    return SubunitPermissionPage(
        tuple(
            SubunitPermissionRow(
                id=grant.id,
                authorized_identifier=_identifier(grant.subject),
                subunit_identifier=_unit(grant),
                author_identifier=_identifier(_by_somebody(grant)),
                permission_scope=AdministratorPermission(grant.permission),
                description=grant.description,
                subject_person_details=grant.person,
                subunit_name=grant.name,
                start_date=grant.since,
            )
            for grant in rows
        ),
        has_more,
    )


async def query_received_permissions(call: Call) -> EntityPermissionPage:
    """POST /permissions/query/entities/grants."""
    wanted: EntityPermissionFilter = checked_body(call)
    found = [
        grant
        for grant in _grants(call)
        if grant.kind is GrantKind.ENTITY
        and grant.subject == Subject("Nip", call.caller.context.value)
        and wanted.context_identifier in (None, _unit(grant))
    ]
    rows, has_more = numbered_page_of(found, call)
    return EntityPermissionPage(
        tuple(
            EntityPermissionRow(
                id=grant.id,
                context_identifier=_unit(grant),
                permission_scope=InvoicePermission(grant.permission),
                description=grant.description,
                start_date=grant.since,
                can_delegate=grant.can_delegate,
            )
            for grant in rows
        ),
        has_more,
    )


async def query_roles(call: Call) -> EntityRolePage:
    """GET /permissions/query/entities/roles."""
    found = _newest_first(call.world.grants.registry.roles_of(nip_of(call.caller.context), call.now))
    rows, has_more = numbered_page_of(found, call)
    return EntityRolePage(
        tuple(
            EntityRoleRow(
                parent_entity_identifier=NipIdentifier(NipType.NIP, role.parent) if role.parent else None,
                role=role.role,
                description=role.description,
                start_date=role.since,
            )
            for role in rows
        ),
        has_more,
    )


async def query_subordinates(call: Call) -> SubordinateRolePage:
    """POST /permissions/query/subordinate-entities/roles."""
    wanted: SubordinateRoleFilter = checked_body(call)
    below = call.world.grants.registry.below(call.caller.context.value, call.now)
    nip = wanted.subordinate_entity_identifier and wanted.subordinate_entity_identifier.value
    found = _newest_first(role for role in below if nip in (None, role.nip))
    rows, has_more = numbered_page_of(found, call)
    return SubordinateRolePage(
        tuple(
            SubordinateRoleRow(
                subordinate_entity_identifier=NipIdentifier(NipType.NIP, role.nip),
                role=SubordinateRole(role.role.value),
                description=role.description,
                start_date=role.since,
            )
            for role in rows
        ),
        has_more,
    )


async def query_authorizations(call: Call) -> AuthorizationPage:
    """POST /permissions/query/authorizations/grants."""
    wanted: AuthorizationFilter = checked_body(call)
    context = call.caller.context
    me = Subject("PeppolId" if context.type == ContextType.PEPPOL_ID else "Nip", context.value)
    found = [
        grant
        for grant in _grants(call)
        if grant.kind is GrantKind.AUTHORIZATION
        and (not wanted.permission_types or grant.permission in wanted.permission_types)
        # Each of the two filters counts in one direction only.
        and (
            grant.subject == me and wanted.authorizing_identifier in (None, _nip(grant))
            if wanted.direction == Direction.RECEIVED
            else grant.context == context and wanted.authorized_identifier in (None, _entity(grant))
        )
    ]
    rows, has_more = numbered_page_of(found, call)
    return AuthorizationPage(
        tuple(
            AuthorizationRow(
                id=grant.id,
                author_identifier=_identifier(grant.author) if grant.author else None,
                authorized_entity_identifier=_entity(grant),
                authorizing_entity_identifier=_nip(grant),
                authorization_scope=Authorization(grant.permission),
                description=grant.description,
                subject_entity_details=grant.entity,
                start_date=grant.since,
            )
            for grant in rows
        ),
        has_more,
    )


async def query_eu_permissions(call: Call) -> EuPermissionPage:
    """POST /permissions/query/eu-entities/grants."""
    wanted: EuPermissionFilter = checked_body(call)
    fingerprint = (wanted.authorized_fingerprint_identifier or "").upper()
    found = [
        grant
        for grant in _grants(call)
        if _is_for_eu_entity(call, grant)
        and wanted.vat_ue_identifier in (None, _vat_ue(grant))
        and fingerprint in grant.subject.value.upper()
        and (not wanted.permission_types or grant.permission in wanted.permission_types)
    ]
    rows, has_more = numbered_page_of(found, call)
    return EuPermissionPage(
        tuple(
            EuPermissionRow(
                id=grant.id,
                author_identifier=_identifier(_by_somebody(grant)),
                vat_ue_identifier=_vat_ue(grant),
                eu_entity_name=grant.name or "",
                authorized_fingerprint_identifier=grant.subject.value,
                permission_scope=EuPermission(grant.permission),
                description=grant.description,
                subject_person_details=grant.person,
                subject_entity_details=grant.entity,
                eu_entity_details=grant.eu_entity,
                start_date=grant.since,
            )
            for grant in rows
        ),
        has_more,
    )


def _is_for_eu_entity(call: Call, grant: Grant) -> bool:
    context = call.caller.context
    if context.type == ContextType.NIP:
        return grant.kind is GrantKind.EU_ADMINISTRATOR and nip_of(grant.context) == context.value
    return grant.kind in (GrantKind.EU_ADMINISTRATOR, GrantKind.EU_REPRESENTATIVE) and grant.context == context


# --- what they share -------------------------------------------------------------------------------------


def _grants(call: Call) -> Iterable[Grant]:
    return call.world.grants.in_force(call.now)


def _state(call: Call, grant: Grant) -> PermissionState:
    return call.world.grants.state_of(grant, call.now)


def _newest_first(roles: Iterable[Role]) -> list[Role]:
    return sorted(sorted(roles, key=lambda role: role.nip), key=lambda role: role.since, reverse=True)


def _by_somebody(grant: Grant) -> Subject:
    if grant.author is None:
        raise LookupError(f"{grant.kind} {grant.id} has no author")
    return grant.author


def _identifier(subject: Subject) -> SubjectIdentifier:
    return SubjectIdentifier(SubjectType(subject.type), subject.value)


def _author(author: Subject | None) -> AuthorIdentifier:
    return AuthorIdentifier(AuthorType(author.type), author.value) if author else AuthorIdentifier(AuthorType.SYSTEM)


def _unit(grant: Grant) -> UnitIdentifier:
    return UnitIdentifier(UnitType(grant.context.type.value), grant.context.value)


def _nip(grant: Grant) -> NipIdentifier:
    return NipIdentifier(NipType.NIP, grant.context.value)


def _entity(grant: Grant) -> EntityIdentifier:
    return EntityIdentifier(EntityType(grant.subject.type), grant.subject.value)


def _vat_ue(grant: Grant) -> str:
    return grant.context.value.partition("-")[2]
