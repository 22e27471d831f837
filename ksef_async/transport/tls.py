"""Which certificates are trusted."""

from __future__ import annotations

import ssl
from pathlib import Path

from ..errors import LocalProtocolError

__all__ = ["tls_context"]


def tls_context(ssl_context: ssl.SSLContext | None, ca_file: Path | str | None) -> ssl.SSLContext | None:
    """Return the context to connect with; None for the default, which trusts what the system trusts.

    Args:
        ssl_context: The caller's own, taken as it is.
        ca_file: Certificates of authorities (PEM) that are trusted besides the system's.

    Raises:
        LocalProtocolError: Both are given; or the file cannot be read, or holds no certificate.
    """
    if ca_file is None:
        if ssl_context is None or isinstance(ssl_context, ssl.SSLContext):
            return ssl_context
        raise LocalProtocolError(f"ssl_context is an ssl.SSLContext, not a {type(ssl_context).__name__}.")
    if ssl_context is not None:
        raise LocalProtocolError(
            "ssl_context and ca_file exclude each other: load the file into the context with load_verify_locations()."
        )
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise LocalProtocolError(f"ca_file {ca_file} holds no certificate (-----BEGIN CERTIFICATE-----).") from None
    except OSError as error:
        raise LocalProtocolError(f"ca_file {ca_file} cannot be read: {error.strerror}.") from None
    return context
