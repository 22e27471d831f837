"""The states of one thing over time, past and planned: the only place in the sandbox that changes or answers a state.

The rule: whatever has a status in the sandbox has a timeline, a list of moments with the state that begins at each.
A timeline begins in a starting state of its lifecycle and grows by `Lifecycle.move` only, so two states that follow
each other in it are connected in the table, and so are the states that are answered one after the other. A step that
has happened, or may have been answered, is never changed; steps in the future can be replaced.
States therefore depend on the clock and on what was done, never on how often somebody looks.

Faults that lie on purpose (`Fault.answer_becomes`) change answers after they are written, not timelines.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from typing import Generic, TypeVar

import attrs

from ..api.common import StatusInfo
from ..protocol.lifecycle import Lifecycle

__all__ = ["Step", "Timeline"]

CodeT = TypeVar("CodeT", bound=int | str)


@attrs.frozen
class Step(Generic[CodeT]):
    """The beginning of a state."""

    at: datetime
    code: CodeT
    details: tuple[str, ...] = ()
    """KSeF's details; empty for those that the lifecycle gives."""


class Timeline(Generic[CodeT]):
    """The states of one thing.

    Args:
        lifecycle: The states there are, and which can follow which.
        since: When it begins.
        start: The state in which it begins; by default the first of the lifecycle's starting states.

    Raises:
        TransitionError: It cannot begin in ``start``.
    """

    def __init__(self, lifecycle: Lifecycle[CodeT], since: datetime, start: CodeT | None = None) -> None:
        self._lifecycle = lifecycle
        first = lifecycle.starts[0] if start is None else start
        self._steps = [Step(since, lifecycle.move(None, first))]
        self._answered_until = since

    def __repr__(self) -> str:
        states = " -> ".join(f"{step.code:d}" if isinstance(step.code, int) else step.code for step in self._steps)
        return f"<Timeline of {self._lifecycle.name}: {states}>"

    def plan(self, now: datetime, *steps: Step[CodeT]) -> None:
        """Replace all that was planned after ``now`` by ``steps``.

        Args:
            now: The present. What has happened by then, or was answered since, stays.
            steps: In their order; none to stay in the present state. A moment that has passed becomes the present one.

        Raises:
            TransitionError: A step cannot follow the one before it; the timeline stays as it was.
        """
        present = max(now, self._answered_until)
        planned = [step for step in self._steps if step.at <= present]
        for step in steps:
            self._lifecycle.move(planned[-1].code, step.code)
            planned.append(attrs.evolve(step, at=max(step.at, present, planned[-1].at)))
        self._steps, self._answered_until = planned, present

    def observe(self, now: datetime, code: CodeT) -> CodeT:
        """Record a state that follows from something else, and return it.

        Raises:
            TransitionError: It cannot follow the present state.
        """
        if self.code_at(now) != code:
            self.plan(now, Step(now, code))
        return code

    def step_at(self, now: datetime) -> Step[CodeT]:
        """Return the present state, and since when it has been.

        Args:
            now: The present; a call that has waited since an earlier moment sees what has happened meanwhile.
        """
        return self.history(now)[-1]

    def code_at(self, now: datetime) -> CodeT:
        """Return the code of the present state."""
        return self.step_at(now).code

    def status_at(self, now: datetime) -> StatusInfo:
        """Return the present state as KSeF answers it; only for states that have numbers.

        Raises:
            TypeError: The states of this kind are words.
        """
        step = self.step_at(now)
        if not isinstance(step.code, int):
            raise TypeError(f"the states of a {self._lifecycle.name} have no numbers")
        state = self._lifecycle.states[step.code]
        return StatusInfo(step.code, state.description, step.details or state.details)

    def is_terminal_at(self, now: datetime) -> bool:
        """Return whether it has ended, well or not."""
        return self._lifecycle.is_terminal(self.code_at(now))

    def is_success_at(self, now: datetime) -> bool:
        """Return whether it has succeeded, and nothing else has followed."""
        return self._lifecycle.is_success(self.code_at(now))

    def history(self, now: datetime) -> tuple[Step[CodeT], ...]:
        """Return the states up to the present one, at least the first."""
        self._answered_until = max(self._answered_until, now)
        return tuple(self._steps[: bisect_right(self._steps, self._answered_until, key=_moment)])

    @property
    def last(self) -> Step[CodeT]:
        """Return the last state that is planned."""
        return self._steps[-1]


def _moment(step: Step[CodeT]) -> datetime:
    return step.at
