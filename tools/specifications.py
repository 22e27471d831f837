"""Compare the Ministry's specifications with the one that the library follows.

Run ``python tools/specifications.py`` for those of TEST, DEMO and PRODUCTION as they are now, or name files. It prints
what is new, what is gone and what has changed, texts for people apart, and ends with 1 where there is anything. The
specification that the library follows is the one its tests read (``tests/official.py`` fetches it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from ksef_async import Environment

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from official import SPECIFICATION, fetch

ENVIRONMENTS = {"TEST": Environment.TEST, "DEMO": Environment.DEMO, "PRODUCTION": Environment.PRODUCTION}

#: For people; a new one changes nothing.
TEXTS = frozenset(
    ("description", "summary", "example", "examples", "title", "externalDocs", "x-sort", "servers", "info")
)
#: Of which the order says nothing.
SETS = frozenset(("enum", "required", "security", "tags"))
#: What tells the entries of a list apart.
NAMES = ("name", "const")


def facts_of(specification: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield everything that a specification says, by where it says it.

    Args:
        specification: The specification, or a part of it.
        path: Where the part is.
    """
    if isinstance(specification, Mapping):
        for name, value in specification.items():
            # A property may have the name of a text; the description of 429 names the group of the rate limit.
            if name not in TEXTS or path.endswith(("/properties", "/429")):
                yield from facts_of(value, f"{path}/{name}")
    elif isinstance(specification, list):
        ordered = path.rpartition("/")[2] not in SETS
        for number, value in enumerate(specification):
            named = next((value[name] for name in NAMES if isinstance(value, dict) and name in value), None)
            place = named or (number if ordered else json.dumps(value, sort_keys=True))
            yield from facts_of(value, f"{path}[{place}]")
    else:
        yield path, json.dumps(specification, ensure_ascii=False)


def differences(ours: object, theirs: object) -> Iterator[str]:
    """Yield a line for each difference, sorted by place.

    Args:
        ours: The specification that the library follows.
        theirs: The other one.
    """
    before, after = dict(facts_of(ours)), dict(facts_of(theirs))
    for path in sorted(before.keys() | after.keys()):
        if path not in before:
            yield f"+ {path}: {after[path]}"
        elif path not in after:
            yield f"- {path}: {before[path]}"
        elif before[path] != after[path]:
            yield f"! {path}: {before[path]} -> {after[path]}"


async def download(environment: Environment) -> Any:
    """Return the specification of an environment as it is now."""
    url = f"{environment.base_url.removesuffix('/v2')}/docs/v2/openapi.json"
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True, trust_env=True) as http,
        http.get(url) as response,
    ):
        return await response.json(content_type=None)


def main() -> int:
    """Compare what the command line names; return 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="in place of those there are now")
    arguments = parser.parse_args()
    fetch()
    ours = json.loads(SPECIFICATION.read_bytes())
    if arguments.files:
        others = {str(path): json.loads(path.read_bytes()) for path in arguments.files}
    else:
        others = {name: asyncio.run(download(environment)) for name, environment in ENVIRONMENTS.items()}
    found = 0
    for name, theirs in others.items():
        lines = list(differences(ours, theirs))
        found += len(lines)
        print(f"{name}: {len(lines)} differences")
        print(*lines, sep="\n")
    return min(found, 1)


if __name__ == "__main__":
    raise SystemExit(main())
