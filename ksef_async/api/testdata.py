"""Companies, persons and permissions made up on TEST. Source: OpenAPI 2.9.0, /testdata; dane-testowe-scenariusze.md."""

from __future__ import annotations

from datetime import date, datetime
from http import HTTPMethod
from typing import Final

import attrs

from .common import Context, OpenStrEnum, SubjectIdentifier, text
from .operation import Bearer, Operation, RateGroup
from .permission_grants import Permission
from .subjects import NipIdentifier

__all__ = [
    "BLOCK_TEST_CONTEXT",
    "CREATE_TEST_PERSON",
    "CREATE_TEST_SUBJECT",
    "GRANT_TEST_ATTACHMENTS",
    "GRANT_TEST_PERMISSIONS",
    "REMOVE_TEST_PERSON",
    "REMOVE_TEST_SUBJECT",
    "REVOKE_TEST_ATTACHMENTS",
    "REVOKE_TEST_PERMISSIONS",
    "UNBLOCK_TEST_CONTEXT",
    "CompanyKind",
    "ContextBlock",
    "CreatePersonRequest",
    "CreateSubjectRequest",
    "DirectGrantRequest",
    "DirectPermission",
    "DirectRevokeRequest",
    "GrantAttachmentsRequest",
    "RemovePersonRequest",
    "RemoveSubjectRequest",
    "RevokeAttachmentsRequest",
    "Subunit",
]

NIP: Final = r"[1-9]((\d[1-9])|([1-9]\d))\d{7}"
"""How KSeF writes them."""
PESEL: Final = r"\d{2}(?:0[1-9]|1[0-2]|2[1-9]|3[0-2]|4[1-9]|5[0-2]|6[1-9]|7[0-2]|8[1-9]|9[0-2])\d{7}"


class CompanyKind(OpenStrEnum):
    """The kind of a made-up company."""

    ENFORCEMENT_AUTHORITY = "EnforcementAuthority"
    VAT_GROUP = "VatGroup"
    LOCAL_GOVERNMENT = "JST"
    """A unit of local government (jednostka samorządu terytorialnego)."""


@attrs.frozen
class Subunit:
    """A company below a made-up one."""

    subject_nip: str = attrs.field(validator=text(10, 10, NIP))
    description: str = attrs.field(validator=text(5, 256))


@attrs.frozen(kw_only=True)
class CreateSubjectRequest:
    """Makes up a company."""

    subject_nip: str = attrs.field(validator=text(10, 10, NIP))
    subject_type: CompanyKind
    subunits: tuple[Subunit, ...] = ()
    description: str = attrs.field(validator=text(5, 256))
    created_date: datetime | None = None
    """Later than the last time this NIP was made up; now by default."""


@attrs.frozen
class RemoveSubjectRequest:
    """Removes a made-up company, and those below it."""

    subject_nip: str = attrs.field(validator=text(10, 10, NIP))


@attrs.frozen(kw_only=True)
class CreatePersonRequest:
    """Makes up a person, the owner of a company."""

    nip: str = attrs.field(validator=text(10, 10, NIP))
    pesel: str = attrs.field(validator=text(11, 11, PESEL))
    is_bailiff: bool
    description: str = attrs.field(validator=text(5, 256))
    is_deceased: bool = False
    created_date: datetime | None = None
    """Later than the last time this person was made up; now by default."""


@attrs.frozen
class RemovePersonRequest:
    """Removes a made-up person, and all their permissions."""

    nip: str = attrs.field(validator=text(10, 10, NIP))


@attrs.frozen(kw_only=True)
class DirectPermission:
    """One permission of a made-up person or company."""

    description: str = attrs.field(validator=text(5, 256))
    permission_type: Permission


@attrs.frozen(kw_only=True)
class DirectGrantRequest:
    """Lets a made-up person or company act in a context."""

    context_identifier: NipIdentifier
    authorized_identifier: SubjectIdentifier
    permissions: tuple[DirectPermission, ...]


@attrs.frozen(kw_only=True)
class DirectRevokeRequest:
    """Takes from a made-up person or company all they may do in a context."""

    context_identifier: NipIdentifier
    authorized_identifier: SubjectIdentifier


@attrs.frozen
class GrantAttachmentsRequest:
    """Lets a company send invoices with attachments."""

    nip: str = attrs.field(validator=text(10, 10, NIP))


@attrs.frozen
class RevokeAttachmentsRequest:
    """Lets a company no longer send invoices with attachments."""

    nip: str = attrs.field(validator=text(10, 10, NIP))
    expected_end_date: date | None = None
    """When the consent ends; now by default."""


@attrs.frozen
class ContextBlock:
    """Names the context in which logins end with 480, or do so no longer."""

    context_identifier: Context | None = None


POST = HTTPMethod.POST

CREATE_TEST_SUBJECT: Operation[CreateSubjectRequest, None] = Operation(
    name="create_test_subject", method=POST, path="/testdata/subject", success=200,
    request=CreateSubjectRequest, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
REMOVE_TEST_SUBJECT: Operation[RemoveSubjectRequest, None] = Operation(
    name="remove_test_subject", method=POST, path="/testdata/subject/remove", success=200,
    request=RemoveSubjectRequest, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
CREATE_TEST_PERSON: Operation[CreatePersonRequest, None] = Operation(
    name="create_test_person", method=POST, path="/testdata/person", success=200,
    request=CreatePersonRequest, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
REMOVE_TEST_PERSON: Operation[RemovePersonRequest, None] = Operation(
    name="remove_test_person", method=POST, path="/testdata/person/remove", success=200,
    request=RemovePersonRequest, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
GRANT_TEST_PERMISSIONS: Operation[DirectGrantRequest, None] = Operation(
    name="grant_test_permissions", method=POST, path="/testdata/permissions", success=200,
    request=DirectGrantRequest, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
REVOKE_TEST_PERMISSIONS: Operation[DirectRevokeRequest, None] = Operation(
    name="revoke_test_permissions", method=POST, path="/testdata/permissions/revoke", success=200,
    request=DirectRevokeRequest, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
GRANT_TEST_ATTACHMENTS: Operation[GrantAttachmentsRequest, None] = Operation(
    name="grant_test_attachments", method=POST, path="/testdata/attachment", success=200,
    request=GrantAttachmentsRequest, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
REVOKE_TEST_ATTACHMENTS: Operation[RevokeAttachmentsRequest, None] = Operation(
    name="revoke_test_attachments", method=POST, path="/testdata/attachment/revoke", success=200,
    request=RevokeAttachmentsRequest, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
# Without a token these two belong to no context, yet the specification counts them in a group of contexts.
BLOCK_TEST_CONTEXT: Operation[ContextBlock, None] = Operation(
    name="block_test_context", method=POST, path="/testdata/context/block", success=200,
    request=ContextBlock, bearer=Bearer.NONE, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
UNBLOCK_TEST_CONTEXT: Operation[ContextBlock, None] = Operation(
    name="unblock_test_context", method=POST, path="/testdata/context/unblock", success=200,
    request=ContextBlock, bearer=Bearer.NONE, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
