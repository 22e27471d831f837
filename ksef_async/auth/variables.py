"""Where KSeF is, and who logs in: from environment variables, or from the files that they name.

A secret or a certificate is the value of its variable, or the content of the file that the variable with ``_FILE`` at
its end names, as container platforms hand secrets over. Blanks and newlines around a value do not count.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

import attrs

from ..api.auth import SubjectBy
from ..api.environment import Environment
from ..calling.networks import Proxy, load_authorities
from ..errors import ConfigurationError, CryptoError, LocalProtocolError, file_problem
from ..protocol.numbers import nip_problem
from .credentials import CertificateCredentials, Credentials, KsefToken

__all__ = ["VARIABLE_NAMES", "Variables", "read_private_file"]

_TOKEN: Final = "TOKEN"
_CERTIFICATE: Final = "CERTIFICATE"
_KEY: Final = "KEY"
_PKCS12: Final = "PKCS12"
_PASSWORD: Final = "KEY_PASSWORD"
_ARCHIVE: Final = (_PKCS12,)
_PAIR: Final = (_CERTIFICATE, _KEY)
_WITH_FILE: Final = (_TOKEN, *_PAIR, _PKCS12, _PASSWORD, "PROXY", "JOURNAL_KEY")
_PRIVATE: Final = {*_WITH_FILE} - {_CERTIFICATE}

VARIABLE_NAMES: Final = ("ENV", "NIP", *_WITH_FILE, *(f"{name}_FILE" for name in _WITH_FILE), "CA_FILE", "JOURNAL")
"""Every variable, without its prefix. ``ENV`` is TEST, DEMO, PRODUCTION or a base URL; ``CERTIFICATE`` and ``KEY`` are
PEM, or one PEM is both; ``PKCS12`` is in Base64, but the file of ``PKCS12_FILE`` is the archive itself (.p12, .pfx);
``KEY_PASSWORD`` opens the key or the archive; ``JOURNAL_KEY`` is one Fernet key, or several with commas, the newest
first.
"""

_ADVICE: Final = "put {} into the environment"


@attrs.frozen(kw_only=True)
class Variables:
    """The settings of one company as environment variables hold them.

    Args:
        values: The variables, by their names without the prefix.
        prefix: What their names begin with.
        advice: How to set one that is missing, for errors; ``{}`` stands for it.
    """

    values: Mapping[str, str] = attrs.field(repr=False)
    prefix: str = "KSEF_"
    advice: str = _ADVICE

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None, prefix: str = "KSEF_", advice: str = _ADVICE) -> Self:
        """Return those of ``environ`` that are ours; by default of this process."""
        environ = os.environ if environ is None else environ
        found = {name: environ[f"{prefix}{name}"] for name in VARIABLE_NAMES if f"{prefix}{name}" in environ}
        # A password may begin or end with a blank.
        values = {name: value.strip("\r\n" if name == _PASSWORD else None) for name, value in found.items()}
        return cls(values=values, prefix=prefix, advice=advice)

    @property
    def environment(self) -> Environment:
        """Where KSeF is.

        Raises:
            ConfigurationError: ``ENV`` is not set, or is neither one of the Ministry's nor a base URL.
        """
        value = self.require("ENV")
        try:
            return Environment.of(value)
        except LocalProtocolError as error:
            raise ConfigurationError(f"{self.prefix}ENV: {error}") from error

    @property
    def nip(self) -> str:
        """The company.

        Raises:
            ConfigurationError: ``NIP`` is not set, or is no NIP.
        """
        nip = self.require("NIP")
        if problem := nip_problem(nip):
            raise ConfigurationError(f"{self.prefix}NIP: {problem}")
        return nip

    @property
    def proxy(self) -> str | None:
        """The proxy's address; empty for none at all, None for what HTTPS_PROXY says.

        Raises:
            ConfigurationError: It is no address of a proxy; or its file cannot be read, or others can read it.
        """
        value = self.values.get("PROXY") if "PROXY" in self.values else self._text("PROXY")
        if value:
            with self._as_configuration():
                Proxy.parse(value, self._given("PROXY") or "")
        return value

    @property
    def ca_file(self) -> str | None:
        """Certificates of authorities that are trusted besides the system's.

        Raises:
            ConfigurationError: The file cannot be read, or holds no certificate.
        """
        if not (path := self.values.get("CA_FILE")):
            return None
        with self._as_configuration():
            # Not of the system, which takes its time: only to see what is in the file.
            load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path, f"{self.prefix}CA_FILE:")
        return path

    @property
    def journal(self) -> str | None:
        """The journal: a file, or SQLAlchemy's address."""
        return self.values.get("JOURNAL") or None

    @property
    def journal_keys(self) -> tuple[str, ...]:
        """The Fernet keys of the journal, the newest first.

        Raises:
            ConfigurationError: One is no Fernet key; or the file cannot be read, or others can read it.
        """
        from ..crypto.fernet import check_key

        keys = tuple(key.strip() for key in (self._text("JOURNAL_KEY") or "").split(",") if key.strip())
        for key in keys:
            try:
                check_key(key)
            except CryptoError as error:
                raise ConfigurationError(f"{self._given('JOURNAL_KEY')}: {error}") from None
        return keys

    @property
    def has_credentials(self) -> bool:
        """Return whether a token or a certificate is named, usable or not."""
        return any(self._given(name) for name in (_TOKEN, *_PAIR, _PKCS12))

    @property
    def has_token(self) -> bool:
        """Return whether a token is named."""
        return self._given(_TOKEN) is not None

    @property
    def key_password(self) -> bytes | None:
        """The password of the key or the archive.

        Raises:
            ConfigurationError: The file cannot be read, or others can read it.
        """
        return self._bytes(_PASSWORD)

    def credentials(self) -> Credentials:
        """Return the certificate with its key, or the token; reads files, and with a password takes tenths of a second.

        Raises:
            ConfigurationError: Neither or both are named; a file cannot be read, or others can read what is secret;
                the password is wrong, missing or needless; certificate and key do not belong together; or the extra
                ``xades`` is not installed.
        """
        ways = [way for way in (_ARCHIVE, _PAIR, (_TOKEN,)) if any(self._given(name) for name in way)]
        if len(ways) > 1:
            one, other = (next(filter(None, map(self._given, way))) for way in ways[:2])
            raise ConfigurationError(f"Both {one} and {other} are set: log in with one of them.")
        if not ways:
            if password := self._given(_PASSWORD):
                raise ConfigurationError(f"{password} is set, but no certificate is.")
            every = [self.prefix + name for name in (f"{_CERTIFICATE}_FILE", f"{_PKCS12}_FILE", _TOKEN)]
            raise ConfigurationError(f"{' or '.join(every)} is not set: {self.advice.format('one of them')}.")
        nip = self.nip
        if ways[0] == (_TOKEN,):
            if password := self._given(_PASSWORD):
                raise ConfigurationError(f"{password} is set, but a token has no password: take one of them away.")
            try:
                return KsefToken(nip=nip, token=self._text(_TOKEN) or "")
            except LocalProtocolError as error:
                raise ConfigurationError(f"{self._given(_TOKEN)}: {error}") from None
        if find_spec("signxml") is None:
            raise ConfigurationError("A certificate needs signxml: pip install 'ksef_async[xades]'")
        return self._certificate(nip)

    def _certificate(self, nip: str) -> CertificateCredentials:
        try:
            made = self._from_archive(nip) if self._given(_PKCS12) else self._from_pair(nip)
        except CryptoError as error:
            source = next(filter(None, map(self._given, (_PKCS12, _CERTIFICATE))))
            raise ConfigurationError(f"{source}: {error}{self._password_hint(error)}") from error
        if made.certificate.identifier is not None:
            return made
        # Who has neither NIP nor PESEL in the subject is known to KSeF by the fingerprint.
        return attrs.evolve(made, subject_by=SubjectBy.CERTIFICATE_FINGERPRINT)

    def _password_hint(self, error: CryptoError) -> str:
        """Return where the password comes from, if that is what is wrong."""
        given, name = self._given(_PASSWORD), f"{self.prefix}{_PASSWORD}"
        if "password" not in str(error):
            return ""
        return f" It comes from {given}." if given else f" It comes from {name} or {name}_FILE."

    @contextmanager
    def _as_configuration(self) -> Iterator[None]:
        try:
            yield
        except LocalProtocolError as error:
            raise ConfigurationError(str(error)) from None

    def _from_pair(self, nip: str) -> CertificateCredentials:
        parts: dict[str, bytes] = {}
        if self._given(_KEY) is None and b"PRIVATE KEY-----" in (self._bytes(_CERTIFICATE) or b""):
            # Both are in one file, as `Certificates.renew` writes them.
            both = self._bytes(_CERTIFICATE, is_private=True) or b""
            return CertificateCredentials.from_bytes(both, both, password=self._bytes(_PASSWORD), nip=nip)
        for name in _PAIR:
            if (given := self._given(name)) is None:
                there = next(filter(None, map(self._given, _PAIR)))
                raise ConfigurationError(f"{self.prefix}{name}_FILE is not set, but {there} is.")
            value = self._bytes(name) or b""
            if not given.endswith("_FILE"):
                # Files of variables write a newline as a backslash and an n.
                value = value.replace(b"\\n", b"\n")
                if b"-----BEGIN" not in value:
                    raise ConfigurationError(f"{given} is not PEM text; a path belongs into {given}_FILE.")
            parts[name] = value
        return CertificateCredentials.from_bytes(
            parts[_CERTIFICATE], parts[_KEY], password=self._bytes(_PASSWORD), nip=nip
        )

    def _from_archive(self, nip: str) -> CertificateCredentials:
        given = self._given(_PKCS12)
        data = self._bytes(_PKCS12) or b""
        if given == self.prefix + _PKCS12:
            try:
                # Programs wrap it at 64 or 76 characters; files of variables write a newline as a backslash and an n.
                data = base64.b64decode(b"".join(data.replace(b"\\n", b"").split()), validate=True)
            except binascii.Error:
                data = b""
            # A path may be Base64 by chance; an archive is a SEQUENCE of DER.
            if not data.startswith(b"\x30"):
                raise ConfigurationError(f"{given} is not Base64; a path belongs into {given}_FILE.") from None
        elif b"-----BEGIN" in data:
            names = " and ".join(f"{self.prefix}{name}_FILE" for name in _PAIR)
            raise ConfigurationError(f"{given} is PEM, not PKCS#12 (.p12, .pfx): use {names}.")
        return CertificateCredentials.from_pkcs12(data, self._bytes(_PASSWORD), nip=nip)

    def require(self, name: str) -> str:
        """Return a variable by its name without the prefix.

        Raises:
            ConfigurationError: It is not set.
        """
        if value := self.values.get(name):
            return value
        raise ConfigurationError(f"{self.prefix}{name} is not set: {self.advice.format('it')}.")

    # --- values -------------------------------------------------------------------------------------------

    def _given(self, name: str) -> str | None:
        """Return the full name of the variable that is set: this one, or that of its file."""
        return next((self.prefix + each for each in (name, f"{name}_FILE") if self.values.get(each)), None)

    def _bytes(self, name: str, *, is_private: bool = False) -> bytes | None:
        value, file = self.values.get(name), self.values.get(f"{name}_FILE")
        if value and file:
            full = self.prefix + name
            raise ConfigurationError(f"Both {full} and {full}_FILE are set: one is enough.")
        if file:
            data = read_private_file(Path(file)) if is_private or name in _PRIVATE else _read(Path(file))
            # Editors end a file with a newline, which is no part of a secret; an archive is taken as it is.
            return data if name == _PKCS12 else data.strip(b"\r\n") if name == _PASSWORD else _stripped(data)
        return value.encode() if value else None

    def _text(self, name: str) -> str | None:
        data = self._bytes(name)
        try:
            return None if data is None else data.decode()
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self._given(name)} is not text in UTF-8.") from None


def _stripped(data: bytes) -> bytes:
    # DER, whose last byte may look like a blank, is left alone.
    return data.strip() if data.isascii() else data


def read_private_file(path: Path) -> bytes:
    """Return what is in a file that only its owner can read.

    On a file system that is mounted read-only, as secrets of containers are, others may read it: nobody could change
    that there.

    Raises:
        ConfigurationError: It cannot be read, or others can read it.
    """
    return _read(path, is_private=True)


def _read(path: Path, *, is_private: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            # Asked of the open file, so that what is checked is what is read.
            if is_private and os.name == "posix" and _is_public(file.fileno()):
                raise ConfigurationError(f"{path} can be read by others: chmod 600 {path}")
            return file.read()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {file_problem(error)}.") from error


def _is_public(descriptor: int) -> bool:
    if not os.fstat(descriptor).st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return False
    return not os.fstatvfs(descriptor).f_flag & os.ST_RDONLY
