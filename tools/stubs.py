"""Write the models of a form for editors and type checkers, as they are made at run time from the same shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from words import CLASSES, FIELDS, FIELDS_RR

from ksef_async.documents.models import SCHEMA_LOCATION, TEXT
from ksef_async.documents.shape import Complex, Item, Shape, Simple, load_shape, snake

__all__ = ["write_stub"]

_WIDTH: Final = 120
_PYTHON: Final = {"string": "str", "decimal": "Decimal", "integer": "int", "date": "date", "datetime": "datetime"}

_HEAD: Final = '''\
"""The models of {form}; made by tools/documents.py."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import attrs

from .models import Element
'''
_FUNCTIONS: Final = '''
def read(xml: bytes) -> Faktura:
    """Return the invoice that a document is.

    Args:
        xml: The document, UTF-8 without BOM.

    Raises:
        DocumentError: It is not XML as KSeF takes it, of another form, or has something that the form does not.
    """

def write(invoice: Faktura) -> bytes:
    """Return an invoice as a document, UTF-8 without BOM.

    Args:
        invoice: The invoice; its amounts are written as they are, ``Decimal("2051.00")`` with its zeros.

    Raises:
        TypeError: It is no ``Faktura`` of this form.
        DocumentError: A field has a value of another type, or none where there must be one.
    """
'''


def write_stub(form: str) -> str:
    """Return the text of a form's ``.pyi``.

    Args:
        form: One of `ksef_async.documents.shape.FORMS`.
    """
    shape = load_shape(form)
    lines = [_HEAD.format(form=shape.system_code.replace(" ", ""))]
    for name in shape.types:
        lines.extend(_alias(shape.simple(name)))
    for name in shape.elements:
        lines.extend(_class(shape, shape.complex(name)))
    return "\n".join(lines) + "\n" + _FUNCTIONS


def _alias(simple: Simple) -> Iterator[str]:
    if not simple.is_listed:
        return
    values = ", ".join(_literal(simple, value) for value in simple.enum)
    line = f"{simple.name}: TypeAlias = Literal[{values}]"
    if len(line) <= _WIDTH:
        yield line
    elif len(values) <= _WIDTH - 4:
        yield from (f"{simple.name}: TypeAlias = Literal[", f"    {values}", "]")
    else:
        yield f"{simple.name}: TypeAlias = Literal["
        yield from (f"    {_literal(simple, value)}," for value in simple.enum)
        yield "]"


def _literal(simple: Simple, value: str) -> str:
    return value if simple.base == "integer" else f'"{value}"'


def _class(shape: Shape, complex_type: Complex) -> Iterator[str]:
    yield ""
    yield "@attrs.define(kw_only=True, eq=False)"
    yield f"class {complex_type.name}(Element):"
    yield f'    """{CLASSES.get(complex_type.name, f"The type {complex_type.name} of the form.")}"""'
    yield ""
    if complex_type.name == shape.root:
        yield from _field(shape, SCHEMA_LOCATION, SCHEMA_LOCATION, "str | None = None")
    for name, type_name in complex_type.attributes.items():
        yield from _field(shape, name, snake(name), _needed(shape.simple(type_name)))
    if complex_type.text is not None:
        yield from _field(shape, TEXT, TEXT, _needed(shape.simple(complex_type.text)))
    for item in complex_type.items:
        yield from _field(shape, item.name, item.field, _item(shape, complex_type, item))


def _field(shape: Shape, name: str, field: str, annotation: str) -> Iterator[str]:
    yield f"    {field}: {annotation}"
    sentence = (FIELDS_RR.get(name) if shape.form == "fa_rr1" else None) or FIELDS.get(name)
    if sentence:
        line = f'    """{sentence}"""'
        yield line if len(line) <= _WIDTH else line + "  # noqa: E501"


def _type(simple: Simple) -> str:
    if len(simple.enum) == 1:
        return f"Literal[{_literal(simple, simple.enum[0])}]"
    return simple.name if simple.is_listed else _PYTHON[simple.base or "string"]


def _needed(simple: Simple) -> str:
    return _type(simple) + (" = ..." if len(simple.enum) == 1 else "")


def _item(shape: Shape, complex_type: Complex, item: Item) -> str:
    is_needed = item.name in complex_type.needed
    if item.many:
        inner = _type(shape.simple(item.type)) if shape.is_simple(item.type) else item.type
        return f"list[{inner}]" + ("" if is_needed else " = ...")
    if shape.is_simple(item.type):
        simple = shape.simple(item.type)
        return _needed(simple) if is_needed else f"{_type(simple)} | None = None"
    if not is_needed:
        return f"{item.type} | None = None"
    return item.type + (" = ..." if item.type == "KodFormularza" else "")
