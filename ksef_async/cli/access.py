"""Where KSeF is, who logs in, and where the journal lies: from the environment or a file, never from arguments."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import anyio
import anyio.to_thread
import attrs
from cyclopts import Parameter

from ..auth.credentials import Credentials, KsefToken
from ..client import KsefClient
from ..environment import Environment
from ..errors import CryptoError, LocalProtocolError
from ..models.events import Hook
from ..protocol.ksef_number import is_nip
from .credentials import CREDENTIAL_NAMES, has_credentials, load_credentials, read_values
from .exits import UsageError

if TYPE_CHECKING:
    from ..submissions import Submissions

__all__ = ["Access", "Settled"]

_NAMED: Final = {"TEST": Environment.TEST, "DEMO": Environment.DEMO, "PRODUCTION": Environment.PRODUCTION}
_NETWORK_NAMES: Final = ("KSEF_PROXY", "KSEF_CA_FILE")
_NAMES: Final = ("KSEF_ENV", "KSEF_NIP", *CREDENTIAL_NAMES, "KSEF_JOURNAL", "KSEF_JOURNAL_KEY", *_NETWORK_NAMES)


@attrs.frozen(kw_only=True)
class Settled:
    """What environment and credentials file come to."""

    values: Mapping[str, str] = attrs.field(repr=False)

    def _of(self, name: str) -> str:
        if value := self.values.get(name):
            return value
        raise UsageError(f"{name} is not set: put it into the environment, or into a file for --credentials.")

    @property
    def nip(self) -> str:
        """The company."""
        nip = self._of("KSEF_NIP")
        if not is_nip(nip):
            raise UsageError("KSEF_NIP is not a NIP: ten digits, as KSeF's specification asks.")
        return nip

    @property
    def environment(self) -> Environment:
        """Where KSeF is."""
        name = self._of("KSEF_ENV")
        try:
            return _NAMED.get(name.upper()) or Environment(name)
        except LocalProtocolError as error:
            raise UsageError(f"KSEF_ENV is neither TEST, DEMO nor PRODUCTION: {error}") from error

    @property
    def journal(self) -> Path:
        """The journal's file: one for each environment, for what was sent to one was not sent to another."""
        if given := self.values.get("KSEF_JOURNAL"):
            return Path(given)
        return Path(f"ksef-{self.environment_word}.db")

    @property
    def environment_word(self) -> str:
        """The environment in names of files."""
        name = self._of("KSEF_ENV")
        return name.lower() if name.upper() in _NAMED else re.sub(r"\W+", "-", name.partition("://")[2]).strip("-")

    @property
    def has_credentials(self) -> bool:
        """Whether somebody is named who can log in."""
        return has_credentials(self.values)

    @asynccontextmanager
    async def client(self, hook: Hook | None = None) -> AsyncIterator[KsefClient]:
        """Logged in, so that wrong credentials show before anything else; keeps to what KSeF grants this company.

        Raises:
            UsageError: There are no usable credentials; see `load_credentials`. Or the certificate has expired, by
                KSeF's clock, or is not valid yet. Or the proxy's address, or the file of authorities, cannot be used.
            KsefError: As `KsefClient.log_in`.
        """
        environment = self.environment
        credentials = await load_credentials(self.values, self.nip)
        async with await anyio.to_thread.run_sync(self._client, environment, credentials, hook) as client:
            try:
                await client.log_in()
            except CryptoError as error:
                if isinstance(credentials, KsefToken):
                    raise  # no fault of the token
                raise UsageError(str(error)) from error
            await client.pacing.adopt_limits()
            yield client

    def _client(self, environment: Environment, credentials: Credentials, hook: Hook | None) -> KsefClient:
        try:
            return KsefClient(
                environment,
                credentials,
                hook=hook,
                revoke_on_exit=True,
                # Empty means none at all, whatever HTTPS_PROXY says.
                proxy=self.values.get("KSEF_PROXY"),
                ca_file=self.values.get("KSEF_CA_FILE") or None,
            )
        except LocalProtocolError as error:
            raise UsageError(f"KSEF_PROXY (--proxy) or KSEF_CA_FILE (--ca-file) cannot be used: {error}") from error

    @asynccontextmanager
    async def submissions(
        self, client: KsefClient | None = None, *, must_exist: bool = False
    ) -> AsyncIterator[Submissions]:
        """The journal.

        Raises:
            UsageError: ``must_exist``, and it does not; or the extra ``durable`` is not installed.
        """
        path = self.journal
        if must_exist and not await anyio.Path(path).exists():
            raise UsageError(f"There is no journal {path}; `send` makes one.")
        try:
            from ..submissions import Settings, Submissions
        except ModuleNotFoundError as error:
            raise UsageError(f"The journal needs {error.name}: pip install 'ksef_async[cli,durable]'") from error
        keys = tuple(filter(None, self.values.get("KSEF_JOURNAL_KEY", "").split(",")))
        # All that is to be sent is in the journal before the first session opens: nothing more to wait for.
        settings = Settings(linger=0.2)
        url = f"sqlite+aiosqlite:///{path}"
        async with Submissions(url, client=client, keys=keys, settings=settings) as submissions:
            yield submissions


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Access:
    """What all commands share."""

    credentials: Annotated[
        Path | None, Parameter(help="File with KSEF_ENV, KSEF_NIP and KSEF_TOKEN or KSEF_CERTIFICATE, mode 600.")
    ] = None
    journal: Annotated[
        Path | None, Parameter(help="Journal; by default KSEF_JOURNAL, or ksef-ENVIRONMENT.db in this folder.")
    ] = None
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object, and no progress.")] = False
    proxy: Annotated[
        str | None,
        Parameter(help="http://HOST:PORT; by default KSEF_PROXY (with a password, too), or HTTPS_PROXY and NO_PROXY."),
    ] = None
    ca_file: Annotated[
        Path | None,
        Parameter(help="Authorities (PEM) trusted besides the system's; by default KSEF_CA_FILE, or none."),
    ] = None

    async def settle(self) -> Settled:
        """Read environment and file; the file wins.

        Raises:
            UsageError: See `read_values`. Or ``--proxy`` holds a password, which every process could read.
        """
        values = {name: os.environ[name] for name in _NAMES if name in os.environ}
        if self.credentials is not None:
            values |= await anyio.to_thread.run_sync(read_values, self.credentials, _NAMES)
        if self.journal is not None:
            values["KSEF_JOURNAL"] = str(self.journal)
        if self.proxy is not None:
            if "@" in self.proxy:
                raise UsageError("--proxy takes no password: put it into KSEF_PROXY, or into a file for --credentials.")
            values["KSEF_PROXY"] = self.proxy
        if self.ca_file is not None:
            values["KSEF_CA_FILE"] = str(self.ca_file)
        return Settled(values=values)
