"""Who may do what on a company's behalf: granting and revoking. The lists are in `resources.permission_queries`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import attrs

from ..api.common import SubjectIdentifier
from ..api.operation import Operation
from ..api.permission_grants import (
    AttachmentConsent,
    Authorization,
    AuthorizationGrantRequest,
    EntityGrantRequest,
    EntityPermission,
    EuAdministrationGrantRequest,
    EuInvoicePermission,
    EuRepresentativeGrantRequest,
    IndirectGrantRequest,
    InvoicePermission,
    OperationStarted,
    OperationStatus,
    Permission,
    PersonGrantRequest,
    SubunitGrantRequest,
)
from ..api.permissions import (
    GET_ATTACHMENT_CONSENT,
    GET_PERMISSION_OPERATION,
    GRANT_AUTHORIZATION,
    GRANT_EU_ADMINISTRATION,
    GRANT_EU_REPRESENTATIVE,
    GRANT_INDIRECTLY,
    GRANT_TO_ENTITY,
    GRANT_TO_PERSON,
    GRANT_TO_SUBUNIT,
    REVOKE_AUTHORIZATION,
    REVOKE_PERMISSION,
)
from ..api.subjects import (
    EntityDetails,
    EntityIdentifier,
    EntityType,
    FingerprintIdentifier,
    FingerprintType,
    ForeignEntityDetails,
    IdentifiedPersonDetails,
    NipIdentifier,
    NipType,
    NipVatUeIdentifier,
    NipVatUeType,
    PersonDetails,
    TargetIdentifier,
    UndocumentedPersonDetails,
    UnitIdentifier,
    UnitType,
)
from ..calling.caller import Caller
from ..errors import InvalidFieldError
from ..protocol.lifecycle import PERMISSION_OPERATION
from ..protocol.permissions import eu_subject_details, person_details, problems, subject_identifier
from .handles import OperationHandle
from .permission_queries import PermissionQueries

__all__ = ["Permissions"]

RequestT = TypeVar("RequestT", bound=attrs.AttrsInstance)

_ID_LENGTH = 36
_ENTITY_NAME_LENGTH = 256


class Permissions(PermissionQueries):
    """The permissions of a context. `KsefClient.permissions` is one.

    Every grant and revocation returns once KSeF has taken it in; ``await handle.wait()`` until it is done. What a
    login may do changes with its next access token: a `KsefClient` gets one when KSeF refuses a call for want of a
    permission, which it then makes again, when it is asked to (`KsefClient.refresh`), or after at most 15 minutes.

    All of them raise, besides what they name:
        InvalidFieldError: A value is not what KSeF asks for; nothing was sent.
        ForbiddenError: The login lacks the permission that is needed; ``security`` tells which.
        TransportError: The call failed. After an error with ``maybe_delivered`` the lists tell whether KSeF did it.
        ApiError: As for TransportError.
        RemoteProtocolError: As for TransportError.
    """

    def __init__(self, api: Caller) -> None:
        super().__init__(api)
        self._api = api

    # --- granting -----------------------------------------------------------------------------------------

    async def grant_to_person(
        self,
        subject: SubjectIdentifier | str,
        permissions: Iterable[Permission | str],
        description: str,
        details: PersonDetails | IdentifiedPersonDetails | UndocumentedPersonDetails,
    ) -> OperationHandle[OperationStatus]:
        """Let a person act in the context.

        Args:
            subject: The person, by NIP, PESEL, or the fingerprint of a certificate.
            permissions: What they may do; EnforcementOperations is for bailiffs and enforcement authorities only.
            description: What it is for, 5 to 256 characters.
            details: Who they are.

        Source: POST /permissions/persons/grants; needs CredentialsManage.
        """
        request = PersonGrantRequest(
            subject_identifier=subject_identifier(subject),
            permissions=tuple(Permission(each) for each in permissions),
            description=description,
            subject_details=person_details(details),
        )
        return await self._start(GRANT_TO_PERSON, request)

    async def grant_to_entity(
        self,
        nip: str,
        permissions: Iterable[EntityPermission | InvoicePermission | str],
        description: str,
        full_name: str,
    ) -> OperationHandle[OperationStatus]:
        """Let another company, e.g. an accountant's office, handle the context's invoices.

        Args:
            nip: The company.
            permissions: What it may do, e.g. ``["InvoiceWrite"]``; an `EntityPermission` also says whether it may
                pass that on to its people (`grant_indirectly`).
            description: What it is for, 5 to 256 characters.
            full_name: Of the company, 5 to 90 characters.

        Source: POST /permissions/entities/grants; needs CredentialsManage.
        """
        request = EntityGrantRequest(
            subject_identifier=NipIdentifier(NipType.NIP, nip),
            permissions=tuple(
                each if isinstance(each, EntityPermission) else EntityPermission(InvoicePermission(each))
                for each in permissions
            ),
            description=description,
            subject_details=EntityDetails(full_name),
        )
        return await self._start(GRANT_TO_ENTITY, request)

    async def grant_authorization(
        self, entity: EntityIdentifier | str, authorization: Authorization | str, description: str, full_name: str
    ) -> OperationHandle[OperationStatus]:
        """Let another company act in the place of this one, e.g. issue its invoices as their buyer.

        Args:
            entity: The company by its NIP, or a Peppol provider by its identifier.
            authorization: What it may do.
            description: What it is for, 5 to 256 characters.
            full_name: Of the company, 5 to 90 characters.

        Source: POST /permissions/authorizations/grants; needs CredentialsManage.
        """
        if isinstance(entity, str):
            entity = EntityIdentifier(EntityType.PEPPOL_ID if entity.startswith("P") else EntityType.NIP, entity)
        request = AuthorizationGrantRequest(
            subject_identifier=entity,
            permission=Authorization(authorization),
            description=description,
            subject_details=EntityDetails(full_name),
        )
        return await self._start(GRANT_AUTHORIZATION, request)

    async def grant_indirectly(
        self,
        subject: SubjectIdentifier | str,
        permissions: Iterable[InvoicePermission | str],
        description: str,
        details: PersonDetails | IdentifiedPersonDetails | UndocumentedPersonDetails,
        *,
        target: TargetIdentifier | None = None,
    ) -> OperationHandle[OperationStatus]:
        """Pass on to a person what clients let this company do (`grant_to_entity` with ``can_delegate``).

        Args:
            subject: The person, by NIP, PESEL, or the fingerprint of a certificate.
            permissions: What they may do.
            description: What it is for, 5 to 256 characters.
            details: Who they are.
            target: For which client; for all of them by default.

        Source: POST /permissions/indirect/grants; needs CredentialsManage.
        """
        request = IndirectGrantRequest(
            subject_identifier=subject_identifier(subject),
            target_identifier=target,
            permissions=tuple(InvoicePermission(each) for each in permissions),
            description=description,
            subject_details=person_details(details),
        )
        return await self._start(GRANT_INDIRECTLY, request)

    async def grant_to_subunit(
        self,
        subject: SubjectIdentifier | str,
        unit: UnitIdentifier | str,
        description: str,
        details: PersonDetails | IdentifiedPersonDetails | UndocumentedPersonDetails,
        *,
        unit_name: str | None = None,
    ) -> OperationHandle[OperationStatus]:
        """Make a person the administrator of a unit; an internal identifier that is new begins to exist by this.

        Args:
            subject: The person, by NIP, PESEL, or the fingerprint of a certificate.
            unit: The NIP of a subordinate company, or an internal identifier: the context's NIP, a hyphen and five
                digits, the last of them a check digit.
            description: What it is for, 5 to 256 characters.
            details: Who they are.
            unit_name: 5 to 256 characters; required with an internal identifier.

        Source: POST /permissions/subunits/grants; needs SubunitManage.
        """
        if isinstance(unit, str):
            unit = UnitIdentifier(UnitType.INTERNAL_ID if "-" in unit else UnitType.NIP, unit)
        request = SubunitGrantRequest(
            subject_identifier=subject_identifier(subject),
            context_identifier=unit,
            description=description,
            subunit_name=unit_name,
            subject_details=person_details(details),
        )
        return await self._start(GRANT_TO_SUBUNIT, request)

    async def grant_eu_administration(
        self,
        fingerprint: str,
        nip_vat_ue: str,
        description: str,
        entity: ForeignEntityDetails,
        details: IdentifiedPersonDetails | UndocumentedPersonDetails | ForeignEntityDetails,
        *,
        entity_name: str | None = None,
    ) -> OperationHandle[OperationStatus]:
        """Make somebody the administrator of an EU entity that issues invoices in this company's name.

        Args:
            fingerprint: Of their certificate: its SHA-256 in 64 hex digits.
            nip_vat_ue: The context's NIP, a hyphen and the entity's VAT number: ``7762811692-DE123456789``.
            description: What it is for, 5 to 256 characters.
            entity: The EU entity: a name of at most 100 characters, an address of at most 512.
            details: Who the administrator is.
            entity_name: What the entity is listed as, 5 to 256 characters; by default its name and address, cut to
                256 characters: ``{name}, {address}``. Both go out in full besides.

        Source: POST /permissions/eu-entities/administration/grants; needs CredentialsManage.
        """
        request = EuAdministrationGrantRequest(
            subject_identifier=FingerprintIdentifier(FingerprintType.FINGERPRINT, fingerprint),
            context_identifier=NipVatUeIdentifier(NipVatUeType.NIP_VAT_UE, nip_vat_ue),
            description=description,
            # KSeF bounds the two together (256) to less than it lets an address alone have (512).
            eu_entity_name=entity_name or f"{entity.full_name}, {entity.address}"[:_ENTITY_NAME_LENGTH].rstrip(),
            subject_details=eu_subject_details(details),
            eu_entity_details=entity,
        )
        return await self._start(GRANT_EU_ADMINISTRATION, request)

    async def grant_eu_representative(
        self,
        fingerprint: str,
        permissions: Iterable[EuInvoicePermission | str],
        description: str,
        details: IdentifiedPersonDetails | UndocumentedPersonDetails | ForeignEntityDetails,
    ) -> OperationHandle[OperationStatus]:
        """Let somebody issue or read the invoices of the EU entity whose context this is.

        Args:
            fingerprint: Of their certificate: its SHA-256 in 64 hex digits.
            permissions: What they may do.
            description: What it is for, 5 to 256 characters.
            details: Who they are.

        Source: POST /permissions/eu-entities/grants; needs VatUeManage.
        """
        request = EuRepresentativeGrantRequest(
            subject_identifier=FingerprintIdentifier(FingerprintType.FINGERPRINT, fingerprint),
            permissions=tuple(EuInvoicePermission(each) for each in permissions),
            description=description,
            subject_details=eu_subject_details(details),
        )
        return await self._start(GRANT_EU_REPRESENTATIVE, request)

    # --- revoking -----------------------------------------------------------------------------------------

    async def revoke(self, permission_id: str) -> OperationHandle[OperationStatus]:
        """Take a permission back.

        Args:
            permission_id: ``id`` of a row of the lists, 36 characters.

        Source: DELETE /permissions/common/grants/{permissionId}; needs CredentialsManage, VatUeManage or
        SubunitManage.
        """
        return await self._revoke(REVOKE_PERMISSION, permission_id)

    async def revoke_authorization(self, permission_id: str) -> OperationHandle[OperationStatus]:
        """Take an authorization back.

        Args:
            permission_id: ``id`` of a row of `list_authorizations`, 36 characters.

        Source: DELETE /permissions/authorizations/grants/{permissionId}; needs CredentialsManage.
        """
        return await self._revoke(REVOKE_AUTHORIZATION, permission_id)

    # --- asking -------------------------------------------------------------------------------------------

    def operation(self, reference_number: str) -> OperationHandle[OperationStatus]:
        """Return a grant or revocation that was started before, perhaps elsewhere; KSeF keeps it for 30 days.

        Source: GET /permissions/operations/{referenceNumber}.
        """
        return self._handle("Permission operation", reference_number)

    async def get_attachment_status(self) -> AttachmentConsent:
        """Return whether the context may send invoices with attachments.

        Source: GET /permissions/attachments/status; needs CredentialsManage or CredentialsRead.
        """
        return await self._api.call(GET_ATTACHMENT_CONSENT)

    async def _start(
        self, operation: Operation[RequestT, OperationStarted], request: RequestT
    ) -> OperationHandle[OperationStatus]:
        for field, rule in problems(request):
            raise InvalidFieldError(field, rule)
        started = await self._api.call(operation, request)
        return self._handle("Grant", started.reference_number)

    async def _revoke(
        self, operation: Operation[None, OperationStarted], permission_id: str
    ) -> OperationHandle[OperationStatus]:
        if len(permission_id) != _ID_LENGTH:
            raise InvalidFieldError("permissionId", f"must have {_ID_LENGTH} characters; it has {len(permission_id)}")
        started = await self._api.call(operation, path={"permission_id": permission_id})
        return self._handle("Revocation", started.reference_number)

    def _handle(self, what: str, reference_number: str) -> OperationHandle[OperationStatus]:
        async def look() -> OperationStatus:
            return await self._api.call(GET_PERMISSION_OPERATION, path={"reference_number": reference_number})

        return OperationHandle(
            what, reference_number, look, lifecycle=PERMISSION_OPERATION, status=lambda seen: seen.status
        )
