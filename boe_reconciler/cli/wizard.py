"""`boe new`, asking: a Schedule from answers, shown before it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from boe_reconciler.cli.dialogue import ask, choose, confirm
from boe_reconciler.cli.nextruns import timetable_of
from boe_reconciler.cli.output import local, say, say_table, utc
from boe_reconciler.core.errors import InputError
from boe_reconciler.core.wording import counted, sentence

if TYPE_CHECKING:
    from boe_reconciler.app import App
    from boe_reconciler.core.plan import Plan
    from boe_reconciler.core.snapshot import Snapshot

#: How many of the next runs are shown.
_SHOWN = 5
#: How many lines of a file are shown: a Calendar would push the rest off the screen.
_LINES = 24
_FORMATS = {
    "xlsx": "a workbook, for Excel",
    "csv": "text, a row a line",
    "tsv": "the same, with tabs",
    "json": "one list, for programs",
    "jsonl": "a JSON object a line",
    "parquet": "columns, for databases and notebooks",
    "html": "a web page",
    "pdf": "pages to read or print",
}
_NEW_QUERY, _NEW_CONNECTION, _NEW_FOLDER = "a new query", "new files", "a folder"
_NEW_CALENDAR, _NONE = "a new calendar", "none"
_TIME = r"(?P<time>\d[\d:]*)"
_DAYS = {
    "mon": "Monday",
    "tue": "Tuesday",
    "wed": "Wednesday",
    "thu": "Thursday",
    "fri": "Friday",
    "sat": "Saturday",
    "sun": "Sunday",
}
#: A day by its first three letters, or whole.
_DAY = rf"(?P<day>{'|'.join([*_DAYS, *_DAYS.values()]).lower()})"
#: What somebody wrote who did not mean a cron, whose words have three letters.
_WORDS = (
    'Write it as "weekdays at 07:15", "daily at 07:15", "weekly on mon at 07:15", '
    '"monthly on 1 at 07:15" or "monthly on business day 2 at 07:15"; '
    'or as a cron, such as "30 6 * * mon-fri".'
)
#: The words for a `when` -> its fields, which the words fill in.
_WHEN: tuple[tuple[str, tuple[str, ...]], ...] = (
    (rf"(?:every )?weekdays? at {_TIME}", ('cron: "{minute} {hour} * * mon-fri"',)),
    (rf"(?:daily|every day) at {_TIME}", ("frequency: daily", 'at: "{time}"')),
    (
        rf"(?:weekly on|every) {_DAY} at {_TIME}",
        ("frequency: weekly", "on: {day:.3}", 'at: "{time}"'),
    ),
    (
        rf"monthly on business day (?P<day>-?\d+) at {_TIME}",
        ("frequency: monthly", "on: {{business_day: {day}}}", 'at: "{time}"'),
    ),
    (
        rf"monthly on (?P<day>\d+|last) at {_TIME}",
        ("frequency: monthly", "on: {day}", 'at: "{time}"'),
    ),
)
_WAYS = {
    "weekdays": "every weekday at a time",
    "daily": "every day at a time",
    "weekly": "on one day of the week",
    "business day": "monthly, on the nth business day",
    "monthly": "monthly, on a day of the month",
    "cron": "anything else, in five fields",
}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What was given as options, and what was answered; None: not yet."""

    name: str | None = None
    title: str | None = None
    owner: str | None = None
    #: A Report's name; or a Connection and a query.
    report: str | None = None
    connection: str | None = None
    query: str | None = None
    #: "weekdays at 06:30", or a cron.
    when: str | None = None
    timezone: str | None = None
    calendar: str | None = None
    #: Whose public holidays a new Calendar holds.
    country: str | None = None
    format: str | None = None
    #: A Distribution's name, or a folder.
    to: str | None = None

    @property
    def says_more(self) -> bool:
        """Whether this is a Schedule's content, not only what stands above it."""
        said = (self.report, self.connection, self.query, self.when)
        return any((*said, self.calendar, self.format, self.to))


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What the questions are asked about."""

    app: App
    snapshot: Snapshot
    plan: Plan

    @classmethod
    def of(cls, app: App) -> Desk:
        from boe_reconciler.core.plan import make_plan

        snapshot = app.repo.snapshot()
        plan = make_plan(snapshot, served=None, now=app.clock.now())
        return cls(app=app, snapshot=snapshot, plan=plan)

    @property
    def root(self) -> Path:
        return self.app.settings.root

    def names(self, kind: str) -> list[str]:
        return sorted(one.name for one in self.plan.statuses if one.kind == kind)

    def databases(self) -> list[str]:
        from boe_reconciler.core.resources.connection import DATABASE_TYPES

        return [
            name
            for (kind, name), one in sorted(self.plan.objects.items())
            if kind == "Connection" and one.data["spec"]["type"] in DATABASE_TYPES
        ]

    @property
    def zone(self) -> str | None:
        """The Policy's default."""
        policies = (one for key, one in self.plan.objects.items() if key[0] == "Policy")
        for one in policies:
            zone = one.data["spec"].get("defaults", {}).get("timezone")
            return str(zone) if zone else None
        return None


# --- Checks of answers ----------------------------------------------------------


def check_name(desk: Desk, kind: str, folder: str, name: str) -> str:
    from boe_reconciler.cli.starting import check_new_name

    check_new_name(name)
    if name in desk.names(kind) or (desk.root / f"{folder}/{name}.yaml").exists():
        raise InputError(f'There is a {kind} "{name}" already.', "Choose another name.")
    return name


def check_owner(desk: Desk, owner: str) -> str:
    from boe_reconciler.core.language.addresses import address_flaw

    if "@" not in owner and owner not in desk.names("Group"):
        known = desk.names("Group")
        among = f", or a Group: {', '.join(known)}" if known else ""
        todo = f"Write an address, such as anna@example.com{among}."
        raise InputError(f'"{owner}" is neither an address nor a Group.', todo)
    flaw = address_flaw(owner) if "@" in owner else None
    if flaw:
        raise InputError(sentence(flaw))
    return owner


def fields_of_when(words: str) -> tuple[str, ...]:
    """Lines of YAML: "weekdays at 6:30", "monthly on business day 2 at 07:00", a cron."""
    for pattern, fields in _WHEN:
        found = re.fullmatch(pattern, words.strip().lower())
        if found:
            given = found.groupdict()
            given["time"] = check_time(given["time"])
            hour, minute = given["time"].split(":")
            return tuple(
                field.format(**given, hour=int(hour), minute=int(minute))
                for field in fields
            )
    if re.search(r"(?<!@)\b[a-z]{4}", words.lower()):
        raise InputError(f'--when "{words.strip()}" is not understood.', _WORDS)
    return (f'cron: "{check_cron(words.strip())}"',)


def check_time(text: str) -> str:
    from boe_reconciler.core.resources.types import parse_time

    padded = f"0{text}" if re.fullmatch(r"\d:\d\d", text) else text
    try:
        parse_time(padded)
    except ValueError:
        raise InputError(f'"{text}" is not a time.', "Write it as 06:30.") from None
    return padded


def check_cron(text: str) -> str:
    from datetime import timedelta

    from boe_reconciler.core.calendar import compile_when
    from boe_reconciler.core.resources.when import When

    compiled = compile_when(
        When(cron=text),
        calendar=None,
        default_timezone="UTC",
        min_interval=timedelta(seconds=1),
    )
    if compiled.timetable is None:
        finding = compiled.findings[0]
        raise InputError(sentence(finding.detail), finding.help)
    return text


def check_number(text: str) -> str:
    if not re.fullmatch(r"-?[1-9]\d?", text):
        raise InputError(f'"{text}" is not a number.', "Negative counts from the end.")
    return text


def check_day(text: str) -> str:
    if text != "last" and not (text.isdecimal() and 1 <= int(text) <= 31):
        raise InputError(f'"{text}" is no day of a month.', "Write 1 to 31, or last.")
    return text


def check_zone(text: str) -> str:
    from boe_reconciler.core.calendar import check_timezone

    for finding in check_timezone(text):
        raise InputError(sentence(finding.detail), finding.help)
    return text


def check_one_of(kind: str, known: Sequence[str], text: str) -> str:
    from boe_reconciler.core.language.suggest import did_you_mean

    if text not in known:
        otherwise = f"There are: {', '.join(known) or 'none'}."
        todo = did_you_mean(text, known, otherwise)
        raise InputError(f'There is no {kind} "{text}".', todo)
    return text


# --- Questions ------------------------------------------------------------------


def asked(desk: Desk, given: Answers) -> Answers:
    """All questions of a Schedule that are still open, in their order."""
    for step in (_what, _who, _rows, _moment, _place):
        given = step(desk, given)
    return given


def _what(desk: Desk, given: Answers) -> Answers:
    from boe_reconciler.core.importing import slug

    title = given.title or ask("Title, for people", "Sales by region")
    name = given.name or ask(
        "Name",
        slug(title),
        lambda text: check_name(desk, "Schedule", "schedules", text),
    )
    return replace(given, title=title, name=name)


def _who(desk: Desk, given: Answers) -> Answers:
    return replace(given, owner=given.owner or ask_owner(desk))


def ask_owner(desk: Desk) -> str:
    groups = desk.names("Group")
    default = desk.app.author or next(iter(groups), "you@example.com")
    among = f", or a Group ({', '.join(groups)})" if groups else ""
    return ask(
        f"Owner: an address{among}", default, lambda text: check_owner(desk, text)
    )


def _rows(desk: Desk, given: Answers) -> Answers:
    """Which report, or which query over which Connection."""
    if given.report or given.query:
        return given
    choices = dict.fromkeys(desk.names("Report"), "")
    choices[_NEW_QUERY] = "of this schedule alone"
    report = choose("Report", choices, next(iter(choices)))
    if report != _NEW_QUERY:
        return replace(given, report=report)
    connection = given.connection or ask_connection(desk)
    query = ask("Query, one SELECT", "select 1 as one")
    return replace(given, connection=connection, query=query)


def ask_connection(desk: Desk) -> str:
    known = desk.databases()
    choices = dict.fromkeys(known, "")
    choices[_NEW_CONNECTION] = "csv, parquet or json files"
    found = choose("Connection", choices, next(iter(choices)))
    if found != _NEW_CONNECTION:
        return found
    return ask(
        "Name of the new Connection",
        "files",
        lambda text: check_name(desk, "Connection", "connections", text),
    )


def _moment(desk: Desk, given: Answers) -> Answers:
    when = given.when or _ask_when()
    zone = given.timezone or _ask_zone(desk.zone or "Europe/Berlin")
    given = replace(given, when=when, timezone=zone)
    if given.calendar is None and ("business" in when or desk.names("Calendar")):
        return _ask_calendar(desk, given)
    return given


def _ask_calendar(desk: Desk, given: Answers) -> Answers:
    """Business days need one; other days do well without."""
    calendars = desk.names("Calendar")
    needed = "business" in (given.when or "")
    choices = {} if needed else {_NONE: "every day counts"}
    choices |= dict.fromkeys(calendars, "")
    choices[_NEW_CALENDAR] = "the public holidays of a country"
    found = choose("Calendar with days off", choices, next(iter(choices)))
    if found != _NEW_CALENDAR:
        return replace(given, calendar=None if found == _NONE else found)
    country = ask_country(given.timezone)
    default = f"{country.lower()}-holidays"
    check = partial(check_name, desk, "Calendar", "calendars")
    return replace(given, country=country, calendar=ask("Its name", default, check))


def ask_country(timezone: str | None) -> str:
    """A country that has public holidays; that of the zone is suggested."""
    import pytz

    from boe_reconciler.cli.starting import check_country

    countries = pytz.country_timezones.items()
    own = (code for code, zones in countries if timezone in zones)
    question = "Public holidays of which country, in two letters"
    return ask(question, next(own, "DE"), check_country)


def _ask_when() -> str:
    way = choose("When", _WAYS, "weekdays")
    if way == "cron":
        return ask("Minute, hour, day, month, day of week", "30 6 * * *", check_cron)
    if way == "weekly":
        way = f"weekly on {choose('Day', _DAYS, 'mon')}"
    elif way == "business day":
        number = ask("Which business day (-1: the last)", "2", check_number)
        way = f"monthly on business day {number}"
    elif way == "monthly":
        way = f"monthly on {ask('Day of the month, or last', '1', check_day)}"
    return f"{way} at {ask('At', '06:30', check_time)}"


def _ask_zone(default: str) -> str:
    """A zone, or a country whose zones are shown, or a city."""
    from boe_reconciler.core.calendar import zones

    found: list[str] = []

    def check(text: str) -> str:
        found[:] = zones.of_country(text) or zones.of_city(text)
        if found or text in zones.names() or zones.suggestions(text):
            return text if found else check_zone(text)
        raise InputError(
            f'"{text}" is not a time zone, a country or a city that has one.',
            "Write it as Europe/Berlin, Germany, Berlin or UTC.",
        )

    answer = ask("Time zone, or a country", default, check)
    if answer in zones.names():
        return answer
    if len(found) == 1:
        say(f"Time zone: {found[0]}")
        return found[0]
    return choose("Time zone", dict.fromkeys(found, ""), found[0])


def _place(desk: Desk, given: Answers) -> Answers:
    """As what, and to where."""
    form = given.format or choose("Format", _FORMATS, "xlsx")
    to = given.to
    if to is None:
        choices = dict.fromkeys(desk.names("Distribution"), "")
        choices[_NEW_FOLDER] = "of this machine"
        to = choose("Deliver to", choices, next(iter(choices)))
        if to == _NEW_FOLDER:
            to = ask("Folder, below the local root", "exports")
    return replace(given, format=form, to=to)


# --- Without a terminal ---------------------------------------------------------


def checked(desk: Desk, given: Answers) -> Answers:
    """Options as they are; InputError names all that are missing, or the wrong one."""
    zone = given.timezone or desk.zone
    wanted = {
        "NAME": given.name,
        "--owner": given.owner or desk.app.author,
        "--report (or --connection and --query)": given.report
        or (given.connection and given.query),
        "--when": given.when,
        "--timezone": zone,
        "--to": given.to,
    }
    missing = [flag for flag, value in wanted.items() if not value]
    if missing:
        todo = "Without a terminal nothing is asked."
        raise InputError(f"Missing: {', '.join(missing)}.", todo)
    return replace(
        given,
        title=given.title or (given.name or "").replace("-", " ").capitalize(),
        owner=given.owner or desk.app.author,
        timezone=zone,
        format=given.format or "xlsx",
    )


def check_given(desk: Desk, given: Answers) -> None:
    """InputError for the first option that cannot be."""
    checks: tuple[tuple[str | None, Callable[[str], str]], ...] = (
        (given.name, partial(check_name, desk, "Schedule", "schedules")),
        (given.owner, partial(check_owner, desk)),
        (given.report, partial(check_one_of, "Report", desk.names("Report"))),
        (given.connection, partial(check_one_of, "Connection", desk.databases())),
        (given.when, lambda words: str(fields_of_when(words))),
        (given.timezone, check_zone),
        (given.calendar, partial(check_one_of, "Calendar", desk.names("Calendar"))),
        (given.format, partial(check_one_of, "format", [*_FORMATS])),
    )
    for value, check in checks:
        if value:
            check(value)


# --- What is written ------------------------------------------------------------


def schedule_files(desk: Desk, answers: Answers) -> dict[str, str]:
    """Path -> text of the Schedule, and of what is new beside it."""
    from boe_reconciler.cli.starting import calendar_text

    files = {f"schedules/{answers.name}.yaml": _schedule(desk, answers)}
    connection = answers.connection
    if answers.query and connection and connection not in desk.names("Connection"):
        files[f"connections/{connection}.yaml"] = _connection(connection, answers)
    if answers.country:
        year = desk.app.clock.now().year
        years = range(year, year + 3)
        text = calendar_text(answers.calendar or "", answers.country, None, years)
        files[f"calendars/{answers.calendar}.yaml"] = text
    return files


def _connection(name: str, answers: Answers) -> str:
    path = ask("Path of the file, below the data root", f"data/{name}.csv")
    return "\n".join(
        (
            "apiVersion: boe/v1",
            "kind: Connection",
            "metadata:",
            f"  name: {name}",
            f"  owner: {_scalar(answers.owner)}",
            "spec:",
            "  type: duckdb",
            "  files:  # view name: csv, parquet or json files",
            f"    {re.sub(r'[^a-z0-9]+', '_', name)}: {_scalar(path)}",
            "",
        )
    )


def _schedule(desk: Desk, answers: Answers) -> str:
    calendar = answers.calendar
    lines = [
        "apiVersion: boe/v1",
        "kind: Schedule",
        "metadata:",
        f"  name: {answers.name}",
        f"  owner: {_scalar(answers.owner)}  # an e-mail address, or the name of a Group",
        f"  title: {_scalar(answers.title)}  # for people: lists and subjects",
        "spec:",
        *_report(answers),
        f"  when:  # {_one_line(answers.when)}",
        *(f"    {field}" for field in fields_of_when(answers.when or "")),
        f"    timezone: {answers.timezone}",
        *((f"    calendar: {calendar}  # days off are skipped",) if calendar else ()),
        "  export:",
        f"    format: {answers.format}  # or {', '.join(_others(answers.format))}",
        "  deliver_to:",
        *_destination(desk, answers.to or ""),
        "",
    ]
    return "\n".join(lines)


def _report(answers: Answers) -> list[str]:
    if answers.report:
        return [f"  report: {answers.report}  # the name of a Report"]
    return [
        "  report:  # a query of this schedule alone; a Report can be shared",
        f"    connection: {answers.connection}",
        f"    query: {_scalar(answers.query)}",
    ]


def _others(form: str | None) -> list[str]:
    return [name for name in _FORMATS if name != form]


def _destination(desk: Desk, to: str) -> list[str]:
    if to in desk.names("Distribution"):
        return [f"    - {to}  # the name of a Distribution"]
    return [
        "    - type: local",
        f"      base_path: {_scalar(to)}  # files go into YYYY/MM/DD below it",
    ]


def _scalar(text: str | None) -> str:
    """As YAML, in quotes where it needs them."""
    import json

    text = text or ""
    plain = re.fullmatch(r"[A-Za-z][\w@./ -]*[\w]", text)
    words = ("true", "false", "null", "yes", "no", "on", "off")
    if plain and text.lower() not in words:
        return text
    return json.dumps(text, ensure_ascii=False)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


# --- Preview, and the end -------------------------------------------------------


def finish(desk: Desk, files: Mapping[str, str], *, schedule: str | None) -> int:
    """Show what would be, ask, write, and say what comes next."""
    from boe_reconciler.cli.starting import write_new

    wrong = _preview(desk, files, schedule)
    if wrong and not confirm("Write it all the same?", default=False):
        say("Nothing was written.")
        return 1
    if not wrong and not confirm(f"Write {' and '.join(files)}?", default=True):
        say("Nothing was written.")
        return 0
    write_new(desk.root, files)
    say_next(files, schedule)
    return 1 if wrong else 0


def _preview(desk: Desk, files: Mapping[str, str], schedule: str | None) -> bool:
    """Whether something in it is wrong."""
    plan = planned_with(desk, files)
    for path, text in files.items():
        say(f"\n{path}", "bold")
        lines = text.splitlines()
        for line in lines[:_LINES]:
            say(f"  {line}", "dim" if line.lstrip().startswith("#") else "")
        if len(lines) > _LINES:
            say(f"  … {counted(len(lines) - _LINES, 'more line')}", "dim")
    say()
    if schedule in plan.schedules:
        _say_runs(desk, plan, schedule or "")
    return say_wrong(plan, files)


def planned_with(desk: Desk, files: Mapping[str, str]) -> Plan:
    """The whole repo, with the new files in it."""
    from boe_reconciler.core.plan import make_plan
    from boe_reconciler.core.plan.reading import with_files

    contents = {path: text.encode() for path, text in files.items()}
    snapshot = with_files(desk.snapshot, contents)
    return make_plan(snapshot, served=None, now=desk.app.clock.now())


def say_wrong(plan: Plan, files: Mapping[str, str]) -> bool:
    from boe_reconciler.cli.validating import say_problems

    found = [each for each in plan.problems if each.range.filename in files]
    say_problems(found)
    return any(problem.severity == "error" for problem in found)


def _say_runs(desk: Desk, plan: Plan, name: str) -> None:
    schedule = plan.schedules[name]
    timetable, zone = timetable_of(schedule), schedule.occurrences.timezone
    found = islice(timetable.iter(desk.app.clock.now(), None), _SHOWN)
    rows = [(local(one, zone), utc(one) or "") for one in found]
    if rows:
        say_table(["next runs", "UTC"], rows)
    say()


def say_next(files: Mapping[str, str], schedule: str | None) -> None:
    say(f"Wrote {' and '.join(files)}. Next:", "green")
    if schedule:
        say(f"  boe trigger {schedule} --dry-run   # build the file, deliver nothing")
    else:
        say("  boe validate                       # once it is as you want it")
    branch = Path(next(iter(files))).stem
    say(f"  git switch -c {branch}   # unless you are on a branch for it")
    say(f"  git add {' '.join(files)}")
    say("  git commit, git push -u origin HEAD, and open a pull request.")
    say("`boe plan --base main` shows what its comment will say.")
