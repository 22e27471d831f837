"""Listens to everything the library tells, in log records, reprs and errors, and looks for secrets in it."""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ksef_async import KsefError, keys
from ksef_async.crypto.envelope import new_key

#: JWTs, KSeF tokens and the signatures of links, by their shapes.
SHAPES = re.compile(r"eyJ[\w-]{10,}\.[\w-]+|\|nip-\d{10}\|[0-9a-f]{64}|\bsig=[^\s'\"]+|Bearer \S{20,}")


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
        told = self.told + [f"{error!r} {error} {vars(error)}" for error in self.errors]
        written = [
            form for key in self.keys for form in (repr(key)[2:-1], key.hex(), b64encode(key).decode(), str(list(key)))
        ]
        text = "\n".join(told)
        return [match[0] for match in SHAPES.finditer(text)] + [form for form in written if form in text]


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
