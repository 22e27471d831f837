"""Write ``docs/lifecycle.md``: a diagram of every lifecycle, drawn from the tables that the library goes by.

Run ``python tools/lifecycle_diagrams.py`` after a change of `ksef_async.protocol.lifecycle` or
`ksef_async.submissions.models`; with ``--check`` it writes nothing and fails where the file is not what it would write.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ksef_async.protocol.resource_lifecycles import LIFECYCLES, AnyLifecycle
from ksef_async.submissions.models import TRANSITIONS, SubmissionState

DOCUMENT = Path(__file__).parent.parent / "docs" / "lifecycle.md"

INTRODUCTION = """\
# Lifecycles

Every kind of thing that has a status, its states, and which state can follow which. Drawn by
`python tools/lifecycle_diagrams.py` from the tables in `ksef_async/protocol/lifecycle.py` and
`ksef_async/submissions/models.py`, which the client and the sandbox go by; do not edit it by hand.

KSeF gives numbers to most states. A number that is not in a table means: in progress below 200, success at 200, failure
from 201. An arrow to the end stands where nothing can follow."""

JOURNAL = """\
## Submission

The states of an invoice in the journal of `ksef_async.submissions`; these are the library's own. What is rejected, in
conflict or cancelled goes back to `queued` only when somebody retries it."""


def document() -> str:
    """Return the whole document."""
    sections = [INTRODUCTION, *(section for lifecycle in LIFECYCLES for section in _sections(lifecycle))]
    return "\n\n".join([*sections, JOURNAL, _journal()]) + "\n"


def _sections(lifecycle: AnyLifecycle) -> Iterator[str]:
    yield f"## {lifecycle.name[0].upper()}{lifecycle.name[1:]}"
    titles = {_identifier(code): _title(code) for code in lifecycle.states}
    following = {
        _identifier(code): {_identifier(each) for each in state.next} for code, state in lifecycle.states.items()
    }
    yield _diagram(titles, map(_identifier, lifecycle.starts), following)
    rows = [
        f"| {_title(code)} | {state.phase.value} | {state.description} |" for code, state in lifecycle.states.items()
    ]
    yield "\n".join(["| State | Meaning | KSeF's text |", "| --- | --- | --- |", *rows])


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
    text = document()
    if not parser.parse_args().check:
        DOCUMENT.write_text(text, "utf-8", newline="\n")
    elif not DOCUMENT.exists() or DOCUMENT.read_text("utf-8") != text:
        sys.exit(f"{DOCUMENT.name} is not what the tables give: run python tools/lifecycle_diagrams.py")


if __name__ == "__main__":
    main()
