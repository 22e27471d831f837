"""What the commands print: tables for people, or one JSON object for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from ..submissions import Submission

__all__ = ["console", "describe", "print_json", "print_table", "state_text"]

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
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2, default=str)
    print()


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
