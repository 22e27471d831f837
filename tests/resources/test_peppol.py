from __future__ import annotations

from datetime import timedelta

from ksef_async import KsefClient
from ksef_async.api.peppol import PeppolProvider
from ksef_async.sandbox import Sandbox


async def test_providers_come_newest_first_in_numbered_pages(sandbox: Sandbox, client: KsefClient) -> None:
    now = sandbox.clock.now()
    # Two of each day: those come by their identifiers.
    for number in range(102):
        day = now - timedelta(days=number // 2)
        provider = PeppolProvider(id=f"PPL{number:06}", name=f"Provider {number}", date_created=day)
        sandbox.world.peppol_providers[provider.id] = provider

    pages = [page async for page in client.peppol.list_providers().pages()]

    assert [len(page) for page in pages] == [100, 2]
    assert [provider.id async for provider in client.peppol.list_providers()] == [
        f"PPL{number:06}" for number in range(102)
    ]
