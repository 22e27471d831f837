"""The transport against servers that send anything: an answer within its bound, or one of our errors."""

from __future__ import annotations

import asyncio
import gc
import gzip
import resource
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from clients import ONCE, connected
from raw_server import Conversation, answering_with, conversing, read_head

from ksef_async import (
    AnswerTimeoutError,
    Environment,
    KsefError,
    LocalProtocolError,
    RemoteProtocolError,
    TransportError,
)
from ksef_async.api.auth import GET_CHALLENGE
from ksef_async.calling.caller import Caller
from ksef_async.calling.events import Event, RequestFailed, RequestSent
from ksef_async.calling.transport import AiohttpTransport
from ksef_async.protocol.messages import RawRequest, RawResponse, UnreadableBodyError
from ksef_async.sandbox import Fault, Sandbox

BOUND = 1_000_000


async def ask(environment: Environment, transport: AiohttpTransport | None = None, **changes: object) -> RawResponse:
    given = {"operation": "get_x", "method": "GET", "url": f"{environment.base_url}/x", "largest_answer": BOUND}
    own = transport or AiohttpTransport(connect_timeout=1, answer_timeout=5)
    try:
        return await own.send(RawRequest(**{**given, **changes}))  # type: ignore[arg-type]  # any of its fields
    finally:
        if transport is None:
            await own.aclose()


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    return head(f"Content-Length: {len(body)}", *headers, status=status) + body


def endless(start: bytes, piece: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def pieces() -> AsyncIterator[bytes]:
        yield start
        while True:
            yield piece

    return pieces


BOMB = zlib.compress(bytes(200_000_000), 9)
GZIP_BOMB = gzip.compress(bytes(200_000_000), 9)
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"

TOO_LARGE = {
    "no length, no end": answering_with(endless(head(), bytes(0x10000))),
    "chunks without end": answering_with(endless(head("Transfer-Encoding: chunked"), CHUNK)),
    "a length of 10^15": answering_with(endless(head("Content-Length: 1000000000000000"), bytes(0x10000))),
    "one byte too many": answering_with(whole(bytes(BOUND + 1))),
    "gzip bomb": answering_with(whole(GZIP_BOMB, "Content-Encoding: gzip")),
    "deflate bomb": answering_with(whole(BOMB, "Content-Encoding: deflate")),
    "gzip that says nothing": answering_with(endless(head("Content-Encoding: gzip") + b"\x1f\x8b\x08\x08", b"x" * 999)),
}
UNKNOWN_ENCODING = {
    "brotli": answering_with(whole(b"\x0b\x02\x80abc\x03", "Content-Encoding: br")),
    "zstd": answering_with(whole(b"\x28\xb5\x2f\xfd", "Content-Encoding: zstd")),
    "gzip twice": answering_with(whole(gzip.compress(GZIP_BOMB), "Content-Encoding: gzip, gzip")),
    "nonsense": answering_with(whole(b"{}", "Content-Encoding: \xff\xfe")),
}
BROKEN = {
    "nothing": answering_with(b""),
    "not http": answering_with(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "binary": answering_with(bytes(range(256)) * 10),
    "no version": answering_with(b"200 OK\r\n\r\n"),
    "status of two digits": answering_with(head(status="20 OK")),
    "status of words": answering_with(head(status="OK")),
    "negative status": answering_with(head(status="-200 OK")),
    "half a head": answering_with(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "header without colon": answering_with(head("Content-Type")),
    "NUL in a header": answering_with(head("Content-Type: a\0b")),
    "control in a name": answering_with(head("Conte\x01nt: x")),
    "length of words": answering_with(head("Content-Length: many")),
    "negative length": answering_with(head("Content-Length: -1")),
    "length with a sign": answering_with(head("Content-Length: +2") + b"{}"),
    "two lengths": answering_with(head("Content-Length: 2", "Content-Length: 3") + b"{}"),
    "length of 5,000 digits": answering_with(head("Content-Length: " + "9" * 5000)),
    "less than its length": answering_with(head("Content-Length: 1000") + b"{"),
    "chunk of no size": answering_with(head("Transfer-Encoding: chunked") + b"xyz\r\n{}\r\n"),
    "chunk of a negative size": answering_with(head("Transfer-Encoding: chunked") + b"-2\r\n{}\r\n"),
    "chunk of an absurd size": answering_with(head("Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n{}"),
    "chunks without the last": answering_with(head("Transfer-Encoding: chunked") + b"2\r\n{}\r\n"),
    "line of 1 MB": answering_with(head("X: " + "x" * 1_000_000)),
    "reason of 1 MB": answering_with(head(status="200 " + "O" * 1_000_000)),
    "header name of 1 MB": answering_with(head("x" * 1_000_000 + ": 1")),
    "not gzip": answering_with(whole(b"{}", "Content-Encoding: gzip")),
    "half of a gzip": answering_with(whole(gzip.compress(bytes(1000))[:-9], "Content-Encoding: gzip")),
    "wrong checksum of a gzip": answering_with(whole(gzip.compress(b"{}")[:-8] + bytes(8), "Content-Encoding: gzip")),
    "not deflate": answering_with(whole(b"\x78\x9cnot so", "Content-Encoding: deflate")),
    "members of gzip without end": answering_with(whole(gzip.compress(b"") * 1000, "Content-Encoding: gzip")),
}


def table(cases: Mapping[str, object]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("conversation", [pytest.param(case, id=name) for name, case in cases.items()])


@table(TOO_LARGE)
async def test_an_answer_beyond_its_bound_is_lost_and_takes_no_memory(conversation: Conversation) -> None:
    async with conversing(conversation) as environment:
        gc.collect()
        tracemalloc.start()
        with pytest.raises(RemoteProtocolError, match="more than 1,000,000 bytes") as caught:
            await ask(environment)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert caught.value.maybe_delivered
    assert caught.value.operation == "get_x"
    assert peak < 10 * BOUND


@table(UNKNOWN_ENCODING)
async def test_an_answer_in_an_encoding_that_was_not_asked_for_is_lost(conversation: Conversation) -> None:
    async with conversing(conversation) as environment:
        with pytest.raises(RemoteProtocolError, match="not asked for") as caught:
            await ask(environment)

    assert caught.value.maybe_delivered


@table(BROKEN)
async def test_an_answer_that_is_broken_is_lost(conversation: Conversation) -> None:
    async with conversing(conversation) as environment:
        with pytest.raises(TransportError) as caught:
            await ask(environment)

    assert caught.value.maybe_delivered
    # What aiohttp raised holds the address, which may be a signed link.
    assert caught.value.__cause__ is None
    assert isinstance(caught.value.__context__, UnreadableBodyError | None)


async def test_headers_without_end_are_lost_and_take_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    line = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8000) for number in range(100))

    async with conversing(answering_with(endless(b"HTTP/1.1 200 OK\r\n", line))) as environment:
        with pytest.raises(TransportError) as caught:
            await ask(environment)

    assert caught.value.maybe_delivered
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize(
    ("encoding", "compressed"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
async def test_an_answer_of_just_its_bound_is_read(encoding: str, compressed: Callable[[bytes], bytes]) -> None:
    body = bytes(BOUND)

    async with conversing(answering_with(whole(compressed(body), f"Content-Encoding: {encoding}"))) as environment:
        assert (await ask(environment)).body == body


@pytest.mark.parametrize(
    ("conversation", "size"),
    [
        pytest.param(answering_with(endless(head(status="502 Bad Gateway"), bytes(0x10000))), 1_000_000, id="endless"),
        pytest.param(answering_with(whole(GZIP_BOMB, "Content-Encoding: gzip", status="502 X")), 1_000_000, id="bomb"),
        pytest.param(answering_with(whole(b"\x0b\x02", "Content-Encoding: br", status="502 X")), 0, id="brotli"),
        pytest.param(answering_with(whole(b"page", "Content-Encoding: gzip", status="502 X")), 0, id="not gzip"),
    ],
)
async def test_an_error_keeps_its_status_whatever_its_body_is(conversation: Conversation, size: int) -> None:
    async with conversing(conversation) as environment:
        response = await ask(environment)

    assert (response.status, len(response.body)) == (502, size)


async def test_the_connection_of_an_answer_beyond_its_bound_is_closed() -> None:
    closed = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(head("Content-Length: 2000000") + bytes(10))
        assert await reader.read() == b""
        closed.set()

    async with conversing(converse) as environment, asyncio.timeout(5):
        transport = AiohttpTransport()
        with pytest.raises(RemoteProtocolError):
            await ask(environment, transport)
        await closed.wait()
        await transport.aclose()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"url": "https://["}, RemoteProtocolError, id="no host"),
        pytest.param({"url": "https://x:99999/"}, RemoteProtocolError, id="port too large"),
        pytest.param({"url": "https://x:abc/"}, RemoteProtocolError, id="port of letters"),
        pytest.param({"url": "https://x:0/"}, RemoteProtocolError, id="port 0"),
        pytest.param({"url": "/x"}, RemoteProtocolError, id="no address"),
        pytest.param({"url": "http://127.0.0.1:1/a b"}, RemoteProtocolError, id="blank in the address"),
        pytest.param({"url": "http://127.0.0.1:1/\r\nX: y"}, RemoteProtocolError, id="line break in the address"),
        pytest.param({"url": "http://127.0.0.1:1/\udc80"}, RemoteProtocolError, id="surrogate in the address"),
        pytest.param({"method": "GET /x HTTP/1.1\r\n"}, RemoteProtocolError, id="method with a line break"),
        pytest.param({"method": ""}, RemoteProtocolError, id="no method"),
        pytest.param({"headers": {"X": "a\r\nY: b"}}, LocalProtocolError, id="line break in a header"),
        pytest.param({"headers": {"X": "a\0"}}, LocalProtocolError, id="NUL in a header"),
        pytest.param({"headers": {"X": "\udc80"}}, LocalProtocolError, id="surrogate in a header"),
        pytest.param({"headers": {"X y": "a"}}, LocalProtocolError, id="blank in a name"),
        pytest.param({"headers": {"": "a"}}, LocalProtocolError, id="no name"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_a_connection(
    changes: dict[str, object], error: type[KsefError]
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a connection was made")

    async with conversing(never) as environment:  # type: ignore[arg-type]  # it is never called
        transport = AiohttpTransport()
        with pytest.raises(error) as caught:
            await ask(environment, transport, **changes)
        await transport.aclose()

    assert not getattr(caught.value, "maybe_delivered", False)


# --- aiohttp's own repetitions ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("is_kept", [True, False], ids=["on a connection kept alive", "on a new connection"])
@pytest.mark.parametrize("is_borrowed", [False, True], ids=["own pool", "borrowed pool"])
@pytest.mark.parametrize("is_reset", [False, True], ids=["closed", "reset"])
async def test_a_request_whose_connection_breaks_is_sent_once(
    method: str, is_kept: bool, is_borrowed: bool, is_reset: bool
) -> None:
    heads = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await read_head(reader))
            if b"/warm" not in heads[-1]:
                if is_reset:
                    writer.transport.abort()
                return
            writer.write(whole(b""))

    async with conversing(converse) as environment:
        pool = aiohttp.ClientSession() if is_borrowed else None
        transport = AiohttpTransport(pool)
        if is_kept:
            await ask(environment, transport, url=f"{environment.base_url}/warm")
            heads.clear()
        with pytest.raises(TransportError) as caught:
            await ask(environment, transport, method=method)
        await transport.aclose()
        if pool is not None:
            await pool.close()

    assert caught.value.maybe_delivered
    assert len(heads) == 1


async def test_each_attempt_that_arrives_is_told_to_the_hook(sandbox: Sandbox) -> None:
    events: list[Event] = []

    async with connected(sandbox, hook=events.append) as client:
        await client.limits.get_context()
        events.clear()
        before = sandbox.world.recent.request_count
        sandbox.faults.add("get_context_limits", Fault.drop_before())
        await client.limits.get_context()

    assert sum(isinstance(event, RequestSent) for event in events) == sandbox.world.recent.request_count - before == 2


async def test_an_answer_beyond_its_bound_is_told_to_the_hook_as_lost() -> None:
    events: list[Event] = []

    async with conversing(answering_with(whole(bytes(16_000_001)))) as environment:
        transport = AiohttpTransport()
        with pytest.raises(RemoteProtocolError, match="more than 16,000,000 bytes"):
            await Caller(environment, transport, retry=ONCE, hook=events.append).call(GET_CHALLENGE)
        await transport.aclose()

    assert [type(event) for event in events] == [RequestSent, RequestFailed]


async def test_middlewares_of_a_borrowed_pool_stay_in_use() -> None:
    seen = []

    async def middleware(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        seen.append(request.method)
        return await send(request)

    async with (
        conversing(answering_with(whole(b"{}"))) as environment,
        aiohttp.ClientSession(middlewares=[middleware]) as pool,
    ):
        assert (await ask(environment, AiohttpTransport(pool))).body == b"{}"

    assert seen == ["GET"]


# --- how long ---------------------------------------------------------------------------------------------


def dripping(piece: bytes, pause: float, pieces: int) -> Conversation:
    async def drops() -> AsyncIterator[bytes]:
        yield head("Content-Length: " + str(len(piece) * pieces))
        for _ in range(pieces):
            yield piece
            await asyncio.sleep(pause)

    return answering_with(drops)


async def test_a_large_answer_over_a_slow_line_has_as_much_longer() -> None:
    async with conversing(dripping(bytes(20_000), 0.05, 20)) as environment:
        transport = AiohttpTransport(connect_timeout=0.1, answer_timeout=0.3)
        response = await ask(environment, transport)
        await transport.aclose()

    assert len(response.body) == 400_000


async def test_an_answer_that_only_trickles_is_broken_off() -> None:
    async with conversing(dripping(b"x", 0.05, 1000)) as environment, asyncio.timeout(10):
        transport = AiohttpTransport(connect_timeout=0.1, answer_timeout=0.3)
        with pytest.raises(AnswerTimeoutError) as caught:
            await ask(environment, transport)
        await transport.aclose()

    assert caught.value.maybe_delivered


async def test_headers_that_are_not_text_can_be_printed() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-System-Warning: \xff\xc4\x85\r\n\r\n"

    async with conversing(answering_with(answer)) as environment:
        response = await ask(environment)

    assert response.headers["x-system-warning"] == "\ufffdą"


# --- into a file ------------------------------------------------------------------------------------------


async def test_a_large_answer_goes_into_a_file_and_not_into_memory(tmp_path: Path) -> None:
    piece, count = b"0123456789abcdef" * 4096, 800
    path = tmp_path / "part"

    async def pieces() -> AsyncIterator[bytes]:
        yield head(f"Content-Length: {len(piece) * count}")
        for _ in range(count):
            yield piece

    with path.open("w+b") as file:
        file.write(b"what an attempt before has left" * 3_000_000)
        async with conversing(answering_with(pieces)) as environment:
            tracemalloc.start()
            response = await ask(environment, into=file, largest_answer=len(piece) * count)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()

    assert response.written is not None
    assert response.written.size == path.stat().st_size == len(piece) * count == 52_428_800
    assert response.written.sha256 == sha256(path.read_bytes()).digest()
    assert response.body == (piece * 2)[:1000]
    assert peak < 8_000_000


async def test_an_error_does_not_go_into_the_file(tmp_path: Path) -> None:
    with (tmp_path / "part").open("w+b") as file:
        async with conversing(answering_with(whole(b"<html>", status="403 Forbidden"))) as environment:
            response = await ask(environment, into=file)
        assert file.tell() == 0

    assert (response.body, response.written) == (b"<html>", None)


async def test_a_file_that_cannot_be_written_is_none_of_the_networks_faults(tmp_path: Path) -> None:
    (tmp_path / "part").touch()

    with (tmp_path / "part").open("rb") as file:
        async with conversing(answering_with(whole(bytes(100)))) as environment:
            with pytest.raises(OSError, match=r"not writable|truncate|write") as caught:
                await ask(environment, into=file)

    assert not isinstance(caught.value, KsefError)
