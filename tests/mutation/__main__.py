"""Mutation tests: change a line, run the tests that cover it, and print which changes no test notices.

``nox -s mutants`` (in tests: ``python -m mutation``) does so for a sample of all changes; nothing outside of a
temporary copy is written. By the environment:

    MUTANTS=200       how many changes are tried, drawn by a seed that is printed; 0 for all
    MUTANTS_SEED=1    the same sample again
    MUTANTS_ONLY=protocol/pacing.py,sessions/sending.py:90-120
                      these modules, or these of their lines, only
    MUTANTS_BUDGET=60 seconds of tests for a change that none of them notices, as long as they took when measured
    MUTANTS_MINUTES=0 no mutant is begun after so many minutes of mutants; 0 for all of the sample
    MUTANTS_LINES=f   where to keep, and find again, which tests run which lines
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import attrs
import pytest
from mutation.mutators import Mutant, mutants_of

HERE: Final = Path(__file__).parent
PROJECT: Final = HERE.parent.parent

MODULES: Final = (
    "auth/access.py",
    "calling/caller.py",
    "calling/polling.py",
    "downloads/sync.py",
    "protocol/delivery.py",
    "protocol/pacing.py",
    "protocol/retry.py",
    "sessions/sending.py",
    "sessions/keep_open.py",
    "sessions/keeper.py",
    "sessions/memory.py",
    "sessions/transitions.py",
    "sessions/uploads.py",
    "submissions/batch_work.py",
    "submissions/book.py",
    "submissions/context_store.py",
    "submissions/drain.py",
    "submissions/following.py",
)
#: Tests that kill processes, measure, or need other programs.
LEFT_OUT: Final = (
    "benchmarks",
    "cli",
    "conformance",
    "contract",
    "crypto",
    "documents",
    "fuzz",
    "interop",
    "mutation",
    "typing",
)
LEFT_OUT_FILES: Final = (
    "*killing*",
    "*companies*",
    "*memory*",
    "*many*",
    "*chaos*",
    "test_examples.py",
    "test_program.py",
)
#: Imported once, before each mutant's process is made: what costs most time and is not ours.
FOREIGN: Final = (
    *("aiohttp.web", "blockbuster", "cryptography.x509", "hypothesis", "lxml.etree", "orjson"),
    *("fastapi", "sqlalchemy.ext.asyncio", "aiosqlite"),
)


@attrs.frozen(kw_only=True)
class Lines:
    """Which tests run which lines, and how long each takes."""

    seconds: dict[str, float]
    by_line: dict[str, dict[str, list[str]]]

    def tests_of(self, module: str, mutant: Mutant, budget: float) -> list[str]:
        """Return the tests that run what a mutant changes: those of its module first, then the quick ones."""
        by_line = self.by_line.get(f"ksef_async/{module}", {})
        found = {test for line in range(mutant.first, mutant.last + 1) for test in by_line.get(str(line), ())}
        if mutant.on_import:
            found = {test for tests in by_line.values() for test in tests}
        stem = Path(module).stem
        chosen: list[str] = []
        spent = 0.0
        for test in sorted(found, key=lambda test: (stem not in test.partition("::")[0], self.seconds[test], test)):
            spent += self.seconds[test]
            if spent > budget and chosen:
                break
            chosen.append(test)
        return chosen


def read_equivalent() -> set[tuple[str, ...]]:
    """Return the changes that change nothing a test could hold: module, first line, the piece before and after."""
    rows = [line.split(" | ") for line in (HERE / "equivalent.txt").read_text().splitlines() if " | " in line]
    return {tuple(cell.strip() for cell in row[:4]) for row in rows}


def copy_project(to: Path) -> Path:
    tree = to / "project"
    for name in ("docs", "examples", "ksef_async", "tests", "tools"):
        shutil.copytree(PROJECT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(PROJECT / name, tree)
    return tree


def measure(tree: Path, to: Path) -> None:
    """Run the tests once, and write down which lines each of them runs."""
    command = [sys.executable, "-m", "pytest", "-p", "mutation.covering", "-q", "-n", "0", "--timeout", "300", "tests"]
    command += [f"--ignore=tests/{name}" for name in LEFT_OUT] + [f"--ignore-glob={name}" for name in LEFT_OUT_FILES]
    path = os.pathsep.join([str(tree), str(tree / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "MUTANTS_COVER": str(to)}
    # Tests that fail here are left out; where none could be run, every mutant would seem not to be covered.
    if subprocess.run(command, cwd=tree, env=environment, check=False).returncode not in (0, 1):
        raise SystemExit("The tests could not be run.")


def run_tests(tree: Path, tests: Iterable[str], longest: float) -> str:
    """Run tests in a process of its own; how it ended."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            code = _run_here(tree, tests)
        except BaseException:  # noqa: BLE001  # nothing of this process may go on as if it were the first
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    end = time.monotonic() + longest
    while time.monotonic() < end:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            if code == 0:
                return "survived"
            output = (tree / "output.txt").read_text()
            # What a failed test leaves open may break pytest's own end.
            is_killed = code in (1, 2, 3) or "\nFAILED " in output or "ImportError while loading" in output
            return "killed" if is_killed or code < 0 else "error"
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "killed by time"


def _run_here(tree: Path, tests: Iterable[str]) -> int:
    os.setpgid(0, 0)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    os.environ["PYTHONPATH"] = str(tree)
    sys.dont_write_bytecode = True
    with (tree / "output.txt").open("w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *tests]))


def chosen_mutants() -> list[tuple[str, Mutant]]:
    only = [part.partition(":") for part in os.environ.get("MUTANTS_ONLY", "").split(",") if part]
    found = []
    for module in [name for name, _, _ in only] or MODULES:
        found += [(module, mutant) for mutant in mutants_of((PROJECT / "ksef_async" / module).read_text())]
    wanted: dict[str, set[int]] = defaultdict(set)
    for name, _, lines in only:
        first, _, last = (lines or "1-1000000").partition("-")
        wanted[name].update(range(int(first), int(last or first) + 1))
    return [*dict.fromkeys((name, mutant) for name, mutant in found if not only or mutant.first in wanted[name])]


def main() -> None:
    count = int(os.environ.get("MUTANTS", "200"))
    seed = int(os.environ.get("MUTANTS_SEED") or random.randrange(1, 2**32))
    budget = float(os.environ.get("MUTANTS_BUDGET", "60"))
    mutants = chosen_mutants()
    total = len(mutants)
    if count and count < total:
        mutants = random.Random(seed).sample(mutants, count)
    print(f"{len(mutants)} of {total} mutants, MUTANTS_SEED={seed}", flush=True)

    equivalent = read_equivalent()
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as folder:
        tree = copy_project(Path(folder))
        kept = Path(os.environ.get("MUTANTS_LINES") or tree / "lines.json")
        if not kept.exists():
            measure(tree, kept)
        told = json.loads(kept.read_text())
        lines = Lines(seconds=told["seconds"], by_line=told["lines"])
        for name in FOREIGN:
            __import__(name)

        began, minutes = time.monotonic(), float(os.environ.get("MUTANTS_MINUTES", "0"))
        for tried, (module, mutant) in enumerate(mutants):
            if minutes and time.monotonic() - began > 60.0 * minutes:
                print(f"time is up after {tried} mutants")
                break
            end = try_one(tree, module, mutant, lines, budget)
            line = (PROJECT / "ksef_async" / module).read_text().splitlines()[mutant.first - 1].strip()
            key = (module, line, " ".join(mutant.before.split()), " ".join(mutant.after.split()))
            if end in ("survived", "not covered") and key in equivalent:
                end = "equivalent"
            ends[module][end] += 1
            if end not in ("killed", "killed by time", "equivalent"):
                if end == "error":
                    print((tree / "output.txt").read_text()[-2000:])
                print(f"{end}: {module}:{mutant.first}\n    - {key[2]}\n    + {key[3]}", flush=True)

    print("\nmodule, killed of those that are not equivalent, and how many are")
    for module, counted in [*sorted(ends.items()), ("all", sum(ends.values(), Counter()))]:
        killed, all_of_them = counted["killed"] + counted["killed by time"], counted.total() - counted["equivalent"]
        share = f"{killed / all_of_them:.1%}" if all_of_them else "-"
        print(f"{module:32} {killed:4} of {all_of_them:4} {share:>7} {counted['equivalent']:4}")


def try_one(tree: Path, module: str, mutant: Mutant, lines: Lines, budget: float) -> str:
    tests = lines.tests_of(module, mutant, budget)
    if not tests:
        return "not covered"
    file = tree / "ksef_async" / module
    before = file.read_text()
    file.write_text(mutant.source)
    try:
        return run_tests(tree, tests, 30.0 + 8.0 * sum(lines.seconds[test] for test in tests))
    finally:
        file.write_text(before)


if __name__ == "__main__":
    main()
