"""``ksef-async issue``: one invoice while the customer waits, with its KSeF number or as an offline invoice.

And who signs what is issued offline, which `send --offline` takes, too.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from ..auth.offline_signing import OfflineSigner
from ..errors import CryptoError
from .access import JOURNAL_NEEDS, Access
from .arguments import NETWORK_AND_JOURNAL, Command, Parser, positive
from .files import read_file, unreadable
from .output import Exit, UsageError, describe, need_extra, print_json

if TYPE_CHECKING:
    from ..submissions import IssuedInvoice

__all__ = ["COMMAND", "OFFLINE_PASSWORD", "add_signer_arguments", "issue", "load_signer"]

OFFLINE_PASSWORD: Final = "KSEF_OFFLINE_KEY_PASSWORD"
"""The variable that holds the password of the key for offline invoices."""
# Seconds that closing the session may take, once the customer has the invoice.
_CLOSING: Final = 15.0


def add_signer_arguments(parser: Parser) -> None:
    """Add the arguments that `load_signer` takes."""
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="certificate of the type Offline, which signs KOD II: PEM (its key may be in it), DER or PKCS#12",
    )
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help=f"its private key; the password is in {OFFLINE_PASSWORD}"
    )
    parser.add_need("--key", "--certificate")


async def load_signer(certificate: Path | None, key: Path | None) -> OfflineSigner | None:
    """Return who signs what is issued offline; None where no certificate is named.

    Raises:
        UsageError: A file cannot be read or used.
    """
    if certificate is None:
        return None
    password = os.environ.get(OFFLINE_PASSWORD)
    try:
        return await OfflineSigner.from_files(certificate, key, password=password)
    except OSError as error:
        raise UsageError(unreadable(str(error.filename), error)) from error
    except CryptoError as error:
        raise UsageError(f"The certificate for offline invoices cannot be used: {error}") from error


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the invoice")
    parser.add_argument(
        "--within", type=positive, default=5.0, metavar="SECONDS", help="time to wait for KSeF; 5 by default"
    )
    add_signer_arguments(parser)
    parser.add_argument("--codes", type=Path, metavar="FOLDER", help="folder to draw the codes in, as FILE.kod1.svg")


async def issue(
    file: Path, *, within: float, certificate: Path | None, key: Path | None, codes: Path | None, access: Access
) -> int:
    """Issue an invoice while the customer waits, online or offline.

    Prints its KSeF number and KOD I if KSeF answers in time, otherwise the deadline and both codes of an offline
    invoice, which is in the journal then: `send` with the same file delivers it. The exit code is 4 for one that is
    still to be delivered. Without --certificate nothing is issued offline: what KSeF has not taken in time stays in the
    journal, and cannot be handed out yet (4, too). Pictures (--codes) need the extra `qr`.
    """
    if codes is not None:
        need_extra("issue --codes", "qr", "segno")
    from ..submissions import NotIssuedError

    settled = await access.settle()
    signer = await load_signer(certificate, key)
    xml = await anyio.to_thread.run_sync(read_file, file)
    # Without a login first: KSeF may be away, and the customer waits.
    async with (
        settled.client(log_in=False, revoke=False) as client,
        settled.submissions(client) as submissions,
        submissions.running(),
    ):
        try:
            issued = await submissions.issue(xml, within=within, signer=signer, nip=settled.nip)
        except NotIssuedError as error:
            if access.json:
                print_json(describe(error.submission))
            else:
                print(error)
            return Exit.REJECTED
        pictures = [] if codes is None else await _draw(issued, codes, file.stem)
        _report(issued, pictures, access=access)
        if issued.is_offline:
            return Exit.UNFINISHED
        with anyio.move_on_after(_CLOSING):
            await submissions.wait_until_settled(nip=settled.nip)
    return Exit.OK


COMMAND: Final = Command(
    run=issue,
    add_arguments=_add_arguments,
    examples=(
        "issue invoice.xml --certificate offline.p12",
        "issue invoice.xml --certificate offline.p12 --codes codes/",
    ),
    access=NETWORK_AND_JOURNAL,
    needs=JOURNAL_NEEDS,
)


async def _draw(issued: IssuedInvoice, folder: Path, name: str) -> list[Path]:
    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, code in enumerate(issued.codes, 1):
        pictures.append(path := folder / f"{name}.kod{number}.svg")
        await anyio.Path(path).write_text(code.svg(), encoding="utf-8")
    return pictures


def _report(issued: IssuedInvoice, pictures: list[Path], *, access: Access) -> None:
    if access.json:
        print_json(
            {
                **describe(issued.submission),
                "is_offline": issued.is_offline,
                "verification_link": issued.verification_link,
                "certificate_link": issued.certificate_link,
                "pictures": [str(path) for path in pictures],
            }
        )
        return
    until = f"OFFLINE, to be delivered before {issued.due_by:%Y-%m-%d %H:%M} UTC" if issued.due_by else "OFFLINE"
    print(issued.ksef_number or until)
    print(issued.verification_link)
    if issued.certificate_link is not None:
        print(issued.certificate_link)
    for path in pictures:
        print(path)
