"""The client: one environment, one identity, one connection pool."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, TypeVar, Unpack

import anyio

from .api.environment import Environment
from .api.operation import Operation, RateGroup
from .api.rates import RateLimit, RateLimits
from .auth.access import AccessTokens
from .auth.credentials import Credentials, checked_credentials
from .auth.ending import EXPIRY_NOTICE
from .auth.variables import Variables
from .calling.caller import Caller
from .calling.events import CredentialsEnding, Event, Hook, LimitsUnknown
from .calling.finishing import finish
from .calling.keys import PublicKeys
from .calling.opened import Opened
from .calling.polling import Cadence
from .calling.transport import AiohttpTransport, Transport
from .errors import ApiError, KsefError, LocalProtocolError, RemoteProtocolError, TransportError, WaitTimeoutError
from .protocol.pacing import Pacer
from .protocol.requests import Query
from .protocol.retry import RetryPolicy
from .sessions.manager import SessionManager

if TYPE_CHECKING:
    import ssl

    import aiohttp

    from .downloads.manager import Downloads
    from .protocol.availability import Availability
    from .resources.auth_sessions import AuthSessions
    from .resources.certificates import Certificates
    from .resources.collective_identifiers import CollectiveIdentifiers
    from .resources.invoices import Invoices
    from .resources.latarnia import Latarnia
    from .resources.limits import Limits
    from .resources.peppol import Peppol
    from .resources.permissions import Permissions
    from .resources.testdata import TestData
    from .resources.tokens import Tokens

__all__ = ["ClientOptions", "KsefClient", "Pacing"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")

REVOKE_TIMEOUT: Final = 5.0
"""Seconds that leaving the client may take to revoke its login, and to close its connections."""


class Pacing:
    """The rest of KSeF's rate limits for this client.

    A client counts its own calls. KSeF counts all that come from its address on behalf of its context: another
    process beside it shows only as an answer of 429.
    """

    def __init__(self, api: Caller) -> None:
        self._pacer = api.pacer
        self._api = api

    def remaining(self, group: RateGroup | str) -> RateLimit:
        """Return the number of calls of ``group``, e.g. ``"invoiceSend"``, left in each window; -1 for any number.

        Raises:
            LocalProtocolError: There is no such group.
        """
        return self._pacer.remaining(_rate_group(group), anyio.current_time())

    def starts_within(self, operation: Operation[Any, Any], seconds: float, *, most: int) -> int:
        """Return how many calls of an operation, up to ``most``, can still start within ``seconds``; none is taken.

        What waits for its turn already comes first: e.g. how many invoices can still go online before midnight.
        """
        now = anyio.current_time()
        return self._pacer.starts_before(operation, now, now + seconds, most=most)

    def history(self) -> dict[str, list[float]]:
        """Return the calls that count, in seconds before now, by group: for `remember` in another process."""
        return self._pacer.history(anyio.current_time())

    def remember(self, history: Mapping[str, Iterable[float]]) -> None:
        """Count the calls that another process made before for the same context: its `history`, aged by now.

        Raises:
            LocalProtocolError: There is a group in it that KSeF does not count.
        """
        for group in history:
            # Operations that are counted one by one have their names behind that of the group.
            _rate_group(group.partition(":")[0])
        self._pacer.remember(history, anyio.current_time())

    async def adopt_limits(self) -> RateLimits:
        """Ask KSeF what it grants this context, keep to that from now on, and return it.

        A group that KSeF does not tell, or not in a usable way, is paced by what production grants (the event
        `AnswerIncomplete` says which). Where KSeF cannot be asked, the limits stay as they are, which the event
        `LimitsUnknown` tells: this never ends a program that could go on.

        Raises:
            LoginFailedError: KSeF refused the login.
            ApiError: KSeF refused the login at once.
            RemoteProtocolError: KSeF's answers to the login cannot be read.

        Source: GET /rate-limits.
        """
        from .api.limits import GET_RATE_LIMITS

        try:
            self._pacer.adopt(await self._api.call(GET_RATE_LIMITS))
        except (TransportError, ApiError, RemoteProtocolError) as error:
            if not isinstance(error, TransportError) and error.operation != GET_RATE_LIMITS.name:
                raise  # of the login
            self._api.report(LimitsUnknown(error=error))
        return self._pacer.limits


def _rate_group(name: str) -> RateGroup:
    try:
        return RateGroup(name)
    except ValueError:
        known = ", ".join(RateGroup)
        raise LocalProtocolError(f"Unknown rate group {name!r}; KSeF counts {known}.") from None


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of `KsefClient`, whose docstring describes them."""

    http_session: aiohttp.ClientSession | None
    transport: Transport | None
    connect_timeout: float
    answer_timeout: float
    retry: RetryPolicy | None
    pacer: Pacer | None
    hook: Hook | None
    login_cadence: Cadence | None
    revoke_on_exit: bool
    proxy: str | None
    ssl_context: ssl.SSLContext | None
    ca_file: Path | str | None
    expiry_notice: float


class KsefClient(anyio.AsyncContextManagerMixin):
    """KSeF, for one company: ``async with KsefClient(Environment.TEST, KsefToken(nip=..., token=...)) as client:``.

    Logs in at the first call that needs it, and keeps the login fresh. Safe to use from many tasks of one event
    loop, inside of its block; before, after and in other loops each call is a `LocalProtocolError`. Runs on asyncio
    (aiohttp), not on trio.

    Args:
        environment: Where KSeF is; ``"TEST"``, ``"DEMO"``, ``"PRODUCTION"`` and a base URL will do.
        credentials: Who logs in, and how.
        http_session: An aiohttp session to borrow; it stays open. By default the client opens and closes its own. A
            borrowed one has its own proxy and certificates.
        transport: What sends the requests instead, e.g. one that records them; whoever brought it closes it. It has
            its own timeouts, proxy and certificates.
        connect_timeout: Connect timeout in seconds.
        answer_timeout: Seconds from then on for an answer; a large one may take as much longer as it takes at 20 kB a
            second.
        retry: How hard to try, and how long to wait for a rate limit before `RateLimitedError` is raised.
        pacer: Keeps the calls within KSeF's rate limits; those of production by default.
        hook: Called with an event for every request and every change of a session; see `calling.events`.
        login_cadence: How often to look at a login, and for how long; by default longer for a certificate, whose
            issuer KSeF asks.
        revoke_on_exit: End the login at KSeF when the client is left; otherwise it lives on for up to 7 days,
            unused.
        proxy: Address of the proxy for every request, signed links included: ``http://host:3128``, or
            ``http://user:password@host:3128``. By default what HTTPS_PROXY and NO_PROXY in the environment say (not
            for this machine; HTTP_PROXY counts for plain http, see `Environment`); empty for none at all.
        ssl_context: Decides which certificates are trusted; by default those of the system, or of SSL_CERT_FILE.
        ca_file: Certificates of authorities (PEM) that are trusted besides, such as the company's own.
        expiry_notice: Seconds before the end of the certificate, or of tokens, from which on that is told once a day,
            by the event `CredentialsEnding` and a warning in the log; by default 30 days, 0 for never.

    Raises:
        LocalProtocolError: ``environment`` or ``credentials`` is something else; production does not take the check
            digit of the NIP; ``http_session`` would send credentials of its own; ``proxy`` or ``ca_file`` cannot be
            used; or two arguments exclude each other.
    """

    sessions: SessionManager
    """Opening, following and listing sessions."""
    pacing: Pacing
    """What is left of KSeF's rate limits."""

    def __init__(
        self,
        environment: Environment | str,
        credentials: Credentials,
        *,
        http_session: aiohttp.ClientSession | None = None,
        transport: Transport | None = None,
        connect_timeout: float = 10.0,
        answer_timeout: float = 60.0,
        retry: RetryPolicy | None = None,
        pacer: Pacer | None = None,
        hook: Hook | None = None,
        login_cadence: Cadence | None = None,
        revoke_on_exit: bool = False,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        ca_file: Path | str | None = None,
        expiry_notice: float = EXPIRY_NOTICE,
    ) -> None:
        self.environment = environment = Environment.of(environment)
        self._credentials = checked_credentials(credentials, environment)
        self._own_transport = None
        if transport is None:
            transport = self._own_transport = AiohttpTransport(
                http_session,
                connect_timeout=connect_timeout,
                answer_timeout=answer_timeout,
                proxy=proxy,
                ssl_context=ssl_context,
                ca_file=ca_file,
            )
        elif (http_session, proxy, ssl_context, ca_file) != (None,) * 4:
            raise LocalProtocolError("A transport of the caller's has its own session, proxy and certificates.")
        self._transport = transport
        self._hook = hook
        self._opened = Opened("KsefClient", "client")
        caller = Caller(
            environment,
            transport,
            retry=retry,
            pacer=pacer,
            hook=hook,
            check=self._opened.check,
            nip=self._credentials.context.value,
        )
        self._keys = keys = PublicKeys(caller)
        self._tokens = AccessTokens(caller, keys, credentials, cadence=login_cadence, notice=expiry_notice)
        self._api = caller.with_bearer(self._tokens)
        self._revoke_on_exit = revoke_on_exit
        self.sessions = SessionManager(self._api, keys)
        self.pacing = Pacing(self._api)

    @classmethod
    def from_env(cls, prefix: str = "KSEF_", **options: Unpack[ClientOptions]) -> Self:
        """Return a client for the environment, company and login that environment variables name.

        ``KSEF_ENV`` is TEST, DEMO, PRODUCTION or a base URL, ``KSEF_NIP`` the company. Who logs in is a certificate
        (``KSEF_CERTIFICATE_FILE`` and ``KSEF_KEY_FILE``, or ``KSEF_PKCS12_FILE``; the password, where there is one, is
        ``KSEF_KEY_PASSWORD``), or a token (``KSEF_TOKEN``). Each of these may be the value itself, or with ``_FILE`` at
        the end of its name a file that holds it. ``KSEF_PROXY`` and ``KSEF_CA_FILE`` are for the network.

        It reads files, which with a password takes tenths of a second: call it before the event loop runs, or in a
        thread.

        Args:
            prefix: What the names of the variables begin with.
            options: The keyword arguments of `KsefClient`, such as ``hook=``, ``retry=``, ``answer_timeout=`` or
                ``revoke_on_exit=``; they win over variables.

        Raises:
            ConfigurationError: A variable is missing, or cannot be used; or the extra ``xades`` is not installed.
            LocalProtocolError: As the class.
        """
        variables = Variables.of(prefix=prefix)
        if options.get("transport") is None and options.get("http_session") is None:
            # Those have a network of their own.
            options.setdefault("proxy", variables.proxy)
            options.setdefault("ca_file", variables.ca_file)
        return cls(variables.environment, variables.credentials(), **options)

    def __repr__(self) -> str:
        return f"<KsefClient {self.environment.base_url} {self._credentials.context}>"

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        # One that was refused while it was made has no life yet.
        if (opened := getattr(self, "_opened", None)) is not None and opened.is_open:
            warn(f"{self!r} was never left: use `async with`.", ResourceWarning, source=self, stacklevel=1)

    @property
    def credentials_ending(self) -> CredentialsEnding | None:
        """The end of certificate or token, where ``expiry_notice`` has it told; None while it is far."""
        self._opened.check()
        return self._tokens.ending

    @property
    def is_open(self) -> bool:
        """True inside of the client's block, where it can be used."""
        return self._opened.is_open

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        """Open the client; at the end of the block, close its connections."""
        self._opened.begin()
        try:
            yield self
            if self._revoke_on_exit:
                await self._revoke()
        except BaseException as error:
            if self._revoke_on_exit:
                try:
                    await self._revoke()
                except KsefError as revoke_error:
                    error.add_note(f"Revoking the login failed as well: {revoke_error}")
            raise
        finally:
            self._opened.end()
            if self._own_transport is not None:
                await finish(self._own_transport.aclose(), REVOKE_TIMEOUT)

    async def _revoke(self) -> None:
        try:
            await finish(self._tokens.revoke(), REVOKE_TIMEOUT)
        except TimeoutError:
            message = f"KSeF did not confirm within {REVOKE_TIMEOUT:g} s that the login is revoked"
            raise WaitTimeoutError(message) from None

    @cached_property
    def tokens(self) -> Tokens:
        """KSeF tokens of the context: generating, listing, revoking."""
        from .resources.tokens import Tokens

        return Tokens(self._api)

    @cached_property
    def permissions(self) -> Permissions:
        """Who may do what on the context's behalf: granting, revoking, listing."""
        from .resources.permissions import Permissions

        return Permissions(self._api)

    @cached_property
    def testdata(self) -> TestData:
        """Companies, persons and permissions made up on TEST."""
        from .resources.testdata import TestData

        return TestData(self._api)

    @cached_property
    def auth_sessions(self) -> AuthSessions:
        """Logins that can still be refreshed: listing, revoking."""
        from .resources.auth_sessions import AuthSessions

        return AuthSessions(self._api)

    @cached_property
    def certificates(self) -> Certificates:
        """KSeF certificates: applying, fetching, revoking, listing."""
        from .resources.certificates import Certificates

        return Certificates(self._api)

    @cached_property
    def limits(self) -> Limits:
        """The limits that KSeF grants: read them, and override them on TEST."""
        from .resources.limits import Limits

        return Limits(self._api)

    @cached_property
    def peppol(self) -> Peppol:
        """The Peppol network as KSeF knows it."""
        from .resources.peppol import Peppol

        return Peppol(self._api)

    @cached_property
    def collective_identifiers(self) -> CollectiveIdentifiers:
        """Groups of invoices, to pay them together."""
        from .resources.collective_identifiers import CollectiveIdentifiers

        return CollectiveIdentifiers(self._api)

    @cached_property
    def invoices(self) -> Invoices:
        """Invoices one by one: fetching, and querying what is told of them."""
        from .resources.invoices import Invoices

        return Invoices(self._api)

    @cached_property
    def downloads(self) -> Downloads:
        """Invoices in packages: exporting, and going on from where one stopped."""
        from .downloads.manager import Downloads

        return Downloads(self._api, self._keys)

    @cached_property
    def latarnia(self) -> Latarnia:
        """The Ministry's announcements of KSeF's availability."""
        from .resources.latarnia import Latarnia

        return Latarnia(self.environment, self._transport, hook=self._hook, check=self._opened.check)

    async def availability(self) -> Availability:
        """Return what is known of KSeF's availability: what Latarnia says, and what this client's own calls saw.

        Advice, and nothing else: it stops no call, and never raises because Latarnia is down or wrong.

        Source: GET /status of Latarnia.
        """
        from .protocol.availability import Availability

        report, report_error = None, None
        try:
            report = await self.latarnia.status()
        except (TransportError, ApiError, RemoteProtocolError) as error:
            report_error = error
        seen, at = self._api.seen, self._api.now()

        def moment(seconds: float | None) -> datetime | None:
            return None if seconds is None else at - timedelta(seconds=anyio.current_time() - seconds)

        return Availability(
            at=at,
            report=report,
            report_error=report_error,
            is_dummy=self.environment.has_dummy_latarnia,
            answered_at=moment(seen.answered_at),
            failed_at=moment(seen.failed_at),
            failures=seen.failures,
        )

    def report(self, event: Event) -> None:
        """Log an event and call the hook, e.g. for what works with this client."""
        self._api.report(event)

    async def log_in(self) -> None:
        """Log in now rather than at the first call; does nothing while a login is good.

        Raises:
            LocalProtocolError: The client is not open, or of another event loop.
            LoginFailedError: KSeF refused; ``code`` and ``details`` say why.
            WaitTimeoutError: KSeF has not decided yet.
            CryptoError: A key or certificate cannot be used.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.
        """
        self._opened.check()
        await self._tokens.get()

    async def refresh(self) -> None:
        """Get a new access token now, so that permissions granted or revoked meanwhile count from here on.

        A call that KSeF refuses for want of a permission (403 ``missing-permissions``, or without a
        reason) does this by itself, once.

        Raises:
            LoginFailedError: The login is dead, and KSeF refused another.
            WaitTimeoutError: KSeF has not decided on another login yet.
            CryptoError: Another login is needed, and its key or certificate cannot be used.
            TransportError: A call failed.
            ApiError: A call failed.
            RemoteProtocolError: An answer does not fit the specification.

        Source: POST /auth/token/refresh; uwierzytelnianie.md ("z aktualnym zestawem uprawnień i ról").
        """
        self._opened.check()
        await self._tokens.refresh()

    async def call(
        self,
        operation: Operation[RequestT, ResponseT],
        body: RequestT | None = None,
        *,
        path: Mapping[str, str] | None = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ResponseT:
        """Call any row of `ksef_async.api.operation` directly; see `Caller.call`.

        Raises:
            LoginFailedError: KSeF refused a login that the call needed.
            LocalProtocolError: As `Caller.call`.
            TransportError: As `Caller.call`.
            ApiError: As `Caller.call`.
            RemoteProtocolError: As `Caller.call`.
        """
        return await self._api.call(operation, body, path=path, query=query, headers=headers)
