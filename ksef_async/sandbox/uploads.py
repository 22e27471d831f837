"""Where the parts of a package are uploaded to: signed links that only write. Source: sesja-wsadowa.md; Azure's errors.

The time of a link is checked when an upload starts; one that runs past it is taken. A part may be uploaded again
[INF], until the session is closed.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

import anyio
import anyio.to_thread
from aiohttp import web

from ..api.packages import CompressionType
from ..api.sessions import StatusCode
from ..calling.finishing import finish
from .faults import UPLOAD_PART, Fault, Faults
from .refusals import Refusal, StorageRefusal
from .sessions import BatchSession, DeclaredPart
from .world import World

__all__ = ["add_uploads", "part_link"]

_PATH: Final = re.compile(r"/storage/09/(?P<session>[^/]+)/batch-parts/(?P<part>\d+)\.(?:zip|tar\.gz)\.enc")
# Written to the disk at once.
_WRITE: Final = 2**20
# Azure's limit for one request is beyond what KSeF allows for a whole package.
_LARGEST: Final = 5_000_000_000


def part_link(world: World, session: BatchSession, part: DeclaredPart) -> str:
    """Return the signed link to upload a part to."""
    suffix = "zip" if session.compression is CompressionType.ZIP else "tar.gz"
    path = f"/storage/09/{session.reference_number.lower()}/batch-parts/{part.ordinal_number}.{suffix}.enc"
    signed, _ = world.ministry.sign_link(path, session.opened_at, session.upload_until - session.opened_at, "w")
    return world.public_url + signed


def add_uploads(app: web.Application, world: World, faults: Faults) -> None:
    """Add the routes of the links for uploads."""
    app.router.add_put("/storage/{path:.*}", _writer(world, faults))


def _writer(world: World, faults: Faults) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def write(request: web.Request) -> web.Response:
        now = world.clock.now()
        fault = faults.next_for(UPLOAD_PART)
        try:
            response = None
            if fault is not None and not fault.after_effect:
                response = fault.response(request, now)
            if response is None:
                session, part = _find(world, request, now)
                await _take(request, world, session, part, fault)
                response = web.Response(status=201)
                if fault is not None and fault.after_effect:
                    await anyio.sleep(fault.seconds)
                    # A response is a mapping, and an empty one is false in older aiohttp.
                    replaced = fault.response(request, now, response)
                    response = response if replaced is None else replaced
        except Refusal as refusal:
            response = refusal.response(instance=request.path, now=now, problem_details=False)
        # What was not read would break the connection before the client has seen the answer.
        await _read_off(request)
        return response

    return write


def _find(world: World, request: web.Request, now: datetime) -> tuple[BatchSession, DeclaredPart]:
    headers = request.headers
    if "Authorization" in headers:
        raise StorageRefusal(400, "InvalidAuthenticationInfo", "A signed link takes no Authorization header.")
    if not world.ministry.is_signed(request.path, request.query, now, "w"):
        raise StorageRefusal(403, "AuthenticationFailed", "The signature is wrong or has expired.")
    if "Transfer-Encoding" in headers:
        raise StorageRefusal(400, "UnsupportedHeader", "Transfer-Encoding is not supported.")
    if request.content_length is None:
        raise StorageRefusal(411, "MissingContentLengthHeader", "Content-Length is required.")
    if headers.get("x-ms-blob-type") is None:
        raise StorageRefusal(400, "MissingRequiredHeader", "x-ms-blob-type is required.")
    if headers["x-ms-blob-type"] != "BlockBlob":
        raise StorageRefusal(400, "InvalidHeaderValue", "x-ms-blob-type is not BlockBlob.")
    if request.content_length > _LARGEST:
        raise StorageRefusal(413, "RequestBodyTooLarge", "The request body is too large.")
    # The signature proves that the path was ours.
    match = _PATH.fullmatch(request.path)
    session = world.sessions[match["session"].upper()] if match else None
    if match is None or not isinstance(session, BatchSession):
        raise LookupError(f"a signed link to {request.path}, which leads nowhere")
    return session, session.parts[int(match["part"])]


async def _take(
    request: web.Request, world: World, session: BatchSession, part: DeclaredPart, fault: Fault | None
) -> None:
    damage = fault.part if fault is not None else None
    draft = part.path.with_name(f"{part.path.name}.{secrets.token_hex(4)}")
    file = await anyio.to_thread.run_sync(draft.open, "wb")
    kept = False
    try:
        digest, size = hashlib.sha256(), 0
        async for pieces in _pieces(request, damage):
            size += await anyio.to_thread.run_sync(_write, file, digest, pieces)
        # What is being processed stays as it is, whatever is uploaded afterwards [INF].
        kept = damage != "lost" and session.code_at(world.clock.now()) == StatusCode.OPENED
        if kept:
            part.stored_size, part.stored_hash = size, digest.digest()
            part.uploads += 1
    finally:
        await finish(anyio.to_thread.run_sync(_settle, file, draft, part.path if kept else None), math.inf)


async def _pieces(request: web.Request, damage: str | None) -> AsyncIterator[list[bytes]]:
    """Return the body, a megabyte at a time, damaged where a fault says so."""
    left = request.content_length or 0
    if damage == "shortened":
        left -= min(left, 16)
    pieces: list[bytes] = []
    waiting = 0
    while left and (piece := await request.content.read(min(left, _WRITE))):
        left -= len(piece)
        if damage == "garbled":
            piece, damage = bytes([piece[0] ^ 1]) + piece[1:], None
        pieces.append(piece)
        waiting += len(piece)
        if waiting >= _WRITE:
            yield pieces
            pieces, waiting = [], 0
    if pieces:
        yield pieces


def _write(file: IO[bytes], digest: Any, pieces: list[bytes]) -> int:
    for piece in pieces:
        digest.update(piece)
        file.write(piece)
    return sum(map(len, pieces))


def _settle(file: IO[bytes], draft: Path, path: Path | None) -> None:
    file.close()
    if path is None:
        draft.unlink()
    else:
        draft.replace(path)


async def _read_off(request: web.Request) -> None:
    while await request.content.read(_WRITE):
        pass
