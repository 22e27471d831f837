"""``ksef-async doctor``: a dated report of what works from here, on the way to KSeF and in it."""

from __future__ import annotations

from .command import COMMAND

__all__ = ["COMMAND"]
