"""What to install where a package of an extra is missing, said as a module of the library is imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["extra"]


@contextmanager
def extra(name: str, *packages: str, what: str) -> Iterator[None]:
    """Import packages of an extra in this block; the error of one that is missing says how to install it.

    Args:
        name: The extra.
        packages: The names of those that are imported, as Python imports them.
        what: The module or function that needs them, for the error.

    Raises:
        ModuleNotFoundError: One is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in packages:
            raise
        message = f"{what} needs {missing}: pip install 'ksef_async[{name}]'"
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from None
