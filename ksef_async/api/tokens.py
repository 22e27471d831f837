"""KSeF tokens: the long-lived secrets programs log in with. Source: OpenAPI 2.9.0, /tokens; tokeny-ksef.md."""

from __future__ import annotations

from datetime import datetime
from http import HTTPMethod

import attrs

from .common import (
    NEVER_LEFT_OUT,
    Context,
    Cursor,
    Identifier,
    OpenStrEnum,
    SubjectIdentifier,
    SubjectType,
    text,
    wire_name,
)
from .operation import Operation, RateGroup
from .permission_grants import Permission

__all__ = [
    "GENERATE_TOKEN",
    "GET_TOKEN",
    "LIST_TOKENS",
    "REVOKE_TOKEN",
    "GenerateTokenRequest",
    "GenerateTokenResponse",
    "IssuedToken",
    "TokenFilter",
    "TokenPage",
    "TokenStatus",
]


class TokenStatus(OpenStrEnum):
    """The status of a token; only an active one can be logged in with."""

    PENDING = "Pending"
    """Being made; it cannot be used yet."""
    ACTIVE = "Active"
    """It can be used."""
    REVOKING = "Revoking"
    """Being revoked."""
    REVOKED = "Revoked"
    """It was revoked, and can be used no more."""
    FAILED = "Failed"
    """It could not be activated; generate another."""


@attrs.frozen(kw_only=True)
class GenerateTokenRequest:
    """Asks for a token."""

    permissions: tuple[Permission, ...]
    description: str = attrs.field(validator=text(5, 256))
    """5 to 256 characters."""


@attrs.frozen
class GenerateTokenResponse:
    """A token that KSeF will activate."""

    reference_number: Identifier
    token: str = attrs.field(repr=False)
    """The secret; KSeF shows it this once."""


@attrs.frozen(kw_only=True)
class IssuedToken:
    """A token as KSeF lists it; never with its secret."""

    reference_number: Identifier
    author: SubjectIdentifier | None = attrs.field(default=None, metadata=wire_name("authorIdentifier"))
    context: Context | None = attrs.field(default=None, metadata=wire_name("contextIdentifier"))
    """Where it was generated, and what it gives access to."""
    description: str | None = None
    requested_permissions: tuple[Permission, ...] = ()
    date_created: datetime | None = None
    last_use_date: datetime | None = None
    status: TokenStatus
    status_details: tuple[str, ...] = ()
    """What KSeF says of a failure."""


@attrs.frozen
class TokenPage:
    """One page of tokens, newest first."""

    tokens: tuple[IssuedToken, ...]
    continuation_token: Cursor | None = attrs.field(default=None, metadata=NEVER_LEFT_OUT)


@attrs.frozen(kw_only=True)
class TokenFilter:
    """Which tokens to list; all by default."""

    status: tuple[TokenStatus, ...] = ()
    """Any of these states; all when empty."""
    description: str | None = attrs.field(default=None, validator=text(3))
    """Is in the description, in any case; at least 3 characters."""
    author_identifier: str | None = attrs.field(default=None, validator=text(3))
    """Is in the author's identifier, in any case; at least 3 characters."""
    author_identifier_type: SubjectType | None = None
    """The kind of `author_identifier`."""


GET, POST, DELETE = HTTPMethod.GET, HTTPMethod.POST, HTTPMethod.DELETE

GENERATE_TOKEN: Operation[GenerateTokenRequest, GenerateTokenResponse] = Operation(
    name="generate_token", method=POST, path="/tokens", success=202,
    request=GenerateTokenRequest, response=GenerateTokenResponse, rate_group=RateGroup.OTHER,
)  # fmt: skip
LIST_TOKENS: Operation[None, TokenPage] = Operation(
    name="list_tokens", method=GET, path="/tokens", success=200, response=TokenPage,
    query=("status", "description", "author_identifier", "author_identifier_type", "page_size"), continued=True,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
GET_TOKEN: Operation[None, IssuedToken] = Operation(
    name="get_token", method=GET, path="/tokens/{reference_number}", success=200, response=IssuedToken,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
REVOKE_TOKEN: Operation[None, None] = Operation(
    # Repeat-safe because a second revocation is refused, which the resource reads as "revoked".
    name="revoke_token", method=DELETE, path="/tokens/{reference_number}", success=204,
    rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
