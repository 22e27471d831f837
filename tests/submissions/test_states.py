from __future__ import annotations

import pytest

from ksef_async.submissions.models import OPEN, TRANSITIONS, SubmissionState, sources_of


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(SubmissionState)


def test_every_state_can_be_reached() -> None:
    reached = {SubmissionState.QUEUED}
    while further := {state for source in reached for state in TRANSITIONS[source]} - reached:
        reached |= further

    assert reached == set(SubmissionState)


@pytest.mark.parametrize("state", SubmissionState)
def test_state_is_terminal_when_nothing_but_a_decision_follows(state: SubmissionState) -> None:
    assert state.is_terminal is (TRANSITIONS[state] <= {SubmissionState.QUEUED, SubmissionState.CANCELLED})
    assert state.is_terminal is (state not in OPEN)


def test_what_was_accepted_stays_so() -> None:
    assert not TRANSITIONS[SubmissionState.ACCEPTED]
    assert sources_of(SubmissionState.ACCEPTED) == (SubmissionState.TAKEN_IN,)
