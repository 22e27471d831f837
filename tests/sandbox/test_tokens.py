"""KSeF tokens at the sandbox: who may generate, see and revoke them, and when they can be logged in with."""

from __future__ import annotations

from typing import Any

import pytest
from parties import OFFICE, PESEL, grant, token_of
from sandbox.signed_login import DATES, EC_KEY, log_in, outcome, signer
from sandbox.test_permissions import change, for_person, rows
from sandbox.wire import Answer, Tokens, Wire

from ksef_async.api.common import Context, ContextType
from ksef_async.crypto.issuing import self_signed_person
from ksef_async.sandbox.grants import GrantKind
from ksef_async.sandbox.world import StoredToken, Subject

PERSON = Subject("Pesel", PESEL)
READER = {"permissions": ["InvoiceRead"], "description": "For reading"}


@pytest.fixture
def generous(wire: Wire) -> Wire:
    """A sandbox where a login by token may do what at KSeF takes a certificate."""
    wire.sandbox.world.tokens_generate_tokens = True
    return wire


async def generate(wire: Wire, access: str, **changes: Any) -> Answer:
    return await wire.call("POST", "/tokens", access, json=READER | changes)


async def status(wire: Wire, access: str, reference_number: str) -> str:
    return str((await wire.call("GET", f"/tokens/{reference_number}", access)).json["status"])


async def login_details(wire: Wire, token: str) -> list[str]:
    started = (await wire.log_in(token=token)).json
    wire.advance(1)
    operation = started["authenticationToken"]["token"]
    login = (await wire.call("GET", f"/auth/{started['referenceNumber']}", operation)).json["status"]
    assert login["code"] == (450 if login.get("details") else 200)
    return list(login.get("details", []))


async def test_login_by_token_may_not_generate_tokens(wire: Wire, tokens: Tokens) -> None:
    answer = await generate(wire, tokens.access)

    assert answer.status == 403
    assert answer.json["reasonCode"] == "auth-method-not-allowed"
    assert answer.json["security"] == {"authenticationMethodCategory": "Token"}


async def test_token_can_be_used_between_activation_and_revocation(generous: Wire, tokens: Tokens) -> None:
    answer = await generate(generous, tokens.access)
    assert answer.status == 202
    reference_number, secret = answer.json["referenceNumber"], answer.json["token"]
    assert secret.startswith(f"{reference_number}|nip-{generous.sandbox.nip}|")
    assert len(secret) <= 160
    assert await status(generous, tokens.access, reference_number) == "Pending"
    assert await login_details(generous, secret) == ["Token nieaktywny"]

    assert await status(generous, tokens.access, reference_number) == "Active"
    assert await login_details(generous, secret) == []
    shown = (await generous.call("GET", f"/tokens/{reference_number}", tokens.access)).json
    assert shown["requestedPermissions"] == ["InvoiceRead"]
    assert "lastUseDate" in shown
    assert "token" not in shown

    revoked = await generous.call("DELETE", f"/tokens/{reference_number}", tokens.access)
    assert (revoked.status, revoked.body) == (204, b"")
    assert await status(generous, tokens.access, reference_number) == "Revoking"
    assert await login_details(generous, secret) == ["Token unieważniony"]
    assert await status(generous, tokens.access, reference_number) == "Revoked"
    assert (await generous.call("DELETE", f"/tokens/{reference_number}", tokens.access)).error == (400, 21405)


async def test_login_of_a_revoked_token_is_neither_redeemed_nor_refreshed(generous: Wire, tokens: Tokens) -> None:
    answer = (await generate(generous, tokens.access)).json
    generous.advance(1)
    redeemed = await generous.tokens(token=answer["token"])
    started = (await generous.log_in(token=answer["token"])).json["authenticationToken"]["token"]
    generous.advance(1)

    await generous.call("DELETE", f"/tokens/{answer['referenceNumber']}", tokens.access)

    for path, bearer in (("refresh", redeemed.refresh), ("redeem", started)):
        refused = await generous.call("POST", f"/auth/token/{path}", bearer)
        assert refused.error == (400, 21301)
        assert refused.details == ["Token KSeF został unieważniony."]
    # The access token lives on until it expires.
    assert (await generous.call("GET", "/rate-limits", redeemed.access)).status == 200


@pytest.mark.parametrize(
    ("changes", "code", "detail"),
    [
        pytest.param({"description": "1234"}, 21405, "'description' must be between 5 and 256 characters", id="short"),
        pytest.param({"description": "x" * 257}, 21405, "'description' must be between 5 and 256", id="long"),
        pytest.param({"permissions": []}, 21405, "'permissions' must not be empty.", id="no permission"),
        pytest.param({"permissions": ["Everything"]}, 21405, "The value 'Everything' is not valid", id="unknown"),
        pytest.param({"permissions": None}, 21405, "'permissions' must not be empty", id="none"),
        pytest.param(
            {"permissions": ["InvoiceRead", "EnforcementOperations"]}, 26001,
            "Brakujące uprawnienia: EnforcementOperations", id="more than one has",
        ),
    ],
)  # fmt: skip
async def test_token_is_refused(
    generous: Wire, tokens: Tokens, changes: dict[str, Any], code: int, detail: str
) -> None:
    refused = await generate(generous, tokens.access, **changes)

    assert refused.error == (400, code)
    assert refused.details[0].startswith(detail)


async def test_token_is_for_a_nip_or_an_internal_identifier(generous: Wire) -> None:
    secret = "a-token-of-a-vat-group"
    group, author = Context(ContextType.NIP_VAT_UE, "5265877635-DE123456789"), Subject("Nip", "5265877635")
    grant(generous.sandbox, GrantKind.EU_REPRESENTATIVE, group, author, "InvoiceRead")
    generous.sandbox.world.tokens[secret] = StoredToken(
        reference_number="20260701-EC-0000000000-0000000000-00",
        context=group,
        author=author,
        permissions=("InvoiceRead",),
        description="Made by hand",
        created_at=generous.sandbox.clock.now(),
        active_at=generous.sandbox.clock.now(),
    )
    context = {"type": "NipVatUe", "value": "5265877635-DE123456789"}
    started = (await generous.log_in(token=secret, contextIdentifier=context)).json
    generous.advance(1)
    pair = (await generous.call("POST", "/auth/token/redeem", started["authenticationToken"]["token"])).json

    refused = await generate(generous, pair["accessToken"]["token"])

    assert refused.error == (400, 26002)
    assert "NipVatUe" in refused.details[0]


async def test_tokens_are_listed_newest_first_in_pages_and_by_filters(generous: Wire, tokens: Tokens) -> None:
    made = []
    for number in range(12):
        made.append((await generate(generous, tokens.access, description=f"Number {number:02}")).json)
        generous.advance(0.25)
    first = await generous.call("GET", "/tokens", tokens.access)
    token = first.json["continuationToken"]
    second = await generous.call("GET", "/tokens", tokens.access, headers={"x-continuation-token": token})

    listed = first.json["tokens"] + second.json["tokens"]
    assert len(first.json["tokens"]) == 10
    assert [row["referenceNumber"] for row in listed[:12]] == [row["referenceNumber"] for row in reversed(made)]
    assert listed[12]["description"] == "Issued by the sandbox"
    assert "continuationToken" not in second.json

    async def found(query: str) -> int:
        return len((await generous.call("GET", f"/tokens?pageSize=100&{query}", tokens.access)).json["tokens"])

    assert await found("status=Pending&status=revoked") == 3
    assert await found("status=active") == 10
    assert await found("description=number%200") == 10
    assert await found(f"authorIdentifier={generous.sandbox.nip[2:6]}&authorIdentifierType=Nip") == 13
    assert await found("authorIdentifierType=Pesel") == 0


@pytest.mark.parametrize(
    "query",
    ["status=Gone", "description=xy", "authorIdentifier=12", "authorIdentifierType=Name", "pageSize=9", "pageSize=101"],
)
async def test_bad_filter_is_refused(wire: Wire, tokens: Tokens, query: str) -> None:
    assert (await wire.call("GET", f"/tokens?{query}", tokens.access)).error == (400, 21405)


async def test_only_ones_own_token_is_seen_without_a_permission_for_more(generous: Wire, tokens: Tokens) -> None:
    answer = (await generate(generous, tokens.access)).json
    generous.advance(1)
    reader = await generous.tokens(token=answer["token"])
    (first,) = [row for row in generous.sandbox.world.tokens.values() if row.description == "Issued by the sandbox"]

    listed = (await generous.call("GET", "/tokens", reader.access)).json["tokens"]
    assert [row["referenceNumber"] for row in listed] == [answer["referenceNumber"]]
    refused = await generous.call("DELETE", f"/tokens/{first.reference_number}", reader.access)
    assert (refused.status, refused.json["reasonCode"]) == (403, "insufficient-resource-access")
    # Yet it can follow one whose reference number it knows, as a test of the Ministry's does.
    assert await status(generous, reader.access, first.reference_number) == "Active"
    assert (await generous.call("DELETE", f"/tokens/{answer['referenceNumber']}", reader.access)).status == 204


async def test_tokens_of_another_context_are_not_seen(wire: Wire, tokens: Tokens) -> None:
    stranger = await wire.stranger()
    (row,) = (await wire.call("GET", "/tokens", tokens.access)).json["tokens"]

    assert (await wire.call("GET", f"/tokens/{row['referenceNumber']}", stranger.access)).status == 403
    unknown = await wire.call("GET", "/tokens/20260701-EC-0000000000-0000000000-00", tokens.access)
    assert unknown.error == (400, 21405)


async def test_person_sees_tokens_generated_by_nip_when_logged_in_by_pesel(generous: Wire, tokens: Tokens) -> None:
    company = Context(ContextType.NIP, generous.sandbox.nip)
    for subject in (PERSON, Subject("Nip", OFFICE)):
        grant(generous.sandbox, GrantKind.PERSON, company, subject, "InvoiceRead")
    by_nip = await generous.tokens(token=token_of(generous.sandbox, Subject("Nip", OFFICE), company))
    made = (await generate(generous, by_nip.access)).json["referenceNumber"]
    by_pesel = await by_certificate(generous)

    async def sees() -> tuple[int, bool]:
        rows = (await generous.call("GET", "/tokens", by_pesel)).json["tokens"]
        one = await generous.call("GET", f"/tokens/{made}", by_pesel)
        return one.status, made in [row["referenceNumber"] for row in rows]

    assert await sees() == (403, False)
    person = {"nip": OFFICE, "pesel": PESEL, "isBailiff": False, "description": "Sole trader"}
    assert (await generous.call("POST", "/testdata/person", json=person)).status == 200
    assert await sees() == (200, True)
    generous.advance(1)
    assert (await generous.call("DELETE", f"/tokens/{made}", by_pesel)).status == 204


async def by_certificate(wire: Wire) -> str:
    """Log in the person with a certificate that names the PESEL: an access token."""
    by = signer(certificate=self_signed_person(EC_KEY, pesel=PESEL, **DATES).der)
    started = await log_in(wire, by, context=f"<Nip>{wire.sandbox.nip}</Nip>")
    await outcome(wire, started)
    pair = (await wire.call("POST", "/auth/token/redeem", started.json["authenticationToken"]["token"])).json
    return str(pair["accessToken"]["token"])


async def test_subject_that_loses_all_permissions_loses_its_tokens(generous: Wire, tokens: Tokens) -> None:
    """The steps of the Ministry's RevokedPermissionsKsefTokenLifecycleIntegrationTests."""
    nip = generous.sandbox.nip
    assert await change(generous, tokens.access, "persons/grants", for_person("InvoiceWrite", "InvoiceRead")) == 200
    clerk = await by_certificate(generous)
    made = (await generate(generous, clerk, permissions=["InvoiceWrite", "InvoiceRead"])).json
    generous.advance(1)
    login = await generous.tokens(token=made["token"])
    assert (await generous.open(login.access)).reference_number
    in_context = {"queryType": "PermissionsInCurrentContext"}

    first, last = await rows(generous, tokens.access, "persons/grants", in_context)
    assert await change(generous, tokens.access, f"common/grants/{first['id']}", None, "DELETE") == 200
    assert await status(generous, tokens.access, made["referenceNumber"]) == "Active"
    assert await change(generous, tokens.access, f"common/grants/{last['id']}", None, "DELETE") == 200

    # What was issued before lives on; a refresh gives a token that lets do nothing; nobody logs in any more.
    assert (await generous.open(login.access)).reference_number
    refreshed = await generous.call("POST", "/auth/token/refresh", login.refresh)
    assert refreshed.status == 200
    powerless = refreshed.json["accessToken"]["token"]
    refused = await generous.call(
        "POST", "/sessions/online", powerless, json=await generous.open_request(b"k" * 32, b"i" * 16)
    )
    assert (refused.status, refused.json["security"]["presentPermissions"]) == (403, [])
    assert await status(generous, tokens.access, made["referenceNumber"]) == "Revoked"
    assert await login_details(generous, made["token"]) == ["Token unieważniony"]

    # For good: what is granted later needs a token of its own.
    assert await change(generous, tokens.access, "persons/grants", for_person("InvoiceRead")) == 200
    assert await status(generous, tokens.access, made["referenceNumber"]) == "Revoked"
    again = (await generate(generous, await by_certificate(generous))).json
    generous.advance(1)
    assert await login_details(generous, again["token"]) == []
    assert nip in again["token"]
