"""libyaml's parser comes without the patterns of PyYAML's own one, which still works."""

from __future__ import annotations

import re
import subprocess
import sys

from boe_reconciler.core.language import parser

_IN_A_PROCESS_OF_ITS_OWN = """
import datetime, re
from boe_reconciler.core.language.parser import CParser
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


def test_a_pattern_is_compiled_when_it_is_used_and_then_does_its_work() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_PROCESS_OF_ITS_OWN],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "special characters are not allowed"


def test_such_a_pattern_is_what_was_written_flags_and_all() -> None:
    pattern = parser._Pattern("a+", re.IGNORECASE)
    assert "_compiled" not in vars(pattern)
    assert pattern.fullmatch("AaA")
    assert not pattern.fullmatch("ab")
    assert pattern.flags & re.IGNORECASE
