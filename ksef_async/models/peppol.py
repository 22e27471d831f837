"""Peppol service providers registered at KSeF. Source: OpenAPI 2.9.0, /peppol/query."""

from __future__ import annotations

from datetime import datetime

import attrs

__all__ = ["PeppolProvider", "PeppolProviderPage"]


@attrs.frozen(kw_only=True)
class PeppolProvider:
    """A provider of Peppol services."""

    #: ``P``, two letters of the country, six digits.
    id: str
    name: str | None = None
    date_created: datetime | None = None


@attrs.frozen
class PeppolProviderPage:
    """One page of providers, newest first."""

    peppol_providers: tuple[PeppolProvider, ...]
    has_more: bool
