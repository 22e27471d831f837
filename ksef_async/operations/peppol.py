"""Peppol service providers. Source: OpenAPI 2.9.0, /peppol/query."""

from __future__ import annotations

from http import HTTPMethod

from ..models.peppol import PeppolProviderPage
from .operation import Bearer, Operation, RateGroup

__all__ = ["LIST_PEPPOL_PROVIDERS"]

GET = HTTPMethod.GET

LIST_PEPPOL_PROVIDERS: Operation[None, PeppolProviderPage] = Operation(
    name="list_peppol_providers", method=GET, path="/peppol/query", success=200, response=PeppolProviderPage,
    query=("page_offset", "page_size"), bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
