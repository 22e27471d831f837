"""The currencies KSeF knows, by their ISO 4217 codes. Source: OpenAPI 2.9.0, CurrencyCode."""

from __future__ import annotations

from typing import Any, Final

import attrs

from ..errors import InvalidFieldError

__all__ = ["CURRENCIES", "check_currency"]

#: Codes, in the order of the alphabet.
CURRENCIES: Final = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
    CHE CHF CHW CLF CLP CNH CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GGP GHS
    GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES KGS KHR KMF KPW KRW KWD
    KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR
    NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP STN SVC
    SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XAG XAU XBA
    XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XTS XUA XXX YER ZAR ZMW ZWG ZWL
    """.split()  # noqa: SIM905  # a hundred and eighty lines, otherwise
)


def check_currency(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """Look at a currency code; a validator of attrs.

    Raises:
        InvalidFieldError: KSeF does not know it.
    """
    if value not in CURRENCIES:
        raise InvalidFieldError(attribute.name, f"must be one of KSeF's currency codes; it is {value!r}")
