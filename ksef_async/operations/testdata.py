"""Companies, persons and permissions made up on TEST. Source: OpenAPI 2.9.0, /testdata/*."""

from __future__ import annotations

from http import HTTPMethod

from ..models.testdata import (
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
from .operation import Bearer, Operation, RateGroup

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
]

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
