"""The sandbox's page in a browser. ``INBOX_SCREENSHOT=docs/inbox.png`` keeps a picture of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from readable import office_invoice

from ksef_async import FormCode, InvoiceRejectedError, KsefClient, SessionFilter, SessionType
from ksef_async.api.limits import GET_RATE_LIMITS
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

if TYPE_CHECKING:
    from playwright.async_api import Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SCREENSHOT = os.environ.get("INBOX_SCREENSHOT")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")


@pytest.fixture
async def page(sandbox: Sandbox) -> AsyncIterator[Page]:
    """The page, loaded; what it complains of fails the test."""
    api = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    complaints: list[str] = []
    async with api.async_playwright() as playwright:
        # Nothing but our own page is loaded; a sandbox of Chromium's own does not work in every container.
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        page = await browser.new_page(viewport={"width": 1440, "height": 1060})
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        await page.goto(sandbox.environment.base_url.removesuffix("v2"))
        yield page
        await browser.close()
    assert complaints == []


def today() -> datetime:
    return datetime.now(UTC)


async def test_invoice_is_shown_as_a_person_reads_it(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    await page.get_by_text("No session yet").wait_for()
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(office_invoice(sandbox.nip, "FV/2026/11/0412", today().date()))
        accepted = await sent.outcome()
        await page.get_by_role("article").wait_for()  # by itself: nobody has loaded the page again
        text = await page.get_by_role("article").inner_text()

        await page.get_by_role("tab", name="UPO").click()
        upo = await page.locator("pre").inner_text()
    await page.locator(".timeline .is-success").wait_for()

    for shown in (
        "FV/2026/11/0412",
        "Meble Wierzba sp. z o.o.",
        "Kancelaria Lipa i Wspólnicy sp.k.",
        accepted.ksef_number,
    ):
        assert shown in text
    assert "3\N{NO-BREAK SPACE}698,00" in text
    assert "8\N{NO-BREAK SPACE}394,86 PLN" in text
    assert f"<NumerKSeFDokumentu>{accepted.ksef_number}</NumerKSeFDokumentu>" in upo
    assert await page.locator(".timeline b").all_inner_texts() == ["100", "170", "200"]


async def test_what_an_invoice_says_stays_text(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    evil = '&lt;img src=x onerror="alert(1)"&gt;&lt;script&gt;alert(2)&lt;/script&gt;'
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(office_invoice(sandbox.nip, evil, today().date(), seller=evil))
        await sent.outcome()
        await page.get_by_role("article").wait_for()

        text = await page.get_by_role("article").inner_text()
        assert text.count('<img src=x onerror="alert(1)"><script>alert(2)</script>') == 2
        assert await page.locator("article img, article script").count() == 0


async def test_button_moves_the_clock(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    async with session:
        await page.locator(".session .progress").wait_for()
        before = sandbox.clock.now()

        await page.get_by_role("button", name="+12 h").click()

        await page.locator(".session .failure").wait_for()  # it has expired, empty
        assert timedelta(hours=12) <= sandbox.clock.now() - before < timedelta(hours=12, minutes=1)


async def test_button_injects_a_fault(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    await page.get_by_label("What goes wrong").select_option("bad_gateway")
    await page.get_by_label("In which calls").select_option("get_rate_limits")
    await page.get_by_role("button", name="Inject").click()
    await page.get_by_text("answer 502 in get_rate_limits").wait_for()

    await client.call(GET_RATE_LIMITS)  # tries again by itself

    await page.get_by_text("on purpose: answer").wait_for()
    statuses = page.locator(".request", has_text="get_rate_limits").locator(".status")
    assert await statuses.all_inner_texts() == ["200", "502"]


async def test_page_tells_that_the_answers_are_wrong(sandbox: Sandbox, page: Page) -> None:
    await page.get_by_text("No session yet").wait_for()
    await page.route("**/inbox/state", lambda route: route.fulfill(body="<html>no sandbox</html>"))

    await page.get_by_role("alert").wait_for()
    assert "does not answer as it should" in await page.get_by_role("alert").inner_text()


@pytest.mark.skipif(SCREENSHOT is None, reason="INBOX_SCREENSHOT does not say where to keep it")
async def test_picture(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    await client.sessions.open_online(FormCode.FA3)
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(sample_invoice(sandbox.nip, "FV/2026/11/0411"))).outcome()
    async with await client.sessions.open_online(FormCode.FA3):
        pass
    sandbox.clock.advance(340)
    sandbox.faults.add("send_invoice", Fault.drop_after())
    async with await client.sessions.open_online(FormCode.FA3) as session:
        for number in (412, 413, 414, 415):
            await (await session.send(office_invoice(sandbox.nip, f"FV/2026/11/0{number}", today().date()))).outcome()
        with pytest.raises(InvoiceRejectedError):
            await (await session.send(office_invoice(sandbox.nip, "FV/2026/11/0411", today().date()))).outcome()
        await (await session.send(office_invoice(sandbox.nip, "FV/2026/11/0416", today().date()))).outcome()
    await session.upo()
    sandbox.faults.add("list_sessions", Fault.drop_after())
    assert [one async for one in client.sessions.list(SessionFilter(session_type=SessionType.ONLINE))]
    sandbox.faults.add("send_invoice", Fault.html(502), times=3)

    await page.get_by_text("3 to come").wait_for()
    await page.locator(".timeline .is-success").wait_for()

    assert SCREENSHOT is not None
    await page.screenshot(path=SCREENSHOT)
