"""The shape of a form: its elements, their order and types, as ``tools/documents.py`` takes them from the schemas.

A content model is one line: ``P_1:TDataT`` is an element and its type (left out where it has the element's name), ``?``
makes it optional, ``*100`` is up to 100 of it, ``+100`` from 1 to 100, ``( a b )`` a group, ``[ a | b ]`` a choice; a
group or choice may have a ``?`` as well. No schema so far repeats a group, has one name twice in a content model, or a
list of values other than texts.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

import attrs

from ..protocol import json

__all__ = ["FORMS", "Complex", "Group", "Item", "Shape", "Simple", "load_shape", "snake"]

#: The forms that have a shape, by the name of their module.
FORMS: Final = ("fa3", "fa2", "fa_rr1")

#: More values than this are any text to type checkers.
_MOST_LISTED: Final = 40

_TOKEN: Final = re.compile(r"(\w+)([?*+]?)(\d*)(?::(\w+))?")


@attrs.frozen(kw_only=True)
class Simple:
    """A type of values."""

    name: str
    base: str = ""
    """``string``, ``decimal``, ``integer``, ``date`` or ``datetime``; empty for a union."""
    space: str = "collapse"
    """What becomes of white space before anything else is looked at: ``preserve``, ``replace`` or ``collapse``."""
    enum: tuple[str, ...] = ()
    """The only values, as the schema writes them; empty where it names none."""
    patterns: tuple[str, ...] = ()
    """Each must fit the whole value; in the notation of XML Schema."""
    min: str | None = None
    max: str | None = None
    above: str | None = None
    """The largest number that is too small."""
    total: int | None = None
    """Most digits."""
    fraction: int | None = None
    """Most decimal places."""
    shortest: int | None = None
    longest: int | None = None
    """In characters, as is ``shortest``."""
    fixed: bool = False
    """Whether an empty element stands for the only value."""
    any: tuple[Simple, ...] = ()
    """Of a union: the types of which one must fit."""

    @property
    def is_listed(self) -> bool:
        """Return whether the type is spelled out for type checkers; countries and currencies are too many."""
        return self.base != "decimal" and 1 < len(self.enum) <= _MOST_LISTED


@attrs.frozen(kw_only=True, slots=False)
class Item:
    """One element of a content model."""

    name: str
    """The Ministry's: ``FaWiersz``."""
    type: str
    """A key of the shape's ``types`` or ``elements``."""
    least: int
    most: int | None
    """None where there is no limit."""
    index: int
    """Its place in the order of the content model."""

    @cached_property
    def field(self) -> str:
        """The name in the model: ``fa_wiersz``."""
        return snake(self.name)

    @property
    def many(self) -> bool:
        """Return whether the model has a list of it."""
        return self.most != 1


@attrs.frozen(kw_only=True)
class Group:
    """A sequence or a choice of a content model."""

    choice: bool
    optional: bool
    parts: tuple[Group | Item, ...]

    def items(self) -> Iterator[Item]:
        """Iterate over the elements, in their order."""
        for part in self.parts:
            if isinstance(part, Item):
                yield part
            else:
                yield from part.items()

    def needed(self) -> Iterator[Item]:
        """Iterate over the elements that every content has."""
        if not (self.optional or self.choice):
            for part in self.parts:
                if isinstance(part, Group):
                    yield from part.needed()
                elif part.least:
                    yield part


@attrs.frozen(kw_only=True, slots=False)
class Complex:
    """A type of elements that have elements or attributes."""

    name: str
    content: Group | None
    """None where there is text instead."""
    text: str | None
    """The type of the text; None where there are elements."""
    attributes: dict[str, str]
    """The type of each attribute; all of them are needed."""

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The elements, in their order."""
        return tuple(self.content.items()) if self.content else ()

    @cached_property
    def needed(self) -> frozenset[str]:
        """The names of the elements that every content has."""
        return frozenset(item.name for item in self.content.needed()) if self.content else frozenset()


class Shape:
    """The shape of one form.

    Args:
        form: One of `FORMS`.
    """

    def __init__(self, form: str) -> None:
        data = json.loads(pkgutil.get_data("ksef_async.documents", f"shapes/{form}.json") or b"")
        self.form = form
        #: The namespace of every element.
        self.namespace: str = data["namespace"]
        #: The name of the outermost element.
        self.root: str = data["root"]
        self._types: dict[str, dict[str, Any]] = data["types"]
        self._elements: dict[str, dict[str, Any]] = data["elements"]
        self._simple: dict[str, Simple] = {}
        self._complex: dict[str, Complex] = {}

    def __repr__(self) -> str:
        return f"<Shape of {self.form}>"

    @property
    def elements(self) -> tuple[str, ...]:
        """The names of all complex types, outer ones first."""
        return tuple(self._elements)

    @property
    def types(self) -> tuple[str, ...]:
        """The names of all types of values."""
        return tuple(self._types)

    @cached_property
    def system_code(self) -> str:
        """The form's code in KSeF: ``FA (3)``."""
        return self._attribute("kodSystemowy")

    @cached_property
    def schema_version(self) -> str:
        """The version of the schema: ``1-0E``."""
        return self._attribute("wersjaSchemy")

    def _attribute(self, name: str) -> str:
        (value,) = self.simple(name).enum
        return value

    def is_simple(self, name: str) -> bool:
        """Return whether a type is one of values."""
        return name in self._types

    def simple(self, name: str) -> Simple:
        """Return a type of values by its name."""
        if name not in self._simple:
            self._simple[name] = _simple(name, self._types[name])
        return self._simple[name]

    def complex(self, name: str) -> Complex:
        """Return a type of elements by its name."""
        if name not in self._complex:
            data = self._elements[name]
            self._complex[name] = Complex(
                name=name,
                content=_parse(data["content"]) if "content" in data else None,
                text=data.get("text"),
                attributes=data.get("attributes", {}),
            )
        return self._complex[name]


_SHAPES: dict[str, Shape] = {}


def load_shape(form: str) -> Shape:
    """Return the shape of a form; it is read once."""
    if form not in _SHAPES:
        _SHAPES[form] = Shape(form)
    return _SHAPES[form]


def _simple(name: str, data: dict[str, Any]) -> Simple:
    if "any" in data:
        return Simple(name=name, any=tuple(_simple(name, member) for member in data["any"]))
    facets = dict(data)
    return Simple(
        name=name,
        enum=tuple(facets.pop("enum").split("|")) if "enum" in facets else (),
        patterns=tuple(facets.pop("patterns", ())),
        **facets,
    )


def _parse(content: str) -> Group:
    # Groups that are open, with the parts that each has so far; a choice has its alternatives as parts.
    stack: list[tuple[bool, list[Group | Item]]] = [(False, [])]
    count = 0
    for token in content.split():
        if token in {"(", "["}:
            stack.append((token == "[", []))
        elif token[0] in ")]":
            choice, parts = stack.pop()
            stack[-1][1].append(Group(choice=choice, optional=token.endswith("?"), parts=tuple(parts)))
        elif token != "|":
            ((name, occurs, most, type_name),) = _TOKEN.findall(token)
            limit = None if occurs in {"*", "+"} and not most else int(most or 1)
            least = 0 if occurs in {"?", "*"} else 1
            stack[-1][1].append(Item(name=name, type=type_name or name, least=least, most=limit, index=count))
            count += 1
    ((_, parts),) = stack
    return Group(choice=False, optional=False, parts=tuple(parts))


_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z0-9])(?=[A-Z][a-z])")


def snake(name: str) -> str:
    """Return the Ministry's name in Python dress: ``NrKSeFFaKorygowanej`` is ``nr_ksef_fa_korygowanej``."""
    name = name.replace("KSeF", "Ksef").replace("PKWiU", "PKWIU")
    return re.sub("_+", "_", _WORDS.sub("_", name)).lower()
