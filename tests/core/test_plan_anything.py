"""Whatever stands in the files, a plan is made: there are Problems, never a crash."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.test_forty_mistakes import REPO
from tests.revisions import GOOD, Ledger, plan_of, unmarked

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "calendars connections distributions groups reports schedules templates".split()
)
DEMO = {
    str(path.relative_to(ROOT)): path.read_text()
    for folder in FOLDERS
    for path in sorted((ROOT / folder).iterdir())
    if path.suffix in (".yaml", ".sql")
} | {"policy.yaml": (ROOT / "policy.yaml").read_text()}
MISTAKEN = {
    path: text for path, text in unmarked(REPO)[0].items() if isinstance(text, str)
}
#: Values that fit nowhere, or only where nobody expects them.
ODD = [
    "null", "[]", "{}", "[[]]", "{a: {b: c}}", "true", "-1", "0", "1e400", ".nan", "''",
    "\"\\0\"", "'{{ x }}'", "'{{ 1/0 }}'", "'{%'", "'{date}'", "~", "*a", "&a x", "2026-13-99",
    "99999999999999999999", "'0 0 31 2 *'", "Europe/Nowhere", "{env: X}", "sales", "daily",
    "{distribution: archive}", "{type: email}", "[archive, archive]", "\t", "\n  - x", ": :",
]  # fmt: skip
_VALUE = re.compile(r"[^\s:\[\]{},]+|\[[^\]\n]*\]|\{[^}\n]*\}")


@st.composite
def mutated(draw: Any, files: dict[str, str]) -> dict[str, str | bytes]:
    """A good repo in which a few values, in any file, are others."""
    found: dict[str, str | bytes] = dict(files)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(sorted(files)))
        text = str(found[path])
        places = list(_VALUE.finditer(text))
        if places:
            place = draw(st.sampled_from(places))
            new = draw(st.sampled_from(ODD) | st.text(max_size=8))
            found[path] = text[: place.start()] + new + text[place.end() :]
    return found


def check(files: dict[str, Any]) -> None:
    ledger = Ledger()
    ledger.step(GOOD)
    for plan in (plan_of(files), ledger.plan(files)):
        for problem in plan.problems:
            at = problem.range
            assert at.start.line >= 1
            assert at.start.column >= 1
            assert problem.detail
            assert str(problem)
        served = {one.name for one in plan.statuses if one.ready}
        assert set(plan.schedules) >= {
            one.name for one in plan.statuses if one.kind == "Schedule" and one.ready
        }
        assert served <= {name for _, name in plan.objects}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("distributions/archive.yaml", "local"), ("connections/flights.yaml", "duckdb")],
)
@pytest.mark.parametrize("value", ["[]", "{}", "null", "[local]"])
def test_a_type_that_is_no_word_is_a_problem(path: str, kind: str, value: str) -> None:
    spoilt = DEMO[path].replace(f"type: {kind}", f"type: {value}")
    assert spoilt != DEMO[path]
    check({**DEMO, path: spoilt})


@settings(max_examples=25)
@given(mutated(DEMO) | mutated(MISTAKEN))
def test_a_value_of_any_kind_gives_problems_alone(files: dict[str, Any]) -> None:
    check(files)


@given(
    st.dictionaries(
        st.sampled_from(
            ["policy.yaml", "schedules/x.yaml", "reports/x.yml", "groups/g.yaml"]
        ),
        st.binary(max_size=200) | st.text(max_size=200),
    )
)
def test_bytes_of_any_kind_give_problems_alone(files: dict[str, Any]) -> None:
    check({**GOOD, **files})


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=2000)
@given(mutated(DEMO) | mutated(MISTAKEN))
def test_a_value_of_any_kind_gives_problems_alone_at_length(
    files: dict[str, Any],
) -> None:
    check(files)
