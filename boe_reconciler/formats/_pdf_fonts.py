"""Which font shows which character of a pdf.

Noto Sans (Latin, Greek, Cyrillic) and, for other signs, FiraGO are embedded; Chinese,
Japanese and Korean are drawn with the fonts that PDF readers bring along for them.
What needs joined or right-to-left script, and emoji, is shown as a box and counted.
"""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from functools import cached_property
from importlib import import_module

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont

REGULAR, BOLD, SIGNS = "NotoSans_Regular", "NotoSans_Bold", "FiraGO_Regular"
CHINESE, JAPANESE, KOREAN = "STSong-Light", "HeiseiKakuGo-W5", "HYGothic-Medium"
#: FiraGO has it.
BOX = "\u25af"
#: First and last character of the scripts that the readers' own fonts show.
KANA, HANGUL = (
    ((0x3040, 0x30FF),),
    ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
)
HAN = ((0x3000, 0x303F), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0xFF00, 0xFFEF))

Run = tuple[str, str]


class Fonts:
    """The fonts of one document. Loads a font once for the process."""

    def __init__(self) -> None:
        #: Characters that no font shows.
        self.missing: Counter[str] = Counter()
        self._glyphs = {name: embedded(name) for name in (REGULAR, BOLD)}

    @cached_property
    def _signs(self) -> frozenset[int]:
        return embedded(SIGNS)

    def runs(self, text: str, font: str = REGULAR) -> list[Run]:
        """The text as (font, part), in the order it is drawn."""
        if text.isascii() and text.isprintable():
            return [(font, text)]
        han = _han_font(text)
        runs: list[Run] = []
        for character in text:
            place, shown = self._place(character, font, han)
            if runs and runs[-1][0] == place:
                runs[-1] = (place, runs[-1][1] + shown)
            else:
                runs.append((place, shown))
        return runs

    def width(self, text: str, size: float, font: str = REGULAR) -> float:
        runs = self.runs(text, font)
        return float(sum(pdfmetrics.stringWidth(part, at, size) for at, part in runs))

    def _place(self, character: str, font: str, han: str) -> Run:
        code = ord(character)
        category = unicodedata.category(character)
        if category in ("Cf", "Cc"):
            return font, "" if category == "Cf" else " "
        if code in self._glyphs[font]:
            return font, character
        if _within(code, HANGUL):
            return _reader_font(KOREAN), character
        if _within(code, KANA + HAN):
            return _reader_font(han), character
        if code in self._signs and not _right_to_left(character):
            return SIGNS, character
        self.missing[character] += 1
        return SIGNS, BOX


def embedded(name: str) -> frozenset[int]:
    """Register a packaged font under its name; the characters it has."""
    if name not in pdfmetrics.getRegisteredFontNames():
        data = import_module(f"pymupdf_fonts.{name}").fontbuffer
        pdfmetrics.registerFont(TTFont(name, io.BytesIO(data)))
    return frozenset(pdfmetrics.getFont(name).face.charToGlyph)


def _reader_font(name: str) -> str:
    if name not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(name))
    return name


def _han_font(text: str) -> str:
    """Han characters look as in the language that the rest of the text is in."""
    if any(_within(ord(character), KANA) for character in text):
        return JAPANESE
    if any(_within(ord(character), HANGUL) for character in text):
        return KOREAN
    return CHINESE


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def _right_to_left(character: str) -> bool:
    return unicodedata.bidirectional(character) in ("R", "AL")
