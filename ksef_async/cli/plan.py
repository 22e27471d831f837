"""``ksef-async plan``: online or in batches, and how long it takes, before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import anyio.to_thread

from ..api.rates import PRODUCTION_LIMITS
from .access import Access
from .arguments import Command, Parser, positive, whole_number
from .files import FoundFiles, add_file_arguments, find_files, tell_left_out
from .output import Exit, UsageError, print_json

__all__ = ["COMMAND", "plan"]

# Bytes of an invoice, where nobody says.
_SIZE: Final = 10_000


def _add_arguments(parser: Parser) -> None:
    add_file_arguments(parser)
    parser.add_argument("--count", type=whole_number(1), metavar="N", help="how many invoices, in place of files")
    parser.add_argument(
        "--size", type=whole_number(1), metavar="BYTES", help="of each, with --count; 10,000 by default"
    )
    parser.add_argument(
        "--within", type=positive, metavar="MINUTES", help="time within which the last has to be in KSeF"
    )
    parser.add_flag("--offline", "ask nobody: go by what production grants")
    parser.add_need("--size", "--count")
    parser.add_flag("--today", "they are dated today: none is to leave after midnight in Poland")


async def plan(
    files: Sequence[Path],
    *,
    recursive: bool,
    count: int | None,
    size: int | None,
    within: float | None,
    offline: bool,
    today: bool,
    access: Access,
) -> int:
    """Say how to send invoices soonest within KSeF's limits.

    Nothing is sent. With credentials, KSeF is asked what it grants the company; without, or with --offline, it is
    what production grants everybody. The exit code is 4 where no way meets --within, or where an invoice dated today
    (--today) cannot leave before midnight, so that KSeF makes it an offline one.
    """
    from ..protocol.planning import Route
    from ..protocol.planning import plan as choose

    if bool(files) == (count is not None):
        raise UsageError("Name either files and folders, or --count.")
    found, sizes = FoundFiles(files=(), left_out=()), [size or _SIZE] * (count or 0)
    if files:
        found, sizes = await anyio.to_thread.run_sync(_sizes, files, recursive)
    if not access.json:
        tell_left_out(found)
    if not sizes:
        raise UsageError("There are no invoices in what was named.")
    deadline = within * 60 if within is not None else None
    settled = await access.settle()
    rates, limits, granted_to = PRODUCTION_LIMITS, None, None
    if settled.has_credentials and not offline:
        granted_to = settled.nip
        async with settled.client() as client:
            rates, limits = await client.limits.get_rates(), await client.limits.get_context()
    now = datetime.now(UTC) if today else None
    chosen = choose(len(sizes), sizes, rates=rates, limits=limits, deadline=deadline, now=now)
    if access.json:
        print_json(
            {
                # Whose limits these are: a company's, or those of production that hold for all.
                "limits": granted_to or "production",
                "invoices": len(sizes),
                "bytes": sum(sizes),
                "route": chosen.route.value,
                "batches": chosen.batches,
                "seconds": chosen.seconds,
                "seconds_online": chosen.seconds_online,
                "seconds_batch": chosen.seconds_batch,
                "bound_by": chosen.bound_by,
                "meets_deadline": chosen.meets_deadline,
                "online": chosen.online_invoices,
                "open_by": None if chosen.open_by is None else chosen.open_by.isoformat(),
                "late": chosen.late,
                "left_out": found.left_out_as_dicts(),
            }
        )
    else:
        how = "online" if not chosen.batches else f"in {chosen.batches:,} batch session(s)"
        if chosen.route is Route.BOTH:
            how = f"{chosen.online_invoices:,} online, the others {how}"
        ways = f"Online {_words(chosen.seconds_online)}, in batches {_words(chosen.seconds_batch)}"
        lines = [
            f"{len(sizes):,} invoices, {sum(sizes):,} bytes: {how}, about {_words(chosen.seconds)}.",
            f"By what KSeF grants {granted_to}." if granted_to else "By what production grants; KSeF was not asked.",
            f"{ways}; bound by {chosen.bound_by}.",
        ]
        if chosen.meets_deadline is False:
            lines.append("No way meets the time given.")
        if chosen.open_by is not None:
            lines.append("The batches have to be opened before midnight in Poland.")
        if chosen.late:
            lines.append(f"{chosen.late:,} cannot leave before midnight: KSeF will make them offline invoices.")
        for line in lines:
            print(line)
    if found.has_failure:
        return Exit.REJECTED
    return Exit.UNFINISHED if chosen.meets_deadline is False or chosen.late else Exit.OK


COMMAND: Final = Command(
    run=plan,
    add_arguments=_add_arguments,
    examples=("plan invoices/ --today", "plan --count 10000 --size 8000 --within 120"),
)


def _sizes(paths: Sequence[Path], recursive: bool) -> tuple[FoundFiles, list[int]]:
    found = find_files(paths, recursive=recursive)
    sizes = []
    for file in found.files:
        try:
            sizes.append(file.stat().st_size)
        except OSError as error:
            found = found.without(file, error)
    return found, sizes


def _words(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
