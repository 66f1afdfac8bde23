"""Mistakes of every kind in one repo: each is told once, where it stands.

« marks the place that the Problem names; it is taken out before the file is read.
"""

from __future__ import annotations

from datetime import UTC, datetime

from boe_reconciler.core.plan import make_plan
from tests.builders import a_snapshot

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def document(kind: str, name: str, spec: str, metadata: str = "") -> str:
    owned = "" if kind in ("Calendar", "Group", "Policy") else ", owner: finance"
    return (
        f"apiVersion: boe/v1\nkind: {kind}\n"
        f"metadata: {{name: {name}{owned}{metadata}}}\nspec:\n{spec}"
    )


def schedule(name: str, **fields: str) -> str:
    lines = {
        "report": "{connection: flights, query: select 1 as one}",
        "when": '{cron: "30 6 * * *", timezone: Europe/Berlin}',
        "deliver_to": "[archive]",
        **fields,
    }
    metadata = lines.pop("metadata", "")
    spec = "".join(f"  {key}: {value}\n" for key, value in lines.items() if value)
    return document("Schedule", name, spec, metadata)


#: What the others refer to; all of it is right.
SOUND = {
    "policy.yaml": document(
        "Policy",
        "policy",
        "  limits: {schedules_per_owner: {default: 1, finance: 100}, min_interval: 1m}\n"
        "  allow: {local_roots: [exports], email_domains: [example.com],\n"
        "          destinations: [local, email], hosts: ['*.internal']}\n",
    ),
    "groups/finance.yaml": document(
        "Group", "finance", "  members: [anna@example.com]\n"
    ),
    "connections/flights.yaml": document("Connection", "flights", "  type: duckdb\n"),
    "connections/mail.yaml": document(
        "Connection",
        "mail",
        "  {type: smtp, host: mail.internal, from: boe@example.com}\n",
    ),
    "calendars/bank.yaml": document(
        "Calendar", "bank", "  days_off: [2026-12-25, 2028-12-25]\n"
    ),
    "distributions/archive.yaml": document(
        "Distribution",
        "archive",
        "  destinations: [{type: local, base_path: exports/archive}]\n",
    ),
    "distributions/by-folder.yaml": document(
        "Distribution",
        "by-folder",
        "  inputs: {copies: {type: int, required: true}}\n"
        "  destinations: [{type: local, base_path: exports/folder}]\n",
    ),
    "reports/sales.yaml": document(
        "Report",
        "sales",
        "  connection: flights\n"
        "  query_file: sales.sql\n"
        "  parameters: {month: {type: date, required: true}}\n",
    ),
    "reports/sales.sql": "select * from sales\nwhere month = :month\n",
    "reports/one.sql": "select 1 as one\n",
    "templates/nightly.yaml": document(
        "ScheduleTemplate",
        "nightly",
        '  when: {cron: "0 4 * * *", timezone: Europe/Berlin}\n',
    ),
    "schedules/sound.yaml": schedule(
        "sound",
        report="sales",
        period="previous_month",
        parameters='{month: "{{ period.start }}"}',
        deliver_to="[archive, {distribution: by-folder, inputs: {copies: 2}}]",
    ),
    "schedules/sound-nightly.yaml": schedule(
        "sound-nightly", template="nightly", when=""
    ),
}

#: (code, path, text): one mistake each.
MISTAKES = [
    # Reading.
    ("BOE001", "schedules/m01.yaml", b"\xc2\xabname: \xff\n"),
    ("BOE002", "schedules/m02.yaml", "a: b«\x07\n"),
    ("BOE006", "schedules/m03.yaml", "spec:\n«\treport: x\n"),
    ("BOE007", "schedules/m04.yaml", schedule("m04", when="{cron: «@daily}")),
    ("BOE008", "schedules/m05.yaml", schedule("m05", parameters="{m: «{{ x }}}")),
    ("BOE010", "schedules/m06.yaml", schedule("m06") + "  «when: {}\n"),
    ("BOE011", "schedules/m07.yaml", schedule("m07", period="«*month")),
    ("BOE013", "schedules/m08.yaml", schedule("m08", period="«!python x")),
    # The envelope and the shape.
    ("BOE031", "schedules/m09.yaml", "«- a\n- b\n"),
    ("BOE032", "schedules/m10.yaml", schedule("m10").replace("boe/v1", "«boe/v9")),
    ("BOE033", "reports/m11.yaml", document("«Raport", "hidden", "  query: x\n")),
    (
        "BOE034",
        "schedules/m12.yaml",
        schedule("m12", deliver_to="").replace("sp", "«sp"),
    ),
    ("BOE035", "schedules/m13.yaml", schedule("m13", **{"«perod": "previous_month"})),
    ("BOE036", "schedules/m14.yaml", schedule("m14", paused='«"yes"')),
    ("BOE037", "schedules/m15.yaml", schedule("m15", export="{format: «exel}")),
    ("BOE038", "schedules/m16.yaml", schedule("m16", execution="{timeout: «soon}")),
    (
        "BOE039",
        "schedules/m17.yaml",
        schedule("m17", execution="{catchup_max_runs: «0}"),
    ),
    (
        "BOE041",
        "schedules/m18.yaml",
        schedule("m18")
        .replace("metadata", "«metadata")
        .replace(", owner: finance", ""),
    ),
    ("BOE042", "groups/m19.yaml", document("Group", "m19", "  members: [«anna]\n")),
    (
        "BOE043",
        "reports/m20.yaml",
        document(
            "Report",
            "broken",
            "  connection: flights\n  query: select 1\n  «query_file: one.sql\n",
        ),
    ),
    (
        "BOE049",
        "connections/m21.yaml",
        document(
            "Connection",
            "m21",
            "  {type: smtp, host: x.internal, user: u, password: «hunter2}\n",
        ),
    ),
    # Time.
    (
        "BOE062",
        "schedules/m22.yaml",
        schedule("m22", when="{cron: 0 4 * * *, timezone: «Berlin}"),
    ),
    (
        "BOE072",
        "schedules/m23.yaml",
        schedule("m23", when="{every: «5s, timezone: UTC}"),
    ),
    (
        "BOE073",
        "schedules/m24.yaml",
        schedule("m24", when='{cron: 0 4 * * *, at: «"06:30", timezone: UTC}'),
    ),
    # References.
    ("BOE100", "schedules/m25.yaml", schedule("m25", report="«salse", parameters="")),
    ("BOE100", "schedules/m26.yaml", schedule("m26", deliver_to="[archive, «achive]")),
    (
        "BOE102",
        "reports/m27.yaml",
        document("Report", "from-mail", "  {connection: «mail, query: select 1}\n"),
    ),
    (
        "BOE103",
        "reports/m28.yaml",
        document("Report", "no-file", "  {connection: flights, query_file: «no.sql}\n"),
    ),
    (
        "BOE104",
        "reports/m29.yaml",
        document(
            "Report", "outside", "  {connection: flights, query_file: «../../x.sql}\n"
        ),
    ),
    (
        "BOE105",
        "schedules/m30.yaml",
        schedule(
            "m30",
            deliver_to="[{distribution: by-folder, inputs: {copies: 1, «copy: 1}}]",
        ),
    ),
    (
        "BOE106",
        "schedules/m31.yaml",
        schedule("m31", deliver_to="[{distribution: by-folder, inputs: «{}}]"),
    ),
    (
        "BOE107",
        "schedules/m32.yaml",
        schedule("m32", report="sales", parameters="{month: «soon}"),
    ),
    (
        "BOE108",
        "schedules/m33.yaml",
        schedule("m33", report="sales", parameters="{month: 2026-10-01, «mnth: 1}"),
    ),
    (
        "BOE109",
        "schedules/m34.yaml",
        schedule("m34", report="sales", parameters="«{}"),
    ),
    ("BOE101", "schedules/m35.yaml", schedule("«twice") + "---\n" + schedule("«twice")),
    (
        "BOE112",
        "schedules/m36.yaml",
        schedule("m36", metadata=", renamed_from: «sound"),
    ),
    # Policy.
    (
        "BOE130",
        "schedules/m37.yaml",
        schedule("m37").replace("finance", "bob@example.com")
        + "---\n"
        + schedule("m37b").replace("finance", "«bob@example.com"),
    ),
    (
        "BOE131",
        "distributions/m38.yaml",
        document(
            "Distribution",
            "m38",
            "  destinations: [{type: «webhook, url: https://x.internal/}]\n",
        ),
    ),
    (
        "BOE132",
        "distributions/m39.yaml",
        document(
            "Distribution",
            "m39",
            "  destinations: [{type: email, connection: mail, subject: x, to: [«a@evil.org]}]\n",
        ),
    ),
    (
        "BOE133",
        "connections/m40.yaml",
        document(
            "Connection",
            "m40",
            "  {type: postgres, host: «db.evil.org, database: d, user: u}\n",
        ),
    ),
    (
        "BOE137",
        "groups/m41.yaml",
        document("Policy", "second", "  {}\n").replace("Policy", "«Policy"),
    ),
    # Names, paths, templates.
    (
        "BOE160",
        "schedules/m42.yaml",
        schedule("m42", export='{filename_pattern: "x_«{dat}.{format}"}'),
    ),
    (
        "BOE166",
        "schedules/m43.yaml",
        schedule("m43", deliver_to="[{type: local, base_path: «../../etc}]"),
    ),
    (
        "BOE181",
        "schedules/m44.yaml",
        schedule("m44", report="sales", parameters='{month: «"{{ perod.start }}"}'),
    ),
    (
        "BOE182",
        "schedules/m45.yaml",
        schedule("m45", export='{filename_pattern: «"{period}_{date}.{format}"}'),
    ),
    ("BOE190", "schedules/m46.yaml", schedule("m46", approval="«{by: [finance]}")),
    # Queries, in place, in a block, in a file.
    (
        "BOE202",
        "schedules/m47.yaml",
        schedule("m47", report='{connection: flights, query: "«drop table x"}'),
    ),
    (
        "BOE204",
        "reports/m48.yaml",
        document(
            "Report",
            "in-a-block",
            "  connection: flights\n  query: |\n    select *\n    from t\n"
            "    where m = «:month\n",
        ),
    ),
    (
        "BOE050",
        "templates/m50.yaml",
        document("ScheduleTemplate", "unfit", "  «template: nightly\n"),
    ),
    ("BOE201", "reports/m49.sql", "select 1;\n\n«drop table x\n"),
]
#: Without a mistake of their own, but they need what has one.
DEPENDENTS = {
    "reports/m49.yaml": document(
        "Report", "two-statements", "  {connection: flights, query_file: m49.sql}\n"
    ),
    **{
        f"schedules/d-{name}.yaml": schedule(f"d-{name}", report=name)
        for name in (
            "hidden",
            "broken",
            "from-mail",
            "no-file",
            "outside",
            "in-a-block",
            "two-statements",
        )
    },
    "schedules/d-m50.yaml": schedule("d-m50", template="unfit", when=""),
    "schedules/d-group.yaml": schedule("d-group").replace(
        "owner: finance", "owner: m19"
    ),
}


def places(text: str) -> list[tuple[int, int]]:
    """(line, column) of each mark, in characters, without the marks before it."""
    return [
        (number, column - line[:column].count("«") + 1)
        for number, line in enumerate(text.split("\n"), start=1)
        for column, character in enumerate(line)
        if character == "«"
    ]


def planted() -> tuple[dict[str, str | bytes], list[tuple[str, str, int, int]]]:
    files: dict[str, str | bytes] = {**SOUND, **DEPENDENTS}
    expected = []
    for code, path, given in MISTAKES:
        if isinstance(given, bytes):
            files[path] = given.replace("«".encode(), b"")
            expected.append((code, path, 1, given.index(b"\xff") - 1))
        else:
            files[path] = given.replace("«", "")
            expected += [(code, path, *place) for place in places(given)]
    return files, expected


def test_each_of_forty_mistakes_is_told_once_where_it_stands() -> None:
    files, expected = planted()
    plan = make_plan(a_snapshot(files), served=None, now=NOW)
    told = [
        (p.code, p.range.filename, p.range.start.line, p.range.start.column)
        for p in plan.problems
    ]
    texts = "\n".join(map(str, plan.problems))
    assert sorted(told) == sorted(expected), texts
    assert len({code for code, *_ in MISTAKES}) >= 40


def test_without_mistakes_nothing_is_told_and_all_is_served() -> None:
    plan = make_plan(a_snapshot(SOUND), served=None, now=NOW)
    assert plan.problems == []
    assert all(status.ready for status in plan.statuses)
    assert set(plan.schedules) == {"sound", "sound-nightly"}


def test_what_depends_on_a_mistake_waits_without_a_word_of_its_own() -> None:
    files, _ = planted()
    plan = make_plan(a_snapshot(files), served=None, now=NOW)
    reasons = {(s.kind, s.name): s.reason for s in plan.statuses}
    for path in DEPENDENTS:
        if path.startswith("schedules/"):
            name = path.removeprefix("schedules/").removesuffix(".yaml")
            assert reasons["Schedule", name] == "DependencyInvalid", name
    assert set(plan.schedules) >= {"sound", "sound-nightly"}


def test_the_mistakes_are_told_in_the_order_of_their_places() -> None:
    files, _ = planted()
    plan = make_plan(a_snapshot(files), served=None, now=NOW)
    assert list(plan.problems) == sorted(plan.problems, key=lambda p: p.order)
