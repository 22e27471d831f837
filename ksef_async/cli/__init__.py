"""The command line, ``ksef-async``: needs the extra ``cli``, and ``durable`` for the journal beneath ``send``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Those of the process by default.

    Returns:
        The exit code; `exits.Exit` lists them.
    """
    try:
        from .app import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ksef_async"):
            raise
        print(f"ksef-async needs {error.name}: pip install 'ksef_async[cli]'", file=sys.stderr)
        return 2
    return run(sys.argv[1:] if arguments is None else arguments)
