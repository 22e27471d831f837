"""``python -m ksef_async``: the same program as ``ksef-async``."""

from __future__ import annotations

import sys

from .cli.start import program

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(program())
