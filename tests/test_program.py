"""The command line, as its users run it: what needs no extra."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import signal
import sys
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
from official import FA_SCHEMAS, needs
from raw_server import forwarding_to, listening

from ksef_async import AcceptedInvoice, ApiError, Environment, FormCode, InvoiceRejectedError, KsefClient, KsefToken
from ksef_async.cli.start import program
from ksef_async.protocol.numbers import KsefNumber
from ksef_async.sandbox import Sandbox, sample_invoice

NIP = "5265877635"
KSEF_NUMBERS = ["5265877635-20250826-0100001AF629-AF", "5265877635-20250826-0200001AF629-7E"]


@attrs.frozen
class Result:
    code: int | None
    out: str
    err: str


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KSEF_")}
    return kept | variables


async def run(*arguments: object, **variables: str) -> Result:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", *map(str, arguments)),
        env=environment(**variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Result(process.returncode, out.decode(), err.decode())


@pytest.fixture
def invoices(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.xml" for number in (1, 2)]
    for number, path in enumerate(paths):
        path.write_bytes(sample_invoice(NIP, f"FV/{number}"))
    return paths


@pytest.mark.parametrize("variables", [{}, {"KSEF_ENV": ""}], ids=["no environment", "an empty one"])
async def test_demo_prints_the_timeline_of_an_invoice(variables: dict[str, str]) -> None:
    result = await run("demo", **variables)

    assert (result.code, result.err) == (0, "")
    number = re.search(r"KSeF number (\S+)", result.out)
    assert number is not None
    KsefNumber.parse(number[1])
    steps = re.findall(r"^ *[\d.]+ s  (\w+)", result.out, re.MULTILINE)
    assert steps[:6] == ["KSeF", "login", "open", "sent", "accepted", "closed"]
    assert steps[-2:] == ["UPO", "verified"]
    assert "without legal effect" in result.out
    assert "-> 200 " in result.out


async def test_demo_sends_the_files_it_is_given(invoices: list[Path]) -> None:
    result = await run("demo", *invoices)

    assert result.code == 0
    assert re.findall(r"accepted  (\S+): KSeF number (\d+)-", result.out) == [("1.xml", NIP), ("2.xml", NIP)]
    assert "each of its 2 invoice(s)" in result.out


@pytest.mark.parametrize(
    ("content", "code", "error"),
    [
        pytest.param(None, 2, "There is no file", id="missing"),
        pytest.param(b"", 2, "LocalProtocolError", id="empty"),
        pytest.param(b"no invoice", 3, "InvoiceRejectedError: KSeF rejected invoice", id="no XML"),
    ],
)
async def test_demo_tells_what_is_wrong_with_a_file(
    tmp_path: Path, content: bytes | None, code: int, error: str
) -> None:
    file = tmp_path / "invoice.xml"
    if content is not None:
        file.write_bytes(content)

    result = await run("demo", file)

    assert result.code == code
    assert result.err.startswith(error)
    assert "Traceback" not in result.err


async def test_demo_goes_where_it_is_told_again_and_again(sandbox: Sandbox) -> None:
    variables = {"KSEF_ENV": sandbox.environment.base_url, "KSEF_NIP": sandbox.nip, "KSEF_TOKEN": sandbox.token}

    results = [await run("demo", **variables) for _ in range(2)]

    assert [result.code for result in results] == [0, 0]
    assert [invoice.is_accepted for invoice in sandbox.world.invoices()] == [True, True]
    for result in results:
        assert sandbox.token not in result.out + result.err
        assert "embedded" not in result.out


@pytest.mark.parametrize("missing", ["KSEF_NIP", "KSEF_TOKEN"])
async def test_demo_asks_for_what_it_needs(missing: str) -> None:
    variables = {"KSEF_ENV": "TEST", "KSEF_NIP": NIP, "KSEF_TOKEN": "SECRET"}
    del variables[missing]

    result = await run("demo", **variables)

    assert (result.code, result.out) == (2, "")
    assert f"{missing} is not set" in result.err


async def test_demo_tells_that_the_token_is_wrong(sandbox: Sandbox) -> None:
    result = await run("demo", KSEF_ENV=sandbox.environment.base_url, KSEF_NIP=sandbox.nip, KSEF_TOKEN="SECRET")

    assert result.code == 2
    assert result.err.startswith("LoginFailedError: KSeF refused the login")
    assert "SECRET" not in result.out + result.err


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param([], "required: COMMAND", id="none"),
        pytest.param(["invoice"], "invalid choice", id="unknown command"),
        pytest.param(["sandbox", "invoice.xml"], "unrecognized arguments", id="too many"),
        pytest.param(["sandbox", "--port", "eighty"], "argument --port", id="port that is no number"),
        pytest.param(["sandbox", "--port", "65536"], "argument --port", id="port that does not exist"),
        pytest.param(["sandbox", "--nip", "123"], "argument --nip", id="NIP that nobody can log in with"),
        pytest.param(["sandbox", "--token", ""], "argument --token", id="empty token"),
        pytest.param(["sandbox", "--public-url", "ksef.example"], "argument --public-url", id="no scheme"),
        pytest.param(["sandbox", "--public-url", "http://k:99999"], "argument --public-url", id="no port"),
        pytest.param(["sandbox", "--schemas", "/nowhere"], "argument --schemas", id="no folder"),
        pytest.param(["sandbox", "--api-version", "2.7"], "2.6.0, 2.9.0", id="version that was never published"),
    ],
)
async def test_wrong_arguments_are_refused(arguments: list[str], error: str) -> None:
    result = await run(*arguments)

    assert result.code == 2
    assert error in result.err
    assert "Traceback" not in result.err


@attrs.define
class Served:
    """A sandbox that is served: what it printed, by name, and, once it has ended, all it ever said."""

    variables: dict[str, str]
    told: str = ""


@asynccontextmanager
async def serving(*arguments: str, end: signal.Signals) -> AsyncIterator[Served]:
    """`python -m ksef_async sandbox`, ended with a signal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ksef_async", "sandbox", *arguments),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(4)]
    served = Served(dict(line.strip().split("=", 1) for line in lines if "=" in line), "".join(lines))
    try:
        yield served
    finally:
        process.send_signal(end)
        out, err = await process.communicate()
        served.told = "".join(lines) + out.decode() + err.decode()
        assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_sandbox_serves_until_it_is_told_to_stop(end: signal.Signals) -> None:
    async with serving(end=end) as served:
        printed = served.variables
        credentials = KsefToken(nip=printed["KSEF_NIP"], token=printed["KSEF_TOKEN"])
        async with KsefClient(Environment(printed["KSEF_ENV"]), credentials) as client:
            await client.log_in()

    assert "without legal effect" in served.told


async def test_sandbox_does_not_repeat_the_token_it_is_given(unused_port: int) -> None:
    arguments = ("--port", str(unused_port), "--nip", NIP, "--token", "SECRET")
    url = f"http://127.0.0.1:{unused_port}/v2"
    async with serving(*arguments, end=signal.SIGTERM) as served:
        async with KsefClient(Environment(url), KsefToken(nip=NIP, token="SECRET")) as client:
            await client.log_in()

    assert served.variables == {"KSEF_ENV": url, "KSEF_NIP": NIP}
    assert "SECRET" not in served.told


async def test_port_in_use_is_told(sandbox: Sandbox) -> None:
    port = sandbox.environment.base_url.split(":")[-1].split("/")[0]

    result = await run("sandbox", "--port", port)

    assert result.code == 2
    assert "in use" in result.err


async def test_demo_runs_where_the_system_has_no_time_zone_database() -> None:
    result = await run("demo", PYTHONTZPATH="")

    assert result.code == 0, result.err
    assert "UPO" in result.out


def test_the_time_zone_database_is_a_dependency_everywhere() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]

    (requirement,) = [each for each in project["dependencies"] if each.startswith("tzdata")]
    assert ";" not in requirement


async def test_links_begin_with_the_public_address(unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}"
    async with serving("--public-url", f"{url}/", end=signal.SIGTERM) as served:
        own = int(re.findall(r"It listens at http://127.0.0.1:(\d+)/v2", served.told)[0])
        credentials = KsefToken(nip=served.variables["KSEF_NIP"], token=served.variables["KSEF_TOKEN"])
        async with (
            listening(forwarding_to(own), port=unused_port),
            KsefClient(Environment(served.variables["KSEF_ENV"]), credentials) as client,
        ):
            async with await client.sessions.open_online(FormCode.FA3) as session:
                sent = await session.send(sample_invoice(served.variables["KSEF_NIP"]))
                accepted = await sent.outcome()
            upo = await session.upo()
            status = await session.status()

    assert served.variables["KSEF_ENV"] == f"{url}/v2"
    assert [entry.ksef_number for entry in upo.entries] == [accepted.ksef_number]
    assert status.upo is not None
    assert (status.upo.pages[0].download_url or "").startswith(f"{url}/storage/")


async def test_sandbox_plays_an_older_version() -> None:
    async with serving("--api-version", "2.6", end=signal.SIGTERM) as served:
        credentials = KsefToken(nip=served.variables["KSEF_NIP"], token=served.variables["KSEF_TOKEN"])
        async with KsefClient(Environment(served.variables["KSEF_ENV"]), credentials) as client:
            await client.log_in()
            with pytest.raises(ApiError, match="HTTP 404"):
                await client.collective_identifiers.create(KSEF_NUMBERS)

    assert "A simulator of KSeF 2.6.0 without legal effect" in served.told


async def send_of_wrong_shape(*arguments: str) -> AcceptedInvoice:
    """Send an invoice whose P_16 is wrong to a sandbox that is started with these arguments."""
    async with serving(*arguments, end=signal.SIGTERM) as served:
        nip = served.variables["KSEF_NIP"]
        credentials = KsefToken(nip=nip, token=served.variables["KSEF_TOKEN"])
        async with (
            KsefClient(Environment(served.variables["KSEF_ENV"]), credentials) as client,
            await client.sessions.open_online(FormCode.FA3) as session,
        ):
            sent = await session.send(sample_invoice(nip).replace(b"<P_16>2</P_16>", b"<P_16>3</P_16>"))
            return await sent.outcome()


async def test_sandbox_refuses_wrong_shapes_by_itself() -> None:
    with pytest.raises(InvoiceRejectedError, match=r"\(/Faktura/Fa/Adnotacje/P_16, line 2, column "):
        await send_of_wrong_shape()


async def test_lax_sandbox_takes_wrong_shapes() -> None:
    accepted = await send_of_wrong_shape("--lax")

    assert accepted.invoice_number == "FV/1"


@needs(FA_SCHEMAS)
@pytest.mark.parametrize("more", [[], ["--lax"]], ids=["strict", "lax"])
async def test_sandbox_validates_by_the_schemas_it_is_given(more: list[str]) -> None:
    # The words are those of lxml.
    with pytest.raises(InvoiceRejectedError, match=r"P_16.*\[facet 'enumeration'\].*\(line 2\)"):
        await send_of_wrong_shape("--schemas", str(FA_SCHEMAS), *more)


async def test_folder_without_schemas_is_told(tmp_path: Path) -> None:
    result = await run("sandbox", "--schemas", tmp_path)

    assert result.code == 2
    assert "has no schema of any form" in result.err
    assert "Traceback" not in result.err


WITHOUT_EXTRAS = """
import sys
for name in ("rich", "sqlalchemy", "aiosqlite", "signxml", "lxml", "isal", "segno"):
    sys.modules[name] = None
from ksef_async.cli.app import main
sys.exit(main(sys.argv[1:]))
"""


async def run_without_extras(*arguments: object) -> Result:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WITHOUT_EXTRAS, *map(str, arguments)),
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Result(process.returncode, out.decode(), err.decode())


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--help"], "send"),
        (["--version"], "."),
        (["send", "--help"], "--timeout"),
        (["demo"], "verified"),
        (["sandbox", "--help"], "--public-url"),
        (["plan", "--count", "10"], "10 invoices"),
    ],
)
async def test_most_commands_need_no_extra(arguments: list[str], printed: str) -> None:
    result = await run_without_extras(*arguments)

    assert (result.code, result.err) == (0, "")
    assert printed in result.out


@pytest.mark.parametrize("command", ["send", "status", "upo"])
async def test_command_without_its_extra_names_the_extra(command: str) -> None:
    result = await run_without_extras(command)

    assert (result.code, result.out) == (2, "")
    assert result.err == f"`{command}` needs the extra `cli`: pip install 'ksef_async[cli]'\n"


async def test_picture_without_its_extra_names_the_extra(tmp_path: Path) -> None:
    picture = tmp_path / "code.svg"

    result = await run_without_extras("qr", tmp_path / "invoice.xml", "--picture", picture)

    assert (result.code, result.out) == (2, "")
    assert result.err == "`qr --picture` needs the extra `qr`: pip install 'ksef_async[qr]'\n"
    assert not picture.exists()


def test_the_program_that_is_installed_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
    module, function = project["scripts"]["ksef-async"].split(":")

    assert getattr(importlib.import_module(module), function) is program
