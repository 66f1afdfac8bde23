"""Models over pydantic's core alone: they are what pydantic would make of them."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import ValidationError

from boe_reconciler.core.resources.base import Model
from boe_reconciler.core.resources.light import schema_of
from boe_reconciler.core.resources.schedule import Dialect, Execution
from boe_reconciler.core.resources.when import When
from tests.oracles import models

GIVEN = When(frequency="daily", at=["06:30"], timezone="UTC")


def test_pydantic_itself_makes_the_same_of_every_model() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracles.models"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    ours = json.loads(json.dumps(models.schemas(models.of_ours)))
    assert len(ours) > 80
    assert ours == theirs


def test_a_model_has_the_fields_of_its_parent() -> None:
    class Child(Dialect):
        pass

    assert Child(decimal=",").decimal == ","
    assert Child.model_fields.keys() == Dialect.model_fields.keys()
    assert not hasattr(Child(), "__dict__")


def test_a_model_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError, match=r"When.timezone cannot be set"):
        GIVEN.timezone = "CET"  # type: ignore[misc]  # that is the test
    with pytest.raises(FrozenInstanceError, match=r"When.at cannot be removed"):
        del GIVEN.at


def test_models_with_the_same_values_are_the_same() -> None:
    same = When(frequency="daily", at=["06:30"], timezone="UTC")
    assert same == GIVEN
    assert same != When(frequency="daily", timezone="UTC")
    assert GIVEN != {"frequency": "daily"}
    assert len({Dialect(), Dialect(), Dialect(bom=True)}) == 2


def test_a_model_shows_its_values() -> None:
    assert repr(Dialect()).startswith("Dialect(separator=None, decimal='.', ")


def copies(model: Model) -> list[Model]:
    pickled = pickle.loads(pickle.dumps(model))
    return [copy.copy(model), copy.deepcopy(model), pickled]


def test_a_copy_is_the_same() -> None:
    for made in copies(GIVEN):
        assert made == GIVEN


def test_a_copy_can_differ_in_some_fields() -> None:
    made = GIVEN.model_copy(update={"calendar": "x"})
    assert (made.calendar, made.at, GIVEN.calendar) == ("x", ["06:30"], None)


def test_what_is_constructed_has_its_defaults() -> None:
    made = Execution.model_construct(overlap="skip")
    assert (made.overlap, made.catchup) == ("skip", "latest")
    assert made.retry.max_retries == 3


def test_a_model_judges_what_it_is_made_of() -> None:
    with pytest.raises(ValidationError, match="1 validation error for Dialect"):
        Dialect(decimal=";")  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize("annotation", [bytes, set[str], complex])
def test_a_type_that_the_language_does_not_use_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="no schema for"):
        schema_of(annotation)
