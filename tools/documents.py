"""Generate what ``ksef_async.documents`` knows of the forms: ``python tools/documents.py FOLDER_OF_SCHEMAS``.

It writes ``ksef_async/documents/shapes/FORM.json`` (what is in the schema) and ``ksef_async/documents/FORM.pyi`` (the
models, for editors and type checkers). The same schemas give the same files, byte for byte; a test holds them to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
from shapes import FORMS, read_shape
from stubs import write_stub

__all__ = ["generate"]

PACKAGE = Path(__file__).parents[1] / "ksef_async" / "documents"


def generate(folder: Path) -> Iterator[tuple[Path, str]]:
    """Iterate over the files and what belongs in them; a stub is made from the shape that stands in the package.

    Args:
        folder: With the Ministry's schemas, in whatever folders below it.
    """
    for form in FORMS:
        shape = read_shape(folder, form)
        yield PACKAGE / "shapes" / f"{form}.json", orjson.dumps(shape, option=orjson.OPT_INDENT_2).decode() + "\n"
    for form in FORMS:
        yield PACKAGE / f"{form}.pyi", write_stub(form)


if __name__ == "__main__":
    for file, text in generate(Path(sys.argv[1])):
        file.write_text(text, "utf-8")
