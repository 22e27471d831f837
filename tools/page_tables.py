"""Write the tables of the documentation that the code knows best: errors, KSeF's codes, limits.

They stand between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->`` in the pages of both languages. Run
``python tools/page_tables.py`` after a change of what they are drawn from; with ``--check`` it writes nothing and fails
where a page is not what it would write.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs
from error_texts import CLASSES, CODES, INVOICES, SESSIONS

# For the tree of errors, which is whole only once these are loaded.
import ksef_async.documents
import ksef_async.submissions  # noqa: F401
from ksef_async.api.rates import PRODUCTION_LIMITS, UNLIMITED, RateLimit
from ksef_async.errors import KsefError
from ksef_async.protocol.error_codes import DESCRIPTIONS, ErrorCode
from ksef_async.protocol.lifecycle import INVOICE, SESSION, Phase
from ksef_async.protocol.resource_lifecycles import AnyLifecycle

__all__ = ["LANGUAGES", "PAGES", "errors", "filled", "tree"]

LANGUAGES: Final = ("en", "pl")
PAGES: Final = ("errors.md", "limits.md")

_DOCS: Final = Path(__file__).parent.parent / "docs"
_HEADS: Final = {
    "errors": (("Error", "What it means, and what to do"), ("Błąd", "Co oznacza i co zrobić")),
    "codes": (("Code", "KSeF's text", "What to do"), ("Kod", "Tekst KSeF", "Co zrobić")),
    "limits": (
        ("Group", "a second", "a minute", "an hour"),
        ("Grupa", "na sekundę", "na minutę", "na godzinę"),
    ),
}


def errors(base: type[KsefError] = KsefError) -> Iterator[tuple[int, type[KsefError]]]:
    """Iterate over the tree of errors from the root down, with the depth of each."""

    def walk(found: type[KsefError], depth: int) -> Iterator[tuple[int, type[KsefError]]]:
        yield depth, found
        for child in sorted(found.__subclasses__(), key=lambda each: each.__name__):
            if child.__module__.startswith("ksef_async.") and not child.__name__.startswith("_"):
                yield from walk(child, depth + 1)

    return walk(base, 0)


def tree() -> str:
    """Return the tree of errors as text."""
    return "\n".join(["```text", *(f"{'    ' * depth}{each.__name__}" for depth, each in errors()), "```"])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _errors_table(language: int) -> str:
    names = sorted({each.__name__ for _, each in errors()})
    if missing := [name for name in names if name not in CLASSES]:
        sys.exit(f"tools/error_texts.py says nothing of {', '.join(missing)}")
    return _table(_HEADS["errors"][language], ((f"`{name}`", CLASSES[name][language]) for name in names))


def _codes_table(language: int) -> str:
    rows = ((f"{code.value}", DESCRIPTIONS[code], CODES[code][language]) for code in ErrorCode)
    return _table(_HEADS["codes"][language], rows)


def _states_table(lifecycle: AnyLifecycle, sentences: dict[int, tuple[str, str]], language: int) -> str:
    failures = sorted((int(code), state) for code, state in lifecycle.states.items() if state.phase is Phase.FAILURE)
    return _table(
        _HEADS["codes"][language],
        ((str(code), state.description, sentences[code][language]) for code, state in failures),
    )


def _limits_table(language: int) -> str:
    def shown(number: int) -> str:
        return "-" if number == UNLIMITED else f"{number:,}"

    rows = []
    for field in attrs.fields(type(PRODUCTION_LIMITS)):
        granted: RateLimit = getattr(PRODUCTION_LIMITS, field.name)
        numbers = (granted.per_second, granted.per_minute, granted.per_hour)
        rows.append((f"`{field.name}`", *map(shown, numbers)))
    return _table(_HEADS["limits"][language], rows)


def _parts(language: int) -> dict[str, str]:
    return {
        "tree": tree(),
        "errors": _errors_table(language),
        "codes": _codes_table(language),
        "invoices": _states_table(INVOICE, INVOICES, language),
        "sessions": _states_table(SESSION, SESSIONS, language),
        "limits": _limits_table(language),
    }


def filled(text: str, language: str) -> str:
    """Return a page with its tables as the code has them now."""
    for name, part in _parts(LANGUAGES.index(language)).items():
        mark, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
        before, found, rest = text.partition(f"{mark}\n")
        if found:
            text = f"{before}{mark}\n{part}\n{end}{rest.partition(end)[2]}"
    return text


def main() -> None:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is not up to date")
    only_check = parser.parse_args().check
    for page in (_DOCS / language / name for language in LANGUAGES for name in PAGES):
        text = page.read_text("utf-8")
        wanted = filled(text, page.parent.name)
        if wanted == text:
            continue
        if only_check:
            sys.exit(f"{page} is not what the code gives: run python tools/page_tables.py")
        page.write_text(wanted, "utf-8", newline="\n")


if __name__ == "__main__":
    main()
