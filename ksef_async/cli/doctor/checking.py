"""Running checks: each by itself, within its time, and whatever it meets is what it reports."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import attrs

from ...errors import (
    ConfigurationError,
    ConnectError,
    CryptoError,
    ForbiddenError,
    KsefError,
    LocalProtocolError,
    LoginFailedError,
    RateLimitedError,
    ServerError,
    TransportError,
    UnauthorizedError,
    WaitTimeoutError,
)
from ..output import Exit, UsageError
from ..running import exit_code
from .report import Finding, State

__all__ = ["CheckResult", "Checker", "advice_for", "failed", "ok", "skipped", "warning"]


@attrs.frozen
class CheckResult:
    """The result of a check, before its time is known."""

    state: State
    text: str
    advice: str = ""
    code: Exit = Exit.FAILED


def ok(text: str) -> CheckResult:
    """Return that all is well."""
    return CheckResult("ok", text)


def warning(text: str, advice: str = "") -> CheckResult:
    """Return that it works, but something is to be known."""
    return CheckResult("warning", text, advice)


def failed(text: str, advice: str = "", code: Exit = Exit.FAILED) -> CheckResult:
    """Return that it does not work."""
    return CheckResult("failed", text, advice, code)


def skipped(text: str, advice: str = "") -> CheckResult:
    """Return that there was nothing to check."""
    return CheckResult("skipped", text, advice)


class Checker:
    """Collects findings.

    Args:
        report: Is told of each finding as soon as there is one.
    """

    def __init__(self, report: Callable[[Finding], None] | None = None) -> None:
        self.findings: list[Finding] = []
        self._report = report

    async def run(self, name: str, check: Callable[[], Awaitable[CheckResult]], seconds: float) -> bool:
        """Run a check, for ``seconds`` at most.

        Returns:
            Whether it neither failed nor was skipped.
        """
        started = time.monotonic()
        result = failed(
            f"No end after {seconds:g} s.",
            "Something on the way swallows what is sent: ask who runs the network, or try again later.",
        )
        with anyio.move_on_after(seconds):
            try:
                result = await check()
            except Exception as error:  # noqa: BLE001 - whatever a check meets is what it reports
                result = _of_error(error)
        self.add(name, result, time.monotonic() - started)
        return result.state in ("ok", "warning")

    def add(self, name: str, result: CheckResult, seconds: float = 0.0) -> None:
        """Add what was found without waiting."""
        finding = Finding(
            name=name,
            state=result.state,
            text=result.text,
            advice=result.advice,
            seconds=seconds,
            code=result.code if result.state == "failed" else Exit.OK,
        )
        self.findings.append(finding)
        if self._report is not None:
            self._report(finding)


def _of_error(error: Exception) -> CheckResult:
    text = str(error) if isinstance(error, KsefError | UsageError) else f"{type(error).__name__}: {error}"
    return failed(text, advice_for(error), exit_code(error) or Exit.FAILED)


_LOGIN_ADVICE: Final = {
    415: "Have the company grant a permission in KSeF to whoever logs in; or log in for another company (KSEF_NIP), or "
    "with another certificate.",
    425: "The token was revoked: generate another one.",
    450: "Copy the token anew, whole, and of this environment: those of TEST are unknown to PRODUCTION. It may have "
    "been revoked, or belong to another NIP.",
    460: "Use a certificate that KSeF issued or knows, still valid and not revoked; one that signs itself is good on "
    "TEST only.",
    480: "KSeF has blocked whoever logs in: ask the Ministry's help desk.",
}


def advice_for(error: Exception) -> str:
    """Return what to do about an error; empty where its own sentence says it."""
    match error:
        case LoginFailedError():
            return _LOGIN_ADVICE.get(error.code, "KSeF itself failed: try again in some minutes.")
        case RateLimitedError():
            wait = "a while" if error.retry_after is None else f"{error.retry_after:.0f} s"
            return f"KSeF counts the calls of other programs, too, by address and company: wait {wait}, and try again."
        case UnauthorizedError():
            return "KSeF does not take the access token: log in anew; where that does not help, the clock may be wrong."
        case ForbiddenError():
            return "Whoever logs in lacks the permission, or calls from an address that is not allowed."
        case ServerError():
            return "KSeF, or a gateway in front of it, fails: try again in some minutes; see Latarnia above."
        case WaitTimeoutError():
            return "KSeF is slow: try again later; see Latarnia above."
        case ConnectError():
            return "See DNS, proxy and TLS above."
        case TransportError():
            return "The connection broke: try again; where it always breaks, something on the way cuts it."
        case ConfigurationError() | UsageError() | CryptoError():
            return "See `ksef-async help credentials`."
        case LocalProtocolError():
            return ""
    return "Please report this to the library's maintainers, with this report." if exit_code(error) is None else ""
