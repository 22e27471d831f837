from __future__ import annotations

import enum
import re
import types
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import pytest
from contract.conftest import Endpoint, endpoint_of, name_of
from every import check_every

from ksef_async.api.common import CURRENCIES, Bounds, OpenStrEnum, SubjectType, items, number, text
from ksef_async.api.limits import CollectiveIdentifierLimits, SessionLimits
from ksef_async.api.operation import Operation
from ksef_async.api.sessions import FormCode, SessionOutcome, SessionType
from ksef_async.api.table import OPERATIONS
from ksef_async.api.tokens import TokenFilter
from ksef_async.protocol.limits import CONTEXT_BOUNDS
from ksef_async.protocol.wire import WIRE, Wire, camel

#: Where the models differ from the specification, and why.
DIFFERENCES = {
    "LoginStatus.authenticationMethod: str, not an enum": "deprecated, so its values are not worth a class",
    "AuthSession.authenticationMethod: str, not an enum": "deprecated, so its values are not worth a class",
    "ContextLimits.onlineSession: optional here": "the same model is an answer; always written",
    "ContextLimits.batchSession: optional here": "the same model is an answer; always written",
    "ContextLimits.collectiveIdentifier: optional here": "the same model is an answer; always written",
    "InvoicePayment.currency: str, not an enum": "187 codes of ISO 4217; a validator knows them",
    "CollectiveIdentifierInvoicesRequest.collectiveIdentifierNumbers: other bounds": "said in the description only",
    "PersonDescription.subjectDetailsType: SubjectDetailsType has other values": "one class reads all persons",
    "EntityDescription.subjectDetailsType: EntityDescriptionType has other values": "one class reads all companies",
    "EntityDescription.address: not specified": "one class reads all companies; those with a NIP have no address",
    "TokenLoginRequest.publicKeyId: str, not bytes": "a name of a key: compared and shown, never decoded",
    "EncryptionInfo.publicKeyId: str, not bytes": "a name of a key: compared and shown, never decoded",
    "PublicKeyCertificate.publicKeyId: str, not bytes": "a name of a key: compared and shown, never decoded",
    "PublicKeyCertificate.certificateId: str, not bytes": "a name of a certificate: compared and shown, never decoded",
}

_CURSOR = "goes back to KSeF as a cursor, in the text it came in"
DIFFERENCES |= {
    f"{field}: ServerTime, not datetime": _CURSOR
    for field in (
        "InvoiceMetadata.invoicingDate",
        "InvoiceMetadata.permanentStorageDate",
        "InvoiceMetadataPage.permanentStorageHwmDate",
        "InvoicePackage.lastInvoicingDate",
        "InvoicePackage.lastPermanentStorageDate",
        "InvoicePackage.permanentStorageHwmDate",
    )
} | {"InvoiceFilters.currencyCodes: str, not an enum": "187 codes of ISO 4217; the check of a query knows them"}

#: Reads any time.
REQUESTS = Wire(requests=True)
#: Stands where KSeF has no date, and reads as None.
NO_DATE = "0001-01-01T00:00:00+00:00"


SCALARS: dict[tuple[str, str | None], type] = {
    ("string", None): str,
    ("string", "uri"): str,
    ("string", "byte"): bytes,
    ("string", "date"): date,
    ("string", "date-time"): datetime,
    ("integer", "int32"): int,
    ("integer", "int64"): int,
    ("boolean", None): bool,
    ("number", "double"): Decimal,
}


#: How the specification calls the least and the most.
BOUNDS = {
    "text": ("minLength", "maxLength"),
    "number": ("minimum", "maximum"),
    "items": ("minItems", "maxItems"),
}


class Comparison:
    """Walks a model and its schema side by side."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._schemas = spec["components"]["schemas"]
        self._seen: set[object] = set()
        #: Whether what is walked is an answer.
        self.is_answer = False
        #: Names of the schemas that a model was compared with.
        self.reached: set[str] = set()

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema itself, behind references and the one-element ``allOf`` around them."""
        while "$ref" in schema or "allOf" in schema:
            (schema,) = schema.get("allOf", [schema]) if "allOf" in schema else [self._named(schema["$ref"])]
        return schema

    def differences(self, annotation: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
        schema = self.resolve(schema)
        if get_origin(annotation) in (types.UnionType, Union):
            (annotation,) = (each for each in get_args(annotation) if each is not types.NoneType)
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        if attrs.has(annotation):
            yield from self._object(annotation, schema)
        elif get_origin(annotation) is tuple:
            assert schema["type"] == "array", where
            yield from self.differences(get_args(annotation)[0], schema["items"], where)
        elif get_origin(annotation) is dict:
            value = schema["additionalProperties"]
            expected = str | None if value.get("nullable") else str
            if get_args(annotation) != (str, expected):
                yield f"{where}: {annotation}"
        elif issubclass(annotation, OpenStrEnum):
            if {member.value for member in annotation} != set(schema["enum"]):
                yield f"{where}: {annotation.__name__} has other values"
        elif issubclass(annotation, enum.Enum):
            assert annotation is FormCode, where
            yield from () if set(schema["properties"]) == set(WIRE.dump(FormCode.FA3)) else [where]
        elif "enum" in schema:
            yield f"{where}: {annotation.__name__}, not an enum"
        elif (expected_type := SCALARS[schema["type"], schema.get("format")]) is not annotation:
            yield f"{where}: {annotation.__name__}, not {expected_type.__name__}"

    def _object(self, cls: Any, schema: dict[str, Any]) -> Iterator[str]:
        # By schema as well: one class may stand for several.
        if (cls, id(schema), self.is_answer) in self._seen:
            return
        self._seen.add((cls, id(schema), self.is_answer))
        fields = {
            field.metadata.get("wire_name") or camel(field.name): field
            for field in attrs.fields(attrs.resolve_types(cls))
            if not field.metadata.get("local")
        }
        for name in fields.keys() ^ schema["properties"].keys():
            yield f"{cls.__name__}.{name}: {'not specified' if name in fields else 'missing here'}"
        for name in fields.keys() & schema["properties"].keys():
            required = name in schema.get("required", ())
            # What an answer may lack is said in the table of essentials.
            if required is not (fields[name].default is attrs.NOTHING) and not (required and self.is_answer):
                yield f"{cls.__name__}.{name}: {'optional' if required else 'required'} here"
            bounds = fields[name].validator
            if isinstance(bounds, Bounds) and not self.are_bounds_of(bounds, schema["properties"][name]):
                yield f"{cls.__name__}.{name}: other bounds"
            yield from self.differences(fields[name].type, schema["properties"][name], f"{cls.__name__}.{name}")

    def are_bounds_of(self, bounds: Bounds, schema: dict[str, Any]) -> bool:
        schema = self.resolve(schema)
        if bounds.kind == "items":
            # Of addresses it says "maximum", which of arrays means nothing.
            least, most = schema.get("minItems", schema.get("minimum")), schema.get("maxItems", schema.get("maximum"))
            schema = {"minItems": least or 0, "maxItems": most, "pattern": schema.get("items", {}).get("pattern")}
        least, most = BOUNDS[bounds.kind]
        ours = (bounds.least or 0, bounds.most, bounds.pattern and f"^{bounds.pattern}$")
        return ours == (schema.get(least, 0), schema.get(most), schema.get("pattern"))

    def _named(self, reference: str) -> dict[str, Any]:
        name = reference.rpartition("/")[2]
        self.reached.add(name)
        found: dict[str, Any] = self._schemas[name]
        return found


def compare(spec: dict[str, Any]) -> tuple[set[str], set[str]]:
    """How the models of all rows differ from their schemas, and the names of those."""
    comparison = Comparison(spec)
    found: set[str] = set()
    for row in OPERATIONS:
        for model, place in content(endpoint_of(spec, row), row):
            comparison.is_answer = model is row.response
            found.update(comparison.differences(model, place["schema"], row.name))
    return found, comparison.reached


def content(endpoint: dict[str, Any], operation: Operation[Any, Any]) -> list[tuple[Any, dict[str, Any]]]:
    """The row's models, each with what the specification says of the same body."""
    places = [
        (operation.request, endpoint.get("requestBody", {})),
        (operation.response, endpoint["responses"][str(operation.success)]),
    ]
    return [(model, place["content"]["application/json"]) for model, place in places if model not in (None, bytes)]


def test_models_have_the_properties_and_bounds_of_their_schemas(spec: dict[str, Any]) -> None:
    found, _ = compare(spec)

    assert found == set(DIFFERENCES)


@pytest.mark.parametrize(
    ("bounds", "schema", "same"),
    [
        pytest.param(text(5, 256), {"minLength": 5, "maxLength": 256}, True, id="as specified"),
        pytest.param(text(5, 255), {"minLength": 5, "maxLength": 256}, False, id="shorter"),
        pytest.param(text(most=9), {"maxLength": 9, "pattern": "^P$"}, False, id="without its pattern"),
        pytest.param(text(most=9, pattern="P"), {"maxLength": 9, "pattern": "^P$"}, True, id="with its pattern"),
        pytest.param(items(2), {"minItems": 2}, True, id="items"),
        pytest.param(items(0, 9), {"minimum": 0, "maximum": 9}, True, id="items in other words"),
        pytest.param(items(pattern="P"), {"items": {"pattern": "^P$"}}, True, id="items with their pattern"),
        pytest.param(items(), {"items": {"pattern": "^P$"}}, False, id="items without their pattern"),
        pytest.param(number(0, 5), {"minimum": 0, "maximum": 6}, False, id="smaller"),
    ],
)
def test_bounds_are_compared(bounds: Bounds, schema: dict[str, Any], same: bool) -> None:
    comparison = Comparison({"components": {"schemas": {}}})

    assert comparison.are_bounds_of(bounds, schema) is same


def test_token_filter_has_the_bounds_of_its_list(spec: dict[str, Any]) -> None:
    parameters = {each["name"]: each["schema"] for each in spec["paths"]["/tokens"]["get"]["parameters"]}
    bounded = {camel(f.name): f.validator for f in attrs.fields(TokenFilter) if isinstance(f.validator, Bounds)}

    assert {name: bounds.least for name, bounds in bounded.items()} == {
        name: schema["minLength"] for name, schema in parameters.items() if "minLength" in schema
    }


def test_limits_have_the_bounds_of_their_overrides(spec: dict[str, Any]) -> None:
    schemas = spec["components"]["schemas"]
    parts = {
        "online_session": "OnlineSessionContextLimitsOverride",
        "batch_session": "BatchSessionContextLimitsOverride",
        "collective_identifier": "CollectiveIdentifierContextLimitsOverride",
    }

    for part, name in parts.items():
        fields = attrs.fields_dict(CollectiveIdentifierLimits if part == "collective_identifier" else SessionLimits)
        ours = {
            fields[field].metadata.get("wire_name") or camel(field): bounds
            for field, bounds in CONTEXT_BOUNDS[part].items()
        }
        assert ours == {
            field: (schema["minimum"], schema["maximum"]) for field, schema in schemas[name]["properties"].items()
        }


def test_currencies_are_those_of_the_specification(spec: dict[str, Any]) -> None:
    assert set(spec["components"]["schemas"]["CurrencyCode"]["enum"]) == CURRENCIES


@pytest.mark.parametrize(
    ("cls", "name"),
    [(SessionType, "SessionType"), (SessionOutcome, "CommonSessionStatus"), (SubjectType, "TokenAuthorIdentifierType")],
)
def test_enums_of_queries_have_the_values_of_their_schemas(
    spec: dict[str, Any], cls: type[OpenStrEnum], name: str
) -> None:
    assert {member.value for member in cls} == set(spec["components"]["schemas"][name]["enum"])


def test_form_codes_are_those_of_the_specification(spec: dict[str, Any]) -> None:
    text = spec["components"]["schemas"]["OpenOnlineSessionRequest"]["properties"]["formCode"]["description"]

    listed = re.findall(r"^\| \[(.+?)\]\(.*\) \| (\S+) \| (\S+) \|$", text, re.MULTILINE)

    assert {(code.system_code, code.schema_version, code.form) for code in FormCode} == set(listed)


def test_examples_of_the_specification_survive_reading_and_writing(endpoints: list[Endpoint]) -> None:
    check_every(endpoints, check_examples, named=name_of)


def check_examples(case: Endpoint) -> None:
    operation, endpoint = case
    for model, place in content(endpoint, operation):
        examples = [each["value"] for each in place.get("examples", {}).values()]
        for example in [place["example"], *examples] if "example" in place else examples:
            readable = filled_in(example)
            written, expected = comparable(WIRE.dump(WIRE.load(readable, model))), comparable(readable)
            if operation.name in ("get_rate_limits", "get_context_limits"):
                written = {group: written[group] for group in expected}  # others are assumed
            assert written == expected


def filled_in(value: Any) -> Any:
    """``value`` with its times in microseconds and its Base64 filled in where it is cut out."""
    if isinstance(value, dict):
        return {name: filled_in(item) for name, item in value.items()}
    if isinstance(value, list):
        return [filled_in(item) for item in value]
    if isinstance(value, str) and value.endswith("..."):
        return value[: len(value) // 4 * 4 - 4] + "Li4u"
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return WIRE.dump(REQUESTS.load(value, datetime))
    return value


def comparable(value: Any) -> Any:
    """``value`` without what may be left out."""
    if isinstance(value, dict):
        items = {name: comparable(item) for name, item in value.items()}
        return {name: item for name, item in items.items() if item not in (None, False, 0, [], {}, NO_DATE)}
    if isinstance(value, Decimal):
        return float(value)  # as the specification's examples were read
    return [comparable(item) for item in value] if isinstance(value, list) else value
