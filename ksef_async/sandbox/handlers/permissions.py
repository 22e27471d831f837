"""Granting and revoking. Source: uprawnienia.md.

KSeF takes in whatever is well-formed and tells in the operation's status whether it did it. Which code it gives to
which mistake is inferred from the descriptions of the codes [INF].
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from ...api.common import Context, ContextType, SubjectIdentifier
from ...api.permission_grants import (
    AttachmentConsent,
    Authorization,
    AuthorizationGrantRequest,
    EntityGrantRequest,
    EuAdministrationGrantRequest,
    EuRepresentativeGrantRequest,
    IndirectGrantRequest,
    OperationStarted,
    OperationStatus,
    Permission,
    PersonGrantRequest,
    SubunitGrantRequest,
)
from ...api.permissions import EntityDescription, EntityDescriptionType, EntityRole, EuPermission, PersonDescription
from ...api.subjects import (
    EntityType,
    EuSubjectDetails,
    SubjectDetails,
    SubjectDetailsType,
    TargetIdentifier,
    TargetType,
    UnitType,
)
from ...protocol.lifecycle import PermissionOperationCode
from ..clock import seconds
from ..grants import Grant, GrantKind, PermissionOperation
from ..handling import checked_body
from ..refusals import Gone, InvalidInput
from ..router import Call
from ..subjects import nip_of, subject_of
from ..world import new_reference_number

__all__ = [
    "get_attachment_consent",
    "get_permission_operation",
    "grant_authorization",
    "grant_eu_administration",
    "grant_eu_representative",
    "grant_indirectly",
    "grant_to_entity",
    "grant_to_person",
    "grant_to_subunit",
    "revoke_authorization",
    "revoke_permission",
]

_SUCCEEDED: Final = PermissionOperationCode.SUCCEEDED
_WRONG_RELATION: Final = PermissionOperationCode.WRONG_RELATION
_WRONG_ROLE: Final = PermissionOperationCode.WRONG_ROLE

# What is needed to take back each kind of grant.
_REVOKERS: Final = {GrantKind.SUBUNIT: "SubunitManage", GrantKind.EU_REPRESENTATIVE: "VatUeManage"}


# --- granting --------------------------------------------------------------------------------------------


async def grant_to_person(call: Call) -> OperationStarted:
    """POST /permissions/persons/grants."""
    request: PersonGrantRequest = checked_body(call)
    code = _person_code(request.subject_identifier, request.subject_details)
    if Permission.ENFORCEMENT_OPERATIONS in request.permissions and not _may_enforce(call):
        code = _WRONG_ROLE
    if _context(call).type not in (ContextType.NIP, ContextType.INTERNAL_ID):
        code = _WRONG_ROLE
    return _start(call, "CredentialsManage", code, [_grant(call, GrantKind.PERSON, request, permission=each)
                                                    for each in request.permissions])  # fmt: skip


async def grant_to_entity(call: Call) -> OperationStarted:
    """POST /permissions/entities/grants."""
    request: EntityGrantRequest = checked_body(call)
    code = _SUCCEEDED
    if _context(call).type not in (ContextType.NIP, ContextType.INTERNAL_ID):
        code = _WRONG_ROLE
    elif _context(call) == Context(ContextType.NIP, request.subject_identifier.value):
        # A company does not need what it owns; one of its units may let it handle the unit's invoices.
        code = PermissionOperationCode.FORBIDDEN_LINK
    grants = [
        _grant(call, GrantKind.ENTITY, request, permission=each.type, can_delegate=each.can_delegate)
        for each in request.permissions
    ]
    return _start(call, "CredentialsManage", code, grants)


async def grant_authorization(call: Call) -> OperationStarted:
    """POST /permissions/authorizations/grants."""
    request: AuthorizationGrantRequest = checked_body(call)
    code = _SUCCEEDED
    is_provider = request.subject_identifier.type == EntityType.PEPPOL_ID
    if _context(call).type != ContextType.NIP:
        code = _WRONG_ROLE
    elif is_provider is not (request.permission == Authorization.PEF_INVOICING):
        # Peppol invoices are what Peppol providers are authorized to, and nothing else.
        code = PermissionOperationCode.FORBIDDEN_IDENTIFIER
    elif request.subject_identifier.value == _context(call).value:
        code = PermissionOperationCode.FORBIDDEN_LINK
    grant = _grant(call, GrantKind.AUTHORIZATION, request, permission=request.permission)
    return _start(call, "CredentialsManage", code, [grant])


async def grant_indirectly(call: Call) -> OperationStarted:
    """POST /permissions/indirect/grants."""
    request: IndirectGrantRequest = checked_body(call)
    code = _person_code(request.subject_identifier, request.subject_details)
    target = request.target_identifier or TargetIdentifier(TargetType.ALL_PARTNERS)
    if _context(call).type != ContextType.NIP:
        code = _WRONG_ROLE
    elif target.type != TargetType.ALL_PARTNERS:
        client = Context(ContextType(target.type.value), target.value or "")
        if not call.world.grants.has_client(_context(call), client, call.now):
            code = _WRONG_RELATION
    grants = [_grant(call, GrantKind.INDIRECT, request, permission=each, target=target) for each in request.permissions]
    return _start(call, "CredentialsManage", code, grants)


async def grant_to_subunit(call: Call) -> OperationStarted:
    """POST /permissions/subunits/grants."""
    request: SubunitGrantRequest = checked_body(call)
    code = _person_code(request.subject_identifier, request.subject_details)
    unit, context = request.context_identifier, _context(call)
    if context.type != ContextType.NIP:
        code = _WRONG_ROLE
    elif unit.type == UnitType.INTERNAL_ID:
        if not unit.value.startswith(f"{context.value}-"):
            code = _WRONG_RELATION
    elif not _is_superior(call):
        code = _WRONG_ROLE
    elif unit.value not in {role.nip for role in call.world.grants.registry.below(context.value, call.now)}:
        code = _WRONG_RELATION
    grant = _grant(
        call,
        GrantKind.SUBUNIT,
        request,
        permission="CredentialsManage",
        context=Context(ContextType(unit.type.value), unit.value),
        name=request.subunit_name,
    )
    return _start(call, "SubunitManage", code, [grant])


async def grant_eu_administration(call: Call) -> OperationStarted:
    """POST /permissions/eu-entities/administration/grants."""
    request: EuAdministrationGrantRequest = checked_body(call)
    context = Context(ContextType.NIP_VAT_UE, request.context_identifier.value)
    code = _SUCCEEDED
    if _context(call).type != ContextType.NIP:
        code = _WRONG_ROLE
    elif nip_of(context) != _context(call).value:
        code = _WRONG_RELATION
    grants = [
        _grant(
            call,
            GrantKind.EU_ADMINISTRATOR,
            request,
            permission=each,
            context=context,
            name=request.eu_entity_name,
            eu_entity=request.eu_entity_details,
        )
        for each in EuPermission
    ]
    return _start(call, "CredentialsManage", code, grants)


async def grant_eu_representative(call: Call) -> OperationStarted:
    """POST /permissions/eu-entities/grants."""
    request: EuRepresentativeGrantRequest = checked_body(call)
    context = _context(call)
    code = _SUCCEEDED if context.type == ContextType.NIP_VAT_UE else _WRONG_ROLE
    administrators = [
        grant
        for grant in call.world.grants.in_force(call.now)
        if grant.kind is GrantKind.EU_ADMINISTRATOR and grant.context == context
    ]
    name, entity = (administrators[0].name, administrators[0].eu_entity) if administrators else (None, None)
    grants = [
        _grant(call, GrantKind.EU_REPRESENTATIVE, request, permission=each, name=name, eu_entity=entity)
        for each in request.permissions
    ]
    return _start(call, "VatUeManage", code, grants)


# --- revoking --------------------------------------------------------------------------------------------


async def revoke_permission(call: Call) -> OperationStarted:
    """DELETE /permissions/common/grants/{permissionId}."""
    grant = _find(call)
    if grant is None or grant.kind is GrantKind.AUTHORIZATION:
        return _start(call, None, _WRONG_RELATION)
    return _revoke(call, grant, _REVOKERS.get(grant.kind, "CredentialsManage"))


async def revoke_authorization(call: Call) -> OperationStarted:
    """DELETE /permissions/authorizations/grants/{permissionId}."""
    grant = _find(call)
    if grant is None or grant.kind is not GrantKind.AUTHORIZATION:
        return _start(call, None, _WRONG_RELATION)
    return _revoke(call, grant, "CredentialsManage")


def _find(call: Call) -> Grant | None:
    """Return the grant that the path names, if it was made in the caller's context or is valid there."""
    wanted = call.path["permission_id"]
    if len(wanted) != 36:
        raise InvalidInput("'permissionId' must be 36 characters in length.")
    context = _context(call)
    for grant in call.world.grants.in_force(call.now):
        if grant.id == wanted.lower() and context in (grant.grantor, grant.context):
            return grant
    return None


def _revoke(call: Call, grant: Grant, needed: str) -> OperationStarted:
    started = _start(call, needed, _SUCCEEDED)
    operation = call.world.grants.operations[started.reference_number]
    if operation.code is _SUCCEEDED:
        grant.until = min(grant.until or operation.done_at, operation.done_at)
    return started


# --- asking ----------------------------------------------------------------------------------------------


async def get_permission_operation(call: Call) -> OperationStatus:
    """GET /permissions/operations/{referenceNumber}."""
    wanted = call.path["reference_number"]
    operation = call.world.grants.operations.get(wanted)
    if operation is None or operation.context != _context(call):
        # [INF]: this operation has no code of its own for what it does not find.
        raise InvalidInput(f"Operacja o numerze referencyjnym {wanted} nie została znaleziona.")
    if call.now > operation.started_at + seconds(call.world.timings.permission_operation_retention):
        raise Gone
    return OperationStatus(operation.status_at(call.now))


async def get_attachment_consent(call: Call) -> AttachmentConsent:
    """GET /permissions/attachments/status."""
    context = _context(call)
    until = call.world.grants.registry.attachments.get(nip_of(context))
    return AttachmentConsent(call.world.grants.has_attachment_consent(context, call.now), until)


# --- what they share -------------------------------------------------------------------------------------


def _context(call: Call) -> Context:
    return call.caller.context


def _done_at(call: Call) -> datetime:
    return call.now + seconds(call.world.timings.permission_delay)


def _start(
    call: Call, needed: str | None, code: PermissionOperationCode, grants: Sequence[Grant] = ()
) -> OperationStarted:
    """Take an operation in; its grants begin when it is done.

    Args:
        call: The call.
        needed: What the caller must be able to do by now: its token may be older than its permissions.
        code: How it ends.
        grants: What it grants if that is success.
    """
    if needed is not None and needed not in call.world.permissions_of(call.caller):
        code = PermissionOperationCode.NOT_PERMITTED
    operation = PermissionOperation(
        reference_number=new_reference_number("EG", call.now),
        context=_context(call),
        started_at=call.now,
        done_at=_done_at(call),
        code=code,
    )
    call.world.grants.operations[operation.reference_number] = operation
    if code is _SUCCEEDED:
        call.world.grants.add(*grants)
    return OperationStarted(operation.reference_number)


def _grant(call: Call, kind: GrantKind, request: Any, *, permission: str, **fields: Any) -> Grant:
    identifier, details = request.subject_identifier, request.subject_details
    return Grant(
        kind=kind,
        grantor=_context(call),
        subject=subject_of(identifier),
        author=call.caller.subject,
        permission=str(permission),
        description=request.description,
        since=_done_at(call),
        **_descriptions(details),
        **{"context": _context(call), **fields},
    )


def _descriptions(details: Any) -> dict[str, Any]:
    """Return the description of a person or company for the lists."""
    if not isinstance(details, SubjectDetails | EuSubjectDetails):
        known = EntityDescriptionType.ENTITY_BY_IDENTIFIER
        return {"entity": EntityDescription(subject_details_type=known, full_name=details.full_name)}
    if isinstance(details, EuSubjectDetails) and details.entity is not None:
        known = EntityDescriptionType.ENTITY_BY_FINGERPRINT
        return {"entity": EntityDescription(subject_details_type=known, **attrs.asdict(details.entity))}
    kind = SubjectDetailsType(details.subject_details_type.value)
    if isinstance(details, SubjectDetails) and details.person is not None:
        person = details.person
        return {"person": PersonDescription(
            subject_details_type=kind, first_name=person.first_name, last_name=person.last_name
        )}  # fmt: skip
    if (identified := details.identified_person) is not None:
        return {"person": PersonDescription(
            subject_details_type=kind, first_name=identified.first_name, last_name=identified.last_name,
            person_identifier=identified.identifier,
        )}  # fmt: skip
    if (undocumented := details.undocumented_person) is not None:
        return {"person": PersonDescription(
            subject_details_type=kind, first_name=undocumented.first_name, last_name=undocumented.last_name,
            birth_date=undocumented.birth_date, id_document=undocumented.id_document,
        )}  # fmt: skip
    return {}


def _person_code(subject: SubjectIdentifier, details: SubjectDetails) -> PermissionOperationCode:
    """Return success where the description of a person fits the kind of identifier, else the code of the failure."""
    by_identifier = details.subject_details_type == SubjectDetailsType.PERSON_BY_IDENTIFIER
    return _SUCCEEDED if by_identifier is (subject.type != "Fingerprint") else _WRONG_RELATION


def _may_enforce(call: Call) -> bool:
    return call.world.grants.registry.may_enforce(nip_of(_context(call)), call.now)


def _is_superior(call: Call) -> bool:
    wanted = (EntityRole.LOCAL_GOVERNMENT_UNIT, EntityRole.VAT_GROUP_UNIT)
    return any(role.role in wanted for role in call.world.grants.registry.roles_of(_context(call).value, call.now))
