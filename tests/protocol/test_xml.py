from __future__ import annotations

from encodings.aliases import aliases

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ksef_async.protocol.xml import ET, local_name, parse_xml

BOMB = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><b>&b;</b>'  # the first step of a billion


@pytest.mark.parametrize(
    ("document", "said"),
    [
        pytest.param(BOMB.encode(), "DTD", id="entity bomb"),
        pytest.param(b"<!DOCTYPE a><a/>", "DTD", id="empty dtd"),
        pytest.param(b'<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>', "DTD", id="external dtd"),
        pytest.param(b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "DTD", id="external entity"),
        pytest.param(b"<a>&x;</a>", "not well-formed", id="undeclared entity"),
        pytest.param(b"<?php 1?><a/>", "processing instruction", id="instruction before the root"),
        pytest.param(b"<a><?php 1?></a>", "processing instruction", id="instruction inside"),
        pytest.param(b"<a/><?php 1?>", "processing instruction", id="instruction after the root"),
        pytest.param(b"<a><b></a>", "not well-formed", id="unbalanced"),
        pytest.param(b"<a/><b/>", "not well-formed", id="two roots"),
        pytest.param(b"", "not well-formed", id="empty"),
        pytest.param(b"<a>\xff</a>", "not well-formed", id="not utf-8"),
        pytest.param(b"<a>\x01</a>", "not well-formed", id="control character"),
        pytest.param(b'<?xml version="1.0" encoding="klingon"?><a/>', "not well-formed", id="unknown encoding"),
        pytest.param(b'<?xml version="1.0" encoding="utf-16"?><a/>', "not well-formed", id="not as declared"),
        pytest.param(b'<?xml version="1.0" encoding="cp932"?><a/>', "multi-byte", id="multi-byte encoding"),
    ],
)
def test_document_is_refused(document: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_xml(document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param('<?xml version="1.0" encoding="UTF-8"?><a>ż</a>'.encode(), id="utf-8"),
        pytest.param("<a>ż</a>".encode(), id="no prolog"),
        pytest.param("\ufeff<a>ż</a>".encode(), id="byte order mark"),
        pytest.param('<?xml version="1.0" encoding="iso-8859-2"?><a>ż</a>'.encode("iso-8859-2"), id="iso-8859-2"),
        pytest.param("<a>ż</a>".encode("utf-16"), id="utf-16"),
        pytest.param("<!-- c --><a><![CDATA[ż]]></a>".encode(), id="comment and cdata"),
        pytest.param(b"<a>&#380;</a>", id="character reference"),
    ],
)
def test_document_is_read(document: bytes) -> None:
    assert parse_xml(document).text == "ż"


@pytest.mark.parametrize("refused", [BOMB, "<a><?php 1?></a>"], ids=["dtd", "instruction"])
def test_no_encoding_hides_what_is_refused(refused: str) -> None:
    for encoding in {*aliases.values()}:
        head = f'<?xml version="1.0" encoding="{encoding}"?>'
        for text in (refused, head + refused):
            try:
                document = text.encode(encoding)
            except (LookupError, UnicodeError, TypeError, AssertionError):
                continue  # No encoding of text, or none of these characters.
            for tried in (document, head.encode() + document):
                with pytest.raises(ValueError, match=r"DTD|processing instruction|not well-formed|multi-byte|encoding"):
                    parse_xml(tried)


PIECES = ["<?xml version='1.0'?>", "<?xml\n version='1.0'?>", "<?xml-x?>", "<?x y?>", "<!DOCTYPE a>", "<!-- <?x?> -->"]
PIECES += [
    "<a>",
    "</a>",
    "<a/>",
    "?>",
    "<?xml ",
    "<![CDATA[<!DOCTYPE a>]]>",
    "<!doctype a>",
    "<b c='<?'/>",
    " ",
    "x",
    "\ufeff",
    "\0",
]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.sampled_from(["utf-8", "utf-16", "utf-16-le"]))
@example("<a/>", "utf-8")
@example("<?xml version='1.0'?><a><?x y?></a>", "utf-8")
@example("<?xml-x?><a/>", "utf-8")
def test_same_is_refused_whichever_way_it_is_read(text: str, encoding: str) -> None:
    def outcome(*take: object) -> tuple[str, object]:
        try:
            return "read", ET.tostring(parse_xml(text.encode(encoding), *take))  # type: ignore[arg-type]
        except ValueError as error:
            return "refused", str(error)

    assert outcome() == outcome(lambda _root, _child: False)


def test_deep_nesting_does_not_overflow_the_stack() -> None:
    root = parse_xml(b"<a>" * 20_000 + b"</a>" * 20_000)

    assert sum(1 for _ in root.iter()) == 20_000


def test_children_of_the_root_are_taken_one_by_one() -> None:
    taken: list[tuple[str, str | None]] = []

    def take(root: ET.Element, child: ET.Element) -> bool:
        assert root.tag == "root"
        if child.tag != "row":
            return False
        taken.append((child.attrib["n"], child.findtext("row")))
        return True

    rows = "".join(f"<row n='{n}'><row>{'x' * 1_000}{n}</row></row> " for n in range(3_000))
    root = parse_xml(f"<root>a<head/>b{rows}c<tail><row n='inside'/></tail></root>".encode(), take)

    assert taken == [(f"{n}", f"{'x' * 1_000}{n}") for n in range(3_000)]
    assert [child.tag for child in root] == ["head", "tail"]
    assert root.text == "a"


@pytest.mark.parametrize("document", [b"<a/>", b'<a xmlns="urn:x"/>', b'<p:a xmlns:p="urn:x"/>'])
def test_local_name(document: bytes) -> None:
    assert local_name(parse_xml(document)) == "a"
