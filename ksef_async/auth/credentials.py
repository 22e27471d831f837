"""What a login is made of: a KSeF token, or a certificate with its key."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias, TypedDict, Unpack

import anyio
import anyio.to_thread
import attrs

from ..api.auth import AuthorizationPolicy, SubjectBy
from ..api.common import Context, ContextType
from ..api.environment import Environment
from ..calling.whole_files import create_private_file
from ..errors import LocalProtocolError
from ..protocol.numbers import has_valid_check_digit, has_valid_internal_id, nip_problem

if TYPE_CHECKING:
    # Reading certificates, and signing XML, is loaded by those who log in with them.
    from ..crypto.certificates import Certificate
    from ..crypto.issuing import KeyKind
    from ..crypto.xades import SigningKey

__all__ = [
    "CertificateCredentials",
    "CertificateOptions",
    "Credentials",
    "KsefToken",
    "SignHook",
    "checked_credentials",
]

SignHook: TypeAlias = Callable[[bytes, str], Awaitable[bytes]]
"""Signs bytes by an algorithm: ``rsa-sha256`` (PKCS#1 v1.5), ``ecdsa-sha256``, ``ecdsa-sha384`` or ``ecdsa-sha512``. An
ECDSA signature may be DER or ``R||S``.
"""

_CONTEXTS: Final[Mapping[str, Callable[[str], object]]] = {
    ContextType.INTERNAL_ID: has_valid_internal_id,
    ContextType.NIP_VAT_UE: re.compile(r"[1-9]([0-9][1-9]|[1-9][0-9])[0-9]{7}-[A-Z]{2}[A-Z0-9+*]{2,12}").fullmatch,
    ContextType.PEPPOL_ID: re.compile(r"P[A-Z]{2}[0-9]{6}").fullmatch,
}


def _stripped(value: str | None) -> str | None:
    # Whatever else it is instead of text is refused with a sentence.
    return value.strip() if isinstance(value, str) else value


def _token(value: str) -> str:
    if not isinstance(value, str):
        raise LocalProtocolError(f"A KSeF token is text, and not of type {type(value).__name__}.")
    if not (token := value.strip()):
        raise LocalProtocolError("The KSeF token is empty.")
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise LocalProtocolError("The KSeF token has a blank, a newline or another character inside that none has.")
    return token


def _context_of_nip(credentials: KsefToken | CertificateCredentials) -> Context:
    if credentials.nip is None:
        kind = type(credentials).__name__
        raise LocalProtocolError(f"A {kind} needs the NIP (or another context) on whose behalf calls are made.")
    return Context(ContextType.NIP, credentials.nip)


def _check_context(credentials: KsefToken | CertificateCredentials) -> None:
    nip, context = credentials.nip, credentials.context
    if nip is not None and context != Context(ContextType.NIP, nip):
        raise LocalProtocolError("Give either the NIP or another context, not both.")
    if context.type == ContextType.NIP and (problem := nip_problem(context.value)):
        raise LocalProtocolError(problem)
    if (fits := _CONTEXTS.get(context.type)) is not None and not fits(context.value):
        raise LocalProtocolError(
            f"{context.value!r} is not written as KSeF writes an identifier of type {context.type}."
        )


@attrs.frozen(kw_only=True)
class KsefToken:
    """Login with a KSeF token, the long-lived secret issued in KSeF for one context.

    By regulation KSeF takes tokens as a login until 2026-12-31 only; the Ministry has proposed to keep them, with 1 to
    365 days of validity (ksef-api#834, not enacted when this was written). `CertificateCredentials` stay.

    Args:
        nip: NIP of the company on whose behalf calls are made (10 digits).
        token: As KSeF showed it, once; blanks and newlines around it do not count.
        context: In place of ``nip`` where the context is not a NIP.
        policy: Addresses from which the tokens of this login may be used.

    Raises:
        LocalProtocolError: Neither or both of ``nip`` and ``context``; a malformed NIP; a token that is empty, no text,
            or has blanks inside.
    """

    nip: str | None = attrs.field(default=None, converter=_stripped)
    token: str = attrs.field(converter=_token, repr=False)
    context: Context = attrs.field(default=attrs.Factory(_context_of_nip, takes_self=True))
    policy: AuthorizationPolicy | None = None

    def __attrs_post_init__(self) -> None:
        _check_context(self)


class CertificateOptions(TypedDict, total=False):
    """The arguments of every way to make `CertificateCredentials`, whose docstring describes them."""

    nip: str | None
    context: Context
    subject_by: SubjectBy
    policy: AuthorizationPolicy | None
    verify_certificate_chain: bool


@attrs.frozen(kw_only=True, eq=False)
class CertificateCredentials:
    """Login with a certificate: KSeF's own, a seal, a person's, or on TEST one that signs itself.

    Made by `from_bytes`, `from_files`, `from_pkcs12`, `from_key`, `from_hook` or `self_signed`; needs the extra
    ``xades``.

    Args:
        nip: NIP of the company on whose behalf calls are made (10 digits).
        certificate: Of whoever logs in.
        key: Its key, or what signs like those of `cryptography`; it is called in a worker thread.
        hook: Signs in place of ``key``, and may wait for a card, a PIN or another machine.
        context: In place of ``nip`` where the context is not a NIP.
        subject_by: How KSeF finds out who logs in: by the certificate's subject or by its fingerprint.
        policy: IPv4 addresses from which the tokens of this login may be used.
        verify_certificate_chain: Ask TEST to verify the certificate as production does.

    Raises:
        LocalProtocolError: Neither or both of ``nip`` and ``context``, or one that is malformed; neither or both of
            ``key`` and ``hook``.
    """

    nip: str | None = attrs.field(default=None, converter=_stripped)
    certificate: Certificate = attrs.field(repr=False)
    key: SigningKey | None = attrs.field(default=None, repr=False)
    hook: SignHook | None = attrs.field(default=None, repr=False)
    context: Context = attrs.field(default=attrs.Factory(_context_of_nip, takes_self=True))
    subject_by: SubjectBy = SubjectBy.CERTIFICATE_SUBJECT
    policy: AuthorizationPolicy | None = None
    verify_certificate_chain: bool = False

    def __attrs_post_init__(self) -> None:
        if (self.key is None) is (self.hook is None):
            raise LocalProtocolError("CertificateCredentials need either a key or a hook that signs.")
        _check_context(self)

    @property
    def holder(self) -> str:
        """Who logs in, as KSeF finds out, for people: ``"NIP 5265877635"``, a person, or the fingerprint's beginning.

        A PESEL is not told.
        """
        identifier = None if self.subject_by == SubjectBy.CERTIFICATE_FINGERPRINT else self.certificate.identifier
        if identifier is None:
            return f"fingerprint {self.certificate.fingerprint[:16]}..."
        kind, number = identifier
        return f"NIP {number}" if kind == "Nip" else "a person known by PESEL"

    @classmethod
    def from_bytes(
        cls,
        certificate: bytes | str,
        key: bytes | str,
        *,
        password: str | bytes | None = None,
        **options: Unpack[CertificateOptions],
    ) -> Self:
        """From a certificate and its private key, each PEM or DER.

        A PEM may hold the certificates of authorities as well, in any order: the one that fits the key is taken.

        With a ``password`` it may take tenths of a second: call it before the event loop runs, or in a thread.

        Args:
            certificate: Of whoever logs in.
            key: Its private key.
            password: Of the key, where it is encrypted.
            options: ``nip=`` of the company (or ``context=``), ``subject_by=``, ``policy=`` or
                ``verify_certificate_chain=``, as for `CertificateCredentials`.

        Raises:
            CryptoError: One of them cannot be read, the password is wrong, they do not belong together, or KSeF takes
                no such key.
            LocalProtocolError: As the class.
        """
        from ..crypto.certificates import load_certificate_of, load_private_key

        private_key = load_private_key(_bytes(key), None if password is None else _bytes(password))
        loaded = load_certificate_of(_bytes(certificate), private_key.public_key())
        return cls(certificate=loaded, key=private_key, **options)

    @classmethod
    def from_key(cls, certificate: bytes | str, key: SigningKey, **options: Unpack[CertificateOptions]) -> Self:
        """From a certificate (as for `from_bytes`) and a key at hand: one of `cryptography`, or what signs like it.

        A smart card's driver that signs while it is called fits; `from_hook` is for what has to be waited for.

        Args:
            certificate: PEM or DER, as for `from_bytes`.
            key: Signs; it is called in a worker thread.
            options: ``nip=`` of the company (or ``context=``), ``subject_by=``, ``policy=`` or
                ``verify_certificate_chain=``, as for `CertificateCredentials`.

        Raises:
            CryptoError: The certificate cannot be read, or the key is not its own.
            LocalProtocolError: As the class.
        """
        from ..crypto.certificates import load_certificate, load_certificate_of

        # Of other keys, the first signature tells.
        if (public_key := getattr(key, "public_key", None)) is not None:
            loaded = load_certificate_of(_bytes(certificate), public_key())
        else:
            loaded = load_certificate(_bytes(certificate))
        return cls(certificate=loaded, key=key, **options)

    @classmethod
    def from_pkcs12(
        cls, data: bytes, password: str | bytes | None = None, **options: Unpack[CertificateOptions]
    ) -> Self:
        """From a PKCS#12 file (.p12, .pfx); may take tenths of a second, as `from_bytes`.

        Args:
            data: What is in the file.
            password: Of the file.
            options: ``nip=`` of the company (or ``context=``), ``subject_by=``, ``policy=`` or
                ``verify_certificate_chain=``, as for `CertificateCredentials`.

        Raises:
            CryptoError: The password is wrong, or there is no key with its certificate that KSeF takes.
            LocalProtocolError: As the class.
        """
        from ..crypto.certificates import load_pkcs12

        certificate, key = load_pkcs12(data, None if password is None else _bytes(password))
        return cls(certificate=certificate, key=key, **options)

    @classmethod
    async def from_files(
        cls,
        certificate: str | os.PathLike[str],
        key: str | os.PathLike[str] | None = None,
        *,
        password: str | bytes | None = None,
        **options: Unpack[CertificateOptions],
    ) -> Self:
        """From files: certificate and key (PEM or DER); or one file of both, PEM or PKCS#12, without ``key``.

        Args:
            certificate: The certificate's file, or the one of both.
            key: The key's file.
            password: Of the key or the PKCS#12 file, where it is encrypted.
            options: ``nip=`` of the company (or ``context=``), ``subject_by=``, ``policy=`` or
                ``verify_certificate_chain=``, as for `CertificateCredentials`.

        Raises:
            OSError: A file cannot be read.
            CryptoError: As `from_bytes` and `from_pkcs12`.
            LocalProtocolError: As `from_bytes` and `from_pkcs12`.
        """
        data = await anyio.Path(certificate).read_bytes()
        if key is None and b"-----BEGIN" not in data:
            return await anyio.to_thread.run_sync(partial(cls.from_pkcs12, data, password, **options))
        key_data = data if key is None else await anyio.Path(key).read_bytes()
        return await anyio.to_thread.run_sync(partial(cls.from_bytes, data, key_data, password=password, **options))

    @classmethod
    def from_hook(cls, certificate: bytes | str, hook: SignHook, **options: Unpack[CertificateOptions]) -> Self:
        """From a certificate (PEM or DER) whose key is elsewhere: on a smart card, in an HSM, behind a service.

        Where a PEM holds several certificates, the first one is taken.

        What ``hook`` raises comes out of the login as it is; a signature of another key is a `CryptoError`.

        Args:
            certificate: PEM or DER.
            hook: Signs, and may wait for a card, a PIN or another machine.
            options: ``nip=`` of the company (or ``context=``), ``subject_by=``, ``policy=`` or
                ``verify_certificate_chain=``, as for `CertificateCredentials`.

        Raises:
            CryptoError: The certificate cannot be read.
            LocalProtocolError: As the class.
        """
        from ..crypto.certificates import load_certificate

        return cls(certificate=load_certificate(_bytes(certificate)), hook=hook, **options)

    @classmethod
    async def self_signed(
        cls,
        seal_nip: str,
        *,
        pesel: str | None = None,
        person_nip: str | None = None,
        key_kind: KeyKind = "ec",
        **options: Unpack[CertificateOptions],
    ) -> Self:
        """For TEST: a new key with a certificate that vouches for itself, as KSeF takes it nowhere else.

        Args:
            seal_nip: Of the company that logs in, with its seal; also the context unless ``options`` name another.
            pesel: Of a person who logs in, in place of the company (``PNOPL`` in the certificate).
            person_nip: Of a person who logs in by NIP, in place of the company (``TINPL`` in the certificate).
            key_kind: ``"ec"`` (P-256) or ``"rsa"`` (2048 bits).
            options: ``nip=`` or ``context=``, ``subject_by=``, ``policy=`` or ``verify_certificate_chain=``, as for
                `CertificateCredentials`.

        Raises:
            LocalProtocolError: Both ``pesel`` and ``person_nip``, or as the class.
            CryptoError: A number cannot be written in a certificate.
        """
        if pesel and person_nip:
            raise LocalProtocolError("A person's certificate has either a PESEL or a NIP, not both.")
        from ..crypto.issuing import new_private_key, self_signed_person, self_signed_seal

        private_key = await anyio.to_thread.run_sync(new_private_key, key_kind)
        make = partial(self_signed_seal, seal_nip)
        if pesel or person_nip:
            make = partial(self_signed_person, pesel=pesel or None, nip=person_nip or None)
        certificate = await anyio.to_thread.run_sync(make, private_key)
        if not options.keys() & {"nip", "context"}:
            options["nip"] = seal_nip
        return cls(certificate=certificate, key=private_key, **options)

    async def save(self, path: Path | str) -> None:
        """Write key and certificate into one new file (PEM, 0600), for `from_files` and ``KSEF_CERTIFICATE_FILE``.

        Args:
            path: The file, which must not be there yet.

        Raises:
            LocalProtocolError: The key is not at hand, as that of a card; or the file is there already.
            OSError: It cannot be written.
        """
        await anyio.to_thread.run_sync(self._save, Path(path))

    def _save(self, path: Path) -> None:
        from ..crypto.certificates import ExportableKey, private_key_pem

        if not isinstance(self.key, ExportableKey):
            raise LocalProtocolError("The key of these credentials signs elsewhere; it cannot be written into a file.")
        try:
            create_private_file(path, private_key_pem(self.key) + self.certificate.pem)
        except FileExistsError:
            raise LocalProtocolError(f"{path} is there already; it is not overwritten.") from None


Credentials: TypeAlias = KsefToken | CertificateCredentials
"""Whatever a client can log in with."""


def checked_credentials(credentials: Credentials, environment: Environment) -> Credentials:
    """Return ``credentials`` where ``environment`` may take them.

    Raises:
        LocalProtocolError: They are something else; or the environment is production, which knows real companies only,
            and the check digit of the company's NIP is wrong.
    """
    if not isinstance(credentials, KsefToken | CertificateCredentials):
        kind = type(credentials).__name__
        raise LocalProtocolError(f"Credentials are a KsefToken or CertificateCredentials, and not of type {kind}.")
    context = credentials.context
    if (
        environment.host == Environment.PRODUCTION.host
        and context.type == ContextType.NIP
        and not has_valid_check_digit(context.value)
    ):
        raise LocalProtocolError(f"{context.value} is nobody's NIP: its last digit, the check digit, is wrong.")
    return credentials


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
