"""``ksef-async plan``: online or in batches, and how long it takes, before anything is sent."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from cyclopts import Parameter
from cyclopts.types import PositiveFloat, PositiveInt

from ..api.limits import PRODUCTION_LIMITS
from .access import Access
from .lookup import find_files
from .output import Exit, UsageError, console, print_json

__all__ = ["plan"]


async def plan(
    *files: Annotated[Path, Parameter(help="Invoices, or folders of them (*.xml).")],
    count: Annotated[PositiveInt | None, Parameter(help="How many invoices, in place of files.")] = None,
    size: Annotated[PositiveInt, Parameter(help="Bytes of each, with --count.")] = 10_000,
    within: Annotated[PositiveFloat | None, Parameter(help="Minutes within which the last has to be in KSeF.")] = None,
    offline: Annotated[bool, Parameter(negative="", help="Ask nobody: go by what production grants.")] = False,
    access: Access | None = None,
) -> int:
    """Say how to send invoices soonest within KSeF's limits. Nothing is sent.

    With credentials, KSeF is asked what it grants the company; without, or with --offline, it is what production
    grants everybody. The exit code is 4 where no way meets --within.
    """
    from ..protocol.planning import plan as choose

    if bool(files) == (count is not None):
        raise UsageError("Name either files and folders, or --count.")
    sizes = [size] * count if count is not None else await anyio.to_thread.run_sync(_sizes, files)
    if not sizes:
        raise UsageError("There are no invoices in what was named.")
    deadline = timedelta(minutes=within) if within is not None else None
    access = access or Access()
    settled = await access.settle()
    rates, limits, granted_to = PRODUCTION_LIMITS, None, None
    if settled.has_credentials and not offline:
        granted_to = settled.nip
        async with settled.client() as client:
            rates, limits = await client.limits.rates(), await client.limits.context()
    chosen = choose(len(sizes), sizes, rates=rates, limits=limits, deadline=deadline)
    if access.json:
        print_json(
            {
                # Whose limits these are: a company's, or those of production that hold for all.
                "limits": granted_to or "production",
                "invoices": len(sizes),
                "bytes": sum(sizes),
                "route": chosen.route.value,
                "batches": chosen.batches,
                "seconds": chosen.duration.total_seconds(),
                "seconds_online": chosen.online.total_seconds(),
                "seconds_batch": chosen.batch.total_seconds(),
                "bound_by": chosen.bound_by,
                "meets_deadline": chosen.meets_deadline,
            }
        )
    else:
        how = "online" if not chosen.batches else f"in {chosen.batches:,} batch session(s)"
        lines = [
            f"{len(sizes):,} invoices, {sum(sizes):,} bytes: {how}, about {_words(chosen.duration)}.",
            f"By what KSeF grants {granted_to}." if granted_to else "By what production grants; KSeF was not asked.",
            f"Online {_words(chosen.online)}, in batches {_words(chosen.batch)}; bound by {chosen.bound_by}.",
        ]
        if chosen.meets_deadline is False:
            lines.append("No way meets the time given.")
        for line in lines:
            console().print(line, markup=False)
    return Exit.UNFINISHED if chosen.meets_deadline is False else Exit.OK


def _sizes(paths: tuple[Path, ...]) -> list[int]:
    return [path.stat().st_size for path in find_files(paths)]


def _words(duration: timedelta) -> str:
    minutes = duration.total_seconds() / 60
    if minutes < 1:
        return f"{duration.total_seconds():.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
