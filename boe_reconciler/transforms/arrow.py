"""Arrow without pandas."""

from __future__ import annotations

import sys

import pyarrow as pa


class _NoPandas:
    """An import hook under which pandas is not to be had."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ImportError(name)


def keep_pandas_out() -> None:
    """Let Arrow know that nobody here hands it anything of pandas.

    Arrow imports pandas, a second and 60 MB, at the first value that it converts,
    only to ask whether that is a Series. It asks once; whoever needs pandas later
    can import it all the same.
    """
    refusal = _NoPandas()
    sys.meta_path.insert(0, refusal)
    try:
        pa.array([0]).to_numpy()
    finally:
        sys.meta_path.remove(refusal)
