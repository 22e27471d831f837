"""``ksef-async sandbox`` and ``ksef-async demo``: the same as ``python -m ksef_async``, which needs no extra."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import Port

from ..__main__ import serve
from ..demo import run_demo
from ..models.rates import PRODUCTION_LIMITS
from ..protocol.ksef_number import is_nip
from .exits import Exit, UsageError

__all__ = ["demo", "sandbox"]


async def sandbox(
    *,
    port: Annotated[Port, Parameter(help="Of 127.0.0.1; any free one by default.")] = 0,
    nip: Annotated[str | None, Parameter(help="The company that can log in; made up by default.")] = None,
    no_rate_limits: Annotated[bool, Parameter(negative="", help="Answer any number of calls.")] = False,
) -> int:
    """Serve a simulated KSeF on 127.0.0.1, with a page to look at, until interrupted.

    A simulator without legal effect. Its KSeF token is made up and printed, or taken from KSEF_SANDBOX_TOKEN.
    """
    if nip is not None and not is_nip(nip):
        raise UsageError(f"{nip!r} is not a NIP: ten digits, as KSeF's specification asks.")
    token = os.environ.get("KSEF_SANDBOX_TOKEN") or None
    await serve(port, nip, token, None if no_rate_limits else PRODUCTION_LIMITS)
    return Exit.OK


async def demo(*invoices: Annotated[Path, Parameter(help="FA(3); one of our own by default.")]) -> int:
    """Send invoices through one session and print the timeline: to a sandbox, or to where KSEF_ENV says."""
    await run_demo(invoices)
    return Exit.OK
