"""The service: a client for each company, one journal for all, and how handlers come by them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Self, TypedDict, Unpack

from fastapi import Depends, FastAPI, HTTPException
from starlette.requests import HTTPConnection

from ..api.environment import Environment
from ..auth.credentials import Credentials
from ..auth.offline_signing import OfflineSigner
from ..auth.variables import Variables
from ..calling.networks import tls_context
from ..client import KsefClient
from ..errors import ConfigurationError
from ..protocol.pacing import AddressBudget, Pacer
from ..submissions import Engine, Settings, Submissions

__all__ = ["KsefClientDep", "KsefService", "ServiceOptions", "SubmissionsDep", "client_for", "journal_of", "service_of"]


class ServiceOptions(TypedDict, total=False):
    """The keyword arguments of `KsefService` that environment variables do not give; its docstring describes them."""

    engine: Engine | None
    settings: Settings | None
    signers: Mapping[str, OfflineSigner] | None
    deliver: bool
    stream_lifetime: float
    ssl_context: ssl.SSLContext | None
    client_options: Mapping[str, Any] | None


class KsefService:
    """KSeF for the companies of one service: a client for each, and one journal for all.

    Args:
        environment: Where KSeF is, as for `KsefClient`.
        companies: Who logs in, by NIP. A login is made at the first call that needs it.
        journal: SQLAlchemy's async URL, see `Submissions`.
        keys: Fernet keys for what the journal stores, the newest first.
        engine: Distributes the work among processes; see `Submissions`.
        settings: How the work is done.
        signers: Who signs KOD II of invoices issued offline, by NIP; a company without one issues none while its
            customer waits.
        deliver: Deliver in this process; False where a worker does, with the same journal. Deadlines of invoices issued
            offline are reported either way.
        stream_lifetime: Seconds after which an event stream ends; a browser opens it again by itself. Servers wait for
            open streams when they stop, for so long at most.
        proxy: Address of the proxy for all clients; by default the environment's, see `KsefClient`.
        ssl_context: Decides which certificates they trust.
        ca_file: Certificates of authorities (PEM) that they trust besides the system's.
        client_options: For every `KsefClient`: ``hook=``, ``retry=``, ``answer_timeout=``, ... By default each has
            a pacer of its own, and all share what KSeF grants their address.

    Raises:
        LocalProtocolError: An argument cannot be used, or not beside another; see `KsefClient`.
    """

    def __init__(
        self,
        environment: Environment | str,
        companies: Mapping[str, Credentials],
        *,
        journal: str,
        keys: Sequence[bytes | str] = (),
        engine: Engine | None = None,
        settings: Settings | None = None,
        signers: Mapping[str, OfflineSigner] | None = None,
        deliver: bool = True,
        stream_lifetime: float = 30.0,
        proxy: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        ca_file: Path | str | None = None,
        client_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._deliver = deliver
        self.signers: Mapping[str, OfflineSigner] = {**(signers or {})}
        """Who signs KOD II, by NIP."""
        self.stream_lifetime = stream_lifetime
        address = AddressBudget()
        # One context for all: it holds every certificate of the system.
        network = {"proxy": proxy, "ssl_context": tls_context(ssl_context, ca_file)}
        options = {name: value for name, value in network.items() if value is not None} | dict(client_options or {})
        settings = settings or Settings()
        self.clients: Mapping[str, KsefClient] = {
            nip: KsefClient(environment, credentials, **{"pacer": Pacer(address=address), **options})
            for nip, credentials in companies.items()
        }
        """By NIP; open while the lifespan lasts."""
        self.submissions = Submissions(
            journal,
            client=self.clients,
            keys=keys,
            engine=engine,
            settings=settings,
        )
        """The journal."""

    @classmethod
    def from_env(cls, *prefixes: str, journal: str | None = None, **options: Unpack[ServiceOptions]) -> Self:
        """Return a service of the companies that environment variables name, as for `KsefClient.from_env`.

        ``KSEF_JOURNAL`` is the journal (a file, or SQLAlchemy's async URL), ``KSEF_JOURNAL_KEY`` its Fernet keys. Files
        are read, which with a password takes tenths of a second: call it before the event loop runs.

        Args:
            prefixes: What the names of each company's variables begin with; by default ``KSEF_`` of one company. The
                journal, its keys and the network are those of the first.
            journal: In place of ``KSEF_JOURNAL``.
            options: ``engine=``, ``settings=``, ``signers=``, ``deliver=``, ``stream_lifetime=``, ``ssl_context=`` or
                ``client_options=``, as for `KsefService`.

        Raises:
            ConfigurationError: A variable is missing, or cannot be used; or companies differ in their environment.
            LocalProtocolError: As the class.
        """
        every = [Variables.of(prefix=prefix) for prefix in prefixes or ("KSEF_",)]
        first = every[0]
        environment = first.environment
        for other in every[1:]:
            if other.environment != environment:
                raise ConfigurationError(f"{first.prefix}ENV and {other.prefix}ENV differ; a service has one for all.")
        journal = journal or first.require("JOURNAL")
        return cls(
            environment,
            {variables.nip: variables.credentials() for variables in every},
            journal=journal if "://" in journal else f"sqlite+aiosqlite:///{journal}",
            keys=first.journal_keys,
            proxy=first.proxy,
            ca_file=first.ca_file,
            **options,
        )

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncGenerator[None]:
        """Open clients and journal, and deliver, while the application runs: ``FastAPI(lifespan=service.lifespan)``.

        A lifespan of your own enters it: ``async with service.lifespan(app): yield``. Stopping stops sending; what is
        under way is in the journal, and the next start goes on with it.

        Raises:
            JournalBusyError: Another process delivers from this SQLite journal: several processes of one service need
                ``deliver=False`` and a worker of their own, or a journal in PostgreSQL.
        """
        async with AsyncExitStack() as stack:
            for client in self.clients.values():
                await stack.enter_async_context(client)
            await stack.enter_async_context(self.submissions)
            journal = self.submissions
            await stack.enter_async_context(journal.running() if self._deliver else journal.watching_deadlines())
            app.state.ksef = self
            yield

    def client_of(self, nip: str | None) -> KsefClient:
        """Return the client of a company, or of the only one.

        Raises:
            LookupError: There is none with this NIP, or None of several.
        """
        if nip is None and len(self.clients) == 1:
            return next(iter(self.clients.values()))
        return self.clients[nip or ""]


def service_of(connection: HTTPConnection) -> KsefService:
    """Return the service whose lifespan the application runs in.

    Raises:
        RuntimeError: It runs in none.
    """
    service = getattr(connection.app.state, "ksef", None)
    if not isinstance(service, KsefService):
        raise RuntimeError("The application does not run in KsefService.lifespan.")
    return service


def client_for(connection: HTTPConnection, nip: str | None) -> KsefClient:
    """Return the client of a company of the service's, or of its only one.

    Raises:
        HTTPException: 404, the company is none of them.
    """
    try:
        return service_of(connection).client_of(nip)
    except LookupError:
        raise _no_company() from None


async def _client(connection: HTTPConnection) -> KsefClient:
    nip: str | None = connection.path_params.get("nip") or connection.query_params.get("nip")
    return client_for(connection, nip)


async def _submissions(connection: HTTPConnection) -> Submissions:
    return service_of(connection).submissions


KsefClientDep = Annotated[KsefClient, Depends(_client)]
"""The client of the company named by ``nip`` in the path or the query, or of the only one; 404 where there is none."""
SubmissionsDep = Annotated[Submissions, Depends(_submissions)]
"""The journal."""


def journal_of(connection: HTTPConnection, nip: str) -> Submissions:
    """Return the journal, for a company of the service's.

    Raises:
        HTTPException: 404, the company is none of them.
    """
    service = service_of(connection)
    if nip not in service.clients:
        raise _no_company()
    return service.submissions


def _no_company() -> HTTPException:
    return HTTPException(404, "There is no such company here.")
