"""A KSeF in this process, on 127.0.0.1: a simulator without legal effect.

It follows the published documentation of KSeF 2.0; what is inferred is marked ``[INF]`` where it stands. It is never
softer than KSeF: it decrypts, checks hashes and states, and refuses what KSeF refuses.
"""

from __future__ import annotations

from .clock import Clock, Timings
from .faults import Fault
from .samples import sample_invoice
from .server import Sandbox

__all__ = ["Clock", "Fault", "Sandbox", "Timings", "sample_invoice"]
