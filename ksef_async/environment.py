"""Where KSeF is: the Ministry's three environments, or any other base URL (the sandbox).

Source: srodowiska.md; since 2026-03-16 every link KSeF hands out has the host of the environment called.
"""

from __future__ import annotations

import ipaddress
from typing import ClassVar
from urllib.parse import urlsplit

import attrs

from .errors import LocalProtocolError

__all__ = ["Environment", "is_loopback"]


def is_loopback(host: str) -> bool:
    """True when ``host`` names this machine, so that plain HTTP to it crosses no network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_slash(url: str) -> str:
    return url.rstrip("/")


@attrs.frozen
class Environment:
    """One KSeF installation.

    Args:
        base_url: Up to and including the version, e.g. ``https://api-test.ksef.mf.gov.pl/v2``.
            Plain ``http`` is accepted for loopback only.
        storage_hosts: Hosts besides the base URL's own from which signed links are followed.
        allow_http: Accept plain ``http`` to other machines too: tokens then cross the network unprotected,
            so only for a sandbox in a network of your own.

    Raises:
        LocalProtocolError: The base URL is not absolute, or is plain ``http`` to another machine.
    """

    base_url: str = attrs.field(converter=_without_slash)
    storage_hosts: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    allow_http: bool = attrs.field(default=False, kw_only=True)

    #: Test data, self-signed certificates accepted, shared by all integrators.
    TEST: ClassVar[Environment]
    #: Pre-production: real credentials, no legal effect.
    DEMO: ClassVar[Environment]
    #: Invoices sent here are legally issued.
    PRODUCTION: ClassVar[Environment]

    def __attrs_post_init__(self) -> None:
        if urlsplit(self.base_url).scheme not in ("http", "https") or not self.host:
            raise LocalProtocolError(f"Base URL {self.base_url!r} is not an absolute http(s) address.")
        if not self.accepts(self.base_url):
            raise LocalProtocolError(
                f"Base URL {self.base_url!r} would carry tokens over plain http; use https, or allow_http=True."
            )

    @property
    def host(self) -> str:
        """The host name of the base URL, in lower case."""
        return urlsplit(self.base_url).hostname or ""

    def accepts(self, url: str) -> bool:
        """True when ``url`` may be followed: this environment's own (or a named) host, by https or on loopback."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if host != self.host and host not in self.storage_hosts:
            return False
        return parts.scheme == "https" or (parts.scheme == "http" and (self.allow_http or is_loopback(host)))


Environment.TEST = Environment("https://api-test.ksef.mf.gov.pl/v2")
Environment.DEMO = Environment("https://api-demo.ksef.mf.gov.pl/v2")
Environment.PRODUCTION = Environment("https://api.ksef.mf.gov.pl/v2")
