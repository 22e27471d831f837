"""Documents into models: strict about what a model cannot hold, and about nothing else.

Elements that the form does not have, or that stand in another order, are refused, and so are numbers and dates that are
none; what is written again is therefore what was read. Lengths, patterns and choices are for
`ksef_async.documents.check`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..protocol.xml import ET
from .models import SCHEMA_LOCATION, TEXT, Element, Models, load_models
from .report import DocumentError, Report, make_problem
from .shape import Complex, load_shape, snake
from .source import BLANKS, Places, parse_document, shown
from .values import READERS, WRITERS, UnfitError, shown_value

__all__ = ["read_document"]

_SCHEMA_LOCATION: Final = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"

#: Index, field, whether the model has a list, how its text is read (None: as it is), and the type's base; of an element
#: with elements: its reader (None: not made yet), and no base.
_Entry = tuple[int, str, bool, Callable[[Any], object] | None, str | None]


class _WrongError(Exception):
    def __init__(self, code: str, element: ET.Element, *, attribute: str | None = None, **values: Any) -> None:
        super().__init__(code)
        self.code = code
        self.element = element
        self.attribute = attribute
        self.values = values


def read_document(form: str, xml: bytes) -> Element:
    """Return the model of a document.

    Args:
        form: One of `ksef_async.documents.shape.FORMS`.
        xml: The document's bytes.

    Raises:
        DocumentError: It is not XML as KSeF takes it, of another form, or has something that the form does not.
    """
    root = parse_document(xml)
    shape = load_shape(form)
    try:
        if root.tag != f"{{{shape.namespace}}}{shape.root}":
            raise _wrong_root(root, form)
        return _reader(form, shape.root)(root)
    except _WrongError as wrong:
        places = Places(xml, root, [wrong.element])
        path = places.path(wrong.element) + (f"/@{wrong.attribute}" if wrong.attribute else "")
        values: dict[str, Any] = {"name": shown(wrong.element.tag), "attribute": wrong.attribute, **wrong.values}
        place = places.place(wrong.element)
        raise DocumentError(Report(problems=(make_problem(wrong.code, path=path, place=place, **values),))) from None


def _wrong_root(root: ET.Element, form: str) -> _WrongError:
    shape = load_shape(form)
    namespace, _, name = root.tag.rpartition("}")
    if name != shape.root:
        return _WrongError("root", root)
    return _WrongError(
        "namespace", root, namespace=shown_value(namespace[1:]), form=shape.system_code, expected=shape.namespace
    )


_READERS: dict[tuple[str, str], Callable[[ET.Element], Element]] = {}


def _reader(form: str, name: str) -> Callable[[ET.Element], Element]:
    key = form, name
    if key not in _READERS:
        models = load_models(form)
        complex_type = models.shape.complex(name)
        build = _text_reader if complex_type.text is not None else _content_reader
        _READERS[key] = build(models, complex_type)
    return _READERS[key]


def _text_reader(models: Models, complex_type: Complex) -> Callable[[ET.Element], Element]:
    model = models.model(complex_type.name)
    attributes = complex_type.attributes

    def read(element: ET.Element) -> Element:
        if len(element):
            raise _WrongError("element_in_value", element, child=shown(element[0].tag))
        return model(**_attributes(element, attributes), **{TEXT: element.text or ""})

    return read


def _attributes(element: ET.Element, attributes: dict[str, str]) -> dict[str, str]:
    values = {}
    for name, value in element.items():
        if name not in attributes:
            raise _WrongError("attribute_unknown", element, attribute=shown(name))
        values[snake(name)] = value
    for name in attributes:
        if name not in element.keys():  # noqa: SIM118 - an element is no dictionary
            raise _WrongError("attribute_missing", element, attribute=name)
    return values


def _content_reader(models: Models, complex_type: Complex) -> Callable[[ET.Element], Element]:
    shape = models.shape
    model = models.model(complex_type.name)
    table: dict[str, _Entry] = {}
    for item in complex_type.items:
        convert: Callable[[Any], object] | None
        if shape.is_simple(item.type):
            simple = shape.simple(item.type)
            base = simple.base or "string"
            convert = None if base == "string" else READERS[base]
        else:
            base, convert = None, None
        table[f"{{{shape.namespace}}}{item.name}"] = item.index, item.field, item.many, convert, base
    types = {f"{{{shape.namespace}}}{item.name}": item.type for item in complex_type.items}
    needed = frozenset(item.field for item in complex_type.items if item.name in complex_type.needed)
    attributes = complex_type.attributes
    is_root = complex_type.name == shape.root
    find = table.get

    def read(element: ET.Element) -> Element:
        values: dict[str, Any] = {}
        written: dict[str, tuple[object, str]] | None = None
        last = -1
        for child in element:
            entry = find(child.tag)
            if entry is None:
                raise _misplaced(element, child, table, last)
            index, field, many, convert, base = entry
            if index <= last and not (many and index == last):
                raise _misplaced(element, child, table, last)
            last = index
            value: object
            if base is None:
                if convert is None:
                    # Few forms are used in full, so what reads an element is made when there is one.
                    convert = _reader(shape.form, types[child.tag])
                    table[child.tag] = index, field, many, convert, base
                value = convert(child)
            else:
                if len(child) or child.keys():
                    raise _no_plain_value(child)
                value = text = child.text or ""
                if convert is not None:
                    try:
                        value = convert(text)
                    except UnfitError as unfit:
                        raise _WrongError(unfit.code, child, value=shown_value(text), **unfit.values) from None
                    if WRITERS[base](value) != text:
                        written = written or {}
                        written[field] = value, text
            if many:
                if field in values:
                    values[field].append(value)
                else:
                    values[field] = [value]
            else:
                values[field] = value
            tail = child.tail
            if tail is not None and tail.strip(BLANKS):
                raise _WrongError("text_unexpected", element, value=shown_value(tail.strip(BLANKS)))
        if element.text is not None and element.text.strip(BLANKS):
            raise _WrongError("text_unexpected", element, value=shown_value(element.text.strip(BLANKS)))
        if not needed <= values.keys():
            missing = next(item.name for item in complex_type.items if item.field in needed - values.keys())
            raise _WrongError(
                "element_missing", element, parent=shown(element.tag), expected=missing, before="", before_pl=""
            )
        if attributes:
            values |= _attributes(element, attributes)
        elif element.keys():
            if not is_root or set(element.keys()) != {_SCHEMA_LOCATION}:
                unknown = next(name for name in element.keys() if name != _SCHEMA_LOCATION or not is_root)  # noqa: SIM118
                raise _WrongError("attribute_unknown", element, attribute=shown(unknown))
            values[SCHEMA_LOCATION] = element.get(_SCHEMA_LOCATION)
        result = model(**values)
        if written:
            result._written = written
        return result

    return read


def _misplaced(element: ET.Element, child: ET.Element, table: dict[str, _Entry], last: int) -> _WrongError:
    parent = shown(element.tag)
    entry = table.get(child.tag)
    if entry is None:
        namespace = child.tag.rpartition("}")[0][1:]
        if any(tag.rpartition("}")[2] == child.tag.rpartition("}")[2] for tag in table):
            return _WrongError("element_namespace", child, namespace=shown_value(namespace))
        return _WrongError("element_unknown", child, parent=parent, hint="", hint_pl="")
    if entry[0] == last:
        return _WrongError("element_repeated", child, parent=parent)
    previous = next(tag for tag, (index, *_) in table.items() if index == last)
    return _WrongError("element_order", child, parent=parent, previous=shown(previous))


def _no_plain_value(child: ET.Element) -> _WrongError:
    if len(child):
        return _WrongError("element_in_value", child, child=shown(child[0].tag))
    return _WrongError("attribute_unknown", child, attribute=shown(next(iter(child.keys()))))
