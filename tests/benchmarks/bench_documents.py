"""Invoices read, written and checked by us and by the two peers: the same files, each library in its own process.

What comes back the same has the same elements, in the same order, with the same texts and attributes. Each is called
as its documentation says; what has no public name (writing what ksef2 has read, and its schema) is called by the one
it has. Only ratios mean anything.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import io
import json
import random
import statistics
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

sys.path.insert(0, str(Path(__file__).parents[1]))

from made_documents import make_document

#: The official samples, where they are at hand; as in tests/official.py, which needs pytest.
SAMPLES: Final = Path(__file__).parents[2].parent / "shared" / "ksef" / "samples" / "fa3"
ROUNDS: Final = 7
#: So many invoices are made up where the official samples are not at hand.
MADE: Final = 12
#: Library: what is imported to read and write, and the folders that documents are in.
LIBRARIES: Final = {
    "ksef_async": ("ksef_async.documents.fa3", "documents"),
    "ksef-client": ("ksef_client.documents.fa3", "documents"),
    "ksef2": ("ksef2.fa3", "fa3"),
}
MOST_MS: Final = {"read": 0.4, "write": 0.4, "check shape": 0.3}

Calls = dict[str, Callable[[Any], Any]]


# --- in the process of a library -----------------------------------------------------------------------------


def ours() -> Calls:
    from ksef_async.documents import check, fa3
    from ksef_async.documents.source import parse_document
    from ksef_async.documents.validation import find_problems

    def check_shape(xml: bytes) -> bool:
        return not find_problems("fa3", parse_document(xml))[0]

    return {
        "read": fa3.read,
        "write": fa3.write,
        "check shape": check_shape,
        "check": lambda xml: check(xml).ok,
    }


def ksef_client() -> Calls:
    from ksef_client.documents import fa3
    from ksef_client.documents.fa3.xml import validate_fa3_xml_xsd

    def check_shape(xml: bytes) -> bool:
        validate_fa3_xml_xsd(xml)
        return True

    return {
        "read": fa3.FA3Invoice.from_xml,
        "write": lambda invoice: invoice.to_xml(validate=False, facets=False),
        "check shape": check_shape,
    }


def ksef2() -> Calls:
    from ksef2._infra.mappers.invoices.fa3.domain.invoice import to_spec
    from ksef2._infra.schema.fa3.models.schemat import __NAMESPACE__
    from ksef2._services.builders.fa3.root import _load_fa3_schema
    from ksef2.fa3 import parse_invoice_xml
    from lxml import etree
    from xsdata.formats.dataclass.serializers import XmlSerializer

    def write(invoice: Any) -> bytes:
        text: str = XmlSerializer().render(to_spec(invoice), ns_map={None: __NAMESPACE__})
        return text.encode()

    return {
        "read": parse_invoice_xml,
        "write": write,
        "check shape": lambda xml: _load_fa3_schema().validate(etree.fromstring(xml)),
    }


def work(library: str, documents: list[bytes], rounds: int) -> dict[str, Any]:
    calls = {"ksef_async": ours, "ksef-client": ksef_client, "ksef2": ksef2}[library]()
    # What each makes of an invoice, without counting the first time.
    read = {}
    same, refused = 0, []
    for number, document in enumerate(documents):
        try:
            read[number] = calls["read"](document)
            written = calls["write"](read[number])
        except Exception as error:  # noqa: BLE001 - whatever a library raises for what it cannot read
            refused.append(f"{type(error).__name__}: {error}"[:200])
            read.pop(number, None)
            continue
        same += values(document) == values(written)
    figures: dict[str, Any] = {"read": len(read), "same": same, "refused": refused, "ms": {}}
    for name, call in calls.items():
        given = [read[number] if name == "write" else documents[number] for number in read]
        times = []
        for _ in range(rounds):
            gc.collect()
            start = time.process_time()
            for each in given:
                call(each)
            times.append((time.process_time() - start) * 1000 / len(given))
        figures["ms"][name] = statistics.median(times)
    return figures


def values(xml: bytes) -> list[tuple[str, str, dict[str, str]]]:
    elements = ET.fromstring(xml).iter()
    return [(one.tag, (one.text or "").strip(), dict(one.attrib)) for one in elements]


# --- beside them ---------------------------------------------------------------------------------------------


def import_ms(module: str) -> float:
    """How long an import takes, on top of what Python itself takes."""
    program = f"import time; start = time.process_time(); import {module}; print(time.process_time() - start)"
    return min(float(_python("-c", program)) * 1000 for _ in range(3))


def zipped_kb(package: str, pattern: str = "") -> float:
    """How large a package is in a wheel, or what is in some of its folders."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for file in sorted(root.rglob("*")):
            name = file.relative_to(root.parent)
            inside = not pattern or any(parent.match(pattern) for parent in name.parents)
            if file.is_file() and "__pycache__" not in name.parts and inside:
                opened.write(file, name)
    return len(archive.getvalue()) / 1000


def _python(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], check=True, capture_output=True, text=True
    ).stdout


def load(folder: Path | None) -> list[bytes]:
    if folder is not None and folder.is_dir():
        return [path.read_bytes() for path in sorted(folder.glob("*.xml"))]
    return [make_document("fa3", random.Random(seed), fill=0.3) for seed in range(MADE)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=SAMPLES, help="invoices, FA(3); the official samples by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--library", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    documents = load(options.folder)
    if options.library:
        warnings.simplefilter("ignore")
        # ksef_client warns on standard output and error alike; the last line is ours.
        print(json.dumps(work(options.library, documents, options.rounds)))
        return

    turns: dict[str, list[dict[str, Any]]] = {library: [] for library in LIBRARIES}
    for _ in range(3):
        for library in LIBRARIES:
            arguments = ("--library", library, "--folder", str(options.folder), "--rounds", str(options.rounds))
            turns[library].append(json.loads(_python(__file__, *arguments).splitlines()[-1]))
    best = {
        library: {name: min(turn["ms"][name] for turn in each) for name in each[0]["ms"]}
        for library, each in turns.items()
    }
    print(f"{len(documents)} invoices; ms an invoice, the best of {len(turns['ksef2'])} processes")
    for library, (module, pattern) in LIBRARIES.items():
        first, package = turns[library][0], module.partition(".")[0]
        times = ", ".join(f"{name} {ms:.2f}" for name, ms in best[library].items())
        print(f"{library}: reads {first['read']}, gives back {first['same']} the same; {times}")
        print(f"    import {module}: {import_ms(module):.0f} ms (package alone {import_ms(package):.0f} ms)")
        print(f"    in the wheel {zipped_kb(package):.0f} kB, documents {zipped_kb(package, pattern):.0f} kB")
        for sentence in sorted(set(first["refused"])):
            print(f"    refused: {sentence}")
    for name in MOST_MS:
        own = best["ksef_async"][name]
        ratios = ", ".join(f"{best[peer][name] / own:.1f} times as fast as {peer}" for peer in ("ksef-client", "ksef2"))
        print(f"{name}: {ratios}; aim: {MOST_MS[name]} ms")


if __name__ == "__main__":
    main()
