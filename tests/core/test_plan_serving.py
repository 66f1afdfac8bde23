"""Last known good: one bad object harms nothing but itself, and nothing vanishes by it."""

from __future__ import annotations

from typing import Any

import pytest

from boe_reconciler.core.plan import Plan, served_plan
from tests.revisions import GOOD, NOW, Ledger, a_document, plan_of, spot

#: A change that touches nothing else.
NEXT = {"groups/next.yaml": a_document("Group", "next", "members: [a@example.com]")}
BROKEN = "kind: Schedule\nmetadata: {name: %s}\n"


def a_schedule(name: str, query: str = "select 1", more: str = "") -> str:
    return a_document(
        "Schedule",
        name,
        f"""
        report: {{connection: db, query: {query}}}
        when: {{cron: "30 6 * * *", timezone: UTC}}
        deliver_to: [archive]
        """,
        more,
    )


def many(count: int) -> dict[str, str]:
    return {
        **GOOD,
        **{f"schedules/s{n}.yaml": a_schedule(f"s{n}") for n in range(count)},
    }


def query(plan: Plan, name: str) -> str | None:
    return plan.schedules[name].spec.report.query


def reasons(plan: Plan) -> dict[str, str]:
    """Of all that is not served as it stands."""
    return {one.name: one.reason for one in plan.statuses if not one.ready}


@pytest.fixture
def ledger() -> Ledger:
    found = Ledger()
    found.step(many(3))
    return found


def test_a_broken_object_goes_on_and_the_rest_moves(ledger: Ledger) -> None:
    first = ledger.served.serving if ledger.served else None
    files = {
        **many(3),
        "schedules/s0.yaml": BROKEN % "s0",
        "schedules/s1.yaml": a_schedule("s1", "select 2"),
    }
    plan = ledger.step(files)
    assert (query(plan, "s0"), query(plan, "s1")) == ("select 1", "select 2")
    assert reasons(plan) == {"s0": "Invalid"}
    status = next(one for one in plan.statuses if one.name == "s0")
    assert status.serving_revision == first
    assert status.observed_revision == plan.revision
    assert "schedules/s0.yaml:1:1" in status.message

    mended = ledger.step({**files, "schedules/s0.yaml": a_schedule("s0", "select 3")})
    assert query(mended, "s0") == "select 3"
    assert reasons(mended) == {}


def test_a_broken_object_that_was_never_good_is_not_served(ledger: Ledger) -> None:
    plan = ledger.step({**many(3), "schedules/new.yaml": BROKEN % "new"})
    assert "new" not in plan.schedules
    status = next(one for one in plan.statuses if one.name == "new")
    assert (status.reason, status.serving_revision) == ("Invalid", None)


def test_what_refers_to_a_broken_object_has_its_older_version(
    ledger: Ledger,
) -> None:
    files = {**many(3), "reports/sales.yaml": BROKEN % "sales"}
    files["reports/sales.yaml"] = files["reports/sales.yaml"].replace(
        "Schedule", "Report"
    )
    files["schedules/daily.yaml"] = GOOD["schedules/daily.yaml"].replace("30 6", "0 7")
    plan = ledger.step(files)
    assert plan.schedules["daily"].occurrences.when.cron == "0 7 * * *"
    assert query(plan, "daily") == "select 1 as one"
    assert reasons(plan) == {"sales": "Invalid"}


def test_what_needs_an_object_that_was_never_good_goes_on_as_it_was(
    ledger: Ledger,
) -> None:
    report = a_document("Report", "new", "connection: db\nquery: drop table x")
    files = {**many(3), "reports/new.yaml": report}
    files["schedules/daily.yaml"] = GOOD["schedules/daily.yaml"].replace("sales", "new")
    plan = ledger.step(files)
    assert query(plan, "daily") == "select 1 as one"
    assert reasons(plan) == {"new": "Invalid", "daily": "DependencyInvalid"}
    status = next(one for one in plan.statuses if one.name == "daily")
    assert status.message == "It needs Report new, which cannot be used."


def test_an_older_version_takes_back_what_it_does_not_fit_and_no_more(
    ledger: Ledger,
) -> None:
    """The new Report has a parameter that the broken Schedule's older version lacks."""
    report = a_document(
        "Report",
        "sales",
        """
        connection: db
        query: select :x
        parameters: {x: {type: int, required: true}}
        """,
    )
    files = {
        **many(3),
        "reports/sales.yaml": report,
        "schedules/daily.yaml": GOOD["schedules/daily.yaml"].replace(
            "archive", "nowhere"
        ),
        "distributions/archive.yaml": GOOD["distributions/archive.yaml"].replace(
            "exports", "elsewhere"
        ),
        "connections/db.yaml": a_document(
            "Connection", "db", "{type: duckdb, path: x}"
        ),
    }
    plan = ledger.step(files)
    assert reasons(plan) == {"daily": "Invalid", "sales": "Held"}
    spec = plan.schedules["daily"].spec
    assert spec.report.query == "select 1 as one"
    assert spec.connection.model_dump()["path"] == "x"
    assert spec.destinations[0].spec.model_dump()["base_path"] == "elsewhere"


def test_an_older_version_may_need_several_things_taken_back(ledger: Ledger) -> None:
    """Another name for what is referred to, twice; the Schedule's edit is broken."""
    files = {**many(3), "schedules/daily.yaml": BROKEN % "daily"}
    for path, name in (
        ("reports/sales.yaml", "sales"),
        ("distributions/archive.yaml", "archive"),
    ):
        files[path] = files[path].replace(f"name: {name}", f"name: {name}-2")
    plan = ledger.step(files)
    assert reasons(plan) == {
        "daily": "Invalid",
        "sales": "StillNeeded",
        "archive": "StillNeeded",
        "s0": "Invalid",
        "s1": "Invalid",
        "s2": "Invalid",
    }
    assert query(plan, "daily") == "select 1 as one"
    assert ("Report", "sales-2") in plan.objects


def test_a_connection_of_another_type_waits_for_what_still_reads_from_it(
    ledger: Ledger,
) -> None:
    mail = a_document("Connection", "db", "{type: smtp, host: mail.example.com}")
    plan = ledger.step({**many(0), "connections/db.yaml": mail})
    assert plan.schedules["daily"].spec.connection.type == "duckdb"
    assert reasons(plan) == {"db": "Held", "sales": "Invalid"}


def test_of_two_with_one_name_the_served_one_goes_on(ledger: Ledger) -> None:
    files = {**many(3), "schedules/z.yaml": a_schedule("s0", "select 9")}
    plan = ledger.step(files)
    assert query(plan, "s0") == "select 1"
    assert reasons(plan) == {"s0": "Duplicate"}
    assert {spot(one)[:2] for one in plan.problems} == {
        ("BOE101", "schedules/s0.yaml"),
        ("BOE101", "schedules/z.yaml"),
    }
    del files["schedules/s0.yaml"]
    assert query(ledger.step(files), "s0") == "select 9"


def test_what_is_served_is_not_judged_again(ledger: Ledger) -> None:
    """A stricter Policy is for what is new."""
    mails = a_document(
        "Distribution",
        "mails",
        "destinations: [{type: email, connection: mail, subject: s, to: [a@example.net]}]",
    )
    mail = a_document(
        "Connection",
        "mail",
        "{type: smtp, host: mail.example.net, from: r@example.net}",
    )
    files = {**many(1), "distributions/m.yaml": mails, "connections/m.yaml": mail}
    assert ledger.step(files).problems == []
    policy = a_document(
        "Policy",
        "policy",
        "allow: {email_domains: [example.com], hosts: [example.com]}",
    )
    files |= {"policy.yaml": policy, "schedules/s0.yaml": BROKEN % "s0"}
    files["distributions/m.yaml"] = mails.replace("subject: s", "subjekt: s")
    plan = ledger.step(files)
    plan = ledger.step(files)
    assert reasons(plan) == {"s0": "Invalid", "mail": "Invalid", "mails": "Invalid"}
    assert {("Connection", "mail"), ("Distribution", "mails")} <= set(plan.objects)


def test_a_transform_goes_on_in_the_version_that_was_good(ledger: Ledger) -> None:
    """Its code is kept with what is served: the file may be broken, or be gone."""
    good, path = "def run(frame): ...\n", "shapes/margin.py"
    report = GOOD["reports/sales.yaml"] + "  transform: shapes.margin:run\n"
    allowed = a_document("Policy", "policy", f"allow: {{transforms: [{path}]}}")
    files = {**many(0), "reports/sales.yaml": report, "policy.yaml": allowed}
    first = ledger.step({**files, path: good})
    assert first.problems == []
    stored = first.schedules["daily"].spec.files[path]
    assert ledger.read(stored) == good.encode()
    forbidden = a_document("Policy", "policy", "allow: {transforms: []}")
    for change in ({path: "def run("}, {}, {path: good, "policy.yaml": forbidden}):
        ledger.step({**files, **change})
        plan = ledger.step({**files, **change, **NEXT})
        assert reasons(plan)["sales"] == "Invalid"
        assert plan.schedules["daily"].spec.files == {path: stored}


# --- Removals ---------------------------------------------------------------------------


def without(files: dict[str, str], *names: str) -> dict[str, str]:
    return {path: text for path, text in files.items() if not path.endswith(names)}


def test_few_removals_happen_at_once(ledger: Ledger) -> None:
    ledger.step(many(8))
    plan = ledger.step(many(3))
    assert plan.problems == []
    assert len(plan.schedules) == 4


def test_more_than_five_and_a_fifth_wait_for_somebodys_word(ledger: Ledger) -> None:
    ledger.step(many(9))
    files = many(3)
    plan = ledger.step(files)
    assert [spot(one) for one in plan.problems] == [("BOE138", "policy.yaml", 1, 1)]
    assert "6 of 13 objects" in plan.problems[0].detail
    assert "removals, the built-in default" in plan.problems[0].detail
    assert len(plan.schedules) == 10
    assert set(reasons(plan).values()) == {"RemovalHeld"}
    assert set(reasons(ledger.step(files, allow_removals=5)).values()) == {
        "RemovalHeld"
    }
    assert len(ledger.step(files, allow_removals=6).schedules) == 4


def test_six_of_many_are_no_more_than_a_fifth(ledger: Ledger) -> None:
    files = many(0)
    for number in range(30):
        owner = "a" if number < 10 else "b" if number < 20 else "c"
        text = a_schedule(f"s{number}").replace("ops@", f"{owner}@")
        files[f"schedules/s{number}.yaml"] = text
    ledger.step(files)
    assert len(ledger.served.objects if ledger.served else ()) == 34
    fewer = without(files, *(f"/s{n}.yaml" for n in range(6)))
    assert len(ledger.step(fewer).schedules) == 25


def test_removals_count_by_the_policy_that_is_served(ledger: Ledger) -> None:
    policy = a_document("Policy", "policy", "removals: {max_count: 0, max_fraction: 0}")
    ledger.step({**many(3), "policy.yaml": policy})
    plan = ledger.plan({**many(2), "policy.yaml": policy})
    assert "policy.yaml:6" in plan.problems[0].detail
    loose = a_document("Policy", "policy", "removals: {max_count: 9}")
    plan = ledger.plan({**many(2), "policy.yaml": loose})
    assert [one.code for one in plan.problems] == ["BOE138"]
    assert "policy.yaml as it is served" in plan.problems[0].detail
    # To delete the Policy is a removal, too.
    plan = ledger.step(many(3))
    assert reasons(plan) == {"policy": "RemovalHeld"}
    assert reasons(ledger.step(many(3), allow_removals=1)) == {}


def test_nothing_is_deleted_while_a_file_cannot_be_read(ledger: Ledger) -> None:
    files = without(many(3), "s1.yaml", "s2.yaml")
    for unreadable in ("reports", "schedules/2026.01", "schedules/s1.yaml"):
        plan = ledger.step(files, unreadable={unreadable: "permission denied"})
        assert reasons(plan) == {"s1": "Unreadable", "s2": "Unreadable"}
        assert [spot(one) for one in plan.problems] == [("BOE016", unreadable, 1, 1)]
    assert set(ledger.step(files).schedules) == {"daily", "s0"}


@pytest.mark.parametrize(
    "text",
    [
        "metadata: {name: s1}\nspec: [",
        "apiVersion: boe/v1\nkind: Shedule\nmetadata: {name: s1}\nspec: {}\n",
        "apiVersion: boe/v1\nkind: Schedule\nmetadata: {nmae: s1}\nspec: {}\n",
        "<<<<<<< ours\nname: s1\n=======\n",
        b"kind: Schedule\nmetadata: {name: s1}\n# \xff\n",
        "kind: Schedule\nmetadata:\n\tname: s1\n",
    ],
)
def test_what_may_stand_in_a_broken_file_is_not_deleted(
    ledger: Ledger, text: Any
) -> None:
    plan = ledger.step({**many(3), "schedules/s1.yaml": text})
    assert "s1" in plan.schedules
    assert list(reasons(plan)) == ["s1"]


def test_a_broken_file_holds_only_what_it_names(ledger: Ledger) -> None:
    files = without(many(3), "s1.yaml", "s2.yaml")
    plan = ledger.step({**files, "schedules/x.yaml": "name: s1-old, s2\n\t"})
    assert reasons(plan) == {"s2": "Unreadable"}


def test_who_names_an_object_of_an_unreadable_file_is_not_blamed(
    ledger: Ledger,
) -> None:
    files = without(many(3), "sales.yaml")
    plan = ledger.step(files, unreadable={"reports/sales.yaml": "permission denied"})
    assert [one.code for one in plan.problems] == ["BOE016"]
    assert reasons(plan) == {"sales": "Unreadable"}
    assert "daily" in plan.schedules


# --- Renaming ---------------------------------------------------------------------------


def test_a_renamed_object_is_no_removal(ledger: Ledger) -> None:
    files = many(0)
    for n in range(3):
        files[f"schedules/r{n}.yaml"] = a_schedule(
            f"r{n}", more=f"  renamed_from: s{n}\n"
        )
    policy = a_document("Policy", "policy", "removals: {max_count: 0, max_fraction: 0}")
    ledger.step({**many(3), "policy.yaml": policy})
    plan = ledger.step({**files, "policy.yaml": policy})
    assert plan.problems == []
    assert {"r0", "r1", "r2", "daily"} == set(plan.schedules)
    assert plan.schedules["r0"].renamed_from == "s0"
    # The line may stay.
    assert ledger.step({**files, "policy.yaml": policy}).problems == []


def test_a_renamed_object_that_is_broken_goes_on_under_its_old_name(
    ledger: Ledger,
) -> None:
    bad = a_schedule("r0", "drop table x", "  renamed_from: s0\n")
    files = {**without(many(3), "s0.yaml"), "schedules/r0.yaml": bad}
    plan = ledger.step(files)
    assert {"s0", "s1", "s2", "daily"} == set(plan.schedules)
    assert reasons(plan) == {"r0": "Invalid", "s0": "Renamed"}
    files["schedules/r0.yaml"] = bad.replace("drop table x", "select 2")
    assert {"r0", "s1", "s2", "daily"} == set(ledger.step(files).schedules)


def test_a_name_that_is_still_there_is_not_taken_over(ledger: Ledger) -> None:
    files = {
        **many(3),
        "schedules/r0.yaml": a_schedule("r0", more="  renamed_from: s0\n"),
    }
    plan = ledger.step(files)
    assert "r0" not in plan.schedules
    assert query(plan, "s0") == "select 1"


def test_one_that_takes_the_place_of_two_removes_one(ledger: Ledger) -> None:
    policy = a_document("Policy", "policy", "removals: {max_count: 0, max_fraction: 0}")
    ledger.step({**many(3), "policy.yaml": policy})
    files = without(many(3), "s0.yaml")
    files["schedules/s1.yaml"] = a_schedule("s1", more="  renamed_from: s0\n")
    plan = ledger.plan({**files, "policy.yaml": policy})
    assert [one.code for one in plan.problems] == ["BOE138"]


# --- The Policy -------------------------------------------------------------------------

TIGHT = a_document("Policy", "policy", "allow: {local_roots: [exports]}")
LOOSE = a_document("Policy", "policy", "allow: {local_roots: [exports, elsewhere]}")


def test_the_served_policy_judges_the_next_revision(ledger: Ledger) -> None:
    ledger.step({**many(3), "policy.yaml": TIGHT})
    moved = GOOD["distributions/archive.yaml"].replace(
        "base_path: exports", "base_path: elsewhere"
    )
    files = {**many(3), "policy.yaml": LOOSE, "distributions/archive.yaml": moved}
    plan = ledger.step(files)
    assert [one.code for one in plan.problems] == ["BOE166"]
    assert "policy.yaml as it is served" in plan.problems[0].help
    assert reasons(plan)["archive"] == "Invalid"
    assert ledger.step({**files, **NEXT}).problems == []


@pytest.mark.parametrize(
    "broken",
    [
        a_document("Policy", "policy", "allow: {local_roots: 5}"),
        a_document("Policy", "other", "allow: {local_roots: 5}"),
        "apiVersion: boe/v1\nkind: Policy\nmetadata: [\n",
        TIGHT + "---\n" + LOOSE,
    ],
)
def test_a_broken_policy_keeps_the_old_one(ledger: Ledger, broken: str) -> None:
    ledger.step({**many(3), "policy.yaml": TIGHT})
    moved = GOOD["distributions/archive.yaml"].replace("exports", "elsewhere")
    plan = ledger.step(
        {**many(3), "policy.yaml": broken, "distributions/archive.yaml": moved}
    )
    assert "BOE166" in {one.code for one in plan.problems}
    roots = plan.schedules["daily"].spec.local_roots
    assert roots == ["exports"]
    assert ("Policy", "policy") in plan.objects


def test_what_needs_a_policy_of_the_same_change_is_told_to_wait(
    ledger: Ledger,
) -> None:
    ledger.step({**many(3), "policy.yaml": TIGHT})
    text = a_schedule("s0")
    ping = text.replace("spec:\n", "spec:\n  ping: http://127.0.0.1/x\n")
    assert ping != text
    files = {**many(3), "schedules/s0.yaml": ping}
    told = ledger.plan({**files, "policy.yaml": TIGHT}).problems[0]
    assert (told.code, "would allow it" in told.help) == ("BOE133", True)
    allow = TIGHT.replace("allow: {", "allow: {private_addresses: true, ")
    told = ledger.plan({**files, "policy.yaml": allow}).problems[0]
    assert (told.code, "change it first" in told.help) == ("BOE133", True)


def test_a_policy_of_another_name_takes_its_place(ledger: Ledger) -> None:
    ledger.step({**many(3), "policy.yaml": TIGHT})
    named = LOOSE.replace("name: policy", "name: house-rules")
    plan = ledger.step({**many(3), "policy.yaml": named})
    assert [key for key in plan.objects if key[0] == "Policy"] == [
        ("Policy", "house-rules")
    ]
    assert plan.schedules["daily"].spec.local_roots == ["exports", "elsewhere"]


def test_a_policy_in_the_wrong_place_harms_nothing(ledger: Ledger) -> None:
    ledger.step({**many(3), "policy.yaml": TIGHT})
    plan = ledger.step({**many(3), "policy.yaml": TIGHT, "groups/p.yaml": LOOSE})
    assert [spot(one)[:2] for one in plan.problems] == [("BOE137", "groups/p.yaml")]
    assert reasons(plan) == {}


def test_nothing_is_served_under_a_policy_that_was_never_good() -> None:
    plan = plan_of({**GOOD, "policy.yaml": a_document("Policy", "policy", "allow: 5")})
    assert plan.schedules == {}
    assert reasons(plan)["daily"] == "Held"
    plan = plan_of(GOOD, unreadable={"policy.yaml": "permission denied"})
    assert plan.schedules == {}


# --- Strict, and restarts ---------------------------------------------------------------


def test_strict_serves_a_revision_whole_or_not_at_all(ledger: Ledger) -> None:
    before = ledger.served
    files = without(many(3), "s2.yaml")
    files["schedules/s0.yaml"] = BROKEN % "s0"
    files["schedules/s1.yaml"] = a_schedule("s1", "select 2")
    plan = ledger.step(files, strict=True)
    assert plan.activation.serving is None
    assert query(plan, "s1") == "select 1"
    assert reasons(plan)["s0"] == "Invalid"
    assert reasons(plan)["s1"] == reasons(plan)["s2"] == "Strict"
    assert ledger.served
    assert before
    assert ledger.served.objects == before.objects
    assert ledger.step(many(3), strict=True).activation.serving is not None


def test_strict_lets_warnings_pass(ledger: Ledger) -> None:
    files = {
        **many(3),
        "policy.yaml": a_document("Policy", "policy", "notices: {ops: [archive]}"),
    }
    plan = ledger.step(files, strict=True)
    assert [one.severity for one in plan.problems] == ["warning"]
    assert plan.activation.serving is not None


def test_strict_without_anything_served_serves_nothing() -> None:
    plan = plan_of({**GOOD, "schedules/daily.yaml": BROKEN % "daily"}, strict=True)
    assert plan.schedules == {}
    assert plan.objects == {}


def test_what_is_served_is_planned_again_from_the_ledger_alone(ledger: Ledger) -> None:
    report = a_document("Report", "x", "connection: db\nquery_file: x.sql")
    template = a_document("ScheduleTemplate", "t", "{report: x, paused: true}")
    nightly = a_document(
        "Schedule",
        "nightly",
        """
        template: t
        when: {cron: "30 6 * * *"}
        deliver_to: [archive]
        """,
    )
    policy = a_document("Policy", "policy", "defaults: {timezone: Asia/Tokyo}")
    files = {
        **many(1),
        "reports/x.yaml": report,
        "reports/x.sql": "select 'x'",
        "templates/t.yaml": template,
        "schedules/nightly.yaml": nightly,
        "policy.yaml": policy,
    }
    plan = ledger.step(files)
    assert plan.problems == []
    assert ledger.served
    again = served_plan(ledger.served, now=NOW, read_blob=ledger.read)
    assert again.schedules == plan.schedules
    assert again.objects == plan.objects
    assert again.revision == plan.revision
    # All files are gone or broken: the ledger and its blobs are enough.
    kept = ledger.plan({}, unreadable={"schedules": "i/o error"})
    assert kept.schedules == plan.schedules


def test_a_value_that_no_longer_fits_stops_nothing_that_is_served() -> None:
    """A template's value depends on the day; what is served found it good before."""
    report = a_document(
        "Report",
        "sales",
        """
        connection: db
        query: select :x
        parameters: {x: {type: enum, values: ["2026"]}}
        """,
    )
    more = '  parameters: {x: "{{ occurrence.year }}"}\n'
    files = {
        **GOOD,
        "reports/sales.yaml": report,
        "schedules/daily.yaml": GOOD["schedules/daily.yaml"] + more,
    }
    ledger = Ledger()
    assert ledger.step(files).problems == []
    plan = ledger.step(files, now=NOW.replace(year=2027))
    assert [one.code for one in plan.problems] == ["BOE107"]
    assert set(plan.schedules) == {"daily"}


def test_what_lacks_two_things_takes_back_those_and_nothing_else() -> None:
    """The Connection below it comes back as well: the newer Policy is not to blame."""
    owned = GOOD["schedules/daily.yaml"].replace("ops@example.com", "team")
    group = a_document("Group", "team", "members: [ada@example.com]")
    files = {
        **GOOD,
        "schedules/daily.yaml": owned,
        "groups/team.yaml": group,
        "policy.yaml": a_document("Policy", "policy", "limits: {min_interval: 1m}"),
    }
    ledger = Ledger()
    ledger.step(files)
    newer = {
        **files,
        "policy.yaml": a_document("Policy", "policy", "limits: {min_interval: 2m}"),
    }
    del newer["connections/db.yaml"], newer["groups/team.yaml"]
    plan = ledger.step(newer)
    reasons = {one.name: one.reason for one in plan.statuses}
    assert reasons == {
        "archive": "Served",
        "daily": "Invalid",
        "db": "StillNeeded",
        "policy": "Served",
        "sales": "Invalid",
        "team": "StillNeeded",
    }


# --- The Policy and its use in one change -------------------------------------------------


def test_no_change_allows_itself_however_often_it_is_looked_at() -> None:
    """A restart, or a second look, lets in nothing that the first one kept out."""
    strict = a_document("Policy", "policy", "allow: {destinations: [email]}")
    loose = a_document("Policy", "policy", "allow: {destinations: [local]}")
    before = {path: text for path, text in GOOD.items() if "distr" not in path}
    before.pop("schedules/daily.yaml")
    ledger = Ledger()
    ledger.step({**before, "policy.yaml": strict})
    both = {**GOOD, "policy.yaml": loose}
    for _ in range(3):
        plan = ledger.step(both)
        assert [one.code for one in plan.problems] == ["BOE131"]
        assert "no change allows itself" in plan.problems[0].help
        assert not plan.schedules
    # Any later change is judged by the Policy that is served by then.
    plan = ledger.step({**both, **NEXT})
    assert plan.problems == []
    assert set(plan.schedules) == {"daily"}


def test_what_a_policy_forbids_from_now_on_is_judged_in_the_next_change() -> None:
    ledger = Ledger()
    ledger.step({**GOOD, "policy.yaml": a_document("Policy", "policy", "{}")})
    strict = a_document("Policy", "policy", "allow: {destinations: []}")
    for _ in range(2):
        assert ledger.step({**GOOD, "policy.yaml": strict}).problems == []


def test_a_first_policy_that_cannot_be_used_removes_nothing() -> None:
    """New versions wait for it; what is served was activated without one, and goes on."""
    ledger = Ledger()
    ledger.step(GOOD)
    newer = GOOD["schedules/daily.yaml"].replace("30 6", "30 7")
    plan = ledger.step({**GOOD, "policy.yaml": "[", "schedules/daily.yaml": newer})
    when = plan.schedules["daily"].occurrences.when
    assert when.cron == "30 6 * * *"
    reasons = {one.name: one.reason for one in plan.statuses}
    assert reasons["daily"] == "Held"
    plan = ledger.step({**GOOD, "schedules/daily.yaml": newer})
    assert plan.schedules["daily"].occurrences.when.cron == "30 7 * * *"


def test_what_lacks_two_things_that_it_names_itself_leaves_a_newer_policy() -> None:
    owned = GOOD["schedules/daily.yaml"].replace("ops@example.com", "team")
    files = {
        **GOOD,
        "schedules/daily.yaml": owned.replace("when: {", "when: {calendar: work, "),
        "calendars/work.yaml": a_document("Calendar", "work", "days_off: [2027-01-01]"),
        "groups/team.yaml": a_document("Group", "team", "members: [ada@example.com]"),
        "policy.yaml": a_document("Policy", "policy", "limits: {min_interval: 1m}"),
    }
    ledger = Ledger()
    ledger.step(files)
    newer = {
        **files,
        "policy.yaml": a_document("Policy", "policy", "limits: {min_interval: 2m}"),
    }
    del newer["calendars/work.yaml"], newer["groups/team.yaml"]
    plan = ledger.step(newer)
    assert {one.name: one.reason for one in plan.statuses if not one.ready} == {
        "daily": "Invalid",
        "team": "StillNeeded",
        "work": "StillNeeded",
    }


def test_a_name_that_was_given_up_is_missed_also_where_a_file_cannot_be_read() -> None:
    ledger = Ledger()
    ledger.step(GOOD)
    heir = GOOD["reports/sales.yaml"].replace("name: sales", "name: sold")
    files = {**GOOD, "reports/sold.yaml": _renamed(heir, "sales")}
    del files["reports/sales.yaml"]
    plan = ledger.step(
        files, unreadable={"reports/other.yaml": "it is a symbolic link"}
    )
    reasons = {one.name: one.reason for one in plan.statuses}
    assert (reasons["daily"], reasons["sold"]) == ("Invalid", "Served")
    assert "BOE100" in {one.code for one in plan.problems if one.name == "daily"}
    assert ("Report", "sales") in plan.objects


def _renamed(text: str, former: str) -> str:
    return text.replace("metadata:\n", f"metadata:\n  renamed_from: {former}\n")
