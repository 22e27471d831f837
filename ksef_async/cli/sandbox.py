"""``ksef-async sandbox``: a simulated KSeF for clients in any language."""

from __future__ import annotations

import argparse
import errno
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import anyio

from ..api.rates import PRODUCTION_LIMITS
from ..sandbox import Sandbox
from ..sandbox.server import checked_url
from ..sandbox.versions import VERSIONS, ApiVersion
from .arguments import Command, Parser, folder, nip, whole_number
from .output import Exit, UsageError

__all__ = ["COMMAND", "sandbox"]


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("--port", type=whole_number(0, 65_535), default=0, help="of 127.0.0.1; any free one by default")
    parser.add_argument("--nip", type=nip, help="the company that can log in; made up by default")
    parser.add_argument(
        "--token",
        type=_token,
        default=os.environ.get("KSEF_SANDBOX_TOKEN") or None,
        help="its KSeF token; by default KSEF_SANDBOX_TOKEN, or made up and printed",
    )
    parser.add_flag("--no-rate-limits", "answer any number of calls")
    parser.add_argument(
        "--public-url",
        type=_url,
        metavar="URL",
        help="where clients reach it, behind a proxy; the links it gives out begin with it",
    )
    parser.add_argument(
        "--schemas", type=folder, metavar="FOLDER", help="the Ministry's schemas (*.xsd), to validate invoices against"
    )
    parser.add_flag("--lax", "take invoices of the wrong shape, which KSeF refuses")
    parser.add_argument(
        "--api-version",
        type=_version,
        choices=VERSIONS,
        metavar="VERSION",
        default=VERSIONS[-1],
        help=f"as which it answers: {', '.join(VERSIONS)}",
    )
    parser.add_flag("--production", "behave as production where that differs from TEST")


# argparse prints what such a function raises.
def _token(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a token is not empty")
    return text


def _url(text: str) -> str:
    try:
        return checked_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _version(text: str) -> str:
    try:
        return str(ApiVersion.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def sandbox(
    *,
    port: int,
    nip: str | None,
    token: str | None,
    no_rate_limits: bool,
    public_url: str | None,
    schemas: Path | None,
    lax: bool,
    api_version: str,
    production: bool,
) -> int:
    """Serve a simulated KSeF on 127.0.0.1, with a page to look at.

    A simulator without legal effect, which runs until it is interrupted. What its clients need is printed.
    """
    served = Sandbox(
        port=port,
        nip=nip,
        token=token,
        public_url=public_url,
        rate_limits=None if no_rate_limits else PRODUCTION_LIMITS,
        strict=not lax,
        schema_folder=schemas,
        api_version=api_version,
        production=production,
    )
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(served)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise UsageError(f"Port {port} of 127.0.0.1 is in use: name another one, or leave --port out.") from error
        except (ModuleNotFoundError, ValueError) as error:
            raise UsageError(f"The schemas cannot be used: {error}") from error
        public_url = served.world.public_url
        print(f"KSEF_ENV={public_url}/v2")
        print(f"KSEF_NIP={served.nip}")
        # The token is worth nothing outside this process. One that was given is not repeated.
        print(f"KSEF_TOKEN={served.token}" if token is None else "KSEF_TOKEN is the one given")
        if not served.environment.base_url.startswith(public_url):
            print(f"It listens at {served.environment.base_url}")
        print(
            f"A simulator of KSeF {served.world.version} without legal effect; what it holds is shown at "
            f"{public_url}/ Interrupt to stop.",
            flush=True,
        )
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                break
    return Exit.OK


COMMAND: Final = Command(
    run=sandbox,
    add_arguments=_add_arguments,
    examples=("sandbox --port 8080", "sandbox --api-version 2.6 --no-rate-limits"),
    access=(),
)
