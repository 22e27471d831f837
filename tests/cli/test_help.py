"""Help that fits a screen, completion that shells understand, and a start that nobody waits for."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from shell import Shell

from ksef_async.cli.app import COMMANDS, load, parser_of

# Of a terminal; argparse takes the width from its environment.
LINES, COLUMNS = 40, 80


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(COLUMNS + 2))


def helps() -> Iterator[tuple[str, ...]]:
    yield ("--help",)
    for name in COMMANDS:
        yield (name, "--help")
    for topic in ("credentials", "exit-codes"):
        yield ("help", topic)


@pytest.mark.parametrize("arguments", [*helps()], ids=" ".join)
async def test_help_fits_a_screen(shell: Shell, arguments: tuple[str, ...]) -> None:
    result = await shell.run(*arguments)

    lines = result.out.splitlines()
    assert (result.code, result.err) == (0, "")
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS


@pytest.mark.parametrize("name", COMMANDS)
def test_overview_says_what_the_command_says_of_itself(name: str) -> None:
    assert (inspect.getdoc(load(name).run) or "").splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_understood(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    command = load(name)

    assert command.examples
    for example in command.examples:
        first, *arguments = [word.strip('"') for word in example.partition(" >")[0].split()]
        assert first == name
        parser_of(name, command).parse(arguments)


async def test_help_of_a_command_is_found_both_ways(shell: Shell) -> None:
    one, other = await shell.run("help", "plan"), await shell.run("plan", "--help")
    bare, overview = await shell.run("help"), await shell.run("--help")
    unknown = await shell.run("help", "fly")

    assert one.out == other.out
    assert bare.out == overview.out
    assert unknown.code == 2


async def test_overview_tells_the_exit_codes(shell: Shell) -> None:
    result = await shell.run("--help")

    for code in ("0 ", "1 ", "2 ", "3 ", "4 ", "130 ", "141 "):
        assert f"\n  {code}" in result.out


async def test_exit_codes_in_the_documentation_are_those_of_the_help(shell: Shell) -> None:
    result = await shell.run("help", "exit-codes")
    page = (Path(__file__).parents[2] / "docs" / "en" / "commands.md").read_text("utf-8")

    for line in result.out.splitlines()[1:]:
        code, _, meaning = line.strip().partition(" ")
        assert f"| {code} | {meaning.strip()} |" in page


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_start_loads_nothing_that_takes_long(argument: str) -> None:
    program = (
        "import sys; from ksef_async.cli.app import main\n"
        f"main([{argument!r}])\n"
        "heavy = {'aiohttp', 'asyncio', 'cryptography', 'orjson', 'rich', 'sqlalchemy', 'yarl'}\n"
        "print(*heavy & {*sys.modules}, file=sys.stderr)"
    )
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    took = time.perf_counter() - started

    assert result.stderr.strip() == ""
    # 0.1 s on a quiet machine, against 0.35 s that are promised.
    assert took < 3


# --- completion ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def scripts(shell: Shell) -> Path:
    for name in ("bash", "zsh", "fish"):
        result = await shell.run("completion", name)
        assert (result.code, result.err) == (0, "")
        (shell.folder / f"script.{name}").write_text(result.out)
    (shell.folder / "an invoice.xml").touch()
    return shell.folder


async def lines_of(folder: Path, *command: str) -> list[str]:
    result = await anyio.run_process(command, cwd=folder)
    assert result.stderr == b""
    return result.stdout.decode().splitlines()


async def offered_by_bash(folder: Path, *words: str) -> set[str]:
    listed = " ".join(f"'{word}'" for word in words)
    program = (
        f"source script.bash; COMP_WORDS=(ksef-async {listed}); COMP_CWORD={len(words)}; _ksef_async; "
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    return {*await lines_of(folder, "bash", "-c", program)}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        pytest.param(["se"], {"send"}, id="command"),
        pytest.param(["send", "--re"], {"--recursive", "--retry"}, id="option"),
        pytest.param(["send", "an"], {"an invoice.xml"}, id="file with a blank"),
        pytest.param(["send", "--retry", "an"], {"an invoice.xml"}, id="file after a flag"),
        pytest.param(["export", "x", "--part", "b"], {"buyer"}, id="choice"),
        pytest.param(["plan", "--within", ""], {""}, id="a number"),
        pytest.param(["completion", "f"], {"fish"}, id="choice of an argument"),
        pytest.param(["help", "exi"], {"exit-codes"}, id="topic"),
        pytest.param(["sandbox", "--api-version", "2.6"], {"2.6.0"}, id="version"),
    ],
)
async def test_bash_completes(scripts: Path, words: list[str], offered: set[str]) -> None:
    assert await offered_by_bash(scripts, *words) == offered


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("ksef-async se", {"send"}),
        ("ksef-async send --re", {"--recursive", "--retry"}),
        ("ksef-async send an", {"an invoice.xml"}),
        ("ksef-async export x --part b", {"buyer"}),
        ("ksef-async help exi", {"exit-codes"}),
        ("ksef-async sandbox --api-version 2.6", {"2.6.0"}),
    ],
)
async def test_fish_completes(scripts: Path, line: str, offered: set[str]) -> None:
    program = f"source script.fish; complete -C '{line}'"
    lines = await lines_of(scripts, "fish", "-c", program)

    assert {one.partition("\t")[0].replace("\\", "") for one in lines} == offered


# A line is typed, then the key Tab: each is done once zsh shows the whole word.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "TERM=dumb; autoload -Uz compinit; compinit -D -u; source ./script.zsh; print it is re''ady"
zpty -r -m shell shown '*it is ready*'
while read -r line; do
    zpty -w -n shell "ksef-async ${line%|*}"$'\t'
    zpty -r -m shell shown "*ksef-async ${(b)${line#*|}}*"
    zpty -w -n shell $'\C-u'
    print -r -- ${line#*|}
done
"""
COMPLETED_BY_ZSH = {
    "se": "send",
    "send --rec": "send --recursive",
    "send --retry an": r"send --retry an\ invoice.xml",
    "export x --part b": "export x --part buyer",
    "help exi": "help exit-codes",
    "sandbox --api-version 2.6": "sandbox --api-version 2.6.0",
}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
async def test_zsh_completes(scripts: Path) -> None:
    typed = "".join(f"{line}|{whole}\n" for line, whole in COMPLETED_BY_ZSH.items())

    with anyio.fail_after(20):
        result = await anyio.run_process(["zsh", "-f", "-c", ZSH], cwd=scripts, input=typed.encode())

    assert result.stdout.decode().splitlines() == [*COMPLETED_BY_ZSH.values()]
