"""The seal on receipts: a XAdES signature by a key of the sandbox's own; needs the extra ``xades``."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Final

from ..crypto.certificates import Certificate, PrivateKey
from ..crypto.issuing import new_private_key, self_signed

__all__ = ["sealed"]

_SUBJECT: Final = {
    "country_name": "PL",
    "organization_name": "ksef_async sandbox",
    "common_name": "SYMULATOR pieczęć UPO - nie Ministerstwo Finansów",
}


@functools.cache
def _seal() -> tuple[Certificate, PrivateKey]:
    # One for all sandboxes of a process, whatever time their clocks tell.
    key = new_private_key("ec")
    return self_signed(_SUBJECT, key, valid_from=datetime(2020, 1, 1, tzinfo=UTC), lifetime=timedelta(days=36525)), key


def sealed(document: bytes, signing_time: datetime) -> bytes:
    """A document with its signature; as it is where signxml is not installed.

    Call it in a worker thread.
    """
    try:
        from lxml import etree

        from ..crypto.xades import prepare, sign_with_key
    except ModuleNotFoundError:
        return document
    certificate, key = _seal()
    unsigned = prepare(etree.fromstring(document), certificate, signing_time)
    return unsigned.complete(sign_with_key(key, unsigned))
