"""Proxies from the environment, and the authorities that a TLS connection trusts."""

from __future__ import annotations

import ipaddress
import re
import ssl
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from ..api.environment import is_loopback
from ..errors import LocalProtocolError, file_problem

__all__ = ["Proxies", "Proxy", "load_authorities", "tls_context"]

_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class Proxy:
    """A proxy, with its credentials apart."""

    url: str
    """Without credentials."""
    authorization: str | None = attrs.field(default=None, repr=False)
    """Value of ``Proxy-Authorization``; None where it asks nobody who they are."""

    @property
    def name(self) -> str:
        """Host and port, for messages."""
        return self.url.partition("://")[2]

    @classmethod
    def parse(cls, text: str, source: str) -> Proxy:
        """Read ``http://user:password@host:port``; scheme, credentials and port may be missing.

        Args:
            text: The address.
            source: Where it comes from, for the error.

        Raises:
            LocalProtocolError: It is no such address; the error does not repeat it, for it may hold a password.
        """
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
            parts = urlsplit("")
        if (
            parts.scheme not in _PORTS
            or not host
            or port == 0
            or not re.fullmatch(r"[!-~]+", text)
            or parts.path not in ("", "/")
            or parts.query
            or parts.fragment
        ):
            scheme = f", not {parts.scheme}" if re.fullmatch(r"(?!https?$)[a-z0-9+.-]{1,16}", parts.scheme) else ""
            raise LocalProtocolError(
                f"{source} is not the address of an HTTP proxy{scheme}: http://host:port or "
                "http://user:password@host:port, with special characters as %XX."
            )
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + b64encode(pair.encode()).decode("ascii")
        in_brackets = f"[{host}]" if ":" in host else host
        return cls(url=f"{parts.scheme}://{in_brackets}:{port or _PORTS[parts.scheme]}", authorization=authorization)


@attrs.frozen(kw_only=True)
class Proxies:
    """The choice of a proxy for each address."""

    given: Proxy | None = None
    """For every address."""
    # What the environment says, by the scheme of the address; not checked before it is needed.
    _by_scheme: Mapping[str, str] = attrs.field(factory=dict, repr=False, alias="by_scheme")
    # Hosts for which it does not count.
    _excepted: tuple[str, ...] = attrs.field(default=(), alias="excepted")

    @classmethod
    def choose(cls, proxy: str | None, environ: Mapping[str, str]) -> Proxies:
        """Decide between the proxy given and the environment's.

        Args:
            proxy: Address of the proxy; empty for none, whatever the environment says, and None for the
                environment's.
            environ: The environment's variables.

        Raises:
            LocalProtocolError: ``proxy`` is no address of a proxy.
        """
        if proxy is not None:
            return cls(given=Proxy.parse(proxy, "proxy") if proxy else None)
        by_scheme = {scheme: value for scheme in _PORTS if (value := _variable(environ, f"{scheme}_proxy"))}
        return cls(by_scheme=by_scheme, excepted=tuple(re.split(r"[\s,]+", _variable(environ, "no_proxy"))))

    def for_url(self, url: str) -> Proxy | None:
        """Return the proxy for a request to ``url``; None for a direct connection.

        An environment's proxy does not count for this machine: a sandbox on 127.0.0.1 is out of its reach.

        Raises:
            LocalProtocolError: The environment's variable is no address of a proxy.
        """
        if self.given is not None or not self._by_scheme:
            return self.given
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
        value = self._by_scheme.get(parts.scheme)
        if not value or is_loopback(host) or any(_is_meant(entry, host, port) for entry in self._excepted):
            return None
        return Proxy.parse(value, f"{parts.scheme.upper()}_PROXY in the environment")


def _variable(environ: Mapping[str, str], name: str) -> str:
    if name in environ:
        return environ[name].strip()
    # A web server hands a request's header "Proxy" to a CGI program as HTTP_PROXY: anybody can set it (httpoxy).
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        return ""
    return environ.get(name.upper(), "").strip()


def _is_meant(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY means a host: ``*``, a domain with all below it, an address, or a network."""
    entry = entry.lower()
    if entry == "*":
        return True
    if match := re.fullmatch(r"(\[[^\]]*\]|[^:]*):(\d+)", entry):
        if int(match[2]) != port:
            return False
        entry = match[1]
    entry = entry.strip("[]")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        domain = entry.removeprefix("*").strip(".")
        return bool(domain) and (host.rstrip(".") == domain or host.rstrip(".").endswith(f".{domain}"))
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


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
    load_authorities(context, ca_file, "ca_file")
    return context


def load_authorities(context: ssl.SSLContext, ca_file: Path | str, source: str) -> None:
    """Have a context trust the authorities of a file, too.

    Args:
        context: To connect with.
        ca_file: Certificates of authorities (PEM).
        source: Where its path comes from, for the error.

    Raises:
        LocalProtocolError: The file cannot be read, or holds no certificate.
    """
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise LocalProtocolError(f"{source} {ca_file} holds no certificate (-----BEGIN CERTIFICATE-----).") from None
    except OSError as error:
        raise LocalProtocolError(f"{source} {ca_file} cannot be read: {file_problem(error)}.") from None
