"""``ksef-async certificate``: applying for a KSeF certificate, the first or the next one, and keeping it in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import anyio.to_thread

from ..api.certificates import CertificateType
from ..errors import LocalProtocolError
from .access import Access
from .arguments import Command, Parser
from .issue import OFFLINE_PASSWORD
from .output import Exit, UsageError, print_json

__all__ = ["COMMAND", "certificate"]

_TYPES: Final = {"authentication": CertificateType.AUTHENTICATION, "offline": CertificateType.OFFLINE}


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="where key and certificate are written, as PEM")
    parser.add_argument(
        "--type",
        choices=tuple(_TYPES),
        default="authentication",
        help="for logging in (the default), or for issuing invoices offline",
    )
    parser.add_argument("--name", metavar="NAME", help="its name in KSeF; by default with today's date")


async def certificate(file: Path, *, type: str, name: str | None, access: Access) -> int:  # noqa: A002  # the option's name
    """Apply for a KSeF certificate, and save it with its key in a file.

    Log in with a certificate, for KSeF gives none to a token. FILE is its owner's alone (0600), and has key and
    certificate: for KSEF_CERTIFICATE_FILE, or of the type offline for --certificate of `issue` and `send`. A FILE that
    is there stays as FILE.old, and its certificate is not revoked. Interrupted, the command is run again, and goes on
    where it was. The key is encrypted with KSEF_KEY_PASSWORD (offline: KSEF_OFFLINE_KEY_PASSWORD), where that is set.
    """
    settled = await access.settle()
    if settled.variables.has_token:
        raise UsageError("KSeF gives no certificate to who logs in with a token: log in with a certificate.")
    # That of the new key, from where the commands take it when they open the file again.
    if type == "offline":
        password = os.environ.get(OFFLINE_PASSWORD, "").encode() or None
    else:
        password = await anyio.to_thread.run_sync(settled.key_password)
    async with settled.client() as client:
        try:
            made = await client.certificates.renew(file, name=name, password=password, certificate_type=_TYPES[type])
        except LocalProtocolError as error:
            raise UsageError(str(error)) from error
    if access.json:
        print_json(
            {
                "file": str(made.file),
                "type": type,
                "serial_number": made.serial_number,
                "valid_from": made.valid_from.isoformat(),
                "valid_until": made.valid_until.isoformat(),
            }
        )
    else:
        print(f"{made.serial_number}, until {made.valid_until:%Y-%m-%d %H:%M} UTC, is in {made.file}.")
    return Exit.OK


COMMAND: Final = Command(
    run=certificate,
    add_arguments=_add_arguments,
    examples=("certificate ksef.pem", "certificate offline.pem --type offline"),
)
