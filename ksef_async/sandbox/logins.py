"""What every login has in common, however it is proved: a challenge, its outcome, the tokens it gives."""

from __future__ import annotations

import json
from typing import Any

from ..models.auth import LoginStarted, TokenInfo
from ..operations import Bearer
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import LoginStatusCode
from .admission import admit
from .refusals import Refusal
from .router import Call
from .world import Login, Subject, new_reference_number

__all__ = ["issue_token", "start_login", "take_challenge"]


def start_login(call: Call, **login_fields: Any) -> LoginStarted:
    """Remember a login, however it was proved; a good proof alone lets nobody in."""
    login = Login(
        reference_number=new_reference_number("AU", call.now),
        client_ip=call.client_ip,
        started_at=call.now,
        decided_at=call.now + call.world.timings.login_delay,
        **login_fields,
    )
    if login.code is LoginStatusCode.SUCCEEDED:
        login.code = admit(call.world, login)
    call.world.logins[login.reference_number] = login
    return LoginStarted(login.reference_number, issue_token(call, login, Bearer.LOGIN))


def take_challenge(call: Call, challenge: str) -> int:
    """Use a challenge up; when it was issued, in milliseconds."""
    issued = call.world.challenges.pop(challenge, None)
    if issued is None or call.now > issued[1] + call.world.timings.challenge_lifetime:
        raise Refusal(ErrorCode.INVALID_CHALLENGE)
    return issued[0]


def issue_token(call: Call, login: Login, kind: Bearer) -> TokenInfo:
    """A JWT of a login, with KSeF's claims."""
    timings = call.world.timings
    lifetime = {
        Bearer.LOGIN: timings.login_token_lifetime,
        Bearer.ACCESS: timings.access_token_lifetime,
        Bearer.REFRESH: timings.refresh_token_lifetime,
    }[kind]
    permissions = call.world.permissions_of(login)
    subject = login.subject or Subject("Nip", login.context.value)
    claims: dict[str, Any] = {
        "cit": login.context.type,
        "civ": login.context.value,
        "aum": login.method.name,
        "arn": login.reference_number,
        # KSeF writes these as JSON within JSON.
        "sud": json.dumps({"subjectIdentifier": {"type": subject.type, "value": subject.value}}),
        "per": json.dumps(permissions),
        "pec": json.dumps(permissions),
        "rol": json.dumps(["Owner"] if call.world.grants.is_owner(subject, login.context, call.now) else []),
        "pep": json.dumps([]),
        "iop": json.dumps([]),
    }
    return TokenInfo(call.world.ministry.issue_jwt(kind, claims, call.now, lifetime), call.now + lifetime)
