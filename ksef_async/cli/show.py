"""``ksef-async show``: an invoice as a page that people can read, as HTML or PDF."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path
from typing import Final, Literal

import anyio.to_thread

from .access import Access
from .arguments import LOCAL, Command, Parser
from .files import read_file
from .output import Exit, UsageError, need_extra, print_json

__all__ = ["COMMAND", "show"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the invoice: FA(3), FA(2) or FA_RR(1)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the page; beside the invoice, in .html or .pdf, by default"
    )
    parser.add_flag("--pdf", "as PDF rather than HTML; needs the extra `pdf`")
    parser.add_argument("--language", choices=("pl", "en"), default="pl", help="of the page; Polish by default")
    parser.add_argument("--ksef-number", metavar="NUMBER", help="shown on top, and below the verification code")
    parser.add_flag("--code", "with the verification code (KOD I); needs the extra `qr`")
    parser.add_flag("--open", "open the page in the browser")
    parser.add_need("--credentials", "--code")


async def show(
    file: Path,
    *,
    output: Path | None,
    pdf: bool,
    language: Literal["pl", "en"],
    ksef_number: str | None,
    code: bool,
    open: bool,  # noqa: A002 - the option's name
    access: Access,
) -> int:
    """Write an invoice as a page of HTML or as PDF, to read and print.

    Needs no login. The page needs nothing from outside. One that exists is written anew. With --open and without
    --output it is a file in the folder for temporary files. It is a PDF with --pdf, or where the output ends in .pdf.
    """
    from .. import documents
    from ..protocol.verification_codes import VerificationCode

    ending = output.suffix.lower() if output is not None else ""
    pdf = pdf or ending == ".pdf"
    if output is not None and ending not in ({".pdf"} if pdf else {".html", ".htm"}):
        raise UsageError(f"{output} is not .pdf." if pdf else f"{output} is not .html or .pdf.")
    suffix = ".pdf" if pdf else ".html"
    if output is None and not open and file.suffix.lower() == suffix:
        raise UsageError(f"{file} would be written over: name another file with --output.")
    if pdf:
        need_extra("show --pdf", "pdf", "typst")
    if code:
        need_extra("show --code", "qr", "segno")
    if output is not None and not await anyio.Path(output.parent).is_dir():
        raise UsageError(f"There is no folder {output.parent}.")
    xml = await anyio.to_thread.run_sync(read_file, file)
    codes = []
    if code:
        settled = await access.settle()
        codes.append(VerificationCode.of_invoice(xml, settled.environment, ksef_number=ksef_number))

    def write() -> Path:
        show_as = documents.pdf if pdf else documents.html
        page = show_as(xml, language=language, ksef_number=ksef_number, codes=codes)
        content = page if isinstance(page, bytes) else page.encode()
        if output is None and open:
            with tempfile.NamedTemporaryFile(prefix="invoice-", suffix=suffix, delete=False) as made:
                made.write(content)
            return Path(made.name)
        written = output or file.with_suffix(suffix)
        written.write_bytes(content)
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
    access=LOCAL,
)
