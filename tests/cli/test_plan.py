"""``ksef-async plan``: how, and how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ksef_async.cli import main
from ksef_async.sandbox import sample_invoice


def test_few_invoices_go_online_and_many_in_batches(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [main(["plan", "--count", count, "--json"]) for count in ("10", "30000")]
    few, many = (json.loads(part + "}") for part in capsys.readouterr().out.split("}\n") if part)

    assert codes == [0, 0]
    assert (few["route"], few["batches"]) == ("online", 0)
    assert (many["route"], many["batches"]) == ("batch", 3)
    assert many["seconds"] < many["seconds_online"]


def test_what_cannot_be_in_time_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--count", "100000", "--within", "1"]) == 4
    assert "No way meets the time given." in capsys.readouterr().out


def test_files_are_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        (tmp_path / f"{number}.xml").write_bytes(sample_invoice("5265877635", f"FV/{number}"))

    assert main(["plan", str(tmp_path), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["invoices"] == 3
    assert told["bytes"] == sum(file.stat().st_size for file in tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], [".", "--count", "3"], ["."]], ids=["nothing", "both", "no file"])
def test_nothing_to_plan_is_refused(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["plan", *arguments]) == 2
