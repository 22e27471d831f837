"""Peppol service providers. Source: uslugi-peppol.md."""

from __future__ import annotations

from ...api.peppol import PeppolProviderPage
from ..handling import numbered_page_of
from ..router import Call

__all__ = ["list_peppol_providers"]


async def list_peppol_providers(call: Call) -> PeppolProviderPage:
    """GET /peppol/query."""
    providers = sorted(call.world.peppol_providers.values(), key=lambda provider: provider.id)
    providers.sort(key=lambda provider: provider.date_created or call.now, reverse=True)
    rows, has_more = numbered_page_of(providers, call)
    return PeppolProviderPage(tuple(rows), has_more)
