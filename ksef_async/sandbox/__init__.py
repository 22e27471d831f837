"""A KSeF in this process, on 127.0.0.1: a simulator without legal effect.

It follows the published documentation of KSeF 2.0, and what is publicly reported of the real one; where sources
conflict, the Ministry's own executable tests win. What is inferred is marked ``[INF]`` where it stands. It is never
softer than KSeF: it decrypts, checks hashes and states, and refuses what KSeF refuses. It plays older versions of the
API, production, and whatever goes wrong: see `versions`, `Sandbox` and `faults`.
"""

from __future__ import annotations

from ..protocol.numbers import make_up_nip
from .clock import Clock, Timings
from .faults import Fault
from .samples import sample_invoice
from .server import Sandbox

__all__ = ["Clock", "Fault", "Sandbox", "Timings", "make_up_nip", "sample_invoice"]
