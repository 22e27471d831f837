"""Where KSeF is: the Ministry's three environments, or any other base URL (the sandbox).

Source: srodowiska.md; since 2026-03-16 every link KSeF hands out has the host of the environment called.
"""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar, Final

import attrs

from ..errors import LocalProtocolError

__all__ = ["Environment", "is_loopback"]


# What RFC 3986 allows, without userinfo and fragment. Nothing else is followed: parsers disagree about the rest, and a
# host that one of them reads and another does not is how a link leads elsewhere.
_ADDRESS: Final = re.compile(
    r"(?P<scheme>https?)://(?:(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)|\[(?P<ip6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?:[/?](?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?",
    re.IGNORECASE | re.ASCII,
)


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

    TEST: ClassVar[Environment]
    """Test data, self-signed certificates accepted, shared by all integrators."""
    DEMO: ClassVar[Environment]
    """Pre-production: real credentials, no legal effect."""
    PRODUCTION: ClassVar[Environment]
    """Invoices sent here are legally issued."""

    def __attrs_post_init__(self) -> None:
        address = _read(self.base_url)
        if address is None:
            shown = re.sub(r"//[^/]*@", "//...@", self.base_url)
            raise LocalProtocolError(f"Base URL {shown!r} is not an absolute http(s) address.")
        if not self._is_safe(*address):
            raise LocalProtocolError(
                f"Base URL {self.base_url!r} would carry tokens over plain http; use https, or allow_http=True."
            )

    @property
    def host(self) -> str:
        """The host name of the base URL, in lower case."""
        address = _read(self.base_url)
        return address[1] if address else ""

    def accepts(self, url: str) -> bool:
        """Return whether ``url`` may be followed: this environment's own (or a named) host, by https or on loopback.

        Whatever is no plain address of RFC 3986 is not followed: user names, backslashes, blanks, ports beyond 65535.
        """
        address = _read(url)
        if address is None:
            return False
        scheme, host = address
        return host in {self.host, *map(str.lower, self.storage_hosts)} and self._is_safe(scheme, host)

    def _is_safe(self, scheme: str, host: str) -> bool:
        return scheme == "https" or self.allow_http or is_loopback(host)


def _read(url: str) -> tuple[str, str] | None:
    """Return scheme and host of an address, in lower case; None for what is none."""
    match = _ADDRESS.fullmatch(url)
    if match is None or int(match["port"] or 1) not in range(1, 65536):
        return None
    if match["ip6"] is not None:
        try:
            ipaddress.IPv6Address(match["ip6"])
        except ValueError:
            return None
    return match["scheme"].lower(), (match["name"] or match["ip6"]).lower()


Environment.TEST = Environment("https://api-test.ksef.mf.gov.pl/v2")
Environment.DEMO = Environment("https://api-demo.ksef.mf.gov.pl/v2")
Environment.PRODUCTION = Environment("https://api.ksef.mf.gov.pl/v2")
