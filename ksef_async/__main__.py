"""``python -m ksef_async demo`` and ``python -m ksef_async sandbox``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from .demo import run_demo
from .errors import KsefError
from .models.rates import PRODUCTION_LIMITS, RateLimits
from .protocol.ksef_number import is_nip
from .sandbox import Sandbox

__all__ = ["main", "serve"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ksef_async", description="KSeF 2.0 for asyncio.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser(
        "demo",
        help="send invoices and print the timeline",
        description="Send invoices through one session: to an embedded sandbox, or to the environment named by "
        "KSEF_ENV (TEST, DEMO, PRODUCTION or a base URL), KSEF_NIP and KSEF_TOKEN.",
    )
    demo.add_argument("invoices", nargs="*", type=Path, metavar="INVOICE.xml", help="FA(3); one of our own by default")
    sandbox = commands.add_parser(
        "sandbox",
        help="serve a simulated KSeF on 127.0.0.1 until interrupted",
        description="A simulator without legal effect. What is left out is made up and printed.",
    )
    sandbox.add_argument("--port", type=_port, default=0, help="made up by default")
    sandbox.add_argument("--nip", type=_nip, help="the company that can log in")
    sandbox.add_argument("--token", type=_token, help="its KSeF token")
    sandbox.add_argument("--no-rate-limits", action="store_true", help="answer any number of calls")
    return parser


# argparse tells what such a function raises.
def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: a number from 0 to 65535")
    return int(text)


def _nip(text: str) -> str:
    if not is_nip(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a NIP: ten digits, as KSeF's specification asks")
    return text


def _token(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("a token is not empty")
    return text


async def serve(port: int, nip: str | None, token: str | None, rate_limits: RateLimits | None) -> None:
    """Serve a sandbox until SIGINT or SIGTERM, and print what its clients need."""
    async with Sandbox(port=port, nip=nip, token=token, rate_limits=rate_limits) as sandbox:
        print(f"KSEF_ENV={sandbox.environment.base_url}")
        print(f"KSEF_NIP={sandbox.nip}")
        # The token is worth nothing outside this process; a given one is not repeated.
        print(f"KSEF_TOKEN={sandbox.token}" if token is None else "KSEF_TOKEN is the one given")
        page = sandbox.environment.base_url.removesuffix("v2")
        print(f"A simulator without legal effect; what it holds is shown at {page} Interrupt to stop.", flush=True)
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                return


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 when it succeeded, 1 when KSeF (or this library) refused, 2 for wrong arguments.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    try:
        if options.command == "demo":
            anyio.run(run_demo, options.invoices)
        else:
            rate_limits = None if options.no_rate_limits else PRODUCTION_LIMITS
            anyio.run(serve, options.port, options.nip, options.token, rate_limits)
    except (KsefError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
