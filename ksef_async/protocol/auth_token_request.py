"""AuthTokenRequest: what a login by certificate signs. Source: XSD http://ksef.mf.gov.pl/auth/token/2.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..models.auth import AuthorizationPolicy, SubjectBy
from ..models.common import Context

if TYPE_CHECKING:
    from lxml import etree

__all__ = ["NAMESPACE", "auth_token_request"]

NAMESPACE: Final = "http://ksef.mf.gov.pl/auth/token/2.1"


def auth_token_request(
    challenge: str, context: Context, subject_by: SubjectBy, policy: AuthorizationPolicy | None
) -> etree._Element:
    """The document, without its signature; needs lxml (extra ``xades``).

    Args:
        challenge: What KSeF asked.
        context: On whose behalf calls will be made.
        subject_by: How KSeF is to find out who signs.
        policy: Addresses from which the tokens of the login may be used.
    """
    from lxml import etree

    def add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
        element = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
        element.text = text
        return element

    root = etree.Element(f"{{{NAMESPACE}}}AuthTokenRequest", nsmap={None: NAMESPACE})  # type: ignore[dict-item]  # stubs
    add(root, "Challenge", challenge)
    add(add(root, "ContextIdentifier"), context.type.value, context.value)
    add(root, "SubjectIdentifierType", subject_by.value)
    if policy is not None and (allowed := policy.allowed_ips) is not None:
        ips = add(add(root, "AuthorizationPolicy"), "AllowedIps")
        lists = (
            ("Ip4Address", allowed.ip4_addresses),
            ("Ip4Range", allowed.ip4_ranges),
            ("Ip4Mask", allowed.ip4_masks),
        )
        for name, given in lists:
            for one in given:
                add(ips, name, one)
    return root
