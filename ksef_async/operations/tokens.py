"""KSeF tokens. Source: OpenAPI 2.9.0, /tokens."""

from __future__ import annotations

from http import HTTPMethod

from ..models.tokens import GenerateTokenRequest, GenerateTokenResponse, IssuedToken, TokenPage
from .operation import Operation, RateGroup

__all__ = ["GENERATE_TOKEN", "GET_TOKEN", "LIST_TOKENS", "REVOKE_TOKEN"]

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
