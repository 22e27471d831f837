"""What the commands print: tables for people, or one JSON object for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import KsefError
from .exits import ReportedError

if TYPE_CHECKING:
    from ..submissions import Submission

__all__ = ["console", "describe", "describe_error", "json_list", "print_json", "print_table", "state_text"]

_COLOURS = {
    "accepted": "green",
    "rejected": "red",
    "refused": "red",
    "conflict": "red",
    "cancelled": "yellow",
    "queued": "dim",
}


def console() -> Console:
    """Where people read."""
    return Console(highlight=False)


def print_json(value: object) -> None:
    """One JSON object, and nothing else, on standard output."""
    print(_json(value))


@contextmanager
def json_list(head: Mapping[str, object], name: str, *, shown: bool) -> Iterator[Callable[[object], None]]:
    """Print one JSON object: ``head``, and under ``name`` a list that is printed while it is added to.

    What fails meanwhile becomes its member ``error``, so that it is whole all the same.

    Args:
        head: Its other members, at least one.
        name: Of the list.
        shown: False where people read: then nothing is printed.

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
    except (KsefError, OSError) as error:
        if not count:
            raise
        print(f"\n  ],\n{_json({'error': describe_error(error)})[2:]}")
        raise ReportedError(error) from error
    if shown:
        print("\n  ]\n}" if count else f"{opening}]\n}}")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def describe_error(error: Exception) -> Mapping[str, str]:
    """What failed, for JSON."""
    return {"type": type(error).__name__, "message": str(error)}


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> None:
    """A table; what it shows is text, never markup."""
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    console().print(table)


def state_text(state: str) -> Text:
    """A state in its colour."""
    return Text(state.replace("_", " "), style=_COLOURS.get(state, "cyan"))


def describe(submission: Submission) -> Mapping[str, Any]:
    """A submission, for JSON."""
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
        "has_upo": submission.has_upo,
        "reason": None if reason is None else {"code": reason.code, "text": reason.text},
        "updated_at": submission.updated_at.isoformat(),
    }
