"""Since which version of KSeF's API there is what: an older sandbox leaves out, and ignores, what was not there yet.

The tables hold everything in which the published specifications (2.1.1 to 2.9.0) differ; a contract test derives them
anew. "Since" means the first published specification with it: 2.7 and 2.8 were never published here. How many calls
were granted is not played: until 2.5 TEST granted ten times as many, production as many as today.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..api.operation import Operation, RateGroup
from ..api.rates import PRODUCTION_LIMITS
from ..protocol.wire import camel

__all__ = [
    "ANSWER_FIELDS",
    "ANSWER_VALUES",
    "NEWEST",
    "OPERATIONS_SINCE",
    "RATE_GROUPS",
    "REQUEST_FIELDS",
    "REQUEST_VALUES",
    "VERSIONS",
    "ApiVersion",
    "UnknownValueError",
    "drop_field",
]

VERSIONS: Final = ("2.1.1", "2.1.2", "2.2.0", "2.2.1", "2.4.0", "2.5.0", "2.6.0", "2.9.0")

OPERATIONS_SINCE: Final[Mapping[str, str]] = {
    "query_received_permissions": "2.2.0",
    "create_collective_identifier": "2.9.0",
    "list_collective_identifiers": "2.9.0",
    "list_collective_identifier_invoices": "2.9.0",
    "list_collective_identifiers_of_invoice": "2.9.0",
    "set_certificate_validity": "2.9.0",
}

ANSWER_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "get_challenge": {"clientIp": "2.2.0"},
    "list_public_keys": {"[].certificateId": "2.5.0", "[].publicKeyId": "2.5.0"},
    "get_export_status": {"package.compressionType": "2.9.0"},
    "get_context_limits": {"collectiveIdentifier": "2.9.0"},
    "get_rate_limits": {
        "onlineSessionClose": "2.9.0",
        "batchSessionClose": "2.9.0",
        "collectiveIdentifier": "2.9.0",
        "anonymous": "2.9.0",
        "global": "2.9.0",
    },
    "query_own_permissions": {"ownerPermissions": "2.9.0"},
}
"""Fields of answers, by operation and path; ``[]`` is each item of an array."""

REQUEST_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "log_in_with_token": {"publicKeyId": "2.5.0"},
    "open_online_session": {"encryption.publicKeyId": "2.5.0"},
    "open_batch_session": {"encryption.publicKeyId": "2.5.0", "batchFile.compressionType": "2.6.0"},
    "export_invoices": {"onlyMetadata": "2.4.0", "encryption.publicKeyId": "2.5.0", "compressionType": "2.6.0"},
    "override_context_limits": {"collectiveIdentifier": "2.9.0"},
    "override_rate_limits": {"rateLimits.collectiveIdentifier": "2.9.0"},
}
"""Fields of requests, likewise; an older KSeF ignores what it does not know."""

_COLLECTIVE: Final[Mapping[str, str]] = {"CollectiveIdentifierManage": "2.9.0"}
_TOKEN: Final[Mapping[str, str]] = {"Introspection": "2.1.2", **_COLLECTIVE}
_CURRENCIES: Final[dict[str, str]] = dict.fromkeys(("CNH", "SLE", "VED", "XTS", "ZWG"), "2.9.0")

ANSWER_VALUES: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "get_token": {"requestedPermissions[]": _TOKEN},
    "list_tokens": {"tokens[].requestedPermissions[]": _TOKEN},
    "query_own_permissions": {"permissions[].permissionScope": _COLLECTIVE},
    "query_person_permissions": {"permissions[].permissionScope": _COLLECTIVE},
    "query_received_permissions": {"permissions[].permissionScope": _COLLECTIVE},
}
"""Values of answers, likewise."""

REQUEST_VALUES: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = {
    "query_invoice_metadata": {"currencyCodes[]": _CURRENCIES, "formType": {"FA_RR": "2.4.0"}},
    "export_invoices": {"filters.currencyCodes[]": _CURRENCIES, "filters.formType": {"FA_RR": "2.4.0"}},
    "generate_token": {"permissions[]": _TOKEN},
    "grant_to_person": {"permissions[]": _COLLECTIVE},
    "grant_to_entity": {"permissions[].type": _COLLECTIVE},
    "grant_indirectly": {"permissions[]": _COLLECTIVE},
    "grant_test_permissions": {"permissions[].permissionType": _COLLECTIVE},
    "query_own_permissions": {"permissionTypes[]": _COLLECTIVE},
    "query_person_permissions": {"permissionTypes[]": _COLLECTIVE},
}
"""Values of requests, likewise; an older KSeF refuses them."""

RATE_GROUPS: Final[Mapping[RateGroup, tuple[str, RateGroup | None]]] = {
    RateGroup.ONLINE_SESSION_CLOSE: ("2.9.0", RateGroup.ONLINE_SESSION),
    RateGroup.BATCH_SESSION_CLOSE: ("2.9.0", RateGroup.BATCH_SESSION),
    RateGroup.COLLECTIVE_IDENTIFIER: ("2.9.0", None),
    RateGroup.ANONYMOUS: ("2.9.0", None),
    RateGroup.OVERALL: ("2.9.0", None),
}
"""Groups of the rate limits: since when, and in which calls were counted before; None for in none."""

# Permissions, wherever they are answered (a JWT, a refusal).
_PERMISSIONS: Final[Mapping[str, str]] = _COLLECTIVE

# What is granted where an older request cannot say.
_DEFAULTS: Final[Mapping[tuple[str, str], Any]] = {
    ("override_context_limits", "collectiveIdentifier"): {"maxInvoices": 500},
    ("override_rate_limits", "rateLimits.collectiveIdentifier"): {
        camel(name): value for name, value in attrs.asdict(PRODUCTION_LIMITS.collective_identifier).items()
    },
}


class UnknownValueError(ValueError):
    """A request has a value that this version does not know.

    Args:
        path: Of its field.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


@attrs.frozen(order=True)
class ApiVersion:
    """A version of the API, by its numbers."""

    numbers: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> ApiVersion:
        """Return the version that ``text`` names, as ``2.6`` or ``2.6.0``.

        Raises:
            ValueError: It is none of `VERSIONS`.
        """
        whole = f"{text}.0" if text.count(".") == 1 else text
        if whole not in VERSIONS:
            raise ValueError(f"{text!r} is not a version the sandbox knows: {', '.join(VERSIONS)}")
        return cls(tuple(map(int, whole.split("."))))

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))

    def has(self, since: str) -> bool:
        """Return whether this version has what was added in version ``since``."""
        return self.numbers >= tuple(map(int, since.split(".")))

    def has_operation(self, operation: Operation[Any, Any]) -> bool:
        """Return whether there is an operation."""
        return self.has(OPERATIONS_SINCE.get(operation.name, VERSIONS[0]))

    def has_permission(self, permission: str) -> bool:
        """Return whether there is a permission."""
        return self.has(_PERMISSIONS.get(permission, VERSIONS[0]))

    def rate_group(self, group: RateGroup) -> RateGroup | None:
        """Return the group that the calls of ``group`` are counted in; None where they are not counted."""
        since, before = RATE_GROUPS.get(group, (VERSIONS[0], None))
        return group if self.has(since) else before

    def changes_answers_of(self, operation: Operation[Any, Any]) -> bool:
        """Return whether an answer has to be looked at: `answer` changes something."""
        return self != NEWEST and (operation.name in ANSWER_FIELDS or operation.name in ANSWER_VALUES)

    def answer(self, operation: Operation[Any, Any], answer: Any) -> Any:
        """Return an answer (as JSON-ready objects) as this version gives it; changes it in place."""
        for path, since in ANSWER_FIELDS.get(operation.name, {}).items():
            if not self.has(since):
                drop_field(answer, path)
        for path, values in ANSWER_VALUES.get(operation.name, {}).items():
            newer = {value for value, since in values.items() if not self.has(since)}
            if newer:
                _drop_items(answer, path.split("."), newer)
        return answer

    def request(self, operation: Operation[Any, Any], request: Any) -> Any:
        """Return a request (as JSON-ready objects) as this version reads it; changes it in place.

        Raises:
            UnknownValueError: It has a value that this version does not know.
        """
        for path, since in REQUEST_FIELDS.get(operation.name, {}).items():
            if not self.has(since):
                drop_field(request, path)
                if (default := _DEFAULTS.get((operation.name, path))) is not None:
                    *parents, name = path.split(".")
                    for parent in _inside(request, parents):
                        if isinstance(parent, dict):
                            parent[name] = default
        for path, values in REQUEST_VALUES.get(operation.name, {}).items():
            newer = {value.lower() for value, since in values.items() if not self.has(since)}
            given = _inside(request, path.split("."))
            if any(isinstance(value, str) and value.lower() in newer for value in given):
                raise UnknownValueError(path.replace("[]", ""))
        return request


NEWEST: Final = ApiVersion.parse(VERSIONS[-1])


def drop_field(root: Any, path: str) -> None:
    """Leave a field out of JSON-ready objects; ``[]`` in its path is each item of an array."""
    *parents, name = path.split(".")
    for parent in _inside(root, parents):
        for key in _keys(parent, name):
            del parent[key]


def _inside(root: Any, path: list[str]) -> list[Any]:
    """Everything at a path; names are matched as KSeF matches them, in any case."""
    found = [root]
    for step in path:
        name = step.removesuffix("[]")
        if name:
            found = [each[key] for each in found for key in _keys(each, name)]
        if step.endswith("[]"):
            found = [item for each in found if isinstance(each, list) for item in each]
    return found


def _keys(node: Any, name: str) -> list[str]:
    return [key for key in node if key.lower() == name.lower()] if isinstance(node, dict) else []


def _drop_items(root: Any, path: list[str], values: set[str]) -> None:
    """Leave out of its array each item that is, or has at the rest of the path, one of the values."""
    last = max(index for index, step in enumerate(path) if step.endswith("[]"))
    parents, rest = [*path[:last], re.sub(r"\[\]$", "", path[last])], path[last + 1 :]
    for items in _inside(root, [step for step in parents if step]):
        if isinstance(items, list):
            items[:] = [item for item in items if not values & {str(each) for each in _inside(item, rest)}]
