"""Who acts: what a login has proved, and what owners may do."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

__all__ = ["ALL_PERMISSIONS", "OWNER", "OWNER_PERMISSIONS", "Subject", "subject_of"]

#: In a JWT in place of everything an owner may do (ksef-api#838).
OWNER: Final = "Owner"

#: Everything an owner may do in its context.
OWNER_PERMISSIONS: Final = (
    "CredentialsManage", "CredentialsRead", "InvoiceWrite", "InvoiceRead", "Introspection", "SubunitManage",
    "CollectiveIdentifierManage",
)  # fmt: skip

#: Everything that anybody may do anywhere.
ALL_PERMISSIONS: Final = (*OWNER_PERMISSIONS, "EnforcementOperations", "VatUeManage", "PefInvoiceWrite")


@attrs.frozen
class Subject:
    """Who proved to be who they are."""

    type: Literal["Nip", "Pesel", "Fingerprint", "PeppolId"]
    value: str


def subject_of(identifier: Any) -> Subject:
    """The subject that any of the identifiers of a request names; fingerprints are the same in any case."""
    kind: Any = identifier.type.value
    return Subject(kind, identifier.value.upper() if kind == "Fingerprint" else identifier.value)
