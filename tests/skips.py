"""Why tests may be skipped where nothing is to be skipped: with STRICT_SKIPS set, any other reason fails the run."""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import Final

import pytest

#: Patterns of reasons, with the place where such tests do run.
NAMED: Final = {
    r"(ksef-client|ksef2) is installed by `nox -s interop`": "nox -s interop",
    r"ksef2 needs Python 3\.12": "nox -s interop",
    r"only for nox -s schemathesis": "nox -s schemathesis",
    r"INBOX_SCREENSHOT does not say where to keep it": "for looking at, nothing is asserted",
    r"only for nox -s recipes": "nox -s recipes",
    r"it has no effect, and is not repeated": "rows of a table for which the question does not arise",
    r"the Ministry's .+ is in \.\./shared/ksef only": "where the Ministry's samples and older versions are at hand",
    r"no file system is mounted read-only": "in containers whose secrets are mounted",
    r"root reads everything": "for whoever is not root",
    r"this file system keeps files in memory": "on a disk",
}


class Skips:
    """A plugin of pytest's that counts the reasons for which tests are skipped."""

    def __init__(self) -> None:
        self._reasons: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        # Not a test that is expected to fail, which counts as skipped as well.
        if report.skipped and isinstance(report.longrepr, tuple):
            self._reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if "STRICT_SKIPS" not in os.environ or hasattr(session.config, "workerinput"):
            return
        unnamed = [reason for reason in self._reasons if not any(re.fullmatch(named, reason) for named in NAMED)]
        if unnamed and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        for reason in unnamed:
            print(f"\nSTRICT_SKIPS: {self._reasons[reason]} tests were skipped: {reason}")
