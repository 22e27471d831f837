"""``ksef-async status``: what the journal knows. KSeF is not asked; `send` does that."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from .access import Access
from .exits import Exit
from .lookup import every, named
from .output import console, describe, print_json, print_table, state_text

__all__ = ["status"]

_MOST = 200


async def status(
    *invoices: Annotated[
        str, Parameter(help="Files, invoice numbers, KSeF numbers or ids; by default all that is not accepted.")
    ],
    access: Access | None = None,
) -> int:
    """Show how far invoices are, from the journal. Needs no login.

    The exit code is 3 where an invoice shown was rejected, else 4 where one is under way, else 0.
    """
    access = access or Access()
    settled = await access.settle()
    async with settled.submissions(must_exist=True) as submissions:
        counts = {state.value: count for state, count in (await submissions.count()).items() if count}
        if invoices:
            shown = await named(submissions, invoices)
        else:
            shown = [one async for one in every(submissions) if one.state != "accepted" or not one.has_upo]
    if access.json:
        print_json({"journal": str(settled.journal), "counts": counts, "invoices": [describe(one) for one in shown]})
    else:
        rows = [
            (
                f"{one.id}",
                one.identity.number,
                state_text(one.state.value),
                one.ksef_number or (one.reason.text if one.reason else ""),
                "UPO" if one.has_upo else "",
            )
            for one in shown[:_MOST]
        ]
        if rows:
            print_table(("Id", "Number", "State", "KSeF number, or why not", ""), rows)
        more = f" ({len(shown) - _MOST} more are not shown)" if len(shown) > _MOST else ""
        summary = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in counts.items())
        console().print(f"{summary or 'Nothing'} in {settled.journal}{more}.", markup=False)
    if any(one.state in ("rejected", "conflict") for one in shown):
        return Exit.REJECTED
    return Exit.UNFINISHED if any(not one.state.is_terminal for one in shown) else Exit.OK
