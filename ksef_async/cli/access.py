"""Where KSeF is, who logs in, and where the journal lies: from the environment or a file, never from arguments."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import anyio.to_thread
import attrs

from ..api.auth import SubjectBy
from ..api.environment import Environment
from ..auth.credentials import CertificateCredentials, Credentials, KsefToken
from ..calling.events import Hook
from ..client import KsefClient
from ..errors import CryptoError, LocalProtocolError
from ..protocol.numbers import is_nip
from .arguments import Parser
from .output import UsageError

if TYPE_CHECKING:
    from ..submissions import Submissions

__all__ = [
    "CREDENTIAL_NAMES",
    "JOURNAL_NEEDS",
    "Access",
    "Settled",
    "has_credentials",
    "load_credentials",
    "read_environment",
    "read_values",
]

JOURNAL_NEEDS: Final = ("rich", "sqlalchemy", "aiosqlite")
"""The packages that a command with a journal needs: for its SQLite, and for tables and progress bars."""

_TOKEN: Final = "KSEF_TOKEN"
_CERTIFICATE: Final = "KSEF_CERTIFICATE"
_PRIVATE_KEY: Final = "KSEF_PRIVATE_KEY"
_PASSWORD: Final = "KSEF_CERTIFICATE_PASSWORD"
_PASSWORD_FILE: Final = "KSEF_CERTIFICATE_PASSWORD_FILE"
_OF_CERTIFICATE: Final = (_CERTIFICATE, _PRIVATE_KEY, _PASSWORD, _PASSWORD_FILE)

CREDENTIAL_NAMES: Final = (_TOKEN, *_OF_CERTIFICATE)
"""What names who logs in; those of a certificate but the password are paths."""


def has_credentials(values: Mapping[str, str]) -> bool:
    """Return whether a token or a certificate is named, usable or not."""
    return any(values.get(name) for name in CREDENTIAL_NAMES)


async def load_credentials(values: Mapping[str, str], nip: str) -> Credentials:
    """Return the token, or the certificate with its key, that ``values`` name.

    Raises:
        UsageError: Neither or both are named; a file cannot be read, or others can read what is secret; the password
            is wrong, missing or needless; certificate and key do not belong together; or the extra ``xades`` is not
            installed.
    """
    given = [name for name in _OF_CERTIFICATE if values.get(name)]
    if token := values.get(_TOKEN):
        if given:
            raise UsageError(f"Both {_TOKEN} and {given[0]} are set: log in with the token, or with a certificate.")
        return KsefToken(nip=nip, token=token)
    if not given:
        raise UsageError(
            f"{_TOKEN} is not set, nor is {_CERTIFICATE}: put one of them into the environment, or into a file for "
            "--credentials."
        )
    if _CERTIFICATE not in given:
        raise UsageError(f"{_CERTIFICATE} is not set, but {given[0]} is.")
    if find_spec("signxml") is None:
        raise UsageError("A certificate needs signxml: pip install 'ksef_async[xades]'")
    # An encrypted key takes its time.
    return await anyio.to_thread.run_sync(_load_certificate, values, nip)


def _load_certificate(values: Mapping[str, str], nip: str) -> CertificateCredentials:
    password = _password(values)
    certificate = Path(values[_CERTIFICATE])
    try:
        if key := values.get(_PRIVATE_KEY):
            credentials = CertificateCredentials.from_bytes(
                _read(certificate), _read_private(Path(key)), password=password, nip=nip
            )
        else:
            if b"-----BEGIN" in _read(certificate):
                raise UsageError(f"{_PRIVATE_KEY} is not set: {certificate} is PEM, not PKCS#12 (.p12, .pfx).")
            credentials = CertificateCredentials.from_pkcs12(_read_private(certificate), password, nip=nip)
    except CryptoError as error:
        raise UsageError(
            f"{error} {_CERTIFICATE} is {certificate}; a password comes from {_PASSWORD} or {_PASSWORD_FILE}."
        ) from error
    if credentials.certificate.identifier is not None:
        return credentials
    # Who has neither NIP nor PESEL in the subject is known to KSeF by the fingerprint.
    return CertificateCredentials(
        certificate=credentials.certificate,
        key=credentials.key,
        nip=nip,
        subject_by=SubjectBy.CERTIFICATE_FINGERPRINT,
    )


def _password(values: Mapping[str, str]) -> bytes | None:
    password, file = values.get(_PASSWORD), values.get(_PASSWORD_FILE)
    if password and file:
        raise UsageError(f"Both {_PASSWORD} and {_PASSWORD_FILE} are set: one is enough.")
    if file:
        # Its first line, for editors end a file with a newline.
        lines = _read_private(Path(file)).splitlines()
        return lines[0] if lines else b""
    return password.encode() if password else None


def read_values(path: Path, names: Collection[str]) -> dict[str, str]:
    """Return the lines ``NAME=value`` of a private file; ``export``, quotes around values and comments are allowed.

    Raises:
        UsageError: It cannot be read, or others can read it; or a line is another.
    """
    try:
        lines = _read_private(path).decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read: {type(error).__name__}.") from error
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


def _read_private(path: Path) -> bytes:
    """What is in a file that only its owner can read.

    Raises:
        UsageError: It cannot be read, or others can read it.
    """
    return _read(path, is_private=True)


def _read(path: Path, *, is_private: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            # Asked of the open file, so that what is checked is what is read.
            mode = os.fstat(file.fileno()).st_mode
            if is_private and os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise UsageError(f"{path} can be read by others: chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {type(error).__name__}.") from error


_NAMED: Final = {"TEST": Environment.TEST, "DEMO": Environment.DEMO, "PRODUCTION": Environment.PRODUCTION}
_NETWORK_NAMES: Final = ("KSEF_PROXY", "KSEF_CA_FILE")
_NAMES: Final = ("KSEF_ENV", "KSEF_NIP", *CREDENTIAL_NAMES, "KSEF_JOURNAL", "KSEF_JOURNAL_KEY", *_NETWORK_NAMES)


def read_environment(name: str) -> Environment:
    """Return the environment that KSEF_ENV names.

    Raises:
        UsageError: It is neither one of the Ministry's nor a base URL.
    """
    try:
        return _NAMED.get(name.upper()) or Environment(name)
    except LocalProtocolError as error:
        raise UsageError(f"KSEF_ENV is neither TEST, DEMO nor PRODUCTION: {error}") from error


@attrs.frozen(kw_only=True)
class Settled:
    """The settings that environment and credentials file result in."""

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
        return read_environment(self._of("KSEF_ENV"))

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
        """Return whether somebody is named who can log in."""
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
            UsageError: ``must_exist``, and it does not.
        """
        path = self.journal
        if must_exist and not await anyio.Path(path).exists():
            raise UsageError(f"There is no journal {path}; `send` makes one.")
        # Only the commands that have a journal need its packages.
        from ..submissions import Settings, Submissions

        keys = tuple(filter(None, self.values.get("KSEF_JOURNAL_KEY", "").split(",")))
        # All that is to be sent is in the journal before the first session opens: nothing more to wait for.
        settings = Settings(linger=0.2)
        url = f"sqlite+aiosqlite:///{path}"
        async with Submissions(url, client=client, keys=keys, settings=settings) as submissions:
            yield submissions


@attrs.frozen(kw_only=True)
class Access:
    """The options that all commands share which have to do with KSeF or the journal."""

    credentials: Path | None = None
    journal: Path | None = None
    json: bool = False
    proxy: str | None = None
    ca_file: Path | None = None

    @staticmethod
    def add_arguments(parser: Parser) -> None:
        """Add an option for each attribute."""
        parser.add_argument(
            "--credentials",
            type=Path,
            metavar="FILE",
            help="file with KSEF_ENV, KSEF_NIP and KSEF_TOKEN or KSEF_CERTIFICATE, mode 600",
        )
        parser.add_argument(
            "--journal",
            type=Path,
            metavar="FILE",
            help="journal; by default KSEF_JOURNAL, or ksef-ENVIRONMENT.db in this folder",
        )
        parser.add_flag("--json", "print one JSON object, and no progress")
        parser.add_argument(
            "--proxy",
            metavar="URL",
            help="http://HOST:PORT; by default KSEF_PROXY (with a password, too), or HTTPS_PROXY and NO_PROXY",
        )
        parser.add_argument(
            "--ca-file",
            type=Path,
            metavar="FILE",
            help="authorities (PEM) trusted besides the system's; by default KSEF_CA_FILE, or none",
        )

    @classmethod
    def taken_from(cls, values: dict[str, Any]) -> Self:
        """Take out of parsed arguments what the options above have set."""
        return cls(**{field.name: values.pop(field.name) for field in attrs.fields(cls)})

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
