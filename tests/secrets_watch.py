"""Listens to everything the library tells, in log records, reprs and errors, and looks for secrets in it."""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, TracebackType

import pytest

from ksef_async import KsefError
from ksef_async.calling import keys
from ksef_async.crypto.envelope import new_key

#: JWTs, KSeF tokens and the signatures of links, by their shapes.
SHAPES = re.compile(r"eyJ[\w-]{10,}\.[\w-]+|\|nip-\d{10}\|[0-9a-f]{64}|\bsig=[^\s'\"]+|Bearer \S{20,}")


#: Text of an attribute that is looked at; a body may be large, and a secret in it is at its beginning mostly.
_LONGEST = 200_000


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """Everything that hangs on an error: itself, its causes, its contexts (suppressed or not), those of groups."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [other for other in (each.__cause__, each.__context__) if other is not None]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def told_by(error: BaseException) -> str:
    """All that whoever catches ``error`` can read: of its whole chain the message, notes, arguments and attributes."""
    told = []
    for each in chain_of(error):
        told.append(f"{type(each).__name__}: {each} {each!r}")
        told += getattr(each, "__notes__", [])
        told += _texts(each, 4, set())
    return "\n".join(told)


def _texts(value: object, depth: int, seen: set[int]) -> Iterator[str]:
    if isinstance(value, bytes | bytearray | memoryview):
        yield bytes(value[:_LONGEST]).decode("latin-1")
    elif isinstance(value, str):
        yield value[:_LONGEST]
    elif not depth or id(value) in seen or isinstance(value, int | float | type | TracebackType | ModuleType | None):
        return
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _texts(name, depth - 1, seen)
            yield from _texts(each, depth - 1, seen)
    elif isinstance(value, Collection):
        for each in value:
            yield from _texts(each, depth - 1, seen)
    elif not isinstance(value, FunctionType | MethodType | BuiltinFunctionType):
        seen.add(id(value))
        yield repr(value)
        for name in dir(value):
            if not name.startswith("_") or name == "__dict__":
                try:
                    each = getattr(value, name)
                except Exception:  # noqa: BLE001  # a property that has nothing to say
                    continue
                if not isinstance(each, BaseException):  # those of the chain are walked on their own
                    yield from _texts(each, depth - 1, seen)


def leaks_in(text: str, keys: Collection[bytes] = ()) -> list[str]:
    """The secrets in a text, by their shapes, and those of ``keys`` however they are written."""
    written = [form for key in keys for form in (repr(key)[2:-1], key.hex(), b64encode(key).decode(), str(list(key)))]
    written += [key.decode("latin-1") for key in keys]
    return [match[0] for match in SHAPES.finditer(text)] + [form for form in written if form in text]


class Listener(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []
        self.keys: list[bytes] = []
        self.errors: list[KsefError] = []

    def emit(self, record: logging.LogRecord) -> None:
        shown = {name: value for name, value in vars(record).items() if name not in ("msg", "args", "exc_info")}
        self.told.append(f"{record.getMessage()} {shown} {record.exc_info and record.exc_info[1]!r}")

    @property
    def leaks(self) -> list[str]:
        return leaks_in("\n".join(self.told + [told_by(error) for error in self.errors]), self.keys)


@contextmanager
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """Listen while the block lasts."""
    listener = Listener()

    def remember_error(cls: type[KsefError], *arguments: object, **_: object) -> KsefError:
        error = Exception.__new__(cls, *arguments)
        listener.errors.append(error)
        return error

    def remember_key() -> tuple[bytes, bytes]:
        key, iv = new_key()
        listener.keys.append(key)
        return key, iv

    monkeypatch.setattr(KsefError, "__new__", remember_error)
    monkeypatch.setattr(keys, "new_key", remember_key)
    log = logging.getLogger("ksef_async")
    log.addHandler(listener)
    before = log.level
    log.setLevel(logging.DEBUG)
    try:
        yield listener
    finally:
        log.setLevel(before)
        log.removeHandler(listener)
