"""The gates themselves: each rule of the house catches what it is there for."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "boe_reconciler"
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
FAMILIES = (
    "repos",
    "sources",
    "formats",
    "destinations",
    "ledgers",
    "queues",
    "forges",
)
BIN = Path(sys.executable).parent

# --- ruff -------------------------------------------------------------------------

PLANTED = {
    "a clock is read": ("engine", "import time\n\nNOW = time.time()\n", "TID251"),
    "today is asked for": (
        "core",
        "import datetime\n\nTODAY = datetime.date.today()\n",
        "TID251",
    ),
    "a wait of its own": ("engine", "import time\n\ntime.sleep(1)\n", "TID251"),
    "the environment is read": (
        "sources",
        'import os\n\nHOME = os.environ["HOME"]\n',
        "TID251",
    ),
    "mail around the door": ("destinations", "import smtplib\n", "TID251"),
    "a relative import": ("core", "from . import plan\n", "TID252"),
    "a print": ("engine", 'print("hello")\n', "T201"),
    "a zone is forgotten": (
        "core",
        "import datetime\n\nAT = datetime.datetime(2026, 1, 1)\n",
        "DTZ001",
    ),
    "six parameters": ("core", "def f(a, b, c, d, e, f):\n    return a\n", "PLR0913"),
    "SQL from text": (
        "ledgers",
        'def f(name: str) -> str:\n    return f"select * from {name}"\n',
        "S608",
    ),
    "an import to hide a cycle": (
        "core",
        "def f() -> None:\n    import json\n\n    json.dumps(1)\n",
        "PLC0415",
    ),
    "a blanket noqa": ("core", "import os  # noqa\n", "PGH004"),
    "a blanket type: ignore": ("core", "X: int = None  # type: ignore\n", "PGH003"),
    "code in a comment": ("core", "# x = compute(1)\n", "ERA001"),
    "thirty-one statements": (
        "core",
        "def f() -> None:\n" + "    len([])\n" * 31,
        "PLR0915",
    ),
    "nine branches": (
        "core",
        "def f(x):\n"
        + "".join(f"    if x == {n}:\n        x += 1\n" for n in range(9)),
        "C901",
    ),
}


@pytest.mark.parametrize("what", PLANTED)
def test_ruff_refuses_what_the_house_forbids(what: str) -> None:
    folder, code, rule = PLANTED[what]
    found = _ruff(f"boe_reconciler/{folder}/planted.py", code)
    assert rule in found


def test_ruff_lets_the_two_files_at_the_border_read_time_and_environment() -> None:
    assert _ruff("boe_reconciler/clock.py", "import time\n\nNOW = time.time()\n") == ""
    code = "import os\n\nHOME = os.environ\n"
    assert _ruff("boe_reconciler/settings.py", code) == ""


def _ruff(name: str, code: str) -> str:
    command = [
        BIN / "ruff",
        "check",
        "--quiet",
        "--no-cache",
        "--output-format=concise",
    ]
    done = subprocess.run(
        [*command, f"--stdin-filename={name}", "-"],
        input=code,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


#: Imports every module of ours and says whether one of them, or what it uses, brought it.
_IMPORT_ALL = """
import importlib, pkgutil, sys
import aiosmtplib, boto3, dkim
import boe_reconciler
for found in pkgutil.walk_packages(boe_reconciler.__path__, "boe_reconciler."):
    if not found.name.endswith("__main__") and ".migrations" not in found.name:
        importlib.import_module(found.name)
assert "boe_reconciler.destinations.email" in sys.modules
print("smtplib" in sys.modules)
"""


@pytest.mark.slow
def test_nothing_that_is_loaded_knows_smtplib() -> None:
    """It goes on where some recipients are refused, and nobody can say who has a mail."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _IMPORT_ALL],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False"]


def test_no_module_imports_smtplib_anywhere_in_it() -> None:
    found = [
        str(path)
        for path in PACKAGE.rglob("*.py")
        if "smtplib" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if (
            isinstance(node, ast.Import)
            and any(a.name == "smtplib" for a in node.names)
        )
        or (isinstance(node, ast.ImportFrom) and node.module == "smtplib")
    ]
    assert found == []


# --- import-linter and mypy ---------------------------------------------------------

#: Contract -> a file that breaks it, and how.
BROKEN_IMPORTS = {
    "Imports point downwards; neighbours do not know each other": (
        "engine/planted.py",
        "import boe_reconciler.destinations\n",
    ),
    "Doors reach the engine and the backends only through app": (
        "cli/planted.py",
        "import boe_reconciler.formats.csv\n",
    ),
    "The core is pure": ("core/planted.py", "import duckdb\n"),
    "Repos are strangers to each other": (
        "repos/folder.py",
        "import boe_reconciler.repos.git\n",
    ),
    "Formats are strangers to each other": (
        "formats/csv.py",
        "import boe_reconciler.formats.parquet\n",
    ),
    "Sources are strangers to each other": (
        "sources/sqlite.py",
        "import boe_reconciler.sources.duckdb\n",
    ),
    "Ledgers are strangers to each other": (
        "ledgers/memory.py",
        "import boe_reconciler.ledgers.sqlite\n",
    ),
    "Destinations are strangers to each other": (
        "destinations/blind.py",
        "import boe_reconciler.destinations.local\n",
    ),
    "Forges are strangers to each other": (
        "forges/github.py",
        "import boe_reconciler.forges.gitlab\n",
    ),
}


@pytest.mark.slow
def test_the_import_rules_catch_an_import_that_breaks_them(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "boe_reconciler")
    assert _broken_contracts(tmp_path) == set()
    for file, code in BROKEN_IMPORTS.values():
        with (tmp_path / "boe_reconciler" / file).open("a") as planted:
            planted.write(code)
    assert _broken_contracts(tmp_path) == set(BROKEN_IMPORTS)


def _broken_contracts(folder: Path) -> set[str]:
    done = subprocess.run(
        [BIN / "lint-imports", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Contracts" in done.stdout, done.stdout + done.stderr
    return set(re.findall(r"(?m)^(.+?) BROKEN", done.stdout))


@pytest.mark.slow
def test_mypy_is_strict(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text("def f(x):\n    return x\n")
    done = subprocess.run(
        [BIN / "mypy", "--config-file", ROOT / "pyproject.toml", planted],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no-untyped-def" in done.stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_every_backend_stands_in_the_contract_of_its_family(family: str) -> None:
    backends = {
        f"boe_reconciler.{family}.{entry.stem}"
        for entry in (PACKAGE / family).glob("[!_]*")
        if entry.suffix == ".py" or (entry / "__init__.py").exists()
    }
    contracts = CONFIG["tool"]["importlinter"]["contracts"]
    strangers = {
        module
        for contract in contracts
        if contract["type"] == "independence"
        for module in contract["modules"]
        if module.startswith(f"boe_reconciler.{family}.")
    }
    assert strangers == backends or len(backends) < 2


# --- what no tool looks at ----------------------------------------------------------


def test_every_exception_to_a_rule_has_its_reason_behind_it() -> None:
    marks = re.compile(
        r"#\s*(?:noqa: [A-Z0-9, ]+|type: ignore\[[\w, -]+\]|pragma: no (?:cover|branch))"
        r"\s*(?=#\s*(?:noqa|type:)|(?P<reason>.*))"
    )
    bare = [
        f"{file.relative_to(ROOT)}:{number}"
        for file, number, line in _lines()
        for mark in marks.finditer(line)
        if mark["reason"] is not None and len(mark["reason"].strip(" #")) < 5
    ]
    assert bare == []


def test_nothing_is_left_to_do_in_the_code() -> None:
    left = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [f"{file}:{number}" for file, number, line in _lines() if left.search(line)]
    assert found == []


def test_everything_imported_is_a_dependency_that_we_name() -> None:
    """What another package happens to bring may go with its next version."""
    named = {
        re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
        for requirement in (
            *CONFIG["project"]["dependencies"],
            *CONFIG["project"]["optional-dependencies"]["azure"],
            *CONFIG["project"]["optional-dependencies"]["gcs"],
        )
    }
    brought = packages_distributions() | {"pydantic_core": ["pydantic"]}  # one library
    imported = {name for file in _files() for name in _imports(file)}
    unnamed = {
        name
        for name in imported - sys.stdlib_module_names - {"boe_reconciler"}
        if not {d.lower().replace("_", "-") for d in brought.get(name, [])} & named
    }
    assert unnamed == set()


def test_models_are_not_made_by_pydantic() -> None:
    """Its core is enough (docs/decisions/0007); JSON Schema alone needs the rest."""
    importing = {
        str(file.relative_to(PACKAGE))
        for file, _, line in _lines()
        if re.match(r"\s*(from|import) pydantic\b", line)
    }
    assert importing == {"core/language/schemas.py", "core/resources/base.py"}


def test_the_lock_file_names_no_index_and_hashes_everything() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pins = re.split(r"(?m)^(?=[a-z0-9])", lock)[1:]
    assert len(pins) > 50
    assert [pin for pin in pins if "--hash=sha256:" not in pin] == []


def test_the_lock_file_pins_every_dependency() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    extras = CONFIG["project"]["optional-dependencies"].values()
    needed = [*CONFIG["project"]["dependencies"], *(n for e in extras for n in e)]
    missing = [
        name
        for name in (re.split(r"[^\w.-]", requirement)[0] for requirement in needed)
        if not re.search(rf"(?mi)^{re.escape(name)}(\[[\w, -]+\])?==", lock)
    ]
    assert missing == []


def _files() -> Iterator[Path]:
    return PACKAGE.rglob("*.py")


def _lines() -> Iterator[tuple[Path, int, str]]:
    for file in _files():
        for number, line in enumerate(file.read_text().splitlines(), 1):
            yield file, number, line


def _imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


# --- the quick commands stay quick ----------------------------------------------------

HEAVY = {"alembic", "boto3", "duckdb", "openpyxl", "pandas", "paramiko", "pyarrow"}
HEAVY |= {"httpx", "prometheus_client", "reportlab", "sqlalchemy"}
HEAVY |= {"pydantic", "jinja2"}  # not heavy, but as much as all else together
HEAVY |= {"typing_extensions", "pydantic_core.core_schema"}  # a tenth of the rest
HEAVY |= {"csv", "yaml.resolver"}  # small, and of no use there
QUICK = ["--help", "validate", "validate --format json policy.yaml"]
QUICK += ["next --all", "next -n 3"]


@pytest.mark.parametrize("command", QUICK)
def test_a_quick_command_loads_nothing_heavy(command: str) -> None:
    assert HEAVY & _loaded(*command.split()) == set()


def test_the_options_of_a_plan_are_read_without_pydantic() -> None:
    assert "pydantic" not in _loaded("plan", "--days", "7")


def test_the_list_of_commands_loads_none_of_them() -> None:
    files = {path.stem for path in (PACKAGE / "cli").glob("*.py")}
    loaded = _loaded("--help")
    of_commands = {name for name in files if f"boe_reconciler.cli.{name}" in loaded}
    assert of_commands == {"main", "door", "output", "values", "later"}
    assert {name for name in loaded if name.startswith("boe_reconciler.core.")} == {
        f"boe_reconciler.core.{name}" for name in ("errors", "records", "wording")
    }


#: What only commands need that look at runs.
OF_RUNS = {"runs", "notices", "forge", "retention", "troubles", "facts", "limits"}


@pytest.mark.parametrize("command", ["validate", "next --all"])
def test_what_looks_at_yaml_alone_loads_nothing_of_runs(command: str) -> None:
    loaded = _loaded(*command.split())
    assert {n for n in OF_RUNS if f"boe_reconciler.core.{n}" in loaded} == set()


@pytest.mark.parametrize("command", ["validate", "next --all", "status"])
def test_a_quick_command_has_no_methods_compiled_for_its_classes(command: str) -> None:
    """The standard dataclass compiles six for each; core/records.py shares its own."""
    files = {
        ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts): file
        for file in _files()
    }
    standard = re.compile(r"(?m)^from dataclasses import .*\bdataclass\b")
    loaded = _loaded(*command.split())
    found = {n for n, file in files.items() if standard.search(file.read_text())}
    assert found & loaded - {"boe_reconciler.core.records"} == set()


def _loaded(*arguments: str) -> set[str]:
    """All that `boe` has loaded when it ends."""
    code = (
        "import atexit, sys; from boe_reconciler.__main__ import main; "
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    )
    return set(_python("-c", code, "-C", str(ROOT), *arguments).stderr.split())


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
