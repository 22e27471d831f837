"""The form and the key a session is opened with, and what goes wrong with a call on purpose."""

from __future__ import annotations

from ..crypto.envelope import IV_SIZE, KEY_SIZE, SessionCipher, rsa_decrypt
from ..errors import CryptoError
from ..models.common import ContextType
from ..models.keys import EncryptionInfo, PublicKeyUsage
from ..models.sessions import FormCode
from ..protocol.error_codes import ErrorCode
from .refusals import UNKNOWN_FORM, InvalidInput, Refusal
from .router import Call

__all__ = ["check_form_code", "goes_wrong", "unwrap_key"]


def goes_wrong(call: Call, kind: str) -> bool:
    """Whether this is to go wrong with ``call`` on purpose."""
    return call.fault is not None and call.fault.kind == kind


def check_form_code(call: Call, form_code: FormCode, *, is_batch: bool = False) -> None:
    """Refuse a form that KSeF does not take from the caller: only Peppol providers send PEF, one by one (ksef-api#664).

    Raises:
        InvalidInput: In the words that answer an unknown form, too.
    """
    is_taken = form_code.form != "PEF" or (call.caller.context.type == ContextType.PEPPOL_ID and not is_batch)
    if not is_taken or (call.world.is_production and form_code is FormCode.FA2):
        raise InvalidInput(UNKNOWN_FORM)


def unwrap_key(call: Call, encryption: EncryptionInfo) -> SessionCipher | None:
    """The session key; None for one that cannot be decrypted, which KSeF tells only later.

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
