"""Check the invoices of a folder before they are sent: what KSeF would refuse, and where; no login, no network.

``pip install ksef_async``

``python check_folder.py FOLDER`` ends with 1 where there is a problem; without a folder it makes one with mistakes.
``ksef-async check FOLDER`` does the same with a table.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from ksef_async.documents import check
from ksef_async.sandbox import sample_invoice

MISTAKES = {
    "comma.xml": ("<P_15>1230.00", "<P_15>1230,00"),
    "total.xml": ("<P_15>1230.00", "<P_15>1231.00"),
    "number.xml": ("<P_2>FV/1</P_2>", ""),
}


def check_folder(folder: Path) -> bool:
    """Print what is wrong with the invoices of a folder, and return whether they can be sent."""
    all_good = True
    for file in sorted(folder.glob("*.xml")):
        report = check(file.read_bytes())
        all_good = all_good and report.ok
        print(f"{file.name}: {report.form or 'unknown form'}, {'good' if report.ok else 'would be refused'}")
        for problem in (*report.problems, *report.warnings):
            print(f"  {problem.severity.value} in line {problem.line}: {problem.message}")
            print(f"    {problem.message_pl}")
    return all_good


def make_samples(folder: Path) -> None:
    good = sample_invoice("5265877635").decode()
    (folder / "a good one.xml").write_text(good, "utf-8")
    for name, (right, wrong) in MISTAKES.items():
        (folder / name).write_text(good.replace(right, wrong), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(0 if check_folder(Path(sys.argv[1])) else 1)
    with tempfile.TemporaryDirectory() as made:
        make_samples(Path(made))
        check_folder(Path(made))

# a good one.xml: FA (3), good
# comma.xml: FA (3), would be refused
#   problem in line 2: P_15 is "1230,00"; write the number with a point, and without anything between thousands: ...
#     P_15 ma wartość "1230,00"; zapisz liczbę z kropką i bez separatora tysięcy: 1234.56.
# number.xml: FA (3), would be refused
#   problem in line 2: Fa has no P_2; add it before P_13_1.
#     Fa nie ma elementu P_2; dodaj go przed P_13_1.
# total.xml: FA (3), good
#   warning in line 2: P_15 is 1231.00, but the sums above it give 1230.00.
#     P_15 ma wartość 1231.00, a z sum powyżej wynika 1230.00.
