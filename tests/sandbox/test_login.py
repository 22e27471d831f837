from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from parties import grant, token_of
from sandbox.wire import OAEP, SECOND_BY_SECOND, START, Tokens, Wire, base64, check_digits, connected

from ksef_async import Context, ContextType
from ksef_async.sandbox import Clock
from ksef_async.sandbox.grants import GrantKind
from ksef_async.sandbox.subjects import Subject

REDEEM, REFRESH, CURRENT = "/auth/token/redeem", "/auth/token/refresh", "/auth/sessions/current"


async def status_of(wire: Wire, started: Any) -> Any:
    operation = started["authenticationToken"]["token"]
    return (await wire.call("GET", f"/auth/{started['referenceNumber']}", operation)).json


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    read: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return read


# --- challenge --------------------------------------------------------------------------------------------


async def test_challenge_is_a_reference_number_with_the_callers_address(wire: Wire) -> None:
    answer = await wire.call("POST", "/auth/challenge")

    challenge = answer.json["challenge"]
    assert answer.status == 200
    assert set(answer.json) == {"challenge", "timestamp", "timestampMs", "clientIp"}
    assert (len(challenge), challenge[:12]) == (36, "20260701-CR-")
    assert challenge[-2:] == check_digits(challenge[:33])
    assert answer.json["clientIp"] == "127.0.0.1"


@pytest.mark.parametrize("microsecond", [0, 1_000, 15_000, 120_000, 123_456, 500_000, 999_999])
async def test_milliseconds_of_a_challenge_are_cut_from_its_timestamp(microsecond: int) -> None:
    start = datetime(2026, 7, 1, 10, 0, 0, microsecond, UTC)
    async with connected(clock=Clock(start, ticking=False)) as wire:
        challenge = (await wire.call("POST", "/auth/challenge")).json

    written = datetime.fromisoformat(challenge["timestamp"])
    milliseconds = (written - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert challenge["timestampMs"] == milliseconds == int(start.timestamp()) * 1000 + microsecond // 1000


async def test_challenge_is_taken_once(wire: Wire) -> None:
    challenge = (await wire.call("POST", "/auth/challenge")).json["challenge"]
    first = await wire.log_in(challenge=challenge)

    second = await wire.log_in(challenge=challenge)

    assert first.status == 202
    assert second.error == (400, 21111)


async def test_unknown_challenge_is_refused(wire: Wire) -> None:
    assert (await wire.log_in(challenge="20260701-CR-226FB7B000-3ACF9BE4C0-10")).error == (400, 21111)


@pytest.mark.parametrize(
    ("age", "taken"), [pytest.param(599, True, id="ten minutes less one second"), pytest.param(601, False, id="older")]
)
async def test_challenge_lives_for_ten_minutes(wire: Wire, age: int, taken: bool) -> None:
    challenge = (await wire.call("POST", "/auth/challenge")).json["challenge"]
    wire.advance(age)

    answer = await wire.log_in(challenge=challenge)

    assert answer.status == 202 if taken else answer.error == (400, 21111)


# --- login ------------------------------------------------------------------------------------------------


async def test_login_is_under_way_before_it_succeeds(wire: Wire) -> None:
    answer = await wire.log_in()

    started = answer.json
    before = await status_of(wire, started)
    wire.advance(1)
    after = await status_of(wire, started)

    assert answer.status == 202
    assert set(started) == {"referenceNumber", "authenticationToken"}
    assert set(started["authenticationToken"]) == {"token", "validUntil"}
    assert started["referenceNumber"][8:12] == "-AU-"
    assert before["status"] == {"code": 100, "description": "Uwierzytelnianie w toku"}
    assert after["status"] == {"code": 200, "description": "Uwierzytelnianie zakończone sukcesem"}
    assert after["authenticationMethod"] == "Token"
    assert after["authenticationMethodInfo"]["category"] == "Token"
    assert after["isTokenRedeemed"] is False
    assert not {"lastTokenRefreshDate", "refreshTokenValidUntil"} & set(after)


async def test_status_tells_what_was_done_with_the_tokens(wire: Wire, tokens: Tokens) -> None:
    redeemed = (await wire.call("GET", f"/auth/{tokens.reference_number}", tokens.operation)).json
    await wire.call("POST", REFRESH, tokens.refresh)
    refreshed = (await wire.call("GET", f"/auth/{tokens.reference_number}", tokens.operation)).json

    assert redeemed["isTokenRedeemed"] is True
    valid_until = datetime.fromisoformat(redeemed["refreshTokenValidUntil"])
    assert valid_until == START + timedelta(days=7, seconds=1)
    assert "lastTokenRefreshDate" not in redeemed
    assert datetime.fromisoformat(refreshed["lastTokenRefreshDate"]) == START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("plain", "detail"),
    [
        pytest.param("{token}|{later}", "Nieprawidłowy czas tokena", id="another time"),
        pytest.param("{token}|soon", "Nieprawidłowe kodowanie tokena", id="no number"),
        pytest.param("{token}|²", "Nieprawidłowe kodowanie tokena", id="no number either"),
        pytest.param("nothing", "Nieprawidłowe kodowanie tokena", id="no vertical bar"),
        pytest.param("{token}x|{now}", "Nieprawidłowy token", id="unknown token"),
        pytest.param("{foreign}|{now}", "Token nie może być użyty w kontekście {nip}", id="another company's token"),
    ],
)
async def test_bad_token_shows_in_the_status_only(wire: Wire, plain: str, detail: str) -> None:
    challenge = (await wire.call("POST", "/auth/challenge")).json
    key, _ = await wire.public_key("KsefTokenEncryption")
    words = {
        "token": wire.sandbox.token,
        "foreign": wire.sandbox.issue_token("5265877635"),
        "now": challenge["timestampMs"],
        "later": challenge["timestampMs"] + 1,
    }
    secret = base64(key.encrypt(plain.format(**words).encode(), OAEP))

    answer = await wire.log_in(challenge=challenge["challenge"], encryptedToken=secret)
    assert answer.status == 202
    before = await status_of(wire, answer.json)
    wire.advance(1)
    after = await status_of(wire, answer.json)

    assert before["status"]["code"] == 100
    assert after["status"] == {
        "code": 450,
        "description": "Uwierzytelnianie zakończone niepowodzeniem z powodu błędnego tokenu",
        "details": [detail.format(nip=wire.sandbox.nip)],
    }


@pytest.mark.parametrize(
    ("secret", "detail"),
    [
        pytest.param(secrets.token_bytes(256), "Nieprawidłowe szyfrowanie tokena", id="noise"),
        pytest.param(b"short", "Nieprawidłowe szyfrowanie tokena", id="too short"),
        pytest.param(None, "Nieprawidłowe kodowanie tokena", id="not UTF-8"),
    ],
)
async def test_undecipherable_token_shows_in_the_status_only(wire: Wire, secret: bytes | None, detail: str) -> None:
    key, _ = await wire.public_key("KsefTokenEncryption")

    answer = await wire.log_in(encryptedToken=base64(secret or key.encrypt(b"\xff\xfe|1", OAEP)))
    wire.advance(1)
    status = await status_of(wire, answer.json)

    assert (status["status"]["code"], status["status"]["details"]) == (450, [detail])


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"contextIdentifier": {"type": "Nip", "value": "123"}}, id="no NIP"),
        pytest.param({"contextIdentifier": {"type": "Nip", "value": "0265877635"}}, id="NIP of a wrong pattern"),
        pytest.param({"contextIdentifier": {"type": "PeppolId", "value": "XPL123456"}}, id="no Peppol identifier"),
        pytest.param({"contextIdentifier": None}, id="no context"),
        pytest.param({"encryptedToken": None}, id="no token"),
        pytest.param({"challenge": None}, id="no challenge"),
        pytest.param({"publicKeyId": "c2hvcnQ="}, id="key identifier of a wrong length"),
    ],
)
async def test_malformed_login_is_refused(wire: Wire, changes: dict[str, Any]) -> None:
    assert (await wire.log_in(**changes)).error == (400, 21405)


async def test_unknown_type_of_context_is_refused(wire: Wire) -> None:
    answer = await wire.log_in(contextIdentifier={"type": "Pesel", "value": "44051401359"})

    assert answer.status == 400


async def test_login_takes_no_key_of_another_usage(wire: Wire) -> None:
    _, other = await wire.public_key("SymmetricKeyEncryption")

    answer = await wire.log_in(publicKeyId=other)

    assert answer.error == (400, 21470)
    assert answer.details == [f"Klucz o identyfikatorze {other} nie jest wspierany."]


async def test_login_takes_no_withdrawn_key(wire: Wire) -> None:
    _, old = await wire.public_key("KsefTokenEncryption")
    await wire.sandbox.rotate_keys()

    assert (await wire.log_in(publicKeyId=old)).error == (400, 21470)


async def test_login_without_a_key_identifier_takes_the_current_key(wire: Wire) -> None:
    answer = await wire.log_in(publicKeyId=None)
    wire.advance(1)

    assert (await status_of(wire, answer.json))["status"]["code"] == 200


async def test_unknown_login_is_not_found(wire: Wire, tokens: Tokens) -> None:
    unknown = "20250514-AU-2DFC46C000-3AC6D5877F-D4"

    answer = await wire.call("GET", f"/auth/{unknown}", tokens.operation)

    assert answer.error == (400, 21304)
    assert answer.details == [f"Operacja uwierzytelniania o numerze referencyjnym {unknown} nie została znaleziona."]


async def test_login_of_somebody_else_is_not_found(wire: Wire, tokens: Tokens) -> None:
    stranger = await wire.stranger()

    assert (await wire.call("GET", f"/auth/{tokens.reference_number}", stranger.operation)).error == (400, 21304)


async def test_login_is_gone_after_seven_days() -> None:
    timings = attrs.evolve(SECOND_BY_SECOND, login_token_lifetime=8 * 86400)
    async with connected(timings=timings) as wire:
        started = (await wire.log_in()).json
        path, operation = f"/auth/{started['referenceNumber']}", started["authenticationToken"]["token"]
        wire.advance(7 * 86400)
        before = await wire.call("GET", path, operation)
        wire.advance(1)
        after = await wire.call("GET", path, operation)

    assert before.status == 200
    assert (after.status, after.headers["Content-Type"]) == (410, "application/problem+json")
    assert after.json["title"] == "Gone"
    assert after.json["detail"] == "Operacja wygasła i nie jest już dostępna."


# --- tokens -----------------------------------------------------------------------------------------------


async def test_tokens_are_redeemed_once(wire: Wire, tokens: Tokens) -> None:
    again = await wire.call("POST", REDEEM, tokens.operation)

    assert again.error == (400, 21301)
    assert again.details == [f"Tokeny dla operacji uwierzytelniania {tokens.reference_number} zostały już pobrane."]


async def test_login_under_way_gives_no_tokens(wire: Wire) -> None:
    started = (await wire.log_in()).json

    early = await wire.call("POST", REDEEM, started["authenticationToken"]["token"])

    assert early.error == (400, 21301)
    assert early.details == ["Status uwierzytelniania (100) nie pozwala na pobranie tokenów."]


async def test_failed_login_gives_no_tokens(wire: Wire) -> None:
    started = (await wire.log_in(token="nobody's")).json
    wire.advance(1)

    answer = await wire.call("POST", REDEEM, started["authenticationToken"]["token"])

    assert answer.error == (400, 21301)
    assert answer.details == ["Status uwierzytelniania (450) nie pozwala na pobranie tokenów."]


async def test_tokens_say_what_they_are_and_when_they_end(wire: Wire) -> None:
    started = (await wire.log_in()).json
    wire.advance(1)
    pair = (await wire.call("POST", REDEEM, started["authenticationToken"]["token"])).json
    answers = (started["authenticationToken"], pair["accessToken"], pair["refreshToken"])

    read = [claims(answer["token"]) for answer in answers]

    assert [one["typ"] for one in read] == ["AuthenticationToken", "ContextToken", "RefreshToken"]
    assert [one["exp"] - one["iat"] for one in read] == [2700, 900, 604_800]
    for answer, one in zip(answers, read, strict=True):
        assert int(datetime.fromisoformat(answer["validUntil"]).timestamp()) == one["exp"]


async def test_access_token_names_context_and_rights_as_json_in_json(wire: Wire, tokens: Tokens) -> None:
    read = claims(tokens.access)

    assert (read["cit"], read["civ"]) == ("Nip", wire.sandbox.nip)
    assert read["arn"] == tokens.reference_number
    assert {name: json.loads(read[name]) for name in ("per", "pec", "rol", "pep", "iop")} == {
        "per": ["Owner"],
        "pec": [],
        "rol": [],
        "pep": [],
        "iop": [],
    }
    assert json.loads(read["sud"]) == {"subjectIdentifier": {"type": "Nip", "value": wire.sandbox.nip}}


async def test_access_token_of_another_names_each_permission(wire: Wire) -> None:
    subject = Subject("Pesel", "15062788702")
    company = Context(ContextType.NIP, wire.sandbox.nip)
    for permission in ("InvoiceWrite", "CredentialsRead"):
        grant(wire.sandbox, GrantKind.PERSON, company, subject, permission)

    login = await wire.tokens(token=token_of(wire.sandbox, subject, company))

    read = claims(login.access)
    assert sorted(json.loads(read["per"])) == ["CredentialsRead", "InvoiceWrite"]
    assert json.loads(read["pec"]) == json.loads(read["rol"]) == []


async def test_token_that_lets_do_less_than_its_owner_may_names_what_it_lets_do(wire: Wire) -> None:
    wire.sandbox.issue_token(wire.sandbox.nip, "for reading")
    stored = wire.sandbox.world.tokens["for reading"]
    stored.permissions = ("InvoiceRead",)

    login = await wire.tokens(token="for reading")

    assert json.loads(claims(login.access)["per"]) == ["InvoiceRead"]
    assert (await wire.call("GET", "/sessions?sessionType=Online", login.access)).status == 403


async def test_refresh_token_may_be_used_again(wire: Wire, tokens: Tokens) -> None:
    first = await wire.call("POST", REFRESH, tokens.refresh)
    second = await wire.call("POST", REFRESH, tokens.refresh)

    assert (first.status, second.status) == (200, 200)
    assert set(first.json) == {"accessToken"}
    assert (await wire.call("GET", "/sessions?sessionType=Online", second.json["accessToken"]["token"])).status == 200


@pytest.mark.parametrize("kind", ["access", "refresh"])
async def test_revoking_ends_refreshing_but_not_the_access_token(wire: Wire, tokens: Tokens, kind: str) -> None:
    revoked = await wire.call("DELETE", CURRENT, getattr(tokens, kind))

    refused = await wire.call("POST", REFRESH, tokens.refresh)
    status = (await wire.call("GET", f"/auth/{tokens.reference_number}", tokens.operation)).json["status"]
    used = await wire.call("GET", "/sessions?sessionType=Online", tokens.access)

    assert (revoked.status, revoked.body) == (204, b"")
    assert refused.error == (400, 21301)
    assert refused.details == ["Status uwierzytelniania (425) nie pozwala na odświeżenie tokenu dostępowego."]
    assert status == {
        "code": 425,
        "description": "Uwierzytelnienie unieważnione",
        "details": ["Uwierzytelnienie i powiązane refresh tokeny zostały unieważnione przez użytkownika"],
    }
    assert used.status == 200


# --- addresses --------------------------------------------------------------------------------------------


def policy(**allowed: list[str]) -> dict[str, Any]:
    return {"allowedIps": allowed}


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(policy(ip4Addresses=["10.0.0.1", "127.0.0.1"]), id="address"),
        pytest.param(policy(ip4Ranges=["127.0.0.0-127.0.0.9"]), id="range"),
        pytest.param(policy(ip4Masks=["127.0.0.0/8"]), id="mask"),
        pytest.param({"allowedIps": None}, id="no list"),
    ],
)
async def test_login_from_an_allowed_address_goes_on(wire: Wire, allowed: dict[str, Any]) -> None:
    started = (await wire.log_in(authorizationPolicy=allowed)).json
    wire.advance(1)

    assert (await status_of(wire, started))["status"]["code"] == 200


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(policy(ip4Addresses=["10.0.0.1"]), id="address"),
        pytest.param(policy(ip4Ranges=["127.0.0.2-127.0.0.9"]), id="range"),
        pytest.param(policy(ip4Masks=["10.0.0.0/8"]), id="mask"),
    ],
)
async def test_login_from_another_address_stops(wire: Wire, allowed: dict[str, Any]) -> None:
    started = (await wire.log_in(authorizationPolicy=allowed)).json

    answer = await wire.call("GET", f"/auth/{started['referenceNumber']}", started["authenticationToken"]["token"])

    assert (answer.status, answer.json["reasonCode"]) == (403, "ip-not-allowed")
    assert answer.json["security"] == {"clientIp": "127.0.0.1"}


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(policy(ip4Addresses=["127.0.0.1"] * 11), id="eleven"),
        pytest.param(policy(ip4Addresses=["127.0.0.256"]), id="no address"),
        pytest.param(policy(ip4Addresses=["::1"]), id="IPv6"),
        pytest.param(policy(ip4Ranges=["127.0.0.1"]), id="no range"),
        pytest.param(policy(ip4Masks=["127.0.0.0/33"]), id="no mask"),
    ],
)
async def test_malformed_address_is_refused(wire: Wire, allowed: dict[str, Any]) -> None:
    assert (await wire.log_in(authorizationPolicy=allowed)).error == (400, 21405)


async def test_ministrys_keys_are_published_by_usage(wire: Wire) -> None:
    rows = (await wire.call("GET", "/security/public-key-certificates")).json

    assert sorted(row["usage"] for row in rows) == [["KsefTokenEncryption"], ["SymmetricKeyEncryption"]]
    for row in rows:
        assert set(row) == {"certificate", "certificateId", "publicKeyId", "validFrom", "validTo", "usage"}
        assert {len(row["certificateId"]), len(row["publicKeyId"])} == {44}
