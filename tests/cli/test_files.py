"""Which files commands take, and what they say of the others: one rule for all of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from shell import Shell

from ksef_async.cli.files import find_files, read_file
from ksef_async.cli.output import UsageError
from ksef_async.packing import pack
from ksef_async.protocol.invoice_files import is_invoice_file
from ksef_async.sandbox import Sandbox, sample_invoice


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.xml", True),
        ("B.XML", True),
        ("c.XmL", True),
        ("Zażółć gęślą.xml", True),
        ("a.xml.txt", False),
        ("a.txt", False),
        ("xml", False),
        (".xml", False),
        ("._a.xml", False),
        ("5265877635-20250826-0100001AF629-AF.upo.xml", False),
        ("a.UPO.XML", False),
    ],
)
def test_name_tells_an_invoice(name: str, expected: bool) -> None:
    assert is_invoice_file(name) == expected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of everything that a folder may hold."""
    folder = tmp_path / "invoices"
    (folder / "2026" / "11").mkdir(parents=True)
    (folder / ".git").mkdir()
    for name in ("b.XML", "a.xml", "notes.txt", "._a.xml", "x.upo.xml", "2026/c.xml", "2026/11/d.Xml", ".git/e.xml"):
        (folder / name).write_bytes(sample_invoice("5265877635", name))
    (folder / "linked.xml").symlink_to(folder / "2026" / "c.xml")
    (folder / "again.xml").symlink_to(folder / "a.xml")
    (folder / "broken.xml").symlink_to(folder / "nowhere.xml")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.xml")
    return folder


def test_folder_gives_its_invoices_and_names_the_rest(folder: Path) -> None:
    found = find_files([folder])

    assert [str(file.relative_to(folder)) for file in found.files] == ["a.xml", "b.XML", "linked.xml"]
    assert {str(one.path.relative_to(folder)): one.reason for one in found.left_out} == {
        ".git": "hidden",
        "._a.xml": "hidden",
        "2026": "a subfolder; --recursive looks into it",
        "again.xml": f"the same file as {folder / 'a.xml'}",
        "broken.xml": "cannot be read: there is no such file",
        "loop": "a link to a folder",
        "notes.txt": "not *.xml",
        "pipe.xml": "not a file",
        "x.upo.xml": "a receipt",
    }
    assert [one.path.name for one in found.left_out if one.is_failure] == ["broken.xml"]


def test_subfolders_are_looked_into_when_told_to(folder: Path) -> None:
    found = find_files([folder], recursive=True)

    assert {str(file.relative_to(folder)) for file in found.files} == {"2026/11/d.Xml", "2026/c.xml", "a.xml", "b.XML"}
    assert {one.path.name for one in found.left_out} >= {".git", "loop", "linked.xml"}


def test_named_file_is_taken_whatever_its_name(folder: Path) -> None:
    named = [folder / "notes.txt", folder / "x.upo.xml", folder / "a.xml", folder / "a.xml"]

    found = find_files(named)

    assert found.files == tuple(named[:3])
    assert not found.left_out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing.xml", "There is no file"),
        ("a.xml/b.xml", "There is no file"),
        ("pipe.xml", "neither a file nor a folder"),
        ("broken.xml", "There is no file"),
        ("\0.xml", "cannot be read: embedded null byte"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_what_is_no_file_is_refused(folder: Path, name: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        find_files([folder / name])
    with pytest.raises(UsageError, match=sentence.replace("neither a file nor a folder", "not a file")):
        read_file(folder / name)


def test_folder_is_no_file(folder: Path) -> None:
    with pytest.raises(UsageError, match="is not a file"):
        read_file(folder)


async def test_packing_takes_the_same_files(folder: Path) -> None:
    (folder / "again.xml").unlink()

    async with pack(folder) as package:
        assert [invoice.file_name for invoice in package.invoices] == ["a.xml", "b.XML", "linked.xml"]


async def test_commands_take_the_same_files_and_name_the_others(sandbox: Sandbox, shell: Shell) -> None:
    first, second, third = shell.invoices(sandbox.nip, 3)
    second.rename(shell.folder / "B.XML")
    (shell.folder / "old").mkdir()
    third.rename(shell.folder / "old" / "c.xml")
    (shell.folder / "list.csv").touch()

    people = await shell.run("check", ".")
    sent = await shell.run("send", ".", "--json")
    planned = await shell.run("plan", ".", "--offline", "--json")
    checked = await shell.run("check", ".", "--json")
    deep = await shell.run("check", ".", "--json", "--recursive")

    names = ["B.XML", first.name]
    assert [invoice["file"] for invoice in sent.json["invoices"]] == names
    assert [file["file"] for file in checked.json["files"]] == names
    assert planned.json["invoices"] == 2
    assert len(deep.json["files"]) == 3
    for result in (sent, checked, planned):
        assert result.code == 0
        assert {"file": "old", "reason": "a subfolder; --recursive looks into it"} in result.json["left_out"]
        assert {"file": "list.csv", "reason": "not *.xml"} in result.json["left_out"]
    assert "Left out (not *.xml): list.csv\n" in people.err


@pytest.mark.parametrize("command", [["send"], ["check"], ["plan", "--offline"]], ids=lambda each: each[0])
async def test_file_that_cannot_be_read_is_named_and_not_forgotten(
    sandbox: Sandbox, shell: Shell, command: list[str]
) -> None:
    shell.invoices(sandbox.nip, 1)
    (shell.folder / "gone.xml").symlink_to(shell.folder / "nowhere")

    result = await shell.run(*command, ".")

    assert result.code == 3
    assert "Left out (cannot be read: there is no such file): gone.xml" in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
async def test_file_of_somebody_else_is_named(sandbox: Sandbox, shell: Shell) -> None:
    first, second = shell.invoices(sandbox.nip, 2)
    second.chmod(0)

    result = await shell.run("check", ".", "--json")

    assert result.code == 3
    assert [file["file"] for file in result.json["files"]] == [first.name]
    assert result.json["left_out"] == [{"file": second.name, "reason": "cannot be read: PermissionError"}]


async def test_file_larger_than_any_invoice_is_refused_without_being_read_whole(shell: Shell) -> None:
    with (shell.folder / "large.xml").open("wb") as file:
        file.truncate(1 << 40)

    result = await shell.run("check", "large.xml", "--json")

    assert result.code == 3
    assert result.json["files"][0]["problems"]
