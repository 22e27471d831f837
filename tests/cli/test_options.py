"""No option is without effect: where it needs another, its absence is told."""

from __future__ import annotations

import pytest
from shell import Shell

from ksef_async.cli.app import COMMANDS, load, parser_of

# What each command does with them never depends on another option.
ALONE = {
    "send": "--retry --offline --upo --timeout --credentials --journal --json --proxy --ca-file",
    "issue": "--within --certificate --codes --credentials --journal --json --proxy --ca-file",
    "correct": "--certificate --timeout --credentials --journal --json --proxy --ca-file",
    "certificate": "--type --name --credentials --json --proxy --ca-file",
    "check": "--nip --language --json",
    "show": "--output --pdf --language --ksef-number --code --open --json",
    "status": "--credentials --journal --json",
    "upo": "--folder --credentials --journal --json",
    "export": "--since --part --overlap --credentials --json --proxy --ca-file",
    "plan": "--count --within --offline --today --credentials --json --proxy --ca-file",
    "qr": "--picture --credentials --json",
    "latarnia": "--credentials --json --proxy --ca-file",
    "doctor": "--send --credentials --journal --json --proxy --ca-file",
    "sandbox": "--port --nip --token --no-rate-limits --public-url --schemas --lax --api-version --production",
    "demo": "",
    "completion": "",
}
# Command, arguments with the option, what it is told it needs.
NEEDED = [
    ("send", ["invoices", "--key", "own.key", "--offline", "offline24"], "--key", "--certificate"),
    ("send", ["invoices", "--certificate", "own.pem"], "--certificate", "--offline"),
    ("issue", ["invoice.xml", "--key", "own.key"], "--key", "--certificate"),
    ("correct", ["1", "invoice.xml", "--key", "own.key"], "--key", "--certificate"),
    ("send", ["--recursive"], "--recursive", "FILE"),
    ("show", ["invoice.xml", "--credentials", "ksef.env"], "--credentials", "--code"),
    ("plan", ["invoices", "--size", "10000"], "--size", "--count"),
    ("plan", ["--count", "3", "--recursive"], "--recursive", "FILE"),
    ("qr", ["invoice.xml", "--ksef-number", "1"], "--ksef-number", "--picture or --json"),
    ("demo", ["--recursive"], "--recursive", "FILE"),
]
# argparse itself tells what is missing there: files.
REQUIRED = {("check", "--recursive")}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_known_to_have_an_effect_or_to_need_another(name: str) -> None:
    options = {option for action in parser_of(name, load(name)).arguments for option in action.option_strings}
    needing = {option for command, _, option, _ in NEEDED if command == name}
    needing |= {option for command, option in REQUIRED if command == name}

    assert {*ALONE[name].split()} | needing == options - {"-h", "--help"}
    assert not {*ALONE[name].split()} & needing


@pytest.mark.parametrize(
    ("name", "arguments", "option", "others"), NEEDED, ids=[f"{name} {option}" for name, _, option, _ in NEEDED]
)
async def test_option_without_effect_is_refused(
    shell: Shell, name: str, arguments: list[str], option: str, others: str
) -> None:
    result = await shell.run(name, *arguments)

    assert (result.code, result.out) == (2, "")
    assert result.err == f"ksef-async {name}: {option} has no effect without {others}\n"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("send", ["x", "--offline", "offline24", "--certificate", "c", "--key", "k", "--recursive"]),
        ("show", ["x", "--credentials", "c", "--code"]),
        ("plan", ["--count", "3", "--size", "9"]),
        ("qr", ["x", "--ksef-number", "1", "--json"]),
        ("qr", ["x", "--ksef-number", "1", "--picture", "x.svg"]),
        ("demo", ["x", "--recursive"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_option_with_what_it_needs_is_taken(name: str, arguments: list[str]) -> None:
    assert parser_of(name, load(name)).parse(arguments)


async def test_demonstration_takes_subfolders_as_it_advises(shell: Shell) -> None:
    inner = shell.folder / "inner"
    inner.mkdir()
    (path,) = shell.invoices("5265877635", 1)
    path.rename(inner / path.name)
    shell.set(KSEF_ENV=None)

    without = await shell.run("demo", shell.folder)
    result = await shell.run("demo", shell.folder, "--recursive")

    assert without.code == 2
    assert "--recursive looks into it" in without.err
    assert result.code == 0
    assert "accepted  invoice-001.xml" in result.out
