"""The models of a form: attrs classes, made from its shape when they are first asked for.

Editors and type checkers see them in ``fa3.pyi`` and its like, which ``tools/documents.py`` makes from the same shape.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

import attrs

from .shape import Complex, Item, Shape, Simple, load_shape, snake
from .values import READERS

__all__ = ["SCHEMA_LOCATION", "TEXT", "Element", "Models", "load_models"]

#: The field of a model whose element has text and attributes.
TEXT: Final = "text"
#: The one attribute of another namespace that documents have, on the root.
SCHEMA_LOCATION: Final = "schema_location"


class Element:
    """Base of all models: an element with its attributes and elements as fields.

    A field is None, or an empty list, where the document has nothing. Models may be changed; they are checked when they
    are written, and by `ksef_async.documents.check`.
    """

    # The texts of values that would be written otherwise, by field: (value, text). Used while the value is the same.
    __slots__ = ("_written",)

    _written: dict[str, tuple[object, str]]
    _form: ClassVar[str]
    _complex: ClassVar[Complex]
    _fields: ClassVar[tuple[str, ...]]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self._fields)

    __hash__ = None  # type: ignore[assignment]  # as of every class that may be changed and compared

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self._fields)
        shown = ", ".join(f"{name}={value!r}" for name, value in values if value is not None and value != [])
        return f"{type(self).__name__}({shown})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in (*self._fields, "_written") if hasattr(self, name)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)


class Models:
    """The models of one form.

    Args:
        shape: The form's shape.
        module: The module that they are found in.
    """

    def __init__(self, shape: Shape, module: str) -> None:
        self.shape = shape
        self._module = module
        self._classes: dict[str, type[Element]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all models, outer ones first."""
        return self.shape.elements

    def model(self, name: str) -> type[Element]:
        """Return the model of a type of elements.

        Args:
            name: One of `names`.

        Raises:
            AttributeError: There is none of that name.
        """
        if name not in self._classes:
            if name not in self.shape.elements:
                raise AttributeError(f"module {self._module!r} has no attribute {name!r}")
            self._classes[name] = self._make(self.shape.complex(name))
        return self._classes[name]

    def find(self, name: str) -> object:
        """Return what the module has by a name: a model, or the values of a type for type checkers.

        Raises:
            AttributeError: It has nothing of that name.
        """
        if name in self.shape.types and (simple := self.shape.simple(name)).is_listed:
            return Literal[tuple(READERS[simple.base](value) for value in simple.enum)]
        return self.model(name)

    def _make(self, complex_type: Complex) -> type[Element]:
        fields: dict[str, Any] = {}
        if complex_type.name == self.shape.root:
            fields[SCHEMA_LOCATION] = attrs.field(default=None)
        for name, type_name in complex_type.attributes.items():
            fields[snake(name)] = _field(self.shape.simple(type_name))
        if complex_type.text is not None:
            fields[TEXT] = _field(self.shape.simple(complex_type.text))
        for item in complex_type.items:
            fields[item.field] = self._item_field(complex_type, item)
        body = {"_form": self.shape.form, "_complex": complex_type, "_fields": tuple(fields)}
        options: dict[str, Any] = {
            "kw_only": True,
            "slots": True,
            "eq": False,
            "repr": False,
            "getstate_setstate": False,
        }
        made = attrs.make_class(complex_type.name, fields, bases=(Element,), class_body=body, **options)
        made.__module__ = self._module
        made.__qualname__ = complex_type.name
        made.__doc__ = f"The type {complex_type.name} of {self.shape.system_code}."
        return made

    def _item_field(self, complex_type: Complex, item: Item) -> Any:
        if item.name not in complex_type.needed:
            return attrs.field(factory=list) if item.many else attrs.field(default=None)
        if item.many:
            return attrs.field()
        if self.shape.is_simple(item.type):
            return _field(self.shape.simple(item.type))
        inner = self.shape.complex(item.type)
        # One that can only be one way need not be given: KodFormularza.
        types = [*inner.attributes.values(), *([inner.text] if inner.text else [])]
        is_fixed = not inner.items and all(len(self.shape.simple(name).enum) == 1 for name in types)
        return attrs.field(factory=self.model(item.type)) if is_fixed else attrs.field()


def _field(simple: Simple) -> Any:
    if len(simple.enum) != 1:
        return attrs.field()
    return attrs.field(default=READERS[simple.base](simple.enum[0]))


_MODELS: dict[str, Models] = {}


def load_models(form: str) -> Models:
    """Return the models of a form."""
    if form not in _MODELS:
        _MODELS[form] = Models(load_shape(form), f"{__package__}.{form}")
    return _MODELS[form]
