"""Pictures of verification codes: a QR code (ISO/IEC 18004, error correction M) with its label below it.

Needs the extra ``qr`` (segno). The label's letters in a PNG are our own, so that no font has to be on the machine.
Source: kody-qr.md.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final, Self

import attrs

from ..api.environment import Environment
from ..errors import LocalProtocolError
from .verification_links import InvoiceFingerprint, verification_link

if TYPE_CHECKING:
    from segno import QRCode

__all__ = ["VerificationCode"]

# White around the code, in modules (ISO/IEC 18004, 6.3.8).
_QUIET: Final = 4
# Modules that the label takes in an SVG.
_LABEL_HEIGHT: Final = 5.0
_LARGEST_SCALE: Final = 100

# Five columns of seven bits for each letter, the lowest bit on top; 37 letters are what labels are made of.
_WIDTH, _HEIGHT = 5, 7
_LETTERS: Final = {
    " ": "0000000000", "-": "0808080808", "0": "3E5149453E", "1": "00427F4000", "2": "4261514946",
    "3": "2141454B31", "4": "1814127F10", "5": "2745454539", "6": "3C4A494930", "7": "0171090503",
    "8": "3649494936", "9": "064949291E", "A": "7E1111117E", "B": "7F49494936", "C": "3E41414122",
    "D": "7F4141221C", "E": "7F49494941", "F": "7F09090901", "G": "3E4149497A", "H": "7F0808087F",
    "I": "00417F4100", "J": "2040413F01", "K": "7F08142241", "L": "7F40404040", "M": "7F020C027F",
    "N": "7F0408107F", "O": "3E4141413E", "P": "7F09090906", "Q": "3E4151215E", "R": "7F09192946",
    "S": "4649494931", "T": "01017F0101", "U": "3F4040403F", "V": "1F2040201F", "W": "3F4038403F",
    "X": "6314081463", "Y": "0708700807", "Z": "6151494543",
}  # fmt: skip


@attrs.frozen(kw_only=True)
class VerificationCode:
    """A verification code: the link it leads to, and the label that stands below it.

    Args:
        link: Of KOD I (`verification_link`) or KOD II (`certificate_link`).
        label: The KSeF number, ``OFFLINE`` while there is none, or ``CERTYFIKAT`` for KOD II.

    Raises:
        LocalProtocolError: The label has other characters than A to Z, digits, ``-`` and blanks.
    """

    link: str
    label: str

    def __attrs_post_init__(self) -> None:
        if not self.label or not set(self.label) <= _LETTERS.keys():
            raise LocalProtocolError(f"{self.label[:60]!r} cannot be a label: A to Z, digits, '-' and blanks.")

    @classmethod
    def of_invoice(
        cls, invoice: bytes | InvoiceFingerprint, environment: Environment, *, ksef_number: str | None = None
    ) -> Self:
        """Return KOD I of an invoice.

        Args:
            invoice: The file exactly as it is sent; or what is known of it.
            environment: Where it is sent.
            ksef_number: None while it has none; the label is ``OFFLINE`` then.

        Raises:
            LocalProtocolError: The file cannot be read, or ``ksef_number`` has characters that no number has.
        """
        return cls(link=verification_link(invoice, environment), label=ksef_number or "OFFLINE")

    @classmethod
    def of_certificate(cls, link: str) -> Self:
        """Return KOD II, from its link (`certificate_link`)."""
        return cls(link=link, label="CERTYFIKAT")

    @property
    def version(self) -> int:
        """The size of the code by ISO/IEC 18004: ``17 + 4 * version`` modules a side.

        Raises:
            LocalProtocolError: segno is not installed, or the link is too long.
        """
        return (len(self._code().matrix) - 17) // 4

    def svg(self) -> str:
        """Return the picture as SVG, one unit a module, with the label as text.

        Raises:
            LocalProtocolError: segno is not installed, or the link is too long.
        """
        matrix = self._code().matrix
        side = len(matrix) + 2 * _QUIET
        dark = "".join(
            f"M{start + _QUIET} {row + _QUIET}h{end - start}v1h-{end - start}z"
            for row, modules in enumerate(matrix)
            for start, end in _runs(modules)
        )
        # A letter of a typewriter font is 0.6 as wide as high.
        size = min(4.0, (side - 2) / (0.62 * len(self.label)))
        height = side + _LABEL_HEIGHT - _QUIET / 2
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {height:g}" role="img" '
            f'aria-label="{escape(self.label)}">'
            f"<title>{escape(self.link)}</title>"
            f'<path fill="#fff" d="M0 0h{side}v{height:g}h-{side}z"/>'
            f'<path fill="#000" shape-rendering="crispEdges" d="{dark}"/>'
            f'<text x="{side / 2:g}" y="{side + 1:g}" font-family="DejaVu Sans Mono, monospace" font-size="{size:.3g}" '
            f'text-anchor="middle">{escape(self.label)}</text></svg>'
        )

    def png(self, scale: int = 10) -> bytes:
        """Return the picture as PNG, black and white.

        Args:
            scale: Pixels a side of a module, 1 to 100. From 5 on the longest label fits below the smallest code.

        Raises:
            LocalProtocolError: segno is not installed, the link is too long, or the scale is out of range.
        """
        if not 1 <= scale <= _LARGEST_SCALE:
            raise LocalProtocolError(f"A module has 1 to {_LARGEST_SCALE} pixels a side, not {scale}.")
        code = [[bool(module) for module in row] for row in self._code().matrix]
        label = _letters(self.label)
        side = (len(code) + 2 * _QUIET) * scale
        # As large as fits, for it is read by people; but no headline.
        letter_scale = max(1, min((side - 2 * scale) // len(label[0]), scale * 2 // 5))
        width = max(side, len(label[0]) * letter_scale + 2 * scale)
        rows = [
            *_empty(_QUIET * scale),
            *_scaled(code, scale),
            *_empty(2 * scale),
            *_scaled(label, letter_scale),
            *_empty(2 * scale),
        ]
        return _png([_centred(row, width) for row in rows], width)

    def _code(self) -> QRCode:
        try:
            import segno
        except ModuleNotFoundError:
            message = "A picture of a verification code needs segno; install ksef_async with the extra 'qr'."
            raise LocalProtocolError(message) from None
        try:
            return segno.make_qr(self.link, error="m", boost_error=False)
        except segno.DataOverflowError:
            raise LocalProtocolError(f"A link of {len(self.link):,} characters fits no QR code.") from None


def _runs(modules: Sequence[int]) -> list[tuple[int, int]]:
    """The dark stretches of a row: where each starts, and where it is over."""
    edges = [0, *(int(bool(module)) for module in modules), 0]
    changes = [place for place in range(len(edges) - 1) if edges[place] != edges[place + 1]]
    return list(zip(changes[::2], changes[1::2], strict=True))


def _letters(text: str) -> list[list[bool]]:
    """The rows of a text, its letters one column apart."""
    columns: list[int] = []
    for letter in text:
        columns += [*bytes.fromhex(_LETTERS[letter]), 0]
    return [[bool(column >> row & 1) for column in columns[:-1]] for row in range(_HEIGHT)]


def _empty(count: int) -> list[list[bool]]:
    return [[]] * count


def _scaled(rows: Sequence[Sequence[bool]], scale: int) -> list[list[bool]]:
    return [[pixel for pixel in row for _ in range(scale)] for row in rows for _ in range(scale)]


def _centred(row: list[bool], width: int) -> list[bool]:
    left = (width - len(row)) // 2
    return [*[False] * left, *row, *[False] * (width - len(row) - left)]


def _png(rows: Sequence[Sequence[bool]], width: int) -> bytes:
    """A PNG of one bit a pixel; True is black."""
    lines = bytearray()
    for row in rows:
        bits = "".join("0" if pixel else "1" for pixel in row).ljust((width + 7) // 8 * 8, "1")
        lines += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    header = struct.pack(">IIBBBBB", width, len(rows), 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(lines), 9)), (b"IEND", b""))
    )
