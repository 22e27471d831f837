"""Who acts: subjects and what owners may do; and the registry of the persons and companies made up by /testdata.

The registry knows who owns what, who is above whom, who is blocked, and who has died. Source: OpenAPI 2.9.0, /testdata;
uprawnienia.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Literal

import attrs

from ..api.common import Context, ContextType
from ..api.permissions import EntityRole

__all__ = [
    "ALL_PERMISSIONS",
    "OWNER",
    "OWNER_PERMISSIONS",
    "Person",
    "Registry",
    "Role",
    "Subject",
    "nip_of",
    "subject_of",
]


OWNER: Final = "Owner"
"""In a JWT in place of everything an owner may do (ksef-api#838)."""
OWNER_PERMISSIONS: Final = (
    "CredentialsManage", "CredentialsRead", "InvoiceWrite", "InvoiceRead", "Introspection", "SubunitManage",
    "CollectiveIdentifierManage",
)  # fmt: skip
"""Everything an owner may do in its context."""
ALL_PERMISSIONS: Final = (*OWNER_PERMISSIONS, "EnforcementOperations", "VatUeManage", "PefInvoiceWrite")
"""Everything that anybody may do anywhere."""


@attrs.frozen
class Subject:
    """A subject, by one of its identifiers."""

    type: Literal["Nip", "Pesel", "Fingerprint", "PeppolId"]
    value: str


def subject_of(identifier: Any) -> Subject:
    """Return the subject that any of the identifiers of a request names; fingerprints are the same in any case."""
    kind: Any = identifier.type.value
    return Subject(kind, identifier.value.upper() if kind == "Fingerprint" else identifier.value)


def nip_of(context: Context) -> str:
    """Return the NIP of the company of a context; empty for a Peppol provider, which has none."""
    return "" if context.type == ContextType.PEPPOL_ID else context.value[:10]


@attrs.frozen(kw_only=True)
class Person:
    """A made-up person, the owner of a company."""

    nip: str
    pesel: str
    is_deceased: bool
    since: datetime


@attrs.frozen(kw_only=True)
class Role:
    """The role of a company at the tax administration."""

    nip: str
    role: EntityRole
    parent: str | None
    """NIP of the company above it."""
    description: str
    since: datetime


class Registry:
    """The persons and companies made up by /testdata, each question as of a moment."""

    def __init__(self) -> None:
        self.persons: dict[str, Person] = {}
        """By their NIP."""
        self.roles: list[Role] = []
        self.created: dict[str, datetime] = {}
        """When each identifier was made up last."""
        self.blocked: set[Context] = set()
        """In which logins end with 480."""
        self.attachments: dict[str, datetime | None] = {}
        """Until when each company may send attachments, by NIP; None for ever."""

    def has_company(self, nip: str) -> bool:
        """Return whether a company was made up, on its own or below another."""
        return any(role.nip == nip and role.role is not EntityRole.COURT_BAILIFF for role in self.roles)

    def roles_of(self, nip: str, now: datetime) -> Iterator[Role]:
        """Return the roles of a company."""
        return (role for role in self.roles if role.nip == nip and role.since <= now)

    def below(self, nip: str, now: datetime) -> Iterator[Role]:
        """Return the roles of the companies below one."""
        return (role for role in self.roles if role.parent == nip and role.since <= now)

    def may_enforce(self, nip: str, now: datetime) -> bool:
        """Return whether a company is a bailiff or an enforcement authority."""
        wanted = (EntityRole.COURT_BAILIFF, EntityRole.ENFORCEMENT_AUTHORITY)
        return any(role.role in wanted for role in self.roles_of(nip, now))

    def aliases(self, subject: Subject, now: datetime) -> frozenset[Subject]:
        """Return every identifier of a subject; a person is the same by NIP and by PESEL."""
        known = {subject}
        for person in self.persons.values():
            names = {Subject("Nip", person.nip), Subject("Pesel", person.pesel)}
            if person.since <= now and subject in names:
                known |= names
        return frozenset(known)

    def is_deceased(self, subject: Subject) -> bool:
        """Return whether a person is dead."""
        return any(
            person.is_deceased and subject in (Subject("Nip", person.nip), Subject("Pesel", person.pesel))
            for person in self.persons.values()
        )

    def may_send_attachments(self, context: Context, now: datetime) -> bool:
        """Return whether the company of a context has consented to sending attachments."""
        nip = nip_of(context)
        return nip in self.attachments and ((end := self.attachments[nip]) is None or now < end)
