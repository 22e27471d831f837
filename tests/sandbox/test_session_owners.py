"""Whose sessions one sees and uses: those one opened; the owner and inspectors of a context see all. (ksef-api#841)"""

from __future__ import annotations

import pytest
from parties import OFFICE, PESEL, grant
from sandbox.test_permissions import log_in_as
from sandbox.wire import OpenedSession, Tokens, Wire

from ksef_async import Context, ContextType
from ksef_async.sandbox.grants import GrantKind
from ksef_async.sandbox.subjects import Subject

CLERK, COLLEAGUE = Subject("Pesel", PESEL), Subject("Nip", OFFICE)


async def employee(wire: Wire, subject: Subject, *permissions: str) -> Tokens:
    """Log in somebody who was granted these permissions in the first company's context."""
    context = Context(ContextType.NIP, wire.sandbox.nip)
    for permission in permissions:
        grant(wire.sandbox, GrantKind.PERSON, context, subject, permission)
    return await log_in_as(wire, subject, "Nip", wire.sandbox.nip)


@pytest.fixture
async def opened(wire: Wire) -> OpenedSession:
    """Of one employee, with an invoice in it."""
    session = await wire.open((await employee(wire, CLERK, "InvoiceWrite")).access)
    assert (await session.send(wire.invoice())).status == 202
    return session


def seen_by(session: OpenedSession, tokens: Tokens) -> OpenedSession:
    """The session as somebody else calls for it."""
    wire, number = session.wire, session.reference_number
    return OpenedSession(wire, number, session.valid_until, session.key, session.iv, tokens.access)


async def listed(wire: Wire, tokens: Tokens) -> list[str]:
    answer = await wire.call("GET", "/sessions?sessionType=Online", tokens.access)
    assert answer.status == 200, answer.body
    return [row["referenceNumber"] for row in answer.json["sessions"]]


async def looks(session: OpenedSession) -> set[tuple[int, str | None]]:
    """What looking into a session by every way ends with."""
    (invoice,) = session.wire.sandbox.world.sessions[session.reference_number].invoices
    paths = ("", "/invoices", "/invoices/failed", f"/invoices/{invoice}", f"/invoices/{invoice}/upo")
    answers = [await session.get(path) for path in paths]
    return {(answer.status, answer.json.get("reasonCode") if answer.status == 403 else None) for answer in answers}


async def test_colleague_neither_sees_nor_uses_a_session(wire: Wire, opened: OpenedSession) -> None:
    colleague = await employee(wire, COLLEAGUE, "InvoiceWrite", "InvoiceRead")
    wire.advance(2)
    theirs = seen_by(opened, colleague)

    assert await listed(wire, colleague) == []
    assert await looks(theirs) == {(403, "insufficient-resource-access")}
    for refused in (await theirs.send(wire.invoice("FV/2")), await theirs.close()):
        assert (refused.status, refused.json["reasonCode"]) == (403, "insufficient-resource-access")
    assert (await opened.send(wire.invoice("FV/3"))).status == 202


@pytest.mark.parametrize("permission", ["Introspection", "EnforcementOperations"])
async def test_inspector_sees_a_session_but_does_not_close_it(
    wire: Wire, opened: OpenedSession, permission: str
) -> None:
    inspector = await employee(wire, COLLEAGUE, "InvoiceWrite", permission)
    wire.advance(2)
    theirs = seen_by(opened, inspector)

    assert await listed(wire, inspector) == [opened.reference_number]
    assert await looks(theirs) == {(200, None)}
    for refused in (await theirs.send(wire.invoice("FV/2")), await theirs.close()):
        assert (refused.status, refused.json["reasonCode"]) == (403, "insufficient-resource-access")


async def test_introspection_counts_with_the_next_token(wire: Wire, opened: OpenedSession) -> None:
    colleague = await employee(wire, COLLEAGUE, "InvoiceWrite")
    grant(wire.sandbox, GrantKind.PERSON, Context(ContextType.NIP, wire.sandbox.nip), COLLEAGUE, "Introspection")

    before = await listed(wire, colleague)
    refreshed = (await wire.call("POST", "/auth/token/refresh", colleague.refresh)).json["accessToken"]["token"]
    after = await wire.call("GET", f"/sessions/{opened.reference_number}", refreshed)

    assert before == []
    assert after.status == 200


async def test_owner_of_the_context_sees_and_closes_every_session(
    wire: Wire, tokens: Tokens, opened: OpenedSession
) -> None:
    wire.advance(2)
    owners = seen_by(opened, tokens)

    assert await listed(wire, tokens) == [opened.reference_number]
    assert await looks(owners) == {(200, None)}
    assert (await owners.close()).status == 204


async def test_who_opened_a_session_uses_it_with_another_login(wire: Wire, opened: OpenedSession) -> None:
    again = await log_in_as(wire, CLERK, "Nip", wire.sandbox.nip)
    wire.advance(2)

    assert await listed(wire, again) == [opened.reference_number]
    assert (await seen_by(opened, again).close()).status == 204


async def test_person_is_the_same_by_nip_and_by_pesel(wire: Wire, opened: OpenedSession) -> None:
    person = {"nip": OFFICE, "pesel": PESEL, "isBailiff": False, "description": "Sole trader"}
    assert (await wire.call("POST", "/testdata/person", json=person)).status == 200
    by_nip = await log_in_as(wire, COLLEAGUE, "Nip", wire.sandbox.nip)
    wire.advance(2)

    assert await listed(wire, by_nip) == [opened.reference_number]
    assert (await seen_by(opened, by_nip).close()).status == 204


async def test_batch_session_of_a_colleague_is_not_closed(wire: Wire) -> None:
    clerk = await employee(wire, CLERK, "InvoiceWrite")
    colleague = await employee(wire, COLLEAGUE, "InvoiceWrite")
    request = await wire.open_request(b"k" * 32, b"i" * 16)
    part = {"ordinalNumber": 1, "fileSize": 16, "fileHash": "A" * 43 + "="}
    request["batchFile"] = {"fileSize": 16, "fileHash": "A" * 43 + "=", "fileParts": [part]}
    opened = await wire.call("POST", "/sessions/batch", clerk.access, json=request)
    assert opened.status == 201, opened.body

    refused = await wire.call("POST", f"/sessions/batch/{opened.json['referenceNumber']}/close", colleague.access)

    assert (refused.status, refused.json["reasonCode"]) == (403, "insufficient-resource-access")
