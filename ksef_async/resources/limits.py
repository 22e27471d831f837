"""What KSeF grants a context and a subject; on TEST it can be overridden."""

from __future__ import annotations

from collections.abc import Iterator

from ..api.limits import (
    GET_CONTEXT_LIMITS,
    GET_RATE_LIMITS,
    GET_SUBJECT_LIMITS,
    OVERRIDE_CONTEXT_LIMITS,
    OVERRIDE_RATE_LIMITS,
    OVERRIDE_SUBJECT_LIMITS,
    RESTORE_CONTEXT_LIMITS,
    RESTORE_RATE_LIMITS,
    RESTORE_SUBJECT_LIMITS,
    USE_PRODUCTION_RATE_LIMITS,
    CertificateQuota,
    ContextLimits,
    EnrollmentQuota,
    RateLimitsOverride,
    SetRateLimitsRequest,
    SubjectLimits,
    SubjectLimitsOverride,
)
from ..api.rates import RateLimits
from ..calling.caller import Caller
from ..errors import InvalidFieldError
from ..protocol.limits import context_limit_problems, override_of, rate_limit_problems, subject_limit_problems

__all__ = ["Limits"]


class Limits:
    """The limits that KSeF grants. `KsefClient.limits` is one.

    The overrides work on TEST only (and in the sandbox). To pace a client by other rate limits, call
    ``client.pacing.adopt_limits()`` after overriding them.
    """

    def __init__(self, api: Caller) -> None:
        self._api = api

    async def get_context(self) -> ContextLimits:
        """Return how many invoices, and of what size, the context's sessions and collective identifiers take.

        What KSeF does not tell is what it grants to all; the event `AnswerIncomplete` says which.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /limits/context.
        """
        return await self._api.call(GET_CONTEXT_LIMITS)

    async def get_subject(self) -> SubjectLimits:
        """Return the number of certificates and of applications that the subject who logged in may have.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /limits/subject.
        """
        return await self._api.call(GET_SUBJECT_LIMITS)

    async def get_rates(self) -> RateLimits:
        """Return how many calls the context is granted.

        What KSeF does not tell is what production grants; the event `AnswerIncomplete` says which.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.
            RemoteProtocolError: The answer is not what KSeF's API describes.

        Source: GET /rate-limits.
        """
        return await self._api.call(GET_RATE_LIMITS)

    async def override_context(self, limits: ContextLimits) -> None:
        """Grant the context other limits: 0 to 5 MB, 0 to 10 MB with attachments, 0 to 100,000 invoices a session,
        2 to 5,000 a collective identifier.

        Raises:
            InvalidFieldError: A value is out of its bounds; nothing was sent.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: POST /testdata/limits/context/session.
        """
        _refuse(context_limit_problems(limits))
        await self._api.call(OVERRIDE_CONTEXT_LIMITS, limits)

    async def restore_context(self) -> None:
        """Grant the context what it is granted by default.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: DELETE /testdata/limits/context/session.
        """
        await self._api.call(RESTORE_CONTEXT_LIMITS)

    async def override_subject(self, *, enrollments: int | None = None, certificates: int | None = None) -> None:
        """Grant the subject that logged in other limits.

        Args:
            enrollments: How often it may apply for a certificate; None leaves that as it is.
            certificates: How many active certificates it may have; None leaves that as it is.

        Raises:
            InvalidFieldError: A number is negative; nothing was sent.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: POST /testdata/limits/subject/certificate.
        """
        limits = SubjectLimitsOverride(
            enrollment=None if enrollments is None else EnrollmentQuota(enrollments),
            certificate=None if certificates is None else CertificateQuota(certificates),
        )
        _refuse(subject_limit_problems(limits))
        await self._api.call(OVERRIDE_SUBJECT_LIMITS, limits)

    async def restore_subject(self) -> None:
        """Grant the subject that logged in what it is granted by default.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: DELETE /testdata/limits/subject/certificate.
        """
        await self._api.call(RESTORE_SUBJECT_LIMITS)

    async def override_rates(self, limits: RateLimits | RateLimitsOverride) -> None:
        """Grant the context other rate limits, each from 1 to ten times that of production.

        Args:
            limits: Of `RateLimits`, e.g. what `get_rates` returns, those groups go out that can be overridden (see
                `RateLimitsOverride`), with the most that KSeF grants where there is no limit.

        Raises:
            InvalidFieldError: A value is out of its bounds; nothing was sent.
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: POST /testdata/rate-limits.
        """
        override = override_of(limits) if isinstance(limits, RateLimits) else limits
        _refuse(rate_limit_problems(override))
        await self._api.call(OVERRIDE_RATE_LIMITS, SetRateLimitsRequest(override))

    async def restore_rates(self) -> None:
        """Grant the context the rate limits of its environment.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: DELETE /testdata/rate-limits.
        """
        await self._api.call(RESTORE_RATE_LIMITS)

    async def use_production_rates(self) -> None:
        """Grant the context the rate limits of production.

        Raises:
            TransportError: No answer came.
            ApiError: KSeF refused the call, or failed.

        Source: POST /testdata/rate-limits/production.
        """
        await self._api.call(USE_PRODUCTION_RATE_LIMITS)


def _refuse(problems: Iterator[tuple[str, str]]) -> None:
    for field, rule in problems:
        raise InvalidFieldError(field, rule)
