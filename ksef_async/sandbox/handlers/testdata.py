"""Companies, persons and permissions made up. Source: dane-testowe-scenariusze.md; OpenAPI 2.9.0, /testdata."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Final

from ...api.common import Context, ContextType
from ...api.permissions import EntityRole
from ...api.testdata import (
    CompanyKind,
    ContextBlock,
    CreatePersonRequest,
    CreateSubjectRequest,
    DirectGrantRequest,
    DirectRevokeRequest,
    GrantAttachmentsRequest,
    RemovePersonRequest,
    RemoveSubjectRequest,
    RevokeAttachmentsRequest,
)
from ...protocol.error_codes import ErrorCode
from ..grants import Grant, GrantKind
from ..handling import checked_body
from ..refusals import InvalidInput, Refusal
from ..router import Call
from ..subjects import Person, Role, Subject, subject_of

__all__ = [
    "block_test_context",
    "create_test_person",
    "create_test_subject",
    "grant_test_attachments",
    "grant_test_permissions",
    "remove_test_person",
    "remove_test_subject",
    "revoke_test_attachments",
    "revoke_test_permissions",
    "unblock_test_context",
]

# What a made-up company is, and what those below it are.
_ROLES: Final = {
    CompanyKind.ENFORCEMENT_AUTHORITY: (EntityRole.ENFORCEMENT_AUTHORITY, None),
    CompanyKind.VAT_GROUP: (EntityRole.VAT_GROUP_UNIT, EntityRole.VAT_GROUP_SUB_UNIT),
    CompanyKind.LOCAL_GOVERNMENT: (EntityRole.LOCAL_GOVERNMENT_UNIT, EntityRole.LOCAL_GOVERNMENT_SUB_UNIT),
}


async def create_test_subject(call: Call) -> None:
    """POST /testdata/subject."""
    request: CreateSubjectRequest = checked_body(call)
    own, below = _ROLES[request.subject_type]
    if request.subunits and below is None:
        raise InvalidInput(f"'subunits' must be empty for {request.subject_type}.")
    registry = call.world.grants.registry
    nips = [request.subject_nip, *(unit.subject_nip for unit in request.subunits)]
    if len(set(nips)) < len(nips) or any(registry.has_company(nip) for nip in nips):
        raise Refusal(ErrorCode.ALREADY_EXISTS)
    since = _since(call, request.subject_nip, request.created_date)
    registry.roles.append(
        Role(nip=request.subject_nip, role=own, parent=None, description=request.description, since=since)
    )
    for unit in request.subunits:
        assert below is not None  # noqa: S101  # refused above
        registry.roles.append(
            Role(
                nip=unit.subject_nip,
                role=below,
                parent=request.subject_nip,
                description=unit.description,
                since=since,
            )
        )


async def remove_test_subject(call: Call) -> None:
    """POST /testdata/subject/remove; those below it go as well."""
    request: RemoveSubjectRequest = call.body
    registry = call.world.grants.registry
    if not registry.has_company(request.subject_nip):
        # [INF]: this operation has no code of its own for what it does not find.
        raise InvalidInput(f"Podmiot o identyfikatorze {request.subject_nip} nie istnieje.")
    registry.roles = [
        role
        for role in registry.roles
        if role.role is EntityRole.COURT_BAILIFF or request.subject_nip not in (role.nip, role.parent)
    ]


async def create_test_person(call: Call) -> None:
    """POST /testdata/person."""
    request: CreatePersonRequest = call.body
    registry = call.world.grants.registry
    if request.nip in registry.persons or any(person.pesel == request.pesel for person in registry.persons.values()):
        raise Refusal(ErrorCode.ALREADY_EXISTS)
    since = _since(call, request.nip, request.created_date)
    registry.persons[request.nip] = Person(
        nip=request.nip, pesel=request.pesel, is_deceased=request.is_deceased, since=since
    )
    if request.is_bailiff:
        registry.roles.append(
            Role(
                nip=request.nip,
                role=EntityRole.COURT_BAILIFF,
                parent=None,
                description=request.description,
                since=since,
            )
        )


async def remove_test_person(call: Call) -> None:
    """POST /testdata/person/remove; what the person was granted goes as well."""
    request: RemovePersonRequest = call.body
    registry = call.world.grants.registry
    person = registry.persons.pop(request.nip, None)
    if person is None:
        raise InvalidInput(f"Osoba o identyfikatorze {request.nip} nie istnieje.")
    registry.roles = [
        role for role in registry.roles if (role.nip, role.role) != (request.nip, EntityRole.COURT_BAILIFF)
    ]
    names = (Subject("Nip", person.nip), Subject("Pesel", person.pesel))
    call.world.grants.end(lambda grant: grant.subject in names, call.now)


async def grant_test_permissions(call: Call) -> None:
    """POST /testdata/permissions; at once, and by KSeF itself."""
    request: DirectGrantRequest = checked_body(call)
    context = Context(ContextType.NIP, request.context_identifier.value)
    call.world.grants.add(
        *(
            Grant(
                kind=GrantKind.PERSON,
                grantor=context,
                context=context,
                subject=subject_of(request.authorized_identifier),
                author=None,
                permission=each.permission_type.value,
                description=each.description,
                since=call.now,
            )
            for each in request.permissions
        )
    )


async def revoke_test_permissions(call: Call) -> None:
    """POST /testdata/permissions/revoke; what somebody granted stays."""
    request: DirectRevokeRequest = checked_body(call)
    context = Context(ContextType.NIP, request.context_identifier.value)
    subject = subject_of(request.authorized_identifier)
    call.world.grants.end(
        lambda grant: grant.context == context and grant.subject == subject and grant.author is None, call.now
    )


async def grant_test_attachments(call: Call) -> None:
    """POST /testdata/attachment."""
    request: GrantAttachmentsRequest = call.body
    call.world.grants.registry.attachments[request.nip] = None


async def revoke_test_attachments(call: Call) -> None:
    """POST /testdata/attachment/revoke; the consent ends as that day begins in UTC, as the Ministry's test reads it."""
    request: RevokeAttachmentsRequest = call.body
    attachments = call.world.grants.registry.attachments
    if request.nip in attachments:
        day = request.expected_end_date
        end = call.now if day is None else datetime.combine(day, time(), UTC)
        attachments[request.nip] = max(end, call.now)


async def block_test_context(call: Call) -> None:
    """POST /testdata/context/block."""
    call.world.grants.registry.blocked.add(_named_context(call))


async def unblock_test_context(call: Call) -> None:
    """POST /testdata/context/unblock."""
    call.world.grants.registry.blocked.discard(_named_context(call))


def _named_context(call: Call) -> Context:
    request: ContextBlock = checked_body(call)
    if request.context_identifier is None:
        raise InvalidInput("'contextIdentifier' must not be empty.")
    return request.context_identifier


def _since(call: Call, nip: str, wanted: datetime | None) -> datetime:
    created = call.world.grants.registry.created
    since = wanted or call.now
    if nip in created and since <= created[nip]:
        raise InvalidInput("'createdDate' must be later than that of the data created before.")
    created[nip] = since
    return since
