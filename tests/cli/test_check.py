"""``ksef-async check``: without a login, without a network."""

from __future__ import annotations

import pytest
from shell import Shell

from ksef_async.sandbox import sample_invoice

NIP = "5265877635"
BROKEN = sample_invoice(NIP, "FV/9").replace(b"<P_15>1230.00", b"<P_15>1,23")


@pytest.fixture
def anonymous(shell: Shell) -> Shell:
    """A shell that knows neither KSeF nor who logs in."""
    shell.set(KSEF_NIP=None, KSEF_TOKEN=None, KSEF_ENV=None)
    return shell


async def test_folder_that_is_fine(anonymous: Shell) -> None:
    anonymous.invoices(NIP, 2)

    result = await anonymous.run("check", anonymous.folder)

    assert (result.code, result.out) == (0, "2 checked, 2 fine, 0 that KSeF would refuse.\n")


async def test_file_that_ksef_would_refuse_is_told_with_its_place(anonymous: Shell) -> None:
    anonymous.invoices(NIP, 1)
    (anonymous.folder / "broken.xml").write_bytes(BROKEN)

    result = await anonymous.run("check", ".")
    polish = await anonymous.run("check", "broken.xml", "--language", "pl")

    assert result.code == polish.code == 3
    words = " ".join(result.out.split())
    assert "broken.xml 2:" in words
    assert "problem" in words
    assert "2 checked, 1 fine, 1 that KSeF would refuse." in words
    assert "P_15 ma wartość" in " ".join(polish.out.split())


async def test_report_is_json(anonymous: Shell) -> None:
    (anonymous.folder / "broken.xml").write_bytes(BROKEN)

    result = await anonymous.run("check", "broken.xml", "--json")

    (file,) = result.json["files"]
    assert (result.code, file["file"], file["ok"], file["form"]) == (3, "broken.xml", False, "FA (3)")
    assert [(problem["code"], problem["path"]) for problem in file["problems"]] == [
        ("number_comma", "/Faktura/Fa/P_15")
    ]


async def test_warnings_leave_the_code_at_0(anonymous: Shell) -> None:
    (anonymous.folder / "odd.xml").write_bytes(sample_invoice(NIP).replace(b"<P_15>1230.00", b"<P_15>99.00"))

    result = await anonymous.run("check", "odd.xml", "--json")

    assert result.code == 0
    assert [warning["code"] for warning in result.json["files"][0]["warnings"]] == ["total"]


async def test_context_is_looked_at_when_named(anonymous: Shell) -> None:
    anonymous.invoices(NIP, 1)

    result = await anonymous.run("check", anonymous.folder, "--nip", "7010002137", "--json")

    assert [problem["code"] for problem in result.json["files"][0]["problems"]] == ["context"]


async def test_nothing_to_check_is_told(anonymous: Shell) -> None:
    result = await anonymous.run("check", anonymous.folder)

    assert result.code == 2
    assert "no invoices" in result.err
