"""``ksef-async status``: what the journal knows. KSeF is not asked; `send` does that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .access import JOURNAL_NEEDS, Access
from .arguments import LOCAL, Command, Parser
from .lookup import chosen
from .output import Exit, counts_text, describe, json_list, print_table, state_text

if TYPE_CHECKING:
    from rich.text import Text

    from ..submissions import Submission

__all__ = ["COMMAND", "MOST_SHOWN", "status"]

MOST_SHOWN = 200
"""How many submissions people are shown."""


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "invoices",
        nargs="*",
        metavar="INVOICE",
        help="files, invoice numbers, KSeF numbers or ids; by default all that has no UPO yet",
    )


async def status(invoices: Sequence[str], *, access: Access) -> int:
    """Show how far invoices are, from the journal.

    Needs no login, and asks KSeF nothing: `send` does that.
    The exit code is 3 where an invoice shown was rejected, else 4 where one is under way, else 0.
    """
    settled = await access.settle()
    rows: list[tuple[str | Text, ...]] = []
    states: Counter[str] = Counter()
    is_under_way = False
    async with settled.submissions(must_exist=True) as submissions:
        counts = {state.value: count for state, count in (await submissions.count()).items() if count}
        head = {"journal": str(settled.journal), "counts": counts}
        with json_list(head, "invoices", shown=access.json) as add:
            # What has its UPO is done with.
            async for one in chosen(submissions, invoices, has_upo=False):
                add(describe(one))
                states[one.state.value] += 1
                is_under_way |= not one.state.is_terminal
                if len(rows) < MOST_SHOWN:
                    rows.append(_row(one))
    if not access.json:
        if rows:
            print_table(("Id", "Number", "State", "KSeF number, or why not", ""), rows)
        more = f" ({states.total() - MOST_SHOWN:,} more are not shown)" if states.total() > MOST_SHOWN else ""
        print(f"{counts_text(counts) or 'Nothing'} in {settled.journal}{more}.")
    if states["rejected"] or states["conflict"]:
        return Exit.REJECTED
    return Exit.UNFINISHED if is_under_way else Exit.OK


COMMAND: Final = Command(
    run=status,
    add_arguments=_add_arguments,
    examples=("status", 'status "FV/2026/11/7" invoice.xml'),
    access=(*LOCAL, "--journal"),
    needs=JOURNAL_NEEDS,
)


def _row(submission: Submission) -> tuple[str | Text, ...]:
    return (
        f"{submission.id}",
        submission.identity.number,
        state_text(submission.state.value),
        submission.ksef_number or (submission.reason.text if submission.reason else ""),
        "UPO" if submission.has_upo else "",
    )
