"""``ksef-async show``: an invoice as a page."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from shell import Shell

from ksef_async.documents import html, pdf
from ksef_async.sandbox import Sandbox


@pytest.fixture
def anonymous(shell: Shell) -> Shell:
    """A shell without credentials."""
    shell.set(KSEF_NIP=None, KSEF_TOKEN=None)
    return shell


async def test_page_is_written_beside_the_invoice(sandbox: Sandbox, anonymous: Shell) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)

    result = await anonymous.run("show", file)

    page = file.with_suffix(".html")
    assert (result.code, result.out) == (0, f"{page}\n")
    assert page.read_text("utf-8") == html(file.read_bytes())


async def test_page_is_written_where_it_is_wanted(sandbox: Sandbox, anonymous: Shell) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)
    page = anonymous.folder / "page.html"
    number = "5265877635-20250826-0100001AF629-AF"

    result = await anonymous.run(
        "show", file, "--output", page, "--language", "en", "--code", "--ksef-number", number, "--json"
    )

    assert (result.code, result.json) == (0, {"page": str(page)})
    text = page.read_text("utf-8")
    assert "VAT invoice" in text
    assert text.count(number) >= 2
    assert sandbox.environment.qr_url in text


async def test_browser_opens_a_page_in_the_folder_for_temporary_files(
    sandbox: Sandbox, anonymous: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)
    opened: list[str] = []

    def open_page(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", open_page)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    result = await anonymous.run("show", file, "--open")

    assert result.code == 0
    assert not file.with_suffix(".html").exists()
    (url,) = opened
    assert Path(unquote(urlsplit(url).path)).read_text("utf-8") == html(file.read_bytes())


async def test_what_cannot_be_shown_is_told(sandbox: Sandbox, anonymous: Shell) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)
    (anonymous.folder / "odd.xml").write_bytes(b"no invoice")
    large = file.read_bytes().replace(b"<P_2>", b"<P_2>" + b"a" * 20_000)
    (anonymous.folder / "large.xml").write_bytes(large)
    page = anonymous.folder / "page.html"
    page.write_bytes(file.read_bytes())

    for arguments, code, sentence in (
        ((file, "--output", "page.docx"), 2, "is not .html or .pdf"),
        (("missing.xml",), 2, "no file missing.xml"),
        ((anonymous.folder / "odd.xml",), 2, "not well-formed"),
        ((page,), 2, "would be written over"),
        ((file, "--language", "de"), 2, "invalid choice"),
        ((file, "--pdf", "--output", "page.html"), 2, "page.html is not .pdf"),
        ((anonymous.folder / "odd.xml", "--pdf"), 2, "not well-formed"),
        ((anonymous.folder / "large.xml", "--pdf"), 2, "has 20,004 characters"),
        ((file, "--output", anonymous.folder / "missing" / "page.pdf"), 2, "no folder"),
    ):
        result = await anonymous.run("show", *arguments)
        assert (result.code, sentence in result.err) == (code, True), result.err
    assert not (anonymous.folder / "odd.html").exists()


@pytest.mark.parametrize("arguments", [("--pdf",), ("--output", "invoice.pdf")], ids=["flag", "ending"])
async def test_pdf_is_written(sandbox: Sandbox, anonymous: Shell, arguments: tuple[str, ...]) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)

    page = file.with_suffix(".pdf")
    if "--output" in arguments:
        page = anonymous.folder / "invoice.pdf"
        arguments = ("--output", str(page))
    result = await anonymous.run("show", file, *arguments, "--language", "en")

    assert (result.code, result.out) == (0, f"{page}\n")
    assert page.read_bytes() == pdf(file.read_bytes(), language="en")


async def test_extra_of_pdf_is_named(sandbox: Sandbox, anonymous: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (file,) = anonymous.invoices(sandbox.nip, 1)
    monkeypatch.setitem(sys.modules, "typst", None)

    result = await anonymous.run("show", file, "--pdf")

    assert (result.code, "needs the extra `pdf`" in result.err) == (2, True)
