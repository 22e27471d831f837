"""Companies, persons and permissions made up on TEST, and in the sandbox; DEMO and PRODUCTION have none of this."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

import attrs

from ..api.common import Context, SubjectIdentifier
from ..api.permission_grants import Permission
from ..api.subjects import NipIdentifier, NipType
from ..api.testdata import (
    BLOCK_TEST_CONTEXT,
    CREATE_TEST_PERSON,
    CREATE_TEST_SUBJECT,
    GRANT_TEST_ATTACHMENTS,
    GRANT_TEST_PERMISSIONS,
    REMOVE_TEST_PERSON,
    REMOVE_TEST_SUBJECT,
    REVOKE_TEST_ATTACHMENTS,
    REVOKE_TEST_PERMISSIONS,
    UNBLOCK_TEST_CONTEXT,
    CompanyKind,
    ContextBlock,
    CreatePersonRequest,
    CreateSubjectRequest,
    DirectGrantRequest,
    DirectPermission,
    DirectRevokeRequest,
    GrantAttachmentsRequest,
    RemovePersonRequest,
    RemoveSubjectRequest,
    RevokeAttachmentsRequest,
    Subunit,
)
from ..calling.caller import Caller
from ..errors import InvalidFieldError
from ..protocol.permissions import problems, subject_identifier

__all__ = ["TestData"]


class TestData:
    """The test data of the TEST environment. `KsefClient.testdata` is one; most of it needs no login.

    All of them raise:
        InvalidFieldError: A value is not what KSeF asks for; nothing was sent.
        BadRequestError: It exists already (30001), or KSeF refuses a value (21405).
        TransportError: No answer came.
        ApiError: KSeF refused the call, or failed.
    """

    # For pytest, which takes classes of this name for tests.
    __test__ = False

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def create_subject(
        self,
        nip: str,
        kind: CompanyKind | str,
        description: str,
        *,
        subunits: Iterable[Subunit] = (),
        created_date: datetime | None = None,
    ) -> None:
        """Make up a company: an enforcement authority, or a VAT group or unit of local government with those below.

        Args:
            nip: Of the company.
            kind: What it is.
            description: 5 to 256 characters.
            subunits: The companies below it.
            created_date: Since when; later than the last time this NIP was made up. Now by default.

        Source: POST /testdata/subject.
        """
        request = CreateSubjectRequest(
            subject_nip=nip,
            subject_type=CompanyKind(kind),
            subunits=tuple(subunits),
            description=description,
            created_date=created_date,
        )
        _refuse(request)
        await self._api.call(CREATE_TEST_SUBJECT, request)

    async def remove_subject(self, nip: str) -> None:
        """Remove a made-up company, and those below it.

        Source: POST /testdata/subject/remove.
        """
        await self._api.call(REMOVE_TEST_SUBJECT, RemoveSubjectRequest(nip))

    async def create_person(
        self,
        nip: str,
        pesel: str,
        description: str,
        *,
        is_bailiff: bool = False,
        is_deceased: bool = False,
        created_date: datetime | None = None,
    ) -> None:
        """Make up a person, the owner of a company.

        Args:
            nip: Of the company.
            pesel: Of the person.
            description: 5 to 256 characters.
            is_bailiff: They also may enforce.
            is_deceased: They cannot log in (470).
            created_date: Since when; later than the last time this person was made up. Now by default.

        Source: POST /testdata/person.
        """
        request = CreatePersonRequest(
            nip=nip,
            pesel=pesel,
            is_bailiff=is_bailiff,
            description=description,
            is_deceased=is_deceased,
            created_date=created_date,
        )
        await self._api.call(CREATE_TEST_PERSON, request)

    async def remove_person(self, nip: str) -> None:
        """Remove a made-up person, and all their permissions.

        Source: POST /testdata/person/remove.
        """
        await self._api.call(REMOVE_TEST_PERSON, RemovePersonRequest(nip))

    async def grant_permissions(
        self, nip: str, subject: SubjectIdentifier | str, permissions: Iterable[Permission | str], description: str
    ) -> None:
        """Let a person or company act in the context of a company.

        Args:
            nip: In whose context.
            subject: Who, by NIP, PESEL, or the fingerprint of a certificate.
            permissions: What they may do.
            description: What it is for, 5 to 256 characters.

        Source: POST /testdata/permissions.
        """
        request = DirectGrantRequest(
            context_identifier=NipIdentifier(NipType.NIP, nip),
            authorized_identifier=subject_identifier(subject),
            permissions=tuple(
                DirectPermission(description=description, permission_type=Permission(each)) for each in permissions
            ),
        )
        _refuse(request)
        await self._api.call(GRANT_TEST_PERMISSIONS, request)

    async def revoke_permissions(self, nip: str, subject: SubjectIdentifier | str) -> None:
        """Take from a person or company what `grant_permissions` gave them in the context of a company.

        Source: POST /testdata/permissions/revoke.
        """
        request = DirectRevokeRequest(
            context_identifier=NipIdentifier(NipType.NIP, nip), authorized_identifier=subject_identifier(subject)
        )
        _refuse(request)
        await self._api.call(REVOKE_TEST_PERMISSIONS, request)

    async def allow_attachments(self, nip: str) -> None:
        """Let a company send invoices with attachments.

        Source: POST /testdata/attachment.
        """
        await self._api.call(GRANT_TEST_ATTACHMENTS, GrantAttachmentsRequest(nip))

    async def disallow_attachments(self, nip: str, *, from_date: date | None = None) -> None:
        """Let a company no longer send invoices with attachments.

        Args:
            nip: Of the company.
            from_date: From when on; now by default.

        Source: POST /testdata/attachment/revoke.
        """
        await self._api.call(REVOKE_TEST_ATTACHMENTS, RevokeAttachmentsRequest(nip, from_date))

    async def block_context(self, context: Context) -> None:
        """Let logins in a context end with 480, as after a suspected incident.

        Source: POST /testdata/context/block.
        """
        await self._api.call(BLOCK_TEST_CONTEXT, ContextBlock(context))

    async def unblock_context(self, context: Context) -> None:
        """Let logins in a context succeed again.

        Source: POST /testdata/context/unblock.
        """
        await self._api.call(UNBLOCK_TEST_CONTEXT, ContextBlock(context))


def _refuse(request: attrs.AttrsInstance) -> None:
    for field, rule in problems(request):
        raise InvalidFieldError(field, rule)
