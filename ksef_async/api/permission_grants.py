"""Who may do what on whose behalf: granting and revoking. Source: OpenAPI 2.9.0, /permissions; uprawnienia.md.

What is asked about permissions, and what comes back, is in `permissions`.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from .common import Identifier, OpenStrEnum, StatusInfo, SubjectIdentifier, text
from .subjects import (
    EntityDetails,
    EntityIdentifier,
    EuSubjectDetails,
    FingerprintIdentifier,
    ForeignEntityDetails,
    NipIdentifier,
    NipVatUeIdentifier,
    SubjectDetails,
    TargetIdentifier,
    UnitIdentifier,
)

__all__ = [
    "AttachmentConsent",
    "Authorization",
    "AuthorizationGrantRequest",
    "EntityGrantRequest",
    "EntityPermission",
    "EuAdministrationGrantRequest",
    "EuInvoicePermission",
    "EuRepresentativeGrantRequest",
    "IndirectGrantRequest",
    "InvoicePermission",
    "OperationStarted",
    "OperationStatus",
    "Permission",
    "PersonGrantRequest",
    "SubunitGrantRequest",
]

# --- permissions -----------------------------------------------------------------------------------------


class Permission(OpenStrEnum):
    """A permission of a person, or a token, in a context."""

    CREDENTIALS_MANAGE = "CredentialsManage"
    """Grant and revoke permissions."""
    CREDENTIALS_READ = "CredentialsRead"
    """Read who has which permission."""
    INVOICE_WRITE = "InvoiceWrite"
    """Send invoices."""
    INVOICE_READ = "InvoiceRead"
    """Find and download invoices."""
    INTROSPECTION = "Introspection"
    """See the history of sessions, and their UPO."""
    SUBUNIT_MANAGE = "SubunitManage"
    """Manage the units of a company."""
    ENFORCEMENT_OPERATIONS = "EnforcementOperations"
    """For bailiffs and enforcement authorities only."""
    COLLECTIVE_IDENTIFIER_MANAGE = "CollectiveIdentifierManage"
    """Make and read collective identifiers."""


class InvoicePermission(OpenStrEnum):
    """A permission of another company in a context; the one kind that can be passed on."""

    INVOICE_WRITE = "InvoiceWrite"
    """Send invoices."""
    INVOICE_READ = "InvoiceRead"
    """Find and download invoices."""
    COLLECTIVE_IDENTIFIER_MANAGE = "CollectiveIdentifierManage"
    """Make and read collective identifiers."""


class EuInvoicePermission(OpenStrEnum):
    """A permission of a representative of an EU entity."""

    INVOICE_WRITE = "InvoiceWrite"
    INVOICE_READ = "InvoiceRead"


class Authorization(OpenStrEnum):
    """A permission of another company to act in the place of the one that authorizes it."""

    SELF_INVOICING = "SelfInvoicing"
    """Issue, as the buyer, the invoices of the seller."""
    RR_INVOICING = "RRInvoicing"
    """Issue the VAT RR invoices of a flat-rate farmer."""
    TAX_REPRESENTATIVE = "TaxRepresentative"
    """Act as the tax representative."""
    PEF_INVOICING = "PefInvoicing"
    """Issue Peppol invoices."""


# --- grants ----------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PersonGrantRequest:
    """Lets a person act in the context."""

    subject_identifier: SubjectIdentifier
    permissions: tuple[Permission, ...]
    """Each once."""
    description: str = attrs.field(validator=text(5, 256))
    subject_details: SubjectDetails


@attrs.frozen
class EntityPermission:
    """A permission of another company, with whether it may pass that on."""

    type: InvoicePermission
    """What may be done."""
    can_delegate: bool = False
    """Whether it may be passed on."""


@attrs.frozen(kw_only=True)
class EntityGrantRequest:
    """Lets another company act in the context."""

    subject_identifier: NipIdentifier
    permissions: tuple[EntityPermission, ...]
    description: str = attrs.field(validator=text(5, 256))
    subject_details: EntityDetails


@attrs.frozen(kw_only=True)
class AuthorizationGrantRequest:
    """Lets another company act in the place of the context."""

    subject_identifier: EntityIdentifier
    permission: Authorization
    description: str = attrs.field(validator=text(5, 256))
    subject_details: EntityDetails


@attrs.frozen(kw_only=True)
class IndirectGrantRequest:
    """Passes on to a person what clients of the context let it do."""

    subject_identifier: SubjectIdentifier
    target_identifier: TargetIdentifier | None = None
    """None for all clients."""
    permissions: tuple[InvoicePermission, ...]
    """Each once."""
    description: str = attrs.field(validator=text(5, 256))
    subject_details: SubjectDetails


@attrs.frozen(kw_only=True)
class SubunitGrantRequest:
    """Makes a person the administrator of a unit, and the unit itself where it is new."""

    subject_identifier: SubjectIdentifier
    context_identifier: UnitIdentifier
    description: str = attrs.field(validator=text(5, 256))
    subunit_name: str | None = attrs.field(default=None, validator=text(5, 256))
    """Required where the unit has an internal identifier."""
    subject_details: SubjectDetails


@attrs.frozen(kw_only=True)
class EuAdministrationGrantRequest:
    """Makes somebody the administrator of an EU entity."""

    subject_identifier: FingerprintIdentifier
    context_identifier: NipVatUeIdentifier
    description: str = attrs.field(validator=text(5, 256))
    eu_entity_name: str = attrs.field(validator=text(5, 256))
    """Name and address: ``{name}, {address}``."""
    subject_details: EuSubjectDetails
    eu_entity_details: ForeignEntityDetails


@attrs.frozen(kw_only=True)
class EuRepresentativeGrantRequest:
    """Lets somebody issue or read the invoices of an EU entity."""

    subject_identifier: FingerprintIdentifier
    permissions: tuple[EuInvoicePermission, ...]
    description: str = attrs.field(validator=text(5, 256))
    subject_details: EuSubjectDetails


@attrs.frozen
class OperationStarted:
    """KSeF has taken a grant or a revocation in."""

    reference_number: Identifier


@attrs.frozen
class OperationStatus:
    """The status of a grant or a revocation."""

    status: StatusInfo


@attrs.frozen
class AttachmentConsent:
    """The consent to invoices with attachments, of a context."""

    is_attachment_allowed: bool = False
    revoked_date: datetime | None = None
    """When the consent ends; None for never."""
