"""A proxy that passes requests on as they are, and changes answers: by bytes, so that they may break HTTP itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import attrs
from raw_server import listening, read_head

from ksef_async.api.table import OPERATIONS

__all__ = ["Answer", "Cut", "Exchange", "MutatingProxy", "Wire"]

_REASONS: Final[Mapping[int, str]] = {200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 502: "Bad Gateway"}


@attrs.frozen
class Answer:
    """An answer of the sandbox, in parts."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def with_header(self, name: str, *values: str) -> Answer:
        """The same with other values for a header; without it when there are none."""
        kept = [each for each in self.headers if each[0].lower() != name.lower()]
        return attrs.evolve(self, headers=(*kept, *((name, value) for value in values)))

    def with_body(self, body: bytes, content_type: str | None = None) -> Answer:
        other = attrs.evolve(self, body=body)
        return other if content_type is None else other.with_header("Content-Type", content_type)

    def written(self) -> bytes:
        """As HTTP; the length is the body's, unless a header says something of it."""
        lines = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Odd')}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in self.headers):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + self.body


@attrs.frozen
class Wire:
    """What is written in place of an answer, and whether the connection lives on."""

    data: bytes
    closes: bool = True


@attrs.frozen
class Cut:
    """The connection breaks; before the request is passed on, or after it was answered."""


@attrs.frozen
class Exchange:
    """A request that is about to be passed on, or was answered."""

    #: By the name of the operation; ``upload_part`` and ``storage`` for the links.
    operation: str
    method: str
    path: str


Change = Callable[[Exchange, Answer], Answer | Wire | Cut]

_ROUTES: Final = [
    (row.method.value, re.compile("/v2" + re.sub(r"\{[^}]+\}", "[^/]+", row.path)), row.name)
    for row in sorted(OPERATIONS, key=lambda row: row.path.count("{"))
]


def _operation(method: str, path: str) -> str:
    if path.startswith("/storage/"):
        return "upload_part" if method == "PUT" else "storage"
    return next((name for verb, route, name in _ROUTES if verb == method and route.fullmatch(path)), "unknown")


class MutatingProxy:
    """Stands between a client and a sandbox.

    Args:
        instead: What is answered in place of the sandbox, which does not see the request; None to pass it on.
        change: What becomes of an answer.
    """

    def __init__(
        self,
        instead: Callable[[Exchange], Answer | Wire | Cut | None],
        change: Change,
    ) -> None:
        self._instead = instead
        self._change = change
        #: Where the sandbox is; told once it is known.
        self.upstream = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[MutatingProxy]:
        async with listening(self._serve) as self.port:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while (head := await _head(reader)) is not None:
                method, target, _ = head[0].split(" ", 2)
                headers = [tuple(line.split(": ", 1)) for line in head[1:]]
                length = int(next((value for name, value in headers if name.lower() == "content-length"), "0"))
                body = await reader.readexactly(length)
                path = target.partition("?")[0]
                exchange = Exchange(_operation(method, path), method, path)
                outcome = self._instead(exchange)
                if outcome is None:
                    if upstream is None:
                        upstream = await asyncio.open_connection("127.0.0.1", self.upstream, limit=2**20)
                    upstream[1].write("\r\n".join([*head, "", ""]).encode("latin-1") + body)
                    outcome = self._change(exchange, await _answer(upstream[0]))
                if isinstance(outcome, Cut):
                    writer.transport.abort()
                    return
                wire = Wire(outcome.written(), closes=False) if isinstance(outcome, Answer) else outcome
                writer.write(wire.data)
                await writer.drain()
                if wire.closes:
                    return
        finally:
            if upstream is not None:
                upstream[1].close()


async def _head(reader: asyncio.StreamReader) -> list[str] | None:
    try:
        head = await read_head(reader)
    except asyncio.IncompleteReadError:
        return None
    return head[:-4].decode("latin-1").split("\r\n")


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = await _head(reader)
    if head is None:
        raise OSError("the sandbox went away")
    status = int(head[0].split(" ", 2)[1])
    headers = tuple((name, value) for name, _, value in (line.partition(": ") for line in head[1:]))
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    body = await reader.readexactly(length)
    framing = ("content-length", "connection", "keep-alive")
    return Answer(status, tuple(each for each in headers if each[0].lower() not in framing), body)
