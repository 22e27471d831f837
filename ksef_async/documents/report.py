"""What a check finds: problems, for which KSeF refuses a document, and warnings; each with its place and what to do."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import attrs

from ..errors import LocalProtocolError
from .sentences import SENTENCES

__all__ = ["DocumentError", "Problem", "Report", "Severity", "make_problem"]


class Severity(StrEnum):
    """The severity of a finding: whether KSeF refuses the document for it."""

    PROBLEM = "problem"
    """KSeF refuses the document, or its figures are wrong."""
    WARNING = "warning"
    """It may be meant; KSeF does not refuse the document for it."""


@attrs.frozen(kw_only=True)
class Problem:
    """One thing that is wrong with a document."""

    code: str
    """What is wrong, for programs: a key of `ksef_async.documents.SENTENCES`, for example ``element_missing``."""
    message: str
    """What is wrong and what to do, in English."""
    message_pl: str
    """The same in Polish."""
    path: str | None = None
    """The element or attribute: ``/Faktura/Fa/FaWiersz[2]/P_11``; None where it is the whole file."""
    line: int | None = None
    """The line it stands in, from 1; None where it is the whole file."""
    column: int | None = None
    """The character of the line, from 1; None where it is the whole file."""
    offset: int | None = None
    """The byte of the file, from 0; None where it is the whole file."""
    severity: Severity = Severity.PROBLEM
    """``problem`` where KSeF refuses the document for it, else ``warning``."""

    def __str__(self) -> str:
        place = f" (line {self.line}, column {self.column})" if self.line is not None else ""
        return f"{self.path or 'document'}{place}: {self.message}"


@attrs.frozen(kw_only=True)
class Report:
    """The result of a check, in the order of the document."""

    problems: tuple[Problem, ...] = ()
    """KSeF refuses the document for each of these."""
    warnings: tuple[Problem, ...] = ()
    """KSeF takes the document all the same."""
    form: str | None = None
    """The form by its system code, for example ``FA (3)``; None where it is none that is known here."""

    @property
    def ok(self) -> bool:
        """True when there is no problem; warnings do not count."""
        return not self.problems

    def raise_for_problems(self) -> None:
        """Raise what is wrong, if anything is.

        Raises:
            DocumentError: The report has a problem.
        """
        if self.problems:
            raise DocumentError(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, for JSON."""
        return {"ok": self.ok, **attrs.asdict(self)}


class DocumentError(LocalProtocolError):
    """A document that KSeF would refuse, or that cannot be read or written; nothing was sent."""

    def __init__(self, report: Report) -> None:
        first, *others = report.problems
        more = f" (and {len(others)} more)" if others else ""
        super().__init__(f"{first}{more}")
        #: What is wrong: at least one problem.
        self.report = report
        """All that was found."""

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The report's problems, at least one."""
        return self.report.problems


def make_problem(
    code: str,
    *,
    path: str | None = None,
    place: tuple[int, int, int] | None = None,
    severity: Severity = Severity.PROBLEM,
    **values: object,
) -> Problem:
    """Return a problem with its sentences.

    Args:
        code: A key of `SENTENCES`.
        path: The element it is about.
        place: Line and column from 1, byte from 0.
        severity: Whether KSeF refuses the document for it.
        values: What the sentences name.
    """
    english, polish = SENTENCES[code]
    line, column, offset = place or (None, None, None)
    return Problem(
        code=code,
        message=english.format(**values),
        message_pl=polish.format(**values),
        path=path,
        line=line,
        column=column,
        offset=offset,
        severity=severity,
    )
