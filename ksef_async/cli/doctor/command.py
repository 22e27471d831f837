"""``ksef-async doctor``: which checks are run, in which order, and where the report goes."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import anyio.to_thread

from ... import __version__
from ...calling.caller import Caller
from ...errors import LocalProtocolError
from ..access import Access, Settled
from ..arguments import NETWORK_AND_JOURNAL, Command, Parser
from ..output import UsageError, print_json
from .checking import Checker
from .company import Company
from .network import API_VERSION, ONCE, Way
from .report import DoctorReport, Finding, write_finding, write_head, write_sum
from .trial import Trial, may_try

__all__ = ["COMMAND", "doctor", "examine"]

# Seconds a check may take.
_SHORT: Final = 10.0
_LONG: Final = 30.0
# The Ministry may ask a certificate's issuer, which takes minutes.
_LOGIN: Final = 120.0
_PACKAGES: Final = ("aiohttp", "cryptography", "signxml")


def _add_arguments(parser: Parser) -> None:
    parser.add_flag("--send", "on TEST: send an invoice of a made-up company, and fetch its UPO")


async def doctor(*, send: bool, access: Access) -> int:
    """Report what works from here, on the way to KSeF and in it.

    Each check is made by itself, within its time. The report has no secrets, and can be pasted. Without KSEF_ENV it
    is about TEST. Nothing is sent without --send, and nothing ever to PRODUCTION or DEMO. The exit code is that of
    the first check that failed: 2 for settings and credentials, else 1 or 3.
    """
    settled = await access.settle()
    if not settled.variables.values.get("ENV"):
        settled = Settled(values={**settled.values, "KSEF_ENV": "TEST"})
    environment = settled.environment
    if send and not may_try(environment):
        raise UsageError(f"--send is for TEST and the sandbox; nothing is sent to {environment.base_url}.")
    made_at, versions = datetime.now(UTC), _versions()
    if not access.json:
        print(write_head(made_at, environment.base_url, versions), flush=True)
    made = await examine(settled, send=send, report=None if access.json else _print)
    if access.json:
        print_json(made.to_dict())
    else:
        print(f"\n{write_sum(made)}")
    return made.exit_code


async def examine(settled: Settled, *, send: bool, report: Callable[[Finding], None] | None = None) -> DoctorReport:
    """Run every check.

    Args:
        settled: Environment, proxy, authority, credentials and journal.
        send: Try the whole flow with a made-up company; see `may_try`.
        report: Is told of each finding as soon as there is one.

    Raises:
        UsageError: The environment, the proxy's address or the file of authorities cannot be used.
        LocalProtocolError: ``send``, where it may not be tried.
    """
    environment = settled.environment
    if send and not may_try(environment):
        raise LocalProtocolError(f"Nothing is sent to {environment.base_url}.")
    made_at, started = datetime.now(UTC), time.monotonic()
    checker = Checker(report)
    transport = await settled.transport()
    try:
        way = Way(environment=environment, transport=transport, proxy_setting=settled.proxy, ca_file=settled.ca_file)
        await checker.run("DNS", way.check_names, _SHORT)
        await checker.run("proxy", way.check_proxy, _SHORT)
        await checker.run("TLS", way.check_tls, _SHORT)
        await checker.run("KSeF answers", way.check_answer, _LONG)
        await checker.run("clock", way.check_clock, _SHORT)
        await checker.run("API version", way.check_version, _LONG)
        await checker.run("Latarnia", way.check_latarnia, _LONG)
        company = Company(settled=settled, caller=Caller(environment, way, retry=ONCE))
        try:
            await checker.run("credentials", company.check_credentials, _LONG)
            await checker.run("login", company.check_login, _LOGIN)
            await checker.run("permissions", company.check_permissions, _SHORT)
            await checker.run("limits", company.check_limits, _LONG)
            await checker.run("journal", company.check_journal, _LONG)
        finally:
            with anyio.move_on_after(_SHORT, shield=True):
                await company.log_out()
        if send:
            await Trial(environment=environment, transport=transport).run(checker)
    finally:
        await transport.aclose()
    return DoctorReport(
        made_at=made_at,
        environment=environment.base_url,
        versions=_versions(),
        findings=tuple(checker.findings),
        seconds=time.monotonic() - started,
    )


COMMAND: Final = Command(
    run=doctor,
    add_arguments=_add_arguments,
    examples=("doctor", "doctor --send --json", "doctor --proxy http://proxy.example:3128 --ca-file company.pem"),
    access=NETWORK_AND_JOURNAL,
)


def _print(finding: Finding) -> None:
    print(write_finding(finding), flush=True)


def _versions() -> dict[str, str]:
    found = {"ksef_async": __version__, "KSeF API": API_VERSION, "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "(none)"
    return {**found, "on": f"{platform.system()} {platform.machine()}"}
