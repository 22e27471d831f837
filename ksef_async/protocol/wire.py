"""JSON <-> attrs, by cattrs: the only place that knows camelCase.

Reading: unknown properties are ignored, ``null`` counts as absent, an unknown enum value reads as itself, and a
value of the wrong type is an error that names its path, never a silent conversion.
Writing: what equals its default is left out, so nulls never leave this process.
`Wire(tolerant=True)` reads as KSeF does: names and enum values in any case.
"""

from __future__ import annotations

import binascii
import functools
import json
import types
from base64 import b64decode, b64encode
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_origin

import attrs
import orjson

from ..errors import InvalidFieldError
from ..models.common import OpenStrEnum
from ..models.sessions import FormCode
from ..models.times import ServerTime

if TYPE_CHECKING:
    # A third of what importing this library takes, and of no use before there is a client: see `Wire.prepare`.
    from cattrs import Converter

__all__ = ["WIRE", "UnreadableJsonError", "Wire", "WireError", "camel", "format_datetime"]

T = TypeVar("T")


class UnreadableJsonError(ValueError):
    """The bytes are not JSON."""


class WireError(ValueError):
    """The JSON does not fit the model."""

    def __init__(self, message: str, path: str, problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(f"{message} at {path}")
        #: Where, in KSeF's own names: ``$.invoices[0].referenceNumber``.
        self.path = path
        #: Everything that does not fit, each as path and message.
        self.problems = problems or ((path, message),)


@functools.cache
def camel(name: str) -> str:
    """``reference_number`` -> ``referenceNumber``."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def format_datetime(value: datetime) -> str:
    """ISO 8601 in UTC, as KSeF writes it: trailing zeros of the fraction are left out.

    Raises:
        ValueError: ``value`` has no time zone.
    """
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; KSeF would have to guess one.")
    utc = value.astimezone(UTC)
    fraction = f".{utc.microsecond:06d}".rstrip("0") if utc.microsecond else ""
    # Not `strftime`: its %Y writes the year 1, KSeF's "no date", with one digit.
    return f"{utc.replace(tzinfo=None, microsecond=0).isoformat()}{fraction}+00:00"


class Wire:
    """Reads and writes models.

    Args:
        tolerant: Match property names and enum values without regard to case.
        datetime_format: How to write points in time.
    """

    def __init__(self, *, tolerant: bool = False, datetime_format: Callable[[datetime], str] = format_datetime) -> None:
        self._tolerant = tolerant
        self._datetime_format = datetime_format

    def prepare(self) -> None:
        """Load what reads and writes (some tens of milliseconds, once), so that the first call need not."""
        _ = self._converter

    @functools.cached_property
    def _converter(self) -> Converter:
        from cattrs import Converter

        datetime_format = self._datetime_format
        converter = Converter()
        converter.register_structure_hook_factory(attrs.has, self._reader)
        converter.register_unstructure_hook_factory(attrs.has, self._writer)
        converter.register_structure_hook(datetime, _read_datetime)
        converter.register_unstructure_hook(
            datetime, lambda value: value.text if isinstance(value, ServerTime) else datetime_format(value)
        )
        converter.register_structure_hook(date, lambda value, _: date.fromisoformat(_text(value)))
        converter.register_unstructure_hook(date, date.isoformat)
        converter.register_structure_hook(Decimal, lambda value, _: _read_number(value))
        converter.register_unstructure_hook(Decimal, lambda value: value)
        converter.register_structure_hook(ServerTime, lambda value, _: ServerTime.parse(_text(value)))
        converter.register_structure_hook(bytes, lambda value, _: _read_base64(value))
        converter.register_unstructure_hook(bytes, lambda value: b64encode(value).decode("ascii"))
        converter.register_structure_hook(FormCode, self._read_form_code)
        converter.register_unstructure_hook(FormCode, _write_form_code)
        converter.register_structure_hook(OpenStrEnum, self._read_open_enum)
        # In place of cattrs' own, which turn None into "None", "false" into True and "abc" into ("a", "b", "c").
        for primitive in (str, int, bool):
            converter.register_structure_hook(primitive, _only(primitive))
        converter.register_structure_hook_factory(_is_array, self._array_reader)
        return converter

    def dump(self, model: object) -> Any:
        """``model`` as JSON-ready objects; amounts are `Decimal`, which only `to_json` writes."""
        return self._converter.unstructure(model)

    def to_json(self, model: object) -> bytes:
        """``model`` as JSON."""
        return orjson.dumps(self.dump(model), default=_write_number)

    def load(self, data: object, cls: type[T]) -> T:
        """JSON-ready objects as a model.

        Raises:
            WireError: They do not fit.
        """
        try:
            return self._converter.structure(data, cls)
        except Exception as error:  # cattrs raises groups of whatever the hooks raised
            from cattrs import transform_error

            problems = tuple(_problem(text) for text in transform_error(error, format_exception=_describe))
            path, message = problems[0]
            raise WireError(message, path, problems) from error

    def from_json(self, data: bytes, cls: type[T]) -> T:
        """JSON as a model.

        Raises:
            UnreadableJsonError: Not JSON.
            WireError: JSON that does not fit.
        """
        try:
            # orjson reads every fraction as a double, which is no way to keep amounts of money.
            exact = _has_amounts(cast("Hashable", cls))
            parsed = json.loads(data, parse_float=Decimal) if exact else orjson.loads(data)
        except (ValueError, RecursionError) as error:
            raise UnreadableJsonError(str(error)) from error
        return self.load(parsed, cls)

    def _names(self, cls: type[attrs.AttrsInstance]) -> dict[str, Any]:
        from cattrs.gen import override

        return {
            field.name: override(
                rename=self._key(_wire_name(field)),
                omit=field.metadata.get("local", False),
                omit_if_default=field.default is not attrs.NOTHING,
            )
            for field in attrs.fields(attrs.resolve_types(cls))
        }

    def _key(self, name: str) -> str:
        return name.lower() if self._tolerant else name

    def _reader(self, cls: type[attrs.AttrsInstance]) -> Callable[[Any, Any], Any]:
        from cattrs import ClassValidationError
        from cattrs.gen import make_dict_structure_fn

        structure = make_dict_structure_fn(cls, self._converter, **self._names(cls))

        def read(value: Any, _: Any) -> Any:
            if not isinstance(value, Mapping):
                raise TypeError("expected an object")
            try:
                return structure({self._key(key): item for key, item in value.items() if item is not None}, cls)
            except ClassValidationError as error:
                for _, note in error.group_exceptions()[0]:
                    note.name = _wire_name(attrs.fields_dict(cls)[note.name])
                raise

        return read

    def _array_reader(self, cls: Any) -> Callable[[object, Any], tuple[Any, ...]]:
        items = types.GenericAlias(list, get_args(cls)[:1])
        structure = self._converter.get_structure_hook(items)

        def read(value: object, _: object) -> tuple[Any, ...]:
            if not isinstance(value, list | tuple):
                raise TypeError("expected an array")
            return tuple(structure(value, items))

        return read

    def _writer(self, cls: type[attrs.AttrsInstance]) -> Callable[[Any], Any]:
        from cattrs.gen import make_dict_unstructure_fn

        names = {
            name: attrs.evolve(rule, rename=_wire_name(attrs.fields_dict(cls)[name]))
            for name, rule in self._names(cls).items()
        }
        return make_dict_unstructure_fn(cls, self._converter, **names)

    def _read_open_enum(self, value: object, cls: type[OpenStrEnum]) -> OpenStrEnum:
        text = _text(value)
        if self._tolerant:
            return next((member for member in cls if member.lower() == text.lower()), cls(text))
        return cls(text)

    def _read_form_code(self, value: object, _: object) -> FormCode:
        if not isinstance(value, Mapping):
            raise TypeError("expected an object")
        wanted = {self._key(key): item for key, item in value.items()}
        for code in FormCode:
            if {self._key(key): item for key, item in _write_form_code(code).items()}.items() <= wanted.items():
                return code
        raise ValueError("unknown form code")


def _problem(text: str) -> tuple[str, str]:
    message, _, path = text.rpartition(" @ ")
    if message.startswith("'"):  # a bound, whose field is not in the path yet
        field, _, message = message[1:].partition("' ")
        path = f"{path}.{field}"
    return path, message


def _describe(error: BaseException, cls: type | None) -> str:
    if isinstance(error, InvalidFieldError):
        return f"'{camel(error.field)}' {error.rule}"
    from cattrs.v import format_exception

    return format_exception(error, cls)


def _is_array(cls: Any) -> bool:
    return get_origin(cls) is tuple


def _wire_name(field: attrs.Attribute[Any]) -> str:
    return field.metadata.get("wire_name") or camel(field.name)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("expected a string")
    return value


def _only(primitive: type[T]) -> Callable[[object, object], T]:
    def check(value: object, _: object) -> T:
        if type(value) is not primitive:
            raise TypeError(f"expected {primitive.__name__}")
        return value

    return check


def _read_datetime(value: object, _: object) -> datetime:
    return _moment(_text(value))


@functools.lru_cache(1024)  # the invoices of a list share theirs
def _moment(text: str) -> datetime:
    # `fromisoformat` cuts what is finer than a microsecond; rounding up would skip invoices at a date border.
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read_number(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise TypeError("expected a number")
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError("expected a finite number")
    return number


def _write_number(value: object) -> orjson.Fragment:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise TypeError(f"{value!r} cannot be written as JSON")
    return orjson.Fragment(format(value, "f"))


@functools.cache
def _has_amounts(cls: Any) -> bool:
    """Whether there is a `Decimal` anywhere in the model."""
    if cls is Decimal:
        return True
    if isinstance(cls, type) and attrs.has(cls):
        return any(_has_amounts(field.type) for field in attrs.fields(attrs.resolve_types(cls)))
    return any(_has_amounts(each) for each in get_args(cls))


def _read_base64(value: object) -> bytes:
    try:
        return b64decode(_text(value), validate=True)
    except binascii.Error as error:
        raise ValueError("not Base64") from error


def _write_form_code(code: FormCode) -> dict[str, str]:
    return {"systemCode": code.system_code, "schemaVersion": code.schema_version, "value": code.form}


#: Reads KSeF's answers and writes our requests.
WIRE = Wire()
