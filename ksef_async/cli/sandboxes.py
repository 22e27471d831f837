"""``ksef-async sandbox`` and ``ksef-async demo``: the same as ``python -m ksef_async``, which needs no extra."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import ExistingDirectory, Port

from ..__main__ import serve
from ..api.limits import PRODUCTION_LIMITS
from ..demo import run_demo
from ..errors import LocalProtocolError
from ..protocol.numbers import is_nip
from ..sandbox import Sandbox
from ..sandbox.versions import VERSIONS
from .output import Exit, UsageError

__all__ = ["demo", "sandbox"]


async def sandbox(
    *,
    port: Annotated[Port, Parameter(help="Of 127.0.0.1; any free one by default.")] = 0,
    nip: Annotated[str | None, Parameter(help="The company that can log in; made up by default.")] = None,
    no_rate_limits: Annotated[bool, Parameter(negative="", help="Answer any number of calls.")] = False,
    public_url: Annotated[
        str | None, Parameter(help="Where clients reach it, behind a proxy; the links it gives out begin with it.")
    ] = None,
    schemas: Annotated[
        ExistingDirectory | None, Parameter(help="The Ministry's schemas (*.xsd), to validate invoices against.")
    ] = None,
    api_version: Annotated[str, Parameter(help=f"As which it answers: {', '.join(VERSIONS)}.")] = VERSIONS[-1],
    production: Annotated[
        bool, Parameter(negative="", help="Behave as production where that differs from TEST.")
    ] = False,
) -> int:
    """Serve a simulated KSeF on 127.0.0.1, with a page to look at, until interrupted.

    A simulator without legal effect. Its KSeF token is made up and printed, or taken from KSEF_SANDBOX_TOKEN.
    """
    if nip is not None and not is_nip(nip):
        raise UsageError(f"{nip!r} is not a NIP: ten digits, as KSeF's specification asks.")
    token = os.environ.get("KSEF_SANDBOX_TOKEN") or None
    try:
        served = Sandbox(
            port=port,
            nip=nip,
            token=token,
            public_url=public_url,
            rate_limits=None if no_rate_limits else PRODUCTION_LIMITS,
            schema_folder=schemas,
            api_version=api_version,
            production=production,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    try:
        await serve(served, shows_token=token is None)
    except LocalProtocolError as error:
        raise UsageError(str(error)) from error
    return Exit.OK


async def demo(*invoices: Annotated[Path, Parameter(help="FA(3); one of our own by default.")]) -> int:
    """Send invoices through one session and print the timeline: to a sandbox, or to where KSEF_ENV says."""
    await run_demo(invoices)
    return Exit.OK
