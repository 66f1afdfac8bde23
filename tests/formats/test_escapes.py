"""What is escaped is read back as it was, by a reader of XML."""

from __future__ import annotations

from xml.etree import ElementTree
from xml.sax import saxutils

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.formats.xlsx.escapes import escape, quoteattr

TEXTS = st.text(st.sampled_from("ab &<>\"'\n\r\té€]"))


@given(TEXTS)
def test_text_and_values_are_read_back(text: str) -> None:
    value = ElementTree.fromstring(f"<a b={quoteattr(text)}/>").attrib["b"]
    assert value == text
    assert escape(text) == saxutils.escape(text)


@pytest.mark.parametrize("text", ["]]>", "&amp;", "&#10;", '0.00" \'"', ""])
def test_what_looks_like_xml_is_read_back(text: str) -> None:
    read = ElementTree.fromstring(f"<a b={quoteattr(text)}>{escape(text)}</a>")
    assert (read.attrib["b"], read.text or "") == (text, text)
