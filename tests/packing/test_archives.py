"""What is packed comes out again, by the standard library and by the system's own tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from collections.abc import AsyncIterator, Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opened_packages import archive_of, invoices_of, opened

from ksef_async.api.packages import CompressionType, PackageProgress, PackageStage
from ksef_async.errors import LocalProtocolError
from ksef_async.packing import pack
from ksef_async.packing.archives import ZipArchive
from ksef_async.packing.deflate import Buffer, find_deflate
from ksef_async.packing.sources import Invoice, Item
from ksef_async.sandbox import sample_invoice

NIP = "5265877635"
FORMATS = pytest.mark.parametrize("compression", list(CompressionType))
KEY, VECTOR = bytes(range(32)), bytes(range(16))
#: Which make some parts of a thousand invoices.
PART_SIZES = {CompressionType.ZIP: 50_000, CompressionType.TAR_GZ: 5_000}
#: Characters of names that a package may have.
NAMES = st.text(
    st.characters(blacklist_characters="/\\:\x7f", blacklist_categories=("Cs", "Cc")), min_size=1, max_size=128
).filter(lambda name: name not in {".", ".."})


def some_invoices(count: int = 50) -> list[tuple[str, bytes]]:
    pattern = sample_invoice(NIP, "FV/@")
    return [(f"faktura-{number:04}.xml", pattern.replace(b"@", b"%d" % number)) for number in range(count)]


@FORMATS
@pytest.mark.parametrize("deflate", ["zlib", "isal"])
async def test_invoices_come_out_as_they_went_in(compression: CompressionType, deflate: str) -> None:
    invoices = some_invoices(900)  # in several lots

    async with pack(invoices, compression=compression, deflate=deflate, part_size=PART_SIZES[compression]) as package:
        assert invoices_of(package) == invoices

    assert len(package.parts) > 1
    assert [(i.file_name, i.size, i.sha256, i.key) for i in package.invoices] == [
        (name, len(data), sha256(data).digest(), name) for name, data in invoices
    ]


@FORMATS
async def test_system_tools_open_the_archive(compression: CompressionType, tmp_path: Path) -> None:
    tool = "unzip" if compression is CompressionType.ZIP else "tar"
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed here")
    invoices = [*some_invoices(30), ("Zażółć gęślą jaźń.xml", b"<Faktura/>"), ("ł" * 124 + ".xml", b"<Faktura/>")]
    async with pack(invoices, compression=compression, part_size=5_000) as package:
        archive = await anyio.to_thread.run_sync(archive_of, package)
    path = anyio.Path(tmp_path / "archive")
    await path.write_bytes(archive)

    command = ["unzip", "-t", str(path)] if tool == "unzip" else ["tar", "tzf", str(path)]
    result = await anyio.run_process(command, env={**os.environ, "LC_ALL": "C.UTF-8"})

    lines = result.stdout.decode().splitlines()
    assert result.stderr == b""
    if tool == "unzip":
        assert lines[-1] == f"No errors detected in compressed data of {path}."
        assert sum(line.endswith("OK") for line in lines) == len(invoices)
    else:
        assert len(lines) == len(invoices)


async def test_zip_entries_say_their_sizes_in_their_headers() -> None:
    """Flag 8 would put them behind the data, where not every reader of a stream looks."""
    async with pack(some_invoices()) as package:
        with zipfile.ZipFile(BytesIO(archive_of(package))) as archive:
            assert {info.flag_bits for info in archive.infolist()} == {0}
            assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@FORMATS
async def test_packing_again_gives_the_same_parts(compression: CompressionType) -> None:
    digests = []
    for workers in (1, 4):
        async with pack(
            iter(some_invoices(900)),
            compression=compression,
            workers=workers,
            part_size=PART_SIZES[compression],
            symmetric_key=KEY,
            initialization_vector=VECTOR,
        ) as package:
            digests.append([part.sha256 for part in package.parts])

    assert digests[0] == digests[1]


async def test_every_package_has_a_key_of_its_own() -> None:
    async with pack(some_invoices(1)) as first, pack(some_invoices(1)) as second:
        assert first.symmetric_key != second.symmetric_key
        assert first.parts[0].sha256 != second.parts[0].sha256
        assert first.sha256 == second.sha256


@FORMATS
@settings(max_examples=25, deadline=None)
@given(
    contents=st.dictionaries(NAMES, st.text(min_size=1, max_size=300), min_size=1, max_size=12),
    part_size=st.integers(150, 4000) | st.sampled_from([160, 1024, 10_000]),
)
def test_any_names_sizes_and_cuts_come_out_again(
    compression: CompressionType, contents: dict[str, str], part_size: int
) -> None:
    invoices = [(name, content.encode()) for name, content in contents.items()]

    async def check() -> None:
        async with pack(invoices, compression=compression, part_size=part_size, workers=2) as package:
            assert invoices_of(package) == invoices
            sizes = [len(opened(part, package)) for part in package.parts]
            assert set(sizes[:-1]) <= {part_size}
            assert 0 < sizes[-1] <= part_size

    anyio.run(check)


@FORMATS
async def test_large_invoices_come_out_again(compression: CompressionType) -> None:
    """Larger than a lot, larger than a buffer, and hardly to be compressed."""
    noise = os.urandom(1_400_000).hex().encode()
    invoices = [("a.xml", b"<Zalacznik>" + noise), ("b.xml", noise[:999_999]), ("c.xml", b"<Zalacznik/>" + noise)]

    async with pack(invoices, compression=compression, part_size=1_000_000) as package:
        assert invoices_of(package) == invoices


async def test_sources_of_every_kind_give_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "invoices"
    invoices = some_invoices(20)

    def write() -> None:
        folder.mkdir()
        for name, data in reversed(invoices):
            (folder / name).write_bytes(data)
        (folder / "notes.txt").write_text("no invoice")

    await anyio.to_thread.run_sync(write)

    def walked() -> Iterator[Item]:
        for name, data in invoices:
            yield folder / name if name < "faktura-0010" else (name, data)

    async def awaited() -> AsyncIterator[Item]:
        for name, data in invoices:
            await anyio.lowlevel.checkpoint()
            yield (name, folder / name) if name < "faktura-0010" else (name, data)

    digests = set()
    for source in (folder, invoices, [folder / name for name, _ in invoices], walked(), awaited()):
        async with pack(source) as package:
            digests.add(package.sha256)

    assert len(digests) == 1


async def test_invoices_are_found_by_name_and_by_hash() -> None:
    twice = sample_invoice(NIP, "FV/1")

    async with pack([("a.xml", twice, 17), ("b.xml", twice, 18), ("c.xml", b"<Faktura/>")]) as package:
        assert [invoice.key for invoice in package.by_sha256(sha256(twice).digest())] == [17, 18]
        found = package.by_file_name("c.xml")
        assert found is not None
        assert found.key == "c.xml"
        assert package.by_file_name("d.xml") is None
        assert package.by_sha256(bytes(32)) == ()


async def test_number_of_parts_is_measured_in_a_first_pass() -> None:
    seen: list[PackageProgress] = []

    async with pack(some_invoices(200), parts=7, progress=seen.append) as package:
        assert len(package.parts) == 7

    total = sum(invoice.size for invoice in package.invoices)
    assert {(event.stage, event.total) for event in seen} == {
        (PackageStage.MEASURING, total),
        (PackageStage.PACKING, total),
    }
    assert seen[-1] == PackageProgress(stage=PackageStage.PACKING, done=total, total=total, parts=7, parts_total=7)


async def test_number_of_parts_follows_from_an_estimate() -> None:
    async with pack(iter(some_invoices(200)), parts=4, archive_size=40_000) as package:
        assert {part.size for part in package.parts[:-1]} == {10_016}


async def test_progress_grows_to_the_end_and_a_failing_hook_does_no_harm() -> None:
    seen: list[PackageProgress] = []

    def hook(progress: PackageProgress) -> None:
        seen.append(progress)
        raise ValueError("a broken progress bar")

    invoices = [(f"{number}.xml", b"<Faktura>" + b"x" * 300_000) for number in range(12)]
    async with pack(iter(invoices), progress=hook, part_size=1000):
        pass

    assert [event.done for event in seen] == [*sorted({event.done for event in seen[:-1]}), seen[-1].done]
    assert {event.total for event in seen[:-1]} == {None}
    assert seen[-1].done == seen[-1].total == 12 * 300_009


def test_deflate_library_is_found_by_name_and_an_unknown_one_refused() -> None:
    assert find_deflate().name == "isal"
    assert find_deflate("zlib").name == "zlib"
    with pytest.raises(LocalProtocolError, match="'lzma' is not here; known are isal, zlib-ng, zlib"):
        find_deflate("lzma")


def test_without_the_extra_zlib_deflates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("isal", "isal.isal_zlib", "zlib_ng", "zlib_ng.zlib_ng"):
        monkeypatch.setitem(__import__("sys").modules, name, None)

    assert find_deflate().name == "zlib"


class _FileSink:
    """A file that takes an archive from where it stands."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: Buffer) -> int:
        return self._file.write(data)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("before", "count"),
    [
        pytest.param(2**32 - 100, 2, id="invoice-that-begins-beyond-4-GiB"),
        pytest.param(2**32 - 1, 1, id="first-offset-that-needs-64-bits"),
        pytest.param(2**32 - 2, 1, id="last-offset-that-does-not"),
        pytest.param(0, 70_000, id="more-entries-than-16-bits-count"),
    ],
)
def test_large_zip_is_read_back(before: int, count: int, tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    invoices = [Invoice(f"faktura-ą-{number}.xml", b"<Faktura nr='%d'/>" % number, number) for number in range(count)]

    with path.open("wb") as file:
        # Takes no room on the disk: nothing was written there.
        file.seek(before)
        archive = ZipArchive(_FileSink(file), find_deflate("zlib"))
        lot = archive.prepare([*invoices])
        archive.compress(lot)
        archive.write(lot)
        archive.finish()

    with zipfile.ZipFile(path) as read:
        assert [(info.filename, info.header_offset >= before) for info in read.infolist()] == [
            (invoice.file_name, True) for invoice in invoices
        ]
        assert all(read.read(invoice.file_name) == invoice.content for invoice in (invoices[0], invoices[-1]))
    if shutil.which("unzip"):
        subprocess.run(["unzip", "-tq", path], check=True, stdout=subprocess.DEVNULL)


async def test_files_of_an_async_iterable_are_read_in_its_order(tmp_path: Path) -> None:
    invoices = some_invoices(250)
    for name, data in invoices:
        (tmp_path / name).write_bytes(data)

    async def source() -> AsyncIterator[Item]:
        for number, item in enumerate(invoices):
            # Some in memory, some in files.
            yield tmp_path / item[0] if number % 3 else item

    async with pack(source()) as package:
        assert [(invoice.file_name, invoice.sha256) for invoice in package.invoices] == [
            (name, sha256(data).digest()) for name, data in invoices
        ]


async def test_sequence_that_makes_its_items_anew_is_not_held_in_memory() -> None:
    class Made(Sequence[Item]):
        """Counts how many of its items are there at once."""

        alive = most = 0

        def __len__(self) -> int:
            return 300

        def __getitem__(self, place: Any) -> Any:
            if place >= len(self):
                raise IndexError
            return f"{place}.xml", _Counted(b"<Faktura/>" * 1000)

    class _Counted(bytes):
        def __new__(cls, data: bytes) -> _Counted:
            Made.alive += 1
            Made.most = max(Made.most, Made.alive)
            return super().__new__(cls, data)

        def __del__(self) -> None:
            Made.alive -= 1

    async with pack(Made(), workers=1) as package:
        assert len(package.invoices) == len(Made())
    assert Made.most < len(Made())
