"""JSON -> attrs: a reader for each annotation, made once.

An answer of KSeF is read for what can be used of it: a field with a default is read as its default where its value
cannot be read, an item of a list is left out, and both are noted. Only a field without a default sinks what it is in.
A request, which the sandbox reads, has to fit as a whole, validators included.
No message shows a value, which may be a secret: what was expected, and where, is enough.
"""

from __future__ import annotations

import functools
import types
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, NamedTuple, TypeAlias, Union, get_args, get_origin

import attrs

from ..api.common import EVERY_ITEM, OpenStrEnum, Rule, ServerTime
from ..api.sessions import FormCode
from ..errors import InvalidFieldError

__all__ = ["Assumed", "MisfitError", "Reader", "Unread", "camel", "field_name", "form_code_as_json", "is_essential"]

# KSeF writes the year 1 where it has no date, and nothing of it is older than this one.
_EARLIEST_YEAR: Final = 1900
# Later years mean "never", and leave no room to reckon with.
_LATEST_YEAR: Final = 2999
# Digits before and after the point of an amount; `Decimal("1E+999999999")` would fill the memory once it is written.
_MOST_DIGITS: Final = 40
_LONGEST_TIME: Final = 64


class Unread(NamedTuple):
    """A part of an answer that was not read."""

    path: str
    """In KSeF's own names: ``$.invoices[0].referenceNumber``."""
    reason: str
    """What was expected of it; never what it is."""


class Assumed(Unread):
    """A limit that the answer of an older API version leaves out; the documented value is used."""

    __slots__ = ()


class MisfitError(Exception):
    """The JSON does not fit; ``problems`` says where, and what was expected."""

    def __init__(self, *problems: Unread) -> None:
        super().__init__(*problems)
        self.problems = problems


# Where a value stands: the step to it, and where that starts. It is spelled out only when something is wrong.
_Place: TypeAlias = "tuple[_Place, str] | None"
_Read: TypeAlias = Callable[[Any, _Place, list[Unread]], Any]


@functools.cache
def camel(name: str) -> str:
    """``reference_number`` -> ``referenceNumber``."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def field_name(field: attrs.Attribute[Any]) -> str:
    """Return the name of a field in KSeF's JSON."""
    return field.metadata.get("wire_name") or camel(field.name)


def form_code_as_json(code: FormCode) -> dict[str, str]:
    """Return a form code as KSeF writes it."""
    return {"systemCode": code.system_code, "schemaVersion": code.schema_version, "value": code.form}


class Reader:
    """Reads JSON-ready objects as what an annotation says.

    Args:
        requests: Read as KSeF does: names and enum values in any case, and nothing that does not fit.
    """

    def __init__(self, *, requests: bool) -> None:
        self._requests = requests
        self._readers: dict[Any, _Read] = {}

    def read(self, value: object, annotation: Any, unread: list[Unread]) -> Any:
        """``value`` as ``annotation``; what was not read of it is added to ``unread``.

        Raises:
            MisfitError: It does not fit.
        """
        return self._reader(annotation)(value, None, unread)

    def _reader(self, annotation: Any) -> _Read:
        if annotation not in self._readers:
            self._readers[annotation] = self._make(annotation)
        return self._readers[annotation]

    def _make(self, annotation: Any) -> _Read:
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            inner, *rules = arguments
            if EVERY_ITEM in rules:
                return self._array(inner, every_item=True)
            reader = self._reader(inner)
            return reader if self._requests else _checked(reader, [rule for rule in rules if isinstance(rule, Rule)])
        if origin in (types.UnionType, Union):  # the latter where the other member is Annotated
            (inner,) = (each for each in arguments if each is not types.NoneType)
            reader = self._reader(inner)
            return lambda value, place, unread: None if value is None else reader(value, place, unread)
        if origin is tuple:
            return self._array(annotation, every_item=self._requests)
        if origin is dict:
            return self._map(self._reader(arguments[1]))
        if annotation is FormCode:
            return self._read_form_code
        if annotation in _TIMES:
            return _time_reader(_TIMES[annotation], bounded=not self._requests)
        if annotation in _SIMPLE:
            return _SIMPLE[annotation]
        if attrs.has(annotation):
            return self._object(annotation)
        if issubclass(annotation, OpenStrEnum):
            return functools.partial(self._read_open_enum, annotation)
        raise TypeError(f"{annotation!r} cannot be read")

    def _object(self, cls: type[attrs.AttrsInstance]) -> _Read:
        fields = [field for field in attrs.fields(attrs.resolve_types(cls)) if not field.metadata.get("local")]
        rows = [
            (
                self._key(field_name(field)),
                field_name(field),
                field.name,
                self._reader(field.type),
                is_essential(field),
                field.metadata,
            )
            for field in fields
        ]
        names_in_any_case = self._requests
        lists = [(field_name(field), field.name) for field in fields if get_origin(field.type) is tuple]
        counter = next((field.name for field in attrs.fields(cls) if field.metadata.get("left_out")), None)
        build = cls if self._requests else _unchecked(cls)

        def read(value: Any, place: _Place, unread: list[Unread]) -> Any:
            if not isinstance(value, Mapping):
                raise _misfit(place, "expected an object")
            if names_in_any_case:
                value = {key.lower(): item for key, item in value.items()}
            arguments: dict[str, Any] = {}
            problems: list[Unread] = []
            for key, wire_name, name, reader, essential, metadata in rows:
                item = value.get(key)
                if item is None:
                    if essential:
                        problems.append(Unread(_path((place, f".{wire_name}")), "required field missing"))
                    elif "assumed" in metadata:
                        unread.append(Assumed(_path((place, f".{wire_name}")), metadata["assumed"]))
                    continue
                try:
                    arguments[name] = reader(item, (place, f".{wire_name}"), unread)
                except MisfitError as misfit:
                    sinks = essential or names_in_any_case or "never_left_out" in metadata
                    (problems if sinks else unread).extend(misfit.problems)
            if problems:
                raise MisfitError(*problems)
            if counter is not None:
                read_lists = ((value[key], arguments[name]) for key, name in lists if name in arguments)
                arguments[counter] = sum(len(whole) - len(found) for whole, found in read_lists)
            try:
                return build(**arguments)
            except InvalidFieldError as error:
                raise _misfit((place, f".{camel(error.field)}"), error.rule) from None

        return read

    def _array(self, annotation: Any, *, every_item: bool) -> _Read:
        reader = self._reader(get_args(annotation)[0])

        def read(value: Any, place: _Place, unread: list[Unread]) -> tuple[Any, ...]:
            if not isinstance(value, list | tuple):
                raise _misfit(place, "expected an array")
            items: list[Any] = []
            problems: list[Unread] = []
            for index, item in enumerate(value):
                try:
                    items.append(reader(item, (place, f"[{index}]"), unread))
                except MisfitError as misfit:
                    (problems if every_item else unread).extend(misfit.problems)
            if problems:
                raise MisfitError(*problems)
            return tuple(items)

        return read

    def _map(self, reader: _Read) -> _Read:
        def read(value: Any, place: _Place, unread: list[Unread]) -> dict[str, Any]:
            if not isinstance(value, Mapping):
                raise _misfit(place, "expected an object")
            # A key is KSeF's text, and no part of a path that is shown.
            return {key: reader(item, place, unread) for key, item in value.items()}

        return read

    def _key(self, name: str) -> str:
        return name.lower() if self._requests else name

    def _read_open_enum(self, cls: type[OpenStrEnum], value: object, place: _Place, _: list[Unread]) -> OpenStrEnum:
        text = _read_text(value, place, _)
        if self._requests:
            return next((member for member in cls if member.lower() == text.lower()), cls(text))
        return cls(text)

    def _read_form_code(self, value: object, place: _Place, _: list[Unread]) -> FormCode:
        if not isinstance(value, Mapping):
            raise _misfit(place, "expected an object")
        wanted = {self._key(key): item for key, item in value.items()}
        for code in FormCode:
            if {self._key(key): item for key, item in form_code_as_json(code).items()}.items() <= wanted.items():
                return code
        raise _misfit(place, "unknown form code")


def is_essential(field: attrs.Attribute[Any]) -> bool:
    """Return whether an answer is of no use without the field."""
    return field.default is attrs.NOTHING


def _unchecked(cls: type[attrs.AttrsInstance]) -> Callable[..., Any]:
    """``cls`` without its validators: they are for what we send."""
    fields = attrs.fields(cls)
    if not hasattr(cls, "__attrs_post_init__") and not any(field.validator for field in fields):
        return cls

    def build(**arguments: Any) -> Any:
        instance = object.__new__(cls)
        for field in fields:
            default = field.default
            if field.name in arguments:
                value = arguments[field.name]
            else:
                value = default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
            object.__setattr__(instance, field.name, value)
        return instance

    return build


def _checked(reader: _Read, rules: list[Rule]) -> _Read:
    def read(value: Any, place: _Place, unread: list[Unread]) -> Any:
        found = reader(value, place, unread)
        for rule in rules:
            if not rule.holds(found):
                raise _misfit(place, f"expected {rule.what}")
        return found

    return read


def _path(place: _Place) -> str:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(step)
    return "".join(["$", *reversed(steps)])


def _misfit(place: _Place, reason: str) -> MisfitError:
    return MisfitError(Unread(_path(place), reason))


def _read_text(value: object, place: _Place, _: list[Unread]) -> str:
    if not isinstance(value, str):
        raise _misfit(place, "expected a string")
    # Neither can be written to every database and file.
    if "\0" in value or not (value.isascii() or _is_unicode(value)):
        raise _misfit(place, "expected characters of Unicode")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_int(value: object, place: _Place, _: list[Unread]) -> int:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _misfit(place, "expected int")
    return value


def _read_bool(value: object, place: _Place, _: list[Unread]) -> bool:
    if type(value) is not bool:
        raise _misfit(place, "expected bool")
    return value


def _read_object(value: object, place: _Place, _: list[Unread]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(place, "expected an object")
    return value


def _time_reader(parse: Callable[[str], date], *, bounded: bool) -> _Read:
    def read(value: object, place: _Place, _: list[Unread]) -> date:
        if not isinstance(value, str) or len(value) > _LONGEST_TIME:
            raise _misfit(place, "expected a time")
        try:
            found = parse(value)
        except ValueError:
            found = None
        if found is None:
            raise _misfit(place, "expected a time")
        if bounded and not _EARLIEST_YEAR <= found.year <= _LATEST_YEAR:
            raise _misfit(place, f"expected a time between the years {_EARLIEST_YEAR} and {_LATEST_YEAR}")
        return found

    return read


@functools.lru_cache(1024)  # the invoices of a list share theirs
def _moment(text: str) -> datetime:
    # `fromisoformat` cuts what is finer than a microsecond; rounding up would skip invoices at a date border.
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_number(value: object, place: _Place, _: list[Unread]) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _misfit(place, "expected a number")
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise _misfit(place, f"expected a number of at most {_MOST_DIGITS} digits")
    number = Decimal(str(value))
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise _misfit(place, "expected a finite number")
    if exponent < -_MOST_DIGITS or number.adjusted() >= _MOST_DIGITS:
        raise _misfit(place, f"expected a number of at most {_MOST_DIGITS} digits")
    return number


def _read_base64(value: object, place: _Place, _: list[Unread]) -> bytes:
    if not isinstance(value, str):
        raise _misfit(place, "expected a string")
    try:
        return b64decode(value, validate=True)
    except ValueError:  # binascii.Error, and what is not ASCII
        raise _misfit(place, "not Base64") from None


_TIMES: Final[Mapping[Any, Callable[[str], date]]] = {
    datetime: _moment,
    date: date.fromisoformat,
    ServerTime: ServerTime.parse,
}
_SIMPLE: Final[Mapping[Any, _Read]] = {
    str: _read_text,
    int: _read_int,
    bool: _read_bool,
    dict: _read_object,
    Decimal: _read_number,
    bytes: _read_base64,
}
