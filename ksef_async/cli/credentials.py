"""Who logs in: a KSeF token or a certificate. What is secret is read from files that nobody else can read."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import anyio.to_thread

from ..auth.credentials import CertificateCredentials, Credentials, KsefToken
from ..errors import CryptoError
from ..models.auth import SubjectBy
from .exits import UsageError

__all__ = ["CREDENTIAL_NAMES", "has_credentials", "load_credentials", "read_values"]

_TOKEN: Final = "KSEF_TOKEN"
_CERTIFICATE: Final = "KSEF_CERTIFICATE"
_PRIVATE_KEY: Final = "KSEF_PRIVATE_KEY"
_PASSWORD: Final = "KSEF_CERTIFICATE_PASSWORD"
_PASSWORD_FILE: Final = "KSEF_CERTIFICATE_PASSWORD_FILE"
_OF_CERTIFICATE: Final = (_CERTIFICATE, _PRIVATE_KEY, _PASSWORD, _PASSWORD_FILE)

#: What names who logs in; those of a certificate but the password are paths.
CREDENTIAL_NAMES: Final = (_TOKEN, *_OF_CERTIFICATE)


def has_credentials(values: Mapping[str, str]) -> bool:
    """Whether a token or a certificate is named, usable or not."""
    return any(values.get(name) for name in CREDENTIAL_NAMES)


async def load_credentials(values: Mapping[str, str], nip: str) -> Credentials:
    """The token, or the certificate with its key, that ``values`` name.

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
        raise UsageError("A certificate needs signxml: pip install 'ksef_async[cli,xades]'")
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
    """The lines ``NAME=value`` of a private file; ``export`` before them, quotes around values and comments may be.

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
