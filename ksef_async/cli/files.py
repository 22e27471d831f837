"""Which files a command takes: those that are named, and the ``*.xml`` of folders that are named.

What is left out is named, too, with the reason: no file is left out in silence.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, Self

import attrs

from ..errors import file_problem, quote
from ..protocol.invoice_files import name_problem
from ..protocol.invoices import MAX_SIZE_WITH_ATTACHMENT
from .arguments import Parser
from .output import UsageError

__all__ = [
    "FoundFiles",
    "LeftOut",
    "add_file_arguments",
    "find_files",
    "read_file",
    "read_invoice",
    "tell_left_out",
    "unreadable",
]

# So many names are printed for each reason.
_MOST_NAMED: Final = 5


@attrs.frozen(kw_only=True)
class LeftOut:
    """A file or folder that is not taken."""

    path: Path
    reason: str
    is_failure: bool = False
    """True where it may be an invoice, but cannot be read."""


@attrs.frozen(kw_only=True)
class FoundFiles:
    """The files that a command takes, and those that it leaves out."""

    files: tuple[Path, ...]
    """In order: as they were named, those of a folder by their names; each file once."""
    left_out: tuple[LeftOut, ...]

    @property
    def has_failure(self) -> bool:
        """Return whether something was left out that may be an invoice."""
        return any(one.is_failure for one in self.left_out)

    def without(self, file: Path, error: OSError) -> Self:
        """Return the same without a file that could not be read after all."""
        left_out = LeftOut(path=file, reason=_reason(error), is_failure=True)
        return attrs.evolve(
            self, files=tuple(one for one in self.files if one != file), left_out=(*self.left_out, left_out)
        )

    def left_out_as_dicts(self) -> list[dict[str, str]]:
        """Return what was left out as a value for JSON."""
        return [{"file": str(one.path), "reason": one.reason} for one in self.left_out]


def add_file_arguments(parser: Parser, *, nargs: str = "*") -> None:
    """Add the arguments that `find_files` takes."""
    parser.add_argument(
        "files", nargs=nargs, type=Path, default=[], metavar="FILE", help="invoices, or folders of them (*.xml)"
    )
    parser.add_flag("--recursive", "look into the subfolders of folders, too")
    parser.add_need("--recursive", "FILE")


def find_files(paths: Sequence[Path], *, recursive: bool = False) -> FoundFiles:
    """Return the files that are named, and those of the folders that are named.

    A file that is named is taken whatever its name is. Of a folder are taken its files ``*.xml``, in any case, without
    receipts (``*.upo.xml``) and hidden files; links to files are followed, links to folders are not.

    Args:
        paths: Files and folders.
        recursive: Take those in subfolders, too.

    Raises:
        UsageError: A path is neither a file nor a folder, or cannot be read.
    """
    files: dict[str, Path] = {}
    left_out: list[LeftOut] = []
    for path in paths:
        try:
            mode = path.stat().st_mode
            found: Iterator[Path | LeftOut] = iter([path])
            if stat.S_ISDIR(mode):
                found = _of_folder(path, recursive=recursive, is_named=True)
            elif not stat.S_ISREG(mode):
                raise UsageError(f"{quote(str(path))} is neither a file nor a folder.")
            for one in found:
                if isinstance(one, LeftOut):
                    left_out.append(one)
                elif (first := files.setdefault(os.path.realpath(one), one)) != one:
                    left_out.append(LeftOut(path=one, reason=f"the same file as {quote(str(first))}"))
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(f"There is no file {quote(str(path))}.") from None
        except (OSError, ValueError) as error:
            raise UsageError(unreadable(path, error)) from error
    return FoundFiles(files=tuple(files.values()), left_out=tuple(left_out))


def _of_folder(folder: Path, *, recursive: bool, is_named: bool) -> Iterator[Path | LeftOut]:
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: os.path.normcase(entry.name))
    except OSError as error:
        if is_named:
            raise
        yield LeftOut(path=folder, reason=_reason(error), is_failure=True)
        return
    for entry in ordered:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            if recursive and not entry.name.startswith("."):
                yield from _of_folder(path, recursive=True, is_named=False)
            else:
                reason = "hidden" if entry.name.startswith(".") else "a subfolder; --recursive looks into it"
                yield LeftOut(path=path, reason=reason)
        else:
            yield _judged(path, entry)


def _judged(path: Path, entry: os.DirEntry[str]) -> Path | LeftOut:
    """Return the path of an invoice, or why it is none."""
    if entry.is_dir():
        return LeftOut(path=path, reason="a link to a folder")
    if (problem := name_problem(entry.name)) is not None:
        return LeftOut(path=path, reason=problem)
    try:
        # Not of the entry, which knows nothing of where a link leads.
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        return LeftOut(path=path, reason=_reason(error), is_failure=True)
    if not is_file:
        return LeftOut(path=path, reason="not a file")
    if not os.access(path, os.R_OK):
        return LeftOut(path=path, reason=_reason(PermissionError()), is_failure=True)
    return path


def read_invoice(path: Path) -> bytes:
    """Return the content of a file, of one that is larger than any invoice only so much that it is refused.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return file.read(MAX_SIZE_WITH_ATTACHMENT + 1)


def read_file(path: Path) -> bytes:
    """Return the content of the one file that a command is for.

    Raises:
        UsageError: There is none, or it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{quote(str(path))} is not a file.")
        return read_invoice(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"There is no file {quote(str(path))}.") from None
    except (OSError, ValueError) as error:
        raise UsageError(unreadable(path, error)) from error


def unreadable(path: str | Path, error: Exception) -> str:
    """Return the sentence that tells why a file cannot be read."""
    return f"{quote(str(path))} {_reason(error)}."


def _reason(error: Exception) -> str:
    return f"cannot be read: {file_problem(error) if isinstance(error, OSError) else error}"


def tell_left_out(found: FoundFiles) -> None:
    """Print on standard error what was left out, and why; a line for each reason."""
    ordered = sorted(found.left_out, key=lambda one: (not one.is_failure, one.reason))
    for reason, group in groupby(ordered, key=lambda one: one.reason):
        names = [quote(str(one.path)) for one in group]
        more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
        print(f"Left out ({reason}): {', '.join(names[:_MOST_NAMED])}{more}", file=sys.stderr)
