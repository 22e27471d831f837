"""The only place that touches a socket: a request goes out, a complete answer comes back.

Every failure of aiohttp becomes a `TransportError` that says whether KSeF may have seen the request.
"""

from __future__ import annotations

from .pool import AiohttpTransport, Transport
from .tls import tls_context

__all__ = ["AiohttpTransport", "Transport", "tls_context"]
