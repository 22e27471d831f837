"""Valid documents of any form, made up from its shape: every element and every choice comes, in every writing."""

from __future__ import annotations

import random
from typing import Final

from ksef_async.documents.shape import Group, Item, Shape, Simple, load_shape

__all__ = ["make_document", "make_value"]

#: Values of types with a pattern that none of the rules below finds.
_BY_TYPE: Final = {
    "TNrNIP": ["9999999999", "1111111111", "5265877635"],
    "TNIPIdWew": ["5265877635-00001", " 5265877635-00002 "],
    "TNrVatUE": ["12345678", "AB12+*", "999999999999"],
    "TNumerKSeF": [
        "5265877635-20250826-0100001AF629-AF",
        "9999999999-20230908-8BEF28-0C81E2-C6",
        "ABC1234567-20260101-0A0A0A0A0A0A-00",
    ],
    "TAdresEmail": ["a@b", "jan.kowalski@example.pl", "żółw@przykład.pl", "  a@b.pl\n"],
    "SWIFT_Type": ["ABCDPLPW", "ABCDPLPWXXX"],
    "TNrKRS": ["0000099999"],
    "TNrREGON": ["999999999", "99999999900000"],
    "IPKSeF": ["123abcDEF4567", "0001234567890"],
    "LinkDoPlatnosci": [
        "https://pay.example.pl/a/b?IPKSeF=123abcDEF4567",
        "http://a.bc?x=1&IPKSeF=0001234567890&y=2#z",
    ],
    "TNrRB": ["73111111111111111111111111", "PL73111111111111111111111111", "0000000000", "AAAAAAAAAA"],
    "NrID": ["abcDEF123", "9"],
}
_LETTERS: Final = "aąbcćdeęółżźABCŁŻ0123456789&<>\"'.,-/()% \u00a0€𝄞"


def make_document(form: str, chance: random.Random, *, fill: float = 0.5) -> bytes:
    """Return a valid document.

    Args:
        form: One of `ksef_async.documents.shape.FORMS`.
        chance: Where chance comes from.
        fill: How likely an optional element is there.
    """
    shape = load_shape(form)
    inner = _element(shape, shape.root, shape.root, chance, fill)
    opening = f"<{shape.root}"
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{head}\n{opening} xmlns="{shape.namespace}"{inner.removeprefix(opening)}'.encode()


def _element(shape: Shape, name: str, type_name: str, chance: random.Random, fill: float) -> str:
    if shape.is_simple(type_name):
        return f"<{name}>{_escape(make_value(shape.simple(type_name), chance))}</{name}>"
    complex_type = shape.complex(type_name)
    attributes = "".join(
        f' {attribute}="{_escape(make_value(shape.simple(simple), chance))}"'
        for attribute, simple in complex_type.attributes.items()
    )
    if complex_type.text is not None:
        content = _escape(make_value(shape.simple(complex_type.text), chance))
    else:
        gap = chance.choice(["", "", "\n", " \t\r\n"])
        assert complex_type.content is not None
        content = gap + gap.join(_group(shape, complex_type.content, chance, fill)) + gap
    return f"<{name}{attributes}>{content}</{name}>"


def _group(shape: Shape, group: Group, chance: random.Random, fill: float) -> list[str]:
    if group.optional and chance.random() >= fill:
        return []
    parts = [chance.choice(group.parts)] if group.choice else group.parts
    made = []
    for part in parts:
        if isinstance(part, Group):
            made += _group(shape, part, chance, fill)
        else:
            made += [_element(shape, part.name, part.type, chance, fill) for _ in range(_count(part, chance, fill))]
    return made


def _count(item: Item, chance: random.Random, fill: float) -> int:
    if item.least == 0 and chance.random() >= fill:
        return 0
    return min(chance.choice([1, 1, 2, 3]), item.most or 3)


def make_value(simple: Simple, chance: random.Random) -> str:
    """Return a valid value of a type, not yet escaped."""
    if simple.any:
        return make_value(chance.choice(simple.any), chance)
    if simple.name in _BY_TYPE and not simple.enum:
        return chance.choice(_BY_TYPE[simple.name])
    if simple.enum:
        text = chance.choice(simple.enum)
        odd = [f"0{text}", f"+{text}"] if simple.base == "integer" else []
        return _padded(simple, chance.choice([text] * 10 + odd), chance)
    if simple.base == "string":
        assert not simple.patterns, simple.name
        return _text(simple, chance)
    return _padded(
        simple, _number(simple, chance) if simple.base in {"decimal", "integer"} else _moment(simple, chance), chance
    )


def _padded(simple: Simple, text: str, chance: random.Random) -> str:
    # libxml2 does not take blanks around a date and time, against the rules of XML Schema.
    if simple.space != "collapse" or simple.base == "datetime" or chance.random() < 0.9:
        return text
    return chance.choice([f" {text}", f"{text} ", f"\n\t{text}\r\n"])


def _text(simple: Simple, chance: random.Random) -> str:
    shortest, longest = simple.shortest or 0, simple.longest or 20
    length = chance.choice(
        [shortest, longest, chance.randint(shortest, longest), chance.randint(shortest, min(longest, 20))]
    )
    # A letter first and last, and one blank at a time, so that white space takes nothing away.
    text = "".join(chance.choices(_LETTERS, k=length))
    if simple.space == "collapse":
        text = " ".join(text.split(" ")).replace(" ", "_", 1) if length == 1 else text
        text = text.replace(" ", "b")
    return text


def _number(simple: Simple, chance: random.Random) -> str:
    if simple.base == "integer":
        return str(chance.choice([1, 7, chance.randint(1, 10**6), 10 ** min((simple.total or 10) - 1, 9)]))
    fraction = chance.randint(0, simple.fraction or 0)
    most = (
        int(simple.max) - 1 if simple.max else 10 ** chance.randint(0, (simple.total or 9) - (simple.fraction or 0) - 1)
    )
    whole = str(chance.randint(0, most))
    sign = "-" if simple.min is None and chance.random() < 0.2 else ""
    places = "." + "".join(chance.choices("0123456789", k=fraction)) if fraction else ""
    return sign + whole + places


def _moment(simple: Simple, chance: random.Random) -> str:
    year = chance.randint(int((simple.min or "1990")[:4]) + 1, 2049)
    day = f"{year}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
    if simple.base == "date":
        return day
    zone = chance.choice(["Z", "Z", "", "+02:00", "-14:00", "+00:00"])
    fraction = chance.choice(["", "", ".5", ".123456", ".1234567890"])
    time = f"{chance.randint(0, 23):02}:{chance.randint(0, 59):02}:{chance.randint(0, 59):02}{fraction}"
    return f"{day}T{chance.choice([time, time, '24:00:00'])}{zone}"


def _escape(text: str) -> str:
    for character, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\r", "&#13;")):
        text = text.replace(character, reference)
    return text
