"""What is packed: files, a folder of them, or invoices in memory; taken in lots, each about as much work."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import attrs

from ..calling.finishing import in_thread
from ..errors import LocalProtocolError
from ..protocol.invoices import MAX_SIZE_WITH_ATTACHMENT
from ..protocol.planning import check_file_name

__all__ = ["Invoice", "InvoiceSource", "Item", "Source", "open_source"]

Item: TypeAlias = Path | tuple[str, bytes | Path] | tuple[str, bytes | Path, Any]
"""A file; or a file name and the invoice; or both and the key that the caller knows the invoice by."""
Source: TypeAlias = Path | Iterable[Item] | AsyncIterable[Item]
"""A folder, whose files ``*.xml`` are taken in the order of their names; or items."""

T = TypeVar("T")

# Plain bytes from which on a lot is complete. Half of it costs more thread calls than it is worth; with twice as
# much, what is under way takes some ten megabytes more.
_LOT: Final = 800_000


@attrs.frozen
class Invoice:
    """One to be packed."""

    file_name: str
    data: bytes = attrs.field(repr=False)
    key: Any


@attrs.frozen
class _Named:
    file_name: str
    content: bytes | Path = attrs.field(repr=False)
    key: Any

    def size(self) -> int:
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)

    def read(self) -> Invoice:
        """Blocks when the content is a file."""
        if isinstance(self.content, bytes):
            return Invoice(self.file_name, self.content, self.key)
        if (size := self.size()) > MAX_SIZE_WITH_ATTACHMENT:
            raise LocalProtocolError(
                f"{self.file_name}: The file has {size:,} bytes; "
                f"KSeF takes invoices of at most {MAX_SIZE_WITH_ATTACHMENT:,}."
            )
        return Invoice(self.file_name, self.content.read_bytes(), self.key)


class _Register:
    """Refuses what must not stand in one package together."""

    def __init__(self, max_invoices: int) -> None:
        self._max_invoices = max_invoices
        self._names: set[str] = set()

    def admit(self, item: Item) -> _Named:
        named = _named(item)
        check_file_name(named.file_name)
        if named.file_name in self._names:
            raise LocalProtocolError(f"Two invoices are called {named.file_name!r}; in one package names are unique.")
        if len(self._names) == self._max_invoices:
            raise LocalProtocolError(
                f"{named.file_name!r} would be one more than the {self._max_invoices:,} invoices of a package."
            )
        self._names.add(named.file_name)
        return named


class InvoiceSource:
    """Hands out the invoices of one pass over a source, in its order.

    Args:
        items: Where they come from. What is no async iterable is walked in worker threads, not always the same one.
        max_invoices: How many there may be.
    """

    def __init__(self, items: Iterable[Item] | AsyncIterable[Item], max_invoices: int) -> None:
        self._register = _Register(max_invoices)
        self._limiter = anyio.CapacityLimiter(1)
        self._iterator: Iterator[Item] | AsyncIterator[Item] = (
            aiter(items) if isinstance(items, AsyncIterable) else iter(items)
        )

    async def next_lot(self, prepare: Callable[[list[Invoice]], T]) -> T | None:
        """What ``prepare`` makes, in a thread, of some invoices or one large one; None at the end.

        Raises:
            LocalProtocolError: An invoice is refused.
            OSError: A file cannot be read.
            Exception: Whatever the source raises.
        """
        if isinstance(self._iterator, Iterator):
            return await anyio.to_thread.run_sync(self._take, self._iterator, prepare, limiter=self._limiter)
        invoices = await self._take_async(self._iterator)
        return await anyio.to_thread.run_sync(prepare, invoices, limiter=self._limiter) if invoices else None

    def _take(self, iterator: Iterator[Item], prepare: Callable[[list[Invoice]], T]) -> T | None:
        lot = []
        size = 0
        for item in iterator:
            invoice = self._register.admit(item).read()
            lot.append(invoice)
            size += len(invoice.data)
            if size >= _LOT:
                break
        return prepare(lot) if lot else None

    async def _take_async(self, iterator: AsyncIterator[Item]) -> list[Invoice]:
        lot = []
        size = 0
        async for item in iterator:
            named = self._register.admit(item)
            invoice = await self._read(named) if isinstance(named.content, Path) else named.read()
            lot.append(invoice)
            size += len(invoice.data)
            if size >= _LOT:
                break
        return lot

    async def _read(self, named: _Named) -> Invoice:
        return await anyio.to_thread.run_sync(named.read, limiter=self._limiter)


async def open_source(source: Source, max_invoices: int) -> tuple[Iterable[Item] | AsyncIterable[Item], int | None]:
    """The items of ``source``, and how many bytes they have; None where only walking it would tell.

    What can be walked twice (a folder, a list) is looked through first, so that it is refused at once.

    Raises:
        LocalProtocolError: The source is nothing that can be packed, or an invoice is refused.
        OSError: A file cannot be found.
    """
    if isinstance(source, Path):
        source = await in_thread(_list_folder, source)
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return source, await in_thread(_survey, source, max_invoices)
    if isinstance(source, str | bytes) or not isinstance(source, Iterable | AsyncIterable):
        raise LocalProtocolError(f"A package is made of a folder's Path or of items, not of {type(source).__name__}.")
    return source, None


def _list_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise LocalProtocolError(f"{folder} is no folder; give one file in a list.")
    return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".xml" and path.is_file())


def _survey(items: Sequence[Item], max_invoices: int) -> int:
    register = _Register(max_invoices)
    return sum(register.admit(item).size() for item in items)


def _named(item: Item) -> _Named:
    match item:
        case Path():
            return _Named(item.name, item, item.name)
        case (str() as name, bytes() | Path() as content):
            return _Named(name, content, name)
        case (str() as name, bytes() | Path() as content, key):
            return _Named(name, content, key)
        case (str() as name, *_):
            raise LocalProtocolError(f"{name!r}: An invoice is bytes, as KSeF hashes the file, or the Path of a file.")
        case _:
            raise LocalProtocolError(
                f"An item of a package is a Path, or (name, bytes), or (name, bytes, key), not {type(item).__name__}."
            )
