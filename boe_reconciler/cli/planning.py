"""`boe plan`: what a change would do, before it does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.executing import serves_git
from boe_reconciler.cli.output import counted, say, say_json
from boe_reconciler.cli.validating import say_problems
from boe_reconciler.core.errors import InputError

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.changes.compare import Comparison
    from boe_reconciler.core.changes.review import Line, Review
    from boe_reconciler.core.snapshot import Snapshot

_STYLES = {"-": "red", "~": "yellow", "+": "green", " ": ""}
#: Lines of one section on a terminal: the first ones matter most.
_MOST = 120


class PlanFormat(StrEnum):
    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def add_to(boe: typer.Typer) -> None:
    boe.command()(plan)


def plan(
    context: typer.Context,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REV", help="Compare with this commit, not with what is served."
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(metavar="REV", help="Plan this commit, not the folder as it is."),
    ] = None,
    days: Annotated[
        int,
        typer.Option(
            min=1, max=366, metavar="N", help="Count the runs of N days (1 to 366)."
        ),
    ] = 30,
    expand: Annotated[
        bool, typer.Option("--expand", help="Tell who would get which file next.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="As `boe run --strict` would serve it.")
    ] = False,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="End with 2 if it changes.")
    ] = False,
    comment: Annotated[
        bool,
        typer.Option("--comment", help="In CI: keep the request's comment up to date."),
    ] = False,
    output: Annotated[
        PlanFormat, typer.Option("--format", metavar="text|json|markdown")
    ] = PlanFormat.TEXT,
) -> int:
    """Show what a change would do, before it does it.

    The folder is compared with what is served, or with the commit --base; with
    neither everything is new. REV is a branch, a tag, HEAD~3, an id, or a revision as
    BOE prints it. Offline and without secrets; nothing is written, but for --comment.

    \b
    Examples:
      boe plan
      boe plan --base origin/main
      boe plan --base v1 --head v2 --days 7 --format json
      boe plan --base origin/main --format markdown
      boe plan --base origin/main --comment
    """
    from boe_reconciler.core.changes.review import review

    if base is not None and door(context).state is not None:
        raise InputError(
            "--base and --state: both say what to compare with.",
            "Leave out --base to compare with what that state folder serves.",
        )
    app = door(context).app()
    compared = _compared(app, base, head, strict)
    seen = review(
        compared,
        now=app.clock.now(),
        days=days,
        pauses=app.ledger.pauses() if base is None and app.has_state else (),
        expand=expand,
    )
    say_review(seen, output, _again(base, head))
    if comment:
        _comment(app, seen, output, _again(base, head))
    if seen.errors:
        return 1
    return 2 if detailed_exitcode and seen.found.changes else 0


def _again(base: str | None, head: str | None) -> str:
    """The command that shows the same."""
    options = (("--base", base), ("--head", head))
    return "boe plan" + "".join(f" {name} {value}" for name, value in options if value)


# --- The two sides ----------------------------------------------------------------


def _compared(app: App, base: str | None, head: str | None, strict: bool) -> Comparison:
    from boe_reconciler.cli.shares import in_shares
    from boe_reconciler.core.changes.compare import Terms, compare, compare_with_served

    terms = Terms(
        now=app.clock.now(),
        strict=strict,
        environment=app.settings.env,
        spread=in_shares,
    )
    if base is not None:
        older = app.snapshot_of(base)
        return compare(older, _head(app, head, in_git=True), terms)
    newer = _head(app, head, in_git=False)
    if not app.has_state:
        return compare_with_served(None, newer, terms)
    _check_folder(app, newer)
    terms = replace(terms, read_blob=app.blobs.read)
    return compare_with_served(app.ledger.served(), newer, terms)


def _check_folder(app: App, newer: Snapshot) -> None:
    """Where a git repo is served, a folder without files would seem to remove all."""
    empty = not newer.files and not newer.unreadable
    if empty and app.settings.git is None and serves_git(app):
        raise InputError(
            f"{app.settings.state} serves a git repo, and {app.settings.root} holds no "
            "YAML of BOE.",
            "Set BOE_GIT to its URL to plan what was fetched, or name a clone of it "
            "with -C and that state folder with --state.",
        )


def _head(app: App, head: str | None, *, in_git: bool) -> Snapshot:
    """The folder comes from where HEAD comes from, where it is in git."""
    if head is not None:
        return app.snapshot_of(head)
    if app.settings.git is not None:
        return app.snapshot_of(app.settings.git.branch)
    folder = app.repo.snapshot()
    return replace(folder, since=app.snapshot_of("HEAD").since) if in_git else folder


# --- For people, and for scripts --------------------------------------------------


def say_review(seen: Review, output: PlanFormat, again: str) -> None:
    if output is PlanFormat.JSON:
        from boe_reconciler.core.changes.shapes import as_json

        say_json(as_json(seen))
    elif output is PlanFormat.MARKDOWN:
        from boe_reconciler.core.changes.markdown import markdown

        typer.echo(markdown(seen, again=again), nl=False)
    else:
        _say_text(seen)


def _comment(app: App, seen: Review, output: PlanFormat, again: str) -> None:
    """Where it cannot be written, the job's log has it."""
    from boe_reconciler.cli.commenting import comment
    from boe_reconciler.core.changes.markdown import markdown

    if not comment(app, markdown(seen, again=again)) and output is PlanFormat.TEXT:
        typer.echo(markdown(seen, again=again), nl=False)


def _say_text(seen: Review) -> None:
    """The verdict comes last: there a terminal stands."""
    from boe_reconciler.core.changes.lines import sections
    from boe_reconciler.core.changes.review import verdict

    if seen.comparison.before is None:
        say("There is nothing to compare with yet; all of this is new.")
    for section in sections(seen):
        say(section.title, "bold")
        _say_lines(section.lines)
        say()
    say_problems(seen.problems)
    first, *more = verdict(seen)
    for sentence in more:
        say(sentence)
    say(first, "bold" if seen.found.changes else "green")


def _say_lines(lines: Sequence[Line]) -> None:
    for sign, text in lines[:_MOST]:
        say(f"  {sign} {text}".rstrip(), _STYLES[sign])
    if len(lines) > _MOST:
        say(f"    … {counted(len(lines) - _MOST, 'more line')}: --format json has all.")
