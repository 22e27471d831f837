from __future__ import annotations

import enum
from collections.abc import Mapping

import pytest

from ksef_async.api.sessions import InvoiceStatusCode, SessionOutcome, StatusCode
from ksef_async.protocol.lifecycle import (
    BATCH_SESSION_STATES,
    ENROLLMENT_STATES,
    INVOICE_STATES,
    LOGIN_STATES,
    ONLINE_SESSION_STATES,
    EnrollmentStatusCode,
    LoginStatusCode,
    State,
    is_success,
    is_terminal,
    session_outcome,
)

TABLES = pytest.mark.parametrize(
    "states",
    [
        pytest.param(LOGIN_STATES, id="login"),
        pytest.param(ENROLLMENT_STATES, id="enrollment"),
        pytest.param(ONLINE_SESSION_STATES, id="online session"),
        pytest.param(BATCH_SESSION_STATES, id="batch session"),
        pytest.param(INVOICE_STATES, id="invoice"),
    ],
)

#: The only final state that can still be left: a login revoked by its user.
REVOCABLE = (LOGIN_STATES, LoginStatusCode.SUCCEEDED)


@TABLES
def test_every_state_is_known_and_reached_from_the_first(states: Mapping[int, State]) -> None:
    reached = {100}
    while not reached >= (further := {code for state in reached for code in states[state].next}):
        reached |= further

    assert reached == set(states)


@TABLES
def test_states_that_will_not_change_have_no_successor(states: Mapping[int, State]) -> None:
    for code, state in states.items():
        if (states, code) != REVOCABLE:
            assert bool(state.next) is not is_terminal(code), code
        assert all(following > code for following in state.next), code
        assert state.description


@pytest.mark.parametrize(
    ("states", "code", "following"),
    [
        (LOGIN_STATES, 100, {200, 415, 450, 460, 470, 480, 500, 550}),
        (LOGIN_STATES, 200, {425}),
        (ENROLLMENT_STATES, 100, {200, 400, 500, 550}),
        (ONLINE_SESSION_STATES, 100, {170, 415, 440}),
        (ONLINE_SESSION_STATES, 170, {200, 440, 445}),
        (BATCH_SESSION_STATES, 100, {150, 440}),
        (BATCH_SESSION_STATES, 150, {200, 405, 415, 420, 430, 435, 440, 445, 500}),
        (INVOICE_STATES, 100, {150, 200, 405, 410, 415, 430, 435, 440, 450, 500, 550}),
        (INVOICE_STATES, 150, {200, 405, 410, 415, 430, 435, 440, 450, 500, 550}),
    ],
)
def test_transitions_are_those_of_the_documentation(
    states: Mapping[int, State], code: int, following: set[int]
) -> None:
    assert states[code].next == following


@TABLES
def test_codes_have_names(states: Mapping[int, State]) -> None:
    names: dict[int, type[enum.IntEnum]] = {
        id(LOGIN_STATES): LoginStatusCode,
        id(ENROLLMENT_STATES): EnrollmentStatusCode,
        id(INVOICE_STATES): InvoiceStatusCode,
    }

    assert set(states) <= set(names.get(id(states), StatusCode))


@pytest.mark.parametrize(
    ("code", "terminal", "success", "outcome"),
    [
        (100, False, False, SessionOutcome.IN_PROGRESS),
        (150, False, False, SessionOutcome.IN_PROGRESS),
        (170, False, False, SessionOutcome.IN_PROGRESS),
        (199, False, False, SessionOutcome.IN_PROGRESS),  # not known today
        (200, True, True, SessionOutcome.SUCCEEDED),
        (201, True, False, SessionOutcome.FAILED),  # not known today
        (415, True, False, SessionOutcome.FAILED),
        (440, True, False, SessionOutcome.CANCELLED),
        (445, True, False, SessionOutcome.FAILED),
        (777, True, False, SessionOutcome.FAILED),  # not known today
    ],
)
def test_rule_for_codes_known_or_not(code: int, terminal: bool, success: bool, outcome: SessionOutcome) -> None:
    assert (is_terminal(code), is_success(code), session_outcome(code)) == (terminal, success, outcome)
