"""A package that waits until it is needed, beside its modules."""

from __future__ import annotations

import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest

from boe_reconciler.cli.later import open_later


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its own code imports its module, as pydantic_core's does."""
    name = f"package_of_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("from .inner import MADE\nOPENED = [1]\n")
    (folder / "inner.py").write_text("MADE = object()\n")
    monkeypatch.syspath_prepend(tmp_path)
    for known in (name, f"{name}.inner"):
        monkeypatch.setitem(sys.modules, known, None)  # what is loaded goes afterwards
        del sys.modules[known]
    return name


def test_a_module_is_imported_without_the_code_of_its_package(package: str) -> None:
    open_later(package)
    inner = import_module(f"{package}.inner")
    assert "OPENED" not in vars(sys.modules[package])
    assert import_module(package).inner is inner


def test_a_module_is_found_in_its_package_without_that_ones_code(package: str) -> None:
    """As compiled code asks for one that nobody has imported."""
    open_later(package)
    found = import_module(package)
    assert found.inner.MADE
    assert "OPENED" not in vars(found)


def test_who_opens_a_package_waits_for_its_module_and_that_for_nobody(
    package: str, tmp_path: Path
) -> None:
    (tmp_path / package / "leaf.py").touch()
    (tmp_path / package / "inner.py").write_text(
        f"import threading, {package}\n"
        "MADE = object()\n"
        f"opener = threading.Thread(target=getattr, args=({package}, 'OPENED'))\n"
        "opener.start()\n"
        "opener.join(0.3)  # by now it has begun, and waits for this module\n"
        f"LEAF = {package}.leaf\n"
    )
    open_later(package)
    importing = threading.Thread(
        target=import_module, args=(f"{package}.inner",), daemon=True
    )
    importing.start()
    importing.join(30)
    assert not importing.is_alive()
    assert import_module(package).OPENED


def test_the_code_of_a_package_runs_once_when_it_is_asked_for(package: str) -> None:
    open_later(package)
    inner = import_module(f"{package}.inner")
    found = import_module(package)
    assert found.MADE is inner.MADE
    assert found.OPENED is found.OPENED
    with pytest.raises(AttributeError, match="no attribute 'NOTHING'"):
        found.NOTHING  # noqa: B018 it is asked for


def test_a_package_that_is_loaded_stays_as_it_is(package: str) -> None:
    loaded = import_module(package)
    open_later(package)
    assert sys.modules[package] is loaded


@pytest.mark.parametrize("name", ["package_that_is_none", "antigravity"])
def test_what_is_no_package_is_left_alone(name: str) -> None:
    open_later(name)
    assert name not in sys.modules


_PYDANTIC_LATER = """
from boe_reconciler.cli.later import open_later
open_later("pydantic_core")
from boe_reconciler.core.resources.light import SchemaValidator
from pydantic_core._pydantic_core import ValidationError
import sys
assert "pydantic_core.core_schema" not in sys.modules
import pydantic, pydantic_core
assert pydantic_core.SchemaValidator is SchemaValidator
assert pydantic_core.ValidationError is pydantic.ValidationError is ValidationError
class Model(pydantic.BaseModel):
    number: int
try:
    Model(number="many")
except ValidationError as error:
    print(error.error_count())
"""


def test_pydantic_and_boe_share_one_core() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PYDANTIC_LATER],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1"]
