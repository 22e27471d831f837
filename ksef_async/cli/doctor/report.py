"""The report of a doctor: findings, their sum, and how both are written. Nothing here asks anybody anything."""

from __future__ import annotations

import textwrap
from datetime import datetime
from typing import Final, Literal, TypeAlias

import attrs

from ...errors import quote
from ..output import Exit

__all__ = ["DoctorReport", "Finding", "State", "write_finding", "write_head", "write_sum"]

State: TypeAlias = Literal["ok", "warning", "failed", "skipped"]

_WIDTH: Final = 96
# Where the text of a finding begins: after its state, its seconds and its name.
_INDENT: Final = 33


@attrs.frozen(kw_only=True)
class Finding:
    """The result of one check."""

    name: str
    """Of the check."""
    state: State
    text: str = attrs.field(converter=quote)
    """What was found, in a sentence without secrets."""
    advice: str = attrs.field(default="", converter=quote)
    """What to do about it; empty where nothing is to be done."""
    seconds: float = 0.0
    """How long the check took."""
    code: Exit = Exit.OK
    """The exit code that a failure means: 2 where settings or credentials are wrong, else 1 or 3."""

    def to_dict(self) -> dict[str, object]:
        """Return it as a value for JSON."""
        return {
            "check": self.name,
            "state": self.state,
            "seconds": round(self.seconds, 3),
            "found": self.text,
            "advice": self.advice or None,
        }


@attrs.frozen(kw_only=True)
class DoctorReport:
    """All findings, and about what."""

    made_at: datetime
    """When the report was begun, by this machine's clock (UTC)."""
    environment: str
    """The base URL that was examined."""
    versions: dict[str, str]
    """Of the library, the API it follows, Python and the packages it stands on."""
    findings: tuple[Finding, ...]
    seconds: float
    """How long all checks took."""

    @property
    def exit_code(self) -> Exit:
        """0 where nothing failed, else what the first failure means."""
        return next((one.code for one in self.findings if one.state == "failed"), Exit.OK)

    def count(self, state: State) -> int:
        """Return the number of findings in a state."""
        return sum(one.state == state for one in self.findings)

    def to_dict(self) -> dict[str, object]:
        """Return it as a value for JSON."""
        return {
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "environment": self.environment,
            "versions": self.versions,
            "seconds": round(self.seconds, 3),
            "exit_code": int(self.exit_code),
            "findings": [one.to_dict() for one in self.findings],
        }


def write_head(made_at: datetime, environment: str, versions: dict[str, str]) -> str:
    """Return the first lines of a report for people."""
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"ksef-async doctor, {made_at:%Y-%m-%d %H:%M:%S} UTC, of {environment}", *textwrap.wrap(listed, _WIDTH)]
    return "\n".join(lines) + "\n"


def write_finding(finding: Finding) -> str:
    """Return a finding for people: a line, and below it what goes on, and what to do."""
    head = f"{finding.state:<7}{finding.seconds:6.2f} s  {finding.name}"
    lines = _wrapped(finding.text)
    if finding.advice:
        lines += _wrapped(f"-> {finding.advice}")
    first = f"{head:<{_INDENT - 1}} {lines[0] if lines else ''}".rstrip()
    return "\n".join([first, *(f"{'':<{_INDENT}}{line}" for line in lines[1:])])


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False)


def write_sum(report: DoctorReport) -> str:
    """Return the last line of a report for people."""
    states: tuple[State, ...] = ("ok", "warning", "failed", "skipped")
    counts = [f"{report.count(state)} {state}" for state in states]
    return f"{', '.join(counts)}, in {report.seconds:.1f} s."
