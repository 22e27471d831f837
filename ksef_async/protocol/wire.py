"""JSON <-> attrs.

Reading (`protocol.reading`): unknown properties are ignored, ``null`` counts as absent, an unknown enum value reads as
itself. A value of the wrong type is never converted: where the model can do without, it is left out and noted; where
it cannot, that is an error that names its path.
Writing (`protocol.writing`): what is absent, empty or false by default is left out while it is, so nulls never leave
this process; KSeF's side writes what is false.
"""

from __future__ import annotations

import enum
import functools
from base64 import b64encode
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar, cast, get_args

import attrs

from ..api.common import ServerTime
from ..api.sessions import FormCode
from . import json
from .reading import MisfitError, Reader, Unread, camel, field_name, form_code_as_json

__all__ = ["WIRE", "Unread", "UnreadableJsonError", "Wire", "WireError", "Writer", "camel", "format_datetime"]

_Write: TypeAlias = Callable[[Any], Any]

# Written as they are.
_PLAIN: Final = frozenset((str, int, bool, type(None)))


class Writer:
    """Writes models as JSON-ready objects; amounts stay `Decimal`, for whoever makes text of it.

    Args:
        writes_false: Whether what is false by default is written while it is, as KSeF does.
        datetime_format: How to write points in time.
    """

    def __init__(self, *, writes_false: bool, datetime_format: Callable[[datetime], str]) -> None:
        self._writes_false = writes_false
        self._datetime_format = datetime_format
        self._writers: dict[type, _Write] = {}

    def write(self, value: Any) -> Any:
        """Return ``value`` as JSON-ready objects."""
        cls = type(value)
        return value if cls in _PLAIN else (self._writers.get(cls) or self._writer(cls))(value)

    def _writer(self, cls: type) -> _Write:
        return self._writers.setdefault(cls, self._make(cls))

    def _make(self, cls: type) -> _Write:
        if cls is FormCode:
            return form_code_as_json
        if attrs.has(cls):
            return self._object(cls)
        # The narrower class first: a member of StrEnum is a str, a datetime a date.
        for base, writer in (
            (enum.Enum, lambda member: member.value),
            (ServerTime, lambda moment: moment.text),
            (datetime, self._datetime_format),
            (date, date.isoformat),
            (bytes, lambda data: b64encode(data).decode("ascii")),
            (tuple | list, lambda items: [self.write(item) for item in items]),
            (dict, lambda items: {self.write(key): self.write(item) for key, item in items.items()}),
        ):
            if issubclass(cls, base):
                return writer
        return lambda value: value

    def _object(self, cls: type[attrs.AttrsInstance]) -> _Write:
        rows = [
            (field.name, field_name(field), *self._left_out(field))
            for field in attrs.fields(cls)
            if not field.metadata.get("local")
        ]
        writers, new_writer = self._writers, self._writer

        def write_object(model: Any) -> dict[str, Any]:
            written: dict[str, Any] = {}
            for name, key, may_be_left_out, default in rows:
                value = getattr(model, name)
                if not may_be_left_out or (value is not default and value != default):
                    cls = type(value)
                    written[key] = value if cls in _PLAIN else (writers.get(cls) or new_writer(cls))(value)
            return written

        return write_object

    def _left_out(self, field: attrs.Attribute[Any]) -> tuple[bool, object]:
        """Return whether a value may be left out, and which."""
        default: Any = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
            return True, default.factory()
        is_written = default is attrs.NOTHING or bool(default) or (default is False and self._writes_false)
        return not is_written, default


T = TypeVar("T")


class UnreadableJsonError(ValueError):
    """The bytes are not JSON."""


class WireError(ValueError):
    """The JSON does not fit the model. The message says where, and what was expected; never the value."""

    def __init__(self, problems: Sequence[Unread]) -> None:
        path, reason = problems[0]
        super().__init__(f"{reason} at {path}")
        self.path = path
        """Where, in KSeF's own names: ``$.invoices[0].referenceNumber``."""
        self.problems = tuple(problems)
        """Everything that does not fit, each as path and what was expected."""


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
        requests: Read and write as KSeF does: names and enum values in any case, and nothing that does not fit; what
            is false by default is written while it is. By default as a client does.
        datetime_format: How to write points in time.
    """

    def __init__(self, *, requests: bool = False, datetime_format: Callable[[datetime], str] = format_datetime) -> None:
        self._reader = Reader(requests=requests)
        self._writer = Writer(writes_false=requests, datetime_format=datetime_format)

    def dump(self, model: object) -> Any:
        """``model`` as JSON-ready objects; amounts are `Decimal`, which only `to_json` writes."""
        return self._writer.write(model)

    def to_json(self, model: object) -> bytes:
        """``model`` as JSON."""
        return json.dumps(self.dump(model))

    def load(self, data: object, cls: type[T], unread: list[Unread] | None = None) -> T:
        """Return a model, read from JSON-ready objects.

        Args:
            data: The objects.
            cls: The model.
            unread: Is added what was left out of an answer because it could not be read.

        Raises:
            WireError: They do not fit.
        """
        notes: list[Unread] = []
        try:
            found: T = self._reader.read(data, cls, notes)
        except MisfitError as misfit:
            raise WireError(misfit.problems) from None
        if unread is not None:
            unread += notes
        return found

    def from_json(self, data: bytes, cls: type[T], unread: list[Unread] | None = None) -> T:
        """JSON as a model.

        Args:
            data: The bytes.
            cls: The model.
            unread: As for `load`.

        Raises:
            UnreadableJsonError: Not JSON.
            WireError: JSON that does not fit.
        """
        parsed, problem = None, None
        try:
            # orjson reads every fraction as a double, which is no way to keep amounts of money.
            exact = _has_amounts(cast("Hashable", cls))
            parsed = json.loads_exactly(data) if exact else json.loads(data)
        except json.JSONDecodeError as error:
            problem = str(error)
        if problem is not None:
            # Not from the parser's error, nor while it is handled: that one holds the whole text, JWTs included.
            raise UnreadableJsonError(problem)
        return self.load(parsed, cls, unread)


@functools.cache
def _has_amounts(cls: Any) -> bool:
    """Whether there is a `Decimal` anywhere in the model."""
    if cls is Decimal:
        return True
    if isinstance(cls, type) and attrs.has(cls):
        return any(_has_amounts(field.type) for field in attrs.fields(attrs.resolve_types(cls)))
    return any(_has_amounts(each) for each in get_args(cls))


WIRE = Wire()
"""Reads KSeF's answers and writes our requests."""
