"""`boe suppressed`, `suppress`, `unsuppress`: addresses that get no mail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Boe

ANNA = "anna@example.com"


def test_an_address_is_put_on_the_list_shown_and_taken_off(
    tmp_path: Path, boe: Boe
) -> None:
    put = boe(tmp_path, "suppress", ANNA, "--why", "she left", "--by", "ada")
    assert put.out == (
        f'{ANNA} gets no mail any more: `boe unsuppress {ANNA} --why "…"` ends that.\n'
    )
    again = boe(tmp_path, "suppress", ANNA.upper(), "--why", "she left")
    assert "is on the suppression list already." in again.out
    shown = boe(tmp_path, "suppressed").out
    assert f"{ANNA}  since " in shown
    assert "by ada\n  She left.\n" in shown
    off = boe(tmp_path, "unsuppress", ANNA, "--why", "she is back", "--by", "bob")
    assert off.out == f"{ANNA} gets mail again.\n"
    assert boe(tmp_path, "suppressed").out == "The suppression list is empty.\n"
    assert "Taken off by bob: She is back." in boe(tmp_path, "suppressed", ANNA).out


def test_the_list_as_json(tmp_path: Path, boe: Boe) -> None:
    boe(tmp_path, "suppress", ANNA, "--why", "she left", "--by", "ada")
    [one] = json.loads(boe(tmp_path, "suppressed", "--format", "json").out)
    assert one["since"].endswith("Z")
    assert one == {
        "address": ANNA,
        "since": one["since"],
        "by": "ada",
        "why": "she left",
        "run_id": None,
        "ended_at": None,
        "ended_by": None,
        "ended_why": None,
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("suppress", ANNA), "--why is missing"),
        (("suppress", ANNA, "--why", "x", "--by", " "), "--by is empty"),
        (("suppress", "anna", "--why", "x"), '"anna" is not an e-mail address'),
        (("unsuppress", ANNA, "--why", "x"), "is not on the suppression list"),
    ],
)
def test_what_cannot_be_done_is_told(
    tmp_path: Path, boe: Boe, arguments: tuple[str, ...], told: str
) -> None:
    said = boe(tmp_path, *arguments)
    assert said.code == 1
    assert told in said.err


def test_before_anything_ran_nobody_is_on_the_list(tmp_path: Path, boe: Boe) -> None:
    assert boe(tmp_path, "suppressed").out == "The suppression list is empty.\n"
    said = boe(tmp_path, "suppressed", ANNA).out
    assert said == f"{ANNA} is not on the suppression list, and never was.\n"
    assert list(tmp_path.iterdir()) == []
