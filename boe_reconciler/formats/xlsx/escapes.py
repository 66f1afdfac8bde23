"""Text within XML. `xml.sax.saxutils` does the same, and loads all of HTTP and mail."""

from __future__ import annotations

_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
#: A reader makes blanks of line ends and tabs that stand as they are.
_VALUE = _TEXT | str.maketrans(
    {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
)


def escape(text: str) -> str:
    return text.translate(_TEXT)


def quoteattr(value: str) -> str:
    """An attribute's value, with the quotes around it."""
    return f'"{value.translate(_VALUE)}"'
