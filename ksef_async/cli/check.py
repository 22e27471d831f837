"""``ksef-async check``: what KSeF would refuse, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from ..errors import quote
from .arguments import Command, Parser, nip
from .files import FoundFiles, add_file_arguments, find_files, read_invoice, tell_left_out
from .output import Exit, UsageError, print_json, print_table, state_text

if TYPE_CHECKING:
    from ..documents import Report

__all__ = ["COMMAND", "check"]


def _add_arguments(parser: Parser) -> None:
    add_file_arguments(parser, nargs="+")
    parser.add_argument(
        "--nip", type=nip, dest="context_nip", metavar="NIP", help="in whose context they are to be sent"
    )
    parser.add_argument(
        "--language", choices=("en", "pl"), default="en", help="of the table; en by default (JSON has both)"
    )
    parser.add_flag("--json", "print one JSON object")


async def check(files: Sequence[Path], *, recursive: bool, context_nip: str | None, language: str, json: bool) -> int:
    """Say what KSeF would refuse in invoices, and what is odd.

    Needs no login and no network. The exit code is 3 where KSeF would refuse an invoice, or a file cannot be read;
    warnings alone leave it at 0.
    """
    if not json and find_spec("rich") is None:
        raise UsageError("A table needs the extra `cli`: pip install 'ksef_async[cli]'; or ask for --json.")
    found = await anyio.to_thread.run_sync(partial(find_files, files, recursive=recursive))
    if not json:
        tell_left_out(found)
    checked: list[tuple[Path, Report]] = []
    for file in found.files:
        try:
            # One at a time, so that it can be interrupted.
            checked.append((file, await anyio.to_thread.run_sync(_check_file, file, context_nip)))
        except OSError as error:
            found = found.without(file, error)
            if not json:
                tell_left_out(FoundFiles(files=(), left_out=found.left_out[-1:]))
    if not checked and not found.has_failure:
        raise UsageError("There are no invoices in what was named.")
    if json:
        files_checked = [{"file": str(file), **report.to_dict()} for file, report in checked]
        print_json({"files": files_checked, "left_out": found.left_out_as_dicts()})
    else:
        _print(checked, language)
    return Exit.OK if all(report.ok for _, report in checked) and not found.has_failure else Exit.REJECTED


def _check_file(file: Path, context_nip: str | None) -> Report:
    from ..documents import check as check_document

    return check_document(read_invoice(file), context_nip=context_nip)


def _print(checked: Sequence[tuple[Path, Report]], language: str) -> None:
    rows = []
    for file, report in checked:
        for problem in (*report.problems, *report.warnings):
            place = f"{problem.line}:{problem.column}" if problem.line is not None else ""
            sentence = problem.message_pl if language == "pl" else problem.message
            severity = state_text("rejected" if problem in report.problems else "cancelled")
            severity.plain = str(problem.severity)
            rows.append((quote(str(file)), place, severity, quote(problem.path or "", 200), sentence))
    if rows:
        print_table(("file", "line", "", "element", "what to do"), rows)
        print()
    refused = sum(not report.ok for _, report in checked)
    print(f"{len(checked)} checked, {len(checked) - refused} fine, {refused} that KSeF would refuse.")


COMMAND: Final = Command(
    run=check,
    add_arguments=_add_arguments,
    examples=("check invoices/ --recursive", "check invoice.xml --nip 5265877635 --language pl"),
    access=(),
)
