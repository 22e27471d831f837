from __future__ import annotations

import ast
import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ksef_async.sandbox
from ksef_async.api.permissions import PermissionState
from ksef_async.api.sessions import StatusCode
from ksef_async.api.tokens import TokenStatus
from ksef_async.protocol.lifecycle import ONLINE_SESSION, TransitionError
from ksef_async.protocol.resource_lifecycles import LIFECYCLES, PERMISSION, TOKEN, AnyLifecycle
from ksef_async.sandbox.timeline import Step, Timeline

START = datetime(2026, 7, 1, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def opened() -> Timeline[StatusCode]:
    return Timeline(ONLINE_SESSION, START)


def test_state_is_the_last_that_has_begun() -> None:
    timeline = opened()
    timeline.plan(START, Step(at(2), StatusCode.CLOSED), Step(at(5), StatusCode.PROCESSED_OK))

    codes = [timeline.code_at(at(seconds)) for seconds in (0, 1.999, 2, 4, 5, 1000)]

    assert codes == [100, 100, 170, 170, 200, 200]
    assert [timeline.is_terminal_at(at(1000)), timeline.is_success_at(at(1000))] == [True, True]


def test_status_has_the_words_of_the_table_or_details_of_its_own() -> None:
    timeline = opened()
    timeline.plan(START, Step(at(2), StatusCode.CLOSED), Step(at(5), StatusCode.CANCELLED))
    told = timeline.status_at(at(5))
    timeline = opened()
    timeline.plan(START, Step(at(5), StatusCode.CANCELLED, ("Z innej przyczyny",)))

    assert (told.code, told.description, told.details) == (440, "Sesja anulowana", ("Nie przesłano faktur",))
    assert timeline.status_at(at(5)).details == ("Z innej przyczyny",)


def test_step_that_the_table_does_not_have_is_refused_and_changes_nothing() -> None:
    timeline = opened()
    timeline.plan(START, Step(at(2), StatusCode.CLOSED))

    with pytest.raises(TransitionError, match="200 cannot follow 100"):
        timeline.plan(at(1), Step(at(3), StatusCode.PROCESSED_OK))

    assert [step.code for step in timeline.history(at(10))] == [100, 170]


def test_plan_replaces_what_is_in_the_future_only() -> None:
    timeline = opened()
    timeline.plan(START, Step(at(2), StatusCode.CLOSED), Step(at(5), StatusCode.PROCESSED_OK))

    timeline.plan(at(3), Step(at(7), StatusCode.VALIDATION_ERROR))

    assert [(step.at, step.code) for step in timeline.history(at(10))] == [(START, 100), (at(2), 170), (at(7), 445)]
    with pytest.raises(TransitionError, match="170 cannot follow 445"):
        timeline.plan(at(8), Step(at(8), StatusCode.CLOSED))


def test_state_that_was_told_is_not_taken_back_by_a_call_that_began_before() -> None:
    timeline = opened()
    timeline.plan(START, Step(at(2), StatusCode.CANCELLED))
    told = timeline.code_at(at(3))

    with pytest.raises(TransitionError, match="170 cannot follow 440"):
        timeline.plan(at(1), Step(at(1), StatusCode.CLOSED))

    assert told == timeline.code_at(at(1)) == StatusCode.CANCELLED


def test_call_that_began_before_a_change_sees_it() -> None:
    timeline = opened()
    timeline.plan(at(2), Step(at(2), StatusCode.CLOSED))

    assert timeline.code_at(at(1)) == StatusCode.CLOSED


def test_moment_that_has_passed_becomes_the_present_one() -> None:
    timeline = opened()
    timeline.code_at(at(4))

    timeline.plan(at(1), Step(at(1), StatusCode.CLOSED))

    assert timeline.step_at(at(4)).at == at(4)


def test_state_that_follows_from_something_else_is_remembered() -> None:
    token = Timeline(TOKEN, START)
    token.plan(START, Step(at(1), TokenStatus.ACTIVE))

    assert token.observe(at(2), TokenStatus.REVOKED) is TokenStatus.REVOKED
    assert token.observe(at(3), TokenStatus.REVOKED) is TokenStatus.REVOKED
    with pytest.raises(TransitionError, match="Active cannot follow Revoked"):
        token.observe(at(4), TokenStatus.ACTIVE)
    with pytest.raises(TypeError, match="no numbers"):
        token.status_at(at(4))


def test_timeline_begins_in_a_starting_state() -> None:
    assert Timeline(PERMISSION, START, PermissionState.INACTIVE).code_at(START) is PermissionState.INACTIVE
    with pytest.raises(TransitionError, match="170 cannot follow the beginning"):
        Timeline(ONLINE_SESSION, START, StatusCode.CLOSED)


@given(st.sampled_from(LIFECYCLES), st.data())
def test_states_told_one_after_the_other_are_connected_whatever_is_planned(
    lifecycle: AnyLifecycle, data: st.DataObject
) -> None:
    codes = st.sampled_from([*lifecycle.states])
    timeline: Timeline[int | str] = Timeline(lifecycle, START)  # type: ignore[arg-type]  # each kind has its own codes
    told = [timeline.code_at(START)]
    now = 0
    for _ in range(data.draw(st.integers(1, 12))):
        now += data.draw(st.integers(0, 3))
        steps = data.draw(st.lists(st.tuples(st.integers(-3, 6), codes), max_size=3))
        # A call may have begun earlier than another that was answered already.
        began = now - data.draw(st.integers(0, 2))
        with contextlib.suppress(TransitionError):
            timeline.plan(at(began), *(Step(at(began + later), code) for later, code in steps))
        told.append(timeline.code_at(at(now)))

    for old, new in itertools.pairwise(told):
        assert new in reachable(lifecycle, old)


def reachable(lifecycle: AnyLifecycle, code: int | str) -> set[int | str]:
    """The code itself, and all that can follow it in the end."""
    following = {known: {*state.next} for known, state in lifecycle.states.items()}
    reached = {code}
    while not reached >= (further := {each for one in reached for each in following[one]}):  # type: ignore[index]
        reached |= further
    return reached


def test_nothing_else_in_the_sandbox_makes_a_status() -> None:
    makers = {}
    for path in sorted(Path(ksef_async.sandbox.__file__).parent.rglob("*.py")):
        made = [
            node.func.id
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("StatusInfo")
        ]
        if made:
            makers[path.name] = made

    # An invoice's status is a timeline's, with KSeF's extensions.
    assert makers == {"sent.py": ["InvoiceStatusInfo"], "timeline.py": ["StatusInfo"]}
