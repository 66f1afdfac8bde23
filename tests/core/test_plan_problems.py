"""Each Problem that only a look at the whole revision shows, at its very place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from boe_reconciler.core.codes import CODES
from boe_reconciler.core.plan import look_through
from tests.revisions import (
    GOOD,
    NOW,
    a_document,
    a_snapshot,
    plan_of,
    spot,
    unmarked,
)

T = TypeVar("T")
R = TypeVar("R")

SMTP = a_document(
    "Connection", "mail", "{type: smtp, host: mail.example.com, from: r@example.com}"
)
S3 = a_document("Connection", "s3", "{type: s3, region: eu-central-1}")
ONLY_DUCKDB = {"connections/db.yaml": a_document("Connection", "db", "type: duckdb")}


def a_schedule(spec: str = "", name: str = "x", metadata: str = "") -> str:
    """A good one, but for what `spec` says instead."""
    fields = {
        "report": "report: sales",
        "when": 'when: {cron: "0 6 * * *", timezone: UTC}',
        "deliver_to": "deliver_to: [archive]",
    }
    said = {line.partition(":")[0].strip() for line in spec.splitlines()}
    rest = [line for key, line in fields.items() if key not in said]
    return a_document("Schedule", name, "\n".join([spec, *rest]), metadata)


def a_mail(fields: str, connection: str = "mail") -> str:
    return a_document(
        "Distribution",
        "mails",
        f"destinations:\n- type: email\n  connection: {connection}\n"
        f"  subject: Sales\n  {fields}",
    )


def that_can_be_left(*ways: str) -> str:
    """A mail for each `unsubscribe`."""
    mails = (
        f"- {{type: email, connection: mail, name: d{number}, subject: Sales, "
        f"to: a@example.com, unsubscribe: {way}}}"
        for number, way in enumerate(ways)
    )
    return a_document("Distribution", "mails", "\n".join(["destinations:", *mails]))


def a_report(spec: str, name: str = "x") -> str:
    return a_document("Report", name, spec)


def a_transform(
    text: str | bytes, name: str = "shapes.margin:run"
) -> dict[str, str | bytes]:
    return {
        "policy.yaml": a_policy("allow: {transforms: [shapes/margin.py]}"),
        "shapes/margin.py": text,
        "reports/x.yaml": a_report(
            f"connection: db\nquery: select 1\ntransform: {name}"
        ),
    }


def a_policy(spec: str) -> str:
    return a_document("Policy", "policy", spec)


def ten() -> dict[str, str]:
    """As many Schedules as an owner may have."""
    return {f"schedules/n{n}.yaml": a_schedule(name=f"n{n}") for n in range(9)}


#: name -> files over those of GOOD, with a mark where each Problem stands.
CASES: dict[str, dict[str, Any]] = {
    # References.
    "a Report that is not there": {
        "schedules/x.yaml": a_schedule("report: ⟦BOE100⟧salse")
    },
    "a Distribution that is not there": {
        "schedules/x.yaml": a_schedule("deliver_to: [⟦BOE100⟧archiv, archive]")
    },
    "a Distribution in a reference": {
        "schedules/x.yaml": a_schedule("deliver_to: [{distribution: ⟦BOE100⟧nope}]")
    },
    "a Connection that is not there": {
        "reports/x.yaml": a_report("connection: ⟦BOE100⟧dbb\nquery: select 1")
    },
    "a Calendar that is not there": {
        "schedules/x.yaml": a_schedule(
            'when: {cron: "0 6 * * *", timezone: UTC, calendar: ⟦BOE100⟧nope}'
        )
    },
    "a ScheduleTemplate that is not there": {
        "schedules/x.yaml": a_schedule("template: ⟦BOE100⟧nope")
    },
    "a Group that owns": {
        "reports/x.yaml": "apiVersion: boe/v1\nkind: Report\nmetadata:\n  name: x\n"
        "  owner: ⟦BOE100⟧nobody\nspec: {connection: db, query: select 1}\n"
    },
    "a Group that is told": {
        "schedules/x.yaml": a_schedule("notify: [a@example.com, ⟦BOE100⟧nobody]")
    },
    "a Policy's Distribution": {
        "policy.yaml": a_policy("notices: {ops: [⟦BOE100⟧nope]}")
    },
    "an Environment's Connection": {
        "environments/e.yaml": a_document(
            "Environment",
            "e",
            "connections: {nope: ⟦BOE100⟧{path: x.duckdb}}\nredirect: {local: x}",
        )
    },
    "a fallback that is not there": {
        "connections/m.yaml": a_document(
            "Connection", "m", "{type: smtp, host: x, fallback: [⟦BOE100⟧nope]}"
        )
    },
    "a fallback that sends no mail": {
        "connections/m.yaml": a_document(
            "Connection", "m", "{type: smtp, host: x, fallback: [⟦BOE102⟧db]}"
        )
    },
    "two of one name": {
        "reports/x.yaml": a_report("{connection: db, query: select 1}").replace(
            "name: x", "name: ⟦BOE101⟧x"
        ),
        "reports/y.yaml": a_report("{connection: db, query: select 2}").replace(
            "name: x", "name: ⟦BOE101⟧x"
        ),
    },
    "two Policies": {
        "policy.yaml": a_policy("{}").replace("name: p", "name: ⟦BOE101⟧p")
        + "---\n"
        + a_policy("{}").replace("name: policy", "name: ⟦BOE101⟧other")
    },
    "a Report over no database": {
        "connections/mail.yaml": SMTP,
        "reports/x.yaml": a_report("connection: ⟦BOE102⟧mail\nquery: select 1"),
    },
    "a mail through a database": {
        "distributions/mails.yaml": a_mail("to: [a@example.com]").replace(
            "connection: mail", "connection: ⟦BOE102⟧db"
        )
    },
    "a query file that is not there": {
        "reports/x.yaml": a_report("connection: db\nquery_file: ⟦BOE103⟧x.sql")
    },
    "a query file that leaves the repo": {
        "reports/x.yaml": a_report("connection: db\nquery_file: ⟦BOE104⟧../../x.sql")
    },
    "a body that is not there": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail(
            "to: [a@example.com]\n  text: {file: ⟦BOE103⟧body.txt}"
        ),
    },
    "an input that is not declared": {
        "schedules/x.yaml": a_schedule(
            "deliver_to:\n- distribution: archive\n  inputs: {⟦BOE105⟧to: x}"
        )
    },
    "an input that is missing": {
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "inputs: {x: {type: string, required: true}}\n"
            "destinations: [{type: local, base_path: d}]",
        ),
        "schedules/x.yaml": a_schedule("deliver_to:\n- archive\n- ⟦BOE106⟧d"),
    },
    "an input of another type": {
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "inputs: {x: {type: int}}\ndestinations: [{type: local, base_path: d}]",
        ),
        "schedules/x.yaml": a_schedule(
            "deliver_to: [{distribution: d, inputs: {x: ⟦BOE107⟧many}}]"
        ),
    },
    "a parameter that the report does not have": {
        "schedules/x.yaml": a_schedule("parameters: {⟦BOE108⟧month: 1}")
    },
    "a parameter that is missing": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select :m\n"
            "parameters: {m: {type: int, required: true}}"
        ),
        "schedules/x.yaml": a_schedule("report: x\n⟦BOE109⟧parameters: {}"),
    },
    "a parameter of another type": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select :m\nparameters: {m: {type: int}}"
        ),
        "schedules/x.yaml": a_schedule(
            'report: x\nparameters: {m: ⟦BOE107⟧"{{ owner }}"}'
        ),
    },
    "a query file that is not text": {
        "reports/x.sql": b"select '\xff'",
        "reports/x.yaml": a_report("connection: db\nquery_file: ⟦BOE110⟧x.sql"),
    },
    "a template that is no workbook": {
        "reports/x.xlsx": b"not a zip",
        "reports/x.yaml": a_report(
            "connection: db\nworkbook:\n  template: ⟦BOE110⟧x.xlsx\n"
            "  sheets: [{name: A, query: select 1}]"
        ),
    },
    "a link to a folder": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail(
            "to: [a@example.com]\n"
            "  attach: {max: 1MB, over_max: {link_to: ⟦BOE111⟧archive, expires: 1d}}"
        ),
    },
    "links that end before they should": {
        "connections/mail.yaml": SMTP,
        "connections/s3.yaml": S3,
        "distributions/mails.yaml": a_mail(
            "to: [a@example.com]\n"
            "  attach: {max: 1MB, over_max: {link_to: big, expires: ⟦BOE230⟧8d}}\n"
            "- {type: s3, name: big, connection: s3, bucket: b}\n"
            "- type: email\n  name: two\n  connection: mail\n  subject: x\n"
            "  to: [a@example.com]\n"
            "  attach: {max: 1MB, over_max: {link_to: big, expires: ⟦BOE231⟧13h}}\n"
            "- type: email\n  name: three\n  connection: mail\n  subject: x\n"
            "  to: [a@example.com]\n"
            "  attach: {max: 1MB, over_max: {link_to: lost, expires: 8d}}\n"
            "- {type: s3, name: lost, connection: ⟦BOE100⟧nowhere, bucket: b}"
        ),
    },
    "a link to nowhere": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail(
            "to: [a@example.com]\n"
            "  attach: {max: 1MB, over_max: {link_to: ⟦BOE100⟧nope, expires: 1d}}"
        ),
    },
    "renamed, but still there": {
        "schedules/x.yaml": a_schedule(metadata="  renamed_from: ⟦BOE112⟧daily\n")
    },
    "two that were one": {
        "schedules/x.yaml": a_schedule(metadata="  renamed_from: ⟦BOE112⟧gone\n"),
        "schedules/y.yaml": a_schedule(
            name="y", metadata="  renamed_from: ⟦BOE112⟧gone\n"
        ),
    },
    "several sheets as csv": {
        "reports/x.yaml": a_report(
            "connection: db\nworkbook:\n  sheets:\n"
            "  - {name: A, query: select 1}\n  - {name: B, query: select 2}"
        ),
        "schedules/x.yaml": a_schedule("report: x\nexport: {format: ⟦BOE113⟧csv}"),
        "schedules/y.yaml": a_schedule(
            "report: x\nexport: {format: [xlsx, html, ⟦BOE113⟧jsonl]}", name="y"
        ),
    },
    "a workbook template as html": {
        "reports/x.xlsx": b"PK\x03\x04",
        "reports/x.yaml": a_report(
            "connection: db\nworkbook: {template: x.xlsx, "
            "sheets: [{name: A, query: select 1}]}"
        ),
        "schedules/x.yaml": a_schedule("report: x\nexport: {format: ⟦BOE113⟧html}"),
    },
    # Policy.
    "the 11th Schedule of an owner": {
        **ten(),
        "schedules/z.yaml": a_schedule(name="z").replace("owner: ", "owner: ⟦BOE130⟧"),
    },
    "a type of destination": {
        "policy.yaml": a_policy("allow: {destinations: [local, sftp]}"),
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail("to: [a@example.com]").replace(
            "type: email", "type: ⟦BOE131⟧email"
        ),
    },
    "a domain": {
        "policy.yaml": a_policy("allow: {email_domains: [Example.com]}"),
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail(
            "to: [a@example.com, ⟦BOE132⟧eve@example.net]"
        ),
    },
    "a domain in a file with recipients": {
        "policy.yaml": a_policy("allow: {email_domains: [example.com]}"),
        "schedules/x.yaml": a_schedule(
            "burst: {recipients_file: ⟦BOE132⟧x.csv, split_on: region}"
        ),
        "schedules/x.csv": "region,to\nnorth,eve@example.net\nsouth,a@example.com\n",
    },
    "a domain in a Group": {
        "policy.yaml": a_policy("allow: {email_domains: [example.com]}"),
        "connections/mail.yaml": SMTP,
        "groups/g.yaml": a_document("Group", "g", "members: [eve@example.net]"),
        "distributions/mails.yaml": a_mail("to: [{group: ⟦BOE132⟧g}]"),
    },
    "a domain in an input": {
        "policy.yaml": a_policy("allow: {email_domains: [example.com]}"),
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "inputs: {a: {type: email}, b: {type: emails}, c: {type: emails}}\n"
            "destinations: [{type: local, base_path: d}]",
        ),
        "schedules/x.yaml": a_schedule(
            "deliver_to: [{distribution: d, inputs: "
            '{a: ⟦BOE132⟧eve@example.net, b: ⟦BOE132⟧"a@example.com,eve@example.org"}}]'
        ),
    },
    "a host": {
        "policy.yaml": a_policy('allow: {hosts: ["*.internal"]}'),
        "connections/p.yaml": a_document(
            "Connection",
            "p",
            "{type: postgres, host: ⟦BOE133⟧db.example.com, database: d, user: u}",
        ),
        "connections/q.yaml": a_document(
            "Connection",
            "q",
            "{type: postgres, host: DB.internal, database: d, user: u}",
        ),
    },
    "a private address": {
        "connections/w.yaml": a_document(
            "Connection", "w", "{type: webhook, url: ⟦BOE133⟧http://127.0.0.1/hook}"
        ),
        "distributions/w.yaml": a_document(
            "Distribution",
            "w",
            "destinations: [{type: webhook, url: ⟦BOE133⟧'http://[::1]:80/hook'}]",
        ),
    },
    "a ping at a private address": {
        "schedules/x.yaml": a_schedule("ping: ⟦BOE133⟧http://169.254.169.254/x"),
        "schedules/y.yaml": a_schedule("ping: https://hc.example.com/x", name="y"),
        "schedules/z.yaml": a_schedule("ping: {env: PING}", name="z"),
    },
    "a ping that is no web address": {
        "schedules/x.yaml": a_schedule("ping: ⟦BOE038⟧ftp://hc.example.com/x"),
        "schedules/y.yaml": a_schedule(
            "ping: ⟦BOE049⟧https://a:b@hc.example.com/x", name="y"
        ),
    },
    "a transform": {
        "shape.py": "def run(frame):\n    return frame\n",
        "reports/x.yaml": a_report(
            "connection: db\nquery: select 1\ntransform: ⟦BOE134⟧shape:run"
        ),
    },
    "a transform that neither is there nor listed": {
        "reports/shape.py": "def run(frame):\n    return frame\n",
        "schedules/x.yaml": a_schedule(
            "report: {connection: db, query: select 1, transform: ⟦BOE134⟧⟦BOE103⟧shape:run}"
        ),
    },
    "what is required": {
        "policy.yaml": a_policy("require: [description]").replace(
            "metadata:", "metadata:\n  description: x"
        ),
        **{
            path: text.replace("metadata:", "⟦BOE135⟧metadata:")
            for path, text in GOOD.items()
        },
    },
    "too many recipients": {
        "policy.yaml": a_policy("limits: {max_recipients: 2}"),
        "connections/mail.yaml": SMTP,
        "groups/g.yaml": a_document(
            "Group",
            "g",
            "members: [b@example.com, {email: c@example.com, until: 2026-11-23}, "
            "{email: d@example.com, until: 2026-11-22}]",
        ),
        "distributions/mails.yaml": a_mail("to: ⟦BOE136⟧[a@example.com, {group: g}]"),
    },
    "a Policy in the wrong place": {
        "policy.yaml": a_policy("{}"),
        "groups/policy.yaml": a_policy("{}").replace("kind: P", "kind: ⟦BOE137⟧P"),
    },
    "the only Policy in the wrong place": {
        "groups/policy.yaml": a_policy("{}").replace("kind: P", "kind: ⟦BOE137⟧P"),
    },
    "a change window that is open when it opens again": {
        "policy.yaml": a_policy(
            "change_windows:\n- cron: 0 8,10 * * *\n  duration: ⟦BOE155⟧3h\n"
            "  timezone: UTC"
        ),
    },
    "a token in plain text": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select '⟦BOE156⟧AK" + "IAABCDEFGHIJKLMNOP'"
        )
    },
    "an owner who is no code owner": {
        "policy.yaml": a_policy("codeowners: true"),
        "CODEOWNERS": "* ops@example.com\n/reports/ @org/finance\n",
        "reports/sales.yaml": GOOD["reports/sales.yaml"].replace(
            "ops@", "⟦BOE157⟧ops@"
        ),
    },
    "a file without code owners": {
        "policy.yaml": a_policy("codeowners: true"),
        ".github/CODEOWNERS": "* ops@example.com\n/groups/\n",
        "groups/g.yaml": a_document("Group", "⟦BOE158⟧g", "members: []"),
    },
    # File names, paths and templates.
    "an unknown token": {
        "schedules/x.yaml": a_schedule(
            'export: {filename_pattern: "a_⟦BOE160⟧{dat}.{format}"}'
        )
    },
    "a template in a file name": {
        "schedules/x.yaml": a_schedule(
            'export: {filename_pattern: "⟦BOE161⟧{{ period }}_{date}.csv"}'
        )
    },
    "a template in a folder": {
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            'destinations: [{type: local, base_path: ⟦BOE161⟧"x/{year}"}]',
        )
    },
    "a token in a template": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail("to: [a@example.com]").replace(
            "subject: Sales", 'subject: "Sales ⟦BOE162⟧{date}"'
        ),
    },
    "a token in a parameter": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select :m\nparameters: {m: {type: list}}"
        ),
        "schedules/x.yaml": a_schedule(
            'report: x\nparameters: {m: [a, "⟦BOE162⟧{month}"]}'
        ),
    },
    "a brace alone": {
        "schedules/x.yaml": a_schedule(
            'export: {filename_pattern: "{date}⟦BOE163⟧{.csv"}'
        )
    },
    "a folder in a file name": {
        "schedules/x.yaml": a_schedule(
            "export: {filename_pattern: '{date}⟦BOE164⟧/x.csv'}"
        )
    },
    "a date format": {
        "schedules/x.yaml": a_schedule(
            'export: {filename_pattern: "⟦BOE165⟧{date:%c}.csv"}'
        )
    },
    "a path that leaves its root": {
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "destinations: [{type: local, base_path: ⟦BOE166⟧../out}]",
        )
    },
    "a done_marker": {
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "destinations: [{type: local, base_path: x, "
            'done_marker: "⟦BOE160⟧{fil}.done"}]',
        )
    },
    "one name for all": {
        "schedules/x.yaml": a_schedule("export: {filename_pattern: ⟦BOE167⟧sales.csv}")
    },
    "a template that cannot be read": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail("to: [a@example.com]").replace(
            "subject: Sales", 'subject: "⟦BOE180⟧{{ period "'
        ),
    },
    "a template in the third line": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail(
            "to: [a@example.com]\n  text: |\n    one\n    two\n"
            "    ⟦BOE180⟧{{ period.start }\n"
        ),
    },
    "a name that no template knows": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail("to: [a@example.com]").replace(
            "subject: Sales", 'subject: ⟦BOE181⟧"{{ perod }}"'
        ),
    },
    "a parameter that cannot be filled in": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select :m\nparameters: {m: {type: date}}"
        ),
        "schedules/x.yaml": a_schedule(
            'report: x\nparameters: {m: ⟦BOE181⟧"{{ period.start }}"}'
        ),
    },
    "a period that is not there": {
        "schedules/x.yaml": a_schedule(
            'export: {filename_pattern: ⟦BOE182⟧"{period}.csv"}\n'
            "deliver_to: [{type: local, base_path: x, "
            'filename_pattern: ⟦BOE182⟧"{period}.csv"}]'
        )
    },
    "a password that csv cannot carry": {
        "schedules/x.yaml": a_schedule(
            "export: {format: [xlsx, csv], ⟦BOE210⟧password: {env: X}}"
        )
    },
    "a password that gzip cannot carry": {
        "schedules/x.yaml": a_schedule(
            "export: {format: json, compress: gzip, ⟦BOE210⟧password: {env: X}}"
        )
    },
    "a workbook that cannot be split": {
        "reports/x.yaml": a_report(
            "connection: db\nmax_rows: 5\non_too_many: ⟦BOE211⟧split\n"
            "workbook:\n  sheets:\n"
            "  - {name: A, query: select 1}\n  - {name: B, query: select 2}"
        ),
    },
    "a split without a number of rows": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select 1\n⟦BOE046⟧on_too_many: split"
        ),
    },
    "several formats with one name": {
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "destinations: [{type: local, base_path: d, "
            'filename_pattern: "d_{date}.x"}]',
        ),
        "schedules/x.yaml": a_schedule(
            "export: {format: [csv, json], "
            'filename_pattern: ⟦BOE212⟧"a_{date}.txt"}\n'
            "deliver_to: [{type: local, base_path: x, "
            'filename_pattern: ⟦BOE212⟧"b_{date}.txt"}, ⟦BOE212⟧d]'
        ),
    },
    # SQL.
    "a parameter that is not declared": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: |\n  select 1\n  where a = ⟦BOE204⟧:month"
        )
    },
    "a parameter that is not used": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select 1\nparameters: {⟦BOE205⟧m: {type: int}}"
        )
    },
    "a query file that writes": {
        "reports/x.sql": "select 1;\n⟦BOE201⟧drop table x",
        "reports/x.yaml": a_report("connection: db\nquery_file: x.sql"),
    },
    "a check and a condition": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select 1\nchecks: [{name: c, query: ⟦BOE202⟧drop x}]"
        ),
        "schedules/x.yaml": a_schedule("only_if: {query: ⟦BOE202⟧delete from x}"),
    },
    "a sheet's query": {
        "reports/x.yaml": a_report(
            "connection: db\nworkbook: {sheets: [{name: A, query: ⟦BOE202⟧drop x}]}"
        )
    },
    # Values that only the whole shows.
    "sqlite reads no files": {
        "connections/s.yaml": a_document(
            "Connection", "s", 'type: sqlite\nfiles: ⟦BOE046⟧{a: "*.csv"}'
        )
    },
    "a separator that cannot separate": {
        "schedules/a.yaml": a_schedule(
            "export: {format: csv, dialect: {separator: ⟦BOE038⟧x}}", name="a"
        ),
        "schedules/b.yaml": a_schedule(
            "export: {format: csv, dialect: {separator: ⟦BOE038⟧'\"'}}", name="b"
        ),
        "schedules/c.yaml": a_schedule(
            'export: {format: csv, dialect: {separator: ⟦BOE038⟧",", decimal: ","}}',
            name="c",
        ),
        "schedules/d.yaml": a_schedule(
            'export: {format: tsv, dialect: {separator: "\\t"}}', name="d"
        ),
        "schedules/e.yaml": a_schedule(
            'export: {format: csv, dialect: {separator: ⟦BOE038⟧"\\n"}}', name="e"
        ),
    },
    "a zone beside another mistake": {
        "schedules/a.yaml": a_schedule(
            "when: {frequency: ⟦BOE037⟧weekley, timezone: ⟦BOE062⟧Berlin}"
        ),
        "schedules/b.yaml": a_schedule(
            "when: {frequency: ⟦BOE037⟧weekley, timezone: UTC}", name="b"
        ),
        "schedules/c.yaml": a_schedule("when: {frequency: ⟦BOE037⟧weekley}", name="c"),
    },
    "a blackout": {
        "connections/b.yaml": a_document(
            "Connection",
            "b",
            "type: duckdb\nblackouts:\n"
            '- {cron: ⟦BOE064⟧"0 99 * * *", duration: 1h, timezone: UTC}\n'
            '- {cron: "0 9 * * *", duration: 1h, timezone: ⟦BOE062⟧Berlin}\n'
            '- ⟦BOE061⟧{cron: "0 9 * * *", duration: 1h}',
        )
    },
    "a blackout without an end": {
        "policy.yaml": a_policy("defaults: {timezone: Europe/Berlin}"),
        "connections/b.yaml": a_document(
            "Connection",
            "b",
            "type: duckdb\nblackouts:\n"
            '- {cron: "0 1 * * *", duration: ⟦BOE145⟧24h}\n'
            '- {cron: "0 * * * *", duration: ⟦BOE145⟧90m, timezone: UTC}\n'
            '- {cron: "0 0 * * 1-5", duration: 24h}\n'
            '- {cron: "0 0 1 1 *", duration: 9d}\n'
            '- {cron: "0 * * * *", duration: 59m}',
        ),
    },
    "a change window": {
        "policy.yaml": a_policy(
            "defaults: {timezone: ⟦BOE062⟧Berlin}\n"
            'change_windows: [{cron: ⟦BOE063⟧"0 9 * *", duration: 1h}]'
        )
    },
    "a webhook that leads to no web address": {
        "connections/w.yaml": a_document(
            "Connection", "w", "{type: webhook, url: ⟦BOE240⟧hooks.example.com}"
        ),
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "{destinations: [{type: webhook, url: ⟦BOE240⟧ftp://example.com/}]}",
        ),
    },
    "a folder above the one of a far side": {
        "connections/s.yaml": a_document(
            "Connection",
            "s",
            "{type: sftp, host: h.example.com, user: u, password: {env: P}, "
            f"host_key: 'SHA256:{'A' * 43}'}}",
        ),
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "{destinations: [{type: sftp, connection: s, base_path: ⟦BOE166⟧/in/../x}]}",
        ),
    },
    "a prefix that leads out of its bucket": {
        "connections/s.yaml": a_document("Connection", "s", "{type: s3}"),
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "{destinations: [{type: s3, connection: s, bucket: b, "
            "prefix: ⟦BOE166⟧../x}]}",
        ),
    },
    "a header that is a secret": {
        "connections/w.yaml": a_document(
            "Connection",
            "w",
            "{type: webhook, url: https://example.com, "
            "headers: {X-Api-Key: ⟦BOE049⟧abc, X-Team: sales}}",
        )
    },
    "a secret in an Environment": {
        "connections/p.yaml": a_document(
            "Connection", "p", "{type: postgres, host: h, database: d, user: u}"
        ),
        "environments/e.yaml": a_document(
            "Environment",
            "e",
            "connections: {p: {host: other, password: ⟦BOE049⟧plain, ⟦BOE035⟧prot: 1}}\n"
            "redirect: {others: drop}",
        ),
    },
    "a file of sops that is in plain text": {
        "connections/p.yaml": a_document(
            "Connection",
            "p",
            "{type: postgres, host: h, database: d, user: u, "
            "password: {sops: ⟦BOE172⟧../plain.json#a}}",
        ),
        "plain.json": '{"a": "b"}',
    },
    "rows in clear of a file with a password": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail("to: [a@example.com]\n  preview_rows: 5"),
        "schedules/x.yaml": a_schedule(
            "export: {format: xlsx, password: {env: P}}\n"
            "deliver_to:\n- ⟦BOE294⟧mails\n"
            "- {type: email, connection: mail, subject: s, to: a@example.com, "
            "preview_rows: ⟦BOE294⟧1}"
        ),
    },
    "a sender without room for what knows its bounces": {
        "connections/mail.yaml": a_document(
            "Connection",
            "mail",
            "{type: smtp, host: h, bounces: {maildir: m}, "
            f"from: {'x' * 32}@example.com}}",
        ),
        "connections/other.yaml": a_document(
            "Connection",
            "other",
            "{type: smtp, host: h, bounces: {maildir: m, address: b@example.com}, "
            f"from: {'x' * 32}@example.com}}",
        ),
        "schedules/x.yaml": a_schedule(
            "deliver_to:\n"
            "- {type: email, connection: ⟦BOE290⟧mail, subject: s, to: a@example.com}\n"
            "- {type: email, connection: mail, subject: s, to: a@example.com, name: b, "
            f"from: {'x' * 31}@example.com}}\n"
            "- {type: email, connection: mail, subject: s, to: a@example.com, name: c, "
            f"from: ⟦BOE290⟧{'ü' * 16}@example.com}}\n"
            "- {type: email, connection: other, subject: s, to: a@example.com, name: d}"
        ),
    },
    "a way out that leads nowhere": {
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": that_can_be_left(
            "⟦BOE295⟧{}",
            '{url: ⟦BOE295⟧"stop.example.com/{{ recipient }}"}',
            '{url: ⟦BOE295⟧"https://{{ inputs.host }}/{{ recipient }}"}',
            '{url: ⟦BOE295⟧"https://example.com/über?{{ recipient }}"}',
            '{url: ⟦BOE295⟧"http://example.com/?{{ recipient }}"}',
            '{url: ⟦BOE295⟧"https://example.com/stop?recipient=all"}',
            '{url: "https://example.com/{{ part.token }}"}',
            '{url: "⟦BOE180⟧https://example.com/{{ recipient"}',
            "{mailto: ⟦BOE295⟧somebody}",
            '{mailto: ⟦BOE295⟧"s@example.com?subject=no more"}',
            '{mailto: ⟦BOE181⟧"s@example.com?subject={{ recipent }}"}',
            '{url: "https://example.com/?a={{ recipient }}", mailto: s@example.com}',
        ),
    },
    "more often than allowed": {
        "policy.yaml": a_policy("limits: {min_interval: 1h}"),
        "schedules/x.yaml": a_schedule(
            'when: {cron: ⟦BOE072⟧"*/5 * * * *", timezone: UTC}'
        ),
    },
    "what is missing in an Environment": {
        "connections/p.yaml": a_document(
            "Connection", "p", "{type: postgres, host: h, database: d, user: u}"
        ),
        "environments/e.yaml": a_document(
            "Environment",
            "e",
            "connections: {p: ⟦BOE034⟧{user: null}}\nredirect: {others: drop}",
        ),
    },
    "an Environment that delivers as production does": {
        "environments/e.yaml": a_document("Environment", "e", "⟦BOE175⟧{}"),
    },
    "a mail that nobody has sent": {
        "connections/m.yaml": a_document("Connection", "m", "{type: smtp, host: h}"),
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "destinations:\n- type: email\n  connection: ⟦BOE250⟧m\n"
            "  subject: x\n  to: [a@example.com]\n",
        ),
    },
    "a way out that cannot be filled in": {
        "connections/m.yaml": SMTP,
        "distributions/d.yaml": a_mail(
            "to: [a@example.com]\n  unsubscribe: "
            '{url: "https://x.example/{{ recipient }}/{{ period.start }}"}'
        ),
        "schedules/x.yaml": a_schedule("deliver_to:\n- ⟦BOE180⟧mails"),
    },
    "a mail's text that cannot be filled in": {
        "connections/m.yaml": SMTP,
        "mails/m.txt": "{{ period.start }}",
        "distributions/d.yaml": a_mail(
            "to: [a@example.com]\n  text: {file: ../mails/m.txt}"
        ),
        "schedules/x.yaml": a_schedule("deliver_to:\n- ⟦BOE180⟧mails"),
    },
    "a text of a mail in place that cannot be filled in": {
        "connections/m.yaml": SMTP,
        "schedules/x.yaml": a_schedule(
            "deliver_to:\n- type: email\n  connection: mail\n  to: [a@example.com]\n"
            '  subject: ⟦BOE180⟧"{{ occurrence.date }}"\n  unsubscribe:\n'
            '    url: ⟦BOE180⟧"https://x.example/{{ recipient }}/{{ period.end }}"'
        ),
    },
    "a burst that is split on another column than its parts come from": {
        "schedules/x.yaml": a_schedule(
            "burst: {values_from: region, split_on: ⟦BOE043⟧area}\n"
            "deliver_to: [{type: local, base_path: exports}]"
        ),
    },
    "an input that nobody can give, of two Schedules": {
        "connections/m.yaml": SMTP,
        "mails/m.txt": "Hello,\n{{ ⟦BOE181⟧inputs['whoo'] }}",
        "distributions/d.yaml": a_mail(
            "to: [a@example.com]\n  text: {file: ../mails/m.txt}\n"
            "  html: '<p>{{ ⟦BOE181⟧inputs.mood }}</p>'\n"
            "inputs: {who: {type: string, default: you}}"
        ),
        "schedules/x.yaml": a_schedule("deliver_to:\n- mails"),
        "schedules/y.yaml": a_schedule("deliver_to:\n- mails", name="y"),
    },
    "an input in a text that is no template": {
        "connections/m.yaml": SMTP,
        "distributions/d.yaml": a_mail(
            "to: [a@example.com]\n  html: '⟦BOE180⟧{{ inputs.x '"
        ),
    },
    "a mail in a Schedule whose subject cannot be filled in": {
        "connections/m.yaml": SMTP,
        "schedules/x.yaml": a_schedule(
            "deliver_to:\n- {type: email, connection: mail, "
            "to: [a@example.com], subject: ⟦BOE180⟧'{{ period }}'}"
        ),
    },
    "a mail's text that is in no encoding we know": {
        "connections/m.yaml": SMTP,
        "mails/m.txt": b"\xff",
        "distributions/d.yaml": a_mail(
            "to: [a@example.com]\n  text: {file: ⟦BOE110⟧../mails/m.txt}"
        ),
        "schedules/x.yaml": a_schedule("deliver_to:\n- mails"),
    },
    "a mail's text that is no template": {
        "connections/m.yaml": SMTP,
        "mails/m.html": "<p>\n⟦BOE180⟧{% for x %}</p>",
        "mails/n.html": "⟦BOE181⟧<p>{{ nobody }}</p>",
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "destinations:\n- type: email\n  connection: mail\n"
            "  subject: x\n  to: [a@example.com]\n"
            "  html: {file: ../mails/m.html}\n  text: {file: ../mails/n.html}\n",
        ),
    },
    "a Connection of another kind in an Environment": {
        "connections/m.yaml": a_document("Connection", "m", "{type: smtp, host: h}"),
        "environments/e.yaml": a_document(
            "Environment",
            "e",
            "connections: {m: {type: ⟦BOE171⟧sftp, host: h, user: u, "
            "private_key: {env: K}, host_key: 'SHA256:" + "a" * 43 + "'}, "
            "db: {type: sqlite}}\nredirect: {others: drop}",
        ),
    },
    "what the Policy does not allow in an Environment": {
        "policy.yaml": a_policy(
            "allow: {hosts: [db.internal], local_roots: [exports], "
            "email_domains: [example.com]}"
        ),
        "connections/p.yaml": a_document(
            "Connection",
            "p",
            "{type: postgres, host: db.internal, database: d, user: u}",
        ),
        "environments/e.yaml": a_document(
            "Environment",
            "e",
            "connections: {p: {host: ⟦BOE133⟧db.example.org}}\n"
            "redirect: {email: ⟦BOE132⟧a@example.org, local: ⟦BOE166⟧elsewhere}",
        ),
    },
    "what a field needs is gone in an Environment": {
        "connections/m.yaml": a_document(
            "Connection",
            "m",
            "{type: smtp, host: h, user: u, password: {env: X}}",
        ),
        "environments/e.yaml": a_document(
            "Environment",
            "e",
            "connections: {m: ⟦BOE046⟧{user: null}}\nredirect: {local: x}",
        ),
    },
    "days off that end before they begin": {
        "calendars/c.yaml": a_document(
            "Calendar", "c", "days_off: [{from: 2030-12-28, to: ⟦BOE051⟧2030-12-24}]"
        )
    },
    "a Calendar that ends soon": {
        "calendars/c.yaml": a_document(
            "Calendar", "c", "days_off: ⟦BOE081⟧[2026-12-25]"
        )
    },
    "who is asked, and what is waited for": {
        "schedules/x.yaml": a_schedule(
            "approval: {by: [a@example.com, ⟦BOE100⟧nobody]}\n"
            "wait_for: [{query: select true}, {schedule: daily}, "
            "{schedule: ⟦BOE100⟧nope}, {query: ⟦BOE202⟧delete from x}]"
        )
    },
    "a schedule that waits for itself": {
        "schedules/x.yaml": a_schedule("wait_for: [{schedule: ⟦BOE220⟧x}]")
    },
    "schedules that wait for each other": {
        "schedules/x.yaml": a_schedule("wait_for: [{schedule: ⟦BOE220⟧y}]"),
        "schedules/y.yaml": a_schedule(
            "wait_for: [{schedule: daily}, {file: a}, {schedule: ⟦BOE220⟧z}]", name="y"
        ),
        "schedules/z.yaml": a_schedule("wait_for: [{schedule: ⟦BOE220⟧x}]", name="z"),
        "schedules/w.yaml": a_schedule(
            "wait_for: [{schedule: x}, {schedule: v}]", name="w"
        ),
        "schedules/v.yaml": a_schedule("wait_for: [{schedule: ⟦BOE100⟧u}]", name="v"),
    },
    "an ops channel that reaches somebody": {
        "policy.yaml": a_policy("notices: {ops: [chat]}"),
        "distributions/chat.yaml": a_document(
            "Distribution",
            "chat",
            "destinations: [{type: webhook, url: 'https://example.com/x'}]",
        ),
    },
    "a schedule that is never due on the same day": {
        "schedules/x.yaml": a_schedule(
            'when: {cron: "0 6 * * mon", timezone: UTC}\n'
            "wait_for: [{schedule: ⟦BOE222⟧tuesdays}]"
        ),
        "schedules/y.yaml": a_schedule(
            'when: {cron: "0 6 * * tue", timezone: UTC}', name="tuesdays"
        ),
    },
    "a schedule that is due on some of the days": {
        "schedules/x.yaml": a_schedule("wait_for: [{schedule: ⟦BOE222⟧weekdays}]"),
        "schedules/y.yaml": a_schedule(
            "when: {frequency: daily, at: '05:00', timezone: UTC, calendar: days}",
            name="weekdays",
        ),
        "calendars/days.yaml": a_document("Calendar", "days", "working_days: mon-fri"),
    },
    "a schedule to wait for that has mistakes of its own": {
        "schedules/x.yaml": a_schedule("wait_for: [{schedule: y}]"),
        "schedules/y.yaml": a_schedule("when: ⟦BOE060⟧{timezone: UTC}", name="y"),
    },
    "a schedule to wait for whose times are none, and no report": {
        "schedules/x.yaml": a_schedule(
            "report: ⟦BOE100⟧nope\nwait_for: [{schedule: y}, {query: select true}]"
        ),
        "schedules/y.yaml": a_schedule("when: ⟦BOE036⟧5", name="y"),
    },
    "a schedule to wait for whose times come from its template": {
        "schedules/x.yaml": a_schedule("wait_for: [{schedule: ⟦BOE222⟧y}]"),
        "schedules/y.yaml": a_document(
            "Schedule", "y", "report: sales\ndeliver_to: [archive]\ntemplate: once-only"
        ),
        "schedules/template.yaml": a_document(
            "ScheduleTemplate",
            "once-only",
            "when: {once: ['2020-01-01T00:00:00Z'], timezone: UTC}",
        ),
    },
    "files to wait for": {
        "schedules/x.yaml": a_schedule(
            "wait_for: [{file: ⟦BOE221⟧../x.csv}, {file: ⟦BOE221⟧/x.csv}, "
            '{file: "in/{date}/*.csv"}, {file: "in/⟦BOE160⟧{day_of}.csv"}, {file: a}]'
        )
    },
    "an approval that would end by itself": {
        "schedules/x.yaml": a_schedule(
            "approval: {by: [a@example.com], otherwise: ⟦BOE223⟧send}"
        ),
        "schedules/y.yaml": a_schedule(
            "approval: {by: [a@example.com], otherwise: send, before: 4h}", name="y"
        ),
    },
    "one address": {
        "policy.yaml": a_policy("allow: {email_domains: [example.com]}"),
        "connections/mail.yaml": SMTP,
        "distributions/mails.yaml": a_mail(
            "to: ⟦BOE132⟧eve@example.net\n  cc: '{{ part.to }}'\n"
            "  bcc: ['{{ inputs.x }}']"
        ),
    },
    "a good link, and one to what is broken": {
        "connections/mail.yaml": SMTP,
        "connections/s3.yaml": S3,
        "distributions/mails.yaml": a_mail(
            "to: [a@example.com]\n"
            "  attach: {max: 1MB, over_max: {link_to: big, expires: 12h}}\n"
            "- {type: s3, name: big, connection: s3, bucket: b}\n"
            "- type: email\n  name: two\n  connection: mail\n  subject: x\n"
            "  to: [a@example.com]\n"
            "  attach: {max: 1MB, over_max: {link_to: bad, expires: 1d}}"
        ),
        "distributions/bad.yaml": a_document(
            "Distribution", "bad", "destinations: [{type: ⟦BOE044⟧ftp}]"
        ),
    },
    "a field of Schedules that is required": {
        "policy.yaml": a_policy("require: [spec.period]"),
        "schedules/daily.yaml": a_schedule(name="daily").replace(
            "spec:", "⟦BOE135⟧spec:"
        ),
        "schedules/x.yaml": a_schedule("period: current_day"),
    },
    "a transform that is listed": a_transform("def run(frame):\n    return frame\n"),
    "a transform with more than it needs": a_transform(
        "import os\n\ndef run(frame, /, by='x', *more, deep=False, **rest): ...\n"
    ),
    "a transform that takes what comes": a_transform("def run(*frames): ...\n"),
    "a transform that is text in another code": a_transform(
        b"# \xff\n", "⟦BOE110⟧shapes.margin:run"
    ),
    "a transform that is no Python": a_transform(
        "import os\n\n⟦BOE114⟧def run(frame:\n    return frame\n"
    ),
    "a transform with a character that Python refuses": a_transform(
        "⟦BOE114⟧\0def run(frame): ...\n"
    ),
    **{
        f"a transform that {what}": a_transform(text, "⟦BOE114⟧shapes.margin:run")
        for what, text in {
            "is not defined": "def runs(frame): ...\n",
            "is inside of something": "class A:\n    def run(frame): ...\n",
            "is only imported": "from shapes import run\n",
            "is defined twice": "def run(frame): ...\n\ndef run(): ...\n",
            "waits": "async def run(frame): ...\n",
            "takes nothing": "def run(): ...\n",
            "takes two": "def run(one, two): ...\n",
            "takes it by name alone": "def run(*, frame): ...\n",
        }.items()
    },
    "a burst of several sheets": {
        "reports/x.yaml": a_report(
            "connection: db\n"
            "workbook: {sheets: [{name: A, query: select 1}, {name: B, query: select 2}]}"
        ),
        "schedules/x.yaml": a_schedule(
            "report: x\nburst: ⟦BOE280⟧{values_from: region}"
        ),
    },
    "a burst of files that are split": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select 1\nmax_rows: 5\non_too_many: split"
        ),
        "schedules/x.yaml": a_schedule(
            "report: x\nburst: ⟦BOE280⟧{values_from: region}"
        ),
    },
    "a query for each part": {
        "schedules/x.yaml": a_schedule(
            "if_unchanged: ⟦BOE281⟧skip\n"
            "burst: {values_from: ⟦BOE281⟧region, mode: query}"
        ),
        "schedules/y.yaml": a_schedule(
            "burst: {recipients_query: ⟦BOE202⟧drop x, split_on: region}", name="y"
        ),
    },
    "a burst of which nothing is there": {
        "schedules/x.yaml": a_schedule(
            "report: ⟦BOE100⟧nope\n"
            "burst: {recipients_query: select 1 as region, split_on: region}"
        ),
        "schedules/y.yaml": a_schedule(
            "burst: {recipients_file: ⟦BOE103⟧no.csv, split_on: region}", name="y"
        ),
    },
    "files with recipients that cannot be read": {
        "schedules/x.yaml": a_schedule(
            "burst: {recipients_file: x.csv, split_on: region}"
        ),
        "schedules/x.csv": "region,to\n⟦BOE282⟧north\n⟦BOE282⟧,a@example.com\n\nsouth,\n",
        "schedules/y.yaml": a_schedule(
            "burst: {recipients_file: y.csv, split_on: region}", name="y"
        ),
        "schedules/y.csv": "⟦BOE282⟧area,to\nnorth,a@example.com\n",
        "schedules/z.yaml": a_schedule(
            "burst: {recipients_file: z.csv, split_on: region}", name="z"
        ),
        "schedules/z.csv": "⟦BOE282⟧region,region\nnorth,a@example.com\n",
    },
    "a file with recipients that ends in a quote": {
        "schedules/x.yaml": a_schedule(
            "burst: {recipients_file: x.csv, split_on: region}"
        ),
        "schedules/x.csv": '⟦BOE282⟧"region\n',
    },
    "a file with nothing": {
        "schedules/x.yaml": a_schedule(
            "burst: {recipients_file: x.csv, split_on: region}"
        ),
        "schedules/x.csv": "⟦BOE282⟧",
        "schedules/y.yaml": a_schedule(
            "burst: {recipients_file: y.csv, split_on: region}", name="y"
        ),
        "schedules/y.csv": "region\n",
    },
    "a file with recipients that is no text": {
        "schedules/x.yaml": a_schedule(
            "burst: {recipients_file: ⟦BOE282⟧x.csv, split_on: region}"
        ),
        "schedules/x.csv": b"region\n\xff\n",
    },
    "a wrong address in a file with recipients": {
        "schedules/x.yaml": a_schedule(
            "burst: {recipients_file: x.csv, split_on: region}"
        ),
        "schedules/x.csv": "region,to\nnorth,a@example.com\n⟦BOE283⟧south,b@nowhere\n",
    },
    "more parts than there may be": {
        "schedules/x.yaml": a_schedule(
            "burst: {recipients_file: ⟦BOE284⟧x.csv, split_on: region, max_parts: 1}"
        ),
        "schedules/x.csv": "region\nnorth\nsouth\n",
    },
    "a template that asks for a column that the file does not have": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select :a\nparameters: {a: {type: string}}"
        ),
        "schedules/x.yaml": a_schedule(
            "report: x\nburst: {recipients_file: x.csv, split_on: region, mode: query}\n"
            'parameters: {a: ⟦BOE181⟧"{{ part.regoin }}"}'
        ),
        "schedules/x.csv": "region\nnorth\n",
    },
    "a parameter of a part where all are read at once": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select :a\nparameters: {a: {type: string}}"
        ),
        "schedules/x.yaml": a_schedule(
            "report: x\nburst: {values_from: region}\n"
            'parameters: {a: ⟦BOE181⟧"{{ part.region }}"}'
        ),
    },
    "a default that only a burst fills in": {
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            'inputs: {x: {type: int, default: "{{ part.n }}"}}\n'
            "destinations: [{type: local, base_path: x}]",
        ),
    },
    "Distributions that are told": {
        "policy.yaml": a_policy("notices: {ops: [⟦BOE271⟧archive]}"),
        "schedules/x.yaml": a_schedule("notify: [archive]"),
    },
    "a Distribution of nothing, and who uses it": {
        "distributions/d.yaml": a_document(
            "Distribution", "d", "destinations: ⟦BOE036⟧null"
        ),
        "schedules/x.yaml": a_schedule("deliver_to: [d]"),
    },
    # What is right in an object that is wrong elsewhere.
    "a Schedule that is wrong in many ways": {
        "schedules/x.yaml": a_schedule(
            "report: {connection: ⟦BOE100⟧nope, query: ⟦BOE202⟧drop x}\n"
            'when: {cron: "0 6 * * *"⟦BOE061⟧}\n'
            'export: {format: ⟦BOE037⟧docx, filename_pattern: "⟦BOE160⟧{x}_{date}"}\n'
            "deliver_to: [⟦BOE100⟧nope, {distribution: ⟦BOE100⟧none}, "
            "{type: local, base_path: ⟦BOE166⟧/etc}, {type: ⟦BOE044⟧ftp}]"
        )
        .replace("when: {", "⟦BOE061⟧when: {")
        .replace('"⟦BOE061⟧}', '"}'),
    },
    "a Report that is wrong in many ways": {
        "reports/x.yaml": a_report(
            "connection: ⟦BOE100⟧nope\nquery: select ⟦BOE204⟧:b, :a\n"
            "parameters: {a: {type: ⟦BOE037⟧number}}\nmax_rows: ⟦BOE039⟧0"
        )
    },
    "a Distribution that is wrong in many ways": {
        "distributions/d.yaml": a_document(
            "Distribution",
            "d",
            "destinations:\n- {type: local, base_path: ⟦BOE166⟧~/x}\n"
            "- {type: local, ⟦BOE034⟧name: y}\n",
        ).replace(
            "- {type: local, ⟦BOE034⟧name: y}", "- ⟦BOE034⟧{type: local, name: y}"
        )
    },
    "two Problems of rules and what follows": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: ⟦BOE202⟧drop x\n⟦BOE043⟧query_file: ⟦BOE103⟧x.sql"
        )
    },
    "what could not be read explains the rest": {
        "reports/x.yaml": a_report(
            "connection: db\nquery: select :a\n"
            "parameters:\n  a: {type: int}\n  ⟦BOE010⟧a: {type: int}"
        )
    },
}


@pytest.mark.parametrize("case", CASES)
def test_a_problem_stands_where_its_mistake_is(case: str) -> None:
    files, expected = unmarked({**GOOD, **CASES[case]})
    found = [spot(problem) for problem in plan_of(files).problems]
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("case", [*CASES])
def test_a_look_without_a_plan_finds_the_same(case: str) -> None:
    files, _ = unmarked({**GOOD, **CASES[case]})
    plan, look = plan_of(files), look_through(a_snapshot(files), now=NOW)
    assert (look.problems, look.total) == (plan.problems, plan.activation.total)
    shared = look_through(a_snapshot(files), now=NOW, spread=one_by_one)
    assert (shared.problems, shared.total) == (look.problems, look.total)


def one_by_one(work: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
    return [found for item in items for found in work([item])]


def test_what_many_schedules_say_of_their_times_is_told_of_each() -> None:
    night = 'when: {cron: "30 2 * * *", timezone: Europe/Berlin}'
    names = ("a", "b")
    files = {f"schedules/{n}.yaml": a_schedule(night, name=n) for n in names}
    found = plan_of({**GOOD, **files}).problems
    assert [(one.code, one.name) for one in found] == [("BOE071", n) for n in names]


def test_every_code_of_a_revision_has_a_case() -> None:
    shown = {code for files in CASES.values() for _, code, *_ in marks(files)}
    meant = {code for code in CODES if "BOE100" <= code < "BOE190"}
    # A revision alone removes nothing.
    assert meant - shown == {"BOE138", "BOE170", "BOE173", "BOE174"}


def marks(files: dict[str, Any]) -> list[tuple[str, str, int, int]]:
    return [
        (path, code, line, column) for code, path, line, column in unmarked(files)[1]
    ]


def test_a_repo_in_which_all_is_well_has_no_problem() -> None:
    plan = plan_of(GOOD)
    assert plan.problems == []
    assert set(plan.schedules) == {"daily"}
    assert {one.reason for one in plan.statuses} == {"Served"}


def test_a_text_that_does_not_fit_a_schedule_is_told_with_its_own_line() -> None:
    repo = CASES["a mail's text that cannot be filled in"]
    problem = next(
        one for one in plan_of(unmarked(repo)[0]).problems if one.code == "BOE180"
    )
    assert problem.range.filename == "schedules/x.yaml"
    assert problem.detail.startswith(
        "text at distributions/d.yaml:12: there is no period here"
    )
