"""Peppol service providers registered at KSeF."""

from __future__ import annotations

from ..api.peppol import LIST_PEPPOL_PROVIDERS, PeppolProvider
from ..calling.caller import Caller
from ..calling.paging import OffsetPages
from .lists import list_by_offset

__all__ = ["Peppol"]


class Peppol:
    """The Peppol network as KSeF knows it. `KsefClient.peppol` is one."""

    def __init__(self, api: Caller) -> None:
        self._api = api

    def list_providers(self) -> OffsetPages[PeppolProvider]:
        """Return every registered provider of Peppol services, newest first.

        Source: GET /peppol/query.
        """
        return list_by_offset(
            self._api,
            LIST_PEPPOL_PROVIDERS,
            lambda page: page.peppol_providers,
            page_size=LIST_PEPPOL_PROVIDERS.largest_page,
        )
