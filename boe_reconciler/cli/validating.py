"""`boe validate`: every Problem of a repo at once, each at its line."""

# Without annotations as text: typer would have each compiled three times.
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from boe_reconciler.app import App, installed_version
from boe_reconciler.cli.door import Door, door
from boe_reconciler.cli.online import asked
from boe_reconciler.cli.output import complain, counted, say, say_json, say_parts
from boe_reconciler.core.errors import BoeError, InputError
from boe_reconciler.core.problems import Problem
from boe_reconciler.core.records import dataclass
from boe_reconciler.core.snapshot import Snapshot


class ReportFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    SARIF = "sarif"
    GITHUB = "github"
    GITLAB = "gitlab"


_FOLDERS = (
    "It stands in schedules/, reports/ and their like, and in policy.yaml; what lies "
    "beside them is not read. `boe init` writes some."
)
_A_REPO = (
    "A folder is taken for a repo of its own. Name files of this one, or nothing to see "
    "all that is wrong."
)
#: Forms for people and scripts; the others are for CI systems.
_PLAIN = (ReportFormat.TEXT, ReportFormat.JSON)


@dataclass(frozen=True, kw_only=True)
class _Look:
    """What one repo holds."""

    app: App
    snapshot: Snapshot
    #: Those that were asked for.
    problems: Sequence[Problem]
    files: Sequence[str]
    objects: int


def add_to(boe: typer.Typer) -> None:
    boe.command()(validate)


def validate(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH")] = None,
    output: Annotated[
        ReportFormat,
        typer.Option("--format", metavar="text|json|junit|sarif|github|gitlab"),
    ] = ReportFormat.TEXT,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REV",
            help="Show first what stands on lines that changed since REV.",
        ),
    ] = None,
    online: Annotated[
        bool,
        typer.Option("--online", help="Resolve secrets and ask each Connection, too."),
    ] = False,
) -> int:
    """Check the YAML: every mistake at once, at its line.

    A PATH that is a folder is a repo; a PATH that is a file shows only its
    Problems (the whole repo is read all the same, for its references).
    Forms for CI name files from the root of the git repo, and take REV from
    the pull or merge request (docs/ci.md).

    \b
    Examples:
      boe validate
      boe validate schedules/carriers.yaml
      boe validate --online
      boe validate --base origin/main
      boe validate --format json ../other-repo
      boe validate --format junit > boe.xml
    """
    door_ = door(context)
    looks = list(_looks(door_, paths or [], online=online))
    base = base or (None if output in _PLAIN else door_.settings().base)
    name = _as_typed(door_) if output in _PLAIN else _from_git
    problems = _in_order(looks, base, name)
    if output is ReportFormat.TEXT:
        _print(problems, looks)
    elif output is ReportFormat.JSON:
        say_json(as_json(problems))
    else:
        _render(output, problems, looks)
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


# --- Looking ------------------------------------------------------------------------


def _looks(
    door_: Door, paths: Sequence[Path], *, online: bool = False
) -> Iterator[_Look]:
    base = door_.settings().root
    for root, files in _repos(base, paths).items():
        app = door_.app(root)
        snapshot = app.repo.snapshot()
        found, objects = _found(app, snapshot, files, online=online)
        if not objects and not found:
            inside = root != base and root.is_relative_to(base)
            complain(
                f"There is no YAML of BOE in {root}.", _A_REPO if inside else _FOLDERS
            )
        problems = [
            problem
            for problem in found
            if files is None or problem.range.filename in files
        ]
        yield _Look(
            app=app,
            snapshot=snapshot,
            problems=problems,
            files=sorted({*snapshot.files} if files is None else files),
            objects=objects,
        )


def _found(
    app: App, snapshot: Snapshot, files: Collection[str] | None, *, online: bool
) -> tuple[Sequence[Problem], int]:
    """All Problems in the one order, and how many objects there are."""
    from boe_reconciler.cli.shares import in_shares
    from boe_reconciler.core.plan import look_through, make_plan
    from boe_reconciler.core.problems import in_order

    now, env = app.clock.now(), app.settings.env
    if not online:
        look = look_through(snapshot, now=now, environment=env, spread=in_shares)
        return look.problems, look.total
    plan = make_plan(snapshot, served=None, now=now, environment=env)
    return in_order([*plan.problems, *asked(app, plan, files)]), plan.activation.total


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


# --- Which first, and under which name ----------------------------------------------


def _in_order(
    looks: Sequence[_Look], base: str | None, prefix: Callable[[App], str]
) -> list[Problem]:
    """Problems of all the repos: those near the change since `base` come first."""
    near = [
        (nearness(problem), _renamed(problem, prefix(look.app)))
        for look in looks
        for nearness in (_nearness(look, base),)
        for problem in look.problems
    ]
    return [problem for _, problem in sorted(near, key=lambda pair: pair[0])]


def _nearness(look: _Look, base: str | None) -> Callable[[Problem], int]:
    if base is None or not look.problems:
        return lambda _: 0
    from boe_reconciler.core.touched import nearness

    try:
        before = look.app.snapshot_before(base)
    except BoeError as error:
        say(f"boe: {error.told} So nothing is put first.", "yellow", stderr=True)
        return lambda _: 0
    return nearness(before, look.snapshot)


def _as_typed(door_: Door) -> Callable[[App], str]:
    """The path to the repo's files from where the user is."""
    base = door_.settings().root

    def prefix(app: App) -> str:
        root = app.settings.root
        if root == base:
            return ""
        shown = root.relative_to(base) if root.is_relative_to(base) else root
        return f"{shown.as_posix()}/"

    return prefix


def _from_git(app: App) -> str:
    return app.place


def _renamed(problem: Problem, prefix: str) -> Problem:
    if not prefix:
        return problem
    where = replace(problem.range, filename=prefix + problem.range.filename)
    return replace(problem, range=where)


# --- Telling ------------------------------------------------------------------------


def say_problems(problems: Sequence[Problem], *, stderr: bool = False) -> None:
    """A line for each, whatever it quotes: the log of a CI job may be read for commands."""
    for problem in problems:
        text = str(problem).replace("\n", " ")
        where, severity, what = text.partition(f": {problem.severity} ")
        style = "bold red" if problem.severity == "error" else "bold yellow"
        say_parts([(where, "bold"), (severity, style), (what, "")], stderr=stderr)


def _print(problems: Sequence[Problem], looks: Sequence[_Look]) -> None:
    say_problems(problems)
    failed = any(problem.severity == "error" for problem in problems)
    say(_summary(problems, looks), style="bold red" if failed else "green")


def _render(
    output: ReportFormat, problems: Sequence[Problem], looks: Sequence[_Look]
) -> None:
    from boe_reconciler.cli.forms import Checked, render

    checked = Checked(
        problems=problems,
        files=[_from_git(look.app) + file for look in looks for file in look.files],
        summary=_summary(problems, looks),
        version=installed_version(),
    )
    sys.stdout.write(render(output, checked))


def _summary(problems: Sequence[Problem], looks: Sequence[_Look]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = counted(len(problems) - errors, "warning")
    objects = counted(sum(look.objects for look in looks), "object")
    if objects.startswith("0 ") and not problems:
        return "Nothing was checked."
    if errors:
        return f"{counted(errors, 'error')}, {warnings} in {objects}."
    tail = "" if warnings.startswith("0 ") else f" {warnings}."
    return f"{objects} checked, all valid.{tail}"
