"""As much of DER as it takes to read certificates that KSeF issued and `cryptography` refuses.

KSeF wrote some ECDSA certificates with a NULL where RFC 5758 (section 3.2) wants nothing: in the parameters of the
signature algorithm. `cryptography` from version 49 on does not read those. What is repaired here is a copy to read
subject and key from; a signature always carries the certificate as it was issued.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["items", "without_null_parameters", "wrap"]

_SEQUENCE: Final = 0x30
_NULL: Final = b"\x05\x00"
# 1.2.840.10045.4: the signature algorithms of elliptic curves.
_ECDSA: Final = bytes.fromhex("2a8648ce3d04")


def items(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Return a rule for the length of a sequence, and for each of its items.

    Raises:
        ValueError: Not DER.
    """
    at = 0
    while at < len(data):
        start = at
        if len(data) < at + 2:
            raise ValueError("DER that ends too soon")
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4 or len(data) < at + count:
                raise ValueError("DER with a length that is none")
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if len(data) < at + size:
            raise ValueError("DER that ends too soon")
        at += size
        yield tag, data[at - size : at], data[start:at]


def wrap(tag: int, content: bytes) -> bytes:
    """Return the encoding of ``content``."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def without_null_parameters(certificate: bytes) -> bytes:
    """Return a copy of a certificate whose ECDSA signature algorithms have no NULL; its own signature no longer fits.

    Raises:
        ValueError: Not DER, or not of a certificate's shape.
    """
    ((_, content, _),) = items(certificate)
    (_, body, _), (_, algorithm, _), (_, _, signature) = items(content)
    repaired = b"".join(_repaired(tag, content) if tag == _SEQUENCE else whole for tag, content, whole in items(body))
    return wrap(_SEQUENCE, wrap(_SEQUENCE, repaired) + _repaired(_SEQUENCE, algorithm) + signature)


def _repaired(tag: int, content: bytes) -> bytes:
    parts = [(kind, inner, whole) for kind, inner, whole in items(content)]
    # An algorithm and nothing but a NULL: names, dates and keys never look like that.
    if len(parts) == 2 and parts[0][1].startswith(_ECDSA) and parts[1][2] == _NULL:
        return wrap(tag, parts[0][2])
    return wrap(tag, content)
