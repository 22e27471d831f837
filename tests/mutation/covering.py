"""A pytest plugin that writes down which lines each test runs, and how long it takes.

``python -m pytest -p mutation.covering`` with ``MUTANTS_COVER`` naming the file to write. The lines are those that
threads and tasks of the test ran as well, which coverage's own contexts of a function would not hold.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

import ksef_async

_PACKAGE = Path(ksef_async.__file__).parent


class Covering:
    """Switches coverage's context with each test."""

    def __init__(self, to: Path) -> None:
        self._to = to
        self._coverage = coverage.Coverage(data_file=None, config_file=False, source_pkgs=["ksef_async"])
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self._coverage.start()
        self._coverage.switch_context("import")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        began = time.perf_counter()
        try:
            return (yield)
        finally:
            self._seconds[item.nodeid] = round(time.perf_counter() - began, 3)
            self._coverage.switch_context("import")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[int, list[str]]] = {}
        for file in data.measured_files():
            name = str(Path(file).relative_to(_PACKAGE.parent))
            lines[name] = {
                line: sorted(set(tests) - {"import"} - self._failed)
                for line, tests in data.contexts_by_lineno(file).items()
            }
        told = {"seconds": self._seconds, "failed": sorted(self._failed), "lines": lines}
        self._to.write_text(json.dumps(told))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Covering(Path(os.environ["MUTANTS_COVER"])), "covering-lines")
