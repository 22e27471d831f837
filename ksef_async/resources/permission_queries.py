"""The eight lists of permissions: ``async for row in ...``, or ``async for page in ... .pages()``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from ..api.operation import Operation
from ..api.permissions import (
    QUERY_AUTHORIZATIONS,
    QUERY_EU_PERMISSIONS,
    QUERY_OWN_PERMISSIONS,
    QUERY_PERSON_PERMISSIONS,
    QUERY_RECEIVED_PERMISSIONS,
    QUERY_ROLES,
    QUERY_SUBORDINATES,
    QUERY_SUBUNIT_ADMINISTRATORS,
    AuthorizationFilter,
    AuthorizationRow,
    Direction,
    EntityPermissionFilter,
    EntityPermissionRow,
    EntityRoleRow,
    EuPermissionFilter,
    EuPermissionRow,
    PersonalPermissionFilter,
    PersonalPermissionPage,
    PersonalPermissionRow,
    PersonPermissionFilter,
    PersonPermissionRow,
    Scope,
    SubordinateRoleFilter,
    SubordinateRoleRow,
    SubunitFilter,
    SubunitPermissionRow,
)
from ..api.subjects import NipIdentifier, NipType, UnitIdentifier, UnitType
from ..calling.caller import Caller
from ..calling.paging import OffsetPages
from ..errors import InvalidFieldError
from ..protocol.permissions import problems
from .lists import NumberedPage, list_by_offset

__all__ = ["PermissionQueries"]

FilterT = TypeVar("FilterT", bound=attrs.AttrsInstance)
NumberedPageT = TypeVar("NumberedPageT", bound=NumberedPage)
RowT = TypeVar("RowT")


class PermissionQueries:
    """Every list is sorted by KSeF, newest first, and asked for page by page as it is read.

    All of them raise:
        InvalidFieldError: The filter is not what KSeF asks for; nothing was sent.
        ForbiddenError: The login lacks the permission that is needed; raised by the first page.
        TransportError: No answer came.
        ApiError: KSeF refused the call, or failed.
        RemoteProtocolError: The answer is not what KSeF's API describes.
    """

    def __init__(self, api: Caller) -> None:
        self._api = api

    def list_own(
        self, permission_filter: PersonalPermissionFilter | None = None, *, page_size: int = 100
    ) -> OffsetPages[PersonalPermissionRow]:
        """Return the permissions granted to whoever is logged in; what they own is in `list_own_page`.

        Source: POST /permissions/query/personal/grants.
        """
        wanted = permission_filter or PersonalPermissionFilter()
        return self._list(QUERY_OWN_PERMISSIONS, wanted, lambda page: page.permissions, page_size)

    async def list_own_page(
        self,
        permission_filter: PersonalPermissionFilter | None = None,
        *,
        page_offset: int = 0,
        page_size: int = 100,
    ) -> PersonalPermissionPage:
        """Return one page of `list_own`, with ``owner_permissions``: what an owner may do without a grant.

        Args:
            permission_filter: As for `list_own`.
            page_offset: Number of the page, from 0.
            page_size: 10 to 100 rows.

        Source: POST /permissions/query/personal/grants.
        """
        wanted = permission_filter or PersonalPermissionFilter()
        _refuse(wanted, page_size)
        if page_offset < 0:
            raise InvalidFieldError("pageOffset", f"must be at least 0; it is {page_offset}")
        query = {"page_offset": page_offset, "page_size": page_size}
        return await self._api.call(QUERY_OWN_PERMISSIONS, wanted, query=query)

    def list_of_persons(
        self, permission_filter: PersonPermissionFilter | None = None, *, page_size: int = 100
    ) -> OffsetPages[PersonPermissionRow]:
        """Who may act in the context; with `Scope.GRANTED` what whoever is logged in granted from it.

        Source: POST /permissions/query/persons/grants; needs CredentialsManage, CredentialsRead or SubunitManage.
        """
        wanted = permission_filter or PersonPermissionFilter(scope=Scope.IN_CONTEXT)
        return self._list(QUERY_PERSON_PERMISSIONS, wanted, lambda page: page.permissions, page_size)

    def list_of_subunit_administrators(
        self, unit: UnitIdentifier | str | None = None, *, page_size: int = 100
    ) -> OffsetPages[SubunitPermissionRow]:
        """Return the administrators of a unit of the context, or of all its units.

        Source: POST /permissions/query/subunits/grants; needs CredentialsManage, CredentialsRead or SubunitManage.
        """
        wanted = SubunitFilter(_unit(unit))
        return self._list(QUERY_SUBUNIT_ADMINISTRATORS, wanted, lambda page: page.permissions, page_size)

    def list_received(
        self, grantor: UnitIdentifier | str | None = None, *, page_size: int = 100
    ) -> OffsetPages[EntityPermissionRow]:
        """Return the permissions granted by another company, or by all; see `Permissions.grant_to_entity`.

        Source: POST /permissions/query/entities/grants; needs CredentialsManage or CredentialsRead.
        """
        wanted = EntityPermissionFilter(_unit(grantor))
        return self._list(QUERY_RECEIVED_PERMISSIONS, wanted, lambda page: page.permissions, page_size)

    def list_roles(self, *, page_size: int = 100) -> OffsetPages[EntityRoleRow]:
        """Return the roles of the context for the tax administration: a bailiff, a VAT group, ...

        Source: GET /permissions/query/entities/roles; needs CredentialsManage or CredentialsRead.
        """
        _check_page_size(page_size)
        return list_by_offset(self._api, QUERY_ROLES, lambda page: page.roles, page_size=page_size)

    def list_subordinates(self, nip: str | None = None, *, page_size: int = 100) -> OffsetPages[SubordinateRoleRow]:
        """Return the companies below the context: members of a VAT group, units of local government.

        Source: POST /permissions/query/subordinate-entities/roles; needs CredentialsManage, CredentialsRead or
        SubunitManage.
        """
        wanted = SubordinateRoleFilter(NipIdentifier(NipType.NIP, nip) if nip is not None else None)
        return self._list(QUERY_SUBORDINATES, wanted, lambda page: page.roles, page_size)

    def list_authorizations(
        self, authorization_filter: AuthorizationFilter | None = None, *, page_size: int = 100
    ) -> OffsetPages[AuthorizationRow]:
        """Whom the context authorized; with `Direction.RECEIVED` who authorized it.

        Source: POST /permissions/query/authorizations/grants; needs CredentialsManage, CredentialsRead or
        PefInvoiceWrite.
        """
        wanted = authorization_filter or AuthorizationFilter(direction=Direction.GRANTED)
        return self._list(QUERY_AUTHORIZATIONS, wanted, lambda page: page.authorization_grants, page_size)

    def list_of_eu_entities(
        self, permission_filter: EuPermissionFilter | None = None, *, page_size: int = 100
    ) -> OffsetPages[EuPermissionRow]:
        """Who acts for EU entities: in a company's context their administrators, in an entity's all of its people.

        Source: POST /permissions/query/eu-entities/grants; needs CredentialsManage, CredentialsRead or VatUeManage.
        """
        wanted = permission_filter or EuPermissionFilter()
        return self._list(QUERY_EU_PERMISSIONS, wanted, lambda page: page.permissions, page_size)

    def _list(
        self,
        operation: Operation[FilterT, NumberedPageT],
        wanted: FilterT,
        rows: Callable[[NumberedPageT], tuple[RowT, ...]],
        page_size: int,
    ) -> OffsetPages[RowT]:
        _refuse(wanted, page_size)
        return list_by_offset(self._api, operation, rows, body=wanted, page_size=page_size)


def _unit(unit: UnitIdentifier | str | None) -> UnitIdentifier | None:
    if isinstance(unit, str):
        return UnitIdentifier(UnitType.INTERNAL_ID if "-" in unit else UnitType.NIP, unit)
    return unit


def _refuse(wanted: attrs.AttrsInstance, page_size: int) -> None:
    for field, rule in problems(wanted):
        raise InvalidFieldError(field, rule)
    _check_page_size(page_size)


def _check_page_size(page_size: int) -> None:
    if not 10 <= page_size <= QUERY_ROLES.largest_page:
        raise InvalidFieldError("pageSize", f"must be between 10 and {QUERY_ROLES.largest_page}; it is {page_size}")
