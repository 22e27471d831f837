"""What the commands print: tables for people, or one JSON object for programs.

Tables are drawn by rich, which is loaded only for them: most commands need no extra.
"""

from __future__ import annotations

import enum
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ..errors import KsefError

if TYPE_CHECKING:
    from rich.text import Text

    from ..submissions import Submission

__all__ = [
    "CREDENTIALS",
    "EXIT_CODES",
    "BusyError",
    "Exit",
    "ReportedError",
    "UsageError",
    "counts_text",
    "describe",
    "describe_error",
    "json_list",
    "need_extra",
    "print_json",
    "print_table",
    "state_text",
]


class Exit(enum.IntEnum):
    """The exit codes of every command."""

    OK = 0
    """Everything that was asked for is done."""
    FAILED = 1
    """KSeF, or the way to it, failed. Nothing is lost; run it again."""
    USAGE = 2
    """Wrong arguments or settings, or credentials that KSeF refuses. Run again as it was, it fails again."""
    REJECTED = 3
    """Done, but an invoice was rejected, refused or in conflict, or a file could not be read; the output says why."""
    UNFINISHED = 4
    """The time given was up, or what was asked for is not there yet. Run it again later."""
    INTERRUPTED = 130
    """Interrupted (Ctrl-C; 143 by SIGTERM). Run it again to go on; nothing is sent twice."""


EXIT_CODES = """\
exit codes:
  0    everything that was asked for is done
  1    KSeF, or the way to it, failed; nothing is lost, run it again
  2    wrong arguments, a missing extra, or credentials that cannot be used
  3    done, but an invoice was refused or a file cannot be read; see the output
  4    the time was up, or it is not there yet; run it again later
  130  interrupted (143: SIGTERM); run it again, nothing is sent twice
  141  whoever read the output has gone
"""

CREDENTIALS = """\
Credentials come from the environment, or from a file of such lines
(--credentials, which wins), never from arguments, which other users of a
machine can read. KSEF_ENV is TEST, DEMO, PRODUCTION or a base URL, KSEF_NIP
the company. Who logs in is a certificate, KSEF_CERTIFICATE_FILE with its
KSEF_KEY_FILE (PEM or DER), or KSEF_PKCS12_FILE; or else a KSEF_TOKEN. The
password, where there is one, is KSEF_KEY_PASSWORD. Each may be the value
itself, or with _FILE at the end of its name the path of a file that holds it.
Files with secrets have to be readable for their owner only. Whatever is
missing, named twice, unreadable, expired or opened with a wrong password ends
a command with 2.
"""


class UsageError(Exception):
    """A value on the command line, in the environment or in a file cannot be used."""


class BusyError(Exception):
    """Another program keeps the command from its work, until that ends."""


def need_extra(what: str, extra: str, *packages: str) -> None:
    """Make sure that the packages of an extra are installed.

    Args:
        what: The command, or its option, that needs them.
        extra: The extra of this library.
        packages: Those of its packages that are needed.

    Raises:
        UsageError: One is missing; the sentence says how to install it.
    """
    if any(find_spec(package) is None for package in packages):
        raise UsageError(f"`{what}` needs the extra `{extra}`: pip install 'ksef_async[{extra}]'")


class ReportedError(Exception):
    """Something failed, and the JSON that was being printed says so already.

    Args:
        error: What failed.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


_COLOURS = {
    "accepted": "green",
    "rejected": "red",
    "refused": "red",
    "conflict": "red",
    "cancelled": "yellow",
    "held": "yellow",
    "queued": "dim",
}


def print_json(value: object) -> None:
    """One JSON object, and nothing else, on standard output."""
    print(_json(value))


@contextmanager
def json_list(
    head: Mapping[str, object], name: str, *, shown: bool, tail: Mapping[str, object] | None = None
) -> Iterator[Callable[[object], None]]:
    """Print one JSON object: ``head``, and under ``name`` a list that is printed while it is added to.

    What fails meanwhile becomes its member ``error``, so that it is whole all the same.

    Args:
        head: Its other members, at least one.
        name: Of the list.
        shown: False where people read: then nothing is printed.
        tail: Members that follow the list; read once it has ended well.

    Raises:
        ReportedError: In place of what failed, once something was printed.
    """
    opening = f'{_json(head)[:-2]},\n  "{name}": ['
    count = 0

    def add(item: object) -> None:
        nonlocal count
        if shown:
            print(",\n" if count else f"{opening}\n", textwrap.indent(_json(item), "    "), sep="", end="")
            count += 1

    try:
        yield add
    except (KsefError, OSError, UsageError) as error:
        if not count:
            raise
        print(f"\n  ],\n{_json({'error': describe_error(error)})[2:]}")
        raise ReportedError(error) from error
    if shown:
        print("\n  ]" if count else f"{opening}]", f",\n{_json(tail)[2:]}" if tail else "\n}", sep="")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def describe_error(error: BaseException) -> Mapping[str, str]:
    """Return an error as a value for JSON."""
    return {"type": type(error).__name__, "message": str(error)}


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """A table; what it shows is text, never markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    Console(highlight=False).print(table)


def state_text(state: str) -> Text:
    """Return a state in its colour."""
    from rich.text import Text

    return Text(state.replace("_", " "), style=_COLOURS.get(state, "cyan"))


def counts_text(counts: Mapping[str, int]) -> str:
    """Return how many submissions are in which state, in a line; empty where there are none."""
    return ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in counts.items())


def describe(submission: Submission) -> Mapping[str, Any]:
    """Return a submission, for JSON."""
    reason = submission.reason
    return {
        "id": submission.id,
        "nip": submission.nip,
        "number": submission.identity.number,
        "kind": submission.identity.kind,
        "state": submission.state.value,
        "ksef_number": submission.ksef_number,
        "session": submission.session_reference_number,
        "sha256": submission.invoice_hash.hex(),
        "is_late": submission.is_late,
        "has_upo": submission.has_upo,
        "offline": None if submission.offline is None else submission.offline.value,
        "due_by": None if submission.due_by is None else submission.due_by.isoformat(),
        "invoicing_mode": None if submission.invoicing_mode is None else submission.invoicing_mode.value,
        "reason": None if reason is None else {"code": reason.code, "text": reason.text},
        "updated_at": submission.updated_at.isoformat(),
    }
