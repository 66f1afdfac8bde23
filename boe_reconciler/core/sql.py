"""Reading a query just enough: its parameters, and that it is one that only reads.

A small lexer knows strings, quoted names, comments and dollar quotes; it needs no
import, so `boe validate` can afford it for every query. The database's own parser
has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from boe_reconciler.core.language.suggest import closest
from boe_reconciler.core.language.texts import TextFinding
from boe_reconciler.core.records import dataclass

#: Space and comments, then a token (or the end): what most tokens are stands first.
_TOKEN = re.compile(
    r"""
    (?:\s+|--[^\n]*|/\*.*?\*/)*+
    ( (?![eE]')[^\W\d][\w$]*
    | [,()=.*<>+]
    | \d[\w.]*
    | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    | "(?:[^"]|"")*" | `[^`]*`
    | /\*|'|"|`|\$(?:[^\W\d]\w*)?\$
    | ::|:=
    | (?<![\w)\]}'"`:]):[^\W\d]\w*
    | \$\w+|\?\d*
    | .
    | \Z
    )
    """,
    re.VERBOSE | re.DOTALL,
)
#: What a token is, by its text alone.
_WORD = r"[^\W\d][\w$]*"
_PARAMETER = r":[^\W\d]\w*"
_FOREIGN = r"\$\w+|\?\d*"
_DOLLAR_QUOTE = r"\$(?:[^\W\d]\w*)?\$"

#: The dialects by a Connection's type.
DIALECTS = {"duckdb": "duckdb", "sqlite": "sqlite", "postgres": "postgres", "sql": ""}
_READS = ("select", "with", "values")
_FIRST_WORDS = {
    "duckdb": [
        "select",
        "with",
        "values",
        "from",
        "table",
        "describe",
        "summarize",
        "show",
        "unpivot",
    ],
    "sqlite": ["select", "with", "values"],
    "postgres": ["select", "with", "values", "table"],
}
_WRITES = frozenset({"insert", "update", "delete", "merge"})
_MAY_WRITE = _WRITES | {"into"}
_NEEDS_MORE = frozenset(
    [
        "from",
        "where",
        "by",
        "and",
        "or",
        "not",
        "on",
        "join",
        "having",
        "like",
        "=",
        "<",
        ">",
        "+",
    ]
)
_BEGINS_ANEW = frozenset(
    ["from", "where", "group", "order", "having", "union", "limit", ")"]
)
_QUOTES = {"'": "quote", '"': "double quote", "`": "backquote", "/*": "comment"}


class Token(NamedTuple):
    text: str
    offset: int


def _words(text: str) -> list[str]:
    """The tokens of a query, without space and comments, as texts."""
    return [found for found, _ in _TOKEN.findall(text) if found]


def _tokens(text: str) -> Iterator[Token]:
    """The same, each with its place."""
    for found in _TOKEN.finditer(text):
        if found[1]:
            yield Token(found[1], found.start(1))


def parameters(text: str) -> list[Token]:
    """Each place where the query uses a parameter; `text` is `:name`."""
    return [token for token in _tokens(text) if re.fullmatch(_PARAMETER, token.text)]


# --- Binding ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bound:
    #: The query with the backend's own placeholders.
    text: str
    #: The parameters it uses, each once, in the order of first use.
    names: tuple[str, ...]


def bind(text: str, placeholder: Callable[[str, int], str]) -> Bound:
    """Replace each `:name`; `placeholder` gets the name and its number from 1."""
    numbers: dict[str, int] = {}
    pieces: list[str] = []
    end = 0
    for token in parameters(text):
        name = token.text[1:]
        number = numbers.setdefault(name, len(numbers) + 1)
        pieces += [text[end : token.offset], placeholder(name, number)]
        end = token.offset + len(token.text)
    return Bound("".join(pieces) + text[end:], tuple(numbers))


def bare(text: str) -> str:
    """One statement without the semicolons that end it, to stand inside another."""
    ends = (token.offset for token in _tokens(text) if token.text == ";")
    return text[: next(ends, None)]


# --- Checking -----------------------------------------------------------------


#: What is wrong with a query: the number of the token, a code, a detail, and what to do.
_Wrong = tuple[int, str, str, str]


def check(text: str, *, dialect: str, declared: Collection[str]) -> list[TextFinding]:
    """What is wrong with a query; `dialect` is one of `DIALECTS`'s values."""
    found = _words(text)
    while found and found[-1] == ";":
        found.pop()
    if not found:
        return [TextFinding(code="BOE200", detail="the query is empty")]
    wrong = [*_wrong(text, found, dialect, declared)]
    tokens = [*_tokens(text)] if wrong else []
    return [_at(tokens[number], *told) for number, *told in wrong]


def unused(texts: Iterable[str], declared: Collection[str]) -> list[str]:
    """Declared parameters that none of a Report's queries uses."""
    if not declared:
        return []
    used = {word for text in texts for word in _words(text)}
    return [name for name in declared if f":{name}" not in used]


def _at(token: Token, code: str, detail: str, todo: str) -> TextFinding:
    return TextFinding(
        code=code,
        detail=detail,
        help=todo,
        offset=token.offset,
        length=len(token.text),
    )


def _wrong(
    text: str, found: list[str], dialect: str, declared: Collection[str]
) -> Iterator[_Wrong]:
    """Most rules are about signs that few queries have."""
    small = [*map(str.lower, found)]
    if ";" in text and ";" in found:
        yield from _not_one_statement(found)
    yield from _not_reading(found, small, dialect)
    yield from _unbalanced(found)
    yield from _gaps(found, small)
    if "$" in text or "?" in text:
        yield from _placeholders(found, dialect)
    if ":" in text:
        yield from _undeclared(found, declared)


def _not_one_statement(found: list[str]) -> Iterator[_Wrong]:
    detail = "a second statement begins here"
    yield found.index(";") + 1, "BOE201", detail, "a query is one statement"


def _not_reading(found: list[str], small: list[str], dialect: str) -> Iterator[_Wrong]:
    number = 0
    if found[0] == "(":
        number = next((n for n, word in enumerate(found) if word != "("), 0)
    allowed = _FIRST_WORDS.get(dialect, _READS)
    if small[number] not in allowed:
        first = found[number]
        guess = closest(first, allowed) if re.fullmatch(_WORD, first) else None
        todo = f"did you mean {guess}?" if guess else "begin with select or with"
        detail = f"a report's query only reads, but this begins with {first!r}"
        yield number, "BOE202", detail, todo
        return
    if _MAY_WRITE.isdisjoint(small):
        return
    for number, (before, word) in enumerate(pairwise(small), start=1):
        if word == "into" or (word in _WRITES and before in ("(", ")")):
            detail = f"a report's query only reads, but {found[number]!r} would write"
            yield number, "BOE203", detail, "leave the change out of the query"


def _unbalanced(found: list[str]) -> Iterator[_Wrong]:
    opened: list[int] = []
    for number, word in enumerate(found):
        if word == "(":
            opened.append(number)
        elif word == ")":
            if not opened:
                yield number, "BOE206", "this parenthesis closes nothing", ""
                return
            opened.pop()
        elif word in _QUOTES or (word[0] == "$" and re.fullmatch(_DOLLAR_QUOTE, word)):
            what = _QUOTES.get(word, "dollar quote")
            yield number, "BOE206", f"this {what} is never closed", ""
            return
    if opened:
        yield opened[-1], "BOE206", "this parenthesis is never closed", ""


def _gaps(found: list[str], small: list[str]) -> Iterator[_Wrong]:
    for number, (before, word) in enumerate(pairwise(small), start=1):
        if before in _NEEDS_MORE and word in _BEGINS_ANEW:
            left, right = found[number - 1 : number + 1]
            detail = f"something is missing between {left} and {right}"
            yield number, "BOE208", detail, ""
    if small[-1] in _NEEDS_MORE:
        detail = f"the query ends after {found[-1]}"
        yield len(found) - 1, "BOE208", detail, ""


def _placeholders(found: list[str], dialect: str) -> Iterator[_Wrong]:
    for number, word in enumerate(found):
        operator = word == "?" and dialect == "postgres"  # jsonb ? 'key'
        if word[0] in "$?" and re.fullmatch(_FOREIGN, word) and not operator:
            detail = f"{word} is a placeholder of another kind"
            yield number, "BOE207", detail, "write parameters as :name"


def _undeclared(found: list[str], declared: Collection[str]) -> Iterator[_Wrong]:
    for number, word in enumerate(found):
        name = word[1:]
        if word[0] == ":" and re.fullmatch(_PARAMETER, word) and name not in declared:
            guess = closest(name, declared)
            todo = f"did you mean :{guess}?" if guess else f"add {name} to parameters"
            yield number, "BOE204", f"the parameter :{name} is not declared", todo
