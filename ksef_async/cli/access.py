"""Where KSeF is, who logs in, and where the journal lies: from the environment or a file, never from arguments."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import anyio
import anyio.to_thread
import attrs
from cyclopts import Parameter

from ..auth.credentials import KsefToken
from ..client import KsefClient
from ..environment import Environment
from ..models.events import Hook
from ..protocol.ksef_number import is_nip
from .exits import UsageError

if TYPE_CHECKING:
    from ..submissions import Submissions

__all__ = ["Access", "Settled"]

_NAMED: Final = {"TEST": Environment.TEST, "DEMO": Environment.DEMO, "PRODUCTION": Environment.PRODUCTION}
_NAMES: Final = ("KSEF_ENV", "KSEF_NIP", "KSEF_TOKEN", "KSEF_JOURNAL", "KSEF_JOURNAL_KEY")


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
        return _NAMED.get(name.upper()) or Environment(name)

    @property
    def journal(self) -> Path:
        """The journal's file: one for each environment, for what was sent to one was not sent to another."""
        if given := self.values.get("KSEF_JOURNAL"):
            return Path(given)
        name = self._of("KSEF_ENV")
        word = name.lower() if name.upper() in _NAMED else re.sub(r"\W+", "-", name.partition("://")[2]).strip("-")
        return Path(f"ksef-{word}.db")

    @asynccontextmanager
    async def client(self, hook: Hook | None = None) -> AsyncIterator[KsefClient]:
        """Logged in, so that wrong credentials show before anything else; keeps to what KSeF grants this company."""
        credentials = KsefToken(nip=self.nip, token=self._of("KSEF_TOKEN"))
        async with KsefClient(self.environment, credentials, hook=hook, revoke_on_exit=True) as client:
            await client.pacing.adopt_limits()
            yield client

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
        await anyio.to_thread.run_sync(_make_private, path)
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

    credentials: Annotated[Path | None, Parameter(help="File with KSEF_ENV, KSEF_NIP and KSEF_TOKEN, mode 600.")] = None
    journal: Annotated[
        Path | None, Parameter(help="Journal; by default KSEF_JOURNAL, or ksef-ENVIRONMENT.db in this folder.")
    ] = None
    json: Annotated[bool, Parameter(negative="", help="Print one JSON object, and no progress.")] = False

    async def settle(self) -> Settled:
        """Read environment and file; the file wins.

        Raises:
            UsageError: The file cannot be read, or others can read it.
        """
        values = {name: os.environ[name] for name in _NAMES if name in os.environ}
        if self.credentials is not None:
            values |= await anyio.to_thread.run_sync(_read_private, self.credentials)
        if self.journal is not None:
            values["KSEF_JOURNAL"] = str(self.journal)
        return Settled(values=values)


def _read_private(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as file:
            # Asked of the open file, so that what is checked is what is read.
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(f"{path} can be read by others: chmod 600 {path}")
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {type(error).__name__}.") from error
    values = {}
    for number, line in enumerate(lines, 1):
        name, found, value = line.removeprefix("export ").partition("=")
        if line.strip() and not line.startswith("#"):
            if not found or name.strip() not in _NAMES:
                raise UsageError(f"{path}, line {number}: one of {', '.join(_NAMES)}, then = and its value.")
            values[name.strip()] = value.strip().strip("\"'")
    return values


def _make_private(path: Path) -> None:
    """Let nobody else read the journal: it holds invoices."""
    if not path.exists():
        path.touch(mode=0o600)
