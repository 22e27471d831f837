"""What an editor shows of each public name: griffe reads the source as editors do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import griffe

import ksef_async

ROOT = Path(ksef_async.__file__).parents[1]
#: Where users import names from besides `ksef_async` itself.
OTHERS = ("sandbox", "submissions", "documents", "fastapi")


def public(owner: griffe.Object | griffe.Alias, seen: set[str]) -> Iterator[griffe.Object]:
    """Everything that can be reached from a public name of ours by another one."""
    found = owner.final_target if isinstance(owner, griffe.Alias) else owner
    if found.path in seen or not found.path.startswith("ksef_async"):
        return
    seen.add(found.path)
    if found.is_module:
        return
    yield found
    if found.is_class:
        for name, member in found.members.items():
            # pydantic's own settings are nobody's business.
            if not name.startswith("_") and name != "model_config":
                yield from public(member, seen)


def is_documented(found: griffe.Object) -> bool:
    if found.docstring is not None:
        return True
    # What a class is made from is described where it is made.
    owner = found.parent
    return bool(
        found.is_attribute
        and owner is not None
        and owner.docstring is not None
        and re.search(rf"^\s+{re.escape(found.name)}:", owner.docstring.value, re.MULTILINE)
    )


def test_every_public_name_and_attribute_is_documented() -> None:
    package = griffe.load("ksef_async", search_paths=[ROOT])
    assert isinstance(package, griffe.Module)
    modules = [package[name] for name in OTHERS]
    seen: set[str] = set()
    names = [
        found
        for module in (package, *modules)
        for name in module.exports or ()
        for found in public(module[str(name)], seen)
    ]

    assert len(names) > 1_000
    assert [found.path for found in names if not is_documented(found)] == []
