"""Write ``lifecycle.md`` of both languages: a diagram of every lifecycle, drawn from the tables of the library.

Run ``python tools/lifecycle_diagrams.py`` after a change of `ksef_async.protocol.lifecycle` or
`ksef_async.submissions.models`; with ``--check`` it writes nothing and fails where the file is not what it would write.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from ksef_async.protocol.lifecycle import Phase
from ksef_async.protocol.resource_lifecycles import LIFECYCLES, AnyLifecycle
from ksef_async.submissions.models import TRANSITIONS, SubmissionState

DOCS: Final = Path(__file__).parent.parent / "docs"

INTRODUCTIONS: Final = {
    "en": """\
# Lifecycles

Every kind of thing that has a status, its states, and which state can follow which. Drawn by
`python tools/lifecycle_diagrams.py` from the tables in `ksef_async/protocol/lifecycle.py` and
`ksef_async/submissions/models.py`, which the client and the sandbox go by; do not edit it by hand.

KSeF gives numbers to most states. A number that is not in a table means: in progress below 200, success at 200, failure
from 201. An arrow to the end stands where nothing can follow.""",
    "pl": """\
# Cykle życia

Wszystko, co ma status: jego stany i to, który może nastąpić po którym. Rysuje to
`python tools/lifecycle_diagrams.py` z tabel w `ksef_async/protocol/lifecycle.py` i
`ksef_async/submissions/models.py`, według których działają klient i piaskownica; nie zmieniaj tego ręcznie.

Większość stanów KSeF numeruje. Numer spoza tabeli oznacza: w toku poniżej 200, sukces przy 200, niepowodzenie od 201.
Strzałka do końca stoi tam, gdzie nic już nie następuje.""",
}

JOURNALS: Final = {
    "en": """\
## Submission

The states of an invoice in the journal of `ksef_async.submissions`; these are the library's own. What is rejected, in
conflict or cancelled goes back to `queued` only when somebody retries it.""",
    "pl": """\
## Zgłoszenie w dzienniku

Stany faktury w dzienniku `ksef_async.submissions`; są własne, nie KSeF. Odrzucona, skonfliktowana lub wycofana wraca do
`queued` tylko wtedy, gdy ktoś ją ponowi.""",
}

_NAMES: Final = {
    "login": "Logowanie",
    "online session": "Sesja interaktywna",
    "batch session": "Sesja wsadowa",
    "invoice": "Faktura",
    "export": "Eksport",
    "permission operation": "Operacja na uprawnieniach",
    "permission": "Uprawnienie",
    "certificate application": "Wniosek o certyfikat",
    "certificate": "Certyfikat",
    "KSeF token": "Token KSeF",
}
_PHASES: Final = {Phase.IN_PROGRESS: "w toku", Phase.SUCCESS: "sukces", Phase.FAILURE: "niepowodzenie"}
_HEADS: Final = {"en": "| State | Meaning | KSeF's text |", "pl": "| Stan | Znaczenie | Tekst KSeF |"}


def document(language: str) -> str:
    """Return the whole document."""
    sections = [section for lifecycle in LIFECYCLES for section in _sections(lifecycle, language)]
    return "\n\n".join([INTRODUCTIONS[language], *sections, JOURNALS[language], _journal()]) + "\n"


def _sections(lifecycle: AnyLifecycle, language: str) -> Iterator[str]:
    name = _NAMES[lifecycle.name] if language == "pl" else lifecycle.name
    yield f"## {name[0].upper()}{name[1:]}"
    titles = {_identifier(code): _title(code) for code in lifecycle.states}
    following = {
        _identifier(code): {_identifier(each) for each in state.next} for code, state in lifecycle.states.items()
    }
    yield _diagram(titles, map(_identifier, lifecycle.starts), following)
    rows = [
        f"| {_title(code)} | {_PHASES[state.phase] if language == 'pl' else state.phase.value} | {state.description} |"
        for code, state in lifecycle.states.items()
    ]
    yield "\n".join([_HEADS[language], "| --- | --- | --- |", *rows])


def _journal() -> str:
    following = {old.value: {new.value for new in each} for old, each in TRANSITIONS.items()}
    return _diagram({state.value: state.value for state in SubmissionState}, [SubmissionState.QUEUED.value], following)


def _diagram(titles: Mapping[str, str], starts: Iterable[str], following: Mapping[str, set[str]]) -> str:
    """Return a Mermaid diagram; its edges stand in the order of ``titles``."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{title}" as {name}' for name, title in titles.items()]
    lines += [f"    [*] --> {name}" for name in starts]
    for name in titles:
        lines += [f"    {name} --> {each}" for each in titles if each in following[name]]
        if not following[name]:
            lines.append(f"    {name} --> [*]")
    return "\n".join([*lines, "```"])


def _identifier(code: int | str) -> str:
    return f"s{code}" if isinstance(code, int) else str(code)


def _title(code: int | str) -> str:
    name = getattr(code, "name", "")
    return f"{code} {name}" if isinstance(code, int) else str(code)


def main() -> None:
    """Write the document, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is not up to date")
    only_check = parser.parse_args().check
    for language in INTRODUCTIONS:
        text, path = document(language), DOCS / language / "lifecycle.md"
        if not only_check:
            path.write_text(text, "utf-8", newline="\n")
        elif not path.exists() or path.read_text("utf-8") != text:
            sys.exit(f"{path.name} is not what the tables give: run python tools/lifecycle_diagrams.py")


if __name__ == "__main__":
    main()
