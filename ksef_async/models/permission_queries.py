"""Asking who may do what: what eight lists can be narrowed by. Source: OpenAPI 2.9.0, /permissions/query."""

from __future__ import annotations

import attrs

from .common import OpenStrEnum, SubjectIdentifier, wire_name
from .permissions import Authorization, Permission
from .subjects import EntityIdentifier, NipIdentifier, TargetIdentifier, UnitIdentifier

__all__ = [
    "AuthorIdentifier",
    "AuthorType",
    "AuthorizationFilter",
    "Direction",
    "EntityPermissionFilter",
    "EuPermission",
    "EuPermissionFilter",
    "HeldPermission",
    "PermissionState",
    "PersonPermissionFilter",
    "PersonalPermissionFilter",
    "Scope",
    "SubordinateRoleFilter",
    "SubunitFilter",
]


class HeldPermission(OpenStrEnum):
    """What whoever is logged in may do: all of `Permission`, and managing an EU entity."""

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
    """What somebody may do for an EU entity."""

    VAT_UE_MANAGE = "VatUeManage"
    INVOICE_WRITE = "InvoiceWrite"
    INVOICE_READ = "InvoiceRead"
    INTROSPECTION = "Introspection"


class PermissionState(OpenStrEnum):
    """Whether a permission has an effect: one that was passed on has none while its client allows nothing."""

    ACTIVE = "Active"
    INACTIVE = "Inactive"


class Scope(OpenStrEnum):
    """Which of two lists of persons' permissions."""

    #: Who may act in the context.
    IN_CONTEXT = "PermissionsInCurrentContext"
    #: What was granted from the context, units and clients included.
    GRANTED = "PermissionsGrantedInCurrentContext"


class Direction(OpenStrEnum):
    """Which of two lists of authorizations."""

    GRANTED = "Granted"
    RECEIVED = "Received"


class AuthorType(OpenStrEnum):
    """What names the author of a permission."""

    NIP = "Nip"
    PESEL = "Pesel"
    FINGERPRINT = "Fingerprint"
    #: KSeF itself.
    SYSTEM = "System"


@attrs.frozen
class AuthorIdentifier:
    """Who granted a permission."""

    type: AuthorType
    #: None for `AuthorType.SYSTEM`.
    value: str | None = None


@attrs.frozen(kw_only=True)
class PersonalPermissionFilter:
    """Which of one's own permissions to list; all by default."""

    #: Whoever granted them.
    context_identifier: UnitIdentifier | None = None
    target_identifier: TargetIdentifier | None = None
    permission_types: tuple[HeldPermission, ...] = ()
    permission_state: PermissionState | None = None


@attrs.frozen(kw_only=True)
class PersonPermissionFilter:
    """Which permissions of persons and companies to list."""

    author_identifier: AuthorIdentifier | None = None
    authorized_identifier: SubjectIdentifier | None = None
    #: Of an administrator: the unit.
    context_identifier: UnitIdentifier | None = None
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
    """What which company granted; all of them by default."""

    context_identifier: UnitIdentifier | None = None


@attrs.frozen
class SubordinateRoleFilter:
    """Which subordinate company; all of them by default."""

    subordinate_entity_identifier: NipIdentifier | None = None


@attrs.frozen(kw_only=True)
class AuthorizationFilter:
    """Which authorizations to list."""

    #: Only with `Direction.RECEIVED`.
    authorizing_identifier: NipIdentifier | None = None
    #: Only with `Direction.GRANTED`.
    authorized_identifier: EntityIdentifier | None = None
    direction: Direction = attrs.field(metadata=wire_name("queryType"))
    permission_types: tuple[Authorization, ...] = ()


@attrs.frozen(kw_only=True)
class EuPermissionFilter:
    """Which permissions for EU entities to list; all by default."""

    #: As it is, e.g. ``DE123456789``.
    vat_ue_identifier: str | None = None
    #: Is in the fingerprint.
    authorized_fingerprint_identifier: str | None = None
    permission_types: tuple[EuPermission, ...] = ()
