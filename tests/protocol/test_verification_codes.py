"""Pictures of verification codes, read back by decoders that are not ours."""

from __future__ import annotations

import io
import sys
from datetime import date
from xml.etree import ElementTree as ET

import pytest
from codes import SVG, decode_png, decode_svg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ksef_async import Environment, LocalProtocolError
from ksef_async.protocol.verification_codes import VerificationCode
from ksef_async.protocol.verification_links import InvoiceFingerprint, verification_link

KSEF_NUMBER = "5265877635-20250826-0100001AF629-AF"
INVOICE = InvoiceFingerprint(seller_nip="5265877635", issued_on=date(2026, 2, 1), sha256=bytes(range(32)))
#: As long as links of KOD II are, with signatures by P-256 and by RSA with 2,048 bits.
P256 = f"https://qr-test.ksef.mf.gov.pl/certificate/Nip/5265877635/5265877635/01F20A5D352AE590/{'a-B_' * 32}a"
RSA = f"{P256[:125]}/{'x' * 342}"


def test_labels_are_the_ksef_number_offline_and_certyfikat() -> None:
    known = VerificationCode.of_invoice(INVOICE, Environment.TEST, ksef_number=KSEF_NUMBER)
    unknown = VerificationCode.of_invoice(INVOICE, Environment.TEST)
    certificate = VerificationCode.of_certificate(P256)

    assert (known.label, unknown.label, certificate.label) == (KSEF_NUMBER, "OFFLINE", "CERTYFIKAT")
    assert known.link == unknown.link == verification_link(INVOICE, Environment.TEST)


@pytest.mark.parametrize(
    ("link", "version"),
    [
        pytest.param(verification_link(INVOICE, Environment.TEST), 6, id="invoice"),
        pytest.param(verification_link(INVOICE, Environment.PRODUCTION), 6, id="invoice in production"),
        pytest.param(P256[:211], 10, id="certificate, P-256"),
        pytest.param(RSA[:467], 17, id="certificate, RSA"),
    ],
)
@pytest.mark.parametrize("scale", [1, 4, 10])
def test_code_says_the_link_and_has_the_expected_size(link: str, version: int, scale: int) -> None:
    code = VerificationCode(link=link, label=KSEF_NUMBER)

    assert code.version == version
    assert decode_png(code.png(scale)) == [link]
    assert decode_svg(code.svg()) == [link]


def test_label_of_an_svg_is_its_text() -> None:
    root = ET.fromstring(VerificationCode(link="https://example/?a=1&b=<", label=KSEF_NUMBER).svg())

    assert root.findtext(f"{SVG}text") == KSEF_NUMBER
    assert root.findtext(f"{SVG}title") == "https://example/?a=1&b=<"
    width = float(root.attrib["viewBox"].split()[2])
    (label,) = root.findall(f"{SVG}text")
    assert len(KSEF_NUMBER) * 0.6 * float(label.attrib["font-size"]) <= width


def letter_rows(png: bytes, scale: int, side: int) -> list[str]:
    """The rows of a PNG below its code, without white around, one column for each pixel."""
    image = Image.open(io.BytesIO(png)).convert("L")
    below = image.crop((0, side * scale, image.width, image.height))
    box = below.point(lambda pixel: 255 - pixel).getbbox()
    assert box is not None
    letters = below.crop(box)
    return [
        "".join("#" if letters.getpixel((x, y)) == 0 else "." for x in range(letters.width))
        for y in range(letters.height)
    ]


def test_label_of_a_png_is_drawn_below_the_code() -> None:
    code = VerificationCode(link=verification_link(INVOICE, Environment.TEST), label="OFFLINE")

    # 41 modules, and the white above.
    assert letter_rows(code.png(1), 1, 45) == [
        ".###..#####.#####.#......###..#...#.#####",
        "#...#.#.....#.....#.......#...#...#.#....",
        "#...#.#.....#.....#.......#...##..#.#....",
        "#...#.####..####..#.......#...#.#.#.####.",
        "#...#.#.....#.....#.......#...#..##.#....",
        "#...#.#.....#.....#.......#...#...#.#....",
        ".###..#.....#.....#####..###..#...#.#####",
    ]


def test_every_letter_of_a_label_is_another() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
    drawn = {tuple(letter_rows(VerificationCode(link="x", label=each).png(1), 1, 25)) for each in letters}

    assert len(drawn) == len(letters)


@pytest.mark.parametrize("scale", [1, 2, 5, 10, 20])
def test_label_lies_within_the_picture_whatever_the_scale(scale: int) -> None:
    code = VerificationCode(link=verification_link(INVOICE, Environment.TEST), label=KSEF_NUMBER)
    image = Image.open(io.BytesIO(code.png(scale)))
    image.load()

    assert image.width >= 35 * 6
    edges = [image.getpixel((x, y)) for y in range(image.height) for x in (0, image.width - 1)]
    assert {bool(pixel) for pixel in edges} == {True}


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=600), st.integers(2, 4))
@settings(deadline=None, max_examples=30)
def test_any_link_is_read_back(link: str, scale: int) -> None:
    code = VerificationCode(link=link, label="OFFLINE")

    assert decode_png(code.png(scale)) == [link]
    assert decode_svg(code.svg()) == [link]


@pytest.mark.parametrize("label", ["", "offline", "Ł", "A\nB", "<b>"])
def test_label_of_other_characters_is_refused(label: str) -> None:
    with pytest.raises(LocalProtocolError, match="cannot be a label"):
        VerificationCode(link="https://example", label=label)


def test_picture_that_cannot_be_made_is_refused() -> None:
    code = VerificationCode(link="https://example", label="OFFLINE")

    for scale in (0, 101):
        with pytest.raises(LocalProtocolError, match="1 to 100 pixels"):
            code.png(scale)
    with pytest.raises(LocalProtocolError, match="fits no QR code"):
        VerificationCode(link="x" * 3000, label="OFFLINE").svg()


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)

    with pytest.raises(LocalProtocolError, match="extra 'qr'"):
        VerificationCode(link="https://example", label="OFFLINE").svg()
