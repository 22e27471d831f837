"""The way to KSeF: names, proxy, TLS, clocks, the version of the API, and what the Ministry announces.

Each of these asks by itself, on a connection of its own, so that one that fails hides none of the others.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit

import attrs
from cryptography import x509

from ...api.environment import Environment
from ...api.keys import LIST_PUBLIC_KEYS
from ...api.latarnia import LatarniaStatus
from ...calling.caller import Caller
from ...calling.networks import Proxies, Proxy, tls_context
from ...calling.transport import Transport
from ...protocol.messages import RawRequest, RawResponse
from ...protocol.pacing import Pacer
from ...protocol.retry import RetryPolicy
from ...resources.latarnia import Latarnia
from .checking import CheckResult, failed, ok, skipped, warning

__all__ = ["API_VERSION", "ONCE", "Way"]

API_VERSION: Final = "2.9.0"
"""The version of KSeF's API that the library follows."""

ONCE: Final = RetryPolicy(attempts=1, patience=0)
"""A doctor asks once: what a program would get over by asking again is what it is to report."""

T = TypeVar("T")

# Seconds by which two clocks may differ.
_SMALL_SKEW: Final = 30
_LARGE_SKEW: Final = 300
_LARGEST_HEAD: Final = 16_000
_API_VERSION: Final = re.compile(rb"Wersja API:[* ]*(\d+\.\d+(?:\.\d+)?)")
_PROXY_ADVICE: Final = "Name the proxy with --proxy or KSEF_PROXY (HTTPS_PROXY counts, too), or ask who runs it."


@attrs.define(kw_only=True)
class Way:
    """The checks of the way to one environment."""

    environment: Environment
    transport: Transport
    """That of the client: what works here works there."""
    proxy_setting: str | None = attrs.field(repr=False)
    """As for `Proxies.choose`."""
    ca_file: str | None
    _seen: list[tuple[str | None, datetime]] = attrs.field(factory=list, init=False)
    # KSeF's time as its answer tells it, and this machine's.

    @property
    def _url(self) -> str:
        return self.environment.base_url

    @property
    def _port(self) -> int:
        parts = urlsplit(self._url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    def _proxy(self) -> Proxy | None:
        return Proxies.choose(self.proxy_setting, os.environ).for_url(self._url)

    async def check_names(self) -> CheckResult:
        """Look KSeF's host up."""
        host = self.environment.host
        with suppress(ValueError):
            return ok(f"{ipaddress.ip_address(host.strip('[]'))} is an address, no name.")
        proxy = self._proxy()
        try:
            found = await _in_daemon_thread(lambda: socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM))
        except OSError as error:
            if proxy is not None:
                return ok(f"{host} is unknown here; the proxy {proxy.name} looks it up.")
            return failed(
                f"{host} cannot be looked up: {_reason(error)}.",
                "Check the name (KSEF_ENV) and this machine's DNS; in a company's network a proxy may be needed.",
            )
        addresses = [*dict.fromkeys(str(one[4][0]) for one in found)]
        more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
        return ok(f"{host} is {', '.join(addresses[:3])}{more}.")

    async def check_proxy(self) -> CheckResult:
        """Ask the proxy, where there is one, for a connection to KSeF."""
        proxy = self._proxy()
        if proxy is None:
            return ok("None: connections go straight to KSeF.")
        source = "given" if self.proxy_setting is not None else "of HTTPS_PROXY"
        try:
            reader, writer = await self._connected_to_proxy(proxy)
        except OSError as error:
            return failed(f"The proxy {proxy.name} ({source}) cannot be reached: {_reason(error)}.", _PROXY_ADVICE)
        try:
            if urlsplit(self._url).scheme == "http":
                return ok(f"{proxy.name} ({source}) can be reached; plain http is handed to it.")
            status = await self._tunnelled(reader, writer, proxy)
        finally:
            writer.close()
        if status == 407:
            wish = "asks for a user name and a password" if proxy.authorization is None else "refuses them"
            return failed(
                f"The proxy {proxy.name} ({source}) {wish} (HTTP 407).",
                "Write them into KSEF_PROXY: http://user:password@host:port, with special characters as %XX.",
            )
        if status != 200:
            answer = f"HTTP {status}" if status else "no answer of HTTP"
            return failed(
                f"The proxy {proxy.name} ({source}) does not let through to {self.environment.host}: {answer}.",
                f"Ask who runs it to allow {self.environment.host}, port {self._port}.",
            )
        return ok(f"{proxy.name} ({source}) lets through to {self.environment.host}.")

    async def check_tls(self) -> CheckResult:
        """Connect, by TLS where the address asks for it, and look at who vouches for the other side."""
        if urlsplit(self._url).scheme == "http":
            _, writer = await self._connected(None)
            writer.close()
            return ok(f"Port {self._port} answers, without TLS: plain http to this machine or a network of your own.")
        context = tls_context(None, self.ca_file) or ssl.create_default_context()
        try:
            _, writer = await self._connected(context)
        except ssl.SSLCertVerificationError as error:
            return failed(
                f"The certificate is not trusted: {error.verify_message}.{await self._issuer()}", _trust(error)
            )
        except ssl.SSLError as error:
            return failed(
                f"No TLS: {error.reason or type(error).__name__}.",
                "Something on the way does not speak TLS, or only an obsolete version: ask who runs the network.",
            )
        except OSError as error:
            return failed(
                f"Port {self._port} of {self.environment.host} cannot be reached: {_reason(error)}.",
                "Check KSEF_ENV, and whether a firewall or a missing proxy stands in between.",
            )
        try:
            tls = writer.get_extra_info("ssl_object")
            certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
            until, version = certificate.not_valid_after_utc, tls.version()
        finally:
            writer.close()
        trusted = f", trusted by {self.ca_file}" if self.ca_file else ""
        return ok(f"{version}; the certificate is of {_name(certificate.issuer)}, until {until:%Y-%m-%d}{trusted}.")

    async def send(self, request: RawRequest, /) -> RawResponse:
        """Send a request as the client does, and take note of the clocks."""
        asked = datetime.now(UTC)
        response = await self.transport.send(request)
        self._seen.append((response.headers.get("date"), asked + (datetime.now(UTC) - asked) / 2))
        return response

    async def check_answer(self) -> CheckResult:
        """Ask KSeF for its public keys, which needs no login."""
        keys = await Caller(self.environment, self, retry=ONCE, pacer=Pacer.unlimited()).call(LIST_PUBLIC_KEYS)
        ends = [key.valid_to for key in keys if key.valid_to is not None]
        until = f", the last until {max(ends):%Y-%m-%d}" if ends else ""
        return ok(f"It answers, and has {len(keys)} public keys{until}.")

    async def check_clock(self) -> CheckResult:
        """Compare this machine's clock with KSeF's, which every answer tells."""
        if not self._seen:
            return skipped("KSeF's clock is not known: it did not answer.")
        return _compare_clocks(*self._seen[-1])

    async def check_version(self) -> CheckResult:
        """Compare the version of the API with the one that this library follows.

        Source: the documentation of each environment lies under /docs/v2 (srodowiska.md); that its specification is
        openapi.json there is inferred.
        """
        parts = urlsplit(self._url)
        url = f"{parts.scheme}://{parts.netloc}/docs/v2/openapi.json"
        response = await self.transport.send(
            RawRequest(operation="api_version", method="GET", url=url, headers={"Accept": "application/json"})
        )
        found = _API_VERSION.search(response.body[:100_000]) if response.status == 200 else None
        if found is None:
            return warning(
                f"KSeF does not tell its version (HTTP {response.status} at /docs/v2/openapi.json); this library "
                f"follows {API_VERSION}, and reads the answers of every version since 2.1.1."
            )
        version = found[1].decode()
        theirs, ours = ([*map(int, text.split("."))] for text in (version, API_VERSION))
        if theirs[0] != ours[0]:
            return failed(f"KSeF speaks {version}; this library follows {API_VERSION}.", "Update ksef_async.")
        if theirs[:2] > ours[:2]:
            return warning(
                f"KSeF speaks {version}, newer than {API_VERSION}, which this library follows; what is new is ignored.",
                "Look for a newer ksef_async.",
            )
        age = "" if theirs[:2] == ours[:2] else f", older than {API_VERSION}, whose answers are read as well"
        return ok(f"KSeF speaks {version}{age}.")

    async def check_latarnia(self) -> CheckResult:
        """Ask what the Ministry announces; advice, so that nothing of it fails."""
        address = self.environment.latarnia_url
        dummy = " On TEST and DEMO it means nothing." if self.environment.has_dummy_latarnia else ""
        try:
            report = await Latarnia(self.environment, self.transport).status()
        except Exception as error:  # noqa: BLE001 - that Latarnia cannot be asked stops nothing
            return warning(f"{address} cannot be asked: {error}", "Nothing depends on it; look at the Ministry's page.")
        if report.status == LatarniaStatus.AVAILABLE:
            return ok(f"{report.status}, by {address}.{dummy}")
        return warning(f"{report.status}, by {address}.{dummy}", "See `ksef-async latarnia`." if not dummy else "")

    # --- connections --------------------------------------------------------------------------------------

    async def _connected(self, context: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to KSeF as the client does: through the proxy where there is one."""
        host, proxy = self.environment.host, self._proxy()
        if proxy is None:
            return await asyncio.open_connection(host, self._port, ssl=context)
        reader, writer = await self._connected_to_proxy(proxy)
        try:
            if context is not None:
                status = await self._tunnelled(reader, writer, proxy)
                if status != 200:
                    raise ConnectionRefusedError(0, f"the proxy {proxy.name} does not let through, see above")
                await writer.start_tls(context, server_hostname=host)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _connected_to_proxy(self, proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(proxy.url)
        context = (tls_context(None, self.ca_file) or ssl.create_default_context()) if parts.scheme == "https" else None
        return await asyncio.open_connection(parts.hostname, parts.port, ssl=context)

    async def _tunnelled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, proxy: Proxy) -> int:
        """Ask a proxy for a connection to KSeF; return the HTTP status, 0 for what is no answer of HTTP."""
        target = f"{self.environment.host}:{self._port}"
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        if proxy.authorization is not None:
            head += f"Proxy-Authorization: {proxy.authorization}\r\n"
        writer.write(f"{head}\r\n".encode("ascii"))
        await writer.drain()
        answer = b""
        while b"\r\n\r\n" not in answer and len(answer) < _LARGEST_HEAD:
            if not (byte := await reader.read(1)):
                break
            answer += byte
        match = re.match(rb"HTTP/1\.[01] (\d{3})", answer)
        return int(match[1]) if match else 0

    async def _issuer(self) -> str:
        """Return who vouches for the other side, for a certificate that is not trusted; asks without trust."""
        context = ssl.create_default_context()
        # Nothing is sent over it: it only tells whose certificate it is.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            _, writer = await self._connected(context)
        except OSError:
            return ""
        data = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        certificate = x509.load_der_x509_certificate(data)
        return f" It is of {_name(certificate.issuer)}, for {_name(certificate.subject)}."


def _compare_clocks(date: str | None, here: datetime) -> CheckResult:
    try:
        theirs = parsedate_to_datetime(date or "")
        # The header tells whole seconds, cut off.
        ahead = (here - theirs.astimezone(UTC)).total_seconds() - 0.5
    except (ValueError, OverflowError):
        return warning("KSeF's answer does not tell the time.")
    if abs(ahead) <= _SMALL_SKEW:
        return ok(f"This machine's clock is {_words(ahead)} KSeF's.")
    text = f"This machine's clock is {_words(ahead)} KSeF's ({theirs:%Y-%m-%d %H:%M:%S} UTC)."
    advice = (
        "Set the clock (NTP). The library goes by KSeF's for logins and limits; dates of issue, TLS and this report go "
        "by the machine's."
    )
    return failed(text, advice) if abs(ahead) > _LARGE_SKEW else warning(text, advice)


def _words(ahead: float) -> str:
    amount = abs(ahead)
    if amount < 2:
        return "in step with"
    shown = (
        f"{amount:.0f} s"
        if amount < 600
        else f"{amount / 60:,.0f} min"
        if amount < 36_000
        else f"{amount / 3600:,.0f} h"
    )
    return f"{shown} {'ahead of' if ahead > 0 else 'behind'}"


def _trust(error: ssl.SSLCertVerificationError) -> str:
    # OpenSSL's numbers: not yet valid, expired; and the wrong host.
    if error.verify_code in (9, 10):
        return "Compare this machine's date with the certificate's: one of them is wrong."
    if error.verify_code in (62, 64):
        return "Check KSEF_ENV: the certificate is for another name."
    return "Where a proxy or a firewall opens TLS, name its authority (PEM) with --ca-file or KSEF_CA_FILE."


def _name(name: x509.Name) -> str:
    attributes = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME) or [*name]
    return str(attributes[0].value) if attributes else "nobody"


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__


async def _in_daemon_thread(function: Callable[[], T]) -> T:
    """Return what ``function`` returns; where it hangs, neither this nor the end of the process waits for it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(act: Callable[[], None]) -> None:
        # The loop may be closed, and nobody may wait any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if future.done() else act())

    def work() -> None:
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            settle(lambda error=error: future.set_exception(error))  # type: ignore[misc]  # bound early
        else:
            settle(lambda: future.set_result(result))

    threading.Thread(target=work, name="doctor", daemon=True).start()
    return await future
