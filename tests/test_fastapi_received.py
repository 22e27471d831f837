"""What others have issued to the companies of a service, and how it answers when KSeF or the journal cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from clients import connected
from test_fastapi import OTHER_NIP, journal, service_for, serving

from ksef_async import FormCode
from ksef_async.sandbox import Fault, Sandbox, sample_invoice

__all__ = ["journal"]


@pytest.fixture
async def http(sandbox: Sandbox, journal: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(service_for(sandbox, journal)) as http:
        yield http


async def issued_to(sandbox: Sandbox, buyer_nip: str, *numbers: str) -> list[tuple[str, bytes]]:
    """KSeF numbers and documents of invoices that the sandbox's company issued."""
    found = []
    async with connected(sandbox) as client, await client.sessions.open_online(FormCode.FA3) as session:
        for number in numbers:
            xml = sample_invoice(sandbox.nip, number, buyer_nip=buyer_nip)
            accepted = await (await session.send(xml)).outcome()
            found.append((accepted.ksef_number, xml))
    sandbox.clock.advance(60)
    return found


async def test_received_invoices_are_listed(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    first, second = await issued_to(sandbox, OTHER_NIP, "FV/1", "FV/2")
    since = (sandbox.clock.now() - timedelta(days=1)).isoformat()

    answer = await http.get(f"/ksef/{OTHER_NIP}/received", params={"since": since})
    none = await http.get(f"/ksef/{OTHER_NIP}/received", params={"since": since, "part": "seller"})

    page = answer.json()
    assert [each["ksef_number"] for each in page["invoices"]] == [first[0], second[0]]
    assert page["invoices"][0]["number"] == "FV/1"
    assert page["invoices"][0]["seller_nip"] == sandbox.nip
    assert page["invoices"][0]["gross"] == "1230.00"
    assert (page["has_more"], page["complete_until"] is None) == (False, False)
    assert none.json()["invoices"] == []


async def test_received_invoice_is_read_as_document_and_as_page(sandbox: Sandbox, http: httpx.AsyncClient) -> None:
    ((ksef_number, xml),) = await issued_to(sandbox, OTHER_NIP, "FV/1")
    path = f"/ksef/{OTHER_NIP}/received/{ksef_number}"

    document = await http.get(path)
    page = await http.get(path, params={"page": "true", "language": "en"})

    assert (document.headers["content-type"], document.content) == ("application/xml", xml)
    assert page.headers["content-type"].startswith("text/html")
    assert '<html lang="en">' in page.text
    assert ksef_number in page.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/ksef/{OTHER_NIP}/received/5265877635-20260101-0100001AF629-2C", 404),
        (f"/ksef/{OTHER_NIP}/received/nonsense", 422),
        (f"/ksef/{OTHER_NIP}/received", 422),
        (f"/ksef/{OTHER_NIP}/received?since=2026-01-01T00:00:00", 422),
        (f"/ksef/{OTHER_NIP}/received?since=2020-01-01T00:00:00Z", 422),
        (f"/ksef/{OTHER_NIP}/received?since=2026-11-02T00:00:00Z&until=2026-11-01T00:00:00Z", 422),
        (f"/ksef/{OTHER_NIP}/received?since=0001-01-01T00:00:00%2B14:00", 422),
        (f"/ksef/{OTHER_NIP}/received?since=2026-11-27T00:00:00Z&page=99999999999", 422),
        (f"/ksef/{OTHER_NIP}/received?since=2026-11-27T00:00:00Z&page={10**30}", 422),
        (f"/ksef/{OTHER_NIP}/received?since=9999-12-31T23:59:59-12:00", 422),
        (f"/ksef/{OTHER_NIP}/received?since=0001-01-01T00:00:00%2B12:00", 422),
        (f"/ksef/{OTHER_NIP}/received?since=2026-01-01T00:00:00Z&until=9999-12-31T23:59:59-12:00", 422),
        ("/ksef/1111111111/received?since=2026-01-01T00:00:00Z", 404),
        ("/ksef/1111111111/received/5265877635-20260101-0100001AF629-2C", 404),
    ],
)
async def test_what_cannot_be_answered_is_refused(http: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await http.get(path)

    assert answer.status_code == status, answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("fault", "status", "after"),
    [
        (Fault.too_many_requests(1000), 503, "1000"),
        (Fault.forbidden("missing-permissions"), 502, None),
        (Fault.html(403), 502, None),
    ],
    ids=["limit", "permission", "firewall"],
)
async def test_refusals_of_ksef_are_not_the_callers(
    sandbox: Sandbox, http: httpx.AsyncClient, fault: Fault, status: int, after: str | None
) -> None:
    sandbox.faults.add("get_invoice", fault, times=10)

    answer = await http.get(f"/ksef/{OTHER_NIP}/received/5265877635-20260101-0100001AF629-2C")

    assert (answer.status_code, answer.headers.get("retry-after")) == (status, after), answer.text


async def test_journal_that_is_locked_is_told_with_when_to_come_back(sandbox: Sandbox, journal: Path) -> None:
    # Written into the address, where an SQLite journal says how long it waits.
    async with serving(service_for(sandbox, Path(f"{journal}?timeout=0.2"))) as http:
        other = sqlite3.connect(journal, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            answer = await http.post(f"/ksef/{sandbox.nip}/invoices", content=sample_invoice(sandbox.nip), timeout=60)
        finally:
            other.close()

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), answer.text
