"""What is packed: files, a folder of them, or invoices in memory; taken in lots, each about as much work."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar, overload

import anyio
import anyio.to_thread
import attrs

from ..calling.finishing import in_thread
from ..errors import LocalProtocolError
from ..protocol.invoice_files import is_invoice_file
from ..protocol.invoices import MAX_SIZE_WITH_ATTACHMENT
from ..protocol.planning import check_file_name

__all__ = ["AsyncInvoiceSource", "Invoice", "InvoiceSource", "Item", "OpenedSource", "Source", "open_source"]

Item: TypeAlias = Path | tuple[str, bytes | Path] | tuple[str, bytes | Path, Any]
"""A file; or a file name and the invoice; or both and the key that the caller knows the invoice by."""
Source: TypeAlias = Path | Iterable[Item] | AsyncIterable[Item]
"""A folder, whose files ``*.xml`` are taken in the order of their names; or items."""

T = TypeVar("T")

# Plain bytes from which on a lot is complete. Half of it costs more thread calls than it is worth; with twice as
# much, what is under way takes some ten megabytes more.
_LOT: Final = 400_000
# Files that are read by one call of a thread.
_FILES: Final = 100
_PIECE: Final = 2**20
_BINARY: Final = getattr(os, "O_BINARY", 0)


class Invoice(NamedTuple):
    """One to be packed."""

    file_name: str
    content: bytes | Path | str
    """The invoice, or where a file has it."""
    key: Any

    def size(self) -> int:
        """Return its bytes, as far as can be told before it is read."""
        if isinstance(self.content, bytes):
            return len(self.content)
        # A path as it came from the folder needs no object of its own.
        return os.stat(self.content).st_size  # noqa: PTH116

    def read(self) -> bytes:
        """Return the invoice. Blocks when a file has it.

        Raises:
            LocalProtocolError: The file is larger than any invoice may be; it was not read.
            OSError: The file cannot be read.
        """
        return self.content if isinstance(self.content, bytes) else _read_file(self.file_name, self.content)


def _read_file(name: str, path: Path | str) -> bytes:
    # By the system's own calls: with small invoices, Python's file objects take as long as compressing does.
    descriptor = os.open(path, os.O_RDONLY | _BINARY)
    try:
        size = os.fstat(descriptor).st_size
        if size > MAX_SIZE_WITH_ATTACHMENT:
            raise LocalProtocolError(
                f"{name}: The file has {size:,} bytes; KSeF takes invoices of at most {MAX_SIZE_WITH_ATTACHMENT:,}."
            )
        # One byte more than there should be: otherwise this is not a file that holds still.
        data = os.read(descriptor, size + 1)
        if len(data) != size:
            data = b"".join([data, *iter(lambda: os.read(descriptor, _PIECE), b"")])
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
    finally:
        os.close(descriptor)
    return data


class _Files(Sequence[Invoice]):
    """Files of one folder, by their names alone: what is made of each is made when it is asked for."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self._start = os.path.join(folder, "")  # noqa: PTH118
        self._names = names

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Invoice]:
        start = self._start
        return (Invoice(name, start + name, name) for name in self._names)

    @overload
    def __getitem__(self, place: int) -> Invoice: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Invoice]: ...

    def __getitem__(self, place: int | slice) -> Invoice | Sequence[Invoice]:
        return [*self][place]


class _Register:
    """Refuses what must not stand in one package together."""

    def __init__(self, max_invoices: int) -> None:
        self._max_invoices = max_invoices
        self._names: set[str] = set()

    def admit(self, item: Item | Invoice) -> Invoice:
        named = item if isinstance(item, Invoice) else _named(item)
        check_file_name(named.file_name)
        if named.file_name in self._names:
            raise LocalProtocolError(f"Two invoices are called {named.file_name!r}; in one package names are unique.")
        if len(self._names) == self._max_invoices:
            raise LocalProtocolError(
                f"{named.file_name!r} would be one more than the {self._max_invoices:,} invoices of a package."
            )
        self._names.add(named.file_name)
        return named


@attrs.frozen(kw_only=True)
class OpenedSource:
    """A source before its invoices are read."""

    items: Iterable[Item] | Iterable[Invoice] | AsyncIterable[Item] = attrs.field(repr=False)
    total: int | None
    """How many bytes they have; None where only walking it would tell."""
    is_checked: bool
    """Whether all of them are known to be fit to stand in one package."""

    def start(self, max_invoices: int) -> InvoiceSource | AsyncInvoiceSource:
        """Begin a pass over it."""
        if isinstance(self.items, AsyncIterable):
            return AsyncInvoiceSource(self.items, max_invoices)
        return InvoiceSource(self.items, max_invoices, is_checked=self.is_checked)


class InvoiceSource:
    """Hands out the invoices of one pass over an iterable, in its order, to whichever threads ask.

    Args:
        items: Where they come from.
        max_invoices: How many there may be.
        is_checked: Whether all of them are known to be fit to stand in one package.
    """

    def __init__(self, items: Iterable[Item] | Iterable[Invoice], max_invoices: int, *, is_checked: bool) -> None:
        self._register = _Register(max_invoices)
        self._is_checked = is_checked
        self._iterator = iter(items)

    def take_lot(self, prepare: Callable[[list[Invoice]], T]) -> T | None:
        """Return what ``prepare`` makes of some invoices or one large one; None at the end. Blocks.

        Raises:
            LocalProtocolError: An invoice is refused.
            OSError: A file cannot be found.
            Exception: Whatever the source raises.
        """
        lot: list[Invoice] = []
        size = 0
        for item in self._iterator:
            named = item if self._is_checked and isinstance(item, Invoice) else self._register.admit(item)
            lot.append(named)
            size += named.size()
            if size >= _LOT:
                break
        return prepare(lot) if lot else None


class AsyncInvoiceSource:
    """Hands out the invoices of an async iterable, in its order.

    Args:
        items: Where they come from.
        max_invoices: How many there may be.
    """

    def __init__(self, items: AsyncIterable[Item], max_invoices: int) -> None:
        self._register = _Register(max_invoices)
        self._iterator = aiter(items)
        # A limiter of our own: anyio's common one is for the application.
        self._limiter = anyio.CapacityLimiter(1)
        # What was named and is not read yet.
        self._named: list[Invoice] = []

    async def next_lot(self, prepare: Callable[[list[Invoice]], T]) -> T | None:
        """Return what ``prepare`` makes, in a thread, of some invoices or one large one; None at the end.

        Raises:
            LocalProtocolError: An invoice is refused.
            OSError: A file cannot be found.
            Exception: Whatever the source raises.
        """
        size = sum(len(named.content) for named in self._named if isinstance(named.content, bytes))
        while size < _LOT and len(self._named) < _FILES:
            try:
                named = self._register.admit(await anext(self._iterator))
            except StopAsyncIteration:
                break
            self._named.append(named)
            size += len(named.content) if isinstance(named.content, bytes) else 0
        return (
            await anyio.to_thread.run_sync(self._prepare_named, prepare, limiter=self._limiter) if self._named else None
        )

    def _prepare_named(self, prepare: Callable[[list[Invoice]], T]) -> T:
        count = size = 0
        while size < _LOT and count < len(self._named):
            size += self._named[count].size()
            count += 1
        lot = self._named[:count]
        del self._named[:count]
        return prepare(lot)


async def open_source(source: Source, max_invoices: int) -> OpenedSource:
    """Return the items of ``source``, and what is known of them.

    What can be walked twice (a folder, a list) is looked through first, so that it is refused at once.

    Raises:
        LocalProtocolError: The source is nothing that can be packed, or an invoice is refused.
        OSError: A file cannot be found.
    """
    if isinstance(source, Path):
        return await in_thread(_open_folder, source, max_invoices)
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return await in_thread(_survey, source, max_invoices)
    if isinstance(source, str | bytes) or not isinstance(source, Iterable | AsyncIterable):
        raise LocalProtocolError(f"A package is made of a folder's Path or of items, not of {type(source).__name__}.")
    return OpenedSource(items=source, total=None, is_checked=False)


def _open_folder(folder: Path, max_invoices: int) -> OpenedSource:
    if not folder.is_dir():
        raise LocalProtocolError(f"{folder} is no folder; give one file in a list.")
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if is_invoice_file(entry.name) and entry.is_file()]
    # As paths are sorted, which is by the names that the system compares.
    names.sort(key=os.path.normcase)
    return _survey(_Files(folder, names), max_invoices)


def _survey(items: Sequence[Item] | Sequence[Invoice], max_invoices: int) -> OpenedSource:
    register, total = _Register(max_invoices), 0
    named: list[Invoice] = []
    # A sequence of the caller's own may make its items anew each time; all at once they may not fit into memory.
    is_kept = isinstance(items, list | tuple)
    for item in items:
        admitted = register.admit(item)
        total += admitted.size()
        if is_kept:
            named.append(admitted)
    return OpenedSource(items=named if is_kept else items, total=total, is_checked=is_kept or isinstance(items, _Files))


def _named(item: Item) -> Invoice:
    match item:
        case Path():
            return Invoice(item.name, item, item.name)
        case (str() as name, bytes() | Path() as content):
            return Invoice(name, content, name)
        case (str() as name, bytes() | Path() as content, key):
            return Invoice(name, content, key)
        case (str() as name, *_):
            raise LocalProtocolError(f"{name!r}: An invoice is bytes, as KSeF hashes the file, or the Path of a file.")
        case _:
            raise LocalProtocolError(
                f"An item of a package is a Path, or (name, bytes), or (name, bytes, key), not {type(item).__name__}."
            )
