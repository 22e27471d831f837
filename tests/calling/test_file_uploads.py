"""Sending a file as a request's body: streamed, with its length, however long it takes."""

from __future__ import annotations

import asyncio
import os
import time
from hashlib import sha256
from pathlib import Path

import aiohttp
import anyio
import pytest
from aiohttp import web
from canned import serving
from raw_server import listening

from ksef_async import Environment
from ksef_async.calling.transport import AiohttpTransport
from ksef_async.errors import AnswerTimeoutError, LocalProtocolError, TransportError
from ksef_async.protocol.messages import FileBody, RawRequest

SIZE = 3 * 2**20 + 17


class Storage:
    """What a storage saw."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.digests: list[bytes] = []
        #: Seconds after each piece that was read.
        self.pause = 0.0

    async def put(self, request: web.Request) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        digest = sha256()
        async for chunk in request.content.iter_chunked(2**18):
            digest.update(chunk)
            await asyncio.sleep(self.pause)
        self.digests.append(digest.digest())
        return web.Response(status=201)


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "part"
    await anyio.Path(path).write_bytes(os.urandom(SIZE))
    return path


def put(environment: Environment, body: FileBody) -> RawRequest:
    return RawRequest(
        operation="upload_part",
        method="PUT",
        url=f"{environment.base_url}/part",
        headers={"x-ms-blob-type": "BlockBlob"},
        body=body,
    )


async def arrived_whole(path: Path) -> bool:
    storage, transport = Storage(), AiohttpTransport()
    async with serving(storage.put) as environment:
        await transport.send(put(environment, FileBody(path=path, size=SIZE)))
        await transport.aclose()
    return storage.digests == [sha256(await anyio.Path(path).read_bytes()).digest()]


async def test_a_file_arrives_whole_where_only_threads_read_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "RWF_NOWAIT", raising=False)  # as on other systems than Linux

    assert await arrived_whole(path)


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux reads without waiting")
async def test_a_file_that_the_system_has_not_in_memory_arrives_whole(path: Path) -> None:
    if drop_from_memory(path) == SIZE:
        pytest.skip("this file system keeps files in memory")

    assert await arrived_whole(path)


def drop_from_memory(path: Path) -> int:
    """How many bytes of the file are in memory all the same."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            return os.preadv(file.fileno(), [bytearray(SIZE)], 0, os.RWF_NOWAIT)
        except OSError:
            return 0


async def test_file_arrives_whole_with_its_length_and_no_chunks(path: Path) -> None:
    storage, transport, handed_over = Storage(), AiohttpTransport(), list[int]()

    async with serving(storage.put) as environment:
        answer = await transport.send(put(environment, FileBody(path=path, size=SIZE, progress=handed_over.append)))
        await transport.aclose()

    assert answer.status == 201
    assert storage.digests == [sha256(await anyio.Path(path).read_bytes()).digest()]
    headers = storage.headers[0]
    assert headers["content-length"] == str(SIZE)
    assert headers["x-ms-blob-type"] == "BlockBlob"
    assert "transfer-encoding" not in headers
    assert "authorization" not in headers
    assert handed_over == sorted(handed_over)
    assert (handed_over[0], handed_over[-1]) == (0, SIZE)


async def test_slow_upload_may_take_longer_than_an_answer(tmp_path: Path) -> None:
    large = tmp_path / "large"  # than what fits into the buffers of the sockets between
    await anyio.Path(large).write_bytes(bytes(2**25))
    storage = Storage()
    storage.pause = 0.02  # 128 times at least, which is longer than the transport waits for an answer
    transport = AiohttpTransport(connect_timeout=0.2, answer_timeout=1.5)

    async with serving(storage.put) as environment:
        before = time.monotonic()
        answer = await transport.send(put(environment, FileBody(path=large, size=2**25)))
        await transport.aclose()

    assert answer.status == 201
    assert time.monotonic() - before > 1.7


@pytest.mark.skipif(
    tuple(map(int, aiohttp.__version__.split(".")[:2])) < (3, 14),
    reason="aiohttp before 3.14 leaves the error of the connection that it closes behind, for the loop to complain of",
)
async def test_upload_that_nobody_takes_ends(tmp_path: Path) -> None:
    large = tmp_path / "large"
    await anyio.Path(large).write_bytes(bytes(2**25))
    storage = Storage()
    storage.pause = 60
    transport = AiohttpTransport(connect_timeout=0.1, answer_timeout=0.2)

    async with serving(storage.put) as environment:
        with pytest.raises(AnswerTimeoutError, match=r"upload_part: for 0.3 s the other side took no more"):
            await transport.send(put(environment, FileBody(path=large, size=2**25)))
        await transport.aclose()


async def test_file_that_is_too_short_is_said_to_be(path: Path) -> None:
    storage, transport = Storage(), AiohttpTransport()

    async with serving(storage.put) as environment:
        with pytest.raises(LocalProtocolError, match=r"part is shorter than the 3,145,746 bytes"):
            await transport.send(put(environment, FileBody(path=path, size=SIZE + 1)))
        with pytest.raises(FileNotFoundError, match="missing"):
            await transport.send(put(environment, FileBody(path=path.parent / "missing", size=SIZE)))
        await transport.aclose()

    assert storage.digests == []


async def test_broken_connection_is_a_transport_error(path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.transport.abort()

    transport = AiohttpTransport()
    async with listening(hang_up) as port:
        with pytest.raises(TransportError) as caught:
            await transport.send(put(Environment(f"http://127.0.0.1:{port}/secret"), FileBody(path=path, size=SIZE)))
        await transport.aclose()

    assert caught.value.maybe_delivered
    assert "secret" not in str(caught.value)


async def test_cancelled_upload_leaves_no_task(path: Path) -> None:
    storage = Storage()
    storage.pause = 60
    transport = AiohttpTransport()

    async with serving(storage.put) as environment:
        before = asyncio.all_tasks()
        task = asyncio.create_task(transport.send(put(environment, FileBody(path=path, size=SIZE))))
        while not storage.headers:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await transport.aclose()
        await asyncio.sleep(0.01)

        assert [task for task in asyncio.all_tasks() - before if "aiohttp/client" in repr(task)] == []
