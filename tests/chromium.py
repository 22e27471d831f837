"""Chromium, where this machine has one: pages are looked at in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.async_api import Browser

__all__ = ["launched", "needs_chromium"]

_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

needs_chromium = pytest.mark.skipif(_CHROMIUM is None, reason="there is no Chromium on this machine")


@asynccontextmanager
async def launched() -> AsyncGenerator[Browser]:
    """Start a browser for the block; skip the test where playwright is not installed."""
    api = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    async with api.async_playwright() as playwright:
        # Nothing but pages of our own is loaded; a sandbox of Chromium's own does not work in every container.
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, chromium_sandbox=False)
        yield browser
        await browser.close()
