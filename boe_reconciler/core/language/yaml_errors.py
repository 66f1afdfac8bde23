"""What libyaml says of text that it cannot read, in words for the one who wrote it."""

from __future__ import annotations

import re
from dataclasses import replace

import yaml

from boe_reconciler.core.records import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """A mistake in the text of a file, by offsets."""

    code: str
    detail: str
    help: str
    start: int
    end: int
    #: Up to where the text was read: the next `---` is looked for from here.
    seen: int


#: (words of libyaml, code, what is wrong, what to do), the first that fits.
_WORDS = (
    (
        "found a tab character",
        "BOE006",
        "a tab stands where spaces belong",
        "indent with spaces",
    ),
    (
        "mapping values are not allowed",
        "BOE009",
        'a second ": " in one value, or a line with the wrong indentation',
        "put text that holds a colon in quotes, and line up the keys of a map",
    ),
    (
        "could not find expected ':'",
        "BOE009",
        "a key has no colon behind it",
        "write `key: value`, with a space after the colon",
    ),
    (
        "found unknown escape character",
        "BOE005",
        "a backslash in double quotes starts an escape, and this one is not known",
        "use single quotes, or double the backslash",
    ),
    (
        "found unexpected end of stream",
        "BOE005",
        "the quote that opens here is never closed",
        "close it",
    ),
    (
        "found unexpected document indicator",
        "BOE005",
        "the quote that opens here is not closed before the next ---",
        "close it",
    ),
    (
        "block sequence entries are not allowed",
        "BOE005",
        "a list cannot start behind its key",
        "begin it on a line of its own, or write [a, b]",
    ),
    (
        "did not find expected ',' or ']'",
        "BOE005",
        "the [ that opens here is not closed, or a comma is missing in it",
        "close it with ], and put a comma between its values",
    ),
    (
        "did not find expected ',' or '}'",
        "BOE005",
        "the { that opens here is not closed, or a comma is missing in it",
        "close it with }, and put a comma between its fields",
    ),
    (
        "did not find expected node content",
        "BOE005",
        "a value is missing here, or a bracket is not closed",
        "complete it",
    ),
    (
        "did not find expected key",
        "BOE005",
        "this line does not continue the map above it",
        "line it up with the map's other keys; quote text after a closing quote",
    ),
    (
        "did not find expected '-' indicator",
        "BOE005",
        "this line does not continue the list above it",
        "line it up with the list's other entries",
    ),
)
#: Mistakes that libyaml notices late: they are shown where they began.
_SHOWN_AT_CONTEXT = (
    "found unexpected end of stream",
    "found unexpected document indicator",
    "found unknown escape character",
    "did not find expected ','",
    "could not find expected ':'",
)
_NO_SPACE = r"^[ \t]*(?:- +)?(\w[\w-]*):(?=[^\s:/\\])(.*)$"


def syntax_flaw(error: yaml.YAMLError, text: str, base: int) -> Flaw:
    """`base`: the offset in `text` from which libyaml read."""
    words = str(getattr(error, "problem", None) or error)
    problem = _offset(getattr(error, "problem_mark", None), base, len(text))
    context = _offset(getattr(error, "context_mark", None), base, problem)
    return (
        _forbidden_start(words, text, problem, context)
        or _template(text, problem)
        or _missing_space(words, text, problem)
        or _by_table(words, text, problem, context)
    )


def _offset(mark: yaml.Mark | None, base: int, otherwise: int) -> int:
    return otherwise if mark is None else min(base + mark.index, otherwise)


def _line_at(text: str, offset: int) -> tuple[int, str]:
    """(offset of the line's start, the line)."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    return start, re.split("[\r\n]", text[start:], maxsplit=1)[0]


def _value_at(text: str, offset: int) -> str:
    """The rest of the line, without a comment."""
    start, line = _line_at(text, offset)
    return re.split(r"\s#", line[offset - start :], maxsplit=1)[0].rstrip()


def _flaw(text: str, start: int, *, code: str, words: tuple[str, str]) -> Flaw:
    end = start + max(len(_value_at(text, start)), 1)
    detail, todo = words
    return Flaw(code=code, detail=detail, help=todo, start=start, end=end, seen=start)


def _forbidden_start(words: str, text: str, problem: int, context: int) -> Flaw | None:
    """A value that begins with a character which means something else in YAML."""
    alias = "alphabetic or numeric" in words
    if not alias and "cannot start any token" not in words:
        return None
    at = context if alias else problem
    sign = text[at : at + 1]
    if sign == "\t":
        told = ("a tab stands where spaces belong", "indent with spaces")
        return _flaw(text, at, code="BOE006", words=told)
    value = _value_at(text, at)
    quoted = f'"{value}"' if '"' not in value else f"'{value}'"
    told = (f"a value cannot begin with {sign} in YAML", f"put it in quotes: {quoted}")
    return _flaw(text, at, code="BOE007", words=told)


def _template(text: str, problem: int) -> Flaw | None:
    """`key: {{ x }} more`: the text behind a template without quotes."""
    start, line = _line_at(text, problem)
    found = re.search(r"[:\-\[,{]\s+(\{\{[^\"'}]*\}\})", line)
    if not found:
        return None
    at = start + found.start(1)
    told = (
        "a template without quotes reads as a map",
        'put it in quotes: "{{ … }}"',
    )
    return _flaw(text, at, code="BOE008", words=told)


def _missing_space(words: str, text: str, problem: int) -> Flaw | None:
    """`name:x` is plain text to YAML, and what follows it makes no sense then."""
    if "mapping values" not in words and "expected ':'" not in words:
        return None
    start, line = _line_at(text, problem)
    before, line_before = _line_at(text, max(start - 1, 0))
    for at, candidate in ((before, line_before), (start, line)):
        found = re.match(_NO_SPACE, candidate)
        if found and at + found.start(2) <= problem:
            told = (
                f'there is no space after the colon of "{found[1]}"',
                f"write {found[1]}: {found[2].strip()}",
            )
            return _flaw(text, at + found.start(1), code="BOE009", words=told)
    return None


def _by_table(words: str, text: str, problem: int, context: int) -> Flaw:
    late = any(said in words for said in _SHOWN_AT_CONTEXT)
    start = context if late else problem
    for said, code, detail, todo in _WORDS:
        if said in words:
            flaw = _flaw(text, start, code=code, words=(detail, todo))
            return replace(flaw, seen=problem)
    told = (f"YAML cannot be read here: {words}", "")
    return _flaw(text, start, code="BOE005", words=told)
