"""attrs -> JSON-ready objects: a writer for each class, made once.

What is absent, empty or false by default is left out while it is, so nulls never leave this process.
"""

from __future__ import annotations

import enum
from base64 import b64encode
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final, TypeAlias

import attrs

from ..models.sessions import FormCode
from ..models.times import ServerTime
from .reading import field_name, form_code_as_json

__all__ = ["Writer"]

_Write: TypeAlias = Callable[[Any], Any]

#: Written as they are.
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
