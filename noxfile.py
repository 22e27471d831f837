"""``nox -l`` lists what can be run; ``nox`` alone runs what ``.ci/run`` runs, and the tests on every Python."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
# What is tested is the Python that is there; a missing one is reported, not fetched.
nox.options.download_python = "never"
nox.options.sessions = ["lint", "types", "docs", "tests"]

# pyenv keeps its Pythons off the PATH unless one of them is chosen.
for version in sorted(Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser().glob("versions/3.*/bin")):
    os.environ["PATH"] += os.pathsep + str(version)

PROJECT = nox.project.load_toml("pyproject.toml")

PARALLEL = ("-n", "3", "--dist", "worksteal")


def group(name: str) -> list[str]:
    return [*nox.project.dependency_groups(PROJECT, name)]


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """The test suite, with branch coverage."""
    session.install("-e", ".", *group("test"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *PARALLEL, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report", *(() if session.posargs else ("--fail-under=95",)))


@nox.session(python="3.11")
def lowest(session: nox.Session) -> None:
    """The test suite on the oldest versions of the dependencies, of every extra too, that pyproject.toml allows."""
    project = PROJECT["project"]
    oldest = [
        requirement.replace(">=", "==")
        for requirements in (project["dependencies"], *project["optional-dependencies"].values())
        for requirement in requirements
        if not requirement.startswith(project["name"])
    ]
    session.install("-e", ".", *oldest, *group("test"))
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session(python="3.11")
def release(session: nox.Session) -> None:
    """Build wheel and sdist into ``dist``, check both, and run the demo from the wheel and from the sdist."""
    shutil.rmtree("dist", ignore_errors=True)
    session.install(*group("release"))
    session.run("python", "-m", "build")
    files = sorted(Path("dist").resolve().iterdir())
    session.run("twine", "check", "--strict", *map(str, files))
    for file in files:
        # Away from the checkout, which would be imported instead.
        with session.chdir(session.create_tmp()):
            session.run("python", "-m", "venv", "--clear", "empty")
            session.run("empty/bin/pip", "install", "--quiet", str(file), external=True)
            session.run("empty/bin/ksef-async", "demo", external=True)


@nox.session
def spec(session: nox.Session) -> None:
    """Fetch the Ministry's specification and schemas into ``.official``; the tests do it by themselves."""
    session.install("pip", *group("harness"))
    session.run("python", "tests/official.py")


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy --strict and pyright."""
    session.install("-e", ".", *group("types"))
    session.run("mypy")
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in English and Polish, into ``site``: a warning is an error, links and anchors are checked."""
    session.install("-e", ".", *group("docs"))
    # Material tells of a later MkDocs, which is not what is built with here.
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    session.run("python", "tests/pages.py")


@nox.session
def recipes(session: nox.Session) -> None:
    """The recipes, each with the framework that it is for, against the sandbox."""
    session.install("-e", ".", *group("recipes"))
    session.run("python", "-m", "pytest", "tests/recipes", *session.posargs)


@nox.session(python="3.12")
def chaos(session: nox.Session) -> None:
    """10,000 invoices through every fault there is, with a new seed each time; it is printed."""
    session.install("-e", ".", *group("test"))
    seed = str(random.randrange(1, 2**32))
    environment = {"CHAOS_INVOICES": "10000", "CHAOS_SEED": seed}
    session.run("pytest", "tests/sessions/test_chaos.py", *session.posargs, env=environment)


@nox.session(python="3.12")
def outage(session: nox.Session) -> None:
    """A night without KSeF: 1,000 invoices of one day, five kills, with SQLite and with PostgreSQL."""
    session.install("-e", ".", *group("test"))
    environment = {"OUTAGE_INVOICES": "1000", "OUTAGE_SEED": str(random.randrange(1, 2**32))}
    session.run("pytest", "-s", "tests/submissions/test_outage_night.py", *session.posargs, env=environment)


@nox.session(python="3.12")
def limits(session: nox.Session) -> None:
    """10,000 invoices online within production's limits, in virtual time."""
    session.install("-e", ".", *group("test"))
    environment = {"LIMITS_INVOICES": "10000"}
    session.run("pytest", "-s", "tests/sessions/test_rate_limits.py", *session.posargs, env=environment)


@nox.session(python="3.12")
def midnight(session: nox.Session) -> None:
    """2,000 invoices dated today in the queue at half past ten in the evening, with the journal's guard and without."""
    session.install("-e", ".", *group("test"))
    environment = {"MIDNIGHT_INVOICES": "2000"}
    session.run("pytest", "-s", "tests/submissions/test_midnight.py", *session.posargs, env=environment)


@nox.session(python="3.12")
def fuzz(session: nox.Session) -> None:
    """100,000 changed answers under whole flows, with a new seed each time; it is printed. Takes half an hour."""
    session.install("-e", ".", *group("test"))
    seed = str(random.randrange(1, 2**32))
    environment = {"FUZZ_MUTATIONS": "100000", "FUZZ_SHARDS": "10", "FUZZ_SEED": seed, **os.environ}
    session.log(f"seed {environment['FUZZ_SEED']}")
    # Records of a million events would be kept until the test is over.
    session.run("pytest", "-p", "no:logging", *PARALLEL, "-s", "tests/fuzz", *session.posargs, env=environment)


@nox.session(python="3.12")
def properties(session: nox.Session) -> None:
    """The property tests with other examples each time; what fails is printed with its example."""
    session.install("-e", ".", *group("test"))
    session.run("pytest", "--hypothesis-profile=default", "-m", "hypothesis", *PARALLEL, *session.posargs)


@nox.session(python="3.12")
def documents(session: nox.Session) -> None:
    """100,000 changed invoices, checked by us and by lxml with the Ministry's schemas, with a new seed each time."""
    session.install("-e", ".", *group("test"))
    seed = str(random.randrange(1, 2**32))
    environment = {"DOCUMENT_MUTATIONS": "100000", "DOCUMENT_SHARDS": "4", "DOCUMENT_SEED": seed, **os.environ}
    session.log(f"seed {environment['DOCUMENT_SEED']}")
    session.run("pytest", "-s", "tests/documents/test_fuzz.py", *session.posargs, env=environment)


@nox.session(python="3.11")
def mutants(session: nox.Session) -> None:
    """Which small changes of the code no test notices: MUTANTS of them (200), see ``tests/mutation/__main__.py``."""
    session.install("-e", ".", *group("test"))
    session.chdir("tests")
    session.run("python", "-m", "mutation", *session.posargs)


@nox.session(python="3.12")
def durable(session: nox.Session) -> None:
    """2,000 invoices, ten kills, on SQLite and PostgreSQL; 1,000 companies in one process; kills while receiving."""
    session.install("-e", ".", *group("test"))
    environment = {
        "DURABLE_INVOICES": "2000",
        "DURABLE_KILLS": "10",
        "DURABLE_COMPANIES": "1000",
        "CANCELLATION_TIMES": "100",
        "KILLING_INVOICES": "500",
        "KILLING_KILLS": "5",
        "KSEF_SYNC_INVOICES": "5000",
        "KSEF_SYNC_KILLS": "6",
        "RENEWAL_STEPS": "all",
    }
    files = (
        *(f"tests/submissions/test_{name}.py" for name in ("killing", "companies", "cancellation")),
        "tests/sessions/test_killing.py",
        "tests/downloads/test_killing.py",
        "tests/resources/test_renewal.py",
    )
    session.run("pytest", "-s", *files, *session.posargs, env=environment)


@nox.session(python="3.12")
def interop(session: nox.Session) -> None:
    """Independent clients, as their users install them, against the sandbox."""
    session.install("-e", ".", *group("interop"))
    session.run("python", "-m", "pytest", "tests/interop", "-s", *session.posargs)


@nox.session(python="3.12")
def schemathesis(session: nox.Session) -> None:
    """Requests made up from the official specification against the sandbox; SCHEMATHESIS_EXAMPLES of each kind."""
    session.install("-e", ".", *group("schemathesis"))
    session.run("python", "-m", "pytest", "-p", "no:schemathesis", "tests/conformance", *session.posargs)


@nox.session(python="3.12")
def bench(session: nox.Session) -> None:
    """Ratios against the least work there is, in one run: all benches, or ``nox -s bench -- flow --gigabytes 5``."""
    session.install("-e", ".[fast,fastapi]", "uvicorn[standard]>=0.32", "ksef-client[xml]==0.20.*", "ksef2==1.1.*")
    which, *options = session.posargs or ("all",)
    for name in ("online", "packages", "batch", "upload", "flow", "service", "documents"):
        if which in {"all", name}:
            session.run("python", f"tests/benchmarks/bench_{name}.py", *options)
