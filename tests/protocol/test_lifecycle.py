from __future__ import annotations

import pytest

from ksef_async.api.certificates import CertificateStatus
from ksef_async.api.sessions import InvoiceStatusCode, SessionOutcome, StatusCode
from ksef_async.api.tokens import TokenStatus
from ksef_async.protocol.lifecycle import (
    BATCH_SESSION,
    ENROLLMENT,
    EXPORT,
    INVOICE,
    LOGIN,
    ONLINE_SESSION,
    PERMISSION_OPERATION,
    SESSION,
    Phase,
    TransitionError,
    session_outcome,
)
from ksef_async.protocol.resource_lifecycles import CERTIFICATE, LIFECYCLES, PERMISSION, TOKEN, AnyLifecycle

EACH = pytest.mark.parametrize("lifecycle", [pytest.param(each, id=each.name) for each in LIFECYCLES])
WITH_NUMBERS = [each for each in LIFECYCLES if all(isinstance(code, int) for code in each.states)]

FINAL_INVOICE_CODES = {200, 405, 410, 415, 430, 435, 440, 450, 500, 550}


@EACH
def test_every_state_is_reached_from_a_start(lifecycle: AnyLifecycle) -> None:
    reached: set[int | str] = set(lifecycle.starts)
    while not reached >= (further := {code for state in reached for code in following(lifecycle, state)}):
        reached |= further

    assert reached == {*lifecycle.states}


@EACH
def test_what_is_in_progress_can_go_on_and_every_transition_is_to_another_state(lifecycle: AnyLifecycle) -> None:
    for code, state in lifecycle.states.items():
        assert code not in state.next
        assert state.next or state.phase is not Phase.IN_PROGRESS, code


def test_only_these_states_change_although_they_are_terminal() -> None:
    changing = {
        (lifecycle.name, code): {*state.next}
        for lifecycle in LIFECYCLES
        for code, state in lifecycle.states.items()
        if state.phase is not Phase.IN_PROGRESS and state.next
    }

    assert changing == {
        ("login", 200): {425},
        ("export", 200): {210},
        ("permission", "Active"): {"Inactive"},
        ("permission", "Inactive"): {"Active"},
        ("certificate", "Active"): {"Blocked", "Expired"},
        ("certificate", "Blocked"): {"Revoked"},
        ("KSeF token", "Active"): {"Revoking", "Revoked"},
        ("KSeF token", "Revoking"): {"Revoked"},
    }


@pytest.mark.parametrize("lifecycle", [pytest.param(each, id=each.name) for each in WITH_NUMBERS])
def test_numbers_mean_what_the_rule_says_and_only_grow(lifecycle: AnyLifecycle) -> None:
    for code, state in lifecycle.states.items():
        assert isinstance(code, int)
        by_rule = Phase.SUCCESS if code == 200 else Phase.IN_PROGRESS if code < 200 else Phase.FAILURE
        assert state.phase is by_rule, code
        assert all(int(each) > code for each in state.next), code
        assert state.description


@pytest.mark.parametrize(
    ("lifecycle", "code", "following_codes"),
    [
        (LOGIN, 100, {200, 415, 450, 460, 470, 480, 500, 550}),
        (LOGIN, 200, {425}),
        (ENROLLMENT, 100, {200, 400, 500, 550}),
        (ONLINE_SESSION, 100, {170, 415, 440}),
        # 415: a session that was closed before KSeF tried to decrypt its key.
        (ONLINE_SESSION, 170, {200, 415, 440, 445}),
        (BATCH_SESSION, 100, {150, 440}),
        (BATCH_SESSION, 150, {200, 405, 415, 420, 430, 435, 440, 445, 500}),
        (INVOICE, 100, {150} | FINAL_INVOICE_CODES),
        (INVOICE, 150, FINAL_INVOICE_CODES),
        (EXPORT, 100, {200, 415, 420, 500, 550}),
        (EXPORT, 200, {210}),
        (PERMISSION_OPERATION, 100, {200, 400, 410, 420, 430, 440, 450, 500, 550}),
        (TOKEN, "Pending", {"Active", "Failed", "Revoking"}),
        (CERTIFICATE, "Active", {"Blocked", "Expired"}),
    ],
)
def test_transitions_are_those_of_the_documentation(
    lifecycle: AnyLifecycle, code: int | str, following_codes: set[int | str]
) -> None:
    assert following(lifecycle, code) == following_codes


def test_transition_of_the_table_is_made() -> None:
    assert ONLINE_SESSION.move(None, StatusCode.OPENED) is StatusCode.OPENED
    assert ONLINE_SESSION.move(StatusCode.OPENED, StatusCode.CLOSED) is StatusCode.CLOSED


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (None, StatusCode.CLOSED, "online session: 170 cannot follow the beginning; what can: 100"),
        (StatusCode.OPENED, StatusCode.PROCESSED_OK, "online session: 200 cannot follow 100; what can: 170, 415, 440"),
        (StatusCode.CLOSED, StatusCode.OPENED, "online session: 100 cannot follow 170; what can: 200, 415, 440, 445"),
        (StatusCode.CANCELLED, StatusCode.CLOSED, "online session: 170 cannot follow 440; what can: nothing"),
        (StatusCode.OPENED, StatusCode.OPENED, "online session: 100 cannot follow 100; what can: 170, 415, 440"),
    ],
)
def test_transition_that_the_table_does_not_have_is_an_error(
    old: StatusCode | None, new: StatusCode, message: str
) -> None:
    with pytest.raises(TransitionError) as caught:
        ONLINE_SESSION.move(old, new)

    assert str(caught.value) == message


def test_permission_begins_with_or_without_effect() -> None:
    assert set(PERMISSION.starts) == set(PERMISSION.states)


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
    assert (SESSION.is_terminal(code), SESSION.is_success(code), session_outcome(code)) == (terminal, success, outcome)


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        (TokenStatus.PENDING, Phase.IN_PROGRESS),
        (TokenStatus.ACTIVE, Phase.SUCCESS),
        (TokenStatus.REVOKING, Phase.FAILURE),
        (TokenStatus.REVOKED, Phase.FAILURE),
        (TokenStatus.FAILED, Phase.FAILURE),
        (TokenStatus("Sleeping"), Phase.FAILURE),
    ],
)
def test_words_mean_what_the_table_says_and_unknown_ones_a_failure(status: TokenStatus, phase: Phase) -> None:
    assert TOKEN.phase(status) is phase


def test_kinds_of_session_agree_on_the_meaning_of_a_code() -> None:
    for code in set(ONLINE_SESSION.states) & set(BATCH_SESSION.states):
        assert ONLINE_SESSION.phase(code) is BATCH_SESSION.phase(code) is SESSION.phase(code)


def test_codes_of_invoices_and_certificates_all_have_a_state() -> None:
    assert set(INVOICE.states) == set(InvoiceStatusCode)
    assert set(CERTIFICATE.states) == set(CertificateStatus)
    assert set(TOKEN.states) == set(TokenStatus)
    assert set(ONLINE_SESSION.states) | set(BATCH_SESSION.states) == set(StatusCode)


def following(lifecycle: AnyLifecycle, code: int | str) -> set[int | str]:
    """The codes that can follow."""
    (state,) = (state for known, state in lifecycle.states.items() if known == code)
    return {*state.next}
