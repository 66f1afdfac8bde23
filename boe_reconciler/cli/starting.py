"""`boe init` and `boe new`: the first files, with comments that teach."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boe_reconciler.cli.door import door
from boe_reconciler.cli.output import near, say
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.language.suggest import did_you_mean

if TYPE_CHECKING:
    from holidays import HolidayBase

    from boe_reconciler.cli.wizard import Answers, Desk

_SCHEMA = "schema/boe.schema.json"
#: Where nobody says another one.
_ZONE = "Europe/Berlin"
_STARTER = files("boe_reconciler.cli") / "starter"


class Forge(StrEnum):
    GITHUB = "github"
    GITLAB = "gitlab"
    BOTH = "both"
    NONE = "none"


#: What is left out. Both is the default: a forge does not see the other's files, and
#: where a repo will be pushed to is often not known yet.
_GITHUB, _GITLAB = ".github/", ".gitlab-ci.yml"
_NOT_FOR = {
    Forge.GITHUB: (_GITLAB,),
    Forge.GITLAB: (_GITHUB,),
    Forge.BOTH: (),
    Forge.NONE: (_GITHUB, _GITLAB, "CODEOWNERS"),
}


class NewKind(StrEnum):
    SCHEDULE = "schedule"
    REPORT = "report"
    CONNECTION = "connection"
    DISTRIBUTION = "distribution"
    GROUP = "group"
    CALENDAR = "calendar"


_ABOUT = {
    "schedule": "which report leaves when, as what, and to whom",
    "report": "a query, and how its columns look",
    "connection": "where rows come from",
    "distribution": "where files go",
    "group": "people",
    "calendar": "days off, from the public holidays of a country",
}


def add_to(boe: typer.Typer) -> None:
    boe.command()(init)
    boe.command()(new)


# --- init ---------------------------------------------------------------------


def init(
    context: typer.Context,
    directory: Annotated[Path | None, typer.Argument(metavar="DIR")] = None,
    owner: Annotated[
        str, typer.Option(metavar="X", help="Who owns the first files.")
    ] = "you@example.com",
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="The zone of its times.")
    ] = _ZONE,
    forge: Annotated[
        Forge,
        typer.Option(
            metavar="github|gitlab|both|none", help="Whose CI gets its files."
        ),
    ] = Forge.BOTH,
) -> int:
    """Write a small repo that runs at once, and that a team can use.

    It has one schedule over one CSV file, the schema for editors, a Makefile, and
    what CI and pre-commit need. Files of yours that are there already stay.

    \b
    Examples:
      boe init my-reports --owner anna@example.com --timezone Europe/Paris
      boe init --forge gitlab
      boe -C my-reports run --once --now-all
    """
    from boe_reconciler.core.language.schemas import render_schemas

    door_ = door(context)
    target = door_.settings().root / (directory or ".")
    _check_zone(timezone)
    values = {**_team_values(owner), "TIMEZONE": timezone}
    first = _starter("repo", values)
    _refuse_flaws(first)
    first |= {f"schema/{name}": text for name, text in render_schemas().items()}
    team = {
        path: text
        for path, text in _starter("team", values).items()
        if not any(path.startswith(start) for start in _NOT_FOR[forge])
    }
    kept = [path for path in team if os.path.lexists(target / path)]
    texts = first | {path: team[path] for path in team if path not in kept}
    write_new(target, texts)
    say(f"Wrote {len(texts)} files; times are those of {timezone} (policy.yaml).")
    top = door_.app(target).top
    _say_next(target, kept, in_git=top is not None)
    if top not in (None, target.resolve()):
        _warn_inside(target, top)
    return 0


def _team_values(owner: str) -> dict[str, str]:
    from boe_reconciler.app import installed_version

    rule = f"* {owner}" if "@" in owner else f"# * @YOUR-ORG/{owner}"
    return {"OWNER": owner, "CODEOWNER": rule, "VERSION": installed_version()}


def _starter(name: str, values: Mapping[str, str]) -> dict[str, str]:
    return {
        path.replace("dot-", "."): _filled(text, values)
        for path, text in _texts(_STARTER / name)
    }


def _say_next(target: Path, kept: Sequence[str], *, in_git: bool) -> None:
    say("Next:")
    shown = near(str(target))
    say(f"  boe -C {shown} validate")
    say(f"  boe -C {shown} run --once --now-all")
    if not in_git:
        say(f"  git init -b main {shown}   # then commit, and push it to your forge")
    if kept:
        say(f"Kept as they were: {', '.join(kept)}.")
    if ".gitignore" in kept:
        say("Add .boe/ and exports/ to .gitignore: they are not for git.")


def _warn_inside(target: Path, top: Path | None) -> None:
    """Forges look for their files at the root of a repo alone."""
    say(
        f"{near(str(target))} is a part of the git repo {top}. Forges and pre-commit "
        "read their files at its root: move them there, with `boe -C` in them; or "
        "make a repo of its own with `git init`."
    )


def _texts(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _texts(entry, f"{path}/")
        else:
            yield path, entry.read_text()


def _filled(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _refuse_flaws(texts: Mapping[str, str]) -> None:
    """InputError where what was asked for would not validate, such as an odd owner."""
    from boe_reconciler.core.language.documents import read_documents
    from boe_reconciler.core.language.load import load_resource

    for path, text in texts.items():
        if not path.endswith(".yaml"):
            continue
        documents, problems = read_documents(path, text.encode())
        for document in documents:
            problems += load_resource(document)[1]
        for problem in problems:
            where = ".".join(map(str, problem.path))
            raise InputError(f"{where}: {problem.detail}.", problem.help)


def write_new(target: Path, texts: Mapping[str, str]) -> None:
    """All or nothing; what exists is never overwritten."""
    for path in texts:
        if os.path.lexists(target / path):
            raise InputError(
                f"{target / path} exists already; nothing was written.",
                "Choose another folder or name.",
            )
    made: list[Path] = []
    try:
        for path, text in texts.items():
            _write(target / path, text, made)
    except OSError as error:
        _take_back(made)
        raise InputError(
            f"{error.filename or target}: {error.strerror}; nothing was written.",
            "Choose another folder, or one that may be written to.",
        ) from error
    except BaseException:
        _take_back(made)
        raise


def _write(file: Path, text: str, made: list[Path]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Not through a link that leads to nowhere yet, which may be anywhere.
    with file.open("x", encoding="utf-8") as opened:
        made.append(file)
        opened.write(text)


def _take_back(made: Sequence[Path]) -> None:
    for file in made:
        file.unlink(missing_ok=True)


# --- new ----------------------------------------------------------------------


def new(
    context: typer.Context,
    kind: Annotated[NewKind | None, typer.Argument(metavar="[KIND]")] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="For people.")
    ] = None,
    owner: Annotated[
        str | None, typer.Option(metavar="X", help="An address, or a Group's name.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="REPORT", help="schedule: what is exported.")
    ] = None,
    connection: Annotated[
        str | None, typer.Option(metavar="C", help="schedule: where --query reads.")
    ] = None,
    query: Annotated[
        str | None, typer.Option(metavar="SQL", help="schedule: instead of a report.")
    ] = None,
    when: Annotated[
        str | None,
        typer.Option(metavar="WORDS", help="schedule: as above, or a cron."),
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="schedule: such as Europe/Paris.")
    ] = None,
    calendar: Annotated[
        str | None, typer.Option(metavar="NAME", help="schedule: its days off.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--format", metavar="F", help="schedule: xlsx, csv, …")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="schedule: a Distribution, or a folder."),
    ] = None,
    country: Annotated[
        str | None, typer.Option(metavar="DE", help="calendar: whose public holidays.")
    ] = None,
    region: Annotated[
        str | None, typer.Option(metavar="BY", help="calendar: a part of the country.")
    ] = None,
    years: Annotated[
        str | None, typer.Option(metavar="2026-2028", help="calendar: which years.")
    ] = None,
) -> int:
    """Write one file to start from, with comments.

    KIND is schedule, report, connection, distribution, group or calendar. On a
    terminal it asks for what is not given, shows the file and the next runs, and
    writes when you say so. With KIND and NAME alone it writes an example to edit.

    WORDS are "weekdays at 06:30", "daily at 06:30", "weekly on monday at 06:30",
    "monthly on 1 at 06:30" or "monthly on business day 2 at 07:00".

    \b
    Examples:
      boe new
      boe new schedule sales-weekly --owner anna@example.com
      boe new schedule sales --report sales --when "weekdays at 06:30" --to archive
      boe new calendar de-bank-days --country DE --years 2026-2028
    """
    from boe_reconciler.cli.wizard import Answers

    root = door(context).settings().root
    answers = Answers(
        name=name,
        title=title,
        owner=owner,
        report=report,
        connection=connection,
        query=query,
        when=when,
        timezone=timezone,
        calendar=calendar,
        format=output,
        to=to,
    )
    example = kind and name and not (kind is NewKind.SCHEDULE and answers.says_more)
    if not example:
        return _ask(context, kind, answers, (country, region, years))
    check_new_name(name or "")
    files = _example(
        context, kind or NewKind.SCHEDULE, answers, (country, region, years)
    )
    _refuse_flaws(files)
    files = with_modeline(root, files)
    write_new(root, files)
    say(f"Wrote {', '.join(files)}. Edit it, then `boe validate`.")
    return 0


def _example(
    context: typer.Context,
    kind: NewKind,
    answers: Answers,
    holidays: tuple[str | None, str | None, str | None],
) -> dict[str, str]:
    """One file with comments, to be edited."""
    name = answers.name or ""
    if kind is NewKind.CALENDAR:
        country, region, years = holidays
        text = calendar_text(name, country, region, _years(years, context))
    else:
        _check_zone(answers.timezone or _ZONE)
        values = {
            "NAME": name,
            "OWNER": answers.owner or "you@example.com",
            "TITLE": answers.title or name.replace("-", " ").capitalize(),
            "ZONE": answers.timezone or _ZONE,
        }
        text = _filled((_STARTER / "new" / f"{kind}.yaml").read_text(), values)
    return {f"{kind}s/{name}.yaml": text}


def _ask(
    context: typer.Context,
    kind: NewKind | None,
    answers: Answers,
    holidays: tuple[str | None, str | None, str | None],
) -> int:
    from boe_reconciler.cli import dialogue, wizard

    asks = dialogue.on_a_terminal()
    if kind is None:
        if not asks:
            raise InputError("Missing: KIND and NAME.", "See `boe new --help`.")
        kind = NewKind(dialogue.choose("New", _ABOUT, "schedule"))
    desk = wizard.Desk.of(door(context).app())
    if kind is not NewKind.SCHEDULE:
        if not asks:
            raise InputError("Missing: NAME.", "See `boe new --help`.")
        return _ask_other(context, desk, kind, answers, holidays)
    wizard.check_given(desk, answers)
    answers = wizard.asked(desk, answers) if asks else wizard.checked(desk, answers)
    files = with_modeline(desk.root, wizard.schedule_files(desk, answers))
    if asks:
        return wizard.finish(desk, files, schedule=answers.name)
    if wizard.say_wrong(wizard.planned_with(desk, files), files):
        raise InputError("It would not be valid; nothing was written.")
    write_new(desk.root, files)
    wizard.say_next(files, answers.name)
    return 0


def _ask_other(
    context: typer.Context,
    desk: Desk,
    kind: NewKind,
    answers: Answers,
    holidays: tuple[str | None, str | None, str | None],
) -> int:
    """A file of another kind: an example, with what is there already filled in."""
    from boe_reconciler.cli import wizard
    from boe_reconciler.cli.dialogue import ask

    country, region, years = holidays
    what = kind.value.capitalize()
    if kind is NewKind.CALENDAR and country is None:
        country = wizard.ask_country(desk.zone)
    default = f"{country.lower()}-holidays" if country else f"my-{kind}"
    check = partial(wizard.check_name, desk, what, f"{kind}s")
    answers = replace(answers, name=answers.name or ask("Name", default, check))
    if kind is not NewKind.CALENDAR:
        answers = replace(answers, owner=answers.owner or wizard.ask_owner(desk))
    files = _example(context, kind, answers, (country, region, years))
    if kind is NewKind.REPORT and desk.databases():
        name = wizard.ask_connection(desk)
        files = {
            p: t.replace(": my-connection ", f": {name} ") for p, t in files.items()
        }
    return wizard.finish(desk, with_modeline(desk.root, files), schedule=None)


def check_country(text: str) -> str:
    _holidays(text.upper(), None, range(2026, 2027))
    return text.upper()


def with_modeline(root: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """With the line that names the schema, where the repo has one."""
    if not (root / _SCHEMA).exists():
        return dict(texts)
    line = f"# yaml-language-server: $schema=../{_SCHEMA}\n"
    return {path: f"{line}{text}" for path, text in texts.items()}


def check_new_name(name: str) -> None:
    import re

    from boe_reconciler.core.importing import slug
    from boe_reconciler.core.resources.types import NAME_PATTERN

    if not re.fullmatch(NAME_PATTERN, name) or len(name) > 63:
        raise InputError(
            f'"{name}" cannot be a name.',
            f"Small letters, digits and hyphens, 63 at most: {slug(name)}",
        )


def _check_zone(timezone: str) -> None:
    from boe_reconciler.core.calendar import check_timezone

    for finding in check_timezone(timezone):
        raise InputError(f"--timezone: {finding.detail}.", finding.help)


def _years(text: str | None, context: typer.Context) -> range:
    """ "2026-2028", "2026", or this year and the two after it."""
    this = door(context).app().clock.now().year
    first, _, last = (text or f"{this}-{this + 2}").partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        raise InputError("--years is written 2026 or 2026-2028.")
    years = range(int(first), int(last or first) + 1)
    if not (years and years[0] >= 1900 and years[-1] <= 2200 and len(years) <= 50):
        raise InputError(
            "--years: at most 50 years from 1900 to 2200, the first first."
        )
    return years


def calendar_text(
    name: str, country: str | None, region: str | None, years: range
) -> str:
    if country is None:
        raise InputError("A calendar needs --country, such as --country DE.")
    found = _holidays(country.upper(), region, years)
    lines = [
        f"    - {{from: {day}, to: {day}, why: {_quoted(why)}}}"
        for day, why in sorted(found.items())
        if day.year in years
    ]
    return "\n".join(
        (
            f"# Public holidays of {country.upper()}"
            f"{f' ({region})' if region else ''}, {years[0]} to {years[-1]}. Review them:",
            "# a bank's or a company's days off may differ.",
            "apiVersion: boe/v1",
            "kind: Calendar",
            f"metadata: {{name: {name}}}",
            "spec:",
            "  working_days: mon-fri",
            "  days_off:",
            *lines,
            "",
        )
    )


def _holidays(country: str, region: str | None, years: range) -> HolidayBase:
    import holidays

    supported = holidays.list_supported_countries()
    if country not in supported:
        todo = did_you_mean(country, supported, "Give a two-letter code, such as DE.")
        raise InputError(f'There are no holidays for "{country}".', todo)
    if region is not None and region not in supported[country]:
        known = ", ".join(supported[country]) or "none"
        raise InputError(f'{country} has no part "{region}".', f"It has {known}.")
    return holidays.country_holidays(country, subdiv=region, years=years)


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
