"""``ksef-async qr``: the verification code (KOD I) of an invoice, as a link and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from .access import Access
from .arguments import LOCAL, Command, Parser
from .files import read_file
from .output import Exit, UsageError, need_extra, print_json

__all__ = ["COMMAND", "qr"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the invoice, exactly as it is sent")
    parser.add_argument("--ksef-number", metavar="NUMBER", help="printed below the code, which says OFFLINE without it")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write a picture: a name in .svg or .png")
    parser.add_need("--ksef-number", "--picture", "--json")


async def qr(file: Path, *, ksef_number: str | None, picture: Path | None, access: Access) -> int:
    """Print the verification link of an invoice, or draw its QR code.

    Needs no login. A picture needs the extra `qr`. One that exists is written anew.
    """
    from ..protocol.verification_codes import VerificationCode

    if picture is not None and picture.suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"{picture} is neither .svg nor .png.")
    if picture is not None:
        need_extra("qr --picture", "qr", "segno")
    settled = await access.settle()
    environment = settled.environment
    xml = await anyio.to_thread.run_sync(read_file, file)
    code = VerificationCode.of_invoice(xml, environment, ksef_number=ksef_number)
    if picture is not None:
        drawn = code.svg().encode() if picture.suffix.lower() == ".svg" else code.png()
        await anyio.Path(picture).write_bytes(drawn)
    if access.json:
        print_json({"link": code.link, "label": code.label, "picture": None if picture is None else str(picture)})
    else:
        print(code.link)
    return Exit.OK


COMMAND: Final = Command(
    run=qr,
    add_arguments=_add_arguments,
    examples=("qr invoice.xml", "qr invoice.xml --picture code.svg"),
    access=LOCAL,
)
