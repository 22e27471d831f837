"""How a login can be proved, in KSeF's words. [INF]: of the codes, the specification shows only that of the seal."""

from __future__ import annotations

from typing import Final

import attrs

from ..models.auth import AuthenticationMethodCategory

__all__ = ["KSEF_CERTIFICATE", "PEPPOL_SIGNATURE", "QUALIFIED_SEAL", "QUALIFIED_SIGNATURE", "TOKEN", "LoginMethod"]


@attrs.frozen
class LoginMethod:
    """One of them."""

    #: The deprecated ``authenticationMethod``, which is also in every JWT (``aum``).
    name: str
    code: str
    display_name: str
    category: AuthenticationMethodCategory = AuthenticationMethodCategory.XADES_SIGNATURE


TOKEN: Final = LoginMethod("Token", "token.ksef", "Token KSeF", AuthenticationMethodCategory.TOKEN)
KSEF_CERTIFICATE: Final = LoginMethod("InternalCertificate", "xades.internal-certificate", "Certyfikat KSeF")
QUALIFIED_SEAL: Final = LoginMethod("QualifiedSeal", "xades.qualified-seal", "Pieczęć kwalifikowana")
QUALIFIED_SIGNATURE: Final = LoginMethod("QualifiedSignature", "xades.qualified-signature", "Podpis kwalifikowany")
PEPPOL_SIGNATURE: Final = LoginMethod("PeppolSignature", "xades.peppol-signature", "Podpis dostawcy usług Peppol")
