"""Read the Ministry's schemas into the shapes that ``ksef_async.documents`` works from.

Only facts are taken: names, types, order, occurrence, choices, enumerations, patterns, lengths, digits. A content model
is one line in the notation of `ksef_async.documents.shape`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

__all__ = ["FORMS", "read_shape"]

#: The forms by the name of their module: a mark in the file name of the schema.
FORMS: Final = {"fa3": "FA(3)", "fa2": "FA(2)", "fa_rr1": "FA_RR(1)"}

_XSD: Final = "{http://www.w3.org/2001/XMLSchema}"

#: The built-in types that occur, as the few that are told apart and what each adds.
_BUILT_IN: Final[dict[str, dict[str, Any]]] = {
    "string": {"base": "string", "space": "preserve"},
    "normalizedString": {"base": "string", "space": "replace"},
    "token": {"base": "string", "space": "collapse"},
    "decimal": {"base": "decimal"},
    "integer": {"base": "integer"},
    "nonNegativeInteger": {"base": "integer", "min": "0"},
    "byte": {"base": "integer", "min": "-128", "max": "127"},
    "date": {"base": "date"},
    "dateTime": {"base": "datetime"},
}
#: Facets by the name they get here.
_FACETS: Final = {
    "minInclusive": "min",
    "maxInclusive": "max",
    "minExclusive": "above",
    "totalDigits": "total",
    "fractionDigits": "fraction",
    "minLength": "shortest",
    "maxLength": "longest",
}
_COUNTS: Final = {"total", "fraction", "shortest", "longest"}


def read_shape(folder: Path, form: str) -> dict[str, Any]:
    """Return the shape of one form.

    Args:
        folder: With the Ministry's schemas, in whatever folders below it.
        form: A key of `FORMS`.

    Raises:
        LookupError: A schema is missing, or uses what no schema of the Ministry's has used so far.
    """
    return _Reader({file.name: file for file in folder.rglob("*.xsd")}, FORMS[form]).read()


class _Reader:
    def __init__(self, files: dict[str, Path], mark: str) -> None:
        main = next((file for name, file in sorted(files.items()) if mark in name), None)
        if main is None:
            raise LookupError(f"no schema of {mark}")
        self._files = files
        self._simple: dict[tuple[str, str], ET.Element] = {}
        self._complex: dict[tuple[str, str], ET.Element] = {}
        self._prefixes: dict[str, str] = {}
        self._loaded: set[str] = set()
        self._namespace, self._root = self._load(main)
        #: What is written out: the types that the root leads to.
        self._types: dict[str, dict[str, Any]] = {}
        self._elements: dict[str, dict[str, Any]] = {}

    def _load(self, file: Path) -> tuple[str, ET.Element]:
        self._loaded.add(file.name)
        for _, (prefix, uri) in ET.iterparse(file, events=["start-ns"]):
            _expect(self._prefixes.setdefault(prefix, uri) == uri, "one prefix for two namespaces")
        schema = ET.parse(file).getroot()
        namespace = schema.attrib["targetNamespace"]
        root = schema
        for child in schema:
            name = child.get("name", "")
            if child.tag in {f"{_XSD}import", f"{_XSD}include"}:
                other = child.attrib["schemaLocation"].rpartition("/")[2]
                if other not in self._loaded:
                    self._load(self._files[other])
            elif child.tag == f"{_XSD}simpleType":
                self._simple[namespace, name] = child
            elif child.tag == f"{_XSD}complexType":
                self._complex[namespace, name] = child
            elif child.tag == f"{_XSD}element":
                root = child
        return namespace, root

    def read(self) -> dict[str, Any]:
        root = self._root.attrib["name"]
        _expect(self._element_type(self._root) == root, "something else than in any schema so far")
        return {"namespace": self._namespace, "root": root, "types": self._types, "elements": self._elements}

    def _resolve(self, name: str) -> tuple[str, str]:
        prefix, _, local = name.rpartition(":")
        return self._prefixes[prefix], local

    def _keep(self, kept: dict[str, dict[str, Any]], names: Iterator[str], value: dict[str, Any]) -> str:
        # Two types of one name that are the same are one; different ones are told apart by where they stand.
        for name in names:
            if kept.setdefault(name, value) == value:
                return name
        raise LookupError("no name is left for a type")

    # --- elements

    def _element_type(self, element: ET.Element, owner: str = "") -> str:
        """Return the name of an element's type, which is kept among the types or the elements."""
        name = element.attrib["name"]
        names = iter((name, f"{owner}{name}"))
        if "type" in element.attrib:
            namespace, local = self._resolve(element.attrib["type"])
            if namespace == _XSD[1:-1]:
                return self._keep(self._types, iter((local,)), self._facets(local, None))
            if (namespace, local) in self._simple:
                facets = self._simple_type(self._simple[namespace, local])
                fixed = {"enum": element.attrib["fixed"], "fixed": True} if "fixed" in element.attrib else {}
                return self._keep(self._types, names if fixed else iter((local, f"{local}E")), facets | fixed)
            return self._complex_type(self._complex[namespace, local], iter((local,)))
        _expect("fixed" not in element.attrib, "something else than in any schema so far")
        simple = element.find(f"{_XSD}simpleType")
        if simple is not None:
            return self._anonymous(simple, names)
        (complex_type,) = element.iterfind(f"{_XSD}complexType")
        return self._complex_type(complex_type, names)

    def _anonymous(self, simple: ET.Element, names: Iterator[str]) -> str:
        restriction = simple.find(f"{_XSD}restriction")
        if (
            restriction is not None
            and not len(_plain(restriction))
            and not restriction.attrib["base"].startswith("xsd")
        ):
            namespace, local = self._resolve(restriction.attrib["base"])
            return self._keep(self._types, iter((local,)), self._simple_type(self._simple[namespace, local]))
        return self._keep(self._types, names, self._simple_type(simple))

    def _complex_type(self, node: ET.Element, names: Iterator[str]) -> str:
        name = next(names)
        (body, *attributes) = _plain(node)
        value: dict[str, Any] = {}
        if body.tag == f"{_XSD}simpleContent":
            (extension,) = _plain(body)
            base = self._simple[self._resolve(extension.attrib["base"])]
            local = self._resolve(extension.attrib["base"])[1]
            text = self._keep(self._types, iter((local,)), self._simple_type(base))
            attributes = _plain(extension)
            if not attributes:
                return text
            value["text"] = text
        elif body.tag == f"{_XSD}complexContent":
            (extension,) = _plain(body)
            _expect(not _plain(extension), "an extension that adds something")
            namespace, local = self._resolve(extension.attrib["base"])
            return self._complex_type(self._complex[namespace, local], iter((local,)))
        if attributes:
            value["attributes"] = {attribute.attrib["name"]: self._attribute(attribute) for attribute in attributes}
        # Kept before what is in it is read: outer elements come first in the file.
        slot = self._elements.get(name)
        if slot is None:
            self._elements[name] = value
        if "text" not in value:
            content = value | {"content": self._particle(body, name, outermost=True)}
            if slot is not None and slot != content:
                other = next(names)
                self._elements[other] = value | {"content": self._particle(body, other, outermost=True)}
                return other
            self._elements[name] = content
        return name

    def _attribute(self, attribute: ET.Element) -> str:
        _expect(attribute.attrib["use"] == "required", "something else than in any schema so far")
        name = attribute.attrib["name"]
        if "fixed" in attribute.attrib:
            _expect(attribute.attrib["type"] == "xsd:string", "something else than in any schema so far")
            return self._keep(
                self._types, iter((name,)), self._facets("string", None) | {"enum": attribute.attrib["fixed"]}
            )
        (simple,) = _plain(attribute)
        return self._keep(self._types, iter((name,)), self._simple_type(simple))

    def _particle(self, node: ET.Element, owner: str, *, outermost: bool = False) -> str:
        least, most = node.get("minOccurs", "1"), node.get("maxOccurs", "1")
        if node.tag == f"{_XSD}element":
            name = node.attrib["name"]
            type_name = self._element_type(node, owner)
            occurs = _OCCURS[least, most != "1"] + (most if most not in {"1", "unbounded"} else "")
            return name + occurs + ("" if type_name == name else f":{type_name}")
        _expect(most == "1", "a group that comes more than once")
        parts = [self._particle(child, owner) for child in _plain(node)]
        if node.tag == f"{_XSD}choice":
            return f"[ {' | '.join(parts)} ]" + ("?" if least == "0" else "")
        _expect(node.tag == f"{_XSD}sequence", "something else than in any schema so far")
        inner = " ".join(parts)
        # A group that may be empty as it is needs no mark.
        is_optional = least == "0" and not all(_may_be_absent(child) for child in _plain(node))
        return f"( {inner} )?" if is_optional else inner if outermost or len(parts) == 1 else f"( {inner} )"

    # --- simple types

    def _simple_type(self, node: ET.Element) -> dict[str, Any]:
        (body,) = _plain(node)
        if body.tag == f"{_XSD}union":
            return {"any": [self._simple_type(member) for member in _plain(body)]}
        base = body.attrib["base"]
        namespace, local = self._resolve(base)
        if namespace == _XSD[1:-1]:
            return self._facets(local, body)
        return _restricted(self._simple_type(self._simple[namespace, local]), body)

    def _facets(self, built_in: str, body: ET.Element | None) -> dict[str, Any]:
        facets = _BUILT_IN[built_in]
        return facets if body is None else _restricted(facets, body)


#: By least and whether more than one is allowed.
_OCCURS: Final = {("0", False): "?", ("1", False): "", ("0", True): "*", ("1", True): "+"}


def _restricted(facets: dict[str, Any], body: ET.Element) -> dict[str, Any]:
    facets = dict(facets)
    values: list[str] = []
    patterns: list[str] = []
    for facet in _plain(body):
        name, value = facet.tag.removeprefix(_XSD), facet.attrib["value"]
        if name == "enumeration":
            values.append(value)
        elif name == "pattern":
            patterns.append(value)
        elif name == "whiteSpace":
            if facets["base"] == "string":
                facets["space"] = value
        else:
            key = _FACETS[name]
            facets[key] = int(value) if key in _COUNTS else value
    if values:
        # The values of an enumeration are all there is, so what else its base asks says nothing new.
        facets = {key: facets[key] for key in ("base", "space") if key in facets} | {"enum": "|".join(values)}
    if patterns:
        # Those of one restriction are alternatives, those of its base hold as well.
        facets["patterns"] = [*facets.get("patterns", []), "|".join(patterns)]
    if "above" in facets:
        facets.pop("min", None)
    return facets


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise LookupError(what)


def _may_be_absent(node: ET.Element) -> bool:
    if node.get("minOccurs") == "0":
        return True
    absent = (_may_be_absent(child) for child in _plain(node))
    return node.tag != f"{_XSD}element" and (any(absent) if node.tag == f"{_XSD}choice" else all(absent))


def _plain(node: ET.Element) -> list[ET.Element]:
    return [child for child in node if child.tag != f"{_XSD}annotation"]
