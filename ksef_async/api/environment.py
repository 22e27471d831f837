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


# Where the Ministry checks verification codes, and where it announces outages; TEST and DEMO share the latter.
_SIDE_HOSTS: Final = {
    "api-test.ksef.mf.gov.pl": ("https://qr-test.ksef.mf.gov.pl", "https://api-latarnia-test.ksef.mf.gov.pl"),
    "api-demo.ksef.mf.gov.pl": ("https://qr-demo.ksef.mf.gov.pl", "https://api-latarnia-test.ksef.mf.gov.pl"),
    "api.ksef.mf.gov.pl": ("https://qr.ksef.mf.gov.pl", "https://api-latarnia.ksef.mf.gov.pl"),
}
_VERSION: Final = re.compile(r"(?:/api)?/v[0-9]+$")


def _without_slash(url: str) -> str:
    return url.strip().rstrip("/")


def _qr_url(environment: Environment) -> str:
    known = _SIDE_HOSTS.get(environment.host)
    return known[0] if known else _VERSION.sub("", environment.base_url)


def _latarnia_url(environment: Environment) -> str:
    known = _SIDE_HOSTS.get(environment.host)
    return known[1] if known else f"{_VERSION.sub('', environment.base_url)}/latarnia"


@attrs.frozen
class Environment:
    """One KSeF installation.

    Args:
        base_url: Up to and including the version, e.g. ``https://api-test.ksef.mf.gov.pl/v2``.
            Plain ``http`` is accepted for loopback only.
        storage_hosts: Hosts besides the base URL's own from which signed links are followed.
        allow_http: Accept plain ``http`` to other machines too: tokens then cross the network unprotected,
            so only for a sandbox in a network of your own.
        qr_url: Where verification links lead; by default the Ministry's host for its own environments, and for others
            the base URL without the version, where the sandbox has its pages.
        latarnia_url: Where outages are announced (Latarnia); by default as for ``qr_url``, in the sandbox's case its
            path ``/latarnia``.

    Raises:
        LocalProtocolError: An address is not absolute, or is plain ``http`` to another machine.
    """

    base_url: str = attrs.field(converter=_without_slash)
    storage_hosts: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    allow_http: bool = attrs.field(default=False, kw_only=True)
    qr_url: str = attrs.field(
        default=attrs.Factory(_qr_url, takes_self=True), converter=_without_slash, kw_only=True, repr=False
    )
    latarnia_url: str = attrs.field(
        default=attrs.Factory(_latarnia_url, takes_self=True), converter=_without_slash, kw_only=True, repr=False
    )

    TEST: ClassVar[Environment]
    """Test data, self-signed certificates accepted, shared by all integrators."""
    DEMO: ClassVar[Environment]
    """Pre-production: real credentials, no legal effect."""
    PRODUCTION: ClassVar[Environment]
    """Invoices sent here are legally issued."""

    @classmethod
    def of(cls, value: Environment | str) -> Environment:
        """Return the environment that ``value`` is, names (TEST, DEMO, PRODUCTION, in any case) or leads to.

        Raises:
            LocalProtocolError: It is none of the names, and no base URL of KSeF with its version.
        """
        if isinstance(value, str):
            named = {"TEST": cls.TEST, "DEMO": cls.DEMO, "PRODUCTION": cls.PRODUCTION}
            if (known := named.get(value.strip().upper())) is not None:
                return known
            try:
                value = cls(value)
            except LocalProtocolError as error:
                raise LocalProtocolError(f"This names neither TEST, DEMO nor PRODUCTION. {error}") from None
        elif not isinstance(value, Environment):
            kind = type(value).__name__
            raise LocalProtocolError(f"An environment is TEST, DEMO, PRODUCTION or a base URL, and not of type {kind}.")
        if _VERSION.search(value.base_url) is None:
            raise LocalProtocolError(
                f"Base URL {value.base_url!r} does not end with the API's version, such as {value.base_url}/v2."
            )
        return value

    def __attrs_post_init__(self) -> None:
        for name, url in (("Base URL", self.base_url), ("qr_url", self.qr_url), ("latarnia_url", self.latarnia_url)):
            address = _read(url)
            if address is None:
                shown = re.sub(r"//[^/]*@", "//...@", url)
                raise LocalProtocolError(f"{name} {shown!r} is not an absolute http(s) address.")
            if not self._is_safe(*address):
                risk = "would carry tokens" if url is self.base_url else "would be read and changed by others"
                raise LocalProtocolError(f"{name} {url!r} {risk} over plain http; use https, or allow_http=True.")

    @property
    def host(self) -> str:
        """The host name of the base URL, in lower case."""
        address = _read(self.base_url)
        return address[1] if address else ""

    @property
    def is_of_the_ministry(self) -> bool:
        """True for the Ministry's own environments, by their hosts."""
        return self.host in _SIDE_HOSTS

    @property
    def has_dummy_latarnia(self) -> bool:
        """True where what Latarnia announces means nothing: on TEST and DEMO."""
        return self.latarnia_url == self.TEST.latarnia_url

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
