"""Whether somebody who has proved who they are may log in. Source: uwierzytelnianie.md; OpenAPI 2.9.0, login status."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..models.tokens import TokenStatus
from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import LoginStatusCode
from .refusals import Refusal
from .subjects import OWNER
from .world import Login, StoredToken, World

__all__ = ["admit", "check_alive", "permissions_in", "status_of_token"]


def admit(world: World, login: Login) -> LoginStatusCode:
    """How a login ends whose proof is good: blocked contexts, the dead, and those who may do nothing are refused."""
    registry = world.grants.registry
    if login.context in registry.blocked:
        return LoginStatusCode.BLOCKED
    if login.subject is not None and registry.is_deceased(login.subject):
        return LoginStatusCode.DECEASED_PERSON
    if not world.permissions_of(login):
        return LoginStatusCode.NO_PERMISSIONS
    return LoginStatusCode.SUCCEEDED


def check_alive(world: World, login: Login) -> None:
    """Refuse tokens to those who have died since they logged in.

    Raises:
        Refusal: 21308.
    """
    if login.subject is not None and world.grants.registry.is_deceased(login.subject):
        raise Refusal(ErrorCode.DECEASED_PERSON)


def permissions_in(
    world: World, login: Login, claims: Mapping[str, Any], now: datetime
) -> tuple[list[str], frozenset[str]]:
    """Return the permissions that a JWT names, and what they come to; what changes later counts in the next JWT."""
    named: list[str] = json.loads(claims.get("per", "[]"))
    held = set(named)
    if OWNER in held and login.subject is not None:
        held.update(world.grants.owned(login.subject, login.context, now))
    return named, frozenset(held)


def status_of_token(world: World, token: StoredToken, now: datetime) -> TokenStatus:
    """Return how far a KSeF token is; one whose author loses all permissions is revoked by this.

    "Tokens are revoked automatically when permissions are lost" (uwierzytelnianie.md). The Ministry's own test
    (RevokedPermissionsKsefTokenLifecycleIntegrationTests) shows what it means: the KSeF token logs nobody in any more,
    while a login made before can still be refreshed, to access tokens that let do nothing.
    """
    status = token.status_at(now)
    if status is TokenStatus.ACTIVE and world.grants.has_lost_all(token.author, token.context, token.created_at, now):
        return TokenStatus.REVOKED
    return status
