"""Where KSeF is, who logs in, and where the journal lies: from the environment or a file, never from arguments."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import anyio.to_thread
import attrs

from ..api.environment import Environment
from ..auth.credentials import Credentials, checked_credentials
from ..auth.variables import VARIABLE_NAMES, Variables, read_private_file
from ..calling.events import Hook
from ..calling.transport import AiohttpTransport
from ..client import KsefClient
from ..errors import CryptoError, KsefError, LocalProtocolError
from ..protocol.retry import growing_pause
from .arguments import Parser
from .journals import note_journal
from .output import BusyError, UsageError
from .running import may_pass

if TYPE_CHECKING:
    from ..submissions import Submissions

__all__ = ["JOURNAL_NEEDS", "Access", "Settled", "read_values"]

JOURNAL_NEEDS: Final = ("rich", "sqlalchemy", "aiosqlite")
"""The packages that a command with a journal needs: for its SQLite, and for tables and progress bars."""


# Seconds between logins, while KSeF is away.
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 30.0
_NAMES: Final = tuple(f"KSEF_{name}" for name in VARIABLE_NAMES)
_SQLITE: Final = re.compile(r"sqlite(?:\+\w+)?:///([^?:][^?]*)")
_ADVICE: Final = "put {} into the environment, or into a file for --credentials"


@contextmanager
def _usage() -> Iterator[None]:
    """Tell a setting that cannot be used as the commands tell what is wrong with their arguments."""
    try:
        yield
    except LocalProtocolError as error:
        raise UsageError(str(error)) from error


def read_values(path: Path, names: Collection[str]) -> dict[str, str]:
    """Return the lines ``NAME=value`` of a private file; ``export``, quotes around values and comments are allowed.

    Raises:
        UsageError: It cannot be read, or others can read it; or a line is another.
    """
    try:
        with _usage():
            lines = read_private_file(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8.") from error
    values = {}
    for number, line in enumerate(lines, 1):
        name, found, value = line.removeprefix("export ").partition("=")
        if line.strip() and not line.startswith("#"):
            if not found or name.strip() not in names:
                raise UsageError(f"{path}, line {number}: one of {', '.join(names)}, then = and its value.")
            values[name.strip()] = _without_quotes(value.strip())
    return values


def _without_quotes(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


@attrs.frozen(kw_only=True)
class Settled:
    """The settings that environment and credentials file result in."""

    values: Mapping[str, str] = attrs.field(repr=False)
    """By the names of the variables."""

    @property
    def variables(self) -> Variables:
        """The values, to be read as `KsefClient.from_env` reads them."""
        return Variables.of(self.values, advice=_ADVICE)

    @property
    def nip(self) -> str:
        """The company."""
        with _usage():
            return self.variables.nip

    @property
    def environment(self) -> Environment:
        """Where KSeF is."""
        with _usage():
            return self.variables.environment

    @property
    def proxy(self) -> str | None:
        """The proxy's address; empty for none at all, whatever HTTPS_PROXY says."""
        with _usage():
            return self.variables.proxy

    @property
    def ca_file(self) -> str | None:
        """Certificates of authorities that are trusted besides the system's."""
        with _usage():
            return self.variables.ca_file

    @property
    def journal(self) -> Path:
        """The journal's file: one for each environment, for what was sent to one was not sent to another.

        Raises:
            UsageError: KSEF_JOURNAL is the address of another database than SQLite, as a service takes it.
        """
        if given := self.variables.journal:
            if "://" in given:
                # It is not repeated: it may hold a password.
                if (match := _SQLITE.fullmatch(given)) is None:
                    raise UsageError(
                        "KSEF_JOURNAL: the commands keep their journal in a file (a path, or sqlite:///PATH); that of "
                        "another database is for a service. Name a file by --journal."
                    )
                return Path(match[1])
            return Path(given)
        return Path(f"ksef-{self.environment_word}.db")

    @property
    def environment_word(self) -> str:
        """The environment in names of files."""
        environment = self.environment
        named = {Environment.TEST: "test", Environment.DEMO: "demo", Environment.PRODUCTION: "production"}
        return named.get(environment) or re.sub(r"\W+", "-", environment.base_url.partition("://")[2]).strip("-")

    @property
    def has_credentials(self) -> bool:
        """Return whether somebody is named who can log in."""
        return self.variables.has_credentials

    def key_password(self) -> bytes | None:
        """Return the password of the key; reads its file."""
        with _usage():
            return self.variables.key_password

    async def credentials(self) -> Credentials:
        """Return who logs in.

        Raises:
            UsageError: As `Variables.credentials`; or production does not take the check digit of the NIP.
        """
        with _usage():
            # An encrypted key takes its time.
            credentials = await anyio.to_thread.run_sync(self.variables.credentials)
            return checked_credentials(credentials, self.environment)

    @asynccontextmanager
    async def client(
        self, hook: Hook | None = None, *, log_in: bool = True, revoke: bool = True
    ) -> AsyncIterator[KsefClient]:
        """Logged in, so that wrong credentials show before anything else; keeps to what KSeF grants this company.

        Args:
            hook: Is told of every request.
            log_in: False where the journal comes first: KSeF may be away. `log_in` follows, or the first call logs in.
            revoke: Whether the login is ended with the block, within seconds. A failure of this is told, and is none of
                the command.

        Raises:
            UsageError: There are no usable credentials; see `credentials`. Or the certificate has expired, by
                KSeF's clock, or is not valid yet. Or the proxy's address, or the file of authorities, cannot be used.
            KsefError: As `KsefClient.log_in`.
        """
        environment = self.environment
        credentials = await self.credentials()
        has_ended = False
        try:
            async with await anyio.to_thread.run_sync(self._client, environment, credentials, hook, revoke) as client:
                if log_in:
                    await self.log_in(client)
                yield client
                has_ended = True
        except KsefError as error:
            if not has_ended:
                raise
            print(f"The login could not be ended, and ends by itself: {error}", file=sys.stderr)

    async def log_in(self, client: KsefClient, waiting: Callable[[KsefError], None] | None = None) -> None:
        """Log in, and keep to what KSeF grants this company.

        Args:
            client: The one of `client`.
            waiting: Is told of each failure that may pass, and the login is tried again, without end; None to raise it.

        Raises:
            UsageError: The certificate has expired, by KSeF's clock, or is not valid yet.
            KsefError: As `KsefClient.log_in`.
        """
        for tries in count(1):
            try:
                await client.log_in()
                await client.pacing.adopt_limits()
                return
            except CryptoError as error:
                if self.variables.has_token:
                    raise  # no fault of the token
                raise UsageError(str(error)) from error
            except KsefError as error:
                if waiting is None or not may_pass(error):
                    raise
                waiting(error)
                pause = growing_pause(tries, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE)
                await anyio.sleep(max(pause, getattr(error, "retry_after", None) or 0.0))

    def _client(
        self, environment: Environment, credentials: Credentials, hook: Hook | None, revoke_on_exit: bool
    ) -> KsefClient:
        return KsefClient(
            environment, credentials, hook=hook, revoke_on_exit=revoke_on_exit, proxy=self.proxy, ca_file=self.ca_file
        )

    async def transport(self) -> AiohttpTransport:
        """Return the way to KSeF, for calls that need no client; whoever takes it closes it.

        Raises:
            UsageError: The proxy's address, or the file of authorities, cannot be used.
        """
        return await anyio.to_thread.run_sync(self._transport)

    def _transport(self) -> AiohttpTransport:
        return AiohttpTransport(proxy=self.proxy, ca_file=self.ca_file)

    @asynccontextmanager
    async def submissions(
        self, client: KsefClient | None = None, *, must_exist: bool = False
    ) -> AsyncIterator[Submissions]:
        """The journal.

        With a client it delivers; where another one has done so for this company within the hour, that is told.

        Raises:
            UsageError: ``must_exist``, and it does not. Or a key of KSEF_JOURNAL_KEY is none.
            BusyError: Another program delivers from it, and the block would.
        """
        path = self.journal
        if must_exist and not await anyio.Path(path).exists():
            raise UsageError(f"There is no journal {path}; `send` makes one.")
        # Only the commands that have a journal need its packages.
        from ..submissions import JournalBusyError, Settings, Submissions

        with _usage():
            keys = self.variables.journal_keys
        # All that is to be sent is in the journal before the first session opens: nothing more to wait for.
        settings = Settings(linger=0.2)
        url = f"sqlite+aiosqlite:///{path}"
        async with Submissions(url, client=client, keys=keys, settings=settings) as submissions:
            if client is not None:
                note = partial(note_journal, path, self.environment_word, self.nip)
                if (advice := await anyio.to_thread.run_sync(note)) is not None:
                    print(advice, file=sys.stderr)
            try:
                yield submissions
            except JournalBusyError as error:
                raise BusyError(
                    f"Another program delivers from the journal {path}, also what this command has put into it. "
                    "Run this again when that has ended; or look with `ksef-async status`."
                ) from error


# As argparse takes them, in the order of the help.
_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "--credentials": {
        "type": Path,
        "metavar": "FILE",
        "help": "file with KSEF_ENV, KSEF_NIP and KSEF_CERTIFICATE_FILE or KSEF_TOKEN, mode 600",
    },
    "--journal": {
        "type": Path,
        "metavar": "FILE",
        "help": "journal; by default KSEF_JOURNAL, or ksef-ENVIRONMENT.db in this folder",
    },
    "--json": {"action": "store_true", "help": "print one JSON object, and no progress"},
    "--proxy": {
        "metavar": "URL",
        "help": "http://HOST:PORT; by default KSEF_PROXY (with a password, too), or HTTPS_PROXY and NO_PROXY",
    },
    "--ca-file": {
        "type": Path,
        "metavar": "FILE",
        "help": "authorities (PEM) trusted besides the system's; by default KSEF_CA_FILE, or none",
    },
}


@attrs.frozen(kw_only=True)
class Access:
    """The options that all commands share which have to do with KSeF or the journal."""

    credentials: Path | None = None
    journal: Path | None = None
    json: bool = False
    proxy: str | None = None
    ca_file: Path | None = None

    @staticmethod
    def add_arguments(parser: Parser, names: Collection[str]) -> None:
        """Add the options that are named, each for an attribute."""
        for name, settings in _OPTIONS.items():
            if name in names:
                parser.add_argument(name, **settings)

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> Self:
        """Take out of parsed arguments what the options above have set."""
        return cls(**{field.name: values.pop(field.name) for field in attrs.fields(cls) if field.name in values})

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
