"""Whether somebody who has proved who they are may log in. Source: uwierzytelnianie.md; OpenAPI 2.9.0, login status."""

from __future__ import annotations

from ..protocol.error_codes import ErrorCode
from ..protocol.lifecycle import LoginStatusCode
from .refusals import Refusal
from .world import Login, World

__all__ = ["admit", "check_alive"]


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
