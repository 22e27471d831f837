"""Who may do what: the rows and pages of eight lists, the newest first. Source: OpenAPI 2.9.0, /permissions/query."""

from __future__ import annotations

from datetime import date, datetime

import attrs

from .checked import Identifier
from .common import OpenStrEnum, SubjectIdentifier
from .permission_queries import AuthorIdentifier, EuPermission, HeldPermission, PermissionState
from .permissions import Authorization, InvoicePermission, Permission
from .subjects import (
    EntityIdentifier,
    ForeignEntityDetails,
    IdDocument,
    NipIdentifier,
    PersonIdentifier,
    SubjectDetailsType,
    TargetIdentifier,
    UnitIdentifier,
)

__all__ = [
    "AdministratorPermission",
    "AuthorizationPage",
    "AuthorizationRow",
    "EntityDescription",
    "EntityDescriptionType",
    "EntityPermissionPage",
    "EntityPermissionRow",
    "EntityRole",
    "EntityRolePage",
    "EntityRoleRow",
    "EuPermissionPage",
    "EuPermissionRow",
    "PersonDescription",
    "PersonPermissionPage",
    "PersonPermissionRow",
    "PersonalPermissionPage",
    "PersonalPermissionRow",
    "SubordinateRole",
    "SubordinateRolePage",
    "SubordinateRoleRow",
    "SubunitPermissionPage",
    "SubunitPermissionRow",
]


class AdministratorPermission(OpenStrEnum):
    """What the administrator of a unit may do."""

    CREDENTIALS_MANAGE = "CredentialsManage"


class EntityRole(OpenStrEnum):
    """What a company is to the tax administration."""

    COURT_BAILIFF = "CourtBailiff"
    ENFORCEMENT_AUTHORITY = "EnforcementAuthority"
    LOCAL_GOVERNMENT_UNIT = "LocalGovernmentUnit"
    LOCAL_GOVERNMENT_SUB_UNIT = "LocalGovernmentSubUnit"
    VAT_GROUP_UNIT = "VatGroupUnit"
    VAT_GROUP_SUB_UNIT = "VatGroupSubUnit"


class SubordinateRole(OpenStrEnum):
    """What a subordinate company is to the one above it."""

    LOCAL_GOVERNMENT_SUB_UNIT = "LocalGovernmentSubUnit"
    VAT_GROUP_SUB_UNIT = "VatGroupSubUnit"


@attrs.frozen(kw_only=True)
class PersonDescription:
    """A person, as KSeF tells of them."""

    subject_details_type: SubjectDetailsType | None = None
    first_name: str | None = None
    last_name: str | None = None
    person_identifier: PersonIdentifier | None = None
    birth_date: date | None = None
    id_document: IdDocument | None = None


class EntityDescriptionType(OpenStrEnum):
    """What a company is known by."""

    ENTITY_BY_IDENTIFIER = "EntityByIdentifier"
    ENTITY_BY_FINGERPRINT = "EntityByFingerprint"


@attrs.frozen(kw_only=True)
class EntityDescription:
    """A company, as KSeF tells of it."""

    subject_details_type: EntityDescriptionType | None = None
    full_name: str | None = None
    #: Only of a company without a NIP.
    address: str | None = None


@attrs.frozen(kw_only=True)
class PersonalPermissionRow:
    """One permission of whoever is logged in."""

    id: Identifier
    context_identifier: UnitIdentifier | None = None
    authorized_identifier: SubjectIdentifier | None = None
    target_identifier: TargetIdentifier | None = None
    permission_scope: HeldPermission | None = None
    description: str | None = None
    subject_person_details: PersonDescription | None = None
    subject_entity_details: EntityDescription | None = None
    permission_state: PermissionState | None = None
    start_date: datetime | None = None
    can_delegate: bool | None = None


@attrs.frozen(kw_only=True)
class PersonalPermissionPage:
    """One page, newest first."""

    permissions: tuple[PersonalPermissionRow, ...]
    #: What an owner may do without having been granted it.
    owner_permissions: tuple[Permission, ...] = ()
    has_more: bool


@attrs.frozen(kw_only=True)
class PersonPermissionRow:
    """One permission of a person or company."""

    id: Identifier
    authorized_identifier: SubjectIdentifier | None = None
    #: Of an administrator: the unit.
    context_identifier: UnitIdentifier | None = None
    target_identifier: TargetIdentifier | None = None
    author_identifier: AuthorIdentifier | None = None
    permission_scope: Permission | None = None
    description: str | None = None
    subject_person_details: PersonDescription | None = None
    subject_entity_details: EntityDescription | None = None
    permission_state: PermissionState | None = None
    start_date: datetime | None = None
    can_delegate: bool | None = None


@attrs.frozen
class PersonPermissionPage:
    """One page, newest first."""

    permissions: tuple[PersonPermissionRow, ...]
    has_more: bool


@attrs.frozen(kw_only=True)
class SubunitPermissionRow:
    """One administrator of a unit."""

    id: Identifier
    authorized_identifier: SubjectIdentifier | None = None
    subunit_identifier: UnitIdentifier | None = None
    author_identifier: SubjectIdentifier | None = None
    permission_scope: AdministratorPermission | None = None
    description: str | None = None
    subject_person_details: PersonDescription | None = None
    subunit_name: str | None = None
    start_date: datetime | None = None


@attrs.frozen
class SubunitPermissionPage:
    """One page, newest first."""

    permissions: tuple[SubunitPermissionRow, ...]
    has_more: bool


@attrs.frozen(kw_only=True)
class EntityPermissionRow:
    """One permission that another company granted to the context."""

    id: Identifier
    #: Whoever granted it.
    context_identifier: UnitIdentifier | None = None
    permission_scope: InvoicePermission | None = None
    description: str | None = None
    start_date: datetime | None = None
    can_delegate: bool | None = None


@attrs.frozen
class EntityPermissionPage:
    """One page, newest first."""

    permissions: tuple[EntityPermissionRow, ...]
    has_more: bool


@attrs.frozen(kw_only=True)
class EntityRoleRow:
    """One role of the context."""

    #: The company above it.
    parent_entity_identifier: NipIdentifier | None = None
    role: EntityRole
    description: str | None = None
    start_date: datetime | None = None


@attrs.frozen
class EntityRolePage:
    """One page, newest first."""

    roles: tuple[EntityRoleRow, ...]
    has_more: bool


@attrs.frozen(kw_only=True)
class SubordinateRoleRow:
    """One company below the context."""

    subordinate_entity_identifier: NipIdentifier
    role: SubordinateRole
    description: str | None = None
    start_date: datetime | None = None


@attrs.frozen
class SubordinateRolePage:
    """One page, newest first."""

    roles: tuple[SubordinateRoleRow, ...]
    has_more: bool


@attrs.frozen(kw_only=True)
class AuthorizationRow:
    """One authorization."""

    id: Identifier
    author_identifier: SubjectIdentifier | None = None
    authorized_entity_identifier: EntityIdentifier | None = None
    authorizing_entity_identifier: NipIdentifier | None = None
    authorization_scope: Authorization | None = None
    description: str | None = None
    subject_entity_details: EntityDescription | None = None
    start_date: datetime | None = None


@attrs.frozen
class AuthorizationPage:
    """One page, newest first."""

    authorization_grants: tuple[AuthorizationRow, ...]
    has_more: bool


@attrs.frozen(kw_only=True)
class EuPermissionRow:
    """One permission of somebody who acts for an EU entity."""

    id: Identifier
    author_identifier: SubjectIdentifier | None = None
    vat_ue_identifier: str | None = None
    eu_entity_name: str | None = None
    authorized_fingerprint_identifier: str | None = None
    permission_scope: EuPermission | None = None
    description: str | None = None
    subject_person_details: PersonDescription | None = None
    subject_entity_details: EntityDescription | None = None
    eu_entity_details: ForeignEntityDetails | None = None
    start_date: datetime | None = None


@attrs.frozen
class EuPermissionPage:
    """One page, newest first."""

    permissions: tuple[EuPermissionRow, ...]
    has_more: bool
