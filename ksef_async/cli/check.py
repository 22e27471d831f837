"""``ksef-async check``: what KSeF would refuse, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio.to_thread

from ..errors import quote
from .arguments import Command, Parser, nip
from .lookup import find_files
from .output import Exit, UsageError, print_json, print_table, state_text

if TYPE_CHECKING:
    from ..documents import Report

__all__ = ["COMMAND", "check"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="invoices, or folders of them (*.xml)")
    parser.add_argument(
        "--nip", type=nip, dest="context_nip", metavar="NIP", help="in whose context they are to be sent"
    )
    parser.add_argument("--language", choices=("en", "pl"), default="en", help="of the sentences; en by default")
    parser.add_flag("--json", "print one JSON object")


async def check(files: Sequence[Path], *, context_nip: str | None, language: str, json: bool) -> int:
    """Say what KSeF would refuse in invoices, and what is odd. Needs no login and no network.

    The exit code is 3 where KSeF would refuse an invoice; warnings alone leave it at 0.
    """
    if not json and find_spec("rich") is None:
        raise UsageError("A table needs the extra `cli`: pip install 'ksef_async[cli]'; or ask for --json.")
    checked = await anyio.to_thread.run_sync(_check_all, files, context_nip)
    if not checked:
        raise UsageError("There are no invoices in what was named.")
    if json:
        print_json({"files": [{"file": str(file), **report.to_dict()} for file, report in checked]})
    else:
        _print(checked, language)
    return Exit.OK if all(report.ok for _, report in checked) else Exit.REJECTED


def _check_all(files: Sequence[Path], context_nip: str | None) -> list[tuple[Path, Report]]:
    from ..documents import check as check_document

    return [(file, check_document(file.read_bytes(), context_nip=context_nip)) for file in find_files(files)]


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


COMMAND: Final = Command(run=check, add_arguments=_add_arguments, has_access=False)
