"""Which tables a query reads, for people: by sqlglot, which is loaded for this alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import takewhile
from typing import TYPE_CHECKING

from boe_reconciler.core.sql import bind

if TYPE_CHECKING:
    from sqlglot import exp

#: A longer query is not looked at: reading takes about 10 ms for 1,000 characters.
LONGEST = 50_000
#: Characters of a function's call that are told.
_SHOWN = 80
#: Where the names of tables have no case, even in quotes.
_NO_CASE = ("duckdb", "sqlite", "tsql")
#: They make rows of what they are given, and read nothing.
_GENERATORS = frozenset(
    [
        "generate_series",
        "generate_subscripts",
        "json_array_elements",
        "json_array_elements_text",
        "json_each",
        "json_object_keys",
        "json_to_recordset",
        "json_tree",
        "jsonb_array_elements",
        "jsonb_each",
        "jsonb_to_recordset",
        "range",
        "regexp_matches",
        "regexp_split_to_table",
        "repeat_row",
        "string_split",
        "unnest",
    ]
)


class Unreadable(Exception):
    """Why it cannot be said what a query reads."""


def tables_of(text: str, dialect: str) -> frozenset[str]:
    """The tables, files and functions that a query reads from, each once.

    Names in the case that the database knows them by, parts joined by dots; names that
    the query gives itself are left out. `dialect` as sqlglot calls it; one that it does
    not know is read as common SQL.
    """
    if len(text) > LONGEST:
        raise Unreadable(f"it has more than {LONGEST:,} characters")
    from sqlglot import exp  # noqa: PLC0415 half a second, for a changed query only

    return frozenset(
        _told(table, dialect)
        for tree in _trees(text, dialect)
        for table in tree.find_all(exp.Table)
        if not _is_own(table, dialect) and not _is_generator(table, dialect)
    )


def _trees(text: str, dialect: str) -> list[exp.Expr]:
    import sqlglot  # noqa: PLC0415 as above

    # It logs what it raises, or gives back as a command.
    sqlglot.parser.logger.setLevel("CRITICAL")
    read = dialect if _knows(dialect) else ""
    try:
        found = sqlglot.parse(_in_its_own(text, dialect), read=read)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    except Exception as error:
        raise Unreadable(_reason(error)) from None
    trees = [tree for tree in found if tree is not None]
    if any(isinstance(tree, sqlglot.exp.Command) for tree in trees):
        raise Unreadable("it is not a query that can be taken apart")
    return trees


@cache
def _knows(dialect: str) -> bool:
    import sqlglot  # noqa: PLC0415 as above

    return sqlglot.Dialect.get(dialect) is not None


def _in_its_own(text: str, dialect: str) -> str:
    """Parameters as the dialect writes them."""
    sign = "$" if dialect == "duckdb" else ":"
    return bind(text, lambda name, _: sign + name).text


def _reason(error: Exception) -> str:
    errors = getattr(error, "errors", None)
    if not errors:
        return "sqlglot cannot take it apart"
    found = errors[0]
    return f"sqlglot stops in line {found.get('line')}, column {found.get('col')}"


# --- One table ----------------------------------------------------------------


def _told(table: exp.Table, dialect: str) -> str:
    from sqlglot import exp  # noqa: PLC0415 as above

    parts = [_part(part, dialect) for part in table.parts]
    if dialect in _NO_CASE and len(parts) > 1 and parts[-2] == "main":
        del parts[-2]
    if isinstance(table.this, exp.Identifier):
        return ".".join(parts)
    return ".".join([*parts[:-1], _call(table.this, dialect)])


def _part(part: exp.Expr, dialect: str) -> str:
    if not part.args.get("quoted"):
        return part.name.lower()
    # A file may stand where a table does: from 'orders/2026.parquet'.
    is_file = any(sign in part.name for sign in "/.")
    return part.name.lower() if dialect in _NO_CASE and not is_file else part.name


def _call(function: exp.Expr, dialect: str) -> str:
    name, rest = _name_and_rest(function, dialect)
    text = f"{name}({rest}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _name_and_rest(function: exp.Expr, dialect: str) -> tuple[str, str]:
    text = function.transform(_as_written).sql(dialect if _knows(dialect) else "")
    name, _, rest = text.partition("(")
    return name.lower(), rest


def _as_written(node: exp.Expr) -> exp.Expr:
    """A parameter as it stands in the Report."""
    from sqlglot import exp  # noqa: PLC0415 as above

    is_parameter = isinstance(node, exp.Placeholder | exp.Parameter)
    return exp.Var(this=f":{node.name}") if is_parameter else node


def _is_generator(table: exp.Table, dialect: str) -> bool:
    from sqlglot import exp  # noqa: PLC0415 as above

    called = isinstance(table.this, exp.Func)
    return called and _name_and_rest(table.this, dialect)[0] in _GENERATORS


# --- Names that the query gives itself ----------------------------------------


def _is_own(table: exp.Table, dialect: str) -> bool:
    """Whether its name stands for a part of a `with` that it can see."""
    if len(table.parts) > 1:
        return False
    name = _part(table.this, dialect)
    return any(
        _part(one.args["alias"].this, dialect) == name for one in _seen(table, dialect)
    )


def _seen(table: exp.Expr, dialect: str) -> Iterator[exp.CTE]:
    from sqlglot import exp  # noqa: PLC0415 as above

    inner, outer = table, table.parent
    while outer is not None:
        if isinstance(outer, exp.With):
            # `with orders as (select … from orders)` reads the table of that name.
            every = outer.recursive or dialect == "sqlite"
            yield from outer.expressions if every else _before(inner, outer)
        elif not isinstance(inner, exp.With):
            yield from (
                part
                for clause in outer.args.values()
                if isinstance(clause, exp.With)
                for part in clause.expressions
            )
        inner, outer = outer, outer.parent


def _before(part: exp.Expr, clause: exp.With) -> Iterator[exp.CTE]:
    return takewhile(lambda one: one is not part, clause.expressions)
