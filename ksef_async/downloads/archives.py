"""KSeF's packages: which documents they hold, and their metadata.

A package holds ``{KSeF number}.xml`` for each invoice, and ``_metadata.json``. What must not be unpacked is refused by
`protocol.archives`; plain names that are not known are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Final

import attrs

from ..api.common import KSEF_NUMBER
from ..errors import RemoteProtocolError
from ..protocol.archives import Bounds, Flaw, Member, TarGzArchive, UnsafeArchiveError, ZipArchive

__all__ = ["PackageArchive", "UnpackLimits", "open_archive"]


@attrs.frozen(kw_only=True)
class UnpackLimits:
    """The most that a package may hold; all sizes are bytes. KSeF's own limits fit in many times over."""

    max_package_size: int = 2_000_000_000
    """All parts together, decrypted; KSeF stops at 1 GB of compressed documents."""
    max_part_size: int = 100_000_000
    """One part as it is fetched; KSeF's have up to 50 MB."""
    max_entries: int = 11_000
    """KSeF stops at 10,000 documents."""
    max_invoice_size: int = 10_000_000
    """One document; KSeF itself takes 3 MB, and 10 MB at most on TEST."""
    max_metadata_size: int = 64_000_000
    """The metadata of all documents together: of 10,000, with 6,400 bytes for each, of which most need 1,000."""
    max_row_size: int = 500_000
    """The metadata of one document; the 100 third parties that FA(3) allows need 350,000, every letter escaped."""
    max_total_size: int = 50_000_000_000
    """All documents together."""


_INVOICE: Final = re.compile(rf"({KSEF_NUMBER})\.xml", re.ASCII)
_METADATA: Final = re.compile(r"_metadata[\w-]*\.json", re.ASCII)


class PackageArchive:
    """A package, opened. Not for the event loop: everything reads and unpacks.

    Args:
        archive: What holds the files.
        limits: The most they may be.
    """

    def __init__(self, archive: ZipArchive | TarGzArchive, limits: UnpackLimits) -> None:
        self._archive = archive
        self._limits = limits
        # A zip is looked through before anything of it is unpacked.
        self._all = [*self._read_known()] if isinstance(archive, ZipArchive) else None

    def metadata(self) -> Iterator[Iterator[bytes]]:
        """Return the metadata of the documents: files of JSON, each in pieces, to be used up before the next.

        Raises:
            RemoteProtocolError: Broken, or not what KSeF makes.
        """
        for number, member in self._known():
            if not number:
                yield self._pieces(member)

    def documents(self, wanted: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Return each document with its KSeF number; those in ``wanted`` first and in this order where that is cheap.

        Raises:
            RemoteProtocolError: Broken, or not what KSeF makes.
        """
        documents = ((number, member) for number, member in self._known() if number)
        if self._all is not None:
            # A tar has one order.
            found = dict(documents)
            first = [number for number in wanted if number in found]
            documents = ((number, found[number]) for number in dict.fromkeys([*first, *found]))
        for number, member in documents:
            with self._translated():
                content = member.read()
            yield number, content

    def _known(self) -> Iterator[tuple[str, Member]]:
        return iter(self._all) if self._all is not None else self._read_known()

    def _read_known(self) -> Iterator[tuple[str, Member]]:
        """Return the KSeF number of each document, none for metadata, and what holds it."""
        metadata_size = 0
        with self._translated():
            for member in self._archive.members():
                if match := _INVOICE.fullmatch(member.name):
                    if member.size > self._limits.max_invoice_size:
                        raise _refused(
                            f"has an entry {member.name} of {member.size:,} bytes, "
                            f"more than {self._limits.max_invoice_size:,}"
                        )
                    yield match[1], member
                elif _METADATA.fullmatch(member.name):
                    metadata_size += member.size
                    if metadata_size > self._limits.max_metadata_size:
                        raise _refused(f"has more than {self._limits.max_metadata_size:,} bytes of metadata")
                    yield "", member

    def _pieces(self, member: Member) -> Iterator[bytes]:
        with self._translated():
            yield from member.pieces()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except UnsafeArchiveError as error:
            raise _refused(_problem(error, self._limits)) from error


def open_archive(file: IO[bytes], limits: UnpackLimits) -> PackageArchive:
    """Open a package; its first bytes show what kind of archive it is, for not every version of KSeF says so.

    Raises:
        RemoteProtocolError: Broken, or not what KSeF makes.
    """
    bounds = Bounds(max_members=limits.max_entries, max_total_size=limits.max_total_size)
    file.seek(0)
    start = file.read(2)
    if start == b"\x1f\x8b":
        return PackageArchive(TarGzArchive(file, bounds), limits)
    if start != b"PK":
        raise _refused("is neither a zip nor a tar.gz")
    try:
        return PackageArchive(ZipArchive(file, bounds), limits)
    except UnsafeArchiveError as error:
        raise _refused(_problem(error, limits)) from error


def _refused(problem: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"KSeF's package {problem}; it must not be trusted.", operation="export_package")


def _problem(error: UnsafeArchiveError, limits: UnpackLimits) -> str:
    name = f"{error.name[:100]!r}"
    problems = {
        Flaw.NOT_A_ZIP: "is broken (it has no directory)",
        Flaw.BROKEN: f"is broken ({error.problem})",
        Flaw.UNSAFE_NAME: f"has an entry whose name leads elsewhere ({name})",
        Flaw.SAME_NAME: f"has two entries named {name}",
        Flaw.NOT_A_FILE: f"has an entry {name} that is no plain file, encrypted or packed in an unknown way",
        Flaw.TOO_MANY: f"has more than {limits.max_entries:,} entries",
        Flaw.TOO_LARGE: f"unpacks to more than {limits.max_total_size:,} bytes",
        Flaw.LONG_DIRECTORY: "has a directory that is too long",
        Flaw.LONG_HEADER: "has a header that is too long",
        Flaw.LONG_TAIL: "has more data behind its end",
    }
    return problems[error.flaw]
