"""``ksef-async send``: files into the journal, from there to KSeF, and KSeF numbers and UPO back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import anyio.to_thread
import attrs

from ..calling.events import CredentialsEnding, Event, RequestRetried
from ..errors import KsefError, LocalProtocolError, file_problem
from ..protocol.offline import OfflineMode
from .access import JOURNAL_NEEDS, Access
from .arguments import NETWORK_AND_JOURNAL, Command, Parser, positive
from .files import FoundFiles, add_file_arguments, find_files, read_invoice, tell_left_out
from .issue import add_signer_arguments, load_signer
from .lookup import every
from .output import Exit, UsageError, counts_text, describe, print_json, print_table, state_text
from .upo import save_upo

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ..submissions import Submission, Submissions

__all__ = ["COMMAND", "send"]

_STAYS_OPEN: Final = "A session may be open at KSeF: the next run goes on in it, or KSeF closes it after 12 hours."
# Files in one transaction of the journal.
_CHUNK: Final = 100
# Seconds between looks at the journal, for the bars.
_LOOK: Final = 0.25
# So many rows are shown each; of more, those with a reason.
_SHORT: Final = 20
# How far a state is: everything that has come at least so far counts.
_STEPS: Final = {
    "sent": frozenset({"taken_in", "accepted", "rejected", "conflict"}),
    "decided": frozenset({"accepted", "rejected", "conflict"}),
}


@attrs.define
class _File:
    path: Path
    submission_id: int | None = None
    problem: str | None = None
    """Why it is not in the journal."""


def _add_arguments(parser: Parser) -> None:
    add_file_arguments(parser)
    parser.add_flag("--retry", "send again what KSeF has rejected")
    parser.add_argument(
        "--offline",
        choices=[mode.value for mode in OfflineMode if mode is not OfflineMode.TOTAL_FAILURE],
        help="the mode in which they were issued offline",
    )
    add_signer_arguments(parser)
    parser.add_need("--certificate", "--offline")
    parser.add_argument("--upo", type=Path, metavar="FOLDER", help="folder to save the UPO to, as KSEF-NUMBER.upo.xml")
    parser.add_argument(
        "--timeout",
        type=positive,
        metavar="SECONDS",
        help="time to wait for KSeF, login too; no limit by default",
    )


async def send(
    files: Sequence[Path],
    *,
    access: Access,
    recursive: bool,
    retry: bool,
    offline: str | None,
    certificate: Path | None,
    key: Path | None,
    upo: Path | None,
    timeout: float | None,
) -> int:
    """Send invoices, each exactly once, and wait for numbers and UPO.

    Every invoice is in the journal before KSeF is asked: interrupted, or killed, the command is run again, goes on
    where it was, and sends nothing twice. When --timeout is up, the exit code is 4, and what is queued is named.
    """
    settled = await access.settle()
    listed = await anyio.to_thread.run_sync(partial(find_files, files, recursive=recursive))
    if not access.json:
        tell_left_out(listed)
    found = [_File(path) for path in listed.files]
    if not found:
        raise UsageError("There are no files to send: name files, or folders with *.xml.")
    mode = None if offline is None else OfflineMode(offline)
    signer = await load_signer(certificate, key)
    bars = _Bars(quiet=access.json)
    async with (
        settled.client(bars.hear, log_in=False) as client,
        settled.submissions(client) as submissions,
    ):
        with bars.shown(len(found)):
            submit = partial(submissions.submit, nip=settled.nip, offline=mode, signer=signer)
            await _hand_over(submissions, submit, found, bars, retry=retry)
            mine = {file.submission_id for file in found if file.submission_id is not None}
            seen: dict[int, Submission] = {}
            with anyio.move_on_after(timeout) as limit:
                if mine:
                    await settled.log_in(client, bars.tell_of_waiting)
                    bars.logged_in()
                    await _deliver(submissions, mine, seen, bars)
            if limit.cancelled_caught:
                await _look(submissions, mine, seen)
            saved = {}
            if upo is not None:
                for one in seen.values():
                    if one.has_upo:
                        saved[one.id] = await save_upo(submissions, one, upo)
    _report(found, seen, saved, access=access, journal=settled.journal, listed=listed)
    if limit.cancelled_caught:
        return Exit.UNFINISHED
    failed = any(file.problem for file in found) or any(one.state != "accepted" for one in seen.values())
    return Exit.REJECTED if failed or listed.has_failure else Exit.OK


COMMAND: Final = Command(
    run=send,
    add_arguments=_add_arguments,
    examples=(
        "send invoices/ --upo receipts/",
        "send invoice.xml --retry --timeout 600",
        "send night/ --offline offline24",
    ),
    access=NETWORK_AND_JOURNAL,
    needs=JOURNAL_NEEDS,
)


async def _hand_over(
    submissions: Submissions,
    submit: Callable[..., Awaitable[Submission]],
    files: Sequence[_File],
    bars: _Bars,
    *,
    retry: bool,
) -> None:
    for start in range(0, len(files), _CHUNK):
        chunk = files[start : start + _CHUNK]
        contents = await anyio.to_thread.run_sync(_read, chunk)
        async with submissions.begin() as tx:
            for file, content in zip(chunk, contents, strict=True):
                if content is None:
                    continue
                try:
                    submission = await submit(content, tx=tx)
                except LocalProtocolError as error:
                    file.problem = str(error)
                else:
                    file.submission_id = submission.id
        if retry:
            for file in chunk:
                if file.submission_id is not None:
                    await _put_back(submissions, file.submission_id)
        bars.advance("journal", len(chunk))
    bars.expect(sum(file.problem is None for file in files))


def _read(files: Sequence[_File]) -> list[bytes | None]:
    contents: list[bytes | None] = []
    for file in files:
        try:
            contents.append(read_invoice(file.path))
        except OSError as error:
            file.problem = f"The file cannot be read: {file_problem(error)}."
            contents.append(None)
    return contents


async def _put_back(submissions: Submissions, submission_id: int) -> None:
    if (await submissions.get(submission_id)).state in ("rejected", "conflict", "cancelled"):
        await submissions.retry(submission_id)


async def _deliver(submissions: Submissions, mine: set[int], seen: dict[int, Submission], bars: _Bars) -> None:
    try:
        async with submissions.running():
            await _follow(submissions, mine, seen, bars)
    except asyncio.CancelledError as error:
        error.add_note(_STAYS_OPEN)
        raise


async def _follow(submissions: Submissions, mine: set[int], seen: dict[int, Submission], bars: _Bars) -> None:
    """Look at the journal until everything of ours is decided and has its UPO."""
    while True:
        await _look(submissions, mine, seen)
        bars.show(seen.values())
        if all(_is_done(submission) for submission in seen.values()):
            return
        bars.tell(await submissions.troubles())
        # The more there is to read, the less often.
        await anyio.sleep(max(_LOOK, len(mine) / 4_000))


async def _look(submissions: Submissions, mine: set[int], seen: dict[int, Submission]) -> None:
    async for submission in every(submissions, after=min(mine) - 1):
        if submission.id in mine:
            seen[submission.id] = submission


def _is_done(submission: Submission) -> bool:
    return submission.state.is_terminal and (submission.state != "accepted" or submission.has_upo)


class _Bars:
    """What people see meanwhile, on standard error."""

    def __init__(self, *, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:<14}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), disable=quiet)
        self._tasks: dict[str, TaskID] = {}
        self._told: set[str] = set()
        # Not once the login is done, nor once it is told that the invoices wait.
        self._tells_of_waiting = True

    @contextmanager
    def shown(self, count: int) -> Iterator[None]:
        names = {"journal": "In the journal", "sent": "Sent", "decided": "Decided", "upo": "With UPO"}
        # Those of KSeF are shown once there is something to send.
        self._tasks = {
            name: self._progress.add_task(text, total=count, visible=name == "journal") for name, text in names.items()
        }
        with self._progress:
            yield

    def advance(self, name: str, count: int) -> None:
        self._progress.advance(self._tasks[name], count)

    def expect(self, count: int) -> None:
        """Show what is expected of KSeF; without anything to send, no bar at all."""
        for name, task in self._tasks.items():
            self._progress.update(task, total=count, visible=count > 0, completed=count if name == "journal" else 0)

    def show(self, submissions: Any) -> None:
        seen = list(submissions)
        for name, states in _STEPS.items():
            self._progress.update(self._tasks[name], completed=sum(one.state in states for one in seen))
        rejected = sum(one.state in ("rejected", "conflict", "cancelled") for one in seen)
        done = sum(one.has_upo for one in seen)
        self._progress.update(self._tasks["upo"], completed=done, total=len(seen) - rejected)

    def hear(self, event: Event) -> None:
        """Take a note of what is printed for every command, so that it is not said again."""
        if isinstance(event, CredentialsEnding):
            self._told.add(str(event))
        elif isinstance(event, RequestRetried):
            # A login tries for many seconds before it fails.
            self.tell_of_waiting(event.error)

    def tell_of_waiting(self, error: KsefError) -> None:
        """Say that the invoices wait for KSeF, and why; once before the login."""
        if self._tells_of_waiting:
            self._tells_of_waiting = False
            self._say(f"The invoices are in the journal, and wait for KSeF. ({type(error).__name__}: {error})")

    def logged_in(self) -> None:
        """From now on what is waited for is told of the journal's work."""
        self._tells_of_waiting = False

    def tell(self, troubles: Mapping[str, str]) -> None:
        """Say what keeps invoices from being delivered, each thing once."""
        for trouble in {*troubles.values()} - self._told:
            self._told.add(trouble)
            self._say(trouble)

    def _say(self, text: str) -> None:
        self._progress.console.print(text, style="yellow", markup=False)


def _report(
    files: Sequence[_File],
    seen: Mapping[int, Submission],
    saved: Mapping[int, Path],
    *,
    access: Access,
    journal: Path,
    listed: FoundFiles,
) -> None:
    rows = [(file, seen.get(file.submission_id) if file.submission_id is not None else None) for file in files]
    counts: dict[str, int] = {}
    for _, submission in rows:
        state = "refused" if submission is None else submission.state.value
        counts[state] = counts.get(state, 0) + 1
    if access.json:
        invoices = [
            {
                "file": str(file.path),
                **(describe(submission) if submission else {"state": "refused", "reason": {"text": file.problem}}),
                "upo": str(saved[submission.id]) if submission and submission.id in saved else None,
            }
            for file, submission in rows
        ]
        left_out = listed.left_out_as_dicts()
        print_json({"journal": str(journal), "counts": counts, "invoices": invoices, "left_out": left_out})
        return
    shown = rows if len(rows) <= _SHORT else [row for row in rows if row[1] is None or row[1].state != "accepted"]
    if shown:
        print_table(
            ("File", "State", "KSeF number, or why not"),
            [
                (file.path.name, state_text(one.state.value if one else "refused"), _outcome(file, one))
                for file, one in shown
            ],
        )
    print(f"{counts_text(dict(sorted(counts.items())))}. Journal: {journal}", flush=True)


def _outcome(file: _File, submission: Submission | None) -> str:
    if submission is None:
        return file.problem or ""
    if submission.ksef_number:
        return submission.ksef_number
    return submission.reason.text if submission.reason else ""
