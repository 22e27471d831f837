"""How the sandbox says no, in both of KSeF's error formats. Source: protocol, error bodies."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from ..protocol import json
from ..protocol.error_codes import DESCRIPTIONS, ErrorCode
from ..protocol.wire import format_datetime

__all__ = [
    "UNKNOWN_FORM",
    "Forbidden",
    "Gone",
    "InvalidInput",
    "NotAcceptable",
    "Refusal",
    "StorageRefusal",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
    "internal_error",
]


UNKNOWN_FORM: Final = "Wskazany kod formularza nie jest wspierany."
"""KSeF's words for a form that it does not know, or does not take here."""


class Refusal(Exception):  # noqa: N818  # it is an answer, not a failure of the sandbox
    """400, with one of KSeF's exception codes."""

    def __init__(self, code: ErrorCode, *details: str) -> None:
        super().__init__(f"{code.value} {'; '.join(details)}")
        self.code = code
        self.details = details

    def response(self, *, instance: str, now: datetime, problem_details: bool) -> web.Response:
        """Return the answer, as problem details or in the legacy format."""
        description = DESCRIPTIONS[self.code]
        if problem_details:
            error = _present(code=self.code.value, description=description, details=list(self.details) or None)
            body = _problem("Bad Request", 400, "Żądanie jest nieprawidłowe.", instance, now) | {"errors": [error]}
            return _json(400, body, "application/problem+json")
        return _legacy(400, self.code.value, description, self.details, now)


class InvalidInput(Refusal):
    """21405, with everything that the validator found."""

    def __init__(self, *details: str) -> None:
        super().__init__(ErrorCode.INVALID_INPUT, *details)


class Unauthorized(Refusal):
    """401: the token is missing, expired or unknown."""

    def __init__(self) -> None:
        Exception.__init__(self, "401")

    def response(self, *, instance: str, now: datetime, problem_details: bool) -> web.Response:
        """Return the answer, always as problem details."""
        return _json(
            401,
            _problem("Unauthorized", 401, "Wymagane jest uwierzytelnienie.", instance, now),
            "application/problem+json",
        )


class Forbidden(Refusal):
    """403: the token is valid and lacks the permission."""

    def __init__(self, reason: str, detail: str, security: Mapping[str, Any] | None = None) -> None:
        Exception.__init__(self, f"403 {reason}")
        self._reason = reason
        self._detail = detail
        self._security = security

    def response(self, *, instance: str, now: datetime, problem_details: bool) -> web.Response:
        """Return the answer, always as problem details."""
        body = _problem("Forbidden", 403, self._detail, instance, now)
        body |= _present(reasonCode=self._reason, security=self._security)
        return _json(403, body, "application/problem+json")


class Gone(Refusal):
    """410: it is too old for a status."""

    def __init__(self) -> None:
        Exception.__init__(self, "410")

    def response(self, *, instance: str, now: datetime, problem_details: bool) -> web.Response:
        """Return the answer, always as problem details."""
        body = _problem("Gone", 410, "Operacja wygasła i nie jest już dostępna.", instance, now)
        return _json(410, body, "application/problem+json")


class NotAcceptable(Refusal):
    """406: the caller does not accept the type of the answer (ksef-api#805)."""

    def __init__(self) -> None:
        Exception.__init__(self, "406")

    def response(self, *, instance: str, now: datetime, problem_details: bool) -> web.Response:
        """Return the answer without a body, as KSeF's framework does by itself."""
        return web.Response(status=406)


class UnsupportedMediaType(Refusal):
    """415: the body is not of the type that the operation takes."""

    def __init__(self) -> None:
        Exception.__init__(self, "415")

    def response(self, *, instance: str, now: datetime, problem_details: bool) -> web.Response:
        """Return the answer as problem details, as KSeF's framework does by itself [INF]."""
        body = _problem("Unsupported Media Type", 415, "Nieobsługiwany typ treści.", instance, now)
        return _json(415, body, "application/problem+json")


class TooManyRequests(Refusal):
    """429: a rate limit is reached."""

    def __init__(self, limit: int, window: str, retry_after: int) -> None:
        Exception.__init__(self, f"429 for {retry_after} s")
        self._retry_after = retry_after
        self._detail = f"Przekroczono limit {limit} żądań na {window}. Spróbuj ponownie po {retry_after} sekundach."

    def response(self, *, instance: str, now: datetime, problem_details: bool) -> web.Response:
        """Return the answer as problem details, or with the ``status`` object that only 429 has."""
        title = "Too Many Requests"
        if problem_details:
            response = _json(429, _problem(title, 429, self._detail, instance, now), "application/problem+json")
        else:
            body = {"status": {"code": 429, "description": title, "details": [self._detail]}}
            response = _json(429, body, "application/json")
        response.headers["Retry-After"] = str(self._retry_after)
        return response


class StorageRefusal(Refusal):
    """The storage behind signed links answers in its own XML."""

    def __init__(self, status: int, code: str, message: str) -> None:
        Exception.__init__(self, f"{status} {code}")
        self._status = status
        self._body = (
            f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
        )

    def response(self, *, instance: str, now: datetime, problem_details: bool) -> web.Response:
        """Return the answer as Azure's error document."""
        return web.Response(status=self._status, text=self._body, content_type="application/xml")


def internal_error(now: datetime) -> web.Response:
    """Return a 500, which KSeF gives in the legacy format."""
    return _legacy(500, 500, "Wystąpił nieoczekiwany błąd.", (), now)


def _legacy(status: int, code: int, description: str, details: tuple[str, ...], now: datetime) -> web.Response:
    entry = _present(exceptionCode=code, exceptionDescription=description, details=list(details) or None)
    body = {
        "exception": {
            "exceptionDetailList": [entry],
            "serviceCode": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00",
            "timestamp": format_datetime(now).replace("+00:00", "Z"),
        }
    }
    return _json(status, body, "application/json")


def _problem(title: str, status: int, detail: str, instance: str, now: datetime) -> dict[str, Any]:
    return {
        "title": title,
        "status": status,
        "instance": instance,
        "detail": detail,
        "timestamp": format_datetime(now),
        "traceId": secrets.token_hex(16),
    }


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _json(status: int, body: object, content_type: str) -> web.Response:
    return web.Response(status=status, body=json.dumps(body), content_type=content_type)
