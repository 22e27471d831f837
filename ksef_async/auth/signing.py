"""The proof of a login by certificate: an AuthTokenRequest with a XAdES signature. Source: uwierzytelnianie.md."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import anyio.to_thread

from ..errors import LocalProtocolError
from ..protocol.xml import auth_token_request
from .credentials import CertificateCredentials

if TYPE_CHECKING:
    from ..crypto.xades import UnsignedDocument

__all__ = ["sign_login"]


async def sign_login(credentials: CertificateCredentials, challenge: str, now: datetime) -> bytes:
    """Return the signed AuthTokenRequest that answers ``challenge``; the work is done in worker threads.

    Args:
        credentials: Who logs in.
        challenge: What KSeF asked.
        now: What time it is at KSeF: the time of the signature.

    Raises:
        CryptoError: The certificate is not valid now, or the signature is not of its key.
        LocalProtocolError: The extra ``xades`` is not installed.
    """
    credentials.certificate.check_valid(now)
    document = await anyio.to_thread.run_sync(_prepare, credentials, challenge, now)
    if credentials.hook is not None:
        signature = await credentials.hook(document.to_sign, document.algorithm)
    else:
        signature = await anyio.to_thread.run_sync(_sign, credentials, document)
    return await anyio.to_thread.run_sync(document.complete, signature)


def _prepare(credentials: CertificateCredentials, challenge: str, now: datetime) -> UnsignedDocument:
    try:
        from ..crypto.xades import prepare
    except ModuleNotFoundError as error:
        raise LocalProtocolError(
            f"A login by certificate needs {error.name}; install ksef_async with the extra 'xades'."
        ) from error
    root = auth_token_request(challenge, credentials.context, credentials.subject_by, credentials.policy)
    return prepare(root, credentials.certificate, now)


def _sign(credentials: CertificateCredentials, document: UnsignedDocument) -> bytes:
    from ..crypto.xades import sign_with_key

    if credentials.key is None:
        raise LocalProtocolError("There is neither a key nor a hook that signs.")
    return sign_with_key(credentials.key, document)
