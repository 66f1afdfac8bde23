"""Reading a query just enough: its parameters, and that it is one that only reads.

A small lexer knows strings, quoted names, comments and dollar quotes; it needs no
import, so `boe validate` can afford it for every query. The database's own parser
has the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from boe_reconciler.core.language.suggest import closest
from boe_reconciler.core.language.texts import TextFinding
from boe_reconciler.core.records import dataclass

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<string>[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'
              | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
  | (?P<name>"(?:[^"]|"")*" | `[^`]*`)
  | (?P<open_quote>/\*|'|"|`|\$(?:[^\W\d]\w*)?\$)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<skip>::|:=)
  | (?P<parameter>(?<![\w)\]}'"`:]):[^\W\d]\w*)
  | (?P<foreign>\$\w+|\?\d*)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)

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
    kind: str
    text: str
    offset: int


@lru_cache(maxsize=256)
def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of a query, without space and comments."""
    found = _TOKEN.finditer(text)
    return tuple(
        Token(str(each.lastgroup), each[0], each.start())
        for each in found
        if each.lastgroup != "space"
    )


def parameters(text: str) -> list[Token]:
    """Each place where the query uses a parameter; `text` is `:name`."""
    return [token for token in tokens(text) if token.kind == "parameter"]


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
    ends = [token.offset for token in tokens(text) if token.text == ";"]
    return text[: ends[0]] if ends else text


# --- Checking -----------------------------------------------------------------


def check(text: str, *, dialect: str, declared: Collection[str]) -> list[TextFinding]:
    """What is wrong with a query; `dialect` is one of `DIALECTS`'s values."""
    found = [*tokens(text)]
    while found and found[-1].text == ";":
        found.pop()
    if not found:
        return [TextFinding(code="BOE200", detail="the query is empty")]
    return [
        *_not_one_statement(found),
        *_not_reading(found, dialect),
        *_unbalanced(found),
        *_gaps(found),
        *_placeholders(found, dialect),
        *_undeclared(found, declared),
    ]


def unused(texts: Iterable[str], declared: Iterable[str]) -> list[str]:
    """Declared parameters that none of a Report's queries uses."""
    used = {token.text[1:] for text in texts for token in parameters(text)}
    return [name for name in declared if name not in used]


def _at(token: Token, code: str, detail: str, todo: str = "") -> TextFinding:
    return TextFinding(
        code=code,
        detail=detail,
        help=todo,
        offset=token.offset,
        length=len(token.text),
    )


def _not_one_statement(found: list[Token]) -> Iterator[TextFinding]:
    for before, token in pairwise(found):
        if before.text == ";":
            detail = "a second statement begins here"
            yield _at(token, "BOE201", detail, "a query is one statement")
            return


def _not_reading(found: list[Token], dialect: str) -> Iterator[TextFinding]:
    first = next((token for token in found if token.text != "("), found[0])
    allowed = _FIRST_WORDS.get(dialect, _READS)
    if first.text.lower() not in allowed:
        guess = closest(first.text, allowed) if first.kind == "word" else None
        todo = f"did you mean {guess}?" if guess else "begin with select or with"
        detail = f"a report's query only reads, but this begins with {first.text!r}"
        yield _at(first, "BOE202", detail, todo)
        return
    for before, token in pairwise(found):
        word = token.text.lower()
        writes = word in _WRITES and before.text in ("(", ")")
        if token.kind == "word" and (writes or word == "into"):
            detail = f"a report's query only reads, but {token.text!r} would write"
            yield _at(token, "BOE203", detail, "leave the change out of the query")


def _unbalanced(found: list[Token]) -> Iterator[TextFinding]:
    opened: list[Token] = []
    for token in found:
        if token.kind == "open_quote":
            what = _QUOTES.get(token.text, "dollar quote")
            yield _at(token, "BOE206", f"this {what} is never closed")
            return
        if token.text == "(":
            opened.append(token)
        elif token.text == ")" and not opened:
            yield _at(token, "BOE206", "this parenthesis closes nothing")
            return
        elif token.text == ")":
            opened.pop()
    if opened:
        yield _at(opened[-1], "BOE206", "this parenthesis is never closed")


def _gaps(found: list[Token]) -> Iterator[TextFinding]:
    for before, token in pairwise(found):
        words = before.text.lower(), token.text.lower()
        if words[0] in _NEEDS_MORE and words[1] in _BEGINS_ANEW:
            detail = f"something is missing between {before.text} and {token.text}"
            yield _at(token, "BOE208", detail)
    if found[-1].text.lower() in _NEEDS_MORE:
        yield _at(found[-1], "BOE208", f"the query ends after {found[-1].text}")


def _placeholders(found: list[Token], dialect: str) -> Iterator[TextFinding]:
    for token in found:
        operator = token.text == "?" and dialect == "postgres"  # jsonb ? 'key'
        if token.kind == "foreign" and not operator:
            detail = f"{token.text} is a placeholder of another kind"
            yield _at(token, "BOE207", detail, "write parameters as :name")


def _undeclared(found: list[Token], declared: Collection[str]) -> Iterator[TextFinding]:
    for token in found:
        name = token.text[1:]
        if token.kind == "parameter" and name not in declared:
            guess = closest(name, declared)
            todo = f"did you mean :{guess}?" if guess else f"add {name} to parameters"
            yield _at(token, "BOE204", f"the parameter :{name} is not declared", todo)
