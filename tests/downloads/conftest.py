"""A sandbox whose clock tests move, and a client of a company that is invoiced."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from clients import QUICK
from receiving import BUYER

from ksef_async import KsefClient, KsefToken, Pacer
from ksef_async.calling.events import Event
from ksef_async.sandbox import Sandbox


@pytest.fixture
def events() -> list[Event]:
    """What the buyer's client tells."""
    return []


@pytest.fixture
async def buyer(sandbox: Sandbox, events: list[Event]) -> AsyncIterator[KsefClient]:
    credentials = KsefToken(nip=BUYER, token=sandbox.issue_token(BUYER))
    async with KsefClient(
        sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK, hook=events.append
    ) as client:
        yield client
