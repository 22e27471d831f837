"""The commands of ``ksef-async``; each is a function in a file of its name."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from .. import __version__
from ..errors import KsefError
from .export import export
from .output import EXIT_CODES, Exit, ReportedError, UsageError, describe_error, print_json
from .plan import plan
from .sandboxes import demo, sandbox
from .send import send
from .status import status
from .upo import upo

__all__ = ["app", "run"]

app = App(
    name="ksef-async",
    help="Invoices to KSeF 2.0 and back: sent exactly once, resumed when interrupted.",
    help_epilogue=EXIT_CODES,
    help_format="markdown",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
for command in (send, status, upo, export, plan, sandbox, demo):
    app.command(command)


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Returns:
        The exit code.
    """
    logging.basicConfig(level=logging.ERROR)
    try:
        code = app(arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return Exit.USAGE  # cyclopts has said what is wrong
    except UsageError as error:
        return _fail(error, Exit.USAGE, in_json="--json" in arguments)
    except (KsefError, OSError) as error:
        return _fail(error, Exit.FAILED, in_json="--json" in arguments)
    except ReportedError as report:
        return _fail(report.error, Exit.FAILED, in_json=False)
    except KeyboardInterrupt:
        print("Interrupted. Run it again to go on; nothing is sent twice.", file=sys.stderr)
        return Exit.INTERRUPTED
    return code if isinstance(code, int) else Exit.OK


def _fail(error: Exception, code: Exit, *, in_json: bool) -> Exit:
    name = "" if isinstance(error, UsageError) else f"{type(error).__name__}: "
    print(f"{name}{error}", file=sys.stderr)
    if in_json:
        print_json({"error": describe_error(error)})
    return code
