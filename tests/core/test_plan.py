"""A revision -> a Plan: where values come from, who is limited, what may be read."""

from __future__ import annotations

import time

import pytest

from boe_reconciler.core.errors import InputError, Permanent
from boe_reconciler.core.plan import Plan, PlanCache, make_plan, reading, served_plan
from boe_reconciler.core.spec import RunSpec
from tests.revisions import (
    GOOD,
    NOW,
    Files,
    Ledger,
    a_document,
    a_snapshot,
    plan_of,
    spot,
    unmarked,
)


def spots(plan: Plan) -> set[tuple[str, str, int, int]]:
    return {spot(problem) for problem in plan.problems}


def a_schedule(name: str, owner: str = "ops@example.com", more: str = "") -> str:
    text = GOOD["schedules/daily.yaml"].replace("name: daily", f"name: {name}")
    return text.replace("ops@example.com", owner) + more


def marked(files: Files) -> tuple[Plan, set[tuple[str, str, int, int]]]:
    clean, expected = unmarked({**GOOD, **files})
    return plan_of(clean), expected


# --- Where a value came from ----------------------------------------------------------


def test_a_mistake_of_a_template_is_told_once_and_as_the_templates() -> None:
    template = a_document(
        "ScheduleTemplate",
        "nightly",
        """
        deliver_to: [⟦BOE100⟧nowhere]
        export: {filename_pattern: "{date}_⟦BOE160⟧{x}.csv", format: ⟦BOE037⟧xslx}
        when: {cron: ⟦BOE063⟧"30 6", timezone: UTC}
        """,
    )
    body = "spec: {report: sales, template: nightly}\n"
    files = {
        f"schedules/{name}.yaml": a_schedule(name).partition("spec:")[0] + body
        for name in ("a", "b")
    }
    plan, expected = marked({**files, "templates/nightly.yaml": template})
    assert spots(plan) == expected
    assert len(plan.problems) == len(expected)
    assert {one.name for one in plan.problems} == {"nightly"}
    assert set(plan.schedules) == {"daily"}


def test_a_file_that_a_template_names_is_looked_for_beside_the_template() -> None:
    inline = "{connection: db, query_file: night.sql}"
    template = a_document("ScheduleTemplate", "nightly", f"report: {inline}")
    schedule = a_schedule("a").replace("report: sales", "template: nightly")
    files = {
        **GOOD,
        "templates/nightly.yaml": template,
        "templates/night.sql": "select 1 as night",
        "schedules/a.yaml": schedule,
    }
    plan = plan_of(files)
    assert plan.problems == []
    assert plan.schedules["a"].spec.report.query == "select 1 as night"


def test_a_mistake_of_the_policys_defaults_is_told_once_and_as_the_policys() -> None:
    policy = a_document(
        "Policy",
        "policy",
        """
        defaults:
          timezone: ⟦BOE062⟧Berlin
          execution: {timeout: ⟦BOE038⟧soon}
        """,
    )
    without = a_schedule("a").replace(", timezone: UTC", "")
    plan, expected = marked({"policy.yaml": policy, "schedules/a.yaml": without})
    assert spots(plan) == expected
    assert len(plan.problems) == len(expected)
    assert {one.kind for one in plan.problems} == {"Policy"}


def test_a_blackout_without_a_zone_is_in_that_of_the_policy() -> None:
    windows = """
        type: duckdb
        blackouts:
        - {cron: "0 2 * * *", duration: 1h}
        - {cron: "0 4 * * *", duration: 1h, timezone: UTC}
    """
    policy = "defaults: {timezone: Asia/Tokyo}"
    files = {
        "policy.yaml": a_document("Policy", "policy", policy),
        "connections/db.yaml": a_document("Connection", "db", windows),
    }
    spec = plan_of({**GOOD, **files}).schedules["daily"].spec
    zones = [window.timezone for window in spec.connection.blackouts]
    assert zones == ["Asia/Tokyo", "UTC"]
    assert RunSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


def test_defaults_lie_under_templates_under_the_schedule() -> None:
    policy = """
        defaults:
          timezone: Asia/Tokyo
          execution: {timeout: 1m, grace: 2m, deadline: 3m}
    """
    template = "execution: {timeout: 4m, grace: 5m}"
    schedule = a_schedule(
        "a", more="  template: nightly\n  execution: {timeout: 6m, deadline: null}\n"
    )
    plan = plan_of(
        {
            **GOOD,
            "policy.yaml": a_document("Policy", "policy", policy),
            "templates/t.yaml": a_document("ScheduleTemplate", "nightly", template),
            "schedules/a.yaml": schedule.replace(", timezone: UTC", ""),
        }
    )
    assert plan.problems == []
    found = plan.schedules["a"].spec.model_dump(mode="json")
    assert found["timezone"] == "Asia/Tokyo"
    assert found["execution"]["timeout"] == "6m"
    assert found["execution"]["grace"] == "5m"
    assert found["execution"]["deadline"] is None


def test_a_default_of_a_shared_report_is_told_once_where_it_stands() -> None:
    report = a_document(
        "Report",
        "sales",
        """
        connection: db
        query: select :a, :b, :c, :d
        parameters:
          a: {type: int, default: ⟦BOE107⟧"{{ owner }}"}
          b: {type: string, default: ⟦BOE181⟧"{{ perod }}"}
          c: {type: date, default: "{{ period.start }}"}
          d: {type: string, default: ⟦BOE181⟧"{{ occurrence.yaer }}"}
        """,
    )
    files = {f"schedules/{n}.yaml": a_schedule(f"n{n}") for n in range(3)}
    plan, expected = marked({**files, "reports/sales.yaml": report})
    assert spots(plan) == expected
    assert len(plan.problems) == 3


def test_a_default_that_needs_a_period_is_told_at_the_schedule_without_one() -> None:
    report = a_document(
        "Report",
        "sales",
        """
        connection: db
        query: select :a
        parameters: {a: {type: date, default: "{{ period.start }}"}}
        """,
    )
    files = {
        "reports/sales.yaml": report,
        "schedules/daily.yaml": GOOD["schedules/daily.yaml"].replace(
            "report: sales", "⟦BOE181⟧report: sales"
        ),
        "schedules/monthly.yaml": a_schedule(
            "monthly", more="  period: current_month\n"
        ),
    }
    plan, expected = marked(files)
    assert spots(plan) == expected
    assert set(plan.schedules) == {"monthly"}


def test_what_a_burst_gives_each_part_is_not_known_before() -> None:
    report = a_document(
        "Report",
        "sales",
        """
        connection: db
        query: select :a
        parameters: {a: {type: date}}
        """,
    )
    more = '  parameters: {a: "{{ part.day }}"}\n'
    more += "  burst: {recipients_query: select 1, split_on: day, mode: query}\n"
    files = {
        "reports/sales.yaml": report,
        "schedules/a.yaml": a_schedule("a", more=more),
    }
    plan, _ = marked(files)
    assert plan.problems == []


# --- Limits ---------------------------------------------------------------------------


def crowd(count: int) -> dict[str, str]:
    return {
        f"schedules/n{n:02}.yaml": a_schedule(f"n{n:02}", "anna@example.com")
        for n in range(count)
    }


def detail(plan: Plan) -> list[str]:
    return [f"{problem.range.filename}: {problem.detail}" for problem in plan.problems]


def test_the_11th_schedule_of_an_owner_names_the_limit_and_where_it_is_set() -> None:
    found = plan_of({**GOOD, **crowd(12)})
    assert detail(found) == [
        f"schedules/n{n}.yaml: anna@example.com may have 10 schedules "
        f"(schedules_per_owner, the built-in default); this is number {n + 1}"
        for n in (10, 11)
    ]
    assert len(found.schedules) == 11


@pytest.mark.parametrize(
    ("limits", "where"),
    [
        ("schedules_per_owner: 2", "policy.yaml:7"),
        ("schedules_per_owner:\n    anna@example.com: 2", "policy.yaml:8"),
        ("min_interval: 5m\n  schedules_per_owner: {default: 2}", "policy.yaml:8"),
    ],
)
def test_the_limit_is_shown_at_its_line_of_the_policy(limits: str, where: str) -> None:
    policy = a_document("Policy", "policy", f"limits:\n  {limits}")
    plan = plan_of({**GOOD, **crowd(3), "policy.yaml": policy})
    told = f"2 schedules (schedules_per_owner, {where}); this is number 3"
    assert [told in one for one in detail(plan)] == [True]


def test_an_owner_whom_the_limits_do_not_name_has_the_built_in_one() -> None:
    policy = a_document(
        "Policy", "policy", "limits: {schedules_per_owner: {finance: 1}}"
    )
    plan = plan_of({**GOOD, **crowd(11), "policy.yaml": policy})
    assert "may have 10 schedules (schedules_per_owner, the built-in" in detail(plan)[0]


def test_those_that_are_served_stay_and_count_first() -> None:
    ledger = Ledger()
    later = {path: text for path, text in crowd(12).items() if path >= "schedules/n02"}
    ledger.step({**GOOD, **later})
    plan = ledger.plan({**GOOD, **crowd(12)})
    assert [one.split(":")[0] for one in detail(plan)] == [
        "schedules/n00.yaml",
        "schedules/n01.yaml",
    ]


def test_another_owner_counts_anew() -> None:
    ledger = Ledger()
    ledger.step(
        {**GOOD, **crowd(10), "schedules/a.yaml": a_schedule("a", "bob@example.com")}
    )
    moved = {"schedules/a.yaml": a_schedule("a", "anna@example.com")}
    plan = ledger.plan({**GOOD, **crowd(10), **moved})
    assert [one.split(":")[0] for one in detail(plan)] == ["schedules/a.yaml"]


def test_paused_ones_count_and_ownerless_and_second_ones_do_not() -> None:
    files = {path: text + "  paused: true\n" for path, text in crowd(10).items()}
    ownerless = {
        f"schedules/o{n}.yaml": a_schedule(f"o{n}").replace(
            "  owner: ops@example.com\n", ""
        )
        for n in range(11)
    }
    plan = plan_of({**GOOD, **files, **ownerless})
    assert {problem.code for problem in plan.problems} == {"BOE041"}
    plan = plan_of({**GOOD, **files, "schedules/z.yaml": files["schedules/n00.yaml"]})
    assert {problem.code for problem in plan.problems} == {"BOE101"}
    plan = plan_of(
        {**GOOD, **files, "schedules/z.yaml": a_schedule("z", "anna@example.com")}
    )
    assert {problem.code for problem in plan.problems} == {"BOE130"}


# --- Paths ----------------------------------------------------------------------------

ATTACKS = {
    "../../etc/passwd": "BOE104",
    "../../../repo/reports/x.sql": "BOE104",
    "a/../../x.sql": "BOE104",
    "/etc/passwd": "BOE104",
    "//etc/passwd": "BOE104",
    "~/x.sql": "BOE104",
    "~root/x.sql": "BOE104",
    "x\\0.sql": "BOE104",
    "x\\u202e.sql": "BOE104",
    "..\\\\x.sql": "BOE104",
    "C:/x.sql": "BOE104",
    "..//etc/passwd": "BOE104",
    " ": "BOE104",
    "x" * 300: "BOE104",
    # Look-alikes lead nowhere else: they are names like any other.
    "\u2024\u2024/x.sql": "BOE103",
    "\uff0e\uff0e\uff0fx.sql": "BOE103",
    "reports\u2215x.sql": "BOE103",
    "%2e%2e/x.sql": "BOE103",
    "$HOME/x.sql": "BOE103",
    "linked.sql": "BOE103",
}


@pytest.mark.parametrize("path", ATTACKS)
def test_a_query_file_is_never_read_outside_the_repo(path: str) -> None:
    report = a_document("Report", "x", f'connection: db\nquery_file: "{path}"')
    files = {**GOOD, "reports/x.yaml": report}
    linked = (
        {"reports/linked.sql": "it is a symbolic link"} if path == "linked.sql" else {}
    )
    snapshot = a_snapshot(files, linked)
    read: list[str] = []

    def watched(name: str) -> bytes:
        read.append(name)
        return snapshot.read(name)

    plan = make_plan(
        type(snapshot)(
            revision=snapshot.revision,
            files=snapshot.files,
            unreadable=linked,
            read=watched,
        ),
        served=None,
        now=NOW,
    )
    assert [spot(each) for each in plan.problems] == [
        (ATTACKS[path], "reports/x.yaml", 8, 15)
    ]
    assert set(read) == set(files)


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc",
        "~/x",
        "x/../../y",
        "x\\0",
        "\\\\\\\\host\\\\share",
        "C:/x",
        " ",
        "a/" + "x" * 300,
    ],
)
def test_a_folder_never_leaves_its_root(path: str) -> None:
    spec = f'destinations: [{{type: local, base_path: "{path}"}}]'
    plan = plan_of(
        {**GOOD, "distributions/d.yaml": a_document("Distribution", "d", spec)}
    )
    assert [spot(one) for one in plan.problems] == [
        ("BOE166", "distributions/d.yaml", 7, 43)
    ]
    assert "local_roots: the built-in default" in plan.problems[0].help


def test_absolute_folders_are_allowed_by_the_policy_alone() -> None:
    spec = "destinations: [{type: local, base_path: /srv/exports/x}]"
    policy = a_document(
        "Policy", "policy", "allow: {local_roots: [exports, /srv/exports]}"
    )
    files = {**GOOD, "distributions/d.yaml": a_document("Distribution", "d", spec)}
    assert {one.code for one in plan_of(files).problems} == {"BOE166"}
    assert plan_of({**files, "policy.yaml": policy}).problems == []


def test_a_file_is_found_by_its_path_from_the_yaml_that_names_it() -> None:
    report = a_document("Report", "x", "connection: db\nquery_file: ../../sql/x.sql")
    files = {
        **GOOD,
        "reports/deep/x.yaml": report,
        "sql/x.sql": "\ufeffselect 2 as two",
    }
    plan = plan_of({**files, "schedules/a.yaml": a_schedule("a").replace("sales", "x")})
    assert plan.problems == []
    assert plan.schedules["a"].spec.report.query == "select 2 as two"


# --- What a plan carries --------------------------------------------------------------


def test_the_spec_of_a_run_needs_nothing_else() -> None:
    files = {
        **GOOD,
        "policy.yaml": a_document(
            "Policy", "policy", "limits: {max_rows: 7, max_artifact: 2MB}"
        ),
        "reports/book.xlsx": b"PK\x03\x04",
        "reports/x.yaml": a_document(
            "Report",
            "x",
            """
            connection: db
            workbook: {template: book.xlsx, sheets: [{name: A, query_file: a.sql}]}
            """,
        ),
        "reports/a.sql": "select 1",
        "schedules/a.yaml": a_schedule("a").replace("sales", "x"),
    }
    plan = plan_of(files)
    spec = plan.schedules["a"].spec
    assert plan.problems == []
    assert spec.report.workbook is not None
    assert spec.report.workbook.template == "reports/book.xlsx"
    assert spec.report.workbook.sheets[0].query == "select 1"
    assert plan.blobs[spec.files["reports/book.xlsx"]] == b"PK\x03\x04"
    assert list(spec.blob_ids) == ["reports/a.sql", "reports/book.xlsx"]
    assert (spec.max_rows, spec.max_artifact) == (7, 2_000_000)
    assert RunSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


def test_a_file_that_vanishes_while_it_is_read_is_told_and_tried_again() -> None:
    report = a_document("Report", "x", "connection: db\nquery_file: x.sql")
    snapshot = a_snapshot(
        {**GOOD, "reports/x.yaml": report, "reports/x.sql": "select 1"}
    )
    broken = True

    def read(path: str) -> bytes:
        if path.endswith(".sql") and broken:
            raise InputError(f"{path} changed while it was being read.", "Look again.")
        return snapshot.read(path)

    moving = type(snapshot)(revision=snapshot.revision, files=snapshot.files, read=read)
    cache = PlanCache()
    plan = make_plan(moving, served=None, now=NOW, cache=cache)
    assert [problem.code for problem in plan.problems] == ["BOE103"]
    broken = False
    plan = make_plan(moving, served=None, now=NOW, cache=cache)
    assert plan.problems == []


def test_a_yaml_file_that_vanishes_while_it_is_read_is_unreadable() -> None:
    snapshot = a_snapshot(GOOD)

    def read(path: str) -> bytes:
        if path == "reports/sales.yaml":
            raise InputError("gone")
        return snapshot.read(path)

    moving = type(snapshot)(revision=snapshot.revision, files=snapshot.files, read=read)
    plan = make_plan(moving, served=None, now=NOW)
    assert [spot(one) for one in plan.problems] == [
        ("BOE016", "reports/sales.yaml", 1, 1)
    ]


def test_a_reason_that_changes_is_told_as_it_is() -> None:
    report = a_document("Report", "x", "connection: db\nquery_file: x.sql")
    files, cache = {**GOOD, "reports/x.yaml": report}, PlanCache()
    first = plan_of(files, cache=cache)
    second = plan_of(files, cache=cache, unreadable={"reports/x.sql": "it is a link"})
    assert "there is no file reports/x.sql" in first.problems[0].detail
    assert "it is a link" in second.problems[0].detail


# --- The cache ------------------------------------------------------------------------


def test_one_changed_file_is_parsed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    read = reading.documents_of
    monkeypatch.setattr(
        reading,
        "documents_of",
        lambda path, *content: (parsed.append(path), read(path, *content))[1],
    )
    files = {**GOOD, **crowd(5)}
    ledger, cache = Ledger(), PlanCache()
    ledger.step(files, cache=cache)
    assert len(parsed) == len(files)
    parsed.clear()
    files["schedules/n03.yaml"] = a_schedule("n03", more="  paused: true\n")
    ledger.step(files, cache=cache)
    assert parsed == ["schedules/n03.yaml"]


def test_a_plan_with_a_cache_is_the_plan_without() -> None:
    cache, ledger = PlanCache(), Ledger()
    versions: list[dict[str, str]] = [
        {**GOOD},
        {
            **GOOD,
            "policy.yaml": a_document("Policy", "policy", "limits: {max_rows: 5}"),
        },
        {**GOOD, "reports/sales.yaml": "kind: Report\n"},
        {**GOOD, "connections/db.yaml": a_document("Connection", "db", "type: sqlite")},
        {**GOOD, **crowd(12)},
        {**GOOD},
    ]
    for files in versions:
        with_cache, without = ledger.plan(files, cache=cache), ledger.plan(files)
        assert with_cache.activation == without.activation
        ledger.activate(with_cache)


def test_a_calendar_of_what_is_waited_for_counts_for_who_waits() -> None:
    when = "when: {cron: '0 5 * * *', timezone: UTC, calendar: days}"
    spec = "report: sales\ndeliver_to: [archive]\n"
    files = {
        **GOOD,
        "schedules/other.yaml": a_document("Schedule", "other", f"{spec}{when}"),
        "schedules/waits.yaml": a_document(
            "Schedule",
            "waits",
            f"{spec}when: {{cron: '0 6 * * mon', timezone: UTC}}\n"
            "wait_for: [{schedule: other}]",
        ),
    }
    cache, ledger = PlanCache(), Ledger()
    for days, told in {"mon-fri": [], "tue-fri": ["BOE222"]}.items():
        calendar = a_document("Calendar", "days", f"working_days: {days}")
        there = {**files, "calendars/days.yaml": calendar}
        plan = ledger.plan(there, cache=cache)
        assert [one.code for one in plan.problems] == told
        assert plan.problems == ledger.plan(there).problems


def test_a_lost_blob_is_told_in_words() -> None:
    report = a_document("Report", "x", "connection: db\nquery_file: x.sql")
    files = {**GOOD, "reports/x.yaml": report, "reports/x.sql": "select 1"}
    ledger = Ledger()
    ledger.step(files)

    def lost(sha256: str) -> bytes:
        raise Permanent("blob_missing", "it is gone.")

    files["reports/x.yaml"] = "kind: Report\nmetadata: {name: x}\n"
    plan = ledger.plan(files, read_blob=lost)
    assert ("Report", "x") not in plan.objects
    assert set(plan.schedules) == {"daily"}


def test_a_plan_without_blobs_says_that_a_file_is_not_at_hand() -> None:
    report = a_document("Report", "x", "connection: db\nquery_file: x.sql")
    files = {**GOOD, "reports/x.yaml": report, "reports/x.sql": "select 1"}
    ledger = Ledger()
    ledger.step(files)
    assert ledger.served
    plan = served_plan(ledger.served, now=NOW)
    assert set(plan.objects) == {*ledger.plan(files).objects}
    assert plan_of(files, served=ledger.served).problems == []


def test_a_template_that_names_another_file_waits_for_its_schedule() -> None:
    """The Schedule's served version was served with the file of the older template."""

    def template(file: str) -> str:
        report = f"{{connection: db, query_file: {file}}}"
        return a_document("ScheduleTemplate", "t", f"report: {report}")

    schedule = a_schedule("a").replace("report: sales", "template: t")
    files = {
        **GOOD,
        "templates/t.yaml": template("a.sql"),
        "templates/a.sql": "select 1",
        "schedules/a.yaml": schedule,
    }
    ledger = Ledger()
    assert ledger.step(files).problems == []
    files |= {"templates/t.yaml": template("b.sql"), "templates/b.sql": "select 2"}
    files["schedules/a.yaml"] = schedule.replace("archive", "nowhere")
    plan = ledger.step(files)
    assert plan.schedules["a"].spec.report.query == "select 1"
    assert {one.name: one.reason for one in plan.statuses if not one.ready} == {
        "a": "Invalid",
        "t": "Held",
    }


def test_what_cannot_go_on_is_dropped_once_with_what_needs_it() -> None:
    """Its file is lost, and nothing in the revision takes its place."""
    report = a_document("Report", "sales", "connection: db\nquery_file: x.sql")
    files = {**GOOD, "reports/sales.yaml": report, "reports/x.sql": "select 1"}
    ledger = Ledger()
    ledger.step(files)
    ledger.blobs.clear()

    def lost(sha256: str) -> bytes:
        raise Permanent("blob_missing", "it is gone.")

    plan = ledger.plan({}, read_blob=lost, unreadable={"schedules": "i/o error"})
    assert {key[1] for key in plan.objects} == {"db", "archive"}


@pytest.mark.slow
def test_ten_thousand_schedules_take_seconds_and_one_of_them_much_less() -> None:
    policy = "limits: {schedules_per_owner: 20000}"
    files = {**GOOD, "policy.yaml": a_document("Policy", "policy", policy)}
    files |= {f"schedules/n{n}.yaml": a_schedule(f"n{n}") for n in range(10_000)}
    ledger, cache = Ledger(), PlanCache()
    start = time.process_time()
    ledger.step(files, cache=cache)
    first = time.process_time() - start
    files["schedules/n5000.yaml"] += "  paused: true\n"
    start = time.process_time()
    plan = ledger.plan(files, cache=cache)
    assert plan.schedules["n5000"].paused
    assert first < 20
    assert time.process_time() - start < first / 2


def test_a_burst_goes_on_with_the_people_that_it_was_served_with() -> None:
    """What is served was judged before; its file is that of then, even when git has none."""
    burst = "  burst: {recipients_file: heads.csv, split_on: region}\n"
    schedule = a_schedule("a", more=burst)
    heads = "region,to\nnorth,a@example.com\n"
    files = {**GOOD, "schedules/a.yaml": schedule, "schedules/heads.csv": heads}
    ledger = Ledger()
    assert ledger.step(files).problems == []
    files["schedules/a.yaml"] = schedule.replace("archive", "nowhere")
    files["schedules/heads.csv"] = "region,to\nnorth,b@example.com\n"
    plan = ledger.step(files)
    assert [one.values["to"] for one in plan.schedules["a"].parts] == ["a@example.com"]
    assert plan.schedules["a"].spec.files.keys() == {"schedules/heads.csv"}
