"""The logins that can still be refreshed, at the sandbox."""

from __future__ import annotations

from sandbox.wire import Tokens, Wire


async def test_active_logins_are_listed_newest_first(wire: Wire, tokens: Tokens) -> None:
    wire.advance(5)
    later = await wire.tokens()
    await wire.log_in()  # decided, but not redeemed
    await wire.stranger()

    items = (await wire.call("GET", "/auth/sessions", tokens.access)).json["items"]

    assert [(item["referenceNumber"], item["isCurrent"]) for item in items] == [
        (later.reference_number, False),
        (tokens.reference_number, True),
    ]
    assert items[0]["status"] == {"code": 200, "description": "Uwierzytelnianie zakończone sukcesem"}
    assert items[0]["authenticationMethodInfo"]["category"] == "Token"
    assert {"startDate", "authenticationMethod", "isTokenRedeemed", "refreshTokenValidUntil"} <= items[0].keys()


async def test_revoked_login_is_gone_from_the_list_and_cannot_be_refreshed(wire: Wire, tokens: Tokens) -> None:
    other = await wire.tokens()

    revoked = await wire.call("DELETE", f"/auth/sessions/{other.reference_number}", tokens.access)

    assert (revoked.status, revoked.body) == (204, b"")
    refused = await wire.call("POST", "/auth/token/refresh", other.refresh)
    assert refused.error == (400, 21301)
    assert "(425)" in refused.details[0]
    items = (await wire.call("GET", "/auth/sessions", other.access)).json["items"]
    assert [item["referenceNumber"] for item in items] == [tokens.reference_number]


async def test_login_of_somebody_else_cannot_be_revoked(wire: Wire, tokens: Tokens) -> None:
    stranger = await wire.stranger()

    refused = await wire.call("DELETE", f"/auth/sessions/{stranger.reference_number}", tokens.access)

    assert refused.error == (400, 21405)
    assert (await wire.call("POST", "/auth/token/refresh", stranger.refresh)).status == 200
    unknown = await wire.call("DELETE", "/auth/sessions/20260701-AU-0000000000-0000000000-00", tokens.access)
    assert unknown.error == (400, 21405)


async def test_login_whose_refresh_token_expired_is_not_listed(wire: Wire, tokens: Tokens) -> None:
    wire.advance(7 * 86400)
    later = await wire.tokens()

    items = (await wire.call("GET", "/auth/sessions", later.access)).json["items"]

    assert [item["referenceNumber"] for item in items] == [later.reference_number]


async def test_logins_come_in_pages(wire: Wire) -> None:
    logins = [(await wire.tokens()) for _ in range(11)]

    first = (await wire.call("GET", "/auth/sessions?pageSize=10", logins[0].access)).json
    headers = {"x-continuation-token": first["continuationToken"]}
    second = (await wire.call("GET", "/auth/sessions?pageSize=10", logins[0].access, headers=headers)).json

    assert [len(first["items"]), len(second["items"])] == [10, 1]
    assert second["items"][0]["isCurrent"] is True
    bad = await wire.call("GET", "/auth/sessions", logins[0].access, headers={"x-continuation-token": "?"})
    assert bad.error == (400, 21418)
