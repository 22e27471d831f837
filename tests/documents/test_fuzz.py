"""The verdict on the shape is lxml's with the Ministry's schema, on documents that are changed in every way.

``DOCUMENT_MUTATIONS`` sets how many (in all; a small number by default), ``DOCUMENT_SEED`` where chance begins; see
``nox -s documents``.

Known differences, where libxml2 departs from XML Schema and no invoice goes: a moment exactly at the lower limit that
is written as 24:00:00 of the day before, and one less than a second outside of a limit that has an offset from UTC.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest
from lxml import etree
from made_documents import make_document
from mutated_documents import mutate
from official import SAMPLES, SCHEMAS, need

from ksef_async.documents.facets import Checker
from ksef_async.documents.shape import FORMS, Simple, load_shape
from ksef_async.documents.source import MOST_BYTES, parse_document
from ksef_async.documents.validation import MOST_FINDINGS, find_problems

MUTATIONS = int(os.environ.get("DOCUMENT_MUTATIONS", "1500"))
SHARDS = int(os.environ.get("DOCUMENT_SHARDS", "3"))
SEED = int(os.environ.get("DOCUMENT_SEED", "17"))


_FILES = {
    "fa3": "fa/schemat_FA(3)_v1-0E.xsd",
    "fa2": "fa/schemat_FA(2)_v1-0E.xsd",
    "fa_rr1": "rr/schemat_FA_RR(1)_v1-1E.xsd",
}


@cache
def schema(form: str) -> etree.XMLSchema:
    class InFolder(etree.Resolver):
        def resolve(self, system_url: str, public_id: str, context: object) -> object:  # type: ignore[override]
            (file,) = SCHEMAS.rglob(system_url.rpartition("/")[2])
            return self.resolve_filename(str(file), context)  # type: ignore[attr-defined]

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(InFolder())
    return etree.XMLSchema(etree.parse(SCHEMAS / _FILES[form], parser))


def originals(form: str, chance: random.Random) -> Iterator[bytes]:
    samples = [file.read_bytes() for file in sorted(SAMPLES.glob("*.xml"))] if form == "fa3" else []
    while True:
        yield from samples
        for _ in range(12):
            yield make_document(form, chance, fill=chance.choice([0.2, 0.5, 0.8]))


def places_of_lxml(form: str, xml: bytes) -> tuple[bool, set[int], list[str]]:
    """The verdict, and the numbers of the elements that its errors name."""
    root = etree.fromstring(xml)
    rules = schema(form)
    is_valid = rules.validate(root)
    numbers = {element: number for number, element in enumerate(root.iter(etree.Element))}
    prefixes = {prefix: uri for element in root.iter() for prefix, uri in element.nsmap.items() if prefix}
    named = set()
    log: Any = rules.error_log  # the stubs do not know what is in it
    for error in log:
        found: Any = root.getroottree().xpath(error.path, namespaces=prefixes or None)
        (element,) = found
        named.add(numbers[element])
    return is_valid, named, [f"{error.path}: {error.message}" for error in log]


def places_of_ours(form: str, xml: bytes) -> tuple[set[int], list[str]]:
    root = parse_document(xml)
    numbers = {id(element): number for number, element in enumerate(root.iter())}
    findings, _ = find_problems(form, root)
    return {numbers[id(finding.element)] for finding in findings}, [f"{it.code} {it.values}" for it in findings]


@pytest.mark.timeout(60 if MUTATIONS < 10_000 else 7200)
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("form", FORMS)
def test_verdict_and_place_are_those_of_the_schema(form: str, shard: int) -> None:
    need(SCHEMAS / _FILES[form])
    seed = SEED + 1000 * shard
    chance = random.Random(f"{seed} {form}")
    count = Counter[str]()
    differences = []

    for original in originals(form, chance):
        xml = mutate(original, form, chance, chance.choice([1, 1, 1, 2, 4]))
        if len(xml) > MOST_BYTES:
            continue  # refused before its shape is looked at
        is_valid, named, errors = places_of_lxml(form, xml)
        ours, findings = places_of_ours(form, xml)
        count["valid" if is_valid else "invalid"] += 1
        if is_valid is not (not findings):
            differences.append(f"verdict: {errors[:2]} {findings[:2]}")
        elif len(findings) < MOST_FINDINGS and not named <= ours:
            differences.append(f"place: {errors[:3]} {findings[:3]}")
        if count.total() >= MUTATIONS // (SHARDS * len(FORMS)):
            break

    print(f"\n{form} seed {seed}: {count.total()} documents, {count['valid']} of them valid, {len(differences)} differ")
    assert not differences, "\n".join(differences[:20])
    assert min(count["valid"], count["invalid"]) > count.total() // 20
    assert load_shape(form).form == form


LEAST, MOST = datetime(2026, 1, 1), datetime(2050, 1, 1, 23, 59, 59)
BETWEEN = f"""
<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema"><xsd:element name="a"><xsd:simpleType>
<xsd:restriction base="xsd:dateTime">
<xsd:minInclusive value="{LEAST.isoformat()}Z"/><xsd:maxInclusive value="{MOST.isoformat()}Z"/>
</xsd:restriction></xsd:simpleType></xsd:element></xsd:schema>
"""


def test_moments_around_the_limits_are_judged_as_by_libxml2() -> None:
    chance = random.Random(SEED)
    rules = etree.XMLSchema(etree.fromstring(BETWEEN))
    simple = Simple(name="", base="datetime", min=f"{LEAST.isoformat()}Z", max=f"{MOST.isoformat()}Z")
    verdicts = Counter[bool]()

    for _ in range(4000):
        offset = chance.choice(["", "", "Z", "+00:00", "-00:00", "+14:00", "-14:00", "-05:30"])
        away = timedelta(seconds=chance.choice([0, 0, 1, -1, chance.randint(-3, 3), chance.randint(-150_000, 150_000)]))
        moment = chance.choice([LEAST, MOST]) + away
        fraction = chance.choice(["", ".0", ".5", ".0000001"]) if offset in {"", "Z"} else ""
        text = moment.isoformat() + fraction + offset
        is_value = Checker(simple).fault(text) is None
        assert is_value is rules.validate(etree.fromstring(f"<a>{text}</a>")), text
        verdicts[is_value] += 1

    assert min(verdicts.values()) > 1000
