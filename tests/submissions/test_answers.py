"""Answers that the specification does not have: each invoice is sent once, and no session stays open."""

from __future__ import annotations

import anyio
import attrs
import pytest
from clients import ONCE, connected

from ksef_async.sandbox import Fault, Sandbox, sample_invoice
from ksef_async.submissions import Submissions, SubmissionState

from .conftest import QUICK_SETTINGS
from .test_openings import Calls, left_open

INVOICES = 5

#: What a client sees of an answer that says that KSeF did it.
VARIANTS = {
    "another number": Fault.answer_becomes(200),
    "201": Fault.answer_becomes(201),
    "page of a firewall": Fault.html(200, after_effect=True),
    "page with its own number": Fault.answer_becomes(body=b"<html></html>", content_type="text/html"),
    "no JSON": Fault.answer_becomes(body=b"{", content_type="application/json"),
    "nothing": Fault.answer_becomes(202, body=b""),
    "no reference number": Fault.fields_missing("referenceNumber"),
    "list in place of an object": Fault.answer_becomes(body=b"[]"),
    "lost": Fault.drop_after(),
    "gateway": Fault.html(502, after_effect=True),
    "KSeF's own 500": Fault.server_error(after_effect=True),
}


async def deliver(sandbox: Sandbox, url: str, count: int = INVOICES) -> Calls:
    calls = Calls()
    async with (
        connected(sandbox, retry=ONCE, hook=calls) as client,
        Submissions(url, client=client, settings=QUICK_SETTINGS) as submissions,
    ):
        for number in range(count):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
        async with submissions.running():
            await submissions.wait_until_settled()
        assert (await submissions.count())[SubmissionState.ACCEPTED] == count
        assert not any(one.is_duplicate for one in await submissions.list_page())
        assert await submissions.troubles() == {}
    return calls


@pytest.mark.parametrize("name", VARIANTS)
async def test_answer_to_a_send_of_any_kind_sends_nothing_twice(sqlite_url: str, sandbox: Sandbox, name: str) -> None:
    sandbox.faults.add("send_invoice", VARIANTS[name], times=INVOICES)

    calls = await deliver(sandbox, sqlite_url)

    assert calls.count("send_invoice") == INVOICES
    assert sum(1 for _ in sandbox.world.invoices()) == INVOICES
    assert len(sandbox.world.sessions) == 1
    assert left_open(sandbox) == []


@pytest.mark.parametrize("name", [name for name in VARIANTS if name != "no reference number"])
async def test_answer_to_a_close_of_any_kind_closes(sqlite_url: str, sandbox: Sandbox, name: str) -> None:
    sandbox.faults.add("close_online_session", VARIANTS[name])

    calls = await deliver(sandbox, sqlite_url)

    assert calls.count("close_online_session") <= 2
    assert len(sandbox.world.sessions) == 1
    assert left_open(sandbox) == []


@pytest.mark.parametrize("fault", [Fault.answer_becomes(200), Fault.fields_missing("validUntil")])
async def test_opening_that_can_be_read_is_one(sqlite_url: str, sandbox: Sandbox, fault: Fault) -> None:
    sandbox.faults.add("open_online_session", fault)

    await deliver(sandbox, sqlite_url)

    assert len(sandbox.world.sessions) == 1
    assert left_open(sandbox) == []


async def test_refusal_of_what_is_in_doubt_is_settled_by_ksefs_list(sqlite_url: str, sandbox: Sandbox) -> None:
    # KSeF has it, says nothing, shows it late, and refuses the second.
    sandbox.faults.add("send_invoice", Fault.drop_after())
    sandbox.faults.add("send_invoice", Fault.refuse(21405, "nie"))
    sandbox.faults.add("list_session_invoices", Fault.answer_becomes(body=b'{"invoices": []}'), times=9)

    calls = await deliver(sandbox, sqlite_url, 1)

    assert calls.count("send_invoice") == 2
    assert sum(1 for _ in sandbox.world.invoices()) == 1


async def test_firewall_that_answers_a_third_of_all_calls_loses_and_doubles_nothing(
    sqlite_url: str, sandbox: Sandbox
) -> None:
    sandbox.faults.seed(20261127)
    sandbox.faults.add(None, Fault.html(403), probability=0.3)
    settings = attrs.evolve(QUICK_SETTINGS, longest_pause=0.2)
    async with (
        connected(sandbox) as client,
        Submissions(sqlite_url, client=client, settings=settings) as submissions,
    ):
        for number in range(INVOICES):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
        async with submissions.running():
            with anyio.fail_after(40):
                await submissions.wait_until_settled()

        assert (await submissions.count())[SubmissionState.ACCEPTED] == INVOICES
    assert sum(1 for _ in sandbox.world.invoices()) == INVOICES
    assert left_open(sandbox) == []


async def test_document_that_a_gateway_finds_too_large_is_rejected_by_itself(sqlite_url: str, sandbox: Sandbox) -> None:
    sandbox.faults.add("send_invoice", Fault.html(413))
    calls = Calls()
    async with (
        connected(sandbox, hook=calls) as client,
        Submissions(sqlite_url, client=client, settings=QUICK_SETTINGS) as submissions,
    ):
        for number in range(2):
            await submissions.submit(sample_invoice(sandbox.nip, f"FV/{number}"))
        async with submissions.running():
            await submissions.wait_until_settled()

        assert {one.state for one in await submissions.list_page()} == {
            SubmissionState.ACCEPTED,
            SubmissionState.REJECTED,
        }
        (reason,) = [one.reason for one in await submissions.list_page() if one.reason is not None]
    assert "HTTP 413" in reason.text
    # Nothing of it is in doubt: it is neither sent again nor looked for.
    assert calls.count("send_invoice") == 2
    assert left_open(sandbox) == []
