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
from .sandbox import Sandbox

__all__ = ["main"]


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
    sandbox.add_argument("--port", type=int, default=0, help="made up by default")
    sandbox.add_argument("--nip", help="the company that can log in")
    sandbox.add_argument("--token", help="its KSeF token")
    return parser


async def _serve(port: int, nip: str | None, token: str | None) -> None:
    async with Sandbox(port=port, nip=nip, token=token) as sandbox:
        print(f"KSEF_ENV={sandbox.environment.base_url}")
        print(f"KSEF_NIP={sandbox.nip}")
        # The token is worth nothing outside this process; a given one is not repeated.
        print(f"KSEF_TOKEN={sandbox.token}" if token is None else "KSEF_TOKEN is the one given")
        print("A simulator without legal effect. Interrupt to stop.", flush=True)
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
            anyio.run(_serve, options.port, options.nip, options.token)
    except (KsefError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
