"""The figures of each shard, printed by the process that the tests are run from: its workers' output is not shown."""

from __future__ import annotations

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call":
        for name, value in report.user_properties:
            if name == "fuzz":
                print(f"\nfuzz: {value}")
