"""``ksef-async show``: an invoice as a page that people can read, in the browser or in a file."""

from __future__ import annotations

import tempfile
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import anyio.to_thread

from .access import Access
from .arguments import Command, Parser
from .files import read_file
from .output import Exit, UsageError, print_json

__all__ = ["COMMAND", "show"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the invoice: FA(3), FA(2) or FA_RR(1)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the page; beside the invoice, in .html, by default"
    )
    parser.add_argument("--language", choices=("pl", "en"), default="pl", help="of the page; Polish by default")
    parser.add_argument("--ksef-number", metavar="NUMBER", help="shown on top, and below the verification code")
    parser.add_flag("--code", "with the verification code (KOD I); needs the extra `qr`")
    parser.add_flag("--open", "open the page in the browser")


async def show(
    file: Path,
    *,
    output: Path | None,
    language: Literal["pl", "en"],
    ksef_number: str | None,
    code: bool,
    open: bool,  # noqa: A002 - the option's name
    access: Access,
) -> int:
    """Write an invoice as a page of HTML, to be read and printed.

    Needs no login. The page needs nothing from outside. One that exists is written anew. With --open and without
    --output it is a file in the folder for temporary files.
    """
    from ..documents import html
    from ..protocol.verification_codes import VerificationCode

    if output is not None and output.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"{output} is not .html; the browser saves the page as PDF.")
    if output is None and not open and file.suffix.lower() == ".html":
        raise UsageError(f"{file} would be written over: name another file with --output.")
    if code and find_spec("segno") is None:
        raise UsageError("`show --code` needs the extra `qr`: pip install 'ksef_async[qr]'")
    xml = await anyio.to_thread.run_sync(read_file, file)
    codes = []
    if code:
        settled = await access.settle()
        codes.append(VerificationCode.of_invoice(xml, settled.environment, ksef_number=ksef_number))

    def write() -> Path:
        page = html(xml, language=language, ksef_number=ksef_number, codes=codes)
        if output is None and open:
            with tempfile.NamedTemporaryFile(prefix="invoice-", suffix=".html", delete=False) as made:
                made.write(page.encode())
            return Path(made.name)
        written = output or file.with_suffix(".html")
        written.write_text(page, "utf-8", newline="\n")
        return written

    written = await anyio.to_thread.run_sync(write)
    if access.json:
        print_json({"page": str(written)})
    else:
        print(written)
    if open and not await anyio.to_thread.run_sync(webbrowser.open, written.resolve().as_uri()):
        raise UsageError("There is no browser to open it with.")
    return Exit.OK


COMMAND: Final = Command(
    run=show,
    add_arguments=_add_arguments,
    examples=("show invoice.xml --open", "show invoice.xml --output page.html --language en"),
)
