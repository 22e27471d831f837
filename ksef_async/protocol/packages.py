"""What KSeF demands of a package of invoices. Source: sesja-wsadowa.md; OpenAPI 2.9.0, OpenBatchSessionRequest."""

from __future__ import annotations

import re
from typing import Final

from ..errors import LocalProtocolError

__all__ = [
    "MAX_FILE_NAME",
    "MAX_INVOICES",
    "MAX_PACKAGE_SIZE",
    "MAX_PARTS",
    "MAX_PART_SIZE",
    "check_file_name",
]

#: Invoices in one package, unless the context was granted more.
MAX_INVOICES: Final = 10_000
MAX_PARTS: Final = 50
#: Bytes of a part before it is encrypted; KSeF's megabyte is 1,000,000 bytes.
MAX_PART_SIZE: Final = 100_000_000
#: Bytes of the whole archive.
MAX_PACKAGE_SIZE: Final = 5_000_000_000
#: Characters of an invoice's name in the archive.
MAX_FILE_NAME: Final = 128

_PATH_SIGNS: Final = re.compile(r"[/\\:]")
#: Control characters, and halves of characters that are in no encoding.
_UNWRITABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def check_file_name(name: str) -> None:
    """Refuse names that KSeF rejects, or that lead out of the folder an archive is unpacked in.

    Raises:
        LocalProtocolError: No string, empty, too long, like a path, with control characters, or not to be written
            as UTF-8.
    """
    if not isinstance(name, str):
        raise LocalProtocolError(f"An invoice's file name is a string, not {type(name).__name__}.")
    if not name or name in {".", ".."} or _PATH_SIGNS.search(name):
        raise LocalProtocolError(f"{name!r} is no plain file name; an archive for KSeF has neither folders nor paths.")
    if len(name) > MAX_FILE_NAME:
        raise LocalProtocolError(f"{name!r} has {len(name)} characters; KSeF takes file names of {MAX_FILE_NAME}.")
    if _UNWRITABLE.search(name):
        raise LocalProtocolError(f"{name!r} holds characters that cannot stand in an archive.")
