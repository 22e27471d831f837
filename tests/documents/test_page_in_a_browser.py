"""Invoices as pages in a browser: desktop, phone and print. ``PAGE_SCREENSHOTS=FOLDER`` keeps pictures of them."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
import pypdfium2
import pytest
from chromium import launched, needs_chromium
from official import SAMPLES
from readable import export_correction

from ksef_async import Environment
from ksef_async.documents import html, pdf
from ksef_async.protocol.verification_codes import VerificationCode

if TYPE_CHECKING:
    from playwright.async_api import Browser

FOLDER = os.environ.get("PAGE_SCREENSHOTS")
WIDTHS = {"desktop": 1200, "phone": 390}

pytestmark = needs_chromium


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


def keep(name: str, picture: bytes) -> None:
    if FOLDER:
        (Path(FOLDER) / f"{name}.png").write_bytes(picture)


def codes(document: bytes) -> list[VerificationCode]:
    certificate = f"{Environment.TEST.qr_url}/certificate/Nip/5265877635/5265877635/01F20A5D352AE590/" + "aB3-" * 100
    return [
        VerificationCode.of_invoice(document, Environment.TEST),
        VerificationCode.of_certificate(certificate),
    ]


@pytest.fixture
def pages() -> dict[str, str]:
    """The pages of the official samples, where they are at hand, and of an invoice of our own."""
    documents = {"correction": export_correction(), **{path.stem: path.read_bytes() for path in SAMPLES.glob("*.xml")}}
    return {name: html(document, codes=codes(document)) for name, document in documents.items()}


@pytest.mark.parametrize("screen", WIDTHS)
async def test_page_is_as_wide_as_the_screen_and_loads_nothing(
    browser: Browser, pages: dict[str, str], screen: str
) -> None:
    page = await browser.new_page(viewport={"width": WIDTHS[screen], "height": 900})
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))

    wide = {}
    for name, content in pages.items():
        await page.set_content(content)
        wide[name] = await page.evaluate("document.documentElement.scrollWidth")
        if FOLDER:
            picture = await page.screenshot(full_page=True)
            await anyio.to_thread.run_sync(keep, f"{name}-{screen}", picture)

    assert {name: width for name, width in wide.items() if width > WIDTHS[screen]} == {}
    assert (asked, complaints) == ([], [])


async def test_printed_page_has_all_that_the_screen_has(browser: Browser, pages: dict[str, str]) -> None:
    page = await browser.new_page()
    await page.set_content(pages["correction"])

    printed = await page.pdf(prefer_css_page_size=True, print_background=True)

    text = await anyio.to_thread.run_sync(read_pdf, "correction-print", printed)
    for words in ("Zażółć Energia", "Windpark Nord GmbH", "przed korektą", "2618,5", "OFFLINE", "CERTYFIKAT"):
        assert words in text


def read_pdf(name: str, document: bytes) -> str:
    with pypdfium2.PdfDocument(document) as opened:
        for number, page in enumerate(opened, 1):
            picture = io.BytesIO()
            page.render(scale=1.6).to_pil().save(picture, "PNG")
            keep(f"{name}-{number}", picture.getvalue())
        return " ".join(page.get_textpage().get_text_range() for page in opened)


def test_pdf_has_all_that_the_screen_has() -> None:
    document = export_correction()

    text = read_pdf("correction-pdf", pdf(document, language="en", codes=codes(document)))

    for words in ("Zażółć Energia", "Windpark Nord GmbH", "before correction", "2618,5", "CERTYFIKAT"):
        assert words in text
