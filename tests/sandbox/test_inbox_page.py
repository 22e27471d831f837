"""The sandbox's page in a browser: what it shows, how it is worked by keyboard, and for whom it is readable.

``INBOX_SCREENSHOT=docs/assets/inbox.png`` keeps a picture of it, and one of a phone beside it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from chromium import launched, needs_chromium
from PIL import Image
from readable import office_invoice

from ksef_async import FormCode, InvoiceRejectedError, KsefClient, SessionFilter, SessionType
from ksef_async.api.limits import GET_CONTEXT_LIMITS, GET_RATE_LIMITS
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

SCREENSHOT = os.environ.get("INBOX_SCREENSHOT")
DESK, PHONE = (1440, 1060), (390, 844)

pytestmark = needs_chromium


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


class Looking(Protocol):
    def __call__(self, size: tuple[int, int] = DESK, language: str = "en", **options: Any) -> Any: ...


@pytest.fixture
def looking(sandbox: Sandbox, browser: Browser) -> Looking:
    """The page, loaded; what it complains of fails the test."""

    @asynccontextmanager
    async def looking(size: tuple[int, int] = DESK, language: str = "en", **options: Any) -> AsyncIterator[Page]:
        complaints: list[str] = []
        viewport: Any = {"width": size[0], "height": size[1]}
        context = await browser.new_context(viewport=viewport, locale=language, **options)
        page = await context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        await page.goto(address(sandbox))
        yield page
        await context.close()
        assert complaints == []

    return looking


@pytest.fixture
async def page(looking: Looking) -> AsyncIterator[Page]:
    async with looking() as page:
        yield page


def address(sandbox: Sandbox) -> str:
    return sandbox.environment.base_url.removesuffix("v2")


def today() -> datetime:
    return datetime.now(UTC)


async def fill(sandbox: Sandbox, client: KsefClient) -> None:
    """Sessions in several states, an invoice that is refused, faults that have happened and one to come."""
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


# --- what it shows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("language", "heading"), [("en", "Seller"), ("pl", "Sprzedawca")])
async def test_invoice_is_shown_as_a_person_reads_it(
    sandbox: Sandbox, client: KsefClient, looking: Looking, language: str, heading: str
) -> None:
    async with looking(language=language) as page:
        await page.locator(".empty b").wait_for()
        async with await client.sessions.open_online(FormCode.FA3) as session:
            sent = await session.send(office_invoice(sandbox.nip, "FV/2026/11/0412", today().date()))
            accepted = await sent.outcome()
            paper = page.frame_locator("iframe")
            await paper.get_by_text(
                "Meble Wierzba sp. z o.o."
            ).wait_for()  # by itself: nobody has loaded the page again
            text = await paper.locator("main").inner_text()
            summary = await page.get_by_role("article").inner_text()

            await page.get_by_role("tab", name="UPO").click()
            upo = await page.locator("pre").inner_text()
        await page.locator(".timeline .is-success").wait_for()
        assert await page.locator(".timeline b").all_inner_texts() == ["100", "170", "200"]

    for shown in ("FV/2026/11/0412", heading.upper(), "Kancelaria Lipa i Wspólnicy sp.k.", accepted.ksef_number):
        assert shown in text
    assert ("3\N{NO-BREAK SPACE}698,00" if language == "pl" else "3,698.00") in text
    assert accepted.ksef_number in summary
    assert f"<NumerKSeFDokumentu>{accepted.ksef_number}</NumerKSeFDokumentu>" in upo


async def test_what_an_invoice_says_stays_text(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    evil = '&lt;img src=x onerror="alert(1)"&gt;&lt;script&gt;alert(2)&lt;/script&gt;'
    async with await client.sessions.open_online(FormCode.FA3) as session:
        sent = await session.send(office_invoice(sandbox.nip, evil, today().date(), seller=evil))
        await sent.outcome()
        paper = page.frame_locator("iframe")
        await paper.locator("h1").wait_for()

        texts = [await paper.locator("main").inner_text(), await page.get_by_role("article").inner_text()]
        assert all('<img src=x onerror="alert(1)"><script>alert(2)</script>' in text for text in texts)
        assert await paper.locator("img, script").count() == 0
        assert await page.locator("article img, article script").count() == 0


async def test_document_opens_in_a_tab_of_its_own(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(office_invoice(sandbox.nip, "FV/1", today().date()))).outcome()
        async with page.context.expect_page() as opened:
            await page.get_by_role("link", name="Open in a tab").click()
        tab = await opened.value

        await tab.get_by_role("heading", name="FV/1", exact=True).wait_for()


async def test_document_that_is_not_well_formed_is_shown_as_it_is(
    sandbox: Sandbox, client: KsefClient, page: Page
) -> None:
    broken = b"<Faktura><never-closed></Faktura>"
    async with await client.sessions.open_online(FormCode.FA3) as session:
        with pytest.raises(InvoiceRejectedError):
            await (await session.send(broken, check=False)).outcome()

        await page.get_by_text("only its XML is shown").wait_for()
        assert "<never-closed>" in await page.locator("pre").inner_text()
        assert await page.locator("iframe").count() == 0


async def test_codes_explain_themselves(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        for seller in ("Meble", "Inny"):
            await session.send(office_invoice(sandbox.nip, "FV/1", today().date(), seller=seller))
        await page.locator(".invoices [data-key]", has_text="440").click()
        await page.get_by_role("article").get_by_text("The details name the original").wait_for()
        await page.get_by_text("It waits for invoices or its close").wait_for()

    await page.get_by_role("button", name="Codes").click()

    await page.get_by_role("dialog").get_by_text("Duplikat faktury").wait_for()
    await page.keyboard.press("Escape")
    assert await page.get_by_role("dialog").count() == 0


async def test_request_opens_with_its_bodies(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        await (await session.send(sample_invoice(sandbox.nip))).outcome()
        await page.locator(".request", has_text="send_invoice").click()

        dialog = page.get_by_role("dialog")
        texts = await dialog.locator("pre").all_inner_texts()

    assert '"invoiceHash"' in texts[0]
    assert '"encryptedInvoiceContent": "••••••' in texts[0]
    assert '"referenceNumber"' in texts[1]


async def test_search_covers_all_invoices_of_a_session(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    async with await client.sessions.open_online(FormCode.FA3) as session:
        for number in range(1, 53):
            await session.send(sample_invoice(sandbox.nip, f"FV/{number:03}"))
        sandbox.clock.advance(60)
        await page.get_by_text("1–50 of 52").wait_for()

        await page.get_by_role("button", name="Older").click()
        await page.get_by_text("51–52 of 52").wait_for()
        assert await page.locator(".invoices .name").all_inner_texts() == ["FV/002", "FV/001"]

        await page.get_by_role("searchbox").fill("fv/001")
        await page.get_by_text("1–1 of 1").wait_for()
        assert await page.locator(".invoices .name").all_inner_texts() == ["FV/001"]
        assert await page.get_by_role("searchbox").evaluate("field => field === document.activeElement")

        await page.get_by_label("Which invoices").select_option("failure")
        await page.get_by_text("Nothing is found").wait_for()


# --- what it does ----------------------------------------------------------------------------------------------------


async def test_button_moves_the_clock(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    session = await client.sessions.open_online(FormCode.FA3)
    async with session:
        await page.locator(".session .progress").wait_for()
        before = sandbox.clock.now()

        await page.get_by_role("button", name="+12 h").click()

        await page.locator(".session .failure").wait_for()  # it has expired, empty
        assert timedelta(hours=12) <= sandbox.clock.now() - before < timedelta(hours=12, minutes=1)


async def test_button_injects_a_fault(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    await page.get_by_text("None in force").wait_for()
    await page.get_by_label("What goes wrong").select_option("bad_gateway")
    await page.get_by_label("In which calls").select_option("get_rate_limits")
    await page.get_by_role("button", name="Inject").click()
    await page.get_by_text("answer 502 in get_rate_limits").wait_for()

    await client.call(GET_RATE_LIMITS)  # tries again by itself

    await page.get_by_text("on purpose: answer").wait_for()
    statuses = page.locator(".request", has_text="get_rate_limits").locator(".status")
    assert await statuses.all_inner_texts() == ["200", "502"]


async def test_new_requests_are_put_above_those_that_the_page_has(
    sandbox: Sandbox, client: KsefClient, page: Page
) -> None:
    shown = page.locator("#requests .what")
    await client.call(GET_RATE_LIMITS)
    await shown.first.wait_for()
    before = await shown.all_inner_texts()

    await client.call(GET_CONTEXT_LIMITS)
    await page.locator("#requests .request", has_text="get_context_limits").wait_for()

    assert await shown.all_inner_texts() == ["get_context_limits", *before]
    assert before[0] == "get_rate_limits"


async def test_page_tells_that_the_answers_are_wrong(sandbox: Sandbox, page: Page) -> None:
    await page.get_by_text("No session yet").wait_for()
    await page.route("**/inbox/state?*", lambda route: route.fulfill(body="<html>no sandbox</html>"))

    await page.get_by_role("alert").wait_for()
    assert "does not answer as it should" in await page.get_by_role("alert").inner_text()


# --- for whom --------------------------------------------------------------------------------------------------------


async def test_language_that_was_chosen_is_kept(sandbox: Sandbox, page: Page) -> None:
    assert await page.locator("html").get_attribute("lang") == "en"

    await page.get_by_role("link", name="Polski").click()
    await page.get_by_role("heading", name="Piaskownica KSeF").wait_for()
    await page.goto(address(sandbox))

    assert await page.locator("html").get_attribute("lang") == "pl"
    await page.get_by_text("Nie ma jeszcze sesji").wait_for()


async def test_lists_take_one_stop_of_the_tab_key_each(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    await fill(sandbox, client)
    await page.locator("iframe:not(.loading)").wait_for()

    assert await page.locator("[tabindex='0'], a, button:not([tabindex='-1']), input, select, iframe").count() < 40
    for items in ("#sessions [data-key]", "#invoices [data-key]", "#requests [data-key]", "[role=tablist] [data-key]"):
        stops = await page.locator(items).evaluate_all("all => all.filter(one => one.tabIndex === 0).length")
        assert (items, stops) == (items, 1)


async def test_arrow_keys_move_in_lists_and_enter_opens(sandbox: Sandbox, client: KsefClient, page: Page) -> None:
    await fill(sandbox, client)
    await page.locator("iframe:not(.loading)").wait_for()
    await page.locator(".invoices [aria-selected=true]").focus()

    await page.keyboard.press("End")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")

    await page.get_by_role("article", name="FV/2026/11/0413").wait_for()
    assert await page.evaluate("document.activeElement.querySelector('.name').textContent") == "FV/2026/11/0413"
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"

    await page.get_by_role("tab", name="Invoice").focus()
    await page.keyboard.press("ArrowRight")
    await page.locator("pre", has_text="Potwierdzenie").wait_for()
    assert await page.evaluate("document.activeElement.id") == "tab-upo"


async def test_first_tab_stop_skips_to_the_session(sandbox: Sandbox, page: Page) -> None:
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"

    await page.keyboard.press("Enter")

    assert await page.evaluate("document.activeElement.id") == "detail"


async def test_nothing_moves_where_less_motion_is_wanted(client: KsefClient, looking: Looking) -> None:
    async with looking(reduced_motion="reduce") as page:
        await client.sessions.open_online(FormCode.FA3)
        await page.locator(".session .progress").wait_for()

        assert await page.evaluate("document.getAnimations().length") == 0
    async with looking(reduced_motion="no-preference") as page:
        await page.locator(".session .progress").wait_for()

        assert await page.evaluate("document.getAnimations().length") > 0


@pytest.mark.parametrize("size", [PHONE, (320, 640)], ids=["phone", "narrow"])
async def test_phone_shows_one_part_at_a_time_and_nothing_beside_the_screen(
    sandbox: Sandbox, client: KsefClient, looking: Looking, size: tuple[int, int]
) -> None:
    await fill(sandbox, client)
    async with looking(size=size, language="pl") as page:
        await page.locator(".invoices [data-key]").first.wait_for()
        parts = page.get_by_role("navigation", name="Części strony")
        for part in ("Sesje", "Sesja", "Faktura", "Żądania", "Usterki"):
            await parts.get_by_role("button", name=part, exact=True).click()

            ends = await page.locator("body *").evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
            assert max(ends) <= size[0], part

        await page.get_by_role("button", name="Sesja", exact=True).click()
        await page.locator(".invoices [data-key]", has_text="FV/2026/11/0413").click()
        await page.get_by_role("article", name="FV/2026/11/0413").wait_for()
        assert not await page.locator(".invoices").is_visible()


@pytest.mark.parametrize("size", [DESK, (1000, 900), PHONE], ids=["desk", "tablet", "phone"])
async def test_long_texts_wrap_and_leave_room_to_others(
    sandbox: Sandbox, client: KsefClient, looking: Looking, size: tuple[int, int]
) -> None:
    number = "N" * 200 + "/2026"
    async with await client.sessions.open_online(FormCode.FA3) as session, looking(size=size) as page:
        await (await session.send(office_invoice(sandbox.nip, number, today().date(), seller="Długa " * 40))).outcome()
        if size is PHONE:
            await page.locator(".invoices [data-key]", has_text="NNN").click()
        await page.get_by_role("heading", name=number, exact=True).wait_for()

        ends = await page.locator("body *").evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
        assert max(ends) <= size[0]
        if size is not PHONE:
            box = await page.locator(".invoices .chip").first.bounding_box()
            assert box is not None
            assert box["height"] < 50


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("size", "language", "scheme"),
    # Each pair of sizes, languages and schemes once.
    [(DESK, "en", "light"), (DESK, "pl", "dark"), (PHONE, "en", "dark"), (PHONE, "pl", "light")],
    ids=["desk-en-light", "desk-pl-dark", "phone-en-dark", "phone-pl-light"],
)
async def test_axe_finds_nothing(
    sandbox: Sandbox, client: KsefClient, looking: Looking, size: tuple[int, int], language: str, scheme: str
) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed")
    axe = (resources.files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    await fill(sandbox, client)
    async with looking(size=size, language=language, color_scheme=scheme, bypass_csp=True) as page:
        shown = page

        async def violations(place: str) -> list[str]:
            found = await shown.evaluate("axe.run(document, { iframes: false, resultTypes: ['violations'] })")
            assert len(found["passes"]) > 12  # it has looked
            return [
                f"{one['id']} ({place}): {node['target']} {node['failureSummary']}"
                for one in found["violations"]
                for node in one["nodes"]
            ]

        await page.locator("iframe:not(.loading)").wait_for(state="attached")
        await page.evaluate(axe)
        for place in ("sessions", "detail", "invoice", "requests", "faults") if size is PHONE else ("all",):
            if size is PHONE:
                await page.locator(f"[data-show={place}]").click()
            assert await violations(place) == []
        await page.evaluate("showPane('invoice')")
        await page.locator("#tab-xml").click()
        await page.locator("#paper.is-xml").wait_for()
        assert await violations("xml") == []
        for place, opener in (("request", ".request >> nth=5"), ("codes", "#codes-open")):
            await page.evaluate("showPane('requests')")
            await page.locator(opener).click()
            await page.get_by_role("dialog").wait_for()
            assert await violations(place) == []
            await page.keyboard.press("Escape")
        shown = await page.context.new_page()
        await shown.goto(await page.locator(".tabs a").evaluate("link => link.href"))
        await shown.evaluate(axe)
        assert await violations("document") == []


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(SCREENSHOT is None, reason="INBOX_SCREENSHOT does not say where to keep it")
async def test_picture(sandbox: Sandbox, client: KsefClient, looking: Looking) -> None:
    assert SCREENSHOT is not None
    await fill(sandbox, client)
    desk = Path(SCREENSHOT)
    phone = desk.with_name(f"{desk.stem}-phone{desk.suffix}")
    for size, file, language, scale in ((DESK, desk, "en", 1), (PHONE, phone, "pl", 2)):
        async with looking(size=size, language=language, device_scale_factor=scale) as page:
            await page.locator("iframe:not(.loading)").wait_for(state="attached")
            await page.screenshot(path=file)
        # Few colours are on it: a palette takes a third of the bytes.
        Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
