"""Peppol service providers registered at KSeF. Source: OpenAPI 2.9.0, /peppol/query."""

from __future__ import annotations

from datetime import datetime
from http import HTTPMethod

import attrs

from .operation import Bearer, Operation, RateGroup

__all__ = ["LIST_PEPPOL_PROVIDERS", "PeppolProvider", "PeppolProviderPage"]


@attrs.frozen(kw_only=True)
class PeppolProvider:
    """A provider of Peppol services."""

    id: str
    """``P``, two letters of the country, six digits."""
    name: str | None = None
    date_created: datetime | None = None


@attrs.frozen
class PeppolProviderPage:
    """One page of providers, newest first."""

    peppol_providers: tuple[PeppolProvider, ...]
    has_more: bool


GET = HTTPMethod.GET

LIST_PEPPOL_PROVIDERS: Operation[None, PeppolProviderPage] = Operation(
    name="list_peppol_providers", method=GET, path="/peppol/query", success=200, response=PeppolProviderPage,
    query=("page_offset", "page_size"), bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
