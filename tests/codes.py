"""Reading verification codes as anybody else does: PNG by Pillow, SVG by what it draws, QR codes by zxing-cpp."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree as ET

import zxingcpp
from PIL import Image, ImageDraw

SVG = "{http://www.w3.org/2000/svg}"
# Other formats are found in the pattern of a QR code by chance.
QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_RUN = re.compile(r"M(\d+) (\d+)h(\d+)v1h-\3z")


def decode_png(png: bytes) -> list[str]:
    """What the QR codes in a PNG say."""
    image = Image.open(io.BytesIO(png))
    image.load()
    return [found.text for found in zxingcpp.read_barcodes(image, formats=QR)]


def decode_svg(svg: str, scale: int = 4) -> list[str]:
    """What the QR codes in an SVG say, drawn from its rectangles."""
    root = ET.fromstring(svg)
    width, height = (float(each) for each in root.attrib["viewBox"].split()[2:])
    image = Image.new("L", (int(width * scale), int(height * scale)), "white")
    draw = ImageDraw.Draw(image)
    path = root.findall(f"{SVG}path")[1].attrib["d"]
    runs = [tuple(map(int, run.groups())) for run in _RUN.finditer(path)]
    assert _RUN.sub("", path) == ""
    for left, top, length in runs:
        corners = (left * scale, top * scale, (left + length) * scale - 1, (top + 1) * scale - 1)
        draw.rectangle(corners, "black")
    return [found.text for found in zxingcpp.read_barcodes(image, formats=QR)]
