"""A sandbox whose every stage takes a second of a clock that stands still, and callers of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sandbox.wire import OpenedSession, Tokens, Wire, connected


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with connected() as wire:
        yield wire


@pytest.fixture
async def tokens(wire: Wire) -> Tokens:
    """Of the first company."""
    return await wire.tokens()


@pytest.fixture
async def session(wire: Wire, tokens: Tokens) -> OpenedSession:
    """Of the first company, just opened."""
    return await wire.open(tokens.access)
