"""The content models of a form as automata: what may follow what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from .facets import Checker
from .shape import Complex, Group, Item, Shape, load_shape

__all__ = ["Content", "State", "Step", "load_checker", "load_content"]


class State:
    """Where a reader of a content model is: behind one of its elements, or at the beginning.

    Args:
        content: The content model.
        item: The element; None at the beginning.
    """

    __slots__ = ("_content", "_steps", "final", "item", "most")

    def __init__(self, content: Content, item: Item | None, *, final: bool) -> None:
        self._content = content
        self._steps: dict[str, Step] | None = None
        self.item = item
        #: Whether the content may end here.
        self.final = final
        #: How many of the element there may be.
        self.most = None if item is None else item.most

    @property
    def steps(self) -> dict[str, Step]:
        """The elements that may come next, by tag, in the order of the content model."""
        if self._steps is None:
            self._steps = self._content.steps_behind(self.item)
        return self._steps


#: The state behind an element; how its text is checked, quickly and exactly, or how its content is.
Step = tuple[State, "Callable[[str], object] | None", "Checker | None", "Content | None"]


class Content:
    """A type of elements that have elements or attributes.

    Args:
        shape: The form's shape.
        complex_type: The type.
    """

    def __init__(self, shape: Shape, complex_type: Complex) -> None:
        self._shape = shape
        self.type = complex_type
        self.items = {f"{{{shape.namespace}}}{item.name}": item for item in complex_type.items}
        self.attributes = {name: load_checker(shape, kind) for name, kind in complex_type.attributes.items()}
        self.text = None if complex_type.text is None else load_checker(shape, complex_type.text)
        #: What may come behind an element, by its index, or at the beginning.
        self.after: dict[int | None, list[Item]] = {None: []}
        #: The choices that an element stands in, and in which branch of each.
        self._branches: dict[int, dict[int, int]] = {}
        self._lasts: set[int | None] = set()
        if complex_type.content is not None:
            first, last, is_empty = self._link(complex_type.content, {})
            self.after[None] = first
            self._lasts = {item.index for item in last} | ({None} if is_empty else set())
        #: The beginning.
        self.start = State(self, None, final=None in self._lasts)
        # Made once and now: who counts an element compares states, also while another thread checks a document.
        self._states = {item.index: State(self, item, final=item.index in self._lasts) for item in complex_type.items}

    def state_behind(self, item: Item) -> State:
        """Return the state behind one of the elements."""
        return self._states[item.index]

    def steps_behind(self, item: Item | None) -> dict[str, Step]:
        """Return what may come behind an element, or at the beginning."""
        return {
            f"{{{self._shape.namespace}}}{following.name}": self.step(following)
            for following in self.after[None if item is None else item.index]
        }

    def step(self, item: Item) -> Step:
        """Return how one of the elements is checked."""
        state = self._states[item.index]
        if self._shape.is_simple(item.type):
            checker = load_checker(self._shape, item.type)
            return state, checker.accept, checker, None
        return state, None, None, load_content(self._shape.form, item.type)

    def way(self, state: State, goal: Item | None) -> list[Item]:
        """Return the fewest elements that must come between a state and an element; none where there is no way.

        Args:
            state: Where it starts.
            goal: The element, itself not returned; None for the end of the content.
        """
        ways: list[list[Item]] = [[]]
        seen: set[int] = set()
        for way in ways:
            behind = way[-1].index if way else None if state.item is None else state.item.index
            if behind in self._lasts if goal is None else goal in self.after[behind]:
                return way
            for item in self.after[behind]:
                if item.index not in seen:
                    seen.add(item.index)
                    ways.append([*way, item])
        return []

    def instead_of(self, state: State, item: Item, goal: Item | None) -> list[Item]:
        """Return an element and those that might come in its place, in another branch of a choice.

        Args:
            state: Where it comes.
            item: The element.
            goal: What comes afterwards, which must not be excluded; None for the end of the content.
        """
        coming = self.after[None if state.item is None else state.item.index]
        return [
            other
            for other in coming
            if other is item
            or (other.least and self.exclude(other, item) and (goal is None or not self.exclude(other, goal)))
        ]

    def exclude(self, one: Item, other: Item) -> bool:
        """Return whether two elements stand in different branches of one choice."""
        branches = self._branches[other.index]
        return any(branches.get(choice, branch) != branch for choice, branch in self._branches[one.index].items())

    def _link(self, group: Group, branches: dict[int, int]) -> tuple[list[Item], list[Item], bool]:
        """Note what follows what in a group.

        Returns:
            The elements that it may begin with, those it may end with, and whether it may be empty.
        """
        firsts: list[Item] = []
        lasts: list[Item] = []
        is_empty = not group.choice
        for number, part in enumerate(group.parts):
            inner = {**branches, id(group): number} if group.choice else branches
            if isinstance(part, Item):
                self._branches[part.index] = inner
                self.after[part.index] = [part] if part.many else []
                first, last, may_be_absent = [part], [part], not part.least
            else:
                first, last, may_be_absent = self._link(part, inner)
            if group.choice:
                firsts += first
                lasts += last
                is_empty = is_empty or may_be_absent
            else:
                self._join(lasts, first)
                firsts += first if is_empty else []
                lasts = [*lasts, *last] if may_be_absent else last
                is_empty = is_empty and may_be_absent
        return firsts, lasts, is_empty or group.optional

    def _join(self, lasts: Iterable[Item], firsts: Iterable[Item]) -> None:
        for item in lasts:
            self.after[item.index] += firsts


_CONTENTS: Final[dict[tuple[str, str], Content]] = {}
_CHECKERS: Final[dict[tuple[str, str], Checker]] = {}


def load_content(form: str, name: str) -> Content:
    """Return the content model of a type; it is made once.

    Args:
        form: One of `ksef_async.documents.shape.FORMS`.
        name: One of the shape's elements.
    """
    key = form, name
    if key not in _CONTENTS:
        shape = load_shape(form)
        _CONTENTS.setdefault(key, Content(shape, shape.complex(name)))
    return _CONTENTS[key]


def load_checker(shape: Shape, name: str) -> Checker:
    """Return what checks a type's values; it is made once."""
    key = shape.form, name
    if key not in _CHECKERS:
        _CHECKERS[key] = Checker(shape.simple(name))
    return _CHECKERS[key]
