"""Login and its tokens. Source: OpenAPI 2.9.0, /auth/*."""

from __future__ import annotations

from http import HTTPMethod

from ..models.auth import (
    AccessTokenResponse,
    Challenge,
    LoginStarted,
    LoginStatus,
    TokenLoginRequest,
    TokenPair,
)
from .operation import Bearer, Operation, RateGroup

__all__ = [
    "GET_CHALLENGE",
    "GET_LOGIN_STATUS",
    "LOG_IN_WITH_SIGNATURE",
    "LOG_IN_WITH_TOKEN",
    "REDEEM_TOKENS",
    "REFRESH_ACCESS_TOKEN",
    "REVOKE_CURRENT_LOGIN",
]

GET, POST, DELETE = HTTPMethod.GET, HTTPMethod.POST, HTTPMethod.DELETE

GET_CHALLENGE: Operation[None, Challenge] = Operation(
    name="get_challenge", method=POST, path="/auth/challenge", success=200, response=Challenge,
    bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
LOG_IN_WITH_TOKEN: Operation[TokenLoginRequest, LoginStarted] = Operation(
    name="log_in_with_token", method=POST, path="/auth/ksef-token", success=202,
    request=TokenLoginRequest, response=LoginStarted, bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
LOG_IN_WITH_SIGNATURE: Operation[bytes, LoginStarted] = Operation(
    name="log_in_with_signature", method=POST, path="/auth/xades-signature", success=202, request=bytes,
    response=LoginStarted, query=("verify_certificate_chain",), bearer=Bearer.NONE, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
GET_LOGIN_STATUS: Operation[None, LoginStatus] = Operation(
    name="get_login_status", method=GET, path="/auth/{reference_number}", success=200, response=LoginStatus,
    bearer=Bearer.LOGIN, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
REDEEM_TOKENS: Operation[None, TokenPair] = Operation(
    name="redeem_tokens", method=POST, path="/auth/token/redeem", success=200, response=TokenPair,
    bearer=Bearer.LOGIN, rate_group=RateGroup.ANONYMOUS,
)  # fmt: skip
REFRESH_ACCESS_TOKEN: Operation[None, AccessTokenResponse] = Operation(
    name="refresh_access_token", method=POST, path="/auth/token/refresh", success=200,
    response=AccessTokenResponse, bearer=Bearer.REFRESH, rate_group=RateGroup.ANONYMOUS, repeat_safe=True,
)  # fmt: skip
REVOKE_CURRENT_LOGIN: Operation[None, None] = Operation(
    # KSeF takes the refresh token here as well as the access token.
    name="revoke_current_login", method=DELETE, path="/auth/sessions/current", success=204,
    bearer=Bearer.REFRESH, rate_group=RateGroup.OTHER, repeat_safe=True,
)  # fmt: skip
