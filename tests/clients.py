"""Clients for tests: they neither pace their calls nor pause long before they try again, unless a test says so."""

from __future__ import annotations

from typing import Any

from ksef_async import KsefClient, KsefToken
from ksef_async.protocol.pacing import Pacer
from ksef_async.protocol.retry import RetryPolicy
from ksef_async.sandbox import Sandbox

QUICK = RetryPolicy(first_pause=0.01, longest_pause=0.05)
ONCE = RetryPolicy(attempts=1)


def connected(sandbox: Sandbox, **options: Any) -> KsefClient:
    """A client of the sandbox's first company; ``options`` are those of `KsefClient`."""
    credentials = KsefToken(nip=sandbox.nip, token=sandbox.token)
    return KsefClient(sandbox.environment, credentials, **{"pacer": Pacer.unlimited(), "retry": QUICK, **options})
