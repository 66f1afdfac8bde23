"""libyaml's parser comes without a pattern of PyYAML's own one, which still works."""

from __future__ import annotations

import copy
import pickle
import re
import subprocess
import sys

from boe_reconciler.core.language import parser

#: As `boe` begins.
_IN_A_PROCESS_OF_ITS_OWN = """
import datetime, re
from boe_reconciler.cli.later import open_later
open_later("yaml")
import boe_reconciler.core.language.documents
assert type(re.compile("a")) is re.Pattern
import yaml
printable = yaml.reader.Reader.NON_PRINTABLE
assert "_compiled" not in vars(printable)
assert yaml.safe_load("day: 2026-11-24") == {"day": datetime.date(2026, 11, 24)}
assert "_compiled" in vars(printable)
try:
    yaml.safe_load("bell: \\a")
except yaml.reader.ReaderError as error:
    print(error.reason)
"""


def test_the_pattern_is_compiled_when_it_is_used_and_then_does_its_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_PROCESS_OF_ITS_OWN],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "special characters are not allowed"


def test_it_is_what_was_written_also_in_a_copy() -> None:
    pattern = parser._compile_later(f"{parser._PRINTABLE}]", flags=re.IGNORECASE)
    assert "_compiled" not in vars(pattern)
    real = re.compile(f"{parser._PRINTABLE}]", re.IGNORECASE)
    assert copy.copy(pattern) == pickle.loads(pickle.dumps(pattern)) == real
    assert pattern.search("a\a").span() == (1, 2)
    assert pattern.flags == real.flags


def test_all_other_patterns_are_compiled_at_once() -> None:
    assert type(parser._compile_later("a", flags=re.IGNORECASE)) is re.Pattern
    assert parser._compile_later(real := re.compile(b"[^a]")) is real
