"""The Ministry's public keys. Source: OpenAPI 2.9.0, /security/*."""

from __future__ import annotations

from http import HTTPMethod

from ..models.keys import PublicKeyCertificate
from .operation import Bearer, Operation, RateGroup

__all__ = [
    "LIST_PUBLIC_KEYS",
]

GET = HTTPMethod.GET

LIST_PUBLIC_KEYS: Operation[None, tuple[PublicKeyCertificate, ...]] = Operation(
    name="list_public_keys", method=GET, path="/security/public-key-certificates", success=200,
    response=tuple[PublicKeyCertificate, ...],
    bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
