"""The documentation: every block of code runs as it stands, in its order, and both languages say the same."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.to_thread
import pages
import pytest
from blockbuster import BlockBuster
from certificates import EC_KEY, NIP, key_bytes, pem
from clients import QUICK
from codes import decode_png, decode_svg
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ksef_async import CertificateCredentials, Environment, KsefClient, Pacer, verification_link
from ksef_async.auth.variables import VARIABLE_NAMES
from ksef_async.crypto.certificates import load_private_key
from ksef_async.crypto.issuing import self_signed_seal
from ksef_async.sandbox import Clock, Sandbox, sample_invoice

EXAMPLES = pages.ROOT / "examples"
#: What pages install beside this library.
BESIDE = {"django", "litestar", "mcp", "taskiq", "temporalio", "uvicorn"}
#: Figures are shown in English on the Polish site, too: there is one place to write a new one down.
TRANSLATED = [page for page in pages.ENGLISH if page.name != "figures.md"]
PASSWORD = "a password of the certificate"
SETTINGS = {f"KSEF_{name}" for name in VARIABLE_NAMES}


def write_files(folder: Path) -> None:
    """What the pages take for granted: invoices, and a certificate in each form."""
    certificate = self_signed_seal(NIP, EC_KEY)
    (folder / "invoices").mkdir()
    for number in range(1, 4):
        (folder / "invoices" / f"{number}.xml").write_bytes(sample_invoice(NIP, f"FV/2026/{number}"))
    (folder / "invoice.xml").write_bytes(sample_invoice(NIP, "FV/2026/100"))
    (folder / "company.pem").write_bytes(pem(certificate))
    (folder / "company.key").write_bytes(key_bytes(EC_KEY))
    store = serialization.pkcs12.serialize_key_and_certificates(
        b"company",
        EC_KEY,
        certificate.readable,
        None,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    (folder / "company.p12").write_bytes(store)
    for name in ("company.key", "company.p12"):
        (folder / name).chmod(0o600)


def settings(sandbox: Sandbox) -> dict[str, str]:
    """The environment that the pages take for granted."""
    return {
        "KSEF_ENV": sandbox.environment.base_url,
        "KSEF_NIP": NIP,
        "KSEF_PKCS12_FILE": "company.p12",
        "KSEF_KEY_PASSWORD": PASSWORD,
    }


@asynccontextmanager
async def given(sandbox: Sandbox, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """The names that the pages take for granted."""

    async def sign(data: bytes, algorithm: str) -> bytes:
        assert algorithm == "ecdsa-sha256"
        return await anyio.to_thread.run_sync(lambda: key_in_hsm().sign(data, ec.ECDSA(hashes.SHA256())))

    def key_in_hsm() -> ec.EllipticCurvePrivateKey:
        file = Path("offline.pem")
        key = load_private_key(file.read_bytes()) if file.exists() else names.get("key", EC_KEY)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    credentials = CertificateCredentials(certificate=self_signed_seal(NIP, EC_KEY), key=EC_KEY, nip=NIP)
    async with KsefClient(sandbox.environment, credentials, pacer=Pacer.unlimited(), retry=QUICK) as client:
        names: dict[str, Any] = {
            "__name__": "page",
            "asyncio": asyncio,
            "client": client,
            "credentials": credentials,
            "environment": sandbox.environment,
            "hsm": SimpleNamespace(sign=sign),
            "key": EC_KEY,
            "journal_key": Fernet.generate_key(),
            "nip": NIP,
            "os": os,
            "Path": Path,
            "password": PASSWORD,
            "sandbox": sandbox,
            "token": sandbox.token,
            "xml": sample_invoice(NIP),
        }
        names["keep"] = lambda *_: None
        yield names


async def run_shell(block: pages.Block, environment: dict[str, str]) -> None:
    """Run the lines of a shell; what would install something is looked at instead."""
    for line in re.sub(r"\\\n\s*", " ", block.text).splitlines():
        if not line or line.startswith("#"):
            continue
        if found := re.fullmatch(r"pip install '?ksef_async(?:\[([\w,-]+)\])?'?((?: [\w-]+)*)", line):
            assert {*(found[1] or "").split(",")} <= pages.extras() | {""}, block
            assert {*found[2].split()} <= BESIDE, block
            continue
        # The demonstration has a sandbox of its own, unless it is told of another KSeF.
        told = {n: v for n, v in environment.items() if n not in SETTINGS} if line.endswith(" demo") else environment
        process = await asyncio.create_subprocess_shell(
            line, env=told, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, f"{block}: {line}\n{out.decode()}"


async def run_tests(block: pages.Block, folder: Path, environment: dict[str, str]) -> None:
    """Run a file of tests by pytest, as its reader would."""
    file = folder / f"test_block_{block.line}.py"
    file.write_text(block.text, "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", str(file)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, f"{block}\n{out.decode()}"


async def check_offline(names: dict[str, Any]) -> None:
    """What the page of offline invoices has made is what it says, read by others."""
    assert await names["signer"].sign(b"text")
    assert decode_png(names["png"]) == decode_svg(names["svg"]) == [names["code"].link]
    assert names["code"].link == verification_link(names["xml"], Environment.TEST)
    assert decode_png(names["picture"]) == [names["link"]]
    assert names["chosen"].route == "both"
    assert names["known"].state == "up"


#: What is asserted once the blocks of a page have been run.
CHECKS = {"offline.md": check_offline}


@pytest.mark.timeout(300)  # each line of a shell is a program of its own
@pytest.mark.parametrize("page", pages.ENGLISH, ids=lambda page: page.stem)
async def test_every_block_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_blocking_calls: BlockBuster
) -> None:
    # What is imported for the first time is read from files, and pages read files as programs do.
    no_blocking_calls.deactivate()
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    loop = asyncio.get_running_loop()
    async with Sandbox(nip=NIP, clock=Clock(monotonic=loop.time), rate_limits=None) as sandbox:
        for name in SETTINGS:
            monkeypatch.delenv(name, raising=False)
        for name, value in settings(sandbox).items():
            monkeypatch.setenv(name, value)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "KSEF_SANDBOX_TOKEN": sandbox.token}
        async with given(sandbox, tmp_path) as names:
            for block in pages.blocks(page):
                match block.kind:
                    case "python":
                        await pages.run(block, names)
                    case "sh":
                        await run_shell(block, environment)
                    case "pytest":
                        await run_tests(block, tmp_path, environment)
                    case "ini":
                        assert {line.partition("=")[0] for line in block.text.splitlines()} <= SETTINGS, block
                    case "included":
                        assert block.included is not None
                        assert block.included.exists(), block
                    case other:
                        assert other in {"no code", "not run"}, f"{block}: nobody knows how to run {other!r}"
            if page.name in CHECKS:
                await CHECKS[page.name](names)


def test_every_block_says_its_language_and_few_are_not_run() -> None:
    every = [block for page in pages.ENGLISH for block in pages.blocks(page)]
    left_out = [block for block in every if block.kind == "not run"]

    assert [block for block in every if not block.language] == []
    assert len(left_out) <= 12, left_out


@pytest.mark.parametrize("page", TRANSLATED, ids=lambda page: page.stem)
def test_polish_page_has_the_same_code_headings_and_tables(page: Path) -> None:
    other = pages.polish(page)
    assert [block.code for block in pages.blocks(other)] == [block.code for block in pages.blocks(page)]
    assert [block.kind for block in pages.blocks(other)] == [block.kind for block in pages.blocks(page)]
    assert shape(other) == shape(page)


def shape(page: Path) -> list[str]:
    """The levels of the headings, and the rows of tables, in their order; blocks of code left out."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^(#+) |^(\|).*\|$", text, re.MULTILINE)


def test_no_polish_page_is_alone() -> None:
    polish = {path.name for path in (pages.ROOT / "docs" / "pl").glob("*.md")}

    assert polish == {page.name for page in TRANSLATED if page.parent != pages.ROOT}


def test_readmes_are_short() -> None:
    for name in ("README.md", "README.pl.md"):
        assert len((pages.ROOT / name).read_text("utf-8").splitlines()) <= 150, name


def test_each_file_that_a_page_shows_is_run_by_a_test() -> None:
    # A file that a page shows is run by another test, which names it.
    tests = "".join(path.read_text("utf-8") for path in (pages.ROOT / "tests").rglob("test_*.py"))
    every = [block.included for page in pages.ENGLISH for block in pages.blocks(page)]
    shown = [file.relative_to(EXAMPLES).parts for file in every if file is not None]
    # Of a recipe in several files, its folder.
    names = {Path(parts[1] if parts[0] == "recipes" else parts[0]).stem for parts in shown}

    assert [name for name in sorted(names) if name not in tests] == []


@pytest.mark.parametrize("page", [*pages.ENGLISH, *map(pages.polish, TRANSLATED)], ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    # Of the site only: a page of it that leads to another folder is a dead link there. Anchors are checked by MkDocs.
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if not re.match(r"https?:|reference/", link)]
    inside = pages.ROOT if page.parent == pages.ROOT else pages.ROOT / "docs"

    assert [link for link in links if not (page.parent / link).resolve().is_relative_to(inside)] == []
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_example_is_on_the_page_of_recipes() -> None:
    page = (pages.ROOT / "docs" / "en" / "recipes.md").read_text("utf-8")
    names = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    names |= {path.name for path in (EXAMPLES / "recipes").iterdir() if not path.name.startswith("_")}

    assert [name for name in sorted(names) if name not in page] == []


def test_tables_are_what_the_code_gives() -> None:
    command = [sys.executable, "tools/page_tables.py", "--check"]

    checked = subprocess.run(command, cwd=pages.ROOT, capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")
