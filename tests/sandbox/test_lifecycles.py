"""What the sandbox tells of one thing, one status after the other, follows the tables of `protocol.lifecycle`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sandbox.wire import OpenedSession, Tokens, Wire

from ksef_async.sandbox import Fault


@pytest.mark.parametrize(
    ("token", "code"), [pytest.param("no such token", 450, id="failed"), pytest.param(None, 200, id="in progress")]
)
async def test_login_that_has_let_nobody_in_cannot_be_revoked(
    wire: Wire, tokens: Tokens, token: str | None, code: int
) -> None:
    started = (await wire.log_in(token=token)).json
    if code != 200:
        wire.advance(1)

    refused = await wire.call("DELETE", f"/auth/sessions/{started['referenceNumber']}", tokens.access)

    assert refused.error == (400, 21405)
    wire.advance(1)
    path, operation = f"/auth/{started['referenceNumber']}", started["authenticationToken"]["token"]
    assert (await wire.call("GET", path, operation)).json["status"]["code"] == code


async def test_login_stays_revoked_when_it_is_revoked_again(wire: Wire, tokens: Tokens) -> None:
    other = await wire.tokens()

    answers = [await wire.call("DELETE", f"/auth/sessions/{other.reference_number}", tokens.access) for _ in range(2)]

    assert [answer.status for answer in answers] == [204, 204]
    status = (await wire.call("GET", f"/auth/{other.reference_number}", other.operation)).json["status"]
    assert status["code"] == 425


async def test_session_closed_before_its_bad_key_shows_ends_with_415(wire: Wire, tokens: Tokens) -> None:
    wire.sandbox.faults.add("open_online_session", Fault.wrong_key())
    session = await wire.open(tokens.access)
    sent = (await session.send(wire.invoice())).json["referenceNumber"]

    assert (await session.close()).status == 204
    seen = [await session.status()]
    wire.advance(1)
    seen.append(await session.status())

    assert seen == [170, 415]
    assert (await session.get(f"/invoices/{sent}")).json["status"]["code"] == 405


async def test_session_that_died_open_does_not_change_when_it_would_have_been_closed(
    wire: Wire, session: OpenedSession
) -> None:
    wire.sandbox.faults.add("send_invoice", Fault.session_dies())
    await session.send(wire.invoice())
    died = (await session.get()).json

    wire.advance(13 * 3600)

    access = (await wire.tokens()).access
    later = (await wire.call("GET", f"/sessions/{session.reference_number}", access)).json
    assert (died["status"]["code"], later["status"]["code"]) == (415, 415)
    assert later["dateUpdated"] == died["dateUpdated"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fault.invoice_ends(150), "150 does not follow 150 in the lifecycle of an invoice"),
        (lambda: Fault.export_ends(210), "210 does not follow 100 in the lifecycle of an export"),
        (lambda: Fault.session_ends(170), "170 does not follow 150 in the lifecycle of a batch session"),
        (lambda: Fault.session_ends(445), "a session ends with 445 because of its invoices"),
    ],
)
def test_fault_can_only_bring_about_what_the_lifecycle_has(make: Callable[[], Fault], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
