"""A user's function between two tables: pandas in, pandas out, exact both ways.

Columns come as pandas' Arrow types: integers with nulls stay integers, decimals keep
their digits, dates stay dates. What comes back may have any type that Arrow knows.
"""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pandas as pd
import pyarrow as pa

from boe_reconciler.core.errors import Permanent
from boe_reconciler.core.ports import Code

BATCH_ROWS = 16_384
#: The module that the user's file becomes: no library is called so.
_MODULE = "boe_transform"
#: So many of the user's own lines are told, the last ones.
_FRAMES = 3


def transformed(code: Code, table: pa.Table, sheet: str) -> pa.Table:
    """What the function makes of the rows. Permanent `transform_failed`."""
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    del table
    frame.attrs["sheet"] = sheet
    try:
        result = _function(code)(frame)
    except MemoryError:
        raise
    except BaseException as error:  # sys.exit() as well
        raise _failed(_told(code, error)) from None
    return _table(code, result)


def _function(code: Code) -> Callable[[pd.DataFrame], Any]:
    module = ModuleType(_MODULE)
    module.__file__ = code.path
    sys.modules[_MODULE] = module
    lines = code.text.splitlines(keepends=True)
    linecache.cache[code.path] = (len(code.text), None, lines, code.path)
    exec(compile(code.text, code.path, "exec"), module.__dict__)  # noqa: S102 what this is for
    function: Callable[[pd.DataFrame], Any] = getattr(module, code.function)
    return function


def _told(code: Code, error: BaseException) -> str:
    """The user's own lines on the way to the error, and the error itself."""
    own = [
        f"{code.path}:{frame.lineno} in {frame.name}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == code.path
    ]
    said = "".join(traceback.format_exception_only(error)).strip()
    return "\n".join([f"{code.name} failed:", *own[-_FRAMES:], said])


def _failed(message: str) -> Permanent:
    return Permanent(
        "transform_failed",
        message,
        "Mend the transform, then run `boe rerun` for this run.",
    )


# --- Back to Arrow ------------------------------------------------------------------


def _table(code: Code, result: object) -> pa.Table:
    if not isinstance(result, pd.DataFrame):
        kind = type(result).__name__
        raise _failed(f"{code.name} returned a {kind}, not a DataFrame.")
    try:
        return _as_arrow(_with_index(result))
    except (pa.ArrowException, ValueError, TypeError) as error:
        said = str(error.args[0]) if error.args else type(error).__name__
        column = f" {error.args[1]}" if len(error.args) > 1 else ""
        raise _failed(
            f"What {code.name} returned cannot become a table: {said}{column}."
        ) from None


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """What groupby() puts into the index are columns of the report; row numbers are not."""
    named = any(name is not None for name in frame.index.names)
    return frame.reset_index() if named else frame


def _as_arrow(frame: pd.DataFrame) -> pa.Table:
    if isinstance(frame.columns, pd.MultiIndex):
        raise ValueError("its columns have several levels")
    if not len(frame.columns):
        raise ValueError("it has no columns")
    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise ValueError(f"it has two columns named {twice[0]!r}")
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.replace_schema_metadata(None)
