"""What a change means, beyond its fields and runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boe_reconciler.core import names
from boe_reconciler.core.changes.impact import Impact, as_json, impact, tables
from boe_reconciler.core.changes.impact.words import sections
from boe_reconciler.core.changes.runs import timetable
from boe_reconciler.core.due import expiry
from boe_reconciler.core.limits import blackout_end
from boe_reconciler.core.plan import Plan
from boe_reconciler.core.runs import Pause, PauseTarget
from boe_reconciler.core.spec import PlannedSchedule
from tests.builders import a_pause, a_schedule, an_activation, at
from tests.revisions import GOOD, NOW, a_document, plan_of

_NONE = Impact()


def a_plan(*schedules: PlannedSchedule) -> Plan:
    return Plan(problems=(), activation=an_activation(*schedules), blobs={})


def between(
    before: Sequence[PlannedSchedule],
    after: Sequence[PlannedSchedule],
    *,
    now: datetime = NOW,
    days: int = 30,
    pauses: Sequence[Pause] = (),
) -> Impact:
    return impact(a_plan(*before), a_plan(*after), now=now, days=days, pauses=pauses)


def told(found: Impact) -> dict[str, list[str]]:
    """Its sentences; it is also sound JSON."""
    assert json.loads(json.dumps(as_json(found))) == as_json(found)
    return {
        section.title: [text for _, text in section.lines]
        for section in sections(found)
    }


def cron(text: str, timezone: str = "UTC", **fields: Any) -> dict[str, Any]:
    return {"every": None, "cron": text, "timezone": timezone, **fields}


def a_cron(
    name: str, text: str, timezone: str = "UTC", **fields: Any
) -> PlannedSchedule:
    """A Schedule by cron, in a zone, that writes where no other one does."""
    found = a_schedule(name, when=cron(text, timezone), timezone=timezone, **fields)
    zoned = found.occurrences.model_copy(update={"timezone": timezone})
    return replace(found, occurrences=zoned)


def a_report(query: str = "select 1", **fields: Any) -> dict[str, Any]:
    return {"report": {"connection": "flights", "query": query, **fields}}


# --- In all ---------------------------------------------------------------------------


def test_a_plan_against_itself_means_nothing() -> None:
    plan = plan_of(GOOD)
    assert impact(plan, plan, now=NOW, days=30) == replace(
        _NONE, **{field: [] for field in as_json(_NONE)}
    )


def test_findings_are_plain_values_in_json() -> None:
    before, after = a_cron("a", "0 6 * * *"), a_cron("a", "0 18 * * *", "Europe/Berlin")
    found = as_json(between([before], [after]))
    assert list(found) == [
        "tables",
        "connections",
        "reads_elsewhere",
        "owners",
        "hidden",
        "resumed",
        "switch_days",
        "load",
        "clock_changes",
        "blackouts",
        "same_files",
    ]
    assert found["switch_days"] == [
        {
            "schedule": "a",
            "day": "2026-11-23",
            "already": 1,
            "still": 1,
            "before": {
                "utc": "2026-11-23T06:00:00Z",
                "local": "2026-11-23T06:00:00+00:00",
                "timezone": "UTC",
            },
            "after": {
                "utc": "2026-11-23T17:00:00Z",
                "local": "2026-11-23T18:00:00+01:00",
                "timezone": "Europe/Berlin",
            },
        }
    ]


# --- What is read ---------------------------------------------------------------------


def test_tables_newly_read_and_no_longer_are_told_by_report() -> None:
    files = a_document("Connection", "db", "type: duckdb\nfiles: {trips: in/*.csv}")
    old = {
        **GOOD,
        "connections/db.yaml": files,
        "reports/sales.yaml": a_document(
            "Report", "sales", "connection: db\nquery: select * from orders"
        ),
        "schedules/weekly.yaml": GOOD["schedules/daily.yaml"].replace(
            "daily", "weekly"
        ),
    }
    new = {
        **old,
        "reports/sales.yaml": a_document(
            "Report", "sales", "connection: db\nquery: select * from trips, salaries"
        ),
    }
    found = impact(plan_of(old), plan_of(new), now=NOW, days=3)
    assert sections(found)[0].lines == [
        ("+", "report sales (daily, weekly) newly reads salaries, trips (in/*.csv)"),
        ("-", "report sales (daily, weekly) no longer reads orders"),
    ]


def test_every_query_of_a_run_is_read() -> None:
    sheets = [
        {"name": "S", "query": "from sheets"},
        {"name": "F", "query_file": "f.sql"},
    ]
    after = a_schedule(
        report={
            "connection": "flights",
            "workbook": {"sheets": sheets},
            "checks": [{"name": "c", "query": "from checks"}],
        },
        only_if={"query": "select true from conditions"},
        wait_for=[{"file": "x.csv"}, {"query": "select true from arrivals"}],
    )
    [found] = between([a_schedule()], [after]).tables
    assert found.gained == ("arrivals", "checks", "conditions", "sheets")


def test_other_files_behind_a_view_are_another_reading() -> None:
    def reading(path: str) -> PlannedSchedule:
        connection = {"type": "duckdb", "files": {"Trips": path}}
        return a_schedule(**a_report("from trips"), connection=connection)

    [found] = between([reading("a.csv")], [reading("b.csv")]).tables
    assert (found.gained, found.lost) == (("trips (b.csv)",), ("trips (a.csv)",))


def test_a_new_schedule_reads_its_tables_newly_and_a_removed_one_is_told_elsewhere() -> (
    None
):
    one = a_schedule(**a_report("from orders"))
    assert [each.gained for each in between([], [one]).tables] == [("orders",)]
    assert not between([one], []).tables
    assert not impact(None, a_plan(one), now=NOW, days=1).tables


def test_a_new_schedule_reads_nothing_newly_of_a_report_that_is_in_use() -> None:
    used = a_schedule("old", **a_report("from orders"), report_name="sales")
    new = a_schedule("new", **a_report("from orders"), report_name="sales")
    assert not between([used], [used, new]).tables
    asks = {"only_if": {"query": "from loads"}}
    new = a_schedule("new", **a_report("from orders"), **asks, report_name="sales")
    assert [one.gained for one in between([used], [used, new]).tables] == [("loads",)]


def test_of_a_query_that_cannot_be_read_nothing_is_claimed() -> None:
    good, bad = (
        a_schedule(**a_report("from a")),
        a_schedule(**a_report("select from )")),
    )
    why = "sqlglot stops in line 1, column 13"
    assert told(between([good], [bad]))["What is read"] == [
        f"report daily (daily): the tables of its query are not known, because {why}"
    ]
    assert told(between([bad], [good]))["What is read"] == [
        "report daily (daily) newly reads a",
        "report daily (daily): the tables of its former query are not known, "
        f"because {why}",
    ]


def test_more_sql_than_can_be_read_in_time_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "MOST_TEXT", 30)
    after = [
        a_schedule(name, **a_report(f"from {name}_orders")) for name in ("a", "b", "c")
    ]
    before = [a_schedule(name, report_name=name) for name in "abc"]
    found = between(before, after).tables
    assert [(one.gained, [each.why for each in one.unread]) for one in found] == [
        (("a_orders",), []),
        ((), ["too much SQL changed at once to read it all"]),
        ((), ["too much SQL changed at once to read it all"]),
    ]


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("postgresql+psycopg://u@h/d", "select x ? 'k' from \"T\""),
        ("mssql+pyodbc://u@h/d", "select top 5 * from [T]"),
        ("mysql+pymysql://u@h/d", "select `x` from `T`"),
        ("nobody://u@h/d", 'select * from "T"'),
    ],
)
def test_the_dialect_comes_from_the_url(url: str, query: str) -> None:
    connection = {"type": "sql", "url": url}
    after = a_schedule(**a_report(query), connection=connection)
    [found] = between([], [after]).tables
    assert [name.lower() for name in found.gained] == ["t"]


def test_words_that_change_nothing_that_is_read_are_not_told() -> None:
    before, after = (a_schedule(**a_report(f"select {x} from a")) for x in ("x", "y"))
    assert not between([before], [after]).tables


# --- People and far sides -------------------------------------------------------------


def test_who_is_told_of_failures_from_now_on() -> None:
    names = ("a", "b", "c", "d", "e", "f", "g")
    before = [a_schedule(name) for name in names]
    after = [a_schedule(name, owner="anna@example.com") for name in names]
    found = between(before, [*after, a_schedule("new", owner="carl@example.com")])
    assert told(found)["Who is told of failures"] == [
        "anna@example.com instead of ops@example.com: a, b, c, d, e and 2 more"
    ]


def test_a_connection_that_leads_elsewhere_is_told_with_its_schedules() -> None:
    def files(host: str) -> dict[str, str]:
        spec = (
            f"type: postgres\nhost: {host}\ndatabase: d\nuser: u\npassword: {{env: P}}"
        )
        return {**GOOD, "connections/db.yaml": a_document("Connection", "db", spec)}

    found = impact(plan_of(files("old")), plan_of(files("new")), now=NOW, days=1)
    assert told(found) == {
        "Connections that lead elsewhere": [
            "db: host from old to new; daily reads over it"
        ]
    }


def test_a_connection_is_compared_as_the_environment_makes_it() -> None:
    def files(path: str) -> dict[str, str]:
        over = f"connections: {{db: {{path: {path}}}}}"
        return {**GOOD, "environments/e.yaml": a_document("Environment", "e", over)}

    one, two = (plan_of(files(f"{x}.db"), environment="e") for x in "ab")
    assert told(impact(one, two, now=NOW, days=1)) == {
        "Connections that lead elsewhere": [
            "db: path from a.db to b.db; daily reads over it"
        ]
    }


def test_those_who_deliver_over_a_connection_are_told_apart() -> None:
    def plan(port: str) -> Plan:
        spec = {"type": "sftp", "connection": "far", "base_path": "in"}
        targets = [{"key": "sftp", "distribution": None, "spec": spec}]
        schedules = [a_schedule(name, destinations=targets) for name in "ab"]
        found = an_activation(*schedules)
        far = replace(
            found.objects[0],
            kind="Connection",
            name="far",
            data={"spec": {"type": "sftp", **({"port": port} if port else {})}},
        )
        unused = replace(far, name="unused")
        objects = [*found.objects, far, unused]
        return Plan(problems=(), activation=replace(found, objects=objects), blobs={})

    found = impact(plan(""), plan("2222"), now=NOW, days=1)
    assert told(found)["Connections that lead elsewhere"] == [
        "far: port from nothing to 2222; a, b deliver over it",
        "unused: port from nothing to 2222; no schedule uses it",
    ]
    assert not impact(None, plan("22"), now=NOW, days=1).connections


def test_a_report_that_reads_over_another_connection_is_told() -> None:
    found = between([a_schedule()], [a_schedule(connection_name="copy")])
    assert told(found)["What is read"] == ["daily from copy instead of flights"]


# --- Pauses ---------------------------------------------------------------------------


def test_a_pause_in_git_hides_a_change() -> None:
    paused = a_schedule(paused=True)
    other = a_schedule(paused=True, title="Other")
    assert told(between([paused], [other])) == {
        "Without effect while paused": ["daily is changed, and is `paused` in git"]
    }
    assert told(between([], [paused]))["Without effect while paused"] == [
        "daily is added, and is `paused` in git"
    ]


def test_a_pause_at_run_time_hides_a_change() -> None:
    until = at("2026-12-01 06:00")
    pauses = [a_pause(NOW, until=until), a_pause(NOW, value="else")]
    found = between([a_schedule()], [a_schedule(title="Other")], pauses=pauses)
    assert told(found)["Without effect while paused"] == [
        "daily is changed, and is paused until 2026-12-01 06:00 UTC by schedule daily"
        f": {pauses[0].why}"
    ]
    everything = replace(pauses[1], target=PauseTarget.ALL, value="", why="")
    found = between([a_schedule()], [a_schedule(title="Other")], pauses=[everything])
    assert told(found)["Without effect while paused"] == [
        "daily is changed, and is paused by all"
    ]


def test_pausing_hides_nothing_but_what_comes_with_it() -> None:
    assert not between([a_schedule()], [a_schedule(paused=True)]).hidden
    both = a_schedule(paused=True, title="Other")
    assert len(between([a_schedule()], [both]).hidden) == 1


def test_resuming_lets_runs_come() -> None:
    paused, live = a_schedule(paused=True), a_schedule()
    assert told(between([paused], [live], days=2)) == {
        "Resumed": ["daily: 48 runs, the first 2026-11-23 13:00 UTC"],
    }
    found = between([paused], [live], days=2, pauses=[a_pause(NOW)])
    assert told(found)["Resumed"] == [
        "daily: 48 runs, the first 2026-11-23 13:00 UTC; but a pause at run time "
        "(schedule daily) still holds it"
    ]
    never = {"every": None, "once": ["2020-01-01T00:00:00Z"]}
    over = between([a_schedule(paused=True)], [a_schedule(when=never)])
    assert told(over)["Resumed"] == ["daily: 0 runs"]


def test_a_renamed_schedule_is_one() -> None:
    new = a_schedule("new", renamed_from="old", owner="anna@example.com")
    [found] = between([a_schedule("old")], [new]).owners
    assert found.schedules == ["new"]
    kept = [a_schedule("old"), a_schedule("new", renamed_from="old")]
    assert not between([a_schedule("old")], kept).owners


# --- The day of the change ------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (
            "0 6 * * *",
            "0 18 * * *",
            "daily runs 2 times on 2026-11-23: last at 2026-11-23 06:00 UTC, and once "
            "more at 2026-11-23 18:00 UTC",
        ),
        (
            "0 18 * * *",
            "0 6 * * *",
            "daily does not run on 2026-11-23: 2026-11-23 18:00 UTC is no longer its "
            "time, and 2026-11-23 06:00 UTC is over",
        ),
        ("0 6 * * *", "0 7 * * *", None),
        ("0 17 * * *", "0 18 * * *", None),
        ("0 6 * * 2", "0 18 * * *", None),
    ],
)
def test_the_day_of_the_change(before: str, after: str, line: str | None) -> None:
    found = between([a_cron("daily", before)], [a_cron("daily", after)])
    assert told(found).get("If it is merged now") == (line and [line])


# --- Load -----------------------------------------------------------------------------


def test_the_minute_that_grows_most_is_told_in_both_times() -> None:
    stay = [a_cron(f"stay{n}", "30 6 * * *", "Europe/Berlin") for n in range(3)]
    moved = [a_cron("m", "0 9 * * *", "Europe/Berlin")]
    found = between(
        [*stay, *moved], [*stay, a_cron("m", "30 6 * * *", "Europe/Berlin")]
    )
    assert told(found)["Where it gets busier"] == [
        "2026-11-24 06:30 Europe/Berlin (05:30 UTC): from 3 to 4 runs, and in 29 "
        "other minutes"
    ]


def test_a_single_run_is_no_load() -> None:
    assert not between([], [a_cron("a", "0 6 * * *")]).load


def test_a_connection_is_told_when_more_meet_than_it_lets_in() -> None:
    def reads(name: str, most: int) -> PlannedSchedule:
        connection = {"type": "duckdb", "max_concurrent": most}
        return a_cron(name, "0 6 24 11 *", connection=connection)

    before, after = [reads("a", 1)], [reads("a", 1), reads("b", 1)]
    assert told(between(before, after))["Where it gets busier"] == [
        "2026-11-24 06:00 UTC (06:00 UTC): from 1 to 2 runs",
        "2026-11-24 06:00 UTC (06:00 UTC): from 1 to 2 runs that read over flights, "
        "which lets 1 in at once",
    ]
    roomy = between([reads("a", 2)], [reads("a", 2), reads("b", 2)])
    assert [one.connection for one in roomy.load] == [None]


def test_runs_that_come_over_from_another_connection_are_growth_of_this_one() -> None:
    limited = {"type": "duckdb", "max_concurrent": 1}
    stay = a_cron("a", "0 6 * * *", connection=limited, connection_name="c")
    before = a_cron("b", "0 6 * * *")
    after = a_cron("b", "0 6 * * *", connection=limited, connection_name="c")
    [found] = between([stay, before], [stay, after]).load
    assert (found.connection, found.before, found.after) == ("c", 1, 2)


_WHENS = st.sampled_from(
    [
        cron("0 6 * * *"),
        cron("0,30 */2 * * *"),
        cron("30 6 * * 1-5"),
        cron("0 7 * * *"),
        {"every": "10m"},
        {"every": "7m"},
        {"every": "45s", "end_at": "2026-11-23T16:00:00Z"},
        {"every": "1h", "anchor": "2026-01-01T00:00:30Z"},
    ]
)
_SETS = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(_WHENS, st.booleans()), max_size=5
)


def _schedules(chosen: dict[str, tuple[Any, bool]]) -> list[PlannedSchedule]:
    return [a_schedule(n, when=w, paused=p) for n, (w, p) in sorted(chosen.items())]


def _counted(schedules: Sequence[PlannedSchedule], days: int) -> Counter[datetime]:
    """Run by run, in the plainest way."""
    return Counter(
        run.replace(second=0)
        for one in schedules
        if not one.paused
        for run in timetable(one.occurrences).between(NOW, NOW + timedelta(days=days))
    )


@given(_SETS, _SETS)
def test_load_is_what_counting_run_by_run_gives(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    before, after = _schedules(old), _schedules(new)
    was, will = _counted(before, 1), _counted(after, 1)
    growth = {minute: will[minute] - was[minute] for minute in will}
    most = max(growth.values(), default=0)
    found = between(before, after, days=1).load
    fullest = max((will[at] for at in growth if growth[at] == most), default=0)
    if most <= 0 or fullest < 2:
        assert not found
        return
    [one] = found
    alike = [minute for minute in growth if growth[minute] == most]
    assert one.minute.at == min(at for at in alike if will[at] == fullest)
    assert (one.before, one.after) == (was[one.minute.at], will[one.minute.at])
    assert one.alike == len(alike)


# --- Clock changes --------------------------------------------------------------------


def test_clock_changes_that_a_changed_schedule_meets_within_a_year() -> None:
    before, after = a_cron("a", "0 6 * * *"), a_cron("a", "30 2 * * *", "Europe/Berlin")
    assert told(between([before], [after]))["Clock changes within a year"] == [
        "a: 2027-03-28 02:30 does not exist in Europe/Berlin; it runs at 03:30 "
        "(01:30 UTC)",
        "a: 2027-10-31 02:30 comes twice in Europe/Berlin; it runs at 02:30 (00:30 UTC)",
    ]
    other = a_cron("a", "30 2 * * *", "Europe/Berlin", title="Other")
    assert not between([after], [other]).clock_changes


def test_what_dst_says_is_told() -> None:
    when = cron("30 2 * * *", "Europe/Berlin", dst={"gap": "skip", "fold": "both"})
    one = a_schedule("a", when=when)
    zoned = one.occurrences.model_copy(update={"timezone": "Europe/Berlin"})
    found = between([], [replace(one, occurrences=zoned)])
    assert told(found)["Clock changes within a year"] == [
        "a: 2027-03-28 02:30 does not exist in Europe/Berlin; it does not run",
        "a: 2027-10-31 02:30 comes twice in Europe/Berlin; it runs at 02:30 "
        "(00:30 UTC) and 02:30 (01:30 UTC)",
    ]


def test_real_hours_meet_no_clock_change() -> None:
    found = between([], [a_cron("a", "*/30 * * * *", "Europe/Berlin"), a_schedule("b")])
    assert not found.clock_changes


# --- Blackouts ------------------------------------------------------------------------


def _blacked(name: str, when: dict[str, Any], *windows: Any, **rules: Any) -> Any:
    blackouts = [
        {"cron": text, "duration": duration, "timezone": "UTC"}
        for text, duration in windows
    ]
    connection = {"type": "duckdb", "blackouts": blackouts}
    return a_schedule(name, when=when, connection=connection, execution=rules)


def test_runs_in_a_blackout_wait_or_are_missed() -> None:
    window = ("0 1 * * *", "90m")
    waits = _blacked("waits", cron("30 1 * * *"), window)
    misses = _blacked("misses", cron("0,45 1 * * *"), window, deadline="1h")
    assert told(between([], [waits, misses], days=2))["Blackouts"] == [
        "misses: 4 runs in a blackout of flights, first 2026-11-24 01:00 UTC; held "
        "back, the longest 1h 30m; 2 missed by the deadline",
        "waits: 2 runs in a blackout of flights, first 2026-11-24 01:30 UTC; held back, "
        "the longest 1h",
    ]
    short = _blacked("s", cron("0 2 * * *"), ("0 1 * * *", "75m"), catchup_window="10m")
    assert told(between([], [short], days=1))["Blackouts"] == [
        "s: 1 run in a blackout of flights, first 2026-11-24 02:00 UTC; held back, the "
        "longest 15m; 1 missed by the catch-up window"
    ]


def test_only_changed_schedules_that_run_are_told_of_blackouts() -> None:
    one = _blacked("a", cron("30 1 * * *"), ("0 1 * * *", "90m"))
    assert not between([one], [one]).blackouts
    assert not between([], [replace(one, paused=True)]).blackouts
    assert not between(
        [], [_blacked("a", cron("0 4 * * *"), ("0 1 * * *", "90m"))]
    ).blackouts


_WINDOWS = st.lists(
    st.tuples(
        st.sampled_from(["0 1 * * *", "30 2 * * *", "0 */6 * * *", "15 11 23 11 *"]),
        st.sampled_from(["20m", "90m", "3h"]),
    ),
    max_size=3,
)
_RULES = st.sampled_from([{}, {"deadline": "30m"}, {"catchup_window": "1h"}])


@given(_WHENS, _WINDOWS, _RULES)
def test_blackouts_are_what_asking_run_by_run_gives(
    when: dict[str, Any], windows: Any, rules: dict[str, str]
) -> None:
    one = _blacked("a", when, *windows, **rules)
    runs = timetable(one.occurrences).between(NOW, NOW + timedelta(days=3))
    waits = []
    for run, following in zip(runs, [*runs[1:], None], strict=True):
        end = blackout_end(one.spec.connection, run)
        if end is not None and run <= NOW + timedelta(days=2):
            late = expiry(one.spec.execution, run, following)[0] < end
            waits.append((end - run, run, late))
    found = between([], [one], days=2).blackouts
    assert len(found) == bool(waits)
    for each in found:
        assert each.runs == len(waits)
        assert each.first.at == waits[0][1]
        assert each.longest_wait == max(waits)[0]
        assert each.missed == sum(late for _, _, late in waits)


# --- Files ----------------------------------------------------------------------------


def _writes(
    name: str, text: str = "0 6 * * *", pattern: str | None = None, **spec: Any
) -> PlannedSchedule:
    target = {"type": "local", "base_path": "out", **spec}
    return a_cron(
        name,
        text,
        report_title="Sales",
        export={"format": ["csv", "json"], "filename_pattern": pattern},
        destinations=[{"key": "l", "distribution": None, "spec": target}],
    )


def test_two_schedules_that_write_one_file_are_told() -> None:
    one, two = _writes("one"), _writes("two", "0 7 * * *", if_exists="overwrite")
    assert told(between([one], [one, two]))["Files of the same name"] == [
        "one, two: out/2026/11/24/Sales_2026-11-24.csv at 2026-11-24 07:00 UTC; the later "
        "one gets a number, or the later one overwrites the other",
        "one, two: out/2026/11/24/Sales_2026-11-24.json at 2026-11-24 07:00 UTC; the later "
        "one gets a number, or the later one overwrites the other",
    ]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (_writes("one"), _writes("two", base_path="elsewhere")),
        (_writes("one"), _writes("two", create_subdirs=False)),
        (_writes("one"), _writes("two", filename_pattern="{schedule_name}.csv")),
        (
            _writes("one", pattern="{time}"),
            _writes("two", "1 6 * * *", pattern="{time}"),
        ),
        (_writes("one"), _writes("two", "0 6 1 1 *")),
        (_writes("one"), replace(_writes("two"), paused=True)),
        (
            _writes("one"),
            a_schedule(
                "two",
                destinations=[
                    {
                        "key": "s",
                        "distribution": None,
                        "spec": {
                            "type": "sftp",
                            "connection": "far",
                            "base_path": "out",
                        },
                    }
                ],
            ),
        ),
    ],
)
def test_files_of_other_names_or_folders_are_not(
    one: PlannedSchedule, two: PlannedSchedule
) -> None:
    assert not between([one], [one, two]).same_files


def test_files_of_schedules_that_stay_as_they_are_are_not_told_again() -> None:
    both = [_writes("one"), _writes("two")]
    assert not between(both, [*both, _writes("three", base_path="else")]).same_files


def test_the_period_is_part_of_a_name() -> None:
    old = replace(_writes("one", pattern="{period}"), paused=False)
    period = old.spec.model_copy(update={"period": "previous_month"})
    one = replace(old, spec=period)
    two = replace(one, name="two", spec=period.model_copy(update={"schedule": "two"}))
    found = between([one], [one, two]).same_files
    assert [each.path for each in found] == ["out/2026/11/24/2026-10"]


def test_a_name_with_the_hour_is_another_one_each_hour() -> None:
    one, two, three = (
        _writes(name, text, pattern="{date:%Y%m%d%H}")
        for name, text in (
            ("one", "0 6 * * *"),
            ("two", "30 6 * * *"),
            ("x", "0 7 * * *"),
        )
    )
    assert not between([one], [one, three]).same_files
    found = between([one], [one, two]).same_files
    assert [each.path for each in found] == ["out/2026/11/24/2026112406"]


def test_many_schedules_of_one_folder_make_each_name_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []
    real = names.file_name

    def counted(pattern: str, values: names.NameValues) -> str:
        made.append(values.occurrence)
        return real(pattern, values)

    monkeypatch.setattr(names, "file_name", counted)
    old = [_writes(f"s{number}", f"{number} 6 * * *") for number in range(50)]
    found = between(old, [*old, _writes("new")]).same_files
    assert {len(each.schedules) for each in found} == {51}
    assert len(made) < 200
