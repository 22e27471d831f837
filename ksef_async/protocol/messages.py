"""What crosses the wire, before and after it has a meaning."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Final

import attrs

from ..api.operation import LARGEST_JSON

__all__ = [
    "ACCEPT_ENCODING",
    "AnswerBody",
    "BodyTooLargeError",
    "FileBody",
    "RawRequest",
    "RawResponse",
    "UnreadableBodyError",
    "WrittenBody",
]


@attrs.frozen(kw_only=True)
class FileBody:
    """A file as a request's body, read while it is sent."""

    path: Path
    """The file."""
    size: int
    """Bytes to send, from the file's beginning; goes out as ``Content-Length``."""
    progress: Callable[[int], None] | None = attrs.field(default=None, repr=False)
    """Called with the bytes of this body handed to the socket so far; from 0 again when the request is repeated."""


@attrs.frozen(kw_only=True)
class RawRequest:
    """An HTTP request, ready to be sent as it stands."""

    operation: str
    """For error messages; the URL may be a secret (a signed link), this never is."""
    method: str
    """The HTTP method, in capitals."""
    url: str = attrs.field(repr=False)
    """The whole address."""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """The headers to send, a bearer among them."""
    body: bytes | FileBody | None = attrs.field(default=None, repr=False)
    """The bytes, a part of a file, or None."""
    largest_answer: int = LARGEST_JSON
    """The most bytes the answer may have, decompressed, where it is one of success."""
    into: IO[bytes] | None = attrs.field(default=None, repr=False)
    """A file that takes the body of an answer of success, from the file's beginning, so that memory need not."""


@attrs.frozen(kw_only=True)
class WrittenBody:
    """Size and SHA-256 of what was written to `RawRequest.into`."""

    size: int
    """Bytes."""
    sha256: bytes
    """Of all of them (32 bytes)."""


@attrs.frozen(kw_only=True)
class RawResponse:
    """A complete HTTP answer."""

    status: int
    """The HTTP status."""
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Names in lower case."""
    body: bytes = attrs.field(default=b"", repr=False)
    """The bytes of the answer, decompressed."""
    written: WrittenBody | None = None
    """Where the body went to `RawRequest.into`; ``body`` is then no more than its beginning."""

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case: ``application/json``."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


ACCEPT_ENCODING: Final = "gzip, deflate"
"""What `AnswerBody` can decompress; other encodings need packages that are not dependencies."""

_GZIP: Final = 16 + zlib.MAX_WBITS
# A gzip stream may consist of several; each one costs a copy of what follows it.
_MOST_MEMBERS: Final = 100
# Compressing may add this to what it cannot make smaller.
_OVERHEAD: Final = 64_000


class BodyTooLargeError(Exception):
    """The body has more bytes than its bound, compressed or not."""


class UnreadableBodyError(Exception):
    """The body is not in the encoding that its header names, or ends too early."""


class AnswerBody:
    """Collects a body piece by piece.

    Args:
        largest: The most bytes it may have, decompressed.
        encoding: Value of ``Content-Encoding``.

    Raises:
        UnreadableBodyError: The encoding is not one that was asked for.
    """

    def __init__(self, *, largest: int, encoding: str) -> None:
        self._largest = largest
        self._encoding = encoding.strip().lower()
        self._plain = io.BytesIO()
        # Bytes that were collected in all, and those of them that were taken.
        self._size = self._taken = 0
        self._received = 0
        self._members = 0
        self._decompressor: zlib._Decompress | None = None
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise UnreadableBodyError

    @property
    def is_compressed(self) -> bool:
        """Return whether the pieces are decompressed."""
        return self._encoding not in ("", "identity")

    @property
    def content(self) -> bytes:
        """Return what was collected so far and not taken; after `BodyTooLargeError`, no more than the bound."""
        return self._plain.getvalue()

    @property
    def waiting(self) -> int:
        """The number of bytes in `content`."""
        return self._size - self._taken

    def take(self) -> bytes:
        """Return what was collected since the last time, and hold it no longer."""
        content, self._plain, self._taken = self._plain.getvalue(), io.BytesIO(), self._size
        return content

    def feed(self, piece: bytes) -> None:
        """Take in the next piece.

        Raises:
            BodyTooLargeError: The bound is passed.
            UnreadableBodyError: It cannot be decompressed.
        """
        if not self.is_compressed:
            self._add(piece)
            return
        self._received += len(piece)
        # A compressed stream can go on without end and say nothing.
        if self._received > self._largest + _OVERHEAD:
            raise BodyTooLargeError
        try:
            self._decompress(piece)
        except zlib.error:
            # `from None`: what cannot be read may hold a secret.
            raise UnreadableBodyError from None

    def end(self) -> None:
        """Check that a compressed body is complete.

        Raises:
            UnreadableBodyError: It is not.
        """
        if self._decompressor is not None and not self._decompressor.eof:
            raise UnreadableBodyError

    def _decompress(self, piece: bytes) -> None:
        while piece:
            if self._decompressor is None or self._decompressor.eof:
                if self._members == _MOST_MEMBERS or (self._members and self._encoding == "deflate"):
                    raise UnreadableBodyError
                self._members += 1
                self._decompressor = zlib.decompressobj(self._window(piece))
            # One byte more than may be: that shows a body which is too large.
            self._add(self._decompressor.decompress(piece, self._largest - self._size + 1))
            piece = self._decompressor.unconsumed_tail or self._decompressor.unused_data

    def _window(self, piece: bytes) -> int:
        if self._encoding != "deflate":
            return _GZIP
        # "deflate" is zlib's format (RFC 9110, 8.4.1.2), but some servers send the bare one; zlib's begins with 8.
        return zlib.MAX_WBITS if piece[0] & 0x0F == 8 else -zlib.MAX_WBITS

    def _add(self, plain: bytes) -> None:
        room = self._largest - self._size
        self._size += self._plain.write(plain[:room] if len(plain) > room else plain)
        if len(plain) > room:
            raise BodyTooLargeError
