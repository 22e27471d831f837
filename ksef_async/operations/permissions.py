"""Who may do what on whose behalf. Source: OpenAPI 2.9.0, /permissions/*."""

from __future__ import annotations

from http import HTTPMethod

from ..models.permission_queries import (
    AuthorizationFilter,
    EntityPermissionFilter,
    EuPermissionFilter,
    PersonalPermissionFilter,
    PersonPermissionFilter,
    SubordinateRoleFilter,
    SubunitFilter,
)
from ..models.permission_rows import (
    AuthorizationPage,
    EntityPermissionPage,
    EntityRolePage,
    EuPermissionPage,
    PersonalPermissionPage,
    PersonPermissionPage,
    SubordinateRolePage,
    SubunitPermissionPage,
)
from ..models.permissions import (
    AttachmentConsent,
    AuthorizationGrantRequest,
    EntityGrantRequest,
    EuAdministrationGrantRequest,
    EuRepresentativeGrantRequest,
    IndirectGrantRequest,
    OperationStarted,
    OperationStatus,
    PersonGrantRequest,
    SubunitGrantRequest,
)
from .operation import Operation, RateGroup

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
]

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
