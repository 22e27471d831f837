"""What several handlers share: whose a session is, what the path names, pages of a list, checks of bodies and keys.

Source: OpenAPI 2.9.0; sesja-interaktywna.md. That KSeF refuses values outside an enumeration is documented; in which
words, is inferred [INF].
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

import attrs

from ..api.auth import AuthenticationMethodInfo
from ..api.common import ContextType
from ..api.keys import EncryptionInfo, PublicKeyUsage
from ..api.sessions import FormCode
from ..crypto.envelope import IV_SIZE, KEY_SIZE, SessionCipher, rsa_decrypt
from ..errors import CryptoError
from ..protocol.error_codes import ErrorCode
from ..protocol.permissions import problems
from .refusals import UNKNOWN_FORM, Forbidden, InvalidInput, Refusal
from .router import Call
from .subjects import Subject
from .world import Invoice, Login, Session

__all__ = [
    "check_form_code",
    "checked",
    "checked_body",
    "find_invoice",
    "find_session",
    "find_session_of",
    "goes_wrong",
    "is_callers",
    "login_fields",
    "numbered_page_of",
    "page_of",
    "shows_session",
    "unwrap_key",
]


T = TypeVar("T")
SessionT = TypeVar("SessionT", bound=Session)
ModelT = TypeVar("ModelT", bound=attrs.AttrsInstance)
# Who holds one of these looks into every session of the context.
_INSPECTORS: Final = frozenset({"Introspection", "EnforcementOperations"})


# --- whose it is -----------------------------------------------------------------------------------------------------


def is_callers(call: Call, subject: Subject) -> bool:
    """Return whether a subject is the caller's own: a person is the same by NIP and by PESEL."""
    own = call.caller.subject
    return own is not None and subject in call.world.grants.registry.aliases(own, call.now)


def shows_session(call: Call, session: Session) -> bool:
    """Return whether the caller may look into a session.

    Everybody sees what they opened themselves; the context's owner and those who hold Introspection see all.
    Source: OpenAPI 2.9.0, GET /sessions; ksef-api#841; the Ministry's IntrospectionPermissionIntegrationTests.
    """
    return session.context == call.caller.context and (
        not call.permissions.isdisjoint(_INSPECTORS) or _may_use(call, session)
    )


def _may_use(call: Call, session: Session) -> bool:
    """Return whether the caller may send in a session and close it, as its opener and the context's owner may [INF]."""
    own, opener = call.caller.subject, session.login.subject
    return (
        own == opener
        or (opener is not None and is_callers(call, opener))
        or (own is not None and bool(call.world.grants.owned(own, session.context, call.now)))
    )


# --- what the path names ---------------------------------------------------------------------------------------------


def find_session(call: Call, found: str = "znaleziona") -> Session:
    """Return the session the path names, of whatever kind, to look into.

    Args:
        call: With ``reference_number`` in its path.
        found: KSeF's word for it, which differs between operations.
    """
    session = _known(call, call.world.sessions.get(call.path["reference_number"]), found)
    if not shows_session(call, session):
        raise _not_ones_own()
    return session


def find_session_of(kind: type[SessionT], call: Call, found: str = "znaleziona") -> SessionT:
    """Return the session that the path names, for an operation that changes it; the other kind is unknown here [INF].

    Introspection lets look into a session, but not close it: IntrospectionPermissionIntegrationTests of the Ministry.
    """
    named = call.world.sessions.get(call.path["reference_number"])
    session = _known(call, named if isinstance(named, kind) else None, found)
    if session.context != call.caller.context or not _may_use(call, session):
        raise _not_ones_own()
    return session


def _not_ones_own() -> Forbidden:
    return Forbidden("insufficient-resource-access", "Brak dostępu do wskazanego zasobu.")


def _known(call: Call, session: SessionT | None, found: str) -> SessionT:
    if session is None or not session.is_visible_at(call.now):
        detail = f"Sesja o numerze referencyjnym {call.path['reference_number']} nie została {found}."
        raise Refusal(ErrorCode.UNKNOWN_SESSION, detail)
    return session


def find_invoice(call: Call, session: Session) -> Invoice:
    """Return the session's invoice the path names."""
    wanted = call.path["invoice_reference_number"]
    if session.lists_at(call.now) and (invoice := session.invoices.get(wanted)):
        return invoice
    raise InvalidInput(f"Faktura o numerze referencyjnym {wanted} nie została znaleziona.")


# --- pages and rows --------------------------------------------------------------------------------------------------


def page_of(rows: Sequence[T], call: Call, size: int) -> tuple[Sequence[T], str | None]:
    """Return the page a call asks for, and the token for the next; none after the last, be it full or not."""
    start = 0
    if call.continuation_token is not None:
        start = _start(call.continuation_token)
    end = start + size
    token = urlsafe_b64encode(f"[{end}]".encode()).decode() if end < len(rows) else None
    return rows[start:end], token


def _start(token: str) -> int:
    try:
        match = re.fullmatch(r"\[(\d+)\]", urlsafe_b64decode(token).decode(), re.ASCII)
    except ValueError:
        match = None
    if match is None:
        detail = "'continuationToken' is not in the correct format."
        raise Refusal(ErrorCode.INVALID_CONTINUATION_TOKEN, detail)
    return int(match[1])


def numbered_page_of(rows: Sequence[T], call: Call) -> tuple[Sequence[T], bool]:
    """Return the page of the number and size a call asks for, and whether more follow."""
    size = call.query["page_size"]
    start = call.query["page_offset"] * size
    return rows[start : start + size], start + size < len(rows)


def login_fields(login: Login, now: datetime) -> dict[str, Any]:
    """Return the fields of a login that its status and the list of logins share."""
    return {
        "start_date": login.started_at,
        "authentication_method": login.method.name,
        "authentication_method_info": AuthenticationMethodInfo(
            login.method.category, login.method.code, login.method.display_name
        ),
        "status": login.status_at(now),
        "is_token_redeemed": login.is_redeemed,
        "last_token_refresh_date": login.refreshed_at,
        "refresh_token_valid_until": login.refresh_until,
    }


# --- bodies, keys and faults -----------------------------------------------------------------------------------------


def checked_body(call: Call) -> Any:
    """Return the body of a call, as the model of its row.

    Raises:
        InvalidInput: With a detail for each of its problems.
    """
    return checked(call.body)


def checked(model: ModelT) -> ModelT:
    """Return a body, or the query parameters of a call as a model: every value of an enumeration is one of KSeF's.

    Raises:
        InvalidInput: With a detail for each of its problems.
    """
    if found := [f"'{field}' {rule}." for field, rule in problems(model)]:
        raise InvalidInput(*found)
    return model


def check_form_code(call: Call, form_code: FormCode, *, is_batch: bool = False) -> None:
    """Check that KSeF takes a form from the caller: only Peppol providers send PEF, one by one (ksef-api#664).

    Raises:
        InvalidInput: In the words that answer an unknown form, too.
    """
    is_taken = form_code.form != "PEF" or (call.caller.context.type == ContextType.PEPPOL_ID and not is_batch)
    if not is_taken or (call.world.is_production and form_code is FormCode.FA2):
        raise InvalidInput(UNKNOWN_FORM)


def unwrap_key(call: Call, encryption: EncryptionInfo) -> SessionCipher | None:
    """Return the session key; None for one that cannot be decrypted, which KSeF tells only later.

    Raises:
        Refusal: The vector has the wrong length, or the public key is none of ours (21470).
    """
    if len(iv := encryption.initialization_vector) != IV_SIZE:
        raise InvalidInput(
            f"Nieprawidłowa długość wektora inicjującego (IV). Oczekiwano {IV_SIZE} bajtów, otrzymano {len(iv)}."
        )
    private_key = call.world.ministry.private_key(PublicKeyUsage.SYMMETRIC_KEY_ENCRYPTION, encryption.public_key_id)
    if private_key is None:
        detail = f"Klucz o identyfikatorze {encryption.public_key_id} nie jest wspierany."
        raise Refusal(ErrorCode.UNKNOWN_PUBLIC_KEY, detail)
    try:
        key = rsa_decrypt(private_key, encryption.encrypted_symmetric_key)
    except CryptoError:
        return None
    return SessionCipher(key, iv) if len(key) == KEY_SIZE and not goes_wrong(call, "wrong_key") else None


def goes_wrong(call: Call, kind: str) -> bool:
    """Return whether a fault of this kind was planned for the call."""
    return call.fault is not None and call.fault.kind == kind
