"""Collective identifiers at the sandbox: what can be grouped, and who sees how much of it."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from sandbox.wire import VERDICT, Answer, Tokens, Wire, check_digits

BUYER = "5265877635"
PATH = "/collective-identifiers"
RANGE = {"dateCreatedFrom": "2026-06-01T00:00:00Z", "dateCreatedTo": "2026-09-01T00:00:00+02:00"}


async def accepted(wire: Wire, access: str, count: int, *, seller: str | None = None) -> list[str]:
    """KSeF numbers of invoices for `BUYER`."""
    session = await wire.open(access)
    for number in range(count):
        invoice = wire.invoice(f"FV/{number}", buyer_nip=BUYER)
        if seller is not None:
            invoice = invoice.replace(wire.sandbox.nip.encode(), seller.encode())
        assert (await session.send(invoice)).status == 202
    wire.advance(VERDICT)
    return [row["ksefNumber"] for row in (await session.get("/invoices")).json["invoices"]]


async def group(wire: Wire, access: str, numbers: list[str], **details: Any) -> Answer:
    invoices = [{"ksefNumber": number, **details} for number in numbers]
    return await wire.call("POST", PATH, access, json={"invoices": invoices})


async def test_invoices_of_a_seller_are_grouped_under_a_number_with_check_digits(wire: Wire, tokens: Tokens) -> None:
    numbers = await accepted(wire, tokens.access, 2)

    answer = await group(wire, tokens.access, numbers)

    assert answer.status == 201
    number = answer.json["collectiveIdentifierNumber"]
    assert len(number) == 35
    assert number.startswith(f"{wire.sandbox.nip}-IZ202607-")
    assert number.endswith(f"-{check_digits(number[:-3])}")


@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        pytest.param(lambda numbers: numbers[:1], 21405, "'invoices' must contain at least 2 items", id="one"),
        pytest.param(lambda numbers: [numbers[0], numbers[0]], 71005, "Powtórzony numer KSeF {0}.", id="twice"),
        pytest.param(
            lambda numbers: [numbers[0], "1111111111-20260612-6310EC800000-DA"], 71001,
            "Faktura o numerze KSeF 1111111111-20260612-6310EC800000-DA nie została znaleziona.", id="unknown",
        ),
        pytest.param(lambda numbers: [numbers[0], "FV/1"], 21405, "'invoices[1].ksefNumber'", id="no KSeF number"),
    ],
)  # fmt: skip
async def test_group_is_refused(wire: Wire, tokens: Tokens, changes: Any, code: int, detail: str) -> None:
    numbers = await accepted(wire, tokens.access, 2)

    refused = await group(wire, tokens.access, changes(numbers))

    assert refused.error == (400, code)
    assert refused.details[0].startswith(detail.format(*numbers))


async def test_group_is_of_one_seller(wire: Wire, tokens: Tokens) -> None:
    buyer = await wire.stranger()
    ours = await accepted(wire, tokens.access, 1)
    theirs = await accepted(wire, buyer.access, 1, seller=BUYER)

    refused = await group(wire, buyer.access, ours + theirs)

    assert refused.error == (400, 71004)
    assert refused.details == [f"Faktura o numerze KSeF {theirs[0]} ma innego sprzedawcę."]


async def test_group_has_as_many_invoices_as_the_context_is_granted(wire: Wire, tokens: Tokens) -> None:
    limits = (await wire.call("GET", "/limits/context", tokens.access)).json
    limits["collectiveIdentifier"]["maxInvoices"] = 2
    await wire.call("POST", "/testdata/limits/context/session", tokens.access, json=limits)
    numbers = await accepted(wire, tokens.access, 3)

    assert (await group(wire, tokens.access, numbers)).error == (400, 21405)
    assert (await group(wire, tokens.access, numbers[:2])).status == 201


async def test_invoice_is_in_at_most_132_groups_of_a_context(wire: Wire, tokens: Tokens) -> None:
    buyer = await wire.stranger()
    numbers = await accepted(wire, tokens.access, 2)
    first = (await group(wire, tokens.access, numbers)).json["collectiveIdentifierNumber"]
    for number in range(131):
        wire.sandbox.world.groups[str(number)] = attrs.evolve(wire.sandbox.world.groups[first], number=str(number))

    refused = await group(wire, tokens.access, numbers)

    assert refused.error == (400, 71002)
    assert (await group(wire, buyer.access, numbers)).status == 201


@pytest.mark.parametrize(
    "invoice",
    [
        {"payment": {"amount": 1, "currency": "ABC"}},
        {"payment": {"amount": "1", "currency": "PLN"}},
        {"payment": {"currency": "PLN"}},
        {"description": "x" * 513},
    ],
)
async def test_bad_details_are_refused(wire: Wire, tokens: Tokens, invoice: dict[str, Any]) -> None:
    numbers = await accepted(wire, tokens.access, 2)

    assert (await group(wire, tokens.access, numbers, **invoice)).error == (400, 21405)


async def test_details_are_seen_by_creator_and_parties_only(wire: Wire, tokens: Tokens) -> None:
    buyer = await wire.stranger()
    other = await wire.tokens(nip="7762811692", token=wire.sandbox.issue_token("7762811692"))
    numbers = await accepted(wire, tokens.access, 2)
    payment = {"amount": 123.45, "currency": "PLN"}
    detailed = (await group(wire, buyer.access, numbers, payment=payment, description="Rent")).json
    bare = (await group(wire, buyer.access, numbers)).json

    async def seen(access: str, *groups: dict[str, str]) -> list[dict[str, Any]]:
        query = {"collectiveIdentifierNumbers": [each["collectiveIdentifierNumber"] for each in groups]}
        rows = (await wire.call("POST", f"{PATH}/invoices", access, json=query)).json["invoices"]
        return [dict(row) for row in rows]

    for access in (buyer.access, tokens.access):
        rows = await seen(access, detailed)
        assert [row["ksefNumber"] for row in rows] == sorted(numbers, reverse=True)
        assert all(row["payment"] == payment and row["description"] == "Rent" for row in rows)
        assert all(row["detailsHidden"] is False for row in rows)
    rows = await seen(other.access, detailed)
    assert all(row.keys() == {"ksefNumber", "collectiveIdentifierNumber", "detailsHidden"} for row in rows)
    assert [row["detailsHidden"] for row in rows] == [True, True]
    assert [row["detailsHidden"] for row in await seen(other.access, bare)] == [False, False]
    assert len(await seen(tokens.access, detailed, bare)) == 4
    for count in (0, 11):
        query = {"collectiveIdentifierNumbers": ["x"] * count}
        assert (await wire.call("POST", f"{PATH}/invoices", tokens.access, json=query)).error == (400, 21405)


async def test_groups_are_found_by_creator_and_seller(wire: Wire, tokens: Tokens) -> None:
    buyer = await wire.stranger()
    other = await wire.tokens(nip="7762811692", token=wire.sandbox.issue_token("7762811692"))
    numbers = await accepted(wire, tokens.access, 3)
    by_buyer = (await group(wire, buyer.access, numbers)).json["collectiveIdentifierNumber"]
    wire.advance(1)
    by_seller = (await group(wire, tokens.access, numbers[:2])).json["collectiveIdentifierNumber"]

    async def found(access: str, **wanted: Any) -> list[tuple[str, int, bool]]:
        answer = await wire.call("POST", f"{PATH}/query", access, json=RANGE | wanted)
        return [
            (row["collectiveIdentifierNumber"], row["invoiceCount"], row["createdInCurrentContext"])
            for row in answer.json["collectiveIdentifiers"]
        ]

    assert await found(tokens.access) == [(by_seller, 2, True), (by_buyer, 3, False)]
    assert await found(buyer.access) == [(by_buyer, 3, True)]
    assert await found(other.access) == []
    assert await found(tokens.access, createdInCurrentContext=False) == [(by_buyer, 3, False)]
    assert await found(tokens.access, invoiceCountFrom=3) == [(by_buyer, 3, False)]
    assert await found(tokens.access, invoiceCountTo=2) == [(by_seller, 2, True)]
    assert await found(tokens.access, collectiveIdentifierNumber=by_buyer) == [(by_buyer, 3, False)]
    assert await found(tokens.access, dateCreatedTo="2026-06-30T00:00:00Z") == []

    async def of_invoice(access: str, number: str) -> list[str]:
        rows = (await wire.call("GET", f"{PATH}/ksef/{number}", access)).json["collectiveIdentifiers"]
        return [row["collectiveIdentifierNumber"] for row in rows]

    assert await of_invoice(tokens.access, numbers[0]) == [by_seller, by_buyer]
    assert await of_invoice(buyer.access, numbers[2]) == [by_buyer]
    assert await of_invoice(other.access, numbers[2]) == []
    assert (await wire.call("GET", f"{PATH}/ksef/FV1", tokens.access)).error == (400, 21405)


@pytest.mark.parametrize(
    "wanted",
    [
        {"dateCreatedTo": "2026-09-10T00:00:00Z"},
        {"dateCreatedTo": "2026-05-01T00:00:00Z"},
        {"dateCreatedTo": "yesterday"},
        {"dateCreatedTo": None},
        {"invoiceCountFrom": "1"},
    ],
    ids=str,
)
async def test_bad_query_is_refused(wire: Wire, tokens: Tokens, wanted: dict[str, Any]) -> None:
    assert (await wire.call("POST", f"{PATH}/query", tokens.access, json=RANGE | wanted)).error == (400, 21405)
