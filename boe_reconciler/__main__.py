"""`boe` and `python -m boe_reconciler`."""

from __future__ import annotations

import gc
import io
import sys


def main() -> None:
    # A short command makes many objects and no garbage; App turns it on for the others.
    gc.disable()
    from boe_reconciler.cli import later, run  # noqa: PLC0415 so that an import error is reported too

    # Around its compiled part it makes a hundred types for type checkers alone, and yaml
    # loads resolvers and dumpers around its parser.
    for package in ("pydantic_core", "yaml"):
        later.open_later(package)

    if isinstance(sys.stdout, io.TextIOWrapper):
        # A locale that lacks a letter is no reason to say nothing.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    if not gc.isenabled():
        # Python's end would look through all that it is about to forget: 20 ms. Where
        # runs were executed, libraries want to be let go of one by one.
        gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
