"""What crosses the wire, before and after it has a meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import attrs

from ..operations.operation import LARGEST_JSON

__all__ = ["FileBody", "RawRequest", "RawResponse", "WrittenBody"]


@attrs.frozen(kw_only=True)
class FileBody:
    """A file as a request's body, read while it is sent."""

    path: Path
    #: Bytes to send, from the file's beginning; goes out as ``Content-Length``.
    size: int
    #: Is told how many bytes of this body were handed to the socket so far; from 0 again when the request is repeated.
    progress: Callable[[int], None] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class RawRequest:
    """An HTTP request, ready to be sent as it stands."""

    #: For error messages; the URL may be a secret (a signed link), this never is.
    operation: str
    method: str
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes | FileBody | None = attrs.field(default=None, repr=False)
    #: The most bytes the answer may have, decompressed, where it is one of success.
    largest_answer: int = LARGEST_JSON
    #: A file that takes the body of an answer of success, from the file's beginning, so that memory need not.
    into: IO[bytes] | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class WrittenBody:
    """Size and SHA-256 of what was written to `RawRequest.into`."""

    #: Bytes.
    size: int
    #: Of all of them (32 bytes).
    sha256: bytes


@attrs.frozen(kw_only=True)
class RawResponse:
    """A complete HTTP answer."""

    status: int
    #: Names in lower case.
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    #: Where the body went to `RawRequest.into`; ``body`` is then no more than its beginning.
    written: WrittenBody | None = None

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case: ``application/json``."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()
