"""Packages made by hand to do harm: refused, each for its own reason, without the memory they ask for."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest

from ksef_async.downloads.archives import PackageArchive, UnpackLimits, open_archive
from ksef_async.downloads.metadata import read_metadata
from ksef_async.errors import RemoteProtocolError

NAME = "5265877635-20250826-0100001AF629-AF.xml"
OTHER = "5265877635-20250916-010040741B3E-46.xml"
LIMITS = UnpackLimits(max_invoice_size=1_000_000, max_metadata_size=1_000_000, max_total_size=5_000_000, max_entries=50)


def zipped(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return file.getvalue()


def tarred(*members: tarfile.TarInfo | tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=form) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return file.getvalue()


def special(kind: bytes, target: str = "/etc/passwd") -> tarfile.TarInfo:
    info = tarfile.TarInfo(NAME)
    info.type, info.linkname = kind, target
    return info


def gzip_of_a_long_header() -> bytes:
    """A member whose extended header says it is 300 MB long, and is: zeros, that pack to almost nothing."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 300_000_000
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as packed:
        packed.write(info.tobuf())
        for _ in range(300):
            packed.write(bytes(1_000_000))
    return file.getvalue()


def with_a_directory_of(size: int) -> bytes:
    archive = bytearray(zipped((NAME, b"<a/>")))
    struct.pack_into("<L", archive, archive.rfind(b"PK\x05\x06") + 12, size)
    return bytes(archive)


def encrypted() -> bytes:
    archive = bytearray(zipped((NAME, b"<a/>")))
    archive[archive.rfind(b"PK\x01\x02") + 8] |= 1
    return bytes(archive)


def longer_than_it_says() -> bytes:
    archive = bytearray(zipped((NAME, b"x" * 500_000)))
    struct.pack_into("<L", archive, archive.rfind(b"PK\x01\x02") + 24, 10)
    return bytes(archive)


def told_by(archive: PackageArchive) -> list[bytes]:
    return [b"".join(pieces) for pieces in archive.metadata()]


def read_all(archive: bytes, limits: UnpackLimits = LIMITS) -> list[tuple[str, bytes]]:
    opened = open_archive(io.BytesIO(archive), limits)
    told_by(opened)
    return list(opened.documents(()))


HARMFUL: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "zip: climbing name": lambda: zipped(("a/../../x.xml", b"")),
    "zip: absolute name": lambda: zipped(("/x.xml", b"")),
    "zip: dots": lambda: zipped(("..", b"")),
    "zip: folder": lambda: zipped(("folder/", b"")),
    "zip: too large": lambda: zipped((NAME, bytes(1_000_001))),
    "zip: metadata too large": lambda: zipped(("_metadata.json", bytes(1_000_001))),
    "zip: too large together": lambda: zipped(("a", bytes(3_000_000)), ("b", bytes(3_000_000))),
    "zip: too many": lambda: zipped(*((f"file{n}", b"") for n in range(51))),
    "zip: directory too long": lambda: with_a_directory_of(60_000),
    "zip: bzip2": lambda: zipped((NAME, b"<a/>"), method=zipfile.ZIP_BZIP2),
    "zip: encrypted": encrypted,
    "zip: longer than it says": longer_than_it_says,
    "zip: cut short": lambda: zipped((NAME, b"<a/>"))[:-30],
    "tar: climbing name": lambda: tarred(("../x.xml", b"<a/>")),
    "tar: absolute name": lambda: tarred(("/tmp/x.xml", b"<a/>")),
    "tar: symbolic link": lambda: tarred(special(tarfile.SYMTYPE)),
    "tar: hard link": lambda: tarred(special(tarfile.LNKTYPE)),
    "tar: device": lambda: tarred(special(tarfile.CHRTYPE)),
    "tar: folder": lambda: tarred(special(tarfile.DIRTYPE)),
    "tar: twice the same": lambda: tarred((NAME, b"<a/>"), (NAME, b"<b/>")),
    "tar: too large": lambda: tarred((NAME, bytes(1_000_001))),
    "tar: too large together": lambda: tarred(("a", bytes(3_000_000)), ("b", bytes(3_000_000))),
    "tar: too many": lambda: tarred(*((f"file{n}", b"") for n in range(51))),
    "tar: long header": gzip_of_a_long_header,
    "tar: cut short": lambda: tarred((NAME, b"<a/>" * 10_000))[:-60],
    "tar: no gzip": lambda: gzip.decompress(tarred((NAME, b"<a/>"))),
    "tar: wrong checksum": lambda: (archive := tarred((NAME, b"<a/>")))[:-8] + bytes(4) + archive[-4:],
    "neither a zip nor a tar.gz": lambda: b"Rar!" + zipped((NAME, b"<a/>")),
}


@pytest.mark.parametrize("kind", HARMFUL)
def test_harmful_package_is_refused_in_little_memory(kind: str) -> None:
    archive = HARMFUL[kind]()
    tracemalloc.start()

    try:
        with pytest.raises(RemoteProtocolError):
            read_all(archive)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 10_000_000


def test_twice_the_same_name_in_a_zip_is_refused() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive = zipped((NAME, b"<a/>"), (NAME, b"<b/>"))

    with pytest.raises(RemoteProtocolError, match="two entries"):
        read_all(archive)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_sound_package_is_told_by_its_first_bytes_and_what_is_not_known_passed_over(
    pack: Callable[..., bytes],
) -> None:
    archive = pack(("_metadata.json", b"{}"), (NAME, b"<a/>"), ("index.txt", b"new"), (OTHER, b"<b/>"))

    opened = open_archive(io.BytesIO(archive), LIMITS)

    assert told_by(opened) == [b"{}"]
    assert dict(opened.documents(())) == {NAME[:-4]: b"<a/>", OTHER[:-4]: b"<b/>"}


def test_zip_is_read_in_the_order_that_is_wanted() -> None:
    opened = open_archive(io.BytesIO(zipped((NAME, b"<a/>"), (OTHER, b"<b/>"))), LIMITS)

    assert [number for number, _ in opened.documents((OTHER[:-4],))] == [OTHER[:-4], NAME[:-4]]


def test_zip64_is_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open(NAME, "w", force_zip64=True) as entry:
        entry.write(b"<a/>")

    assert read_all(file.getvalue()) == [(NAME[:-4], b"<a/>")]


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"invoices":', b'{"invoices":[', b'{"invoices":[{"a":1}', b"\xff\xfe",
     b'{"invoices":' + b"[" * 100_000, b'{"invoices":[' + b"[" * 100_000,
     b'{"invoices":[]', b'{"invoices":[]}]', b'{"invoices":[],"more":', b'{"invoices":[{} {}]}', b'{"invoices":[{},]}',
     b'{"invoices":[' + b"1" * 5_000 + b"]}", b'{"invoices":[' + b" " * 600_000 + b"]", b'{"invoices":[]}\xff'],
)  # fmt: skip
def test_metadata_that_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        list(read_metadata([data], LIMITS))


@pytest.mark.parametrize("data", [b'{"invoices":[]}', b'\xef\xbb\xbf{ "invoices" : [ ] }', b'{"a":1,"invoices":[]}'])
def test_metadata_of_nothing(data: bytes) -> None:
    assert list(read_metadata([data], LIMITS)) == []
