"""``ksef-async correct``: the technical correction of an invoice issued offline that KSeF has rejected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from ..errors import LocalProtocolError
from .access import JOURNAL_NEEDS, Access
from .arguments import NETWORK_AND_JOURNAL, Command, Parser, positive
from .files import read_file
from .issue import add_signer_arguments, load_signer
from .lookup import named
from .output import Exit, UsageError, describe, print_json

if TYPE_CHECKING:
    from ..submissions import Submission, Submissions

__all__ = ["COMMAND", "correct"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("invoice", metavar="INVOICE", help="the rejected one: its file, invoice number or id")
    parser.add_argument("file", type=Path, metavar="FILE", help="the corrected document")
    add_signer_arguments(parser)
    parser.add_argument(
        "--timeout", type=positive, metavar="SECONDS", help="time to wait for KSeF; no limit by default"
    )


async def correct(
    invoice: str, file: Path, *, certificate: Path | None, key: Path | None, timeout: float | None, access: Access
) -> int:
    """Send the technical correction of a rejected offline invoice.

    Waits for its number and UPO. The content stays the same; what is corrected is what KSeF refused the file for. Its
    deadline is that of the original, whose KOD I leads to it. It is in the journal before it is sent, so the command
    can be interrupted and run again. With --certificate its KOD II is signed and printed.
    """
    settled = await access.settle()
    signer = await load_signer(certificate, key)
    xml = await anyio.to_thread.run_sync(read_file, file)
    async with (
        settled.client(log_in=False, revoke=False) as client,
        settled.submissions(client, must_exist=True) as submissions,
    ):
        original = await _rejected(submissions, invoice)
        try:
            correction = await submissions.correct(original.id, xml, signer=signer)
        except LocalProtocolError as error:
            raise UsageError(str(error)) from error
        with anyio.move_on_after(timeout):
            async with submissions.running():
                async for seen in submissions.watch(correction.id):
                    correction = seen
    _report(correction, original, access=access)
    if not correction.state.is_terminal:
        return Exit.UNFINISHED
    return Exit.OK if correction.state == "accepted" else Exit.REJECTED


COMMAND: Final = Command(
    run=correct,
    add_arguments=_add_arguments,
    examples=(
        "correct FV/2026/17 corrected.xml --certificate offline.p12",
        "correct rejected.xml corrected.xml --timeout 600",
    ),
    access=NETWORK_AND_JOURNAL,
    needs=JOURNAL_NEEDS,
)


async def _rejected(submissions: Submissions, name: str) -> Submission:
    """Return the last rejected submission that is named; where none is rejected, the last, so that it is refused."""
    # A number is also that of earlier corrections.
    found = await named(submissions, [name])
    return max(found, key=lambda one: (one.state == "rejected", one.id))


def _report(correction: Submission, original: Submission, *, access: Access) -> None:
    if access.json:
        print_json(
            {
                **describe(correction),
                "corrects": original.id,
                "certificate_link": correction.certificate_link,
            }
        )
        return
    if correction.ksef_number is not None:
        print(correction.ksef_number)
    else:
        why = "" if correction.reason is None else f": {correction.reason.text}"
        due = "" if correction.due_by is None else f", to be delivered before {correction.due_by:%Y-%m-%d %H:%M} UTC"
        print(f"{correction.identity.number} is {correction.state.value}{why or due}")
    if correction.certificate_link is not None:
        print(correction.certificate_link)
