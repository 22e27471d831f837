"""What every login has in common, however it is proved: a challenge, its outcome, the tokens it gives."""

from __future__ import annotations

import json
from typing import Any

from ..api.auth import LoginStarted, TokenInfo
from ..api.operation import Bearer
from ..api.peppol import PeppolProvider
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import LoginStatusCode
from ..protocol.wire import camel
from .clock import seconds
from .logged_in import PEPPOL_SIGNATURE
from .refusals import Refusal
from .router import Call, admit
from .subjects import OWNER
from .world import Login, Subject, new_reference_number

__all__ = ["issue_token", "start_login", "take_challenge"]


def start_login(call: Call, code: LoginStatusCode, details: tuple[str, ...], **login_fields: Any) -> LoginStarted:
    """Remember a login; whether a good proof is enough depends on permissions, too.

    Args:
        call: The call.
        code: What the proof alone leads to.
        details: KSeF's words on a bad proof.
        login_fields: The other fields of the `Login`.
    """
    login = Login(
        reference_number=new_reference_number("AU", call.now),
        client_ip=call.client_ip,
        started_at=call.now,
        **login_fields,
    )
    if code is LoginStatusCode.SUCCEEDED:
        code = admit(call.world, login)
    if code is LoginStatusCode.SUCCEEDED:
        _register_provider(call, login)
    login.decide(call.now + seconds(call.world.timings.login_delay), code, details)
    call.world.logins[login.reference_number] = login
    return LoginStarted(login.reference_number, issue_token(call, login, Bearer.LOGIN))


def _register_provider(call: Call, login: Login) -> None:
    """List a Peppol provider, which registers itself by its first login. Source: uslugi-peppol.md."""
    if login.signature is not None and login.signature.method is PEPPOL_SIGNATURE:
        name = login.signature.certificate.subject["organization_name"]
        provider = PeppolProvider(id=login.context.value, name=name, date_created=call.now)
        call.world.peppol_providers.setdefault(provider.id, provider)


def take_challenge(call: Call, challenge: str) -> int:
    """Consume a challenge and return when it was issued, in milliseconds."""
    issued = call.world.challenges.pop(challenge, None)
    if issued is None or call.now > issued[1] + seconds(call.world.timings.challenge_lifetime):
        raise Refusal(ErrorCode.INVALID_CHALLENGE)
    return issued[0]


def issue_token(call: Call, login: Login, kind: Bearer) -> TokenInfo:
    """Return a JWT of a login, with KSeF's claims."""
    timings = call.world.timings
    lifetime = {
        Bearer.LOGIN: seconds(timings.login_token_lifetime),
        Bearer.ACCESS: seconds(timings.access_token_lifetime),
        Bearer.REFRESH: seconds(timings.refresh_token_lifetime),
    }[kind]
    subject = login.subject or Subject("Nip", login.context.value)
    claims: dict[str, Any] = {
        "cit": login.context.type,
        "civ": login.context.value,
        "aum": login.method.name,
        "arn": login.reference_number,
        # KSeF writes these as JSON within JSON.
        "sud": json.dumps(_subject_details(login, subject), ensure_ascii=False),
        "per": json.dumps(_permissions(call, login, subject)),
        # Permissions that are excluded, and roles: empty in what is known of KSeF (ksef-api#838).
        "pec": json.dumps([]),
        "rol": json.dumps([]),
        "pep": json.dumps([]),
        "iop": json.dumps([]),
    }
    return TokenInfo(call.world.ministry.issue_jwt(kind, claims, call.now, lifetime), call.now + lifetime)


def _permissions(call: Call, login: Login, subject: Subject) -> tuple[str, ...]:
    permissions = call.world.permissions_of(login)
    grants = call.world.grants
    # A token that lets do less than its author may do says what that is [INF].
    owned = filter(call.world.version.has_permission, grants.owned(subject, login.context, call.now))
    is_whole = set(permissions) >= set(owned)
    return (OWNER,) if is_whole and grants.is_owner(subject, login.context, call.now) else permissions


def _subject_details(login: Login, subject: Subject) -> dict[str, Any]:
    """Return who logged in: by the identifier, and what else the certificate says; a KSeF token says no more."""
    details: dict[str, Any] = {"subjectIdentifier": {"type": subject.type, "value": subject.value}}
    named = login.signature.certificate.subject if login.signature else {}
    if "given_name" in named:
        details["givenNames"] = [named["given_name"]]
    for name in ("surname", "serial_number", "common_name", "country_name"):
        if name in named:
            details[camel(name)] = named[name]
    return details
