"""Unpacking what strangers have packed: names, kinds of entries, bombs; and reading encrypted parts as one file."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from packages import craft, tarred, zipped

from ksef_async.api.packages import CompressionType
from ksef_async.crypto.envelope import SessionCipher
from ksef_async.errors import CryptoError
from ksef_async.packing import Package
from ksef_async.sandbox.archives import (
    ArchiveError,
    DecryptedParts,
    EmptyArchiveError,
    Entry,
    TooManyEntriesError,
    unpack,
)

ZIP, TAR_GZ = CompressionType.ZIP, CompressionType.TAR_GZ
FILES = [("a.xml", b"<a/>" * 5000), ("b.xml", b""), ("ł.xml", random.Random(1).randbytes(70_000))]


def opened(package: Package) -> DecryptedParts:
    cipher = SessionCipher(package.symmetric_key, package.initialization_vector)
    return DecryptedParts([part.path for part in package.parts], cipher, lambda: None)


def entries(
    folder: Path, archive: bytes, compression: CompressionType, max_invoices: int = 10, **options: int
) -> list[Entry]:
    with opened(craft(folder, archive, compression, part_size=1000)) as parts:
        return [*unpack(parts, compression, max_invoices=max_invoices, largest=3_000_000, **options)]


@pytest.mark.parametrize(("compression", "archive"), [(ZIP, zipped(FILES)), (TAR_GZ, tarred(FILES))])
def test_files_come_out_as_they_went_in(tmp_path: Path, compression: CompressionType, archive: bytes) -> None:
    found = entries(tmp_path, archive, compression)

    assert [(entry.name, entry.content, entry.size) for entry in found] == [(n, c, len(c)) for n, c in FILES]
    assert [entry.sha256 for entry in found] == [hashlib.sha256(content).digest() for _, content in FILES]
    assert "content" not in repr(found[0])


@pytest.mark.parametrize("name", ["folder/a.xml", "../a.xml", "/a.xml", "a\\b.xml", "..", "x" * 129, "folder/"])
@pytest.mark.parametrize("compression", [ZIP, TAR_GZ])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, compression: CompressionType, name: str) -> None:
    archive = zipped([(name, b"")]) if compression is ZIP else tarred([(name, b"")])

    with pytest.raises(ArchiveError, match="Niedozwolon"):
        entries(tmp_path, archive, compression)


@pytest.mark.parametrize("compression", [ZIP, TAR_GZ])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_name_that_comes_twice_is_refused(tmp_path: Path, compression: CompressionType) -> None:
    files = [("a.xml", b"1"), ("a.xml", b"2")]

    with pytest.raises(ArchiveError, match="więcej niż raz"):
        entries(tmp_path, zipped(files) if compression is ZIP else tarred(files), compression)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_only_files_are_unpacked(tmp_path: Path, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.xml")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)

    with pytest.raises(ArchiveError, match="Niedozwolony element"):
        entries(tmp_path, buffer.getvalue(), TAR_GZ)


def test_encrypted_entry_is_refused(tmp_path: Path) -> None:
    archive = bytearray(zipped([("a.xml", b"<a/>")]))
    archive[archive.index(b"PK\x01\x02") + 8] |= 1

    with pytest.raises(ArchiveError, match="Niedozwolony element"):
        entries(tmp_path, bytes(archive), ZIP)


@pytest.mark.parametrize(("compression", "pack"), [(ZIP, zipped), (TAR_GZ, tarred)])
def test_files_are_counted(tmp_path: Path, compression: CompressionType, pack: object) -> None:
    assert callable(pack)
    files = [(f"{number}.xml", b"<a/>") for number in range(10)]

    assert len(entries(tmp_path, pack(files), compression, max_invoices=10)) == 10
    with pytest.raises(TooManyEntriesError) as caught:
        entries(tmp_path, pack(files), compression, max_invoices=7)
    assert (caught.value.limit, caught.value.found) == (7, 10)
    with pytest.raises(EmptyArchiveError):
        entries(tmp_path, pack([]), compression)


def test_directory_that_says_less_than_it_holds_is_counted_all_the_same(tmp_path: Path) -> None:
    archive = bytearray(zipped([(f"{number}.xml", b"") for number in range(10)]))
    struct.pack_into("<HH", archive, len(archive) - 22 + 8, 1, 1)

    with pytest.raises((TooManyEntriesError, ArchiveError)):
        entries(tmp_path, bytes(archive), ZIP, max_invoices=5)


def test_directory_too_long_to_be_read_is_refused(tmp_path: Path) -> None:
    archive = bytearray(zipped([("a.xml", b"<a/>")]))
    struct.pack_into("<I", archive, len(archive) - 22 + 12, 2**31)

    with pytest.raises(ArchiveError, match="Katalog archiwum jest zbyt duży"):
        entries(tmp_path, bytes(archive), ZIP)


@pytest.mark.parametrize(("compression", "pack"), [(ZIP, zipped), (TAR_GZ, tarred)])
def test_file_larger_than_any_invoice_is_measured_but_not_kept(
    tmp_path: Path, compression: CompressionType, pack: object
) -> None:
    assert callable(pack)
    content = bytes(20_000_000)

    (entry,) = entries(tmp_path, pack([("a.xml", content)]), compression)

    assert (entry.size, len(entry.content)) == (20_000_000, 3_000_001)
    assert entry.sha256 == hashlib.sha256(content).digest()


@pytest.mark.parametrize(("compression", "pack"), [(ZIP, zipped), (TAR_GZ, tarred)])
def test_bomb_is_given_up(tmp_path: Path, compression: CompressionType, pack: object) -> None:
    assert callable(pack)
    files = [("a.xml", bytes(6_000_000)), ("b.xml", bytes(6_000_000))]

    with pytest.raises(ArchiveError, match="po dekompresji przekracza"):
        entries(tmp_path, pack(files), compression, max_invoices=2, slack=1_000_000)


def test_tail_of_an_archive_may_hold_nothing(tmp_path: Path) -> None:
    for tail in (b"more", bytes(2_000_000)):
        with pytest.raises(ArchiveError, match="Za końcem archiwum"):
            entries(tmp_path, gzip.compress(gzip.decompress(tarred(FILES)) + tail), TAR_GZ)


def test_header_too_long_to_be_read_is_refused(tmp_path: Path) -> None:
    member = tarfile.TarInfo("././@PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 10**9
    archive = gzip.compress(member.tobuf() + bytes(5_000_000))

    with pytest.raises(ArchiveError, match="Nagłówek archiwum jest zbyt duży"):
        entries(tmp_path, archive, TAR_GZ)


def test_wrong_checksums_are_seen(tmp_path: Path) -> None:
    broken_zip = zipped_stored("a.xml", b"x" * 100).replace(b"x" * 100, b"y" + b"x" * 99)
    broken_tar = bytearray(tarred(FILES))
    broken_tar[-8] ^= 1

    for archive, compression in ((broken_zip, ZIP), (bytes(broken_tar), TAR_GZ)):
        with pytest.raises(ArchiveError, match="uszkodzone") as caught:
            entries(tmp_path, archive, compression)
        assert "CRC" in str(caught.value.__cause__)


def zipped_stored(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


# --- encrypted parts -----------------------------------------------------------------------------------------


@pytest.fixture(params=[1, 15, 16, 17, 1000, 10_000])
def parts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[bytes, Callable[[], DecryptedParts]]]:
    plain = random.Random(request.param).randbytes(min(4000, request.param * 300))
    package = craft(tmp_path, plain, part_size=request.param)
    with ExitStack() as files:
        yield plain, lambda: files.enter_context(opened(package))


def test_parts_read_as_one_file_from_anywhere(parts: tuple[bytes, Callable[[], DecryptedParts]]) -> None:
    plain, open_parts = parts
    file = open_parts()
    chance = random.Random(5)

    assert file.size == len(plain)
    assert file.sha256() == hashlib.sha256(plain).digest()
    assert file.read() == plain
    for _ in range(20):
        start, length = chance.randrange(len(plain) + 5), chance.randrange(60)
        file.seek(start)
        read = io.BufferedReader(file, 50).read(length)
        assert read == plain[start : start + length]
        # A BufferedReader closes what it was made of.
        file = open_parts()


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:-16], lambda _: b""])
def test_part_that_cannot_be_decrypted_is_named(tmp_path: Path, damage: object) -> None:
    assert callable(damage)
    package = craft(tmp_path, bytes(3200), part_size=1600)
    path = package.parts[1].path
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(CryptoError, match="'2'"):
        opened(package)
