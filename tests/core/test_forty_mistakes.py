"""One repo with many mistakes of different kinds: each is told once, at its own place."""

from __future__ import annotations

from boe_reconciler.core.codes import CODES
from tests.revisions import GOOD, a_document, plan_of, spot, unmarked

HEAD = "apiVersion: boe/v1\nkind: {kind}\nmetadata: {{name: {name}, owner: team}}\n"
CSV = "{type: local, base_path: exports}"


def whole(kind: str, name: str, body: str) -> str:
    """A document whose fourth line, and those below, are `body`."""
    return HEAD.format(kind=kind, name=name) + body


def schedule(name: str, **fields: str) -> str:
    """From its fifth line on: report, when, deliver_to, and what `fields` say."""
    lines = {
        "report": "sales",
        "when": '{cron: "30 6 * * *", timezone: Europe/Berlin}',
        "deliver_to": "[archive]",
        **fields,
    }
    body = "".join(f"  {key}: {value}\n" for key, value in lines.items())
    return whole("Schedule", name, f"spec:\n{body}")


def report(name: str, *lines: str) -> str:
    body = "".join(f"  {line}\n" for line in ("connection: db", *lines))
    return whole("Report", name, f"spec:\n{body}")


def distribution(name: str, destination: str, inputs: str = "{}") -> str:
    return whole(
        "Distribution",
        name,
        f"spec:\n  inputs: {inputs}\n  destinations:\n  - {destination}\n",
    )


def when(name: str, text: str) -> dict[str, str]:
    return {f"schedules/when-{name}.yaml": schedule(f"w-{name}", when=text)}


#: All is well but where a mark stands.
REPO: dict[str, str | bytes] = {
    **GOOD,
    "policy.yaml": a_document(
        "Policy",
        "policy",
        """
        limits:
          schedules_per_owner: {default: 100, crowd: 1}
        allow:
          local_roots: [exports]
          email_domains: [example.com]
          hosts: ["*.example.com"]
          destinations: [local, email, s3]
        """,
    ),
    "groups/team.yaml": a_document("Group", "team", "members: [anna@example.com]"),
    "groups/crowd.yaml": a_document("Group", "crowd", "members: [bob@example.com]"),
    "connections/mail.yaml": a_document(
        "Connection",
        "mail",
        "{type: smtp, host: mail.example.com, from: r@example.com}",
    ),
    # Files that YAML, or UTF-8, cannot read.
    "schedules/trap-latin.yaml": b"# caf\xe9\napiVersion: boe/v1\n",
    "schedules/trap-cron.yaml": schedule("trap-cron", when="⟦BOE007⟧*/5 * * * *"),
    "schedules/trap-macro.yaml": schedule("trap-macro", when="{cron: ⟦BOE007⟧@daily}"),
    "schedules/trap-tab.yaml": "apiVersion: boe/v1\nkind: Schedule\n"
    "metadata:\n⟦BOE006⟧\tname: trap-tab\n",
    "schedules/trap-template.yaml": schedule(
        "trap-template", parameters="{month: ⟦BOE008⟧{{ period.start }}}"
    ),
    "schedules/trap-quote.yaml": schedule("trap-quote", title='⟦BOE005⟧"Sales'),
    "schedules/trap-colon.yaml": whole(
        "Schedule", "trap-colon", "spec:\n  title: Sales⟦BOE009⟧: north\n"
    ),
    "schedules/trap-twice.yaml": schedule("trap-twice").replace(
        "  when", "  ⟦BOE010⟧report: sales\n  when"
    ),
    "schedules/trap-alias.yaml": schedule("trap-alias", report="⟦BOE011⟧*sales"),
    "schedules/trap-tag.yaml": schedule(
        "trap-tag", report="⟦BOE013⟧!!python/name:os.system"
    ),
    "schedules/trap-merge.yaml": schedule("trap-merge").replace(
        "spec:\n", "spec:\n  ⟦BOE014⟧<<: {paused: true}\n"
    ),
    # Shape.
    "schedules/shape-list.yaml": "⟦BOE031⟧- apiVersion: boe/v1\n- kind: Schedule\n",
    "schedules/shape-version.yaml": schedule("shape-version").replace(
        "boe/v1", "⟦BOE032⟧boe/v2"
    ),
    "schedules/shape-kind.yaml": schedule("shape-kind").replace(
        "kind: Schedule", "kind: ⟦BOE033⟧Shedule"
    ),
    "schedules/shape-missing.yaml": schedule("shape-missing")
    .replace("spec:", "⟦BOE034⟧spec:")
    .replace("  deliver_to: [archive]\n", ""),
    "schedules/shape-field.yaml": schedule("shape-field").replace(
        "  when", "  ⟦BOE035⟧paussed: true\n  when"
    ),
    "schedules/shape-type.yaml": schedule("shape-type", paused="⟦BOE036⟧yes"),
    "schedules/shape-word.yaml": schedule(
        "shape-word", export="{format: ⟦BOE037⟧xslx}"
    ),
    "schedules/shape-form.yaml": schedule(
        "shape-form", execution="{timeout: ⟦BOE038⟧30 minutes}"
    ),
    "schedules/shape-bound.yaml": schedule(
        "shape-bound", execution="{retry: {max_retries: ⟦BOE039⟧-1}}"
    ),
    "schedules/shape-empty.yaml": schedule("shape-empty", deliver_to="⟦BOE040⟧[]"),
    "schedules/shape-owner.yaml": schedule("shape-owner")
    .replace(", owner: team", "")
    .replace("metadata:", "⟦BOE041⟧metadata:"),
    "groups/shape-address.yaml": a_document(
        "Group", "shape-address", "members: [⟦BOE042⟧anna.example.com]"
    ),
    "reports/shape-both.yaml": report(
        "shape-both", "query: select 1", "⟦BOE043⟧query_file: both.sql"
    ),
    "reports/both.sql": "select 1",
    "distributions/shape-kind.yaml": distribution("shape-kind", "{type: ⟦BOE044⟧ftp}"),
    "reports/shape-enum.yaml": report(
        "shape-enum",
        "query: select :a",
        "parameters: {a: {type: enum, values: [x], default: ⟦BOE047⟧y}}",
    ),
    "connections/shape-secret.yaml": whole(
        "Connection",
        "shape-secret",
        "spec: {type: postgres, host: a.example.com, database: d, user: u, "
        "password: ⟦BOE049⟧hunter2}\n",
    ),
    # Time.
    **when("none", "⟦BOE060⟧{timezone: UTC}"),
    **when("zone", '{cron: "0 6 * * *", timezone: ⟦BOE062⟧CEST}'),
    **when("six", '{cron: ⟦BOE063⟧"0 0 6 * * *", timezone: UTC}'),
    **when("field", '{cron: ⟦BOE064⟧"0 25 * * *", timezone: UTC}'),
    **when("range", '{cron: ⟦BOE065⟧"0 22-2 * * *", timezone: UTC}'),
    **when("step", '{cron: ⟦BOE066⟧"*/90 * * * *", timezone: UTC}'),
    **when("never", '{cron: ⟦BOE067⟧"0 6 31 2 *", timezone: UTC}'),
    **when("day", "{frequency: weekly, on: ⟦BOE074⟧15, timezone: UTC}"),
    **when("time", '{frequency: daily, at: ⟦BOE075⟧"6.30", timezone: UTC}'),
    **when("often", "{every: ⟦BOE072⟧10s, timezone: UTC}"),
    "schedules/when-nowhere.yaml": schedule("when-nowhere")
    .replace("  when", "  ⟦BOE061⟧when")
    .replace(", timezone: Europe/Berlin", ""),
    "calendars/span.yaml": a_document(
        "Calendar",
        "span",
        "days_off: [{from: 2030-12-28, to: ⟦BOE051⟧2030-12-24}]",
    ),
    # References.
    "schedules/ref-report.yaml": schedule("ref-report", report="⟦BOE100⟧sale"),
    "reports/ref-type.yaml": report("ref-type", "query: select 1").replace(
        "connection: db", "connection: ⟦BOE102⟧mail"
    ),
    "reports/ref-file.yaml": report("ref-file", "query_file: ⟦BOE103⟧gone.sql"),
    "reports/ref-link.yaml": report("ref-link", "query_file: ⟦BOE103⟧link.sql"),
    "reports/ref-out.yaml": report("ref-out", "query_file: ⟦BOE104⟧/etc/passwd"),
    "schedules/ref-input.yaml": schedule(
        "ref-input", deliver_to="[{distribution: archive, inputs: {⟦BOE105⟧to: x}}]"
    ),
    "schedules/ref-parameter.yaml": schedule(
        "ref-parameter", parameters="{⟦BOE108⟧month: 1}"
    ),
    "reports/twice.yaml": report("twice", "query: select 1").replace(
        "name: twice", "name: ⟦BOE101⟧twice"
    ),
    "reports/twice-again.yaml": report("twice", "query: select 2").replace(
        "name: twice", "name: ⟦BOE101⟧twice"
    ),
    # Policy.
    "schedules/policy-a.yaml": schedule("policy-a").replace(
        "owner: team", "owner: crowd"
    ),
    "schedules/policy-b.yaml": schedule("policy-b").replace(
        "owner: team", "owner: ⟦BOE130⟧crowd"
    ),
    "distributions/policy-type.yaml": distribution(
        "policy-type", "{type: ⟦BOE131⟧webhook, url: https://hooks.example.com}"
    ),
    "distributions/policy-domain.yaml": distribution(
        "policy-domain",
        "{type: email, connection: mail, subject: S, to: [⟦BOE132⟧eve@example.net]}",
    ),
    "connections/policy-host.yaml": whole(
        "Connection",
        "policy-host",
        "spec: {type: postgres, host: ⟦BOE133⟧db.example.net, database: d, user: u}\n",
    ),
    "reports/policy-code.yaml": report(
        "policy-code", "query: select 1", "transform: ⟦BOE134⟧shape:run"
    ),
    "shape.py": "def run(frame):\n    return frame\n",
    "templates/policy.yaml": a_document("Policy", "policy", "{}").replace(
        "kind: P", "kind: ⟦BOE137⟧P"
    ),
    "distributions/policy-root.yaml": distribution(
        "policy-root", "{type: local, base_path: ⟦BOE166⟧/etc}"
    ),
    # Names and templates.
    "schedules/name-token.yaml": schedule(
        "name-token", export='{filename_pattern: "⟦BOE160⟧{dat}_{time}.csv"}'
    ),
    "schedules/name-period.yaml": schedule(
        "name-period", export='{filename_pattern: ⟦BOE182⟧"{period}.csv"}'
    ),
    "distributions/name-subject.yaml": distribution(
        "name-subject",
        '{type: email, connection: mail, subject: "S ⟦BOE162⟧{date}", to: [a@example.com]}',
    ),
    "distributions/name-jinja.yaml": distribution(
        "name-jinja",
        '{type: email, connection: mail, subject: ⟦BOE181⟧"{{ today }}", '
        "to: [a@example.com]}",
    ),
    # A template's mistake is its own, however many use it.
    "templates/nightly.yaml": a_document(
        "ScheduleTemplate", "nightly", "execution: {overlap: ⟦BOE037⟧never}"
    ),
    **{
        f"schedules/nightly-{number}.yaml": schedule(
            f"nightly-{number}", template="nightly"
        )
        for number in range(3)
    },
    # SQL.
    "reports/sql-empty.yaml": report("sql-empty", 'query: "⟦BOE200⟧-- later"'),
    "reports/sql-two.yaml": report("sql-two", "query: select 1; ⟦BOE201⟧select 2"),
    "reports/sql-drop.yaml": report("sql-drop", "query_file: drop.sql"),
    "reports/drop.sql": "-- mind the step\n⟦BOE202⟧drop table flights\n",
    "reports/sql-name.yaml": report("sql-name", "query: select ⟦BOE204⟧:month"),
    "reports/sql-open.yaml": report("sql-open", "query: select ⟦BOE206⟧(1"),
    "reports/sql-dollar.yaml": report("sql-dollar", "query: select ⟦BOE207⟧$1"),
    "reports/sql-gap.yaml": report(
        "sql-gap", "query: select 1 from ⟦BOE208⟧where true"
    ),
}
#: Whole files, which no mark can name.
WHOLE = {
    ("BOE001", "schedules/trap-latin.yaml", 1, 6),
    ("BOE016", "schedules/locked.yaml", 1, 1),
}
UNREADABLE = {
    "schedules/locked.yaml": "permission denied",
    "reports/link.sql": "it is a symbolic link",
}


def test_each_of_many_mistakes_is_told_once_at_its_own_place() -> None:
    files, marked = unmarked(REPO)
    plan = plan_of(files, unreadable=UNREADABLE)
    found = [spot(problem) for problem in plan.problems]
    assert set(found) == marked | WHOLE
    assert len(found) == len(set(found))


def test_the_mistakes_are_of_more_than_forty_kinds() -> None:
    _, marked = unmarked(REPO)
    codes = {code for code, *_ in marked | WHOLE}
    assert len(codes) > 60
    assert codes <= set(CODES)


def test_what_is_right_beside_the_mistakes_is_served() -> None:
    files, _ = unmarked(REPO)
    plan = plan_of(files, unreadable=UNREADABLE)
    assert {"daily", "policy-a"} == set(plan.schedules)
