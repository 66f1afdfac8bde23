"""`boe validate`: every Problem of a repo at once, each at its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from boe_reconciler.cli.door import Door, door
from boe_reconciler.cli.output import complain, say, say_json
from boe_reconciler.cli.planned import plan_of_files
from boe_reconciler.core.errors import InputError

if TYPE_CHECKING:
    from boe_reconciler.core.plan import Plan
    from boe_reconciler.core.problems import Problem


class ReportFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    GITHUB = "github"
    GITLAB = "gitlab"


_FOLDERS = "It stands in schedules/, reports/ and their like; `boe init` writes some."
_LATER = (
    ReportFormat.JUNIT,
    ReportFormat.SARIF,
    ReportFormat.GITHUB,
    ReportFormat.GITLAB,
)


def add_to(boe: typer.Typer) -> None:
    boe.command()(validate)


def validate(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH")] = None,
    output: Annotated[
        ReportFormat, typer.Option("--format", metavar="text|json")
    ] = ReportFormat.TEXT,
    online: Annotated[
        bool,
        typer.Option("--online", help="Not in this version."),
    ] = False,
) -> int:
    """Check the YAML: every mistake at once, at its line.

    A PATH that is a folder is a repo; a PATH that is a file shows only its
    Problems (the whole repo is read all the same, for its references).

    \b
    Examples:
      boe validate
      boe validate schedules/carriers.yaml
      boe validate --format json ../other-repo
    """
    if output in _LATER:
        raise InputError(f"--format {output} is not available in this version.")
    if online:
        raise InputError("--online is not available in this version.")
    problems, plans = _check(door(context), paths or [])
    if output is ReportFormat.JSON:
        say_json(as_json(problems))
    else:
        _print(problems, plans)
    return 1 if any(problem.severity == "error" for problem in problems) else 0


def as_json(problems: Sequence[Problem]) -> dict[str, Any]:
    errors = sum(problem.severity == "error" for problem in problems)
    return {
        "format_version": "1.0",
        "valid": errors == 0,
        "error_count": errors,
        "warning_count": len(problems) - errors,
        "diagnostics": [problem.as_diagnostic() for problem in problems],
    }


def _check(door_: Door, paths: Sequence[Path]) -> tuple[list[Problem], list[Plan]]:
    """Problems of all the paths, their files named as the user would name them."""
    problems: list[Problem] = []
    plans = []
    base = door_.settings().root
    for root, files in _repos(base, paths).items():
        plan = plan_of_files(door_.app(root))
        plans.append(plan)
        if not plan.statuses and not plan.problems:
            complain(f"There is no YAML of BOE in {root}.", _FOLDERS)
        prefix = _prefix(base, root)
        problems += [
            _renamed(problem, prefix)
            for problem in plan.problems
            if files is None or problem.range.filename in files
        ]
    return problems, plans


def _repos(base: Path, paths: Sequence[Path]) -> dict[Path, set[str] | None]:
    """Repo -> the files that were asked for, None for all of them."""
    repos: dict[Path, set[str] | None] = {} if paths else {base: None}
    for path in paths:
        full = (base / path).resolve()
        if full.is_dir():
            repos[full] = None
        elif not full.exists():
            raise InputError(f"There is no file or folder {path}.")
        elif not full.is_relative_to(base):
            raise InputError(
                f"{path} is outside {base}.", "Name its repo with -C, or as a folder."
            )
        else:
            files = repos.setdefault(base, set())
            if files is not None:
                files.add(full.relative_to(base).as_posix())
    return repos


def _prefix(base: Path, root: Path) -> str:
    if root == base:
        return ""
    shown = root.relative_to(base) if root.is_relative_to(base) else root
    return f"{shown.as_posix()}/"


def _renamed(problem: Problem, prefix: str) -> Problem:
    if not prefix:
        return problem
    where = replace(problem.range, filename=prefix + problem.range.filename)
    return replace(problem, range=where)


def say_problems(problems: Sequence[Problem], *, stderr: bool = False) -> None:
    for problem in problems:
        style = "red" if problem.severity == "error" else "yellow"
        say(str(problem), style, stderr=stderr)


def _print(problems: Sequence[Problem], plans: Sequence[Plan]) -> None:
    say_problems(problems)
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    told = f"{counted(errors, 'error')}, {counted(warnings, 'warning')}"
    objects = sum(len(plan.statuses) for plan in plans)
    if errors:
        say(f"{told} in {counted(objects, 'object')}.", style="bold red")
        return
    tail = f" {counted(warnings, 'warning')}." if warnings else ""
    say(f"{counted(objects, 'object')} checked, all valid.{tail}", style="green")


def counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
