"""Logins by certificate, written and signed by hand; see `signing`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import signing
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sandbox.wire import START, Answer, Wire
from signing import Signer

from ksef_async.crypto.issuing import self_signed_seal

NIP, OTHER = "5265877635", "1111111111"
V20, V21 = "http://ksef.mf.gov.pl/auth/token/2.0", "http://ksef.mf.gov.pl/auth/token/2.1"

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
DATES: dict[str, Any] = {"valid_from": START - timedelta(days=1)}


def seal(key: signing.Key, nip: str = NIP, **dates: Any) -> bytes:
    return self_signed_seal(nip, key, **{**DATES, **dates}).der


def signer(key: signing.Key = EC_KEY, **options: Any) -> Signer:
    return Signer(key=key, **{"certificate": seal(key), **options})


def document(
    challenge: str,
    *,
    namespace: str = V21,
    context: str = f"<Nip>{NIP}</Nip>",
    subject: str = "certificateSubject",
    more: str = "",
) -> bytes:
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<AuthTokenRequest xmlns="{namespace}">\n'
        f"    <Challenge>{challenge}</Challenge>\n    <ContextIdentifier>{context}</ContextIdentifier>\n"
        f"    <SubjectIdentifierType>{subject}</SubjectIdentifierType>\n{more}</AuthTokenRequest>"
    ).encode()


def policy(ips: str) -> str:
    return f"<AuthorizationPolicy><AllowedIps>{ips}</AllowedIps></AuthorizationPolicy>"


async def challenge(wire: Wire) -> str:
    return str((await wire.call("POST", "/auth/challenge")).json["challenge"])


async def send(wire: Wire, body: bytes, *, query: str = "", content_type: str = "application/xml") -> Answer:
    headers = {"Content-Type": content_type}
    return await wire.call("POST", f"/auth/xades-signature{query}", data=body, headers=headers)


async def log_in(wire: Wire, by: Signer, *, query: str = "", **fields: Any) -> Answer:
    return await send(wire, by.sign(document(await challenge(wire), **fields)), query=query)


async def outcome(wire: Wire, answer: Answer) -> Any:
    """The login once it is decided."""
    assert answer.status == 202, answer.body
    wire.advance(1)
    token = answer.json["authenticationToken"]["token"]
    return (await wire.call("GET", f"/auth/{answer.json['referenceNumber']}", token)).json


async def refusal(wire: Wire, answer: Answer) -> tuple[int, list[str]]:
    status = (await outcome(wire, answer))["status"]
    return status["code"], status.get("details", [])
