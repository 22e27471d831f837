"""Who may do what: the rows and pages of eight lists, the newest first. Source: OpenAPI 2.9.0, /permissions/query."""

from __future__ import annotations

from datetime import date, datetime
from http import HTTPMethod

import attrs

from .common import Identifier, OpenStrEnum, SubjectIdentifier, wire_name
from .operation import Operation, RateGroup
from .permission_grants import (
    AttachmentConsent,
    Authorization,
    AuthorizationGrantRequest,
    EntityGrantRequest,
    EuAdministrationGrantRequest,
    EuRepresentativeGrantRequest,
    IndirectGrantRequest,
    InvoicePermission,
    OperationStarted,
    OperationStatus,
    Permission,
    PersonGrantRequest,
    SubunitGrantRequest,
)
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
    "GET_ATTACHMENT_CONSENT",
    "GET_PERMISSION_OPERATION",
    "GRANT_AUTHORIZATION",
    "GRANT_EU_ADMINISTRATION",
    "GRANT_EU_REPRESENTATIVE",
    "GRANT_INDIRECTLY",
    "GRANT_TO_ENTITY",
    "GRANT_TO_PERSON",
    "GRANT_TO_SUBUNIT",
    "QUERY_AUTHORIZATIONS",
    "QUERY_EU_PERMISSIONS",
    "QUERY_OWN_PERMISSIONS",
    "QUERY_PERSON_PERMISSIONS",
    "QUERY_RECEIVED_PERMISSIONS",
    "QUERY_ROLES",
    "QUERY_SUBORDINATES",
    "QUERY_SUBUNIT_ADMINISTRATORS",
    "REVOKE_AUTHORIZATION",
    "REVOKE_PERMISSION",
    "AdministratorPermission",
    "AuthorIdentifier",
    "AuthorType",
    "AuthorizationFilter",
    "AuthorizationPage",
    "AuthorizationRow",
    "Direction",
    "EntityDescription",
    "EntityDescriptionType",
    "EntityPermissionFilter",
    "EntityPermissionPage",
    "EntityPermissionRow",
    "EntityRole",
    "EntityRolePage",
    "EntityRoleRow",
    "EuPermission",
    "EuPermissionFilter",
    "EuPermissionPage",
    "EuPermissionRow",
    "HeldPermission",
    "PermissionState",
    "PersonDescription",
    "PersonPermissionFilter",
    "PersonPermissionPage",
    "PersonPermissionRow",
    "PersonalPermissionFilter",
    "PersonalPermissionPage",
    "PersonalPermissionRow",
    "Scope",
    "SubordinateRole",
    "SubordinateRoleFilter",
    "SubordinateRolePage",
    "SubordinateRoleRow",
    "SubunitFilter",
    "SubunitPermissionPage",
    "SubunitPermissionRow",
]


class HeldPermission(OpenStrEnum):
    """A permission of whoever is logged in: all of `Permission`, and managing an EU entity."""

    CREDENTIALS_MANAGE = "CredentialsManage"
    CREDENTIALS_READ = "CredentialsRead"
    INVOICE_WRITE = "InvoiceWrite"
    INVOICE_READ = "InvoiceRead"
    INTROSPECTION = "Introspection"
    SUBUNIT_MANAGE = "SubunitManage"
    ENFORCEMENT_OPERATIONS = "EnforcementOperations"
    VAT_UE_MANAGE = "VatUeManage"
    COLLECTIVE_IDENTIFIER_MANAGE = "CollectiveIdentifierManage"


class EuPermission(OpenStrEnum):
    """A permission for an EU entity."""

    VAT_UE_MANAGE = "VatUeManage"
    INVOICE_WRITE = "InvoiceWrite"
    INVOICE_READ = "InvoiceRead"
    INTROSPECTION = "Introspection"


class PermissionState(OpenStrEnum):
    """The effect of a permission: one that was passed on has none while its client allows nothing."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"


class Scope(OpenStrEnum):
    """Which of two lists of persons' permissions."""

    IN_CONTEXT = "PermissionsInCurrentContext"
    """Who may act in the context."""
    GRANTED = "PermissionsGrantedInCurrentContext"
    """What was granted from the context, units and clients included."""


class Direction(OpenStrEnum):
    """Which of two lists of authorizations."""

    GRANTED = "Granted"
    RECEIVED = "Received"


class AuthorType(OpenStrEnum):
    """The kind of identifier that names the author of a permission."""

    NIP = "Nip"
    PESEL = "Pesel"
    FINGERPRINT = "Fingerprint"
    SYSTEM = "System"
    """KSeF itself."""


@attrs.frozen
class AuthorIdentifier:
    """Who granted a permission."""

    type: AuthorType
    value: str | None = None
    """None for `AuthorType.SYSTEM`."""


@attrs.frozen(kw_only=True)
class PersonalPermissionFilter:
    """Which of one's own permissions to list; all by default."""

    context_identifier: UnitIdentifier | None = None
    """Whoever granted them."""
    target_identifier: TargetIdentifier | None = None
    permission_types: tuple[HeldPermission, ...] = ()
    permission_state: PermissionState | None = None


@attrs.frozen(kw_only=True)
class PersonPermissionFilter:
    """Which permissions of persons and companies to list."""

    author_identifier: AuthorIdentifier | None = None
    authorized_identifier: SubjectIdentifier | None = None
    context_identifier: UnitIdentifier | None = None
    """Of an administrator: the unit."""
    target_identifier: TargetIdentifier | None = None
    permission_types: tuple[Permission, ...] = ()
    permission_state: PermissionState | None = None
    scope: Scope = attrs.field(metadata=wire_name("queryType"))


@attrs.frozen
class SubunitFilter:
    """The administrators of which unit to list; of all by default."""

    subunit_identifier: UnitIdentifier | None = None


@attrs.frozen
class EntityPermissionFilter:
    """A filter by the company that granted; all of them by default."""

    context_identifier: UnitIdentifier | None = None


@attrs.frozen
class SubordinateRoleFilter:
    """Which subordinate company; all of them by default."""

    subordinate_entity_identifier: NipIdentifier | None = None


@attrs.frozen(kw_only=True)
class AuthorizationFilter:
    """Which authorizations to list."""

    authorizing_identifier: NipIdentifier | None = None
    """Only with `Direction.RECEIVED`."""
    authorized_identifier: EntityIdentifier | None = None
    """Only with `Direction.GRANTED`."""
    direction: Direction = attrs.field(metadata=wire_name("queryType"))
    permission_types: tuple[Authorization, ...] = ()


@attrs.frozen(kw_only=True)
class EuPermissionFilter:
    """Which permissions for EU entities to list; all by default."""

    vat_ue_identifier: str | None = None
    """As it is, e.g. ``DE123456789``."""
    authorized_fingerprint_identifier: str | None = None
    """Is in the fingerprint."""
    permission_types: tuple[EuPermission, ...] = ()


class AdministratorPermission(OpenStrEnum):
    """A permission of the administrator of a unit."""

    CREDENTIALS_MANAGE = "CredentialsManage"


class EntityRole(OpenStrEnum):
    """The role of a company for the tax administration."""

    COURT_BAILIFF = "CourtBailiff"
    ENFORCEMENT_AUTHORITY = "EnforcementAuthority"
    LOCAL_GOVERNMENT_UNIT = "LocalGovernmentUnit"
    LOCAL_GOVERNMENT_SUB_UNIT = "LocalGovernmentSubUnit"
    VAT_GROUP_UNIT = "VatGroupUnit"
    VAT_GROUP_SUB_UNIT = "VatGroupSubUnit"


class SubordinateRole(OpenStrEnum):
    """The role of a subordinate company for the one above it."""

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
    """The kind of description of a company."""

    ENTITY_BY_IDENTIFIER = "EntityByIdentifier"
    ENTITY_BY_FINGERPRINT = "EntityByFingerprint"


@attrs.frozen(kw_only=True)
class EntityDescription:
    """A company, as KSeF tells of it."""

    subject_details_type: EntityDescriptionType | None = None
    full_name: str | None = None
    address: str | None = None
    """Only of a company without a NIP."""


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
    owner_permissions: tuple[Permission, ...] = ()
    """What an owner may do without having been granted it."""
    has_more: bool


@attrs.frozen(kw_only=True)
class PersonPermissionRow:
    """One permission of a person or company."""

    id: Identifier
    authorized_identifier: SubjectIdentifier | None = None
    context_identifier: UnitIdentifier | None = None
    """Of an administrator: the unit."""
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
    context_identifier: UnitIdentifier | None = None
    """Whoever granted it."""
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

    parent_entity_identifier: NipIdentifier | None = None
    """The company above it."""
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


DELETE, GET, POST = HTTPMethod.DELETE, HTTPMethod.GET, HTTPMethod.POST

_PAGED = ("page_offset", "page_size")

# --- granting --------------------------------------------------------------------------------------------

GRANT_TO_PERSON: Operation[PersonGrantRequest, OperationStarted] = Operation(
    name="grant_to_person", method=POST, path="/permissions/persons/grants", success=202,
    request=PersonGrantRequest, response=OperationStarted,
    permissions=("CredentialsManage",), rate_group=RateGroup.OTHER,
)  # fmt: skip
GRANT_TO_ENTITY: Operation[EntityGrantRequest, OperationStarted] = Operation(
    name="grant_to_entity", method=POST, path="/permissions/entities/grants", success=202,
    request=EntityGrantRequest, response=OperationStarted,
    permissions=("CredentialsManage",), rate_group=RateGroup.OTHER,
)  # fmt: skip
GRANT_AUTHORIZATION: Operation[AuthorizationGrantRequest, OperationStarted] = Operation(
    name="grant_authorization", method=POST, path="/permissions/authorizations/grants", success=202,
    request=AuthorizationGrantRequest, response=OperationStarted,
    permissions=("CredentialsManage",), rate_group=RateGroup.OTHER,
)  # fmt: skip
GRANT_INDIRECTLY: Operation[IndirectGrantRequest, OperationStarted] = Operation(
    name="grant_indirectly", method=POST, path="/permissions/indirect/grants", success=202,
    request=IndirectGrantRequest, response=OperationStarted,
    permissions=("CredentialsManage",), rate_group=RateGroup.OTHER,
)  # fmt: skip
GRANT_TO_SUBUNIT: Operation[SubunitGrantRequest, OperationStarted] = Operation(
    name="grant_to_subunit", method=POST, path="/permissions/subunits/grants", success=202,
    request=SubunitGrantRequest, response=OperationStarted,
    permissions=("SubunitManage",), rate_group=RateGroup.OTHER,
)  # fmt: skip
GRANT_EU_ADMINISTRATION: Operation[EuAdministrationGrantRequest, OperationStarted] = Operation(
    name="grant_eu_administration", method=POST, path="/permissions/eu-entities/administration/grants", success=202,
    request=EuAdministrationGrantRequest, response=OperationStarted,
    permissions=("CredentialsManage",), rate_group=RateGroup.OTHER,
)  # fmt: skip
GRANT_EU_REPRESENTATIVE: Operation[EuRepresentativeGrantRequest, OperationStarted] = Operation(
    name="grant_eu_representative", method=POST, path="/permissions/eu-entities/grants", success=202,
    request=EuRepresentativeGrantRequest, response=OperationStarted,
    permissions=("VatUeManage",), rate_group=RateGroup.OTHER,
)  # fmt: skip

# --- revoking --------------------------------------------------------------------------------------------

REVOKE_PERMISSION: Operation[None, OperationStarted] = Operation(
    name="revoke_permission", method=DELETE, path="/permissions/common/grants/{permission_id}", success=202,
    response=OperationStarted, permissions=("CredentialsManage", "VatUeManage", "SubunitManage"),
    rate_group=RateGroup.OTHER,
)  # fmt: skip
REVOKE_AUTHORIZATION: Operation[None, OperationStarted] = Operation(
    name="revoke_authorization", method=DELETE, path="/permissions/authorizations/grants/{permission_id}", success=202,
    response=OperationStarted, permissions=("CredentialsManage",), rate_group=RateGroup.OTHER,
)  # fmt: skip

# --- asking ----------------------------------------------------------------------------------------------

GET_PERMISSION_OPERATION: Operation[None, OperationStatus] = Operation(
    name="get_permission_operation", method=GET, path="/permissions/operations/{reference_number}", success=200,
    response=OperationStatus, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
GET_ATTACHMENT_CONSENT: Operation[None, AttachmentConsent] = Operation(
    name="get_attachment_consent", method=GET, path="/permissions/attachments/status", success=200,
    response=AttachmentConsent, permissions=("CredentialsManage", "CredentialsRead"), rate_group=RateGroup.OTHER,
    repeat_safe=True,
)  # fmt: skip
QUERY_OWN_PERMISSIONS: Operation[PersonalPermissionFilter, PersonalPermissionPage] = Operation(
    name="query_own_permissions", method=POST, path="/permissions/query/personal/grants", success=200,
    request=PersonalPermissionFilter, response=PersonalPermissionPage, query=_PAGED,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
QUERY_PERSON_PERMISSIONS: Operation[PersonPermissionFilter, PersonPermissionPage] = Operation(
    name="query_person_permissions", method=POST, path="/permissions/query/persons/grants", success=200,
    request=PersonPermissionFilter, response=PersonPermissionPage, query=_PAGED,
    permissions=("CredentialsManage", "CredentialsRead", "SubunitManage"), rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
QUERY_SUBUNIT_ADMINISTRATORS: Operation[SubunitFilter, SubunitPermissionPage] = Operation(
    name="query_subunit_administrators", method=POST, path="/permissions/query/subunits/grants", success=200,
    request=SubunitFilter, response=SubunitPermissionPage, query=_PAGED,
    permissions=("CredentialsManage", "CredentialsRead", "SubunitManage"), rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
QUERY_RECEIVED_PERMISSIONS: Operation[EntityPermissionFilter, EntityPermissionPage] = Operation(
    name="query_received_permissions", method=POST, path="/permissions/query/entities/grants", success=200,
    request=EntityPermissionFilter, response=EntityPermissionPage, query=_PAGED,
    permissions=("CredentialsManage", "CredentialsRead"), rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
QUERY_ROLES: Operation[None, EntityRolePage] = Operation(
    name="query_roles", method=GET, path="/permissions/query/entities/roles", success=200,
    response=EntityRolePage, query=_PAGED,
    permissions=("CredentialsManage", "CredentialsRead"), rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
QUERY_SUBORDINATES: Operation[SubordinateRoleFilter, SubordinateRolePage] = Operation(
    name="query_subordinates", method=POST, path="/permissions/query/subordinate-entities/roles", success=200,
    request=SubordinateRoleFilter, response=SubordinateRolePage, query=_PAGED,
    permissions=("CredentialsManage", "CredentialsRead", "SubunitManage"), rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
QUERY_AUTHORIZATIONS: Operation[AuthorizationFilter, AuthorizationPage] = Operation(
    name="query_authorizations", method=POST, path="/permissions/query/authorizations/grants", success=200,
    request=AuthorizationFilter, response=AuthorizationPage, query=_PAGED,
    permissions=("CredentialsManage", "CredentialsRead", "PefInvoiceWrite"),
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
QUERY_EU_PERMISSIONS: Operation[EuPermissionFilter, EuPermissionPage] = Operation(
    name="query_eu_permissions", method=POST, path="/permissions/query/eu-entities/grants", success=200,
    request=EuPermissionFilter, response=EuPermissionPage, query=_PAGED,
    permissions=("CredentialsManage", "CredentialsRead", "VatUeManage"), rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
