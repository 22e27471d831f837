"""What looks for secrets finds them wherever an error keeps them; else no test that uses it could fail."""

from __future__ import annotations

import json

import pytest
from secrets_watch import leaks_in, told_by

from ksef_async import RemoteProtocolError

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJ0eXAiOiJDb250ZXh0VG9rZW4ifQ.c2lnbmF0dXJl"


def raised(where: str) -> BaseException:
    if where in ("cause", "context"):
        return chained(where)
    error = RemoteProtocolError(f"unreadable: {JWT}" if where == "message" else "unreadable")
    if where == "note":
        error.add_note(JWT)
    if where == "attribute":
        error.path = JWT
    if where == "nested":
        error.__dict__["problems"] = [{"a": (b"x" + JWT.encode(),)}]
    return ExceptionGroup("several", [error]) if where == "group" else error


def chained(how: str) -> BaseException:
    with pytest.raises(RemoteProtocolError) as caught:
        try:
            json.loads(f'"{JWT}')  # JSONDecodeError keeps it in `doc`
        except ValueError as cause:
            raise RemoteProtocolError("unreadable") from (cause if how == "cause" else None)
    return caught.value


@pytest.mark.tells_secrets
@pytest.mark.parametrize("where", ["cause", "context", "message", "note", "attribute", "nested"])
def test_secret_is_found_anywhere_in_the_chain(where: str) -> None:
    assert leaks_in(told_by(raised(where))) != []


def test_error_without_secrets_has_none() -> None:
    assert leaks_in(told_by(raised("group"))) == []
