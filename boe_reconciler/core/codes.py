"""Every Problem code there is: the one table behind messages and docs/problems."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    #: A few words: the title of the code's page.
    summary: str
    #: Why it is a Problem and how to mend it: the body of the code's page.
    explanation: str


#: Numbers are never used twice. 001-029 reading YAML, 030-059 shape of a
#: document, 060-099 time, 100-129 references, 130-159 policy and access,
#: 160-189 templates, names and paths, 190-199 not available, 200-229 SQL.
CODES: dict[str, Code] = {}
