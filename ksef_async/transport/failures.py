"""What aiohttp raises, in our words: whether KSeF may have seen the request, and what can be done.

aiohttp's messages carry the address, and a signed link is a secret; so does the address of a proxy. Of its errors only
the kind and the system's reason are kept.
"""

from __future__ import annotations

import aiohttp

from ..errors import AnswerTimeoutError, ConnectError, TransportError
from .proxies import Proxy

__all__ = ["failure_of", "proxy_wants_a_password"]


def failure_of(
    error: Exception, *, operation: str, proxy: Proxy | None, was_sent: bool, answer_timeout: float
) -> TransportError:
    """Return the error to raise.

    Args:
        error: What aiohttp raised.
        operation: Name of the operation, for the message.
        proxy: What the request went through.
        was_sent: Whether anything of the request has left; True where that is not known.
        answer_timeout: Seconds that were waited for the answer.
    """
    reason = _reason(error)
    if isinstance(error, aiohttp.ClientHttpProxyError) and proxy is not None:
        if error.status == 407:
            return proxy_wants_a_password(operation, proxy)
        problem = f"the proxy {proxy.name} refuses the connection to KSeF (HTTP {error.status})"
    elif isinstance(error, aiohttp.ClientProxyConnectionError) and proxy is not None:
        problem = f"the proxy {proxy.name} cannot be reached ({reason})"
    elif isinstance(error, aiohttp.ClientConnectorCertificateError):
        problem = (
            f"KSeF cannot be reached ({reason}). Where a proxy or a firewall opens TLS, its authority has to be named: "
            "ca_file=, or the environment's SSL_CERT_FILE"
        )
    elif isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError) or not was_sent:
        through = f"through the proxy {proxy.name} " if proxy is not None else ""
        problem = f"KSeF cannot be reached {through}({reason})"
    elif isinstance(error, TimeoutError):
        return AnswerTimeoutError(
            f"{operation}: no complete answer within {answer_timeout:g} s; KSeF may have acted all the same.",
            maybe_delivered=True,
        )
    else:
        return TransportError(
            f"{operation}: the connection broke before the answer was complete ({type(error).__name__}); "
            "KSeF may have acted all the same.",
            maybe_delivered=True,
        )
    return ConnectError(f"{operation}: {problem}.", maybe_delivered=False)


def proxy_wants_a_password(operation: str, proxy: Proxy) -> ConnectError:
    """Return the error for 407."""
    wish = "asks for a user name and a password" if proxy.authorization is None else "refuses its user or password"
    return ConnectError(
        f"{operation}: the proxy {proxy.name} {wish} (HTTP 407): write them into its address, "
        "http://user:password@host:port.",
        maybe_delivered=False,
    )


def _reason(error: Exception) -> object:
    # One or the other, by the kind of error and the version of aiohttp.
    for name in ("certificate_error", "os_error"):
        if reason := getattr(error, name, None):
            return reason
    return "no connection in time" if isinstance(error, TimeoutError) else type(error).__name__
