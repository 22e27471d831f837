"""Models into documents: UTF-8 without BOM, no white space between elements, in the order of the schema."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from .models import SCHEMA_LOCATION, TEXT, Element, Models, load_models
from .report import DocumentError, Report, make_problem
from .shape import Complex, Simple, snake
from .values import WRITERS, UnfitError, escape, shown_value

__all__ = ["write_document"]

_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"

_Write = Callable[[Element, list[str]], None]


class _UnwritableError(Exception):
    """Names the element on its way up to the root."""

    def __init__(self, code: str, name: str, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.values: dict[str, Any] = {"name": name.lstrip("@"), **values}
        self.steps = [name]


def write_document(form: str, document: Element) -> bytes:
    """Return the XML of a model.

    Args:
        form: One of `ksef_async.documents.shape.FORMS`.
        document: The model of the form's root.

    Raises:
        TypeError: It is no model of that form's root.
        DocumentError: A field has a value of another type, or none where there must be one.
    """
    models = load_models(form)
    root = models.model(models.shape.root)
    if type(document) is not root:
        raise TypeError(f"expected {root.__module__}.{root.__name__}, not {type(document).__name__}")
    shape = models.shape
    out = ['<?xml version="1.0" encoding="UTF-8"?>\n<', shape.root, ' xmlns="', shape.namespace, '"']
    try:
        location = getattr(document, SCHEMA_LOCATION)
        if location is not None:
            out.append(f' xmlns:xsi="{_INSTANCE}" xsi:schemaLocation="{escape(location, attribute=True)}"')
        _writer(form, shape.root)(document, out)
    except _UnwritableError as wrong:
        path = "/" + "/".join([shape.root, *reversed(wrong.steps)])
        raise DocumentError(Report(problems=(make_problem(wrong.code, path=path, **wrong.values),))) from None
    return "".join(out).encode()


_WRITERS: dict[tuple[str, str], _Write] = {}


def _writer(form: str, name: str) -> _Write:
    key = form, name
    if key not in _WRITERS:
        models = load_models(form)
        _WRITERS[key] = _make_writer(models, models.shape.complex(name))
    return _WRITERS[key]


def _make_writer(models: Models, complex_type: Complex) -> _Write:
    """Return what writes an element from behind its name in the opening tag to its end."""
    shape = models.shape
    attributes = [(name, snake(name)) for name in complex_type.attributes]
    text = shape.simple(complex_type.text) if complex_type.text is not None else None
    # Field, name, whether it is needed, whether it is a list, how a value is written (None: it is an element).
    table: list[tuple[str, str, bool, bool, Callable[[Any], str] | None]] = []
    types = {item.field: item.type for item in complex_type.items}
    for item in complex_type.items:
        is_needed = item.name in complex_type.needed
        if shape.is_simple(item.type):
            table.append((item.field, item.name, is_needed, item.many, _value_writer(shape.simple(item.type))))
        else:
            table.append((item.field, item.name, is_needed, item.many, None))
    fields = [row[0] for row in table]
    get: Callable[[Element], tuple[object, ...]]
    get = attrgetter(*fields) if len(fields) > 1 else lambda element: tuple(getattr(element, name) for name in fields)
    closing = f"</{complex_type.name}>"

    def write(element: Element, out: list[str]) -> None:
        for name, field in attributes:
            out.append(f' {name}="{_text(str, getattr(element, field), f"@{name}", attribute=True)}"')
        out.append(">")
        if text is not None:
            out.append(_text(_value_writer(text), getattr(element, TEXT), TEXT))
            return
        written = getattr(element, "_written", None)
        for (field, name, is_needed, many, to_text), value in zip(table, get(element), strict=True):
            if value is None or (many and not value):
                if is_needed:
                    raise _UnwritableError(
                        "element_missing", name, parent=complex_type.name, expected=name, before="", before_pl=""
                    )
                continue
            values = value if many else (value,)
            if not isinstance(values, list | tuple):
                raise _UnwritableError("type", name, expected="a list", expected_pl="listę", given=type(value).__name__)
            for number, one in enumerate(values, 1):
                if to_text is not None:
                    if written is not None and field in written and written[field][0] is one:
                        content = escape(written[field][1])
                    else:
                        content = _text(to_text, one, name)
                    out.append(f"<{name}>{content}</{name}>")
                else:
                    step = f"{name}[{number}]" if len(values) > 1 else name
                    if type(one) is not models.model(types[field]):
                        expected, given = types[field], type(one).__name__
                        raise _UnwritableError("type", step, expected=expected, expected_pl=expected, given=given)
                    out.append(f"<{name}")
                    try:
                        _writer(shape.form, types[field])(one, out)
                    except _UnwritableError as wrong:
                        wrong.steps.append(step)
                        raise
                    out.append(f"</{name}>")

    # The root closes itself: nobody else does.
    if complex_type.name != shape.root:
        return write

    def write_root(element: Element, out: list[str]) -> None:
        write(element, out)
        out.append(closing)

    return write_root


def _value_writer(simple: Simple) -> Callable[[Any], str]:
    return WRITERS[simple.base or "string"]


def _text(to_text: Callable[[Any], str], value: object, name: str, *, attribute: bool = False) -> str:
    try:
        return escape(to_text(value), attribute=attribute)
    except UnfitError as unfit:
        values = {"value": shown_value(str(value)), **unfit.values}
        raise _UnwritableError(unfit.code, name, **values) from None
