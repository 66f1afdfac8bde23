"""A user's function between two tables: pandas in, pandas out, exact both ways.

Integers with nulls stay integers, decimals keep their digits, dates stay dates: see
`_dtype`. What comes back may have any type that Arrow knows.
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
    frame = table.to_pandas(types_mapper=_dtype)
    del table
    frame.attrs["sheet"] = sheet
    try:
        result = _function(code)(frame)
    except MemoryError:
        raise
    except BaseException as error:  # sys.exit() as well
        raise _failed(_told(code, error)) from None
    return _table(code, result)


#: Types of pandas itself, which know nulls and all of its arithmetic.
_OWN = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
    pa.string(): pd.StringDtype("pyarrow"),
    pa.large_string(): pd.StringDtype("pyarrow"),
}


def _dtype(kind: pa.DataType) -> Any:
    """What a column of Arrow is in the DataFrame; None: as numpy has it.

    Floats and timestamps are numpy's, with NaN and NaT for null. What pandas has no
    exact type for (decimals, dates, lists, …) keeps Arrow's, as `pd.ArrowDtype`.
    """
    types = pa.types
    numpy = (types.is_floating, types.is_timestamp, types.is_duration)
    if any(fits(kind) for fits in numpy) or types.is_dictionary(kind):
        return None
    return _OWN.get(kind) or pd.ArrowDtype(kind)


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
