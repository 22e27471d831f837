"""What a login is made of."""

from __future__ import annotations

import attrs

from ..errors import LocalProtocolError
from ..models.auth import AuthorizationPolicy
from ..models.common import Context, ContextType
from ..protocol.ksef_number import is_nip

__all__ = ["KsefToken"]


def _context_of_nip(credentials: KsefToken) -> Context:
    if credentials.nip is None:
        raise LocalProtocolError("A KsefToken needs the NIP (or another context) it was issued for.")
    return Context(ContextType.NIP, credentials.nip)


@attrs.frozen(kw_only=True)
class KsefToken:
    """Login with a KSeF token, the long-lived secret issued in KSeF for one context.

    Args:
        nip: NIP of the company on whose behalf calls are made (10 digits).
        token: As KSeF showed it, once.
        context: In place of ``nip`` where the context is not a NIP.
        policy: Addresses from which the tokens of this login may be used.

    Raises:
        LocalProtocolError: Neither or both of ``nip`` and ``context``; a malformed NIP; an empty token.
    """

    nip: str | None = None
    token: str = attrs.field(repr=False)
    context: Context = attrs.field(default=attrs.Factory(_context_of_nip, takes_self=True))
    policy: AuthorizationPolicy | None = None

    def __attrs_post_init__(self) -> None:
        if not self.token.strip():
            raise LocalProtocolError("The KSeF token is empty.")
        if self.nip is not None and self.context != Context(ContextType.NIP, self.nip):
            raise LocalProtocolError("Give either the NIP or another context, not both.")
        if self.context.type == ContextType.NIP and not is_nip(self.context.value):
            raise LocalProtocolError(f"{self.context.value!r} is not a NIP: ten digits, as KSeF's specification asks.")
