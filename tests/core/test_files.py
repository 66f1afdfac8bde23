"""Paths that no repo may have, whichever loader finds them."""

from __future__ import annotations

import pytest

from boe_reconciler.core.plan.files import (
    alike,
    clashes,
    referenced_files,
    shown_path,
    wrong_path,
)

WRONG = {
    "schedules/\udcff.yaml": (r"schedules/\xff.yaml", "its name is not UTF-8"),
    "a/b\n.yaml": (r"a/b\n.yaml", "its name holds an invisible character"),
    "a/\u202eb.yaml": (r"a/\u202eb.yaml", "its name holds an invisible character"),
    "a/" * 51 + "b.yaml": ("a/" * 51 + "b.yaml", "it is more than 50 folders deep"),
    "ä" * 501: ("ä" * 501, "its path is longer than 1,000 bytes"),
}


@pytest.mark.parametrize("path", WRONG, ids=range(len(WRONG)))
def test_an_odd_path_is_told_on_one_line(path: str) -> None:
    assert (shown_path(path), wrong_path(path)) == WRONG[path]


@pytest.mark.parametrize("path", ["a.yaml", "a b/ü.yaml", "月\u3000報.yaml", "a/" * 50])
def test_what_people_call_files_is_fine(path: str) -> None:
    assert (shown_path(path), wrong_path(path)) == (path, "")


def test_names_that_differ_in_case_or_composition_alone_clash() -> None:
    paths = ["a/B", "A/b", "c", "C/d", "u\u0308", "ü", "a/b"]
    found = clashes(alike({}, new=paths), paths)
    assert set(found) == {"a/B", "A/b", "a/b", "u\u0308", "ü"}
    assert found["a/B"] == "on some machines a/b is the same file"
    assert found["a/b"] == "on some machines A/b is the same file"
    left = alike(alike({}, new=paths), gone=["A/b", "a/b", "c"], new=["a/B2"])
    assert set(clashes(left, paths[:1] * 5)) == {"u\u0308", "ü"}


def test_the_files_that_a_document_names_are_found_from_the_root() -> None:
    data = {
        "spec": {
            "password": {"sops": "../secrets/all.yaml#db.password"},
            "transform": "transforms.clean:run",
            "sheets": [{"query_file": "sales.sql"}, {"query_file": "../../out.sql"}],
        }
    }
    found = list(referenced_files("reports/a.yaml", data))
    assert found == ["secrets/all.yaml", "transforms/clean.py", "reports/sales.sql"]
