"""``python -m ksef_async demo`` and ``python -m ksef_async sandbox``."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio

from .api.limits import PRODUCTION_LIMITS
from .demo import run_demo
from .errors import KsefError, LocalProtocolError
from .protocol.numbers import is_nip
from .sandbox import Sandbox
from .sandbox.server import checked_url
from .sandbox.versions import VERSIONS, ApiVersion

__all__ = ["main", "serve"]

_KNOWN = ", ".join(VERSIONS)


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
    sandbox.add_argument("--public-url", type=_url, help="where clients reach it, behind a proxy; links begin with it")
    sandbox.add_argument(
        "--schemas", type=_folder, metavar="FOLDER", help="the Ministry's *.xsd, to validate invoices against"
    )
    sandbox.add_argument("--api-version", type=_version, default=VERSIONS[-1], help=f"as which it answers: {_KNOWN}")
    sandbox.add_argument("--production", action="store_true", help="behave as production where it differs from TEST")
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


def _url(text: str) -> str:
    try:
        return checked_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _folder(text: str) -> Path:
    if not (folder := Path(text)).is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is not a folder")
    return folder


def _version(text: str) -> str:
    try:
        return str(ApiVersion.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


async def serve(sandbox: Sandbox, *, shows_token: bool) -> None:
    """Serve a sandbox until SIGINT or SIGTERM, and print what its clients need.

    Args:
        sandbox: Not yet entered.
        shows_token: Whether to print its KSeF token; one that was given is not repeated.

    Raises:
        LocalProtocolError: The folder of schemas cannot be used.
    """
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(sandbox)
        except (ModuleNotFoundError, ValueError) as error:
            hint = " (install the extra `xsd`)" if isinstance(error, ModuleNotFoundError) else ""
            raise LocalProtocolError(f"The schemas cannot be used: {error}{hint}") from error
        public_url = sandbox.world.public_url
        print(f"KSEF_ENV={public_url}/v2")
        print(f"KSEF_NIP={sandbox.nip}")
        # The token is worth nothing outside this process.
        print(f"KSEF_TOKEN={sandbox.token}" if shows_token else "KSEF_TOKEN is the one given")
        if not sandbox.environment.base_url.startswith(public_url):
            print(f"It listens at {sandbox.environment.base_url}")
        print(
            f"A simulator of KSeF {sandbox.world.version} without legal effect; what it holds is shown at "
            f"{public_url}/ Interrupt to stop.",
            flush=True,
        )
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
            sandbox = Sandbox(
                port=options.port,
                nip=options.nip,
                token=options.token,
                public_url=options.public_url,
                rate_limits=None if options.no_rate_limits else PRODUCTION_LIMITS,
                schema_folder=options.schemas,
                api_version=options.api_version,
                production=options.production,
            )
            anyio.run(partial(serve, sandbox, shows_token=options.token is None))
    except (KsefError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
