"""Packages that KSeF describes oddly: what can be read is given, and what cannot is told."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from receiving import everything, feed_samples, settle
from virtual_time import VirtualTimeLoop

from ksef_async import AnswerIncomplete, Cadence, KsefClient
from ksef_async.api.packages import CompressionType
from ksef_async.calling.events import Event
from ksef_async.errors import ExportFailedError, RemoteProtocolError
from ksef_async.sandbox import Fault, Sandbox
from ksef_async.sandbox.faults import DOWNLOAD_PART

AT_ONCE = Cadence(interval=0.01, factor=1.0, deadline=20)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualTimeLoop}


def status_becomes(sandbox: Sandbox, change: Callable[[Row], Row]) -> None:
    """Let a function change the package in each status of an export."""

    def changed(body: bytes) -> bytes:
        status = orjson.loads(body)
        return orjson.dumps(change(status) if status["status"]["code"] == 200 else status)

    sandbox.faults.add("get_export_status", Fault.answer_becomes(body=changed), times=1_000)


def without(*names: str) -> Callable[[Row], Row]:
    def change(status: Row) -> Row:
        package = {name: value for name, value in status["package"].items() if name not in names}
        return {**status, "package": package}

    return change


# --- what is missing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", [pytest.param({}, id="missing"), pytest.param({"package": None}, id="null")])
async def test_success_without_a_package_is_an_empty_export(
    sandbox: Sandbox, buyer: KsefClient, package: Row, tmp_path: Path
) -> None:
    settle(sandbox)
    status_becomes(sandbox, lambda status: {k: v for k, v in status.items() if k != "package"} | package)

    export = await buyer.downloads.export(everything(sandbox))

    assert [each async for each in export.invoices(AT_ONCE)] == []
    assert await export.save(tmp_path, AT_ONCE) == ()
    assert [each async for each in buyer.downloads.sync(sandbox.clock.now() - timedelta(hours=1))] == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(without("compressionType"), id="without its kind"),
        pytest.param(lambda status: {**status, "package": {**status["package"], "compressionType": "Rar"}}, id="other"),
        pytest.param(without("invoiceCount", "size"), id="without its size"),
    ],
)
@pytest.mark.parametrize("compression", CompressionType)
async def test_archive_is_told_by_its_first_bytes(
    sandbox: Sandbox, buyer: KsefClient, compression: CompressionType, change: Callable[[Row], Row]
) -> None:
    numbers = feed_samples(sandbox, 3)
    settle(sandbox)
    status_becomes(sandbox, change)

    export = await buyer.downloads.export(everything(sandbox), compression=compression)

    assert [invoice.metadata.ksef_number async for invoice in export.invoices(AT_ONCE)] == numbers


# --- rows that cannot be read --------------------------------------------------------------------------------------


def rows_become(change: Callable[[list[Any]], list[Any]], *, is_tar: bool = False) -> Fault:
    """Let a function change what a package tells of its invoices."""

    def rewrite(archive: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(archive)) as old:
            entries = {name: old.read(name) for name in old.namelist()}
        told = change(orjson.loads(entries["_metadata.json"])["invoices"])
        entries["_metadata.json"] = orjson.dumps({"invoices": told})
        file = io.BytesIO()
        if is_tar:
            with tarfile.open(fileobj=file, mode="w:gz") as tar:
                for name, data in entries.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        else:
            with zipfile.ZipFile(file, "w") as packed:
                for name, data in entries.items():
                    packed.writestr(name, data)
        return file.getvalue()

    return Fault.package_becomes(rewrite)


def first_row(row: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda rows: [row, *rows[1:]]


UNREADABLE: dict[str, Callable[[list[Any]], list[Any]]] = {
    "no object": first_row(5),
    "null": first_row(None),
    "empty": first_row({}),
    "number of another kind": lambda rows: [{**rows[0], "ksefNumber": 5}, *rows[1:]],
    "number that is a path": lambda rows: [{**rows[0], "ksefNumber": "../../etc/passwd"}, *rows[1:]],
}


@pytest.mark.parametrize("is_tar", [False, True], ids=["zip", "tar"])
@pytest.mark.parametrize("kind", UNREADABLE)
async def test_invoice_whose_row_cannot_be_read_is_given_all_the_same(
    sandbox: Sandbox, buyer: KsefClient, events: list[Event], kind: str, is_tar: bool
) -> None:
    since = sandbox.clock.now()
    numbers = feed_samples(sandbox, 3)
    settle(sandbox)
    sandbox.faults.add("export_invoices", rows_become(UNREADABLE[kind], is_tar=is_tar))
    sync = buyer.downloads.sync(since)

    found = {invoice.metadata.ksef_number: invoice async for invoice in sync}

    assert set(found) == set(numbers)
    odd = found[numbers[0]]
    assert b"<P_2>FV/0</P_2>" in odd.xml
    assert (odd.metadata.invoice_number, odd.metadata.invoice_hash) == (None, None)
    assert found[numbers[1]].metadata.invoice_number == "FV/1"
    (event,) = [each for each in events if isinstance(each, AnswerIncomplete) and each.operation == "export_package"]
    assert "$.invoices[0]" in event.parts[0]
    # It is remembered, too.
    assert [each async for each in sync] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("issueDate", "yesterday"), ("grossAmount", "much"), ("seller", 5), ("invoiceHash", "?"), ("buyer", None),
     ("permanentStorageDate", "soon"), ("invoicingMode", 5), ("formCode", {}), ("thirdSubjects", {})],
)  # fmt: skip
async def test_field_that_cannot_be_read_is_none_and_the_rest_is_as_usual(
    sandbox: Sandbox, buyer: KsefClient, field: str, value: object
) -> None:
    since = sandbox.clock.now()
    numbers = feed_samples(sandbox, 3)
    settle(sandbox)
    sandbox.faults.add("export_invoices", rows_become(lambda rows: [{**rows[0], field: value}, *rows[1:]]))
    sync = buyer.downloads.sync(since)

    found = {invoice.metadata.ksef_number: invoice.metadata async for invoice in sync}

    assert set(found) == set(numbers)
    assert found[numbers[0]].invoice_number == "FV/0"
    assert [each async for each in sync] == []


async def test_row_too_many_is_refused(sandbox: Sandbox, buyer: KsefClient) -> None:
    feed_samples(sandbox, 2)
    settle(sandbox)
    sandbox.faults.add("export_invoices", rows_become(lambda rows: [*rows, 5]))

    export = await buyer.downloads.export(everything(sandbox))

    with pytest.raises(RemoteProtocolError, match="3 invoices, not of 2"):
        _ = [each async for each in export.invoices(AT_ONCE)]


async def test_package_whose_rows_cannot_be_read_is_saved(sandbox: Sandbox, buyer: KsefClient, tmp_path: Path) -> None:
    numbers = feed_samples(sandbox, 2)
    settle(sandbox)
    sandbox.faults.add("export_invoices", rows_become(lambda rows: [{"ksefNumber": "../x"}, *rows[1:]]))

    export = await buyer.downloads.export(everything(sandbox))
    files = await export.save(tmp_path / "in", AT_ONCE)

    assert {file.name for file in files} == {f"{number}.xml" for number in numbers} | {"_metadata.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    told = orjson.loads((tmp_path / "in" / "_metadata.json").read_bytes())
    assert [row["ksefNumber"] for row in told["invoices"]] == ["../x", numbers[1]]


# --- parts ---------------------------------------------------------------------------------------------------------


async def test_links_that_have_expired_are_asked_for_anew_once_for_all_parts(
    sandbox: Sandbox, buyer: KsefClient
) -> None:
    numbers = feed_samples(sandbox, 40)
    settle(sandbox)
    sandbox.world.exports.limits.max_part_size = 1_024
    export = await buyer.downloads.export(everything(sandbox))
    package = (await export.wait(AT_ONCE)).package
    assert package is not None
    looks = 0

    def late(body: bytes) -> bytes:
        # The links are an hour old when the second part is fetched.
        nonlocal looks
        looks += 1
        if looks == 1:
            sandbox.clock.advance(2 * 3600)
        return body

    sandbox.faults.add("get_export_status", Fault.answer_becomes(body=late), times=1_000)
    found = [invoice.metadata.ksef_number async for invoice in export.invoices(AT_ONCE)]

    assert found == numbers
    assert len(package.parts) > 4
    assert looks == 2


async def test_parts_that_are_in_are_not_fetched_again(
    sandbox: Sandbox, buyer: KsefClient, events: list[Event]
) -> None:
    numbers = feed_samples(sandbox, 40)
    settle(sandbox)
    sandbox.world.exports.limits.max_part_size = 1_024
    export = await buyer.downloads.export(everything(sandbox))
    package = (await export.wait(AT_ONCE)).package
    assert package is not None
    sandbox.faults.add(DOWNLOAD_PART, Fault.wait(0), times=3)
    sandbox.faults.add(DOWNLOAD_PART, Fault.link_refused())
    sandbox.faults.add(DOWNLOAD_PART, Fault.wait(0), times=1_000)

    found = [invoice.metadata.ksef_number async for invoice in export.invoices(AT_ONCE)]

    assert found == numbers
    assert sandbox.faults.happened[DOWNLOAD_PART] == len(package.parts) + 1


async def test_package_that_is_described_differently_with_its_new_links_is_refused(
    sandbox: Sandbox, buyer: KsefClient
) -> None:
    feed_samples(sandbox, 3)
    settle(sandbox)
    export = await buyer.downloads.export(everything(sandbox))
    await export.wait(AT_ONCE)
    looks = 0

    def other(status: Row) -> Row:
        nonlocal looks
        looks += 1
        part = status["package"]["parts"][0]
        return {
            **status,
            "package": {**status["package"], "parts": [{**part, "partSize": part["partSize"] + (looks > 1)}]},
        }

    status_becomes(sandbox, other)
    sandbox.faults.add(DOWNLOAD_PART, Fault.link_refused())

    with pytest.raises(RemoteProtocolError, match="not those of before"):
        _ = [each async for each in export.invoices(AT_ONCE)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"partSize": -1}, id="below zero"),
        pytest.param({"encryptedPartSize": 10**12}, id="larger than may be"),
        pytest.param({"encryptedPartSize": 16}, id="smaller than it is"),
        pytest.param({"ordinalNumber": 2}, id="not the first"),
        pytest.param({"method": "DELETE"}, id="another method"),
        pytest.param({"url": "https://[evil"}, id="no link"),
        pytest.param({"url": "https://evil.example/part"}, id="another host"),
    ],
)
async def test_part_that_cannot_be_right_is_not_fetched(sandbox: Sandbox, buyer: KsefClient, change: Row) -> None:
    feed_samples(sandbox, 3)
    settle(sandbox)

    def described(status: Row) -> Row:
        return {**status, "package": {**status["package"], "parts": [{**status["package"]["parts"][0], **change}]}}

    status_becomes(sandbox, described)
    export = await buyer.downloads.export(everything(sandbox))

    with pytest.raises(RemoteProtocolError):
        _ = [each async for each in export.invoices(AT_ONCE)]


async def test_bad_key_makes_the_keys_be_fetched_anew(sandbox: Sandbox, buyer: KsefClient, events: list[Event]) -> None:
    sandbox.faults.add("export_invoices", Fault.wrong_key())
    export = await buyer.downloads.export(everything(sandbox))
    with pytest.raises(ExportFailedError):
        await export.wait(AT_ONCE)
    asked = [event for event in events if getattr(event, "operation", "") == "list_public_keys"]

    await buyer.downloads.export(everything(sandbox))

    again = [event for event in events if getattr(event, "operation", "") == "list_public_keys"]
    assert len(again) == 2 * len(asked)
