"""Archives of strangers: what is refused for which flaw, and what is not."""

from __future__ import annotations

import errno
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from typing import Final

import pytest
from packages import tarred, zipped

from ksef_async.protocol.archives import Bounds, Flaw, TarGzArchive, UnsafeArchiveError, ZipArchive

BOUNDS: Final = Bounds(max_members=3, max_total_size=1_000_000, longest_name=20)
KINDS: Final = pytest.mark.parametrize(
    ("kind", "pack"), [(ZipArchive, zipped), (TarGzArchive, tarred)], ids=["zip", "tar.gz"]
)
Pack = Callable[[list[tuple[str, bytes]]], bytes]
Kind = type[ZipArchive] | type[TarGzArchive]


def read(kind: Kind, archive: bytes, bounds: Bounds = BOUNDS) -> dict[str, bytes]:
    return {member.name: member.read() for member in kind(io.BytesIO(archive), bounds).members()}


def flaw(kind: Kind, archive: bytes, bounds: Bounds = BOUNDS) -> Flaw:
    with pytest.raises(UnsafeArchiveError) as caught:
        read(kind, archive, bounds)
    return caught.value.flaw


@KINDS
def test_sound_archive_is_read_whole_or_in_pieces(kind: Kind, pack: Pack) -> None:
    files = {"a.xml": b"<a/>", "b.xml": b"", "c.xml": bytes(200_000)}
    archive = pack([*files.items()])

    assert read(kind, archive) == files
    pieces = [[*member.pieces()] for member in kind(io.BytesIO(archive), BOUNDS).members()]
    assert [b"".join(each) for each in pieces] == [*files.values()]
    assert max(len(piece) for each in pieces for piece in each) < 100_000


@KINDS
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["a/b"], Flaw.UNSAFE_NAME, id="folder"),
        pytest.param(["a\\b"], Flaw.UNSAFE_NAME, id="folder of Windows"),
        pytest.param(["C:a"], Flaw.UNSAFE_NAME, id="drive of Windows"),
        pytest.param([".."], Flaw.UNSAFE_NAME, id="dots"),
        pytest.param(["a\nb"], Flaw.UNSAFE_NAME, id="control character"),
        pytest.param(["x" * 21], Flaw.UNSAFE_NAME, id="too long"),
        pytest.param(["a", "b", "c", "d"], Flaw.TOO_MANY, id="too many"),
    ],
)
def test_names_are_checked_before_anything_is_unpacked(
    kind: Kind, pack: Pack, names: list[str], expected: Flaw
) -> None:
    assert flaw(kind, pack([(name, b"") for name in names])) is expected


@KINDS
def test_sizes_are_added_up(kind: Kind, pack: Pack) -> None:
    files = [("a", bytes(600_000)), ("b", bytes(400_000))]

    assert len(read(kind, pack(files))) == 2
    assert flaw(kind, pack([*files, ("c", b"1")])) is Flaw.TOO_LARGE


@pytest.mark.parametrize("counts_all", [True, False])
def test_members_of_a_tar_are_counted_to_the_end_if_asked(counts_all: bool) -> None:
    bounds = Bounds(max_members=3, max_total_size=1_000_000, counts_all=counts_all)

    with pytest.raises(UnsafeArchiveError) as caught:
        read(TarGzArchive, tarred([(f"{number}", b"x" * 1000) for number in range(9)]), bounds)

    assert caught.value.count == (9 if counts_all else 4)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_a_bound_are_refused(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a", bytes(1000))

    assert flaw(ZipArchive, buffer.getvalue()) is Flaw.NOT_A_FILE


def test_broken_header_is_not_taken_for_the_end_of_a_tar() -> None:
    plain = bytearray(gzip.decompress(tarred([("a", b"1"), ("b", b"2")])))
    plain[1024 + 148] ^= 1  # in the checksum of the second header

    assert flaw(TarGzArchive, gzip.compress(bytes(plain))) is Flaw.LONG_TAIL


def test_sparse_file_is_refused() -> None:
    member = tarfile.TarInfo("a")
    member.type = tarfile.GNUTYPE_SPARSE
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(member)

    assert flaw(TarGzArchive, buffer.getvalue()) is Flaw.NOT_A_FILE


@pytest.mark.parametrize("archive", [b"", b"PK", b"no archive at all"])
def test_what_is_no_zip_is_told(archive: bytes) -> None:
    assert flaw(ZipArchive, archive) is Flaw.NOT_A_ZIP


class FailingDisk(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(errno.EIO, "the disk")


@pytest.mark.parametrize("kind", [ZipArchive, TarGzArchive])
def test_failure_of_the_disk_is_no_flaw_of_the_archive(kind: Kind) -> None:
    with pytest.raises(OSError, match="the disk"):
        next(kind(FailingDisk(b"PK" * 100), BOUNDS).members())
